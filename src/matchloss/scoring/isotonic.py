"""Recalibration: the best forecasts that are a nondecreasing function of the given ones, for a mean, quantile or expectile.

Every score that is consistent for the functional has the same solution (Brummer & Preez 2013; Jordan, Muehlemann & Ziegel 2022), so
it is computed once. Means use SciPy's isotonic regression. Quantiles and expectiles are found by partitioning (Stout 2013): each
segment is cut at a threshold t in the middle of its possible values. The part above t is the tail of the segment whose identification
function has the most negative sum. This repeats until nothing is left to cut, in n log n steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.engine.arrays import as_array, refuse, same_shape
from matchloss.errors import DomainError, ShapeError
from matchloss.scoring._given import checked_level, finite

Floats = NDArray[np.float64]
Functional = Literal["mean", "median", "quantile", "expectile"]
FUNCTIONALS = ("mean", "median", "quantile", "expectile")
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


def recalibrate(
    functional: Functional, obs: ArrayLike, fct: ArrayLike, weight: ArrayLike | None = None, level: float = 0.5
) -> Recalibration:
    """Isotonic regression of obs on fct, (n,) in any order. Equal forecasts get equal values, within the range of obs.

    functional: "mean", "median", "quantile" or "expectile", the last two at `level`, in (0, 1). weight (n,): above 0. DomainError for
    another word, a level outside (0, 1), values that are not finite and weights that are not above 0; ShapeError for shapes.

    >>> recalibrate("median", [3.0, 1.0, 1.0, 4.0], [0.1, 0.2, 0.3, 0.4]).rows
    array([1., 1., 1., 4.])
    """
    of, at = _asked(functional, level)
    y, f = _one_dimension(obs), as_array("fct", fct)
    same_shape("fct", f, y.shape, "obs")
    w = _weights(weight, y)
    refuse("weight", w, ~((w > 0) & (w < np.inf)), "finite and above 0; leave out the rows that do not count")
    everywhere = np.ones(y.size, bool)
    return _recalibrated(of, finite("obs", y, everywhere), finite("fct", f, everywhere), w, at)


def best_constant(functional: Functional, obs: ArrayLike, weight: ArrayLike | None = None, level: float = 0.5) -> float:
    """The constant forecast with the best score: the mean, median, quantile or expectile of obs (n,).

    weight (n,): finite and 0 or more; rows of weight 0 are not looked at. Errors otherwise: `recalibrate`.

    >>> from matchloss.scoring import best_constant
    >>> best_constant("quantile", [1.0, 2.0, 9.0])
    2.0
    """
    of, at = _asked(functional, level)
    given = _one_dimension(obs)
    w = _weights(weight, given)
    refuse("weight", w, ~((w >= 0) & (w < np.inf)), "finite and 0 or more")
    live = w > 0
    if not live.any():
        raise ShapeError("there is no row of positive weight: a best constant needs one")
    y, w = finite("obs", given, live), w[live]
    if of == "mean":
        return float(np.average(y, weights=None if weight is None else w))
    return float(_recalibrated(of, y, np.zeros(y.size), w, at).value[0])


def _asked(functional: str, level: float) -> tuple[str, float]:
    """Which functional at which level; the median is the quantile at 1/2."""
    if functional not in FUNCTIONALS:
        raise DomainError(f"functional is {functional!r}; allowed: {', '.join(FUNCTIONALS)}")
    if functional in ("quantile", "expectile"):
        return functional, checked_level(level, functional)
    return ("quantile", 0.5) if functional == "median" else (functional, level)


def _one_dimension(obs: ArrayLike) -> NDArray[Any]:
    y = as_array("obs", obs)
    if y.ndim != 1 or y.size == 0:
        raise ShapeError(f"obs has shape {y.shape}; (n,) is needed, with at least one row")
    return y


def _weights(weight: ArrayLike | None, obs: NDArray[Any]) -> Floats:
    """One weight a row, 1 where none is given; its values are yet to be checked."""
    w = np.ones(obs.size) if weight is None else as_array("weight", weight).astype(np.float64, copy=False)
    same_shape("weight", w, obs.shape, "one weight a row")
    return w


def _recalibrated(functional: str, obs: Floats, fct: Floats, weight: Floats, level: float) -> Recalibration:
    in_order = bool((fct[1:] >= fct[:-1]).all())
    order = slice(None) if in_order else np.argsort(fct)
    f, y, w = fct[order], obs[order], weight[order]
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
