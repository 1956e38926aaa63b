"""What a judgement is made of, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from matchloss.judging.rows import CONSTANT, Rows
from matchloss.scoring import Decomposition, Difference, ForecastComparison


@dataclass(frozen=True)
class Coverage:
    """How often an observation was at most the forecast quantile, or within the interval; share is what was seen and wanted what was asked.

    low and high: where 95 % of calibrated forecasts of as many independent rows would have it. width: of intervals, the mean.
    """

    share: float
    wanted: float
    low: float
    high: float
    width: float | None = None

    @property
    def as_wanted(self) -> bool:
        """Whether a calibrated forecast could show this share."""
        return self.low - 1e-12 <= self.share <= self.high + 1e-12  # the share may be a sum of weights


@dataclass(frozen=True, eq=False)
class Judgement:
    """Forecasts judged on the same rows; the best constant stands among them as "constant".

    comparisons: for each consistent score by its name, the mean scores and their paired differences; the first score decides. parts: of
    the deciding score, for each forecast, by what they are the parts of ("" or a class, or an end of the interval). not_defined: scores
    that leave out a value of some forecast, with the reason. rows: what was judged; constant: the best constant as a forecast of each row.
    """

    source: str
    elicits: str
    comparisons: Mapping[str, ForecastComparison]
    parts: Mapping[str, Mapping[str, Decomposition]]
    coverage: Mapping[str, Coverage]
    not_defined: Mapping[str, str]
    messages: tuple[str, ...]
    rows: Rows
    constant: NDArray[Any]

    @property
    def decides(self) -> ForecastComparison:
        """The comparison by the score that decides."""
        return next(iter(self.comparisons.values()))

    @property
    def forecasts(self) -> tuple[str, ...]:
        """The forecasts' names, without the constant."""
        return tuple(self.rows.forecasts)

    @property
    def sentences(self) -> list[str]:
        """The verdict: by the score that decides, and where another consistent score says otherwise."""
        first = self.decides
        said = [first.sentence]
        for other in list(self.comparisons.values())[1:]:
            if other.best != first.best and other.best is not None and first.best is not None:
                beaten = first.best in other.beaten_by
                how = f"beats {first.best}" if beaten else f"is ahead of {first.best}, but not beyond chance"
                said.append(f"By {other.title}, {other.best} {how}.")
        if self.rows.forecasts and all(name in first.beaten_by for name in self.forecasts) and CONSTANT in first.unbeaten:
            said.append("The best constant beats every forecast.")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Everything but the rows themselves, for JSON; None where there is no finite number."""
        return {
            "target": self.rows.target,
            "source": self.source,
            "kind": self.rows.kind,
            "elicits": self.elicits,
            "level": _plain(self.rows.level),
            "classes": list(self.rows.classes),
            "rows": len(self.rows.obs),
            "sentences": self.sentences,
            "messages": list(self.messages),
            "not_defined": dict(self.not_defined),
            "scores": {name: _comparison(found) for name, found in self.comparisons.items()},
            "parts": {
                name: {of: {part: _plain(x) for part, x in parts._asdict().items()} | _bounds(parts) for of, parts in by.items()}
                for name, by in self.parts.items()
            },
            "coverage": {
                name: {"share": c.share, "wanted": c.wanted, "low": c.low, "high": c.high, "width": c.width}
                for name, c in self.coverage.items()
            },
        }


def _comparison(found: ForecastComparison) -> dict[str, Any]:
    return {
        "means": {name: _plain(x) for name, x in found.means.items()},
        "infinite_rows": dict(found.not_ranked),
        "best": found.best,
        "unbeaten": list(found.unbeaten),
        "beaten_by": dict(found.beaten_by),
        "confidence": found.confidence,
        "differences": [{"forecast": a, "minus": b} | _difference(gap) for (a, b), gap in found.differences.items()],
    }


def _difference(gap: Difference) -> dict[str, Any]:
    return {"difference": _plain(gap.difference), "low": _plain(gap.low), "high": _plain(gap.high), "carrying": _plain(gap.carrying)}


def _bounds(parts: Decomposition) -> dict[str, Any]:
    if parts.intervals is None:
        return {}
    return {"intervals": {part: [_plain(x) for x in bounds] for part, bounds in parts.intervals._asdict().items()}}


def _plain(x: Any) -> float | None:
    return float(x) if x is not None and math.isfinite(float(x)) else None
