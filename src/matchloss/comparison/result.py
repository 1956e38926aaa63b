"""What a comparison found: plain data, for tables, pages and tests alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matchloss.tables.scores import Score

if TYPE_CHECKING:
    from matchloss.losses import Loss, TargetKind

__all__ = ["Comparison", "Fit", "Score"]


@dataclass(frozen=True)
class Fit:
    """One candidate loss, fitted: the same linear model by the same trainer as its rivals."""

    loss: Loss
    note: str  # how a parameter was chosen, "" if there was none to choose
    passes: int  # evaluations of loss and gradient over the training rows
    seconds: float
    converged: bool
    objective: float  # mean training loss reached, in the loss's own units
    scores: dict[
        str, Score
    ]  # by score name, in the order of Comparison.score_names; none that asks for probabilities where a sign is predicted


@dataclass(frozen=True)
class Comparison:
    """Every candidate on one table."""

    source: str  # where the data came from, as a person would say it
    target: str
    kind: TargetKind
    classes: tuple[str, ...]  # empty for numbers
    frequencies: tuple[float, ...]  # of the classes in the training rows; empty for numbers
    target_range: tuple[float, float]  # 5th and 95th percentile of a numeric training target; (0, 1) for labels
    rows_train: int
    rows_test: int
    features: int  # columns of the design matrix, the intercept apart
    messages: tuple[str, ...]  # everything that was decided on the person's behalf, a sentence each
    score_names: tuple[str, ...]
    fits: tuple[Fit, ...]

    def best(self, score: str) -> set[str]:
        """Names of the losses with the least score among those that elicit the same functional; a loss without a rival is left out.

        Infinite scores are not ranked.
        """
        rivals: dict[str, dict[str, float]] = {}
        for fit in self.fits:
            if score in fit.scores and fit.loss.functional != "none":
                rivals.setdefault(fit.loss.functional, {})[fit.loss.name] = fit.scores[score].value
        winners: set[str] = set()
        for group in rivals.values():
            least = min(group.values())
            if len(group) > 1 and math.isfinite(least):
                winners |= {name for name, value in group.items() if value == least}
        return winners
