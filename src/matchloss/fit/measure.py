"""What a fit is measured by: held-out scores beside a constant's, and the effect of each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.fit.result import Effect
from matchloss.tables.scores import Score, held_out, mean_score, score_names

if TYPE_CHECKING:
    from matchloss.linear.rows import TableRows
    from matchloss.losses import Loss, TargetKind

Floats = NDArray[np.float64]


def scores(loss: Loss, kind: TargetKind, raw: Floats, target: NDArray[Any], sample_weight: Floats | None) -> dict[str, Score]:
    """Held-out scores by name, lower is better; first what the loss itself judges by, where none of the usual scores does."""
    own = {}
    if kind in ("number", "count") and loss.score not in score_names(kind):
        with np.errstate(over="ignore"):
            own[f"{loss.name} loss"] = mean_score(np.asarray(loss.divergence(raw, target)), sample_weight)
    return own | held_out(loss, kind, raw, target, sample_weight)


def constant_raw(loss: Loss, target: NDArray[Any], sample_weight: Floats | None, rows: int, outputs: int | None) -> Floats:
    """Raw predictions of the best constant for the training target, for so many rows."""
    if outputs is None:
        return np.full(rows, float(loss.best_constant(target, sample_weight)))
    best = np.asarray(loss.best_constant(target, sample_weight, n_classes=outputs), dtype=np.float64)  # pyright: ignore[reportCallIssue]
    return np.tile(best, (rows, 1))


def effects(
    rows: TableRows, coef: Floats, names: Sequence[str], classes: Sequence[str], loss: Loss, sample_weight: Floats | None
) -> tuple[Effect, ...]:
    """Each coefficient with its effect, |coef| times the standard deviation of its column over the training rows, the greatest first.

    With an output for each class there is one for each pair of column and class, measured from their mean where only differences count.
    """
    deviation, share = _spread(rows, sample_weight)
    if coef.ndim == 2 and loss.shift_invariant:
        coef = coef - coef.mean(axis=1, keepdims=True)
    sizes = np.abs(coef) * (deviation if coef.ndim == 1 else deviation[:, None])
    order = np.argsort(-sizes.ravel(), kind="stable")
    width = 1 if coef.ndim == 1 else coef.shape[1]
    made = []
    for at in map(int, order):
        j, k = at // width, at % width
        toward = classes[k] if coef.ndim == 2 else ""
        made.append(Effect(names[j], float(coef.flat[at]), float(sizes.flat[at]), toward, float(share[j])))
    return tuple(made)


def _spread(rows: TableRows, sample_weight: Floats | None) -> tuple[Floats, Floats]:
    """Of each coefficient's column: its standard deviation, and the share of rows in which it is not 0."""
    total = float(rows.n if sample_weight is None else sample_weight.sum())
    deviation, share = np.zeros(rows.width), np.zeros(rows.width)
    columns = rows.numbers if isinstance(rows.numbers, tuple) else rows.numbers.T
    for slot, column in enumerate(columns, start=1):
        deviation[slot] = _deviation(np.asarray(column, dtype=np.float64), sample_weight)
        share[slot] = np.average(column != 0, weights=sample_weight)
    for c, (first, levels) in enumerate(zip(rows.first, rows.levels, strict=True)):
        p = np.bincount(rows.codes[:, c], sample_weight, levels) / total
        deviation[first : first + levels], share[first : first + levels] = np.sqrt(p * (1 - p)), p
    return deviation[rows.slots], share[rows.slots]


def _deviation(column: Floats, sample_weight: Floats | None) -> float:
    unit = float(np.abs(column).max(initial=0.0)) or 1.0  # squares must not overflow
    values = column / unit
    mean = np.average(values, weights=sample_weight)
    return float(np.sqrt(np.average(np.square(values - mean), weights=sample_weight))) * unit
