"""compare_forecasts: which of several fixed forecasts are unbeaten, and how certain that is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from matchloss.engine.arrays import as_weight
from matchloss.errors import DomainError, ShapeError
from matchloss.scoring._catalogue import ProperScore, get_score
from matchloss.scoring._frames import frame
from matchloss.scoring._given import checked_level
from matchloss.scoring.ranking import Difference, Ranking, rank

FEW, APPROXIMATE = 10, 30  # with fewer rows carrying a difference: rely on these few rows; the interval is approximate


@dataclass(frozen=True)
class ForecastComparison:
    """k forecasts by one score: .best, .unbeaten (best first), .differences, .frame(), .sentence.

    means: each forecast's mean score by name, lower is better. differences[a, b]: the mean of a minus that of b, with a simultaneous
    interval. not_ranked: forecasts with an infinite score, and the number of such rows.
    """

    score: str
    rows: int
    confidence: float
    means: dict[str, float]
    unbeaten: tuple[str, ...]
    beaten_by: dict[str, str]
    differences: dict[tuple[str, str], Difference]
    not_ranked: dict[str, int]

    @property
    def best(self) -> str | None:
        """The unbeaten forecast with the least mean score; None if no forecast has a finite score."""
        return self.unbeaten[0] if self.unbeaten else None

    def frame(self) -> Any:
        """One row per forecast, the best first: its mean score, its difference from the best with the interval, and who beats it.

        A Polars, pandas or Arrow table, the first of these that is installed; ImportError if none is.
        """
        ranked = [*self.unbeaten, *sorted(self.beaten_by, key=self.means.__getitem__), *self.not_ranked]
        none = Difference(np.nan, np.nan, np.nan, np.nan)
        zero = Difference(0.0, 0.0, 0.0, np.nan)
        gaps = [zero if name == self.best else self.differences.get((name, str(self.best)), none) for name in ranked]
        table = {
            "forecast": ranked,
            "score": [self.means[name] for name in ranked],
            "difference": [gap.difference for gap in gaps],
            "low": [gap.low for gap in gaps],
            "high": [gap.high for gap in gaps],
            "unbeaten": [name in self.unbeaten for name in ranked],
        }
        return frame(table)

    @property
    def title(self) -> str:
        """The score's name in a sentence."""
        return get_score(self.score).title

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        if self.best is None:
            return f"No forecast has a finite {self.title}."
        said = [f"By {self.title}, {self.best} is best ({self.means[self.best]:.4g})."]
        others = [f"{name}, {_gap(self.differences[name, self.best])}" for name in self.unbeaten[1:]]
        if others:
            said.append(f"The data cannot tell it from {' and '.join(others)}.")
        for name in sorted(self.beaten_by, key=self.means.__getitem__):
            by = self.best if self.differences[name, self.best].decided else self.beaten_by[name]
            said.append(f"{name} is worse{'' if by == self.best else f' than {by}'} by {_gap(self.differences[name, by])}.")
        if self.differences:
            level = f"{self.confidence:.0%}".replace("%", " %")
            said.append(f"In brackets: {level} intervals, which hold for all pairs at once.")
        said += [
            f"{name} is not ranked: its score is infinite in {rows:,} row{'' if rows == 1 else 's'}."
            for name, rows in self.not_ranked.items()
        ]
        fewest = min((d.carrying for d in self.differences.values()), default=np.inf)
        if fewest < FEW:
            said.append(f"{max(1, round(fewest))} rows decide this.")
        elif fewest < APPROXIMATE:
            said.append("The intervals are approximate: few rows carry the differences.")
        return " ".join(said)


def compare_forecasts(
    score: str | ProperScore,
    obs: ArrayLike,
    forecasts: Mapping[str, ArrayLike],
    groups: ArrayLike | None = None,
    order: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    level: float | None = None,
    confidence: float = 0.95,
) -> ForecastComparison:
    """Paired differences of the mean scores of k forecasts on the same rows, with intervals that hold for all pairs at once.

    score: a name of the catalogue; obs and each forecast: n rows, as that score takes them. groups (n,): rows of one group, such as a
    patient or a day, are dependent, so the variance is that between groups. order (n,): the time of each row of a series, whose differences
    are alike at neighbouring times (the test of Diebold & Mariano 1995, its long-run variance and degrees of freedom by cosines: Lazarus et
    al. 2018); rows of the same time count as one. level: of a quantile or expectile.

    A forecast with an infinite score is not ranked. ShapeError if lengths differ or there are fewer than two independent rows or groups;
    DomainError as for the score.

    >>> import numpy as np
    >>> from matchloss.scoring import compare_forecasts
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=500)
    >>> seen = truth + rng.normal(size=500)
    >>> result = compare_forecasts("squared_error", seen, {"truth": truth, "nothing": np.zeros(500)})
    >>> result.best, result.beaten_by
    ('truth', {'nothing': 'truth'})
    """
    rule = get_score(score)
    if rule.level is not None:
        checked_level(level, rule.name)
    if not forecasts:
        raise ShapeError("there is no forecast to compare")
    if groups is not None and order is not None:
        raise DomainError("give either groups or order: rows of one time already count as one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the result reports infinite scores
        rows = {name: np.atleast_1d(np.asarray(rule.rows(obs, fct, level), np.float64)) for name, fct in forecasts.items()}
    n = next(iter(rows.values())).size
    weight = as_weight(sample_weight, (n,))
    live = np.ones(n, bool) if weight is None else weight > 0
    units = None
    if order is not None or groups is not None:
        given = np.asarray(order if order is not None else groups)
        if given.shape != (n,):
            raise ShapeError(f"{'order' if order is not None else 'groups'} has shape {given.shape}; there are {n} rows")
        units = np.unique(given[live], return_inverse=True)[1]
    varying = int(live.sum()) if units is None else int(units.max(initial=-1)) + 1
    if varying < 2:
        what = "rows" if units is None else "groups or times"
        raise ShapeError(f"{varying} {what} cannot tell how sure a difference is; it takes two or more")
    stacked = np.stack([r[live] for r in rows.values()], axis=-1)[None]
    used = None if weight is None else weight[live].astype(np.float64)
    ranking = rank(stacked, weight=used, groups=units, series=order is not None, confidence=confidence)
    return _named(rule.name, list(forecasts), stacked[0], ranking, confidence)


def _named(score: str, names: list[str], scores: Any, ranking: Ranking, confidence: float) -> ForecastComparison:
    return ForecastComparison(
        score=score,
        rows=len(scores),
        confidence=confidence,
        means={name: float(ranking.means[j]) for j, name in enumerate(names)},
        unbeaten=tuple(names[j] for j in ranking.unbeaten),
        beaten_by={names[j]: names[by] for j, by in ranking.beaten_by.items()},
        differences={(names[a], names[b]): pair for (a, b), pair in ranking.pairs.items()},
        not_ranked={name: int((~np.isfinite(scores[:, j])).sum()) for j, name in enumerate(names) if j not in ranking.ranked},
    )


def _gap(d: Difference) -> str:
    return f"{d.difference:.3g} ({d.low:.3g} to {d.high:.3g})"
