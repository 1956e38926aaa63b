"""scikit-learn's histogram gradient boosting under any loss, and scorers of any loss or score.

>>> import numpy as np
>>> from matchloss.sklearn import HistGradientBoostingRegressor
>>> X = np.arange(200.0)[:, None]
>>> model = HistGradientBoostingRegressor(loss="expectile(alpha=0.9)", max_iter=5).fit(X, X[:, 0] ** 2)
>>> model.predict(X[:2]).shape
(2,)
"""

from matchloss.boosting.versions import missing

try:
    import sklearn as _host  # noqa: F401
except ImportError as error:
    raise missing("scikit-learn", "sklearn") from error

from matchloss.sklearn._estimators import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from matchloss.sklearn._read import load
from matchloss.sklearn._scorer import scorer
from matchloss.sklearn._written import TreesError

__all__ = ["HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "TreesError", "load", "scorer"]
