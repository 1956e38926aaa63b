"""Estimators from model files: the JSON that `matchloss fit` and an estimator's `save` write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.linear.as_model import ENDED
from matchloss.linear.estimators import LinearClassifier, LinearRegressor
from matchloss.linear.model import read_model
from matchloss.linear.plan import Number
from matchloss.linear.structured_file import is_structured, read

if TYPE_CHECKING:
    from matchloss.losses import Loss

LABELS = {"i": int, "u": int, "f": float, "b": lambda text: text == "True"}


def load(path: str | Path, loss: type[Loss] | None = None) -> Any:
    """The fitted estimator in a model file that `matchloss fit` or an estimator's `save` wrote. No code of the file is run.

    A model of numbers or counts becomes a LinearRegressor, one of labels a LinearClassifier. Its columns are those of the model: what
    `fit --dates parts` made of times must be made beforehand. A model with a loss of your own is read only if you pass its class.
    A file of CoxRegression, ConditionalLogit or OrderedRegressor becomes that. ModelError for a file that holds no model.

    >>> import os, tempfile
    >>> from matchloss.linear import LinearRegressor, load
    >>> model = LinearRegressor("poisson").fit([[0.0], [1.0], [2.0]], [1.0, 2.0, 6.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.json")
    ...     model.save(path)
    ...     again = load(path)
    >>> again, bool((again.predict([[1.5]]) == model.predict([[1.5]])).all())
    (LinearRegressor(loss=Poisson()), True)
    """
    if is_structured(path):
        return read(path)
    found = read_model(path, loss)
    made = LinearClassifier(found.loss) if found.classes else LinearRegressor(found.loss)
    about = found.about
    made.set_params(**{name: about[name] for name in ("l2", "fit_intercept", "tol") if about.get(name) is not None})
    names = [column.name for column in found.design.columns]
    of_array = bool(about.get("array")) and all(isinstance(column, Number) for column in found.design.columns)
    made.loss_, made.design_, made.n_features_in_ = found.loss, None if of_array else found.design, len(names)
    if not of_array:
        made.feature_names_in_ = np.array(names, dtype=object)
    if found.formula is not None:
        made.formula_ = found.formula
    made._offset_column = found.offset
    for name in ENDED:
        setattr(made, ENDED[name], about.get(name))
    if isinstance(made, LinearClassifier):
        kind = LABELS.get(str(about.get("labels")), str)
        made.classes_ = np.array([kind(name) for name in found.classes])
        made.coef_ = np.ascontiguousarray(np.atleast_2d(found.coef.T))
        made.intercept_ = np.atleast_1d(np.asarray(found.intercept, np.float64))
    else:
        made.coef_, made.intercept_ = found.coef, found.intercept
    return made
