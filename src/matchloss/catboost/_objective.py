"""Objectives and metrics as CatBoost calls them: it climbs, so that gradient and curvature change their signs."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.curvature import EXACT, Curvature, Given, curvature_to_call
from matchloss.boosting.losses import loss_of
from matchloss.boosting.objective import Objective
from matchloss.losses import Loss, SimplexLoss

Array = NDArray[Any]


class _Kept:
    """CatBoost copies what it is given and tries to compile its methods; neither is of use here."""

    no_jit = True

    def __deepcopy__(self, memo: Any) -> Self:
        return self


class CatObjective(_Kept):
    """CatBoost's objective of one raw prediction a row: `calc_ders_range` of blocks of rows.

    start: what is added to CatBoost's raw predictions, which begin at 0. errors: what a call raised; CatBoost passes on its text.
    """

    def __init__(self, loss: Loss, curvature: Curvature, start: float = 0.0, targets: Array | None = None) -> None:
        self.objective, self.start = Objective(loss, curvature, targets), start
        self.errors: list[Exception] = []

    def __repr__(self) -> str:
        return f"objective({self.objective.loss!r}, curvature={str(self.objective.curvature)!r})"

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> Array:
        """Minus gradient and curvature of each row, times its weight: (n, 2)."""
        try:
            raw = np.asarray(approxes, np.float64) + self.start
            weight = None if weights is None else np.asarray(weights, np.float64)
            return np.negative(self.objective.block(raw, np.asarray(targets, np.float64), weight)).T
        except Exception as error:
            self.errors.append(error)
            raise


class CatClassObjective(_Kept):
    """CatBoost's objective of K raw predictions a row: `calc_ders_multi`, which it calls for each row.

    With the exact curvature it gets the row's whole hessian, otherwise its diagonal.
    """

    def __init__(self, loss: SimplexLoss, curvature: Curvature, start: Array | None = None, targets: Array | None = None) -> None:
        self.objective, self.start = Objective(loss, curvature, targets), start
        self.errors: list[Exception] = []

    def __repr__(self) -> str:
        return f"objective({self.objective.loss!r}, curvature={str(self.objective.curvature)!r})"

    def calc_ders_multi(self, approxes: Any, target: Any, weight: Any) -> tuple[Array, Array]:
        """Minus the row's gradient (K,) and curvature (K, K), times its weight."""
        try:
            raw = np.asarray(approxes, np.float64)[None]
            raw = raw if self.start is None else raw + self.start
            classes, label = raw.shape[1], np.array([int(target)])
            w = None if weight is None else np.array([weight], np.float64)
            gradient, hessian = np.empty_like(raw), np.empty_like(raw)
            self.objective.slopes(raw, label, w, gradient, hessian)
            whole = np.diag(hessian[0])
            if self.objective.curvature.name == EXACT.name:
                loss, factor = self.objective.loss, self.objective.curvature.factor * (1.0 if w is None else w[0])
                assert isinstance(loss, SimplexLoss)
                whole = factor * loss.hessian_product(np.tile(raw, (classes, 1)), np.tile(label, classes), np.eye(classes))
            return -gradient[0], -whole
        except Exception as error:
            self.errors.append(error)
            raise


class CatMetric(_Kept):
    """The loss's weighted mean as CatBoost's metric, of raw predictions."""

    def __init__(self, loss: Loss, start: Any = 0.0) -> None:
        self.loss, self.start = loss, start

    def __repr__(self) -> str:
        return f"metric({self.loss!r})"

    def is_max_optimal(self) -> bool:
        """Less is better."""
        return False

    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        """The sum of the rows' losses times their weights, and the sum of their weights."""
        simplex = isinstance(self.loss, SimplexLoss)
        raw = (
            np.stack([np.asarray(column) for column in approxes], axis=-1) + self.start if simplex else np.asarray(approxes[0]) + self.start
        )
        y = np.asarray(target)
        value = self.loss.evaluate(raw, y.astype(np.int64) if simplex else y, weight, gradient=False).value
        return float(value.sum(dtype=np.float64)), float(len(y) if weight is None else np.sum(weight))

    def get_final_error(self, error: float, weight: float) -> float:
        """Their ratio."""
        return error / (weight + 1e-38)


def objective(loss: str | Loss, curvature: Given = None) -> CatObjective | CatClassObjective:
    """An objective for people who call CatBoost themselves: its `loss_function`, beside `eval_metric=metric(loss)`, which it asks for.

    It starts where you let it start: give a `baseline` too. The estimators do that, and know CatBoost's own leaf settings.
    Raises DomainError for a loss without curvature, which CatBoost's own objective must train.

    >>> import matchloss.catboost as mc
    >>> mc.objective("poisson"), mc.objective("huber", curvature="unit")
    (objective(Poisson(), curvature='exact'), objective(Huber(delta=1.0), curvature='unit'))
    """
    found = loss_of(loss)
    chosen = curvature_to_call(found, {}, curvature, "CatBoost")
    return CatClassObjective(found, chosen) if isinstance(found, SimplexLoss) else CatObjective(found, chosen)


def metric(loss: str | Loss) -> CatMetric:
    """The loss's weighted mean as a metric of raw predictions: CatBoost's `eval_metric`.

    >>> import numpy as np
    >>> import matchloss.catboost as mc
    >>> mc.metric("squared_error").evaluate([np.array([2.0, 4.0])], np.array([1.0, 2.0]), None)
    (2.5, 2.0)
    """
    return CatMetric(loss_of(loss))
