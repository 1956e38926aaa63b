"""What a person should know of a fit: that it has not converged, that coefficients have no finite best, that columns say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from matchloss.linear import metric as metrics
from matchloss.linear.objective import Measure, Objective
from matchloss.linear.passes import Block
from matchloss.linear.rows import Floats

if TYPE_CHECKING:
    from matchloss.linear.metric import Metric

EPS = float(np.finfo(np.float64).eps)
MOVING = 0.1  # of a raw prediction: Newton's last step is far below it at a finite optimum, and about 1 on the way to an infinite one


def at_rounding(f: Objective, at: Measure) -> bool:
    """Whether the gradient is 0 up to the rounding of its own terms, sum w |g| |x| and sum w h |x| |raw|, each 8 eps at most."""
    if not np.isfinite(at.value):
        return False
    wide = f.wide(at.theta)
    raw = f.matrix.times(wide)
    result = f.loss.evaluate(raw, f.target, f.weight, value=False, hessian=f.loss.smooth)
    curve = 0.0 if result.hessian is None else np.abs(result.hessian) * _absolute_times(f, np.abs(wide))
    terms = np.abs(result.gradient) + curve
    floor = _absolute_transposed(f, terms)[f.slots] / f.total + (f.ridge * np.abs(at.theta).T).T
    return bool((np.abs(at.gradient) <= 8 * EPS * floor).all())


def advise(f: Objective, at: Measure, metric: Metric | None, converged: bool, tol: float, names: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each thing that the person should look at."""
    labels = [*(["the intercept"] if f.intercept else []), *(names or [f"column {j}" for j in range(len(f.rows.slots))])]
    said = []
    if f.l2 == 0:
        collinear = _collinear(f, metric)
        if collinear.size:
            which = _list([labels[j] for j in collinear])
            said.append(f"Collinear columns, whose coefficients stay at 0: {which}. An l2 above 0 shares among them.")
        moving = _moving(f, at, metric)
        if moving is not None:
            which = _list([labels[j] for j in moving]) or "all"
            said.append(
                "No finite coefficients are best: classes are separable, or all rows of a level agree in the target. "
                f"Still growing: {which}. An l2 above 0 keeps them finite."
            )
    if not converged:
        said.append(f"Not converged: the gradient's largest entry is {at.norm:.1e}, above tol = {tol:g}. More passes or an l2 may help.")
    return tuple(said)


def _list(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _collinear(f: Objective, metric: Metric | None) -> np.ndarray:
    """The columns that others make up: confirmed by the Gram matrix, since a hessian may also vanish where a model is certain."""
    if metric is None or not metric.dependent.size:
        return metrics.NONE
    weight = np.ones(f.rows.n) if f.weight is None else f.weight
    return metrics.of_matrix(f.narrow(f.matrix.gram(weight)) / f.total, int(f.intercept)).dependent


def _moving(f: Objective, at: Measure, metric: Metric | None) -> np.ndarray | None:
    """Coefficients whose best value is infinite; None if there are none, empty if they cannot be told apart."""
    if f.outputs is None:
        if metric is None or not np.isfinite(at.value):
            return None
        step = metric.solve(at.gradient)
        if not float(np.abs(f.raw(step)).max(initial=0.0)) > MOVING:
            return None
        size = np.abs(step)
        return np.flatnonzero(size > 0.5 * size.max())
    raw = f.raw(at.theta)
    own = np.take_along_axis(raw, f.target[:, None], axis=1)[:, 0]
    others = np.where(np.arange(raw.shape[1]) == f.target[:, None], -np.inf, raw).max(axis=1)
    if (own > others).all() and at.value > 0:
        return metrics.NONE
    if not f.rows.levels or f.loss.programs["exact"].threshold is not None:
        return None
    counts = f.matrix.transposed((np.arange(raw.shape[1]) == f.target[:, None]).astype(np.float64))[f.slots]
    level = f.slots > f.rows.q
    empty = np.flatnonzero(level & (counts == 0).any(axis=1))
    return empty if empty.size else None


def _absolute_times(f: Objective, wide: Floats) -> Floats:
    raw = np.empty((f.rows.n, *wide.shape[1:]))
    for block in f.matrix.blocks(0, f.rows.n):
        f.matrix.raw(Block(block.start, block.stop, np.abs(block.x), block.codes), wide, raw[block.start : block.stop])
    return raw


def _absolute_transposed(f: Objective, error: Floats) -> Floats:
    made = np.zeros((f.rows.width, *error.shape[1:]))
    for block in f.matrix.blocks(0, f.rows.n):
        f.matrix.add_gradient(Block(block.start, block.stop, np.abs(block.x), block.codes), error[block.start : block.stop], made)
    return made
