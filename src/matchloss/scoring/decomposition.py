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
from matchloss.scoring._catalogue import ProperScore, get_score
from matchloss.scoring._given import checked_level, floats, pairs
from matchloss.scoring.isotonic import Functional, recalibrate

Floats = NDArray[np.float64]
CONFIDENCE = 0.95


class Parts(NamedTuple):
    """score = miscalibration - discrimination + uncertainty, each a float or an array with one number per class."""

    score: Any
    miscalibration: Any
    discrimination: Any
    uncertainty: Any


class Decomposition(Parts):
    """The parts and, if asked for, .intervals: the same parts as 95 % bootstrap intervals (low, high)."""

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
    the result's `intervals` then holds a pair (low, high) for each part. Rows of weight 0 are left out. The order of rows does not matter.

    DomainError for values that the score does not allow, an unknown score or a missing level; ShapeError for bad shapes or no rows.
    Source: Dimitriadis, Gneiting & Jordan (2021).

    >>> from matchloss.scoring import decompose
    >>> decompose("squared_error", [0, 0, 1, 1], [-1, 1, 1, 2])
    Decomposition(score=0.75, miscalibration=0.625, discrimination=0.125, uncertainty=0.25)
    """
    rule = get_score(score)
    y, p = as_array("obs", obs), as_array("fct", fct)
    if rule.functional == "distribution" and p.ndim == 2:
        made = [_of_class(rule, y, p, sample_weight, k, intervals, seed) for k in range(p.shape[1])]
        whole = Decomposition(*(np.array(part) for part in zip(*made, strict=True)))
        if intervals:
            whole.intervals = Parts(*(np.array(part) for part in zip(*(m.intervals or () for m in made), strict=True)))
        return whole
    if rule.level is not None:
        checked_level(level, rule.name)
    y, p, w = pairs(y, p, sample_weight)
    functional: Functional = "mean" if rule.functional in ("mean", "distribution") else rule.functional
    at = 0.5 if level is None else level
    result = Decomposition(*_parts(rule, functional, y, p, w, level, at))
    if intervals:
        draws = np.random.default_rng(seed)
        made = []
        for _ in range(intervals):
            count = np.bincount(draws.integers(y.size, size=y.size), minlength=y.size)
            on = count > 0
            made.append(_parts(rule, functional, y[on], p[on], floats(w[on] * count[on]), level, at))
        low, high = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
        result.intervals = Parts(*((float(np.quantile(part, low)), float(np.quantile(part, high))) for part in zip(*made, strict=True)))
    return result


def _parts(rule: ProperScore, functional: Functional, y: Floats, p: Floats, w: Floats, level: float | None, at: float) -> Parts:
    better = recalibrate(functional, y, p, w, at).rows
    same = recalibrate(functional, y, np.zeros(y.size), w, at).rows
    mean, recalibrated, constant = (_mean(rule, y, f, w, level) for f in (p, better, same))
    if not np.isfinite(mean):
        return Parts(mean, mean, max(constant - recalibrated, 0.0), constant)
    # rounding may leave a gain of -1e-17; the parts are made to add up exactly
    miscalibration, discrimination = max(mean - recalibrated, 0.0), max(constant - recalibrated, 0.0)
    return Parts(mean, miscalibration, discrimination, constant)


def _mean(rule: ProperScore, y: Floats, f: Floats, w: Floats, level: float | None) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an infinite score shows in the result
        return float(np.average(np.asarray(rule.rows(y, f, level), np.float64), weights=w))


def _of_class(
    rule: ProperScore, y: NDArray[Any], p: NDArray[Any], sample_weight: ArrayLike | None, k: int, intervals: int | None, seed: int
) -> Decomposition:
    seen = (y == k).astype(np.float64) if y.ndim == 1 else y[:, k]
    return decompose(rule, seen, p[:, k], sample_weight, intervals=intervals, seed=seed)
