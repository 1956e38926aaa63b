"""Warnings about a fit: it has not converged, some coefficients have no finite optimum, or columns are collinear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from matchloss.linear.endless import endless
from matchloss.linear.objective import Measure, Objective
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats
from matchloss.linear.sources.source import Block, added

if TYPE_CHECKING:
    from matchloss.losses import Loss

EPS = float(np.finfo(np.float64).eps)
STILL = 1e-6  # coefficients that move less than this share of the fastest along a direction do not
GROWING = 0.25  # coefficients with at least this share of the largest effect are named


def at_rounding(f: Objective, at: Measure) -> bool:
    """Whether the gradient is 0 up to the rounding of its own terms, sum w |g| |x| and sum w h |x| |raw|, each 8 eps at most."""
    if not np.isfinite(at.value):
        return False
    floor = f.source.sum(Floor(f.matrix, f.loss, f.wide(at.theta)))[f.slots] / f.total + (f.ridge * np.abs(at.theta).T).T
    return bool((np.abs(at.gradient) <= 8 * EPS * floor).all())


@dataclass(frozen=True, eq=False)
class Floor:
    """The sum of w |g| |x| and w h |x| |raw|, each column's terms by their absolute values: what rounds is at most some eps of it."""

    matrix: Matrix
    loss: Loss
    wide: Floats

    @property
    def bytes(self) -> int:
        """The size of a gradient."""
        return self.wide.nbytes

    def slab(self, blocks: Iterator[Block], rows: int) -> Floats:
        """That of a slab."""
        made, matrix = np.zeros(self.wide.shape), self.matrix
        with np.errstate(all="ignore"):
            for block in blocks:
                raw, size = np.empty((2, block.rows, *self.wide.shape[1:]))
                matrix.predicted(block, self.wide, raw)
                result = self.loss.evaluate(raw, block.y, block.w, value=False, hessian=self.loss.smooth)
                absolute = replace(block.mapped(np.abs), offset=None if block.offset is None else np.abs(block.offset))
                matrix.predicted(absolute, np.abs(self.wide), size)
                curve = 0.0 if result.hessian is None else np.abs(result.hessian) * size
                matrix.add_gradient(absolute, np.abs(result.gradient) + curve, made)
        return made

    def join(self, parts: Sequence[Floats]) -> Floats:
        """The sum of the slabs'."""
        return added(parts, self.wide.shape)


@dataclass(frozen=True, eq=False)
class Ends:
    """The least and the greatest value of each column of numbers, (2, q)."""

    matrix: Matrix
    bytes = 0

    def slab(self, blocks: Iterator[Block], rows: int) -> Floats:
        """Those of a slab."""
        made = np.full((2, self.matrix.rows.q), [[np.inf], [-np.inf]])
        for block in blocks:
            made = np.stack([np.minimum(made[0], block.x.min(axis=0)), np.maximum(made[1], block.x.max(axis=0))])
        return made

    def join(self, parts: Sequence[Floats]) -> Floats:
        """Those of all."""
        return np.stack([np.min([p[0] for p in parts], axis=0), np.max([p[1] for p in parts], axis=0)])


@dataclass(frozen=True)
class Advice:
    """Sentences for the person, and the coefficients, as in Objective.whole, that have no finite best value."""

    messages: tuple[str, ...]
    diverging: tuple[int, ...] = ()


def advise(f: Objective, at: Measure, converged: bool, tol: float, names: Sequence[str], before: Sequence[Floats]) -> Advice:
    """One sentence for each thing that the person should look at; `before` holds thetas from earlier passes."""
    every = [*(["the intercept"] if f.intercept else []), *(names or [f"column {j}" for j in range(len(f.rows.slots) + len(f.left_out))])]
    labels = [label for j, label in enumerate(every) if j not in f.left_out]
    said, diverging = [], ()
    if all_at_the_end(f):
        said.append(at_the_end(f))
    elif f.l2 == 0:
        if f.left_out:
            which = _list([every[j] for j in f.left_out])
            said.append(f"Collinear columns, whose coefficients stay at 0: {which}. An l2 above 0 shares among them.")
        direction = endless(f, at, before)
        if direction is not None:
            said.append(diverge(f, direction, labels))
            moved = np.abs(direction).reshape(f.size, -1).max(axis=1)
            diverging = tuple(np.delete(np.arange(len(every)), f.left_out)[moved > STILL * moved.max()].tolist())
    if not converged:
        said.append(f"Not converged: the gradient's largest entry is {at.norm:.1e}, above tol = {tol:g}. More passes or an l2 may help.")
    return Advice(tuple(said), diverging)


def not_centred(f: Objective, names: Sequence[str]) -> tuple[str, ...]:
    """One sentence on the columns that a fit without an intercept cannot centre; empty if there are none."""
    far = [int(np.flatnonzero(f.rows.slots == 1 + j)[0]) for j in np.flatnonzero(f.source.far_means())]
    if not far:
        return ()
    which = _list([names[j] if names else f"column {j}" for j in far])
    return (f"Far from 0 for their spread, and without an intercept not centred: {which}. An intercept, or their means subtracted, helps.",)


def _list(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def at_the_end(f: Objective) -> str:
    """What is said where `all_at_the_end`."""
    return f"The intercept diverges: all targets are {f.source.ends()[0]:g}."


def diverge(f: Objective, direction: Floats, labels: Sequence[str]) -> str:
    """What is said of coefficients, which `labels` names, that grow for ever along a direction."""
    which = _list([labels[int(j)] for j in _growing(f, direction)])
    return (
        "The coefficients diverge: classes are perfectly separated, or all rows of a level agree in the target. "
        f"Still growing: {which}. An l2 above 0 keeps them finite."
    )


def all_at_the_end(f: Objective) -> bool:
    """Whether the intercept alone has no finite optimum: all counts are 0, or all labels are the same."""
    if not f.intercept or f.outputs is not None:
        return False
    low, high = f.source.ends()
    return low == high and bool(np.isinf(f.loss.best_constant(np.array([low]))))


def _growing(f: Objective, direction: Floats) -> np.ndarray:
    """The coefficients that matter most along a direction."""
    grown = np.abs(direction) if direction.ndim == 1 else np.abs(direction - direction.mean(axis=1, keepdims=True)).max(axis=1)
    effect = grown * _ranges(f)
    return np.flatnonzero(effect >= GROWING * effect.max()) if effect.any() else np.flatnonzero(grown)


def _ranges(f: Objective) -> Floats:
    """The range of each column, greatest value minus least; 0 for the intercept."""
    low, high = f.source.sum(Ends(f.matrix))
    wide = np.ones(f.rows.width)
    wide[0], wide[1 : 1 + f.rows.q] = 0.0, high - low
    if f.rows.sparse is not None:
        least, most = f.rows.sparse.ends()
        wide[f.matrix.thin] = most - least
    return wide[f.slots]
