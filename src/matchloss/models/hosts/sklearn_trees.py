"""scikit-learn's histogram gradient boosting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.models.forest import ArrayForest, read_forest
from matchloss.models.training import FEW, Forest, Grown, Training

Floats = NDArray[np.float64]
MOST_LEVELS = 255  # that scikit-learn takes in a column of categories; one with more enters as numbers, in their order


@dataclass(frozen=True, eq=False)
class SklearnForest:
    """A fitted estimator."""

    estimator: Any
    classes: int

    @property
    def trees(self) -> int:
        """How many rounds there are."""
        return int(self.estimator.n_iter_)

    def raw(self, X: Floats) -> Floats:
        """Raw predictions (n,) or (n, K)."""
        made = np.asarray(self.estimator._raw_predict(X), np.float64)
        return made[:, 0] if made.shape[1] == 1 else np.ascontiguousarray(made)

    def write(self, path: Path) -> None:
        """The trees as JSON of plain arrays."""
        as_arrays(self.estimator).write(path)


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
        estimator.fit(rows.X, rows.y, rows.weight, **aside)
        losses = () if watched is None else tuple(float(-score) for score in estimator.validation_score_)
        if losses:
            del estimator._predictors[int(np.argmin(losses)) :]
        return Grown(SklearnForest(estimator, training.classes), losses)

    def read(self, path: Path) -> Forest:
        """The trees in a file of ours; ValueError for one that holds none."""
        return read_forest(path)


HOST = Sklearn()


def as_arrays(estimator: Any) -> ArrayForest:
    """The estimator's trees as plain arrays."""
    n = int(estimator.n_features_in_)
    preprocessor = estimator._preprocessor
    levels: list[Floats] = [] if preprocessor is None else preprocessor.named_transformers_["encoder"].categories_
    categories = [] if preprocessor is None else np.flatnonzero(estimator.is_categorical_).tolist()
    columns = np.array([*categories, *(j for j in range(n) if j not in categories)])  # scikit-learn puts categories first
    nodes, places, sets, roots = [], [], [], []
    before = 0
    for round_ in estimator._predictors:
        roots.append([])
        for tree in round_:
            roots[-1].append(before)
            nodes.append(tree.nodes)
            own = np.full(len(tree.nodes), -1)
            for i in np.flatnonzero(tree.nodes["is_categorical"] & ~tree.nodes["is_leaf"].astype(bool)):
                own[i] = len(sets)
                seen = levels[int(tree.nodes["feature_idx"][i])]
                sets.append(_levels_left(tree.raw_left_cat_bitsets[tree.nodes["bitset_idx"][i]], seen))
            places.append(own)
            before += len(tree.nodes)
    all_nodes = np.concatenate(nodes) if nodes else np.zeros(0, NODE)
    base = np.repeat(np.array([root for of in roots for root in of], np.int64), [len(found) for found in nodes])
    leaf = all_nodes["is_leaf"].astype(bool)
    return ArrayForest(
        start=np.asarray(estimator._baseline_prediction, np.float64).reshape(-1),
        single=estimator._baseline_prediction.size == 1,
        roots=np.array(roots, np.int64).reshape(len(roots), estimator._baseline_prediction.size),
        column=np.where(leaf, -1, columns[all_nodes["feature_idx"]] if n else -1),
        threshold=np.minimum(all_nodes["num_threshold"], np.finfo(np.float64).max),  # all that is known, where it is infinite
        place=np.concatenate(places) if places else np.zeros(0, np.int64),
        left=np.where(leaf, 0, all_nodes["left"] + base),
        right=np.where(leaf, 0, all_nodes["right"] + base),
        missing_left=all_nodes["missing_go_to_left"].astype(bool),
        value=np.asarray(all_nodes["value"], np.float64),
        levels=tuple(sets),
        known={j: tuple(int(x) for x in seen if not np.isnan(x)) for j, seen in zip(categories, levels, strict=True)},
        columns=n,
    )


NODE = [("is_leaf", "u1"), ("feature_idx", "i8"), ("num_threshold", "f8"), ("left", "i8"), ("right", "i8")]
NODE += [("missing_go_to_left", "u1"), ("value", "f8")]  # what is read of scikit-learn's nodes, for a model without any


def _levels_left(bits: NDArray[np.uint32], seen: Floats) -> tuple[int, ...]:
    """The levels whose bit is set; the bits number the levels that the estimator has seen, in their order."""
    return tuple(int(x) for i, x in enumerate(seen) if not np.isnan(x) and bits[i // 32] >> np.uint32(i % 32) & 1)
