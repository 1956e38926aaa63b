"""Consistency bands: where the isotonic curve of a reliability diagram lies when the forecasts are calibrated.

Outcomes are drawn as if each forecast were right, and recalibrated like the real ones; at each forecast the band holds a stated share
of these curves (Dimitriadis, Gneiting & Jordan 2021). For a probability p the outcome is 1 with probability p, so the band stays open
where all real outcomes agree. For a mean, quantile or expectile it is the forecast plus a residual (Gneiting & Resin 2023), drawn in
units of the residuals' size among rows of similar forecasts, because prices and counts scatter more where they are high. Residuals are
taken from the forecasts, less their mean among similar ones, and not from the isotonic curve, which follows the outcomes too closely.

Up to EXACT rows, quantiles and expectiles are recalibrated row by row. Beyond, and for means always, rows of similar forecasts form
groups, fine at both ends, and a group's mean is drawn. Isotonic quantiles and expectiles are to first order isotonic means
of forecast + V / V', where V is the identification function and V' the slope of its expectation (for a quantile the density).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.scoring.isotonic import Functional, Recalibration, best_constant, recalibrate

Floats = NDArray[np.float64]
Of = Literal["mean", "probability", "quantile", "expectile"]

EXACT = 1_000
GROUPS, FINER = 1_000, 60  # groups at most: the first, or the second times n^(1/3), as the curve has about n^(1/3) steps
POOL = 20_000  # residuals to draw from
SUMMED = 16  # a mean of more rows is drawn as one of so many: it is as good as normal
NEAR = 100  # rows, or a twentieth of all if that is more, that tell how large residuals are near a forecast


@dataclass(frozen=True)
class Groups:
    """Rows of similar forecasts: their mean forecast, number, weight, and the variance of their weighted mean in units of one row's."""

    of_row: NDArray[np.intp]
    fct: Floats
    rows: Floats
    weight: Floats
    shrink: Floats


def consistency_band(
    of: Of, level: float, y: Floats, w: Floats, found: Recalibration, at: Floats, bands: float, draws: int, seed: int
) -> tuple[Floats, Floats]:
    """The band's ends at the forecasts `at`, pointwise with probability `bands`, for forecasts recalibrated as `found`."""
    rng = np.random.default_rng(seed)
    groups = _grouped(w, found)
    if of == "probability":
        curves = _of_probabilities(groups, at, draws, rng)
    else:
        near = found.fct.clip(y.min(), y.max())  # a forecast beyond all outcomes says nothing of how they scatter
        size, unit = _residuals(of, level, y - near[found.of_row], groups, rng)
        exact = of != "mean" and y.size <= EXACT
        curves = np.empty((draws, at.size))
        drawn = _row_by_row(of, level, w, found, groups, size, unit, rng) if exact else _by_group(of, level, y, groups, size, unit, rng)
        for curve in curves:
            curve[:] = np.interp(at, *next(drawn))
    low, high = np.quantile(curves, [(1 - bands) / 2, (1 + bands) / 2], axis=0)
    return low, high


def _grouped(w: Floats, found: Recalibration) -> Groups:
    """Groups of about equally many rows, but for the first and last rows, which stand alone and then in pairs, fours, ..."""
    rows = np.bincount(found.of_row, minlength=found.fct.size)
    of_distinct = np.arange(found.fct.size)
    n = int(rows.sum())
    most = max(GROUPS, int(FINER * n ** (1 / 3)))
    if found.fct.size > most:
        ends = 2 ** np.arange(int(np.log2(n)))
        cuts = np.unique(np.concatenate([np.linspace(0, n, most - 2 * ends.size).astype(np.intp), ends, n - ends]))
        of_distinct = np.searchsorted(cuts, np.cumsum(rows) - rows, side="right")
        of_distinct = np.unique(of_distinct, return_inverse=True)[1]
    of_row = of_distinct[found.of_row]
    count = np.bincount(of_distinct, rows).astype(np.float64)
    weight = np.bincount(of_distinct, found.mass).astype(np.float64, copy=False)
    fct = np.bincount(of_distinct, found.mass * found.fct) / weight
    shrink = np.bincount(of_row, np.square(w)) / weight**2
    return Groups(of_row, fct, count, weight, shrink)


def _of_probabilities(groups: Groups, at: Floats, draws: int, rng: np.random.Generator) -> Floats:
    from scipy.optimize import isotonic_regression  # imported here because it takes longer than importing this whole package

    trials = np.maximum(np.round(1 / groups.shrink), 1).astype(np.int64)  # as many rows of equal weight
    seen = rng.binomial(trials, groups.fct.clip(0, 1), size=(draws, trials.size)) / trials
    return np.array([np.interp(at, groups.fct, isotonic_regression(row, weights=groups.weight).x) for row in seen])


def _residuals(of: Functional, level: float, gap: Floats, groups: Groups, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The size of residuals in each group, and residuals of rows in that unit, at most POOL, whose functional is 0."""
    most = float(np.abs(gap).max()) or 1.0  # squares must not overflow
    gap = gap / most
    mean = _near(gap, groups)
    size = np.sqrt(np.maximum(_near(np.square(gap), groups) - np.square(mean), 0.0))
    rows = rng.integers(gap.size, size=POOL) if gap.size > POOL else np.arange(gap.size)
    of_row = groups.of_row[rows]
    unit = (gap[rows] - mean[of_row]) / np.where(size > 0, size, 1.0)[of_row]
    return most * size, unit - best_constant(of, unit, None, level)


def _row_by_row(
    of: Functional, level: float, w: Floats, found: Recalibration, groups: Groups, size: Floats, unit: Floats, rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Curves of whole rows, recalibrated."""
    rows, scale = found.fct[found.of_row], size[groups.of_row]
    while True:
        made = recalibrate(of, rows + scale * rng.choice(unit, unit.size), rows, w, level)
        yield made.fct, made.value


def _by_group(
    of: Functional, level: float, y: Floats, groups: Groups, size: Floats, unit: Floats, rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Curves of isotonic means over groups."""
    from scipy.optimize import isotonic_regression  # imported here because it takes longer than importing this whole package

    noise, slope = _influence(of, level, unit)
    deviation = size * np.sqrt(groups.shrink)
    mass = groups.weight * slope / np.where(size > 0, size, size.max() or 1.0)  # V' is in units of V over those of the forecast
    if of == "mean":
        mass = groups.weight
    pool = noise - noise.mean()
    summed = np.minimum(groups.rows, SUMMED).astype(np.intp)
    starts = np.cumsum(summed) - summed
    low, high = min(float(y.min()), groups.fct[0]), max(float(y.max()), groups.fct[-1])
    while True:
        drawn = np.add.reduceat(pool[rng.integers(pool.size, size=int(summed.sum()))], starts) / np.sqrt(summed)
        seen = np.clip(groups.fct + deviation * drawn, low, high)
        yield groups.fct, isotonic_regression(seen, weights=mass).x


def _influence(of: Functional, level: float, unit: Floats) -> tuple[Floats, float]:
    """V / V' of each row, the mean of which moves the functional to first order; and V'."""
    if of == "mean":
        return unit, 1.0
    below = unit <= 0
    if of == "expectile":
        slope = float(np.where(below, 1 - level, level).mean())
        return np.where(below, 1 - level, level) * unit / slope, slope
    share = min(level, 1 - level) * min(1.0, 4 * unit.size**-0.2)  # of the rows next to the quantile: the density is theirs
    h = float(np.quantile(np.abs(unit), share)) or np.finfo(float).tiny
    slope = share / (2 * h)
    return np.asarray((level - below) / slope, np.float64), slope


def _near(x: Floats, groups: Groups) -> Floats:
    """The mean of x over the rows whose forecasts are nearest by rank, for each group."""
    reach = max(NEAR, x.size // 20) / 2
    edges = np.concatenate([[0.0], np.cumsum(groups.rows)])
    total = np.concatenate([[0.0], np.cumsum(np.bincount(groups.of_row, x, groups.fct.size))])
    first = np.searchsorted(edges, np.maximum(edges[:-1] - reach, 0.0), side="right") - 1
    last = np.searchsorted(edges, np.minimum(edges[1:] + reach, edges[-1]))
    return (total[last] - total[first]) / (edges[last] - edges[first])
