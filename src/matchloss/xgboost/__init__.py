"""XGBoost under any loss: its estimators, `train`, and objectives and metrics for people who call it themselves.

>>> import numpy as np
>>> import matchloss.xgboost as mx
>>> X = np.arange(100.0)[:, None]
>>> mx.XGBRegressor("gamma", n_estimators=5).fit(X, 1 + X[:, 0]).predict(X[:3]).shape
(3,)
"""

from matchloss.boosting.versions import missing

try:
    import sklearn as _sklearn  # noqa: F401
    import xgboost as _host  # noqa: F401
except ImportError as error:
    raise missing("XGBoost and scikit-learn", "xgboost") from error

from matchloss.xgboost._estimators import XGBClassifier, XGBRegressor
from matchloss.xgboost._train import metric, objective, train

__all__ = ["XGBClassifier", "XGBRegressor", "metric", "objective", "train"]
