"""A model of boosted trees as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.model import Reading
from matchloss.models.columns import features_of

if TYPE_CHECKING:
    from matchloss.linear.plan import Design
    from matchloss.losses import Loss, TargetKind
    from matchloss.models.training import Forest

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TreeModel:
    """raw = the sum of the leaves that a row falls into, over all trees; the prediction is loss.predict(raw)."""

    host: str  # "trees", "lightgbm", "xgboost", "catboost": the library that grew the trees
    forest: Forest
    loss: Loss
    design: Design  # the columns, in the order in which the trees take them
    target: str
    kind: TargetKind
    classes: tuple[str, ...] = ()  # names of the labels; with a single raw prediction per row, a positive one means the second class
    about: Mapping[str, Any] = field(default_factory=dict)  # how it was made: strings, finite numbers, None, and groups of these
    readings: Mapping[str, Reading] = field(default_factory=dict)  # of the columns that do not enter as they are written

    def raw(self, frame: Any) -> tuple[Floats, dict[str, int]]:
        """Raw predictions (n,) or (n, K) for any data frame's rows, and for each column the number of rows with an unknown level."""
        X, unseen = features_of(self.design, frame)
        return self.forest.raw(X if self.design.columns else np.zeros((len(X), 1))), unseen

    def predict(self, frame: Any) -> tuple[Floats, dict[str, int]]:
        """Predictions (n,) in the target's units or probabilities (n, K), and for each column the number of rows with an unknown level.

        A model of two classes with a single raw prediction per row gives the probability of the second class.
        """
        raw, unseen = self.raw(frame)
        return np.asarray(self.loss.predict(raw)), unseen
