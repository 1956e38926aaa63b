"""Best constants that have no closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matchloss.losses._loss import PointwiseLoss


def root_of_mean_gradient(loss: PointwiseLoss, y: NDArray[Any], w: NDArray[Any], low: float, high: float) -> float:
    """The constant raw prediction in [low, high] where the weighted mean gradient is 0; the better end if its sign never changes."""
    from scipy.optimize import brentq  # imported here because it takes longer than importing this whole package

    share = w / w.sum()

    def mean_gradient(z: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.dot(share, loss.gradient(np.full(y.size, z), y)))

    at_low, at_high = mean_gradient(low), mean_gradient(high)
    if at_low >= 0 or low == high:
        return low
    if at_high <= 0:
        return high
    return float(brentq(mean_gradient, low, high, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=500))  # pyright: ignore[reportArgumentType]


Mean = Callable[[float], tuple[float, float]]  # the mean loss of a constant raw prediction, and its slope there

TARGETS = 4096  # more distinct targets than this are grouped with their neighbours to find where to look
POINTS = 256  # a search starts at up to so many minima of single targets, and at so many steps between the outermost two
BEYOND = 32  # and at so many steps outside on either side, each side as long as the inside
DESCENTS = 16  # of the starts that are lower than both neighbours, this many of the lowest are followed down
REACH = 40.0  # how far the search goes if a target's minimum is infinite
CLEARLY = 1e-12  # a relative difference of means above this is not rounding


def least_mean(loss: PointwiseLoss, y: NDArray[np.float64], w: NDArray[np.float64]) -> float:
    """The constant raw prediction with the least weighted mean loss, for a loss whose mean may have many local minima.

    Compares the mean loss at a grid of starts: the minima of single targets (quantiles of them, beyond 256), steps between them, and
    steps as far again outside. From the lowest local minima of the grid a bisection descends, and the lowest result is the answer. So
    no start is better, but a minimum narrower than the steps can be missed. The order of the targets does not matter.
    NotImplementedError if the mean still falls at the end of the search.
    """
    y, position = np.unique(y, return_inverse=True)
    w = np.bincount(position, w).astype(np.float64)
    first = np.linspace(0, y.size, min(y.size, TARGETS) + 1).astype(np.intp)[:-1]  # index of each group's first target
    few = y[(first + np.append(first[1:], y.size)) // 2]
    minima = np.asarray(loss.minimiser(few), dtype=np.float64)
    starts = _starts(minima)
    if starts.size == 1:
        return float(starts[0])
    found = sorted(_local_minima(_mean_loss(loss, few, np.add.reduceat(w, first)), starts))
    place = found[0][1] if found else math.inf
    if few.size < y.size and found:
        place = _of_all(_mean_loss(loss, y, w), [z for _, z in found[:4]], starts)
    if math.isinf(place) and place not in minima:
        raise NotImplementedError(f"{loss!r} has no least mean between {starts[0]:g} and {starts[-1]:g}: write _best_constant")
    return place


def _of_all(mean: Mean, places: list[float], starts: NDArray[np.float64]) -> float:
    """The best of these places under the mean of all rows, followed downhill to a local minimum."""
    inside = np.clip(places, starts[0], starts[-1])
    place = places[int(np.argmin([mean(z)[0] for z in inside.tolist()]))]
    return _downhill(mean, place, 0.01 * float(starts[1] - starts[0]))[1] if math.isfinite(place) else place


def _mean_loss(loss: PointwiseLoss, y: NDArray[np.float64], w: NDArray[np.float64]) -> Mean:
    """The weighted mean loss and its slope as a function of the raw prediction; the mean is inf where it would be NaN."""
    share = w / w.max()
    share /= share.sum()

    def at(z: float) -> tuple[float, float]:
        with np.errstate(all="ignore"):
            value, gradient, _ = loss.evaluate(np.full(y.size, z), y)
            mean, slope = float(np.dot(share, value)), float(np.dot(share, gradient))
        return (mean if mean == mean else math.inf), slope

    return at


def _starts(minima: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sorted starts of a search; a single one if all targets have the same minimum."""
    distinct = np.unique(minima)
    if distinct.size == 1:
        return distinct
    finite = distinct[np.isfinite(distinct)]
    inner = finite if finite.size else np.zeros(1)
    low = inner[0] if distinct[0] == inner[0] else inner[0] - REACH
    high = inner[-1] if distinct[-1] == inner[-1] else inner[-1] + REACH
    if finite.size > POINTS:
        finite = finite[np.linspace(0, finite.size - 1, POINTS).round().astype(np.intp)]
    outside = (high - low) * np.arange(1, BEYOND + 1) / BEYOND
    return np.unique(np.concatenate([finite, np.linspace(low, high, POINTS + 1), low - outside, high + outside]))


def _local_minima(mean: Mean, starts: NDArray[np.float64]) -> list[tuple[float, float]]:
    """(mean, place) of the local minima reached from the lowest starts; the place is infinite if the mean falls beyond the last start."""
    means, slopes = np.array([mean(z) for z in starts.tolist()]).T
    low = np.flatnonzero((means <= np.append(np.inf, means[:-1])) & (means <= np.append(means[1:], np.inf)) & np.isfinite(means))
    found: list[tuple[float, float]] = []
    for i in low[np.argsort(means[low], kind="stable")][:DESCENTS].tolist():
        j = i - int(np.sign(slopes[i]))
        inside = 0 <= j < starts.size
        found.append(_descend(mean, float(starts[i]), float(starts[j])) if inside else (float(means[i]), math.copysign(math.inf, j)))
    return found


def _descend(mean: Mean, a: float, b: float) -> tuple[float, float]:
    """(mean, place) of a local minimum between a, where the mean falls towards b, and b, where it rises or is no lower."""
    toward = math.copysign(1.0, b - a)
    at_a, at_b = mean(a)[0], mean(b)[0]
    while (middle := a + 0.5 * (b - a)) not in (a, b):
        at, slope = mean(middle)
        if at > at_a + CLEARLY * abs(at_a) or not toward * slope < 0:
            b, at_b = middle, at
        else:
            a, at_a = middle, at
    return (at_a, a) if at_a < at_b else (at_b, b)


def _downhill(mean: Mean, a: float, step: float) -> tuple[float, float]:
    """(mean, place) of the local minimum found by going downhill from a in steps that double."""
    at, slope = mean(a)
    step = -math.copysign(step, slope)
    while math.isfinite(a + step):
        ahead, there = mean(a + step)
        if ahead > at or not step * there < 0:
            return _descend(mean, a, a + step)
        a, at, step = a + step, ahead, 2 * step
    return at, math.copysign(math.inf, step)


def weighted_quantile(y: NDArray[Any], w: NDArray[Any], alpha: float) -> float:
    """The alpha-quantile of a weighted sample; the midpoint if two values both minimise the pinball loss."""
    order = np.argsort(y, kind="stable")
    y, cumulative = y[order], np.cumsum(w[order])
    goal = alpha * cumulative[-1]
    i = int(np.searchsorted(cumulative, goal))
    i = min(i, y.size - 1)
    return float(y[i] + 0.5 * (y[i + 1] - y[i]) if cumulative[i] == goal and i + 1 < y.size else y[i])


def crossing(gradient: Any, target: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """For each target the raw at which `gradient(raw, target)` turns from negative to positive, by bisection of all rows at once.

    -inf or inf if it never turns.
    """
    a, b = np.full(target.shape, low), np.full(target.shape, high)
    never_low, never_high = gradient(a, target) > 0, gradient(b, target) < 0
    for _ in range(80):
        middle = 0.5 * (a + b)
        above = gradient(middle, target) >= 0
        a, b = np.where(above, a, middle), np.where(above, middle, b)
    return np.where(never_low, -np.inf, np.where(never_high, np.inf, b))
