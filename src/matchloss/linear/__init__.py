"""The trainer: a table becomes a design matrix, a linear model is fitted to it under any loss."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matchloss.linear.cox import CoxRegression
    from matchloss.linear.estimators import LinearClassifier, LinearRegressor
    from matchloss.linear.penalties.cv import LinearClassifierCV, LinearRegressorCV
    from matchloss.linear.saved import load

__all__ = ["CoxRegression", "LinearClassifier", "LinearClassifierCV", "LinearRegressor", "LinearRegressorCV", "load"]
HOMES = {"CoxRegression": "cox", "LinearClassifierCV": "penalties.cv", "LinearRegressorCV": "penalties.cv", "load": "saved"}


def __getattr__(name: str) -> Any:
    if name in __all__:  # scikit-learn loads with the first estimator, not with the solver that compare uses
        return getattr(importlib.import_module(f"matchloss.linear.{HOMES.get(name, 'estimators')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
