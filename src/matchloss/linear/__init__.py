"""The trainer: a table becomes a design matrix, a linear model is fitted to it under any loss."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matchloss.linear.choice import ConditionalLogit
    from matchloss.linear.cox import CoxRegression
    from matchloss.linear.estimators import LinearClassifier, LinearRegressor
    from matchloss.linear.file_model import fit_files
    from matchloss.linear.ordered import OrderedRegressor
    from matchloss.linear.penalties.cv import LinearClassifierCV, LinearRegressorCV
    from matchloss.linear.saved import load

__all__ = [
    "ConditionalLogit",
    "CoxRegression",
    "LinearClassifier",
    "LinearClassifierCV",
    "LinearRegressor",
    "LinearRegressorCV",
    "OrderedRegressor",
    "fit_files",
    "load",
]
HOMES = {  # modules of names; estimators for all others
    "ConditionalLogit": "choice",
    "CoxRegression": "cox",
    "LinearClassifierCV": "penalties.cv",
    "LinearRegressorCV": "penalties.cv",
    "OrderedRegressor": "ordered",
    "fit_files": "file_model",
    "load": "saved",
}


def __getattr__(name: str) -> Any:
    if name in __all__:  # scikit-learn loads with the first estimator, not with the solver that compare uses
        return getattr(importlib.import_module(f"matchloss.linear.{HOMES.get(name, 'estimators')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
