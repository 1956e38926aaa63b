"""What every score of a distribution shares: from columns to one score per row, or their weighted mean or sum."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any, Literal

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from matchloss.engine import columns
from matchloss.engine.arrays import as_array, as_weight, refuse
from matchloss.engine.namespaces import namespace
from matchloss.errors import DomainError, ShapeError
from matchloss.losses import Interval

Reduction = Literal["none", "mean", "sum"]


def score(
    formula: FunctionType,
    given: Mapping[str, Any],
    allowed: Mapping[str, Interval],
    sample_weight: Any,
    reduction: Reduction,
    whole: tuple[str, ...] = (),
    compiled: bool = True,
) -> Any:
    """formula(m, *given) of each row, shapes broadcast; times its weight, or the weighted mean or sum of all.

    DomainError names the first entry that is not `allowed`, or not an integer in a column of `whole`. Rows of weight 0 are not checked.
    Other libraries' arrays are computed, and differentiated, by their own functions.
    """
    if reduction not in ("none", "mean", "sum"):
        raise DomainError(f"reduction is {reduction!r}; allowed: 'none', 'mean', 'sum'")
    if any(is_foreign(x) for x in given.values()):
        return _of_library(formula, given, allowed, sample_weight, reduction, compiled)
    arrays = {name: as_array(name, widened(x)) for name, x in given.items()}
    weight = None
    if sample_weight is not None:
        arrays = dict(zip(arrays, broadcast(arrays), strict=True))
        shape = next(iter(arrays.values())).shape
        weight = as_weight(sample_weight, shape)
        if weight is not None and (weight == 0).any():
            live = weight > 0
            some = score(formula, {n: a[live] for n, a in arrays.items()}, allowed, None, "none", whole, compiled)
            rows = np.zeros(shape, some.dtype)
            rows[live] = some
            return reduce(rows, weight, reduction)
    for name in whole:
        refuse(name, arrays[name], arrays[name] != np.floor(arrays[name]), f"whole numbers in {allowed[name]}")
    bounds = {name: (*domain.bounds, str(domain)) for name, domain in allowed.items()}
    return reduce(columns.evaluate(formula, arrays, bounds, compiled=compiled), weight, reduction)


def reduce(rows: NDArray[Any], weight: NDArray[Any] | None, reduction: Reduction) -> Any:
    """The rows times their weights, or their weighted mean or sum as a float; ShapeError for the mean of no rows."""
    with np.errstate(invalid="ignore"):
        weighted = rows if weight is None else np.where(weight == 0, 0.0, rows * weight).astype(rows.dtype)
    if reduction == "none":
        return weighted if weighted.ndim else float(weighted)
    total = float(np.sum(weighted, dtype=np.float64))
    if reduction == "sum":
        return total
    mass = float(rows.size if weight is None else np.sum(weight, dtype=np.float64))
    if not mass > 0:
        raise ShapeError("there is no row of positive weight: a mean needs one")
    return total / mass


def broadcast(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The arrays broadcast to a common shape; ShapeError if there is none."""
    try:
        return list(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        said = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ShapeError(f"these shapes do not broadcast: {said}") from None


def widened(x: Any) -> Any:
    """Half precision as float32, which loses nothing; anything else unchanged."""
    a = x if hasattr(x, "dtype") else np.asarray(x)
    return a.astype(np.float32) if a.dtype == np.float16 else x


def is_foreign(x: Any) -> bool:
    """Whether an array belongs to a library other than NumPy."""
    return not isinstance(x, np.ndarray) and array_api_compat.is_array_api_obj(x)


def _of_library(
    formula: FunctionType, given: Mapping[str, Any], allowed: Mapping[str, Interval], sample_weight: Any, reduction: Reduction, own: bool
) -> Any:
    """The formula by the library's own functions. A bad row gives NaN, because values may not be visible (on a GPU, or traced)."""
    if not own:
        library = next(type(x).__module__.partition(".")[0] for x in given.values() if is_foreign(x))
        raise TypeError(f"{library} has not the special functions of this score; pass NumPy arrays, for example numpy.asarray(x)")
    xp: Any = array_api_compat.array_namespace(*(x for x in given.values() if is_foreign(x)))
    like = next(x for x in given.values() if is_foreign(x))
    arrays = {name: x if is_foreign(x) else xp.asarray(x, dtype=like.dtype) for name, x in given.items()}
    arrays = dict(zip(arrays, xp.broadcast_arrays(*arrays.values()), strict=True))
    good = like == like
    for name, domain in allowed.items():
        low, high = domain.bounds
        good = good & (arrays[name] >= low) & (arrays[name] <= high)
    made = formula(namespace(xp), *arrays.values())
    rows = xp.where(good, made, xp.asarray(float("nan"), dtype=made.dtype))
    if sample_weight is None:
        return rows if reduction == "none" else xp.mean(rows) if reduction == "mean" else xp.sum(rows)
    weight = sample_weight if is_foreign(sample_weight) else xp.asarray(sample_weight, dtype=rows.dtype)
    rows = xp.where(weight == 0, xp.zeros_like(rows), rows * weight)
    return rows if reduction == "none" else xp.sum(rows) / (xp.sum(weight) if reduction == "mean" else 1)
