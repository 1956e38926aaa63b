"""CatBoost."""

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
RAW = "RawFormulaVal"


@dataclass(frozen=True, eq=False)
class CatBoostForest:
    """A model of CatBoost's."""

    model: Any

    @property
    def trees(self) -> int:
        """How many rounds there are."""
        return int(self.model.tree_count_)

    def raw(self, X: Floats) -> Floats:
        """Raw predictions (n,) or (n, K)."""
        import catboost

        rows = _frame(X, tuple(self.model.get_cat_feature_indices()))
        return np.asarray(catboost.CatBoost.predict(self.model, rows, RAW, thread_count=threads.count()), np.float64)

    def write(self, path: Path) -> None:
        """CatBoost's own file."""
        self.model.save_model(str(path), format="cbm")


class CatBoost:
    """CatBoostRegressor and CatBoostClassifier, with trees that grow leaf by leaf as those of the others do."""

    title = "CatBoost"
    ending = "cbm"

    def version(self) -> str:
        """That of the library which is installed."""
        import catboost

        return catboost.__version__

    def grow(self, training: Training) -> Grown:
        """Trees up to where the loss of the rows watched was least."""
        import catboost

        from matchloss.catboost import CatBoostClassifier, CatBoostRegressor

        settings, watched, loss = training.settings, training.watched, training.loss
        if loss.family == "simplex" and loss.name != "cross_entropy":
            raise ValueError(
                "it takes a loss of K raw predictions row by row, which is too slow, but for cross_entropy, which it has itself"
            )
        model: Any = (CatBoostClassifier if training.classes else CatBoostRegressor)(
            loss=loss,
            iterations=FEW if watched is None else settings.trees,
            learning_rate=settings.learning_rate,
            grow_policy="Lossguide",
            max_leaves=settings.leaves,
            depth=settings.depth,
            min_data_in_leaf=settings.rows,
            thread_count=threads.count(),
            random_seed=training.seed,
            verbose=False,
            allow_writing_files=False,
        )

        def pool(rows: Rows) -> Any:
            return catboost.Pool(_frame(rows.X, training.categories), rows.y, weight=rows.weight, cat_features=list(training.categories))

        watching = (
            {} if watched is None else {"eval_set": pool(watched), "early_stopping_rounds": settings.patience, "use_best_model": True}
        )
        try:
            model.fit(pool(training.rows), **watching)
        except catboost.CatBoostError as error:
            raise ValueError(str(error)) from error
        if watched is None:
            return Grown(CatBoostForest(model), ())
        losses = next(iter(model.get_evals_result()["validation"].values()))
        return Grown(CatBoostForest(model), (start_loss(training), *losses))

    def read(self, path: Path, loss: Loss) -> Forest:
        """The trees in CatBoost's file; ValueError for a file that holds none."""
        import catboost

        model = catboost.CatBoost()
        try:
            model.load_model(str(path))
        except catboost.CatBoostError as error:
            raise ValueError(str(error)) from error
        return CatBoostForest(model)


HOST = CatBoost()


def _frame(X: Floats, categories: tuple[int, ...]) -> Any:
    """The columns as CatBoost takes them: levels as whole numbers, -1 for a missing one."""
    import pandas as pd  # which CatBoost brings

    columns = {j: np.where(np.isnan(X[:, j]), -1, X[:, j]).astype(np.int64) if j in categories else X[:, j] for j in range(X.shape[1])}
    return pd.DataFrame(columns)
