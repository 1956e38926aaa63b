"""What each loss is asked: the functional that its expected value is least at. Only answers to the same question are ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.losses.regression import Expectile, Pinball
from matchloss.tables.scores import consistent

if TYPE_CHECKING:
    from matchloss.losses import Loss
    from matchloss.tables.scores import Judge
    from matchloss.tables.target import Target

Floats = NDArray[np.float64]
ORDER = ("label", "mean", "median", "quantile", "expectile")


@dataclass(frozen=True, order=True)
class Question:
    """A functional of the target's law, and its level if it has one."""

    place: int  # in ORDER, so that questions sort
    level: float  # 0 where the functional has none
    functional: str

    def judges(self, target: Target) -> tuple[Judge, ...]:
        """The scores that are consistent for the answer and that the target allows, the one that decides first."""
        return consistent(self.functional, target, self.level)

    def constant(self, target: NDArray[np.generic], weight: Floats | None, classes: int) -> Floats:
        """The best constant answer for these rows: a number (1,), or the shares of more than two classes (1, K)."""
        if classes > 2:
            count = np.bincount(target.astype(np.intp), weight, classes)
            return (count / count.sum())[None, :]
        values = np.asarray(target, np.float64)
        asked = {"median": Pinball, "quantile": Pinball, "expectile": Expectile}.get(self.functional)
        best = np.average(values, weights=weight) if asked is None else asked(self.level).best_constant(values, weight)
        return np.array([best])


def question(functional: str, level: float = 0.0) -> Question:
    """The question about this functional, with its level: of a median 0.5."""
    return Question(ORDER.index(functional), 0.5 if functional == "median" else level, functional)


def asked_of(loss: Loss, target: Target) -> Question | str:
    """The question that a loss answers about a target, or the reason why none of those that scores can judge."""
    functional, level = str(loss.functional), loss.parameters.get("alpha", 0.0)
    if target.classes:
        if functional == "mode":
            return "it predicts a label and no probability"
        return question("label") if functional == "mean" else f"its predictions are no probabilities (it elicits the {functional})"
    if functional in ("quantile", "expectile") and level == 0.5:
        functional = {"quantile": "median", "expectile": "mean"}[functional]
    if functional in ORDER:
        return question(functional, level if functional in ("quantile", "expectile") else 0.0)
    if functional == "none":
        return "its minimum says nothing about the target"
    return f"it aims at a centre of its own (the {functional}), which is no mean"
