"""Reliability: the recalibrated forecast against the forecast, without bins, and where it would lie by chance (CORP)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.engine.arrays import as_array, refuse, same_shape
from matchloss.errors import DomainError, ShapeError
from matchloss.scoring._bands import Of, consistency_band
from matchloss.scoring._frames import frame
from matchloss.scoring._given import checked_level, pairs
from matchloss.scoring.isotonic import Recalibration, recalibrate

Floats = NDArray[np.float64]
ALLOWED = ("mean", "probability", "quantile", "expectile")
POINTS = 500  # of a curve, at most
BINS = 40  # of the histogram of forecasts
SHARES = 20  # of that of probabilities


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram's numbers.

    fct, value (m,): forecasts in order and what they become when they are recalibrated, the nondecreasing curve; a calibrated forecast has
    value = fct. low, high (m,): the consistency band, which holds the value of a calibrated forecast with probability `confidence` at each
    forecast. edges (b + 1,), share (b,): the histogram of the forecasts by weight; a tail that reaches further than the middle 99 % is
    left out. label: the class that a probability is of, or "".
    """

    functional: Of
    level: float | None
    rows: int
    confidence: float
    fct: Floats
    value: Floats
    low: Floats
    high: Floats
    edges: Floats
    share: Floats
    label: str = ""

    def frame(self) -> Any:
        """One row per point of the curve: forecast, recalibrated, low, high; a Polars, pandas or Arrow table."""
        return frame({"forecast": self.fct, "recalibrated": self.value, "low": self.low, "high": self.high})


def reliability(
    obs: ArrayLike,
    fct: ArrayLike,
    functional: Of = "mean",
    level: float | None = None,
    sample_weight: ArrayLike | None = None,
    bands: float = 0.9,
    draws: int = 400,
    seed: int = 0,
    label: str = "",
) -> Reliability:
    """The CORP reliability diagram of forecasts of a mean, a probability of 0 and 1, a quantile or an expectile.

    obs, fct (n,), in any order and with ties. level: of the quantile or expectile, in (0, 1). bands: the probability with which the band
    holds the curve of calibrated forecasts, at each forecast by itself; draws: how many curves are drawn for it. Rows are taken to be
    independent; rows of weight 0 are left out. At most some 500 points come back however many rows there are.

    DomainError for values that are not finite or no probabilities, an unknown functional, or a bad level, bands or draws; ShapeError for
    bad shapes or no rows. Sources: Dimitriadis, Gneiting & Jordan (2021); Gneiting & Resin (2023).

    >>> from matchloss.scoring import reliability
    >>> found = reliability([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], "probability")
    >>> found.fct, found.value
    (array([0.1, 0.4, 0.6, 0.9]), array([0. , 0.5, 0.5, 1. ]))
    >>> bool((found.low <= found.fct).all() and (found.fct <= found.high).all())
    True
    """
    if functional not in ALLOWED:
        raise DomainError(f"functional is {functional!r}; allowed: {', '.join(ALLOWED)}")
    if not 0 < bands < 1 or draws < 1:
        raise DomainError(f"bands is {bands!r} and draws {draws!r}; allowed: a probability in (0, 1), and at least 1 draw")
    at = checked_level(level, functional) if functional in ("quantile", "expectile") else 0.5
    y, f, w = pairs(obs, fct, sample_weight)
    if functional == "probability":
        refuse("obs", y, (y != 0) & (y != 1), "labels 0 and 1")
        refuse("fct", f, (f < 0) | (f > 1), "probabilities in [0, 1]")
    found = recalibrate("mean" if functional == "probability" else functional, y, f, w, at)
    kept = _kept(found.fct, found.value)
    x = found.fct[kept]
    low, high = consistency_band(functional, at, y, w, found, x, bands, draws, seed)
    edges = np.linspace(0, 1, SHARES + 1) if functional == "probability" and f.max() > 0.5 else np.linspace(*_reach(found), BINS + 1)
    share, _ = np.histogram(found.fct, edges, weights=found.mass)
    return Reliability(functional, level, y.size, bands, x, found.value[kept], low, high, edges, share / found.mass.sum(), label)


def reliability_by_class(
    obs: ArrayLike,
    fct: ArrayLike,
    classes: Sequence[str] | None = None,
    sample_weight: ArrayLike | None = None,
    bands: float = 0.9,
    draws: int = 400,
    seed: int = 0,
) -> tuple[Reliability, ...]:
    """The reliability diagram of each class's probability against all other classes: labels obs (n,) in 0..K-1 and fct (n, K).

    classes: their K names. Arguments and errors as for `reliability`.

    >>> from matchloss.scoring import reliability_by_class
    >>> [found.label for found in reliability_by_class([0, 1], [[0.8, 0.2], [0.3, 0.7]], ["a", "b"])]
    ['a', 'b']
    """
    y, p = as_array("obs", obs), as_array("fct", fct)
    if p.ndim != 2:
        raise ShapeError(f"fct has shape {p.shape}; it must be (n, K), a probability for each class")
    same_shape("obs", y, p.shape[:1], "fct")
    refuse("obs", y, (y < 0) | (y >= p.shape[1]) | (y != np.floor(y)), f"labels 0..{p.shape[1] - 1}")
    names = list(map(str, range(p.shape[1]))) if classes is None else list(classes)
    if len(names) != p.shape[1]:
        raise ShapeError(f"there are {len(names)} names for {p.shape[1]} classes")
    return tuple(reliability(y == k, p[:, k], "probability", None, sample_weight, bands, draws, seed, name) for k, name in enumerate(names))


def _reach(found: Recalibration) -> tuple[float, float]:
    """Where the histogram begins and ends: at the extremes, or at the middle 99 % of the weight where they lie far out."""
    fct, total = found.fct, np.cumsum(found.mass)
    first, last = fct[np.searchsorted(total, [0.005 * total[-1], 0.995 * total[-1]])]
    low = first if first - fct[0] > last - first else fct[0]
    high = last if fct[-1] - last > last - first else fct[-1]
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(high) + 0.5)


def _kept(fct: Floats, value: Floats) -> NDArray[np.intp]:
    """Which points to keep: all of a few; else both ends of each level stretch, and others evenly by rank and by value."""
    n = fct.size
    if n <= POINTS:
        return np.arange(n)
    change = np.flatnonzero(value[1:] != value[:-1])
    ends = np.union1d(change, change + 1)
    ends = ends[np.linspace(0, ends.size - 1, min(ends.size, POINTS // 2)).astype(np.intp)] if ends.size else ends
    by_rank = np.linspace(0, n - 1, POINTS // 4).astype(np.intp)
    by_value = np.searchsorted(fct, np.linspace(fct[0], fct[-1], POINTS // 4)).clip(max=n - 1)
    return np.unique(np.concatenate([ends, by_rank, by_value]))
