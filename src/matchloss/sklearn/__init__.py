"""scikit-learn's histogram gradient boosting under any loss, and scorers of any loss or score.

>>> import numpy as np
>>> from matchloss.sklearn import HistGradientBoostingRegressor
>>> X = np.arange(200.0)[:, None]
>>> model = HistGradientBoostingRegressor(loss="expectile(alpha=0.9)", max_iter=5).fit(X, X[:, 0] ** 2)
>>> model.predict(X[:2]).shape
(2,)
"""

from matchloss.sklearn._estimators import HistGradientBoostingClassifier, HistGradientBoostingRegressor

__all__ = ["HistGradientBoostingClassifier", "HistGradientBoostingRegressor"]
