"""Recalibration: the best forecasts that are a nondecreasing function of the given ones, for a mean, quantile or expectile.

Every score that is consistent for the functional has the same solution (Brummer & Preez 2013; Jordan, Muehlemann & Ziegel 2022), so
it is computed once. Means use SciPy's isotonic regression. Quantiles and expectiles are found by partitioning (Stout 2013): each
segment is cut at a threshold t in the middle of its possible values. The part above t is the tail of the segment whose identification
function has the most negative sum. This repeats until nothing is left to cut, in n log n steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Functional = Literal["mean", "quantile", "expectile"]
HALVINGS = 70  # bisects the range of the observations down to the last bit


@dataclass(frozen=True)
class Recalibration:
    """The distinct forecasts in order, each one's recalibrated value and weight, and the index of each row's forecast among them."""

    fct: Floats
    value: Floats
    mass: Floats
    of_row: NDArray[np.intp]

    @property
    def rows(self) -> Floats:
        """The recalibrated forecast of each row."""
        return self.value[self.of_row]


def recalibrate(functional: Functional, obs: Floats, fct: Floats, weight: Floats | None = None, level: float = 0.5) -> Recalibration:
    """Isotonic regression of obs on fct, (n,) in any order. Equal forecasts get equal values, within the range of obs."""
    in_order = bool((fct[1:] >= fct[:-1]).all())
    order = slice(None) if in_order else np.argsort(fct)
    f, y, w = fct[order], obs[order], np.ones(obs.size) if weight is None else weight[order]
    new = np.concatenate([[True], f[1:] != f[:-1]])
    starts = np.flatnonzero(new)
    mass = w if starts.size == f.size else np.add.reduceat(w, starts)
    if functional == "mean":
        from scipy.optimize import isotonic_regression  # imported here because it takes longer than importing this whole package

        means = y if starts.size == f.size else np.add.reduceat(w * y, starts) / mass
        value = isotonic_regression(means, weights=mass).x
    else:
        by_threshold = _quantiles if functional == "quantile" else _expectiles
        value = by_threshold(y, w, starts, level)
    of_row = np.cumsum(new) - 1
    if not in_order:
        of_row[order] = of_row.copy()
    return Recalibration(f[starts], np.clip(value, obs.min(), obs.max(), out=value), mass, of_row)


def best_constant(functional: Functional, obs: Floats, weight: Floats | None = None, level: float = 0.5) -> float:
    """The constant forecast with the best score: the mean, quantile or expectile of obs (n,).

    >>> import numpy as np
    >>> from matchloss.scoring import best_constant
    >>> best_constant("quantile", np.array([1.0, 2.0, 9.0]))
    2.0
    """
    if functional == "mean":
        return float(np.average(obs, weights=weight))
    return float(recalibrate(functional, obs, np.zeros(obs.size), weight, level).value[0])


def _quantiles(y: Floats, w: Floats, starts: NDArray[np.intp], level: float) -> Floats:
    """The midpoint of the lower and the upper solution, each found among the values of y."""
    values, code = np.unique(y, return_inverse=True)
    ends = []
    for upper in (False, True):
        low, high = np.zeros(starts.size, np.intp), np.full(starts.size, values.size - 1)
        first = np.zeros(1, np.intp)  # where segments of equal (low, high) begin, among the distinct forecasts
        while (low < high).any():
            middle = (low + high) // 2
            at = np.repeat(middle, np.diff(np.append(starts, y.size)))
            above = _above(np.add.reduceat(np.where(code <= at, 1 - level, -level) * w, starts), first, upper)
            low, high = np.where(above, np.minimum(middle + 1, high), low), np.where(above, high, middle)
            first = _segments(low, high)
        ends.append(values[low])
    return 0.5 * ends[0] + 0.5 * ends[1]


def _expectiles(y: Floats, w: Floats, starts: NDArray[np.intp], level: float) -> Floats:
    """Finds by bisection which forecasts are pooled, then each pool's exact root by Newton's method."""
    low, high = np.full(starts.size, y.min()), np.full(starts.size, y.max())
    first, sizes = np.zeros(1, np.intp), np.diff(np.append(starts, y.size))
    for _ in range(HALVINGS):
        middle = 0.5 * low + 0.5 * high
        at = np.repeat(middle, sizes)
        above = _above(np.add.reduceat(np.where(y <= at, 1 - level, level) * (at - y) * w, starts), first, False)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
        first = _segments(low, high)
    pool = np.zeros(starts.size, np.intp)
    pool[first[1:]] = 1
    pool = np.repeat(np.cumsum(pool), sizes)
    t = np.repeat(0.5 * low + 0.5 * high, sizes)
    asymmetric = np.where(y <= t, 1 - level, level) * w
    root = np.bincount(pool, asymmetric * y) / np.bincount(pool, asymmetric)
    return np.maximum.accumulate(root)[pool[starts]]


def _above(slope: Floats, first: NDArray[np.intp], upper: bool) -> NDArray[np.bool_]:
    """Whether each entry belongs to the tail of its segment with the least sum of slopes, which is the part that should move up.

    Of several such tails the shortest, or for the upper solution the longest.
    """
    before = np.concatenate([[0.0], np.cumsum(slope)])
    stop = np.append(first[1:], slope.size)
    above = np.empty(slope.size, bool)
    # the sum from s to the end is before[stop] - before[s]: least where before[s] is greatest
    greatest = np.maximum.reduceat(before[:-1], first)
    greatest = np.maximum(greatest, before[stop])
    segment = np.zeros(slope.size, np.intp)
    segment[first[1:]] = 1
    segment = np.cumsum(segment)
    hit = before[:-1] >= greatest[segment] - 1e-12 * np.abs(greatest[segment]) if upper else before[:-1] == greatest[segment]
    place = np.arange(slope.size)
    if upper:
        cut = np.minimum.reduceat(np.where(hit, place, slope.size), first)
        cut = np.minimum(cut, stop)
    else:
        last = np.maximum.reduceat(np.where(hit, place, -1), first)
        cut = np.where((before[stop] >= greatest) | (last < 0), stop, last)
    np.greater_equal(place, cut[segment], out=above)
    return above


def _segments(low: NDArray[np.generic], high: NDArray[np.generic]) -> NDArray[np.intp]:
    """Where the pair (low, high) changes."""
    return np.concatenate([[0], 1 + np.flatnonzero((low[1:] != low[:-1]) | (high[1:] != high[:-1]))])
