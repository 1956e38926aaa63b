"""What every score asks of its arguments, by the engine's checks: shapes, finite numbers, probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.engine.arrays import as_array, as_weight, refuse, same_shape
from matchloss.engine.row_targets import check_targets, distributions, sum_tolerance
from matchloss.errors import DomainError, ShapeError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def as_numbers(values: ArrayLike, name: str) -> Floats:
    """`values` as float64, float16 too; TypeError for text, objects and complex numbers."""
    array = np.asanyarray(values)
    return as_array(name, array.astype(np.float32) if array.dtype == np.float16 else array).astype(np.float64, copy=False)


def one_a_row(target: NDArray[Any], prediction: NDArray[Any]) -> None:
    """Rows must pair up: one dimension, equal lengths, no broadcasting."""
    if prediction.ndim != 1:
        raise ShapeError(f"prediction has shape {prediction.shape}; it must be (n,)")
    same_shape("target", target, prediction.shape, "prediction")


def weights(sample_weight: ArrayLike | None, rows: int) -> Floats | None:
    """Checked weights of `rows` rows; at least one must be positive."""
    if sample_weight is None:
        if rows == 0:
            raise ShapeError("a mean score needs at least one row, got 0")
        return None
    weight = as_weight(as_numbers(sample_weight, "sample_weight"), (rows,))
    if weight is None or not weight.any():
        raise DomainError("sample_weight is 0 in every row; at least one must be positive")
    return weight


def numbers(target: ArrayLike, prediction: ArrayLike, live: Mask | None, low: float = -np.inf) -> tuple[Floats, Floats]:
    """Finite targets and predictions of equal length, `low` or more; rows that are not `live` (weight 0) are not looked at."""
    y, p = as_numbers(target, "target"), as_numbers(prediction, "prediction")
    one_a_row(y, p)
    allowed = "finite numbers" if low == -np.inf else f"[{low:g}, inf)"
    for name, x in (("target", y), ("prediction", p)):
        refuse(name, x, ~(np.isfinite(x) & (x >= low)) & _on(p, live), allowed)
    return y, p


def probabilities(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> tuple[Floats, Floats]:
    """Target and prediction as (n, K) distributions; two labels, given as (n,) probabilities of label 1, become (n, 2)."""
    tolerance = sum_tolerance(np.asarray(prediction).dtype)
    p = as_numbers(prediction, "prediction")
    on = _on(p, live)
    if p.ndim == 1:
        y = as_numbers(target, "target")
        one_a_row(y, p)
        for name, x in (("target", y), ("prediction", p)):
            refuse(name, x, ~((x >= 0) & (x <= 1)) & on, "[0, 1]")
        return np.stack([1 - y, y], axis=1), np.stack([1 - p, p], axis=1)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ShapeError(f"prediction has shape {p.shape}; it must be (n,) for two labels or (n, K) with K >= 2")
    check_targets(p, False, p.shape[1], on, tolerance, "prediction")
    given = np.asanyarray(target)
    if given.shape not in (p.shape, p.shape[:1]):
        raise ShapeError(f"target has shape {given.shape}; for predictions of shape {p.shape} it must be ({len(p)},) or {p.shape}")
    labels = given.ndim == 1
    if labels and given.dtype.kind not in "biu":
        raise TypeError(f"labels must be integers, got dtype {given.dtype}")
    y = as_array("target", given) if labels else as_numbers(given, "target")
    check_targets(y, labels, p.shape[1], on, tolerance)
    return distributions(y, labels, p.shape[1]), p


def _on(p: Floats, live: Mask | None) -> Mask:
    return np.ones(p.shape[:1], np.bool_) if live is None else live
