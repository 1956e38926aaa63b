"""Fits as models for a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.model import Model
from matchloss.linear.plan import Design, Number

if TYPE_CHECKING:
    from matchloss.linear.formula import Terms
    from matchloss.losses import Loss, TargetKind

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
    if estimator.design_ is None:
        about["array"] = True
    intercept, coef, classes = estimator.intercept_, estimator.coef_, getattr(estimator, "classes_", None)
    if classes is not None:
        single = len(coef) == 1
        intercept, coef = (intercept[0], coef[0]) if single else (intercept, np.ascontiguousarray(coef.T))
    found = made(estimator.loss_, design, intercept, coef, target, classes, about, getattr(estimator, "formula_", None))
    return replace(found, offset=estimator._offset_column)


def made(
    loss: Loss,
    design: Design,
    intercept: Any,
    coef: Any,
    target: str,
    classes: NDArray[Any] | None,
    about: dict[str, Any],
    formula: Terms | None = None,
) -> Model:
    """A model of a number, or of a label with these classes; `intercept` and `coef` as Model has them."""
    about = {name: float(value) if isinstance(value, np.floating) else value for name, value in about.items()}
    if np.ndim(intercept) == 0:
        intercept = float(intercept)
    if classes is None:
        return Model(loss, design, intercept, coef, target, "number", (), about, formula=formula)
    about["labels"] = classes.dtype.kind
    names = tuple(str(label) for label in classes.tolist())
    kind: TargetKind = "binary" if len(names) == 2 else "multiclass"
    return Model(loss, design, intercept, coef, target, kind, names, about, formula=formula)
