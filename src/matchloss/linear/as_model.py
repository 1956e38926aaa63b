"""Estimators as models for a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from matchloss.linear.model import Model
from matchloss.linear.plan import Design, Number

ENDED = {  # how a fit ended: names in a file, and attributes of an estimator
    "converged": "converged_",
    "passes": "n_passes_",
    "objective": "objective_",
    "gradient_norm": "gradient_norm_",
    "method": "method_",
}


def model_of(estimator: Any, target: str) -> Model:
    """The fitted estimator, LinearRegressor or LinearClassifier, as a model for a file."""
    design = estimator.design_ or Design(tuple(map(Number, estimator.coef_names_)))
    about: dict[str, Any] = {name: getattr(estimator, name) for name in ("l2", "fit_intercept", "tol")}
    about |= {name: getattr(estimator, attribute, None) for name, attribute in ENDED.items()}
    about = {name: float(value) if isinstance(value, np.floating) else value for name, value in about.items()}
    if estimator.design_ is None:
        about["array"] = True
    terms = getattr(estimator, "formula_", None)
    if not hasattr(estimator, "classes_"):
        constant = float(estimator.intercept_)
        return Model(estimator.loss_, design, constant, estimator.coef_, target, "number", (), about, formula=terms)
    about["labels"] = estimator.classes_.dtype.kind
    single = len(estimator.coef_) == 1
    intercept = float(estimator.intercept_[0]) if single else estimator.intercept_
    coef = estimator.coef_[0] if single else np.ascontiguousarray(estimator.coef_.T)
    classes = tuple(str(label) for label in estimator.classes_.tolist())
    kind = "binary" if len(classes) == 2 else "multiclass"
    return Model(estimator.loss_, design, intercept, coef, target, kind, classes, about, formula=terms)
