"""CatBoost under any loss: its estimators, and objectives and metrics for people who call it themselves.

>>> import numpy as np
>>> import matchloss.catboost as mc
>>> X = np.arange(100.0)[:, None]
>>> quick = {"iterations": 5, "verbose": False, "allow_writing_files": False}
>>> mc.CatBoostRegressor("gamma", **quick).fit(X, 1 + X[:, 0]).predict(X[:3]).shape
(3,)
"""

from matchloss.boosting.versions import missing

try:
    import catboost as _host  # noqa: F401
except ImportError as error:
    raise missing("CatBoost", "catboost") from error

from matchloss.catboost._estimators import CatBoostClassifier, CatBoostRegressor
from matchloss.catboost._objective import metric, objective

__all__ = ["CatBoostClassifier", "CatBoostRegressor", "metric", "objective"]
