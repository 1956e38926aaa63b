"""What a fit is measured by: scores of rows that a model did not see beside a constant's, and the effect of each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.fit.result import Effect, Importance
from matchloss.tables.scores import ERROR_RATE, USUAL, Judge, Score, error_rate, mean_of_repeats, repeated, score_names

if TYPE_CHECKING:
    from matchloss.linear.rows import TableRows
    from matchloss.losses import Loss, TargetKind
    from matchloss.models.trees import Grove, TreeModels
    from matchloss.tables.splits import Split

Floats = NDArray[np.float64]
SHUFFLED = 20_000  # rows, when it is asked what a column is worth


def scores(loss: Loss, kind: TargetKind, raw: Floats, target: NDArray[Any], sample_weight: Floats | None) -> dict[str, Score]:
    """Scores by name of raw predictions (repeats, rows) or (repeats, rows, K), lower is better; the loss's own first where it is none of
    the usual ones."""
    made: dict[str, Score] = {}
    prediction, labels = np.asarray(loss.predict(raw)), kind in ("binary", "multiclass")
    if not labels and loss.score not in score_names(kind):
        with np.errstate(over="ignore"):
            rows = repeated(lambda y, z: loss.divergence(z, y), target, raw)
        made[f"{loss.name} loss"] = mean_of_repeats(rows, sample_weight)
    if not labels or loss.functional != "mode":
        made |= {name: mean_of_repeats(repeated(Judge(name).rows, target, prediction), sample_weight) for name in USUAL[kind]}
    if labels:
        made[ERROR_RATE] = error_rate(loss, target, prediction, sample_weight)
    return made


def constant_raw(loss: Loss, split: Split, target: NDArray[Any], sample_weight: Floats | None, outputs: int | None) -> Floats:
    """Raw predictions of the best constant of the rows that each model learned from, (repeats, rows) or (repeats, rows, K)."""
    place = np.zeros(len(target), np.intp)
    place[split.scored] = np.arange(len(split.scored))
    made = np.empty((split.repeats, len(split.scored), *(() if outputs is None else (outputs,))))
    given = {} if outputs is None else {"n_classes": outputs}
    for repeat, train, test in split.parts():
        made[repeat, place[test]] = loss.best_constant(target[train], None if sample_weight is None else sample_weight[train], **given)
    return made


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


def importance(models: TreeModels, grove: Grove, loss: Loss) -> tuple[Importance, ...]:
    """What each column is worth to the models of the first repeat, by rows that they did not see, at most SHUFFLED of them.

    A column's values are shuffled among the rows that a model is asked about (Breiman 2001; Fisher, Rudin & Dominici 2019).
    """
    rng, ready = np.random.default_rng(models.seed), models.ready
    target = ready.target.values.astype(np.int64 if loss.family == "simplex" else np.float64)
    first = [fold for fold in grove.folds if fold.repeat == 0]
    few = SHUFFLED // len(first)
    rows, rise = 0.0, np.zeros(models.columns)
    for fold in first:
        test = fold.test if len(fold.test) <= few else np.sort(rng.choice(fold.test, few, replace=False))
        X, y, weight = models.X[test], target[test], None if ready.weight is None else ready.weight[test]
        total = float(len(test) if weight is None else weight.sum())
        if not total:
            continue
        rows += total
        before = float(loss(fold.grown.forest.raw(X), y, weight))
        for j in range(models.columns):
            kept = X[:, j].copy()
            X[:, j] = rng.permutation(kept)
            rise[j] += total * (float(loss(fold.grown.forest.raw(X), y, weight)) - before)
            X[:, j] = kept
    names = [column.name for column in models.design.columns]
    made = [Importance(name, float(up)) for name, up in zip(names, rise / max(rows, 1.0), strict=True)]
    return tuple(sorted(made, key=lambda one: -one.rise))


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
