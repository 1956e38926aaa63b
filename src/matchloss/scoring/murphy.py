"""Murphy diagrams: the mean elementary score of forecasts at each threshold, of which every consistent score is a mixture.

For a quantile or expectile at level a, the elementary score at the threshold theta is

    S(fct, obs) = |1{obs < fct} - a| D(obs, theta)  if min(obs, fct) <= theta < max(obs, fct), else 0,

D = 1 for a quantile and 2 |obs - theta| for an expectile; a mean is the expectile at 1/2, so its score is |obs - theta|. The integral over
theta is the value of the loss pinball, expectile or squared_error: other consistent scores weigh theta otherwise. So where one forecast's
curve lies below another's at every threshold, it is better by every consistent score (Ehm, Gneiting, Jordan & Krueger 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.engine.arrays import as_array, refuse
from matchloss.errors import DomainError, ShapeError
from matchloss.scoring._frames import frame
from matchloss.scoring._given import checked_level, pairs

Floats = NDArray[np.float64]
Functional = Literal["mean", "quantile", "expectile"]
POINTS = 201
Z = 1.959963984540054  # the normal quantile of 97.5 %


@dataclass(frozen=True)
class Murphy:
    """Mean elementary scores: theta (m,), and each forecast's score (m,) by name.

    difference[name]: the score of that forecast less that of `reference`, with the pointwise 95 % interval: (difference, low, high), (m,)
    each; empty without a reference.
    """

    functional: Functional
    level: float | None
    rows: int
    theta: Floats
    score: dict[str, Floats]
    reference: str | None
    difference: dict[str, tuple[Floats, Floats, Floats]]

    def frame(self) -> Any:
        """One row per forecast and threshold: forecast, theta, score, difference, low, high; a Polars, pandas or Arrow table."""
        none = (np.full(self.theta.size, np.nan),) * 3
        gaps = [self.difference.get(name, none) for name in self.score]
        columns = {name: np.concatenate([gap[j] for gap in gaps]) for j, name in enumerate(("difference", "low", "high"))}
        return frame(
            {
                "forecast": np.repeat(list(self.score), self.theta.size).tolist(),
                "theta": np.tile(self.theta, len(self.score)),
                "score": np.concatenate(list(self.score.values())),
            }
            | columns
        )


def murphy(
    obs: ArrayLike,
    fct: ArrayLike | Mapping[str, ArrayLike],
    functional: Functional = "mean",
    level: float | None = None,
    reference: str | None = None,
    sample_weight: ArrayLike | None = None,
    thetas: ArrayLike | None = None,
) -> Murphy:
    """The mean elementary score of one forecast (n,), or several by name, at thresholds over the range of forecasts and observations.

    level: of the quantile or expectile. reference: the name of a forecast from which the others' differences are taken. thetas: your own
    thresholds, (m,); by default 201, half of them evenly spaced and half where the data lie. DomainError for values that are not finite, an
    unknown functional or reference; ShapeError for bad shapes or no rows. Source: Ehm, Gneiting, Jordan & Krueger (2016).

    >>> from matchloss.scoring import murphy
    >>> murphy([0.0, 2.0], [1.0, 1.0], thetas=[0.0, 0.5, 1.0, 1.5]).score["forecast"]
    array([0.  , 0.25, 0.5 , 0.25])
    """
    if functional not in ("mean", "quantile", "expectile"):
        raise DomainError(f"functional is {functional!r}; allowed: mean, quantile, expectile")
    at = 0.5 if functional == "mean" else checked_level(level, functional)
    named = dict(fct) if isinstance(fct, Mapping) else {"forecast": fct}
    if not named:
        raise ShapeError("there is no forecast to look at")
    if reference is not None and reference not in named:
        raise DomainError(f"reference is {reference!r}; allowed: {', '.join(named)}")
    rows = {name: pairs(obs, given, sample_weight) for name, given in named.items()}
    y, _, w = next(iter(rows.values()))
    forecasts = {name: f for name, (_, f, _) in rows.items()}
    if thetas is None:
        theta = _thresholds([y, *forecasts.values()])
    else:
        theta = np.sort(as_array("thetas", thetas).astype(np.float64).ravel())
        refuse("thetas", theta, ~np.isfinite(theta), "finite numbers")
    smooth = functional != "quantile"
    centre = float(np.median(y))  # powers of theta - centre lose fewer digits
    scores = {name: _mean_score(y - centre, f - centre, w, theta - centre, at, smooth) for name, f in forecasts.items()}
    difference = {}
    if reference is not None:
        base = forecasts[reference] - centre
        for name, f in forecasts.items():
            if name != reference:
                gap = scores[name] - scores[reference]
                error = _error(y - centre, f - centre, base, w, theta - centre, at, smooth, gap)
                difference[name] = (gap, gap - Z * error, gap + Z * error)
    return Murphy(functional, level, y.size, theta, scores, reference, difference)


def _thresholds(values: list[Floats]) -> Floats:
    """Evenly spaced ones and quantiles of all values, from the least to the greatest."""
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    half = POINTS // 2 + 1
    there = np.concatenate([np.quantile(v[:: max(1, v.size // 100_000)], np.linspace(0, 1, half // len(values) + 1)) for v in values])
    return np.unique(np.concatenate([np.linspace(low, high, POINTS - half), there]))


def _active(start: NDArray[np.intp], stop: NDArray[np.intp], theta: Floats, x: Floats) -> Floats:
    """The sum of x over the rows with start <= j < stop, for each threshold j."""
    size = theta.size + 1
    return np.cumsum(np.bincount(start, x, size) - np.bincount(stop, x, size))[:-1].astype(np.float64, copy=False)


def _mean_score(y: Floats, f: Floats, w: Floats, theta: Floats, level: float, smooth: bool) -> Floats:
    up = y > f
    first, last = (np.searchsorted(theta, v, side="left") for v in (np.minimum(y, f), np.maximum(y, f)))
    c = np.where(up, level, 1 - level) * w
    if not smooth:
        return _active(first, last, theta, c) / w.sum()
    c = np.where(up, 2 * c, -2 * c)  # |obs - theta| = obs - theta above the forecast, theta - obs below
    return np.maximum(_active(first, last, theta, c * y) - theta * _active(first, last, theta, c), 0.0) / w.sum()


def _error(y: Floats, f: Floats, base: Floats, w: Floats, theta: Floats, level: float, smooth: bool, gap: Floats) -> Floats:
    """The standard error of a mean difference: sum w^2 (d - gap)^2 over (sum w)^2, d the difference in a row.

    d is not 0 only for theta between both forecasts, where it is +-|1{obs <= theta} - a| D(obs, theta).
    """
    sign = np.where(f > base, 1.0, -1.0)
    a, b = np.minimum(f, base), np.maximum(f, base)
    middle = np.clip(y, a, b)
    start, turn, stop = (np.searchsorted(theta, v, side="left") for v in (a, middle, b))
    squared = first = np.zeros(theta.size)
    for begin, end, c in ((start, turn, -level), (turn, stop, 1 - level)):  # theta below the observation, and from it on
        if smooth:  # d = +-2 |c| (theta - obs)
            k, s = 4 * (c * w) ** 2, 2 * abs(c) * w**2 * sign
            none, one, two = (_active(begin, end, theta, k * y**power) for power in range(3))
            squared = squared + two - 2 * theta * one + theta**2 * none
            first = first + theta * _active(begin, end, theta, s) - _active(begin, end, theta, s * y)
        else:
            squared = squared + _active(begin, end, theta, (c * w) ** 2)
            first = first + _active(begin, end, theta, c * w**2 * sign)
    variance = squared - 2 * gap * first + gap**2 * float(w @ w)
    return np.sqrt(np.maximum(variance, 0.0)) / w.sum()
