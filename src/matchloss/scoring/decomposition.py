"""Splits a mean score into three parts without bins: score = miscalibration - discrimination + uncertainty.

With the forecasts recalibrated (matchloss.scoring.isotonic) and the best constant forecast,

    miscalibration = score(fct) - score(recalibrated) >= 0          what recalibration would gain
    discrimination = score(constant) - score(recalibrated) >= 0     how well forecasts tell rows apart
    uncertainty    = score(constant)                                how hard the observations are

This is CORP: Dimitriadis, Gneiting & Jordan (2021); for means, quantiles and expectiles Gneiting & Resin (2023).
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.engine.arrays import as_array
from matchloss.errors import DomainError
from matchloss.scoring._catalogue import ProperScore, get_score
from matchloss.scoring._given import checked_level, pairs
from matchloss.scoring.isotonic import Functional, best_constant, recalibrate

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
FOLDS = 5


class Parts(NamedTuple):
    """score = miscalibration - discrimination + uncertainty, each a float or an array with one number per class."""

    score: Any
    miscalibration: Any
    discrimination: Any
    uncertainty: Any


class Decomposition(Parts):
    """The parts and, if asked for, .intervals: for each of the parts an interval (low, high) that holds the true one with 95 %.

    Recalibration by the very rows that are scored does too well, so miscalibration and discrimination come out too large, and a bootstrap
    of them larger still. So the upper ends are of that recalibration, the lower ends of one by other rows (in five folds), which does not
    do well enough; between them lies the truth. Rows are drawn with replacement, as if they were independent.
    """

    intervals: Parts | None = None


def decompose(
    score: str | ProperScore,
    obs: ArrayLike,
    fct: ArrayLike,
    sample_weight: ArrayLike | None = None,
    level: float | None = None,
    intervals: int | None = None,
    seed: int = 0,
) -> Decomposition:
    """The mean score of forecasts, split into miscalibration, discrimination and uncertainty.

    obs, fct (n,): numbers, or labels 0 and 1 and the probability of 1. With integer labels and fct (n, K) each part is an array (K,), of
    each class against the others. level: of a quantile or expectile, in (0, 1). intervals: the number of bootstrap draws of the rows;
    the result's `intervals` (see Decomposition) then holds a pair (low, high) for each part. Rows of weight 0 are left out. The order of
    rows does not matter.

    DomainError for values that the score does not allow, an unknown score or a missing level; ShapeError for bad shapes or no rows.
    Source: Dimitriadis, Gneiting & Jordan (2021).

    >>> from matchloss.scoring import decompose
    >>> decompose("squared_error", [0, 0, 1, 1], [-1, 1, 1, 2])
    Decomposition(score=0.75, miscalibration=0.625, discrimination=0.125, uncertainty=0.25)
    """
    rule = get_score(score)
    y, p = as_array("obs", obs), as_array("fct", fct)
    if not rule.of_labels and rule.functional not in ("mean", "quantile", "expectile"):
        raise DomainError(
            f"{rule.name} has no parts here: a mean, a quantile, an expectile and probabilities of labels can be recalibrated"
        )
    if rule.of_labels and p.ndim == 2:
        made = [_of_class(rule, y, p, sample_weight, k, intervals, seed) for k in range(p.shape[1])]
        whole = Decomposition(*(np.array(part) for part in zip(*made, strict=True)))
        if intervals:
            whole.intervals = Parts(*(np.array(part) for part in zip(*(m.intervals or () for m in made), strict=True)))
        return whole
    if rule.level is not None:
        checked_level(level, rule.name)
    y, p, w = pairs(y, p, sample_weight)
    functional: Functional = "mean" if rule.of_labels else rule.functional  # pyright: ignore[reportAssignmentType]
    at = 0.5 if level is None else level
    if not (p[1:] >= p[:-1]).all():  # sorted here once, neither the recalibration nor any draw has to
        by_forecast = np.argsort(p)
        y, p, w = y[by_forecast], p[by_forecast], w if sample_weight is None else w[by_forecast]
    result = Decomposition(*_parts(rule, functional, y, p, w, level, at))
    if intervals:
        result.intervals = _intervals(rule, functional, y, p, w, level, at, intervals, np.random.default_rng(seed))
    return result


def _parts(rule: ProperScore, functional: Functional, y: Floats, p: Floats, w: Floats, level: float | None, at: float) -> Parts:
    better = recalibrate(functional, y, p, w, at).rows
    same = best_constant(functional, y, w, at)
    mean, recalibrated, constant = (float(_rows(rule, y, f, level) @ w / w.sum()) for f in (p, better, same))
    if not np.isfinite(mean):
        return Parts(mean, mean, max(constant - recalibrated, 0.0), constant)
    # rounding may leave a gain of -1e-17; the parts are made to add up exactly
    miscalibration, discrimination = max(mean - recalibrated, 0.0), max(constant - recalibrated, 0.0)
    return Parts(mean, miscalibration, discrimination, constant)


def _intervals(
    rule: ProperScore,
    functional: Functional,
    y: Floats,
    p: Floats,
    w: Floats,
    level: float | None,
    at: float,
    draws: int,
    random: np.random.Generator,
) -> Parts:
    """The parts' intervals: of draws of the rows' scores, the recalibration too good at one end and not good enough at the other."""
    same = best_constant(functional, y, w, at)
    fitted, held_out = recalibrate(functional, y, p, w, at).rows, _held_out(functional, y, p, w, at, random)
    score, constant, best, least = (_rows(rule, y, f, level) for f in (p, same, fitted, held_out))
    with np.errstate(invalid="ignore"):
        rows = np.stack([score, constant, score - best, score - least, constant - best, constant - least])
    rows = np.where(np.isfinite(rows), rows, 0.0)
    made = np.empty((draws, len(rows)))
    for i in range(draws):
        drawn = w * np.bincount(random.integers(y.size, size=y.size), minlength=y.size)
        made[i] = rows @ drawn / drawn.sum()
    if not np.isfinite(score).all():
        made[:, [0, 2, 3]] = np.inf
    low, high = (np.quantile(made, x, axis=0, method="inverted_cdf") for x in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    ends = {0: (low[0], high[0]), 1: (low[3], high[2]), 2: (low[5], high[4]), 3: (low[1], high[1])}
    return Parts(*((max(float(a), 0.0) if k in (1, 2) else float(a), max(float(b), 0.0)) for k, (a, b) in ends.items()))


def _held_out(functional: Functional, y: Floats, p: Floats, w: Floats, at: float, random: np.random.Generator) -> Floats:
    """Forecasts recalibrated by other rows. Each level counts one row of the constant in, so that none of them is certain of anything."""
    made, folds = np.full(y.size, np.nan), min(FOLDS, y.size)
    fold = random.permutation(np.arange(y.size) % folds)
    for k in range(folds if folds > 1 else 0):
        out = fold == k
        found = recalibrate(functional, y[~out], p[~out], w[~out], at)
        first = np.concatenate([[True], found.value[1:] != found.value[:-1]])
        mass = np.add.reduceat(found.mass, np.flatnonzero(first))[np.cumsum(first) - 1]
        near = np.clip(np.searchsorted(found.fct, p[out]), 0, found.fct.size - 1)
        share = mass[near] / (mass[near] + w.mean())
        made[out] = share * found.value[near] + (1 - share) * best_constant(functional, y[~out], w[~out], at)
    return np.where(np.isnan(made), y.mean(), made)


def _rows(rule: ProperScore, y: Floats, f: Floats | float, level: float | None) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an infinite score shows in the result
        return np.asarray(rule.rows(y, f, level), np.float64)


def _of_class(
    rule: ProperScore, y: NDArray[Any], p: NDArray[Any], sample_weight: ArrayLike | None, k: int, intervals: int | None, seed: int
) -> Decomposition:
    seen = (y == k).astype(np.float64) if y.ndim == 1 else y[:, k]
    return decompose(rule, seen, p[:, k], sample_weight, intervals=intervals, seed=seed)
