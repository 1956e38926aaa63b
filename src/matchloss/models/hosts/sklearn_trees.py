"""scikit-learn's histogram gradient boosting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from matchloss.models.training import FEW, Forest, Grown, Training, threads_for

if TYPE_CHECKING:
    from matchloss.losses import Loss

Floats = NDArray[np.float64]
MOST_LEVELS = 255  # that scikit-learn takes in a column of categories; one with more enters as numbers, in their order


@dataclass(frozen=True, eq=False)
class SklearnForest:
    """A fitted estimator."""

    estimator: Any
    trees: int  # rounds

    def raw(self, X: Floats) -> Floats:
        """Raw predictions (n,) or (n, K)."""
        with threadpool_limits(threads_for(X), "openmp"):
            made = np.asarray(self.estimator._raw_predict(X), np.float64)
        return made[:, 0] if made.shape[1] == 1 else np.ascontiguousarray(made)

    def write(self, path: Path) -> None:
        """The trees as JSON of plain arrays."""
        self.estimator.save(path)


class Sklearn:
    """HistGradientBoostingRegressor and HistGradientBoostingClassifier."""

    title = "scikit-learn"
    ending = "trees.json"

    def version(self) -> str:
        """That of the library which is installed."""
        import sklearn

        return sklearn.__version__

    def grow(self, training: Training) -> Grown:
        """Trees, cut back to where the loss of the rows watched was least."""
        from matchloss.sklearn import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        settings, watched = training.settings, training.watched
        levels = [j for j, size in zip(training.categories, training.sizes, strict=True) if size <= MOST_LEVELS]
        estimator: Any = (HistGradientBoostingClassifier if training.classes else HistGradientBoostingRegressor)(
            loss=training.loss,
            max_iter=FEW if watched is None else settings.trees,
            learning_rate=settings.learning_rate,
            max_leaf_nodes=settings.leaves,
            max_depth=settings.depth,
            min_samples_leaf=settings.rows,
            categorical_features=levels or None,
            early_stopping=watched is not None,
            n_iter_no_change=settings.patience,
            random_state=training.seed,
        )
        aside = {} if watched is None else {"X_val": watched.X, "y_val": watched.y, "sample_weight_val": watched.weight}
        rows = training.rows
        with threadpool_limits(training.threads, "openmp"):
            estimator.fit(rows.X, rows.y, rows.weight, **aside)
        losses = () if watched is None else tuple(float(-score) for score in estimator.validation_score_)
        trees = int(np.argmin(losses)) if losses else int(estimator.n_iter_)
        _keep(estimator, trees)
        return Grown(SklearnForest(estimator, trees), losses)

    def read(self, path: Path, loss: Loss) -> Forest:
        """The trees in a file of ours; ValueError for one that holds none."""
        from matchloss.losses import CATALOGUE
        from matchloss.sklearn import load

        estimator = load(path, None if CATALOGUE.get(loss.name) is type(loss) else type(loss))
        return SklearnForest(estimator, int(estimator.n_iter_))


def _keep(estimator: Any, trees: int) -> None:
    """Keeps the first rounds; of none a single one whose leaves add nothing."""
    del estimator._predictors[max(trees, 1) :]
    if not trees:
        for tree in estimator._predictors[0]:
            tree.nodes["value"] = 0.0


HOST = Sklearn()
