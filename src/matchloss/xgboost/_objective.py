"""Objectives and metrics as XGBoost calls them: of a matrix of its own, or of arrays as its estimators do."""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from xgboost import collective

from matchloss.boosting.curvature import Curvature
from matchloss.boosting.objective import Objective
from matchloss.losses import Loss, SimplexLoss

Array = NDArray[Any]


def rows_of(loss: Loss, matrix: Any, shape: tuple[int, ...], positive: float = 1.0) -> tuple[Array, Array | None]:
    """The targets of a DMatrix as the loss takes them for raw predictions of this shape, and the weights or None.

    positive: what the weights of rows with target 1 are multiplied by, XGBoost's scale_pos_weight.
    """
    target, weight = matrix.get_label(), matrix.get_weight()
    if target.size == np.prod(shape):
        target = target.reshape(shape)
    elif isinstance(loss, SimplexLoss):
        target = target.astype(np.int64)
    if positive != 1:
        weight = np.where(target == 1, np.float32(positive), np.float32(1)) * (weight if weight.size else np.float32(1))
    if not weight.size:
        return target, None
    several = len(shape) == 2 and not isinstance(loss, SimplexLoss)  # several targets a row, each with the row's weight
    return target, np.repeat(weight[:, None], shape[1], axis=1) if several else weight


class XGBObjective:
    """`(predictions, DMatrix)`, or `(targets, predictions, sample_weight=None)`, to (gradient, curvature)."""

    def __init__(self, loss: Loss, curvature: Curvature, positive: float = 1.0) -> None:
        self.objective, self.positive = Objective(loss, curvature), positive

    def __repr__(self) -> str:
        return f"objective({self.objective.loss!r}, curvature={str(self.objective.curvature)!r})"

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """Gradient and curvature of each row, times its weight, in the predictions' shape and dtype."""
        loss = self.objective.loss
        if isinstance(second, xgboost.DMatrix):
            raw = first
            target, weight = rows_of(loss, second, raw.shape, self.positive)
        else:
            target, raw, weight = np.asarray(first), np.asarray(second), sample_weight
            target = target.astype(np.int64) if isinstance(loss, SimplexLoss) and target.ndim == 1 else target
        gradient, hessian = np.empty_like(raw, order="C"), np.empty_like(raw, order="C")
        self.objective.slopes(raw, target, weight, gradient, hessian)
        return gradient, hessian


class XGBMetric:
    """`(raw predictions, DMatrix)` to the loss's name and weighted mean; `(targets, raw predictions, sample_weight=None)` to the mean."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.__name__ = loss.name or type(loss).__name__

    def __repr__(self) -> str:
        return f"metric({self.loss!r})"

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Any:
        """The weighted mean loss."""
        if isinstance(second, xgboost.DMatrix):
            target, weight = rows_of(self.loss, second, first.shape)
            value = self.loss.evaluate(first, target, weight, gradient=False).value
            sums = np.array([value.sum(dtype=np.float64), value.size if weight is None else weight.sum(dtype=np.float64)])
            if collective.is_distributed():  # XGBoost averages what workers return, however many rows each has
                sums = collective.allreduce(sums, collective.Op.SUM)
            return self.__name__, float(sums[0] / sums[1])
        target, raw = np.asarray(first), np.asarray(second)
        target = target.astype(np.int64) if isinstance(self.loss, SimplexLoss) and target.ndim == 1 else target
        return float(self.loss(raw, target, sample_weight))
