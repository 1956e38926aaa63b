"""XGBoost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.models.training import FEW, Forest, Grown, Rows, Training, start_loss

if TYPE_CHECKING:
    from matchloss.losses import Loss

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class XGBoostForest:
    """A booster."""

    booster: Any

    @property
    def trees(self) -> int:
        """How many rounds there are."""
        return int(self.booster.num_boosted_rounds())

    def raw(self, X: Floats) -> Floats:
        """Raw predictions (n,) or (n, K)."""
        rows = _matrix(Rows(X, np.zeros(0), None), self.booster.feature_types)
        return np.asarray(self.booster.predict(rows, output_margin=True), np.float64)

    def write(self, path: Path) -> None:
        """XGBoost's own file."""
        self.booster.save_model(path)


class XGBoost:
    """`xgboost.train`.

    XGBoost measures leaves by their curvature, in units of the loss: 20 would be 20 rows under squared error, and some thousands under
    Brier's score of a rare label. So weights are multiplied by a number that makes the mean curvature of the start 1.
    """

    title = "XGBoost"
    ending = "ubj"

    def version(self) -> str:
        """That of the library which is installed."""
        import xgboost

        return xgboost.__version__

    def grow(self, training: Training) -> Grown:
        """Trees up to where the loss of the rows watched was least."""
        from matchloss.xgboost import train

        settings, watched = training.settings, training.watched
        params = {
            "learning_rate": settings.learning_rate,
            "grow_policy": "lossguide",
            "max_leaves": settings.leaves,
            "max_depth": settings.depth,
            "min_child_weight": float(settings.rows),
            "tree_method": "hist",
            "nthread": training.threads,
            "seed": training.seed,
            "verbosity": 0,
        } | ({"num_class": training.classes} if training.loss.family == "simplex" else {})
        kinds = ["c" if j in training.categories else "q" for j in range(training.rows.X.shape[1])]
        learned = _matrix(_scaled(training.rows, training.loss, training.classes), kinds)
        if watched is None:
            return Grown(XGBoostForest(train(params, learned, FEW, loss=training.loss, verbose_eval=False)), ())
        seen: dict[str, dict[str, list[float]]] = {}
        booster = train(
            params,
            learned,
            settings.trees,
            loss=training.loss,
            evals=[(_matrix(watched, kinds), "watched")],
            early_stopping_rounds=settings.patience,
            evals_result=seen,
            verbose_eval=False,
        )
        losses = next(iter(seen["watched"].values()))
        return Grown(XGBoostForest(booster[: 1 + int(np.argmin(losses))]), (start_loss(training), *losses))

    def read(self, path: Path, loss: Loss) -> Forest:
        """The trees in XGBoost's file; ValueError for a file that holds none."""
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(path)  # XGBoost's error is a ValueError
        return XGBoostForest(booster)


HOST = XGBoost()


def _matrix(rows: Rows, kinds: Any) -> Any:
    import xgboost

    given = {"label": rows.y, "weight": rows.weight} if len(rows.y) else {}
    return xgboost.DMatrix(rows.X, **given, feature_types=kinds, enable_categorical=True, nthread=threads.count())


def _scaled(rows: Rows, loss: Loss, classes: int) -> Rows:
    """The rows with weights that make the mean curvature of the start 1, where it is above 0."""
    start: Any = loss.best_constant(rows.y, rows.weight, **({"n_classes": classes} if loss.family == "simplex" else {}))
    raw = np.tile(np.asarray(start, np.float64), (len(rows.y), 1)) if loss.family == "simplex" else np.full(len(rows.y), float(start))
    if not np.isfinite(raw).all():
        return rows
    curvature = np.asarray(loss.hessian(raw, rows.y if loss.family == "simplex" else rows.y.astype(np.float64)))
    mean = float(np.average(curvature.reshape(len(rows.y), -1).mean(axis=1), weights=rows.weight))
    if not (np.isfinite(mean) and mean > 0):
        return rows
    return Rows(rows.X, rows.y, (np.ones(len(rows.y)) if rows.weight is None else rows.weight) / mean)
