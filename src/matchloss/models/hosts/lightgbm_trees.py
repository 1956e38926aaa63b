"""LightGBM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.models.training import FEW, Forest, Grown, Rows, Training, start_loss

if TYPE_CHECKING:
    from matchloss.losses import Loss

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LightGBMForest:
    """A booster, and how many of its rounds count."""

    booster: Any
    trees: int

    def raw(self, X: Floats) -> Floats:
        """Raw predictions (n,) or (n, K)."""
        return np.asarray(self.booster.predict(X, raw_score=True, num_iteration=self.trees), np.float64)

    def write(self, path: Path) -> None:
        """LightGBM's own text."""
        self.booster.save_model(path, num_iteration=self.trees)


class LightGBM:
    """`lightgbm.train`."""

    title = "LightGBM"
    ending = "txt"

    def version(self) -> str:
        """That of the library which is installed."""
        import lightgbm

        return lightgbm.__version__

    def grow(self, training: Training) -> Grown:
        """Trees up to where the loss of the rows watched was least."""
        import lightgbm

        from matchloss.lightgbm import train

        settings, watched = training.settings, training.watched
        params = {
            "learning_rate": settings.learning_rate,
            "num_leaves": settings.leaves,
            "max_depth": settings.depth,
            "min_data_in_leaf": settings.rows,
            "min_sum_hessian_in_leaf": 0.0,  # in units of the loss: rows alone say how small a leaf may be
            "num_threads": training.threads,
            "deterministic": True,
            "force_col_wise": True,
            "seed": training.seed,
            "verbosity": -1,
        } | ({"num_class": training.classes} if training.loss.family == "simplex" else {})

        def data(rows: Rows, reference: Any = None) -> Any:
            columns: Any = list(training.categories)
            return lightgbm.Dataset(rows.X, rows.y, reference, rows.weight, categorical_feature=columns, params=params)

        learned, seen = data(training.rows), {}
        watching = {} if watched is None else {"valid_sets": [data(watched, learned)], "valid_names": ["watched"]}
        calls = [lightgbm.record_evaluation(seen)]
        calls += [] if watched is None else [lightgbm.early_stopping(settings.patience, verbose=False)]
        rounds = FEW if watched is None else settings.trees
        try:
            booster = train(params, learned, rounds, **watching, callbacks=calls, loss=training.loss)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(str(error)) from error
        if watched is None:
            return Grown(LightGBMForest(booster, booster.current_iteration()), ())
        losses = next(iter(seen["watched"].values()))
        return Grown(LightGBMForest(booster, 1 + int(np.argmin(losses))), (start_loss(training), *losses))

    def read(self, path: Path, loss: Loss) -> Forest:
        """The trees in LightGBM's text; ValueError for a file that holds none."""
        import lightgbm

        try:
            booster = lightgbm.Booster(model_file=path)
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(str(error)) from error
        return LightGBMForest(booster, booster.current_iteration())


HOST = LightGBM()
