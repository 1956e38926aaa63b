"""The trainer: a table becomes a design matrix, a linear model is fitted to it under any loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matchloss.linear.estimators import LinearClassifier, LinearRegressor
    from matchloss.linear.saved import load

__all__ = ["LinearClassifier", "LinearRegressor", "load"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # scikit-learn loads with the first estimator, not with the solver that compare uses
        from matchloss.linear import estimators, saved

        return saved.load if name == "load" else getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
