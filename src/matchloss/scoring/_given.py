"""What every summary of forecasts checks: one observation and one forecast a row, finite, and the weights."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.engine.arrays import as_array, as_weight, refuse
from matchloss.errors import DomainError, ShapeError

Floats = NDArray[np.float64]


def live_rows(sample_weight: ArrayLike | None, rows: int) -> tuple[NDArray[np.bool_], Floats]:
    """Which rows have positive weight, and their weights; ShapeError if there is no such row."""
    weight = as_weight(sample_weight, (rows,))
    live = np.ones(rows, bool) if weight is None else weight > 0
    if not live.any():
        raise ShapeError("there is no row of positive weight: a mean score needs one")
    return live, np.ones(rows) if weight is None else floats(weight[live])


def finite(name: str, x: NDArray[Any], live: NDArray[np.bool_]) -> Floats:
    """The live rows of x as float64; DomainError for one that is not finite."""
    refuse(name, x, ~np.isfinite(x) & live, "finite numbers")
    return floats(x if live.all() else x[live])


def pairs(obs: ArrayLike, fct: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Observations, forecasts and weights, (n,) each, of the rows of positive weight; DomainError for a value that is not finite."""
    y, f = as_array("obs", obs), as_array("fct", fct)
    if y.ndim != 1 or y.shape != f.shape:
        raise ShapeError(f"obs has shape {y.shape} and fct {f.shape}; they must be (n,), or labels (n,) and distributions (n, K)")
    live, w = live_rows(sample_weight, y.size)
    f = finite("fct", f, live)
    return finite("obs", y, live), f, w


def checked_level(level: float | None, what: str) -> float:
    """The level of a quantile or expectile; DomainError unless it lies in (0, 1)."""
    if isinstance(level, bool) or not isinstance(level, Real) or not 0 < level < 1:
        raise DomainError(f"level is {level!r}; {what} asks for one in (0, 1)")
    return float(level)


def floats(x: NDArray[Any]) -> Floats:
    """float64, without a copy where it is that already."""
    return x.astype(np.float64, copy=False)
