"""The verdict on losses that answer one question: who is best, who does as well, who is worse, and of whom the data cannot tell.

The differences and their intervals are those of `matchloss.scoring.ranking`, which says how sure they are. The best is the least mean
score among those that nobody beats, if it beats the best constant. Each other one is put in the first that holds of

- worse: the interval of the pair that beats it excludes 0;
- as good: the interval of its difference from the best lies within 5 % of what the best gains over the constant;
- undecided: the data cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from matchloss.scoring.ranking import Difference, rank

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Shares = tuple[float, float, float]  # difference, low and high, as shares of the best's score

CLOSE = 0.05  # of the best's gain over the constant: smaller differences matter little
ROUNDING = 1e-4  # of that gain: smaller ones are what solvers and their ridge leave


@dataclass(frozen=True)
class Verdict:
    """What the data say about the losses that answer one question.

    functional: "mean", "median", "quantile", "expectile" or "label"; level: of a quantile or expectile; score: what decides.
    undecided and worse: difference, low and high, as shares of the best's score, the interval holding for all pairs at once.
    """

    functional: str
    level: float | None
    score: str
    best: str | None  # None where no loss beats the best constant, or none is ranked
    as_good: tuple[str, ...]
    undecided: Mapping[str, Shares]
    worse: Mapping[str, Shares]
    not_ranked: Mapping[str, str]  # with the reason
    sentence: str


@dataclass(frozen=True)
class Standing:
    """What the differences between scores say, before it is put in words. Differences are those from the best, or from `by`."""

    means: Mapping[str, float]  # of those ranked
    constant: float  # the mean score of the best constant
    best: str | None
    from_constant: Mapping[str, Difference]  # each score less the constant's
    as_good: Mapping[str, Difference] = field(default_factory=dict)
    undecided: Mapping[str, Difference] = field(default_factory=dict)
    worse: Mapping[str, Difference] = field(default_factory=dict)
    by: Mapping[str, str] = field(default_factory=dict)  # for each that is worse, the one that beats it

    @property
    def gain(self) -> float:
        """By how much the best's score is lower than the constant's."""
        return self.constant - self.means[self.best] if self.best is not None else 0.0

    @property
    def alone(self) -> bool:
        """Whether the best beats all others."""
        return self.best is not None and not self.as_good and not self.undecided

    def hardly(self, name: str) -> bool:
        """Whether a loss is worse by so little that it does not matter."""
        return within(self.worse[name], CLOSE * self.gain)

    def shares(self, difference: Difference) -> Shares:
        """A difference and its interval as shares of the best's score."""
        unit = self.means[self.best] if self.best is not None else self.constant
        with np.errstate(all="ignore"):
            return tuple(float(np.divide(x, abs(unit))) for x in (difference.difference, difference.low, difference.high))  # pyright: ignore[reportReturnType]


def within(difference: Difference, bound: float) -> bool:
    """Whether the interval of a difference lies between -bound and bound."""
    return -bound <= difference.low and difference.high <= bound


def decide(
    names: Sequence[str],
    scores: Floats,
    constant: Floats,
    folds: Codes | None = None,
    *,
    weight: Floats | None = None,
    groups: Codes | None = None,
    series: bool = False,
) -> Standing:
    """How k losses stand, from scores (repeats, rows, k) and those of the best constant (repeats, rows), all lower is better.

    Losses with an infinite score are left out. The other arguments are those of `matchloss.scoring.ranking.rank`.

    >>> r = np.random.default_rng(0)
    >>> y, noise = r.normal(size=500), r.normal(size=500)
    >>> scores = np.stack([(0.5 * noise) ** 2, noise**2], axis=-1)[None]
    >>> decide(["near", "far"], scores, (y**2)[None]).best
    'near'
    """
    ranking = rank(scores, folds, weight=weight, groups=groups, series=series)
    beside = rank(np.concatenate([scores, constant[..., None]], axis=-1), folds, weight=weight, groups=groups, series=series)
    last = len(names)
    means = {names[j]: float(ranking.means[j]) for j in ranking.ranked}
    from_constant = {names[j]: beside.pairs[j, last] for j in ranking.ranked if (j, last) in beside.pairs}
    best = next((j for j in ranking.unbeaten if names[j] in from_constant and from_constant[names[j]].high < 0), None)
    if best is None:
        return Standing(means, float(beside.means[last]), None, from_constant)
    gain = float(beside.means[last]) - means[names[best]]
    as_good: dict[str, Difference] = {}
    undecided: dict[str, Difference] = {}
    worse: dict[str, Difference] = {}
    by: dict[str, str] = {}
    for j in sorted(ranking.ranked, key=lambda j: ranking.means[j]):
        if j == best:
            continue
        pair, name = ranking.pairs[j, best], names[j]
        if within(pair, ROUNDING * gain):
            as_good[name] = pair
        elif j in ranking.beaten_by:
            winner = best if pair.low > 0 else ranking.beaten_by[j]
            worse[name], by[name] = ranking.pairs[j, winner], names[winner]
        elif within(pair, CLOSE * gain):
            as_good[name] = pair
        else:
            undecided[name] = pair
    return Standing(means, float(beside.means[last]), names[best], from_constant, as_good, undecided, worse, by)
