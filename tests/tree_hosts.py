"""The hosts of boosted trees side by side, for tests of what is owed under each of them."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import catboost
import lightgbm
import numpy as np
import sklearn
import xgboost
from numpy.typing import NDArray

import matchloss.catboost
import matchloss.lightgbm
import matchloss.sklearn
import matchloss.xgboost
from matchloss.catboost import _plan as catboost_plan
from matchloss.lightgbm import _plan as lightgbm_plan
from matchloss.sklearn import _private as sklearn_plan
from matchloss.xgboost import _plan as xgboost_plan


@dataclass(frozen=True)
class Host:
    """A host: its two classes, keywords that make them quick and that let them learn, the one for the number of trees, its versions."""

    title: str
    version: str
    module: Any
    plan: ModuleType
    regressor: Any
    classifier: Any
    quick: dict[str, Any]
    learning: dict[str, Any]
    trees: str

    def raw(self, model: Any, X: Any) -> NDArray[Any]:
        """Raw predictions, (n,) or (n, K)."""
        if self.title == "scikit-learn":
            found = model._raw_predict(X)
            return found[:, 0] if found.shape[1] == 1 else found
        words = {"XGBoost": {"output_margin": True}, "LightGBM": {"raw_score": True}, "CatBoost": {"prediction_type": "RawFormulaVal"}}
        return np.asarray(model.predict(X, **words[self.title]))

    def watched(self, X: Any, y: Any) -> dict[str, Any]:
        """What `fit` takes to evaluate on these rows."""
        if self.title == "scikit-learn":
            return {"X_val": X, "y_val": y}
        return {"eval_X": X, "eval_y": y} if self.title == "LightGBM" else {"eval_set": [(X, y)]}


HOSTS = [
    Host(
        "XGBoost",
        xgboost.__version__,
        matchloss.xgboost,
        xgboost_plan,
        matchloss.xgboost.XGBRegressor,
        matchloss.xgboost.XGBClassifier,
        {"n_estimators": 3, "max_depth": 2, "n_jobs": 1},
        {"max_depth": 3, "n_estimators": 8},
        "n_estimators",
    ),
    Host(
        "LightGBM",
        lightgbm.__version__,
        matchloss.lightgbm,
        lightgbm_plan,
        matchloss.lightgbm.LGBMRegressor,
        matchloss.lightgbm.LGBMClassifier,
        {"n_estimators": 3, "n_jobs": 1, "verbose": -1},
        {"num_leaves": 8, "n_estimators": 8},
        "n_estimators",
    ),
    Host(
        "CatBoost",
        catboost.__version__,
        matchloss.catboost,
        catboost_plan,
        matchloss.catboost.CatBoostRegressor,
        matchloss.catboost.CatBoostClassifier,
        {"iterations": 3, "thread_count": 1, "verbose": False, "allow_writing_files": False},
        {"iterations": 8, "depth": 3, "learning_rate": 0.2},
        "iterations",
    ),
    Host(
        "scikit-learn",
        sklearn.__version__,
        matchloss.sklearn,
        sklearn_plan,
        matchloss.sklearn.HistGradientBoostingRegressor,
        matchloss.sklearn.HistGradientBoostingClassifier,
        {"max_iter": 3},
        {"max_iter": 8, "max_leaf_nodes": 8},
        "max_iter",
    ),
]
