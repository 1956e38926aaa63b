"""Best constants that no closed form gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matchloss.losses._loss import PointwiseLoss


def root_of_mean_gradient(loss: PointwiseLoss, y: NDArray[Any], w: NDArray[Any], low: float, high: float) -> float:
    """Where the weighted mean gradient of a constant raw prediction is 0, if it changes sign between low and high; else the better end."""
    from scipy.optimize import brentq  # here, since it takes longer to import than all of this package

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


def weighted_quantile(y: NDArray[Any], w: NDArray[Any], alpha: float) -> float:
    """The alpha-quantile of a weighted sample; halfway between two values where both minimise the pinball loss."""
    order = np.argsort(y, kind="stable")
    y, cumulative = y[order], np.cumsum(w[order])
    goal = alpha * cumulative[-1]
    i = int(np.searchsorted(cumulative, goal))
    i = min(i, y.size - 1)
    return float(y[i] + 0.5 * (y[i + 1] - y[i]) if cumulative[i] == goal and i + 1 < y.size else y[i])


def crossing(gradient: Any, target: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """For each target the raw at which `gradient(raw, target)` turns from negative to positive: bisection, all rows at once.

    Rows that never turn get -inf or inf.
    """
    a, b = np.full(target.shape, low), np.full(target.shape, high)
    never_low, never_high = gradient(a, target) > 0, gradient(b, target) < 0
    for _ in range(80):
        middle = 0.5 * (a + b)
        above = gradient(middle, target) >= 0
        a, b = np.where(above, a, middle), np.where(above, middle, b)
    return np.where(never_low, -np.inf, np.where(never_high, np.inf, b))
