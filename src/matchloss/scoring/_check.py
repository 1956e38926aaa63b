"""What every score asks of its arguments: shapes, finite numbers, probabilities; messages name the row, the value and the set."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchloss.errors import DomainError, ShapeError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def as_numbers(values: ArrayLike, what: str) -> Floats:
    """`values` as float64; TypeError for text, objects and complex numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} must be real numbers, got dtype {array.dtype}")
    return array.astype(np.float64, copy=False)


def refuse(bad: Mask, values: NDArray[Any], what: str, allowed: str) -> None:
    """Raise a DomainError for the first row where `bad` holds."""
    if bad.any():
        row = int(np.argmax(bad))
        value = values[row] if values.ndim else values
        raise DomainError(f"{what} {value} in row {row} is not in {allowed}")


def same_shape(target: NDArray[Any], prediction: NDArray[Any]) -> None:
    """Rows must pair up: one dimension, equal lengths, no broadcasting."""
    if target.ndim != 1 or target.shape != prediction.shape:
        raise ShapeError(f"target has shape {target.shape} and prediction {prediction.shape}; both must be (n,)")


def weights(sample_weight: ArrayLike | None, rows: int) -> Floats | None:
    """Checked weights of `rows` rows; at least one must be positive."""
    if sample_weight is None:
        if rows == 0:
            raise ShapeError("a mean score needs at least one row, got 0")
        return None
    weight = as_numbers(sample_weight, "sample_weight")
    if weight.shape != (rows,):
        raise ShapeError(f"sample_weight has shape {weight.shape}; it must be ({rows},)")
    refuse(~(np.isfinite(weight) & (weight >= 0)), weight, "sample_weight", "[0, inf)")
    if not weight.any():
        raise DomainError("sample_weight is 0 in every row; at least one must be positive")
    return weight


def numbers(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> tuple[Floats, Floats]:
    """Finite targets and predictions of equal length; rows that are not `live` (weight 0) are not looked at."""
    y, p = as_numbers(target, "target"), as_numbers(prediction, "prediction")
    same_shape(y, p)
    on = np.ones(p.shape[:1], bool) if live is None else live
    refuse(~np.isfinite(y) & on, y, "target", "the real numbers")
    refuse(~np.isfinite(p) & on, p, "prediction", "the real numbers")
    return y, p


def probabilities(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> tuple[Floats, Floats]:
    """Target and prediction as (n, K) distributions; two labels, given as (n,) probabilities of label 1, become (n, 2)."""
    raw = np.asarray(prediction)
    p = as_numbers(raw, "prediction")
    tolerance = 1e-4 if raw.dtype == np.float32 else 1e-2 if raw.dtype == np.float16 else 1e-6
    on = np.ones(p.shape[:1], bool) if live is None else live
    if p.ndim == 1:
        y = as_numbers(target, "target")
        same_shape(y, p)
        refuse(~((y >= 0) & (y <= 1)) & on, y, "target", "[0, 1]")
        refuse(~((p >= 0) & (p <= 1)) & on, p, "prediction", "[0, 1]")
        return np.stack([1 - y, y], axis=1), np.stack([1 - p, p], axis=1)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ShapeError(f"prediction has shape {p.shape}; it must be (n,) for two labels or (n, K) with K >= 2")
    _distributions(p, "prediction", tolerance, on)
    given = np.asarray(target)
    if given.ndim == 1:
        return _one_hot(given, p, on), p
    y = as_numbers(given, "target")
    if y.shape != p.shape:
        raise ShapeError(f"target has shape {y.shape}; for predictions of shape {p.shape} it must be ({len(p)},) or {p.shape}")
    _distributions(y, "target", tolerance, on)
    return y, p


def _distributions(p: Floats, what: str, tolerance: float, on: Mask) -> None:
    refuse(~((p >= 0) & (p <= 1)).all(axis=1) & on, p, what, "[0, 1] throughout")
    with np.errstate(invalid="ignore"):
        refuse(~(np.abs(p.sum(axis=1) - 1) <= tolerance) & on, p, what, f"the distributions (sum 1 within {tolerance:g})")


def _one_hot(label: NDArray[Any], p: Floats, on: Mask) -> Floats:
    if label.shape != (len(p),):
        raise ShapeError(f"target has shape {label.shape}; for predictions of shape {p.shape} it must be ({len(p)},) or {p.shape}")
    if label.dtype.kind not in "biu":
        raise TypeError(f"labels must be integers, got dtype {label.dtype}")
    inside = (label >= 0) & (label < p.shape[1])
    refuse(~inside & on, label, "target", f"the labels 0..{p.shape[1] - 1}")
    y = np.zeros(p.shape)
    y[np.arange(len(p)), np.where(inside, label, 0).astype(np.intp)] = 1.0
    return y
