"""Objectives and metrics as LightGBM calls them: of a data set of its own, or of arrays as its estimators do."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.curvature import Curvature
from matchloss.boosting.objective import Objective
from matchloss.losses import Loss, SimplexLoss

Array = NDArray[Any]


def as_rows(loss: Loss, target: Any, weight: Any, positive: float = 1.0) -> tuple[Array, Array | None]:
    """Targets and weights as the loss takes them. positive: what LightGBM's scale_pos_weight multiplies rows of target 1 with."""
    y = np.asarray(target)
    if isinstance(loss, SimplexLoss):
        y = y.astype(np.int64)
    w = None if weight is None else np.asarray(weight)
    if positive != 1:
        w = np.where(y == 1, positive, 1.0) * (1.0 if w is None else w)
    return y, w


class LGBMObjective:
    """`(predictions, Dataset)`, or `(targets, predictions, weight)`, to (gradient, curvature), classes in LightGBM's own memory order."""

    def __init__(self, loss: Loss, curvature: Curvature, positive: float = 1.0) -> None:
        self.objective, self.positive = Objective(loss, curvature), positive

    def __repr__(self) -> str:
        return f"objective({self.objective.loss!r}, curvature={str(self.objective.curvature)!r})"

    def __call__(self, first: Any, second: Any, weight: Any = None) -> tuple[Array, Array]:
        """Gradient and curvature of each row, times its weight, in float32, as LightGBM keeps them."""
        if isinstance(second, lightgbm.Dataset):
            raw, target, weight = first, second.get_label(), second.get_weight()
        else:
            target, raw = first, second
        y, w = as_rows(self.objective.loss, target, weight, self.positive)
        gradient, hessian = np.empty_like(raw, np.float32), np.empty_like(raw, np.float32)  # of raw's order: class after class
        self.objective.slopes(raw, y, w, gradient, hessian)
        return gradient, hessian


class LGBMMetric:
    """`(raw predictions, Dataset)`, or `(targets, raw predictions, weight)`, to name, weighted mean, and that less is better."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.__name__ = loss.name or type(loss).__name__

    def __repr__(self) -> str:
        return f"metric({self.loss!r})"

    def __call__(self, first: Any, second: Any, weight: Any = None) -> tuple[str, float, bool]:
        """The weighted mean loss."""
        if isinstance(second, lightgbm.Dataset):
            raw, target, weight = first, second.get_label(), second.get_weight()
        else:
            target, raw = first, second
        return self.__name__, float(self.loss(raw, *as_rows(self.loss, target, weight))), False
