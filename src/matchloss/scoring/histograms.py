"""PIT and rank histograms, flat for a calibrated forecast, and sharpness: how narrow the prediction intervals are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.engine.arrays import as_array, refuse, same_shape
from matchloss.errors import DomainError, ShapeError
from matchloss.scoring._frames import frame
from matchloss.scoring._given import finite, live_rows

Floats = NDArray[np.float64]
RANKS = 50  # a rank each up to here; more are put together in BINS bins
BINS = 20


@dataclass(frozen=True)
class CalibrationHistogram:
    """A histogram that is flat at height 1 for a calibrated forecast.

    edges (b + 1,): of the bins, in [0, 1], or ranks. height (b,): the share of weight in each bin over what a calibrated forecast has.
    low, high: where a calibrated forecast's height lies with probability `confidence`, in each bin by itself.
    """

    what: str  # "PIT" or "rank"
    rows: int
    confidence: float
    edges: Floats
    height: Floats
    low: float
    high: float

    def frame(self) -> Any:
        """One row per bin: from, to, height, low, high; a Polars, pandas or Arrow table."""
        band = {name: np.full(self.height.size, x) for name, x in (("low", self.low), ("high", self.high))}
        return frame({"from": self.edges[:-1], "to": self.edges[1:], "height": self.height} | band)


def pit_histogram(
    cdf: ArrayLike, below: ArrayLike | None = None, bins: int = BINS, sample_weight: ArrayLike | None = None, bands: float = 0.9
) -> CalibrationHistogram:
    """The histogram of the probability integral transform F(obs): flat for calibrated forecasts, U-shaped for those that are too sure.

    cdf (n,): the forecast distribution function at the observation. below (n,), for counts: the same just below it, P(Y < obs); the row is
    then spread evenly over [below, cdf], which needs no random numbers (Czado, Gneiting & Held 2009). bands: the probability of the band,
    which is a little too wide for counts. DomainError for values outside [0, 1], or below > cdf; ShapeError for bad shapes or no rows.

    >>> from matchloss.scoring import pit_histogram
    >>> pit_histogram([0.1, 0.3, 0.6, 0.9], bins=2).height
    array([1., 1.])
    >>> pit_histogram([0.5, 1.0], below=[0.0, 0.5], bins=4).height
    array([1., 1., 1., 1.])
    """
    if bins < 1:
        raise DomainError(f"bins is {bins!r}; allowed: at least 1")
    upper = as_array("cdf", cdf)
    if upper.ndim != 1:
        raise ShapeError(f"cdf has shape {upper.shape}; it must be (n,)")
    live, w = live_rows(sample_weight, upper.size)
    upper = _share("cdf", upper, live)
    lower = upper
    if below is not None:
        given = as_array("below", below)
        same_shape("below", given, (live.size,), "cdf")
        lower = _share("below", given, live)
        refuse("below", lower, lower > upper, "at most cdf")
    return _flat("PIT", lower, upper, w, bins, np.linspace(0, 1, bins + 1), bands)


def rank_histogram(
    obs: ArrayLike, fct: ArrayLike, bins: int | None = None, sample_weight: ArrayLike | None = None, bands: float = 0.9
) -> CalibrationHistogram:
    """The histogram of the observation's rank among the members of an ensemble: flat if it could be one of them.

    obs (n,), fct (n, m): ranks 1 to m + 1; an observation that equals members is spread evenly over their ranks. bins: by default one a
    rank, or 20 where there are more than 50 ranks. Errors as for `pit_histogram`; members must be finite. Source: Hamill (2001).

    >>> from matchloss.scoring import rank_histogram
    >>> rank_histogram([0.0, 2.5], [[1.0, 2.0], [1.0, 2.0]]).height
    array([1.5, 0. , 1.5])
    """
    y, members = as_array("obs", obs), as_array("fct", fct)
    if y.ndim != 1 or members.ndim != 2 or members.shape[1] == 0:
        raise ShapeError(f"obs has shape {y.shape} and fct {members.shape}; they must be (n,) and (n, m)")
    same_shape("obs", y, members.shape[:1], "fct")
    live, w = live_rows(sample_weight, y.size)
    refuse("fct", members, ~np.isfinite(members) & live[:, None], "finite numbers")
    y, members = finite("obs", y, live), members if live.all() else members[live]
    ranks = members.shape[1] + 1
    lower = (members < y[:, None]).sum(axis=1) / ranks
    upper = ((members <= y[:, None]).sum(axis=1) + 1) / ranks
    many = bins or (ranks if ranks <= RANKS else BINS)
    return _flat("rank", lower, upper, w, many, 0.5 + ranks * np.linspace(0, 1, many + 1), bands)


def _share(name: str, x: NDArray[Any], live: NDArray[np.bool_]) -> Floats:
    made = finite(name, x, live)
    refuse(name, made, (made < 0) | (made > 1), "[0, 1]")
    return made


def _flat(what: str, lower: Floats, upper: Floats, w: Floats, bins: int, edges: Floats, bands: float) -> CalibrationHistogram:
    """Rows spread evenly over [lower, upper] in [0, 1], and the quantiles of the share of independent rows in one of `bins` bins."""
    from scipy.stats import binom  # imported here because it takes longer than importing this whole package

    if not 0 < bands < 1:
        raise DomainError(f"bands is {bands!r}; allowed: a probability in (0, 1)")
    total = w.sum()
    if lower is upper:
        height = np.histogram(upper, bins, (0, 1), weights=w)[0] * bins / total
    else:
        width = np.where(upper > lower, upper - lower, 1.0)
        u = np.linspace(0, 1, bins + 1)[1:-1]
        inside = [float(w @ np.where(upper > lower, np.clip((at - lower) / width, 0, 1), at > lower)) / total for at in u]
        height = np.diff([0.0, *inside, 1.0]) * bins
    alike = max(round(total**2 / float(w @ w)), 1)  # as many rows of equal weight
    low, high = binom.ppf([(1 - bands) / 2, (1 + bands) / 2], alike, 1 / bins) * bins / alike
    return CalibrationHistogram(what, w.size, bands, edges, height, float(low), float(high))


@dataclass(frozen=True)
class Sharpness:
    """How wide the prediction intervals of several forecasts are: by name, the mean width and its quantiles at `levels`, (k, 5)."""

    names: tuple[str, ...]
    mean: Floats
    quantiles: Floats
    levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)

    def frame(self) -> Any:
        """One row per forecast: its mean width and the quantiles; a Polars, pandas or Arrow table."""
        columns = {f"q{100 * level:02.0f}": self.quantiles[:, j] for j, level in enumerate(self.levels)}
        return frame({"forecast": self.names, "mean": self.mean} | columns)


def sharpness(intervals: Mapping[str, tuple[ArrayLike, ArrayLike]], sample_weight: ArrayLike | None = None) -> Sharpness:
    """The widths of prediction intervals {name: (lower, upper)}, each (n,); of calibrated forecasts the narrower is the better.

    DomainError for values that are not finite, or lower > upper; ShapeError for bad shapes or no rows. Source: Gneiting, Balabdaoui &
    Raftery (2007).

    >>> from matchloss.scoring import sharpness
    >>> found = sharpness({"model": ([0.0, 1.0], [1.0, 4.0]), "constant": ([0.0, 0.0], [5.0, 5.0])})
    >>> dict(zip(found.names, found.mean.tolist()))
    {'model': 2.0, 'constant': 5.0}
    """
    if not intervals:
        raise ShapeError("there is no forecast to look at")
    means, quantiles = [], []
    for name, (lower, upper) in intervals.items():
        low, high = as_array(f"lower of {name}", lower), as_array(f"upper of {name}", upper)
        if low.ndim != 1 or low.shape != high.shape:
            raise ShapeError(f"lower of {name} has shape {low.shape} and upper {high.shape}; they must be (n,)")
        live, w = live_rows(sample_weight, low.size)
        low, high = finite(f"lower of {name}", low, live), finite(f"upper of {name}", high, live)
        refuse(f"lower of {name}", low, low > high, "at most the upper end")
        width = high - low
        means.append(float(np.average(width, weights=w)))
        quantiles.append(np.quantile(width, Sharpness.levels, method="inverted_cdf", weights=w))
    return Sharpness(tuple(intervals), np.array(means), np.array(quantiles))
