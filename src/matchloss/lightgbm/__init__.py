"""LightGBM under any loss: its estimators, `train`, and objectives and metrics for people who call it themselves.

>>> import numpy as np
>>> import matchloss.lightgbm as ml_lgb
>>> X = np.arange(100.0)[:, None]
>>> ml_lgb.LGBMRegressor("gamma", n_estimators=5, verbose=-1).fit(X, 1 + X[:, 0]).predict(X[:3]).shape
(3,)
"""

from matchloss.boosting.versions import missing

try:
    import lightgbm as _host  # noqa: F401
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise missing("LightGBM and scikit-learn", "lightgbm") from error

from matchloss.lightgbm._estimators import LGBMClassifier, LGBMRegressor
from matchloss.lightgbm._train import metric, objective, train

__all__ = ["LGBMClassifier", "LGBMRegressor", "metric", "objective", "train"]
