"""The sets that targets, raw predictions and parameters live in, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

TargetKind = Literal["number", "count", "binary", "multiclass"]  # what a target column of a table holds
Usual = Literal["number", "positive", "share", "count", "binary", "multiclass", "argument"]  # what a loss may be usual for: numbers above 0
# and shares from 0 to 1 are numbers of their own kind, and "argument" are the losses that the argument sets beside squared error
StandIn = str | tuple[str, float] | None  # what a Newton step divides by where the hessian is 0: "majorizer", or "unit" (that is 1), and
# a factor; "none" if no number suits, because the loss is straight between kinks and its targets have any unit


@dataclass(frozen=True)
class Interval:
    """An interval of the real line; infinite ends are never members.

    >>> from matchloss.losses import Interval
    >>> print(Interval(0, float("inf"), closed="left"), 0.0 in Interval(0, float("inf"), closed="left"))
    [0, inf) True
    """

    low: float
    high: float
    closed: Literal["both", "left", "right", "neither"] = "neither"

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest float64 in the interval."""
        low = self.low if self.closed in ("both", "left") and math.isfinite(self.low) else math.nextafter(self.low, math.inf)
        high = self.high if self.closed in ("both", "right") and math.isfinite(self.high) else math.nextafter(self.high, -math.inf)
        return low, high

    def __contains__(self, x: float) -> bool:
        low, high = self.bounds
        return low <= x <= high

    def __str__(self) -> str:
        left = "[" if self.closed in ("both", "left") and math.isfinite(self.low) else "("
        right = "]" if self.closed in ("both", "right") and math.isfinite(self.high) else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


@dataclass(frozen=True)
class Simplex:
    """Labels 0..K-1, or distributions over them: K entries >= 0 that sum to 1."""

    def __str__(self) -> str:
        return "labels 0..K-1 or distributions"


REAL = Interval(-math.inf, math.inf)
POSITIVE = Interval(0, math.inf)
NON_NEGATIVE = Interval(0, math.inf, closed="left")
UNIT = Interval(0, 1, closed="both")
