"""Differences between forecasts that were scored on the same rows, and how certain they are.

For each pair of forecasts, d[i] is the difference of their scores in row i and m its mean. The interval around m is simultaneous over all
pairs: m +- t se, where t is Student's quantile at the tail probability that makes 95 % of all pairs' intervals hold at once, with as many
degrees of freedom as rows carry the variance. A forecast is worse than another where the pair's interval excludes 0; the set that nobody
beats is what remains. So intervals and verdict cannot disagree.

The same code judges models that were fitted again and again (scores of shape (repeats, rows, forecasts), each row predicted by a model
that did not see it) and forecasts that are fixed (one repeat, no folds). With K folds and R repeats,

    se^2 = K / (K - 1) var(D) / n + max(0, X) / (K - 1),

D the row's mean difference over the repeats, X = the mean over repeats r of [variance of the K fold means of d in r, less the variance of
the same folds' means of D without r]: what fold means vary beyond their own rows, the part that comes from training (after Nadeau &
Bengio 2003). Simultaneous intervals: Hothorn, Bretz & Westfall (2008). Series: the test of Diebold & Mariano (1995). Its long-run variance
is the mean square of their first B = 0.4 T^(2/3) cosine transforms, which are nearly independent, so that Student's quantile with
B degrees of freedom holds in short series too, where that of Newey & West (1987) with normal quantiles is far too sure (Mueller 2004;
Lazarus, Lewis, Stock & Watson 2018; for forecasts Coroneo & Iacone 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

DRAWS = 20_000  # of the greatest |Z| over all pairs: its 95 % point is then good to 1 %


@dataclass(frozen=True)
class Difference:
    """The mean score of one forecast minus that of another; negative favours the first.

    low and high hold with the stated confidence for all pairs at once. carrying = (sum u^2)^2 / sum u^4, u the rows' deviations from
    the mean: how many rows (or groups) carry the variance. With fewer than 10 these few rows decide; below 30 the interval is approximate.
    """

    difference: float
    low: float
    high: float
    carrying: float

    @property
    def decided(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def __neg__(self) -> Difference:
        """The difference seen from the other forecast."""
        return Difference(-self.difference, -self.high, -self.low, self.carrying)


@dataclass(frozen=True)
class Ranking:
    """Which forecasts are unbeaten, and how each pair differs.

    means: the mean score of each forecast. ranked: those whose score is finite in every row. best: the least mean among the ranked, None if
    there is none. unbeaten: the ranked that no other beats, the least mean first. beaten_by: for each other ranked one, the forecast that
    beats it most clearly. pairs[a, b]: forecast a minus forecast b, for all ordered pairs of ranked forecasts.
    """

    means: Floats
    ranked: tuple[int, ...]
    unbeaten: tuple[int, ...]
    beaten_by: dict[int, int]
    pairs: dict[tuple[int, int], Difference]

    @property
    def best(self) -> int | None:
        """The forecast with the least mean score among the ranked; None if there is none."""
        return min(self.ranked, key=lambda j: self.means[j], default=None)


def rank(
    scores: Floats,
    folds: Codes | None = None,
    *,
    weight: Floats | None = None,
    groups: Codes | None = None,
    series: bool = False,
    confidence: float = 0.95,
) -> Ranking:
    """The ranking of k forecasts from scores (repeats, rows, k), lower is better; finite or infinite, rows of weight 0 left out.

    folds (repeats, rows): the fold in which a row was predicted, None for fixed forecasts. groups (rows,): codes of dependent rows; the
    variance is then that between groups. series: rows, or groups in the order of their codes, are a time series, so neighbours are alike.
    """
    relative: Floats = np.ones(scores.shape[1]) if weight is None else weight / weight.mean()
    finite = np.isfinite(scores).all(axis=(0, 1))
    with np.errstate(invalid="ignore"):
        means = np.average(scores.mean(axis=0), axis=0, weights=relative)
    ranked = tuple(int(j) for j in np.flatnonzero(finite))
    couples = list(combinations(ranked, 2))
    if not couples:
        return Ranking(means, ranked, ranked, {}, {})
    first, second = np.array(couples).T
    d = scores[:, :, first] - scores[:, :, second]
    m, error, carrying, correlation, freedom = _spread(d, folds, relative, groups, series)
    half = _quantiles(correlation, freedom, confidence) * error
    pairs = {ab: Difference(*map(float, (m[p], m[p] - half[p], m[p] + half[p], carrying[p]))) for p, ab in enumerate(couples)}
    clearness: dict[int, tuple[float, int]] = {}
    for (a, b), pair in pairs.items():
        if pair.decided:
            loser, winner = (a, b) if pair.difference > 0 else (b, a)
            clear = abs(pair.difference) / (pair.high - pair.low) if pair.high > pair.low else np.inf
            clearness[loser] = max(clearness.get(loser, (0.0, -1)), (clear, winner))
    unbeaten = tuple(sorted((j for j in ranked if j not in clearness), key=lambda j: means[j]))
    both_ways = pairs | {(b, a): -pair for (a, b), pair in pairs.items()}
    return Ranking(means, ranked, unbeaten, {j: by for j, (_, by) in clearness.items()}, both_ways)


def _spread(
    d: Floats, folds: Codes | None, weight: Floats, groups: Codes | None, series: bool
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """For differences (repeats, rows, pairs): means, standard errors, carrying rows, the correlation of the means, degrees of freedom."""
    repeats, n, _ = d.shape
    mean_of_repeats = d.mean(axis=0)
    m = np.average(mean_of_repeats, axis=0, weights=weight)
    u = weight[:, None] * (mean_of_repeats - m)
    if groups is not None:
        sums = np.zeros((int(groups.max()) + 1, u.shape[1]))
        np.add.at(sums, groups, u)
        u = sums
    units = len(u)
    waves = _cosines(u) if series else None
    covariance = u.T @ u * (units / (units - 1) if units > 1 else np.nan) if waves is None else waves.T @ waves * (units / len(waves))
    covariance /= n**2
    variance = np.maximum(np.diagonal(covariance), 0.0)
    if folds is not None:
        k = int(folds.max()) + 1
        variance = k / (k - 1) * variance
        if repeats > 1:
            variance = variance + np.maximum(_of_training(d, mean_of_repeats, folds, k), 0.0) / (k - 1)
    size = np.sqrt((u * u).sum(axis=0))
    unit = u / np.where(size > 0, size, 1.0)
    fourth = (unit**4).sum(axis=0)
    carrying = 1.0 / np.where(fourth > 0, fourth, 1.0)
    scale = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.where(scale > 0, scale, 1.0) / np.where(scale > 0, scale, 1.0)[:, None]
    np.fill_diagonal(correlation, 1.0)
    freedom = np.maximum(carrying - 1, 1)
    return m, np.sqrt(variance), carrying, correlation, freedom if waves is None else np.minimum(freedom, len(waves))


def _cosines(u: Floats) -> Floats:
    """The first B = 0.4 T^(2/3) cosine transforms of each column of u (T, pairs): its slowest waves, orthonormal, each of sum 0."""
    from scipy.fft import dct  # imported here because it takes longer than importing this whole package

    count = max(1, int(0.4 * len(u) ** (2 / 3)))
    return np.asarray(dct(u, axis=0, norm="ortho"))[1 : count + 1]


def _of_training(d: Floats, mean_of_repeats: Floats, folds: Codes, k: int) -> Floats:
    """The X of this module's text: how much fold means vary beyond what their own rows explain."""
    repeats, x = len(d), np.zeros(d.shape[2])
    for r in range(repeats):
        others = (mean_of_repeats * repeats - d[r]) / (repeats - 1)
        own, rest = (np.stack([values[folds[r] == f].mean(axis=0) for f in range(k)]) for values in (d[r], others))
        x += (own.var(axis=0, ddof=1) - rest.var(axis=0, ddof=1)) / repeats
    return x


def _quantiles(correlation: Floats, freedom: Floats, confidence: float) -> Floats:
    """Student's quantiles, one per pair, at the tail probability for which all intervals hold at once."""
    from scipy import stats  # imported here because it takes longer than importing this whole package

    values, vectors = np.linalg.eigh(correlation)
    z = np.random.default_rng(0).standard_normal((DRAWS, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    greatest = max(np.quantile(np.abs(z).max(axis=1), confidence), stats.norm.ppf((1 + confidence) / 2))
    return np.asarray(stats.t.isf(stats.norm.sf(greatest), freedom))
