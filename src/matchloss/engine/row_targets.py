"""What a row is compared with: labels, distributions, or a mixture of these, checked in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.arrays import as_array, refuse
from matchloss.errors import DomainError, ShapeError


@dataclass(frozen=True)
class Mixture:
    """The target of n rows over K classes, a sum of up to three parts, any of which may be None."""

    index: Any = None  # (n, m) integers
    share: Any = None  # (n, m): the probabilities at them
    base: Any = None  # (K,)
    dense: Any = None  # (n, K), probabilities
    scale: Any = None  # (K,), multiplies dense


def as_target(target: Any, shape: tuple[int, ...]) -> tuple[NDArray[Any], bool]:
    """The target as an array, and whether it is labels (...,); otherwise it is distributions (..., K)."""
    target = as_array("target", target)
    if target.shape == shape:
        return target, False
    if target.shape != shape[:-1]:
        raise ShapeError(f"target has shape {target.shape}; raw of shape {shape} asks for labels {shape[:-1]} or distributions {shape}")
    if target.dtype.kind == "f":
        raise TypeError(f"target has dtype {target.dtype}; labels are integers")
    return target, True


def check_targets(
    target: NDArray[Any],
    labels: bool,
    classes: int,
    weight: NDArray[Any] | None,
    tolerance: float | None = None,
    name: str = "target",
) -> None:
    """DomainError for the first label out of range, or row that is not a distribution, whose weight is not 0."""
    if labels and (not target.size or (target.min() >= 0 and target.max() < classes)):
        return  # the common case, without a temporary array
    counted = np.ones(target.shape[: target.ndim - (not labels)], np.bool_) if weight is None else weight != 0
    if labels:
        refuse(name, target, ((target < 0) | (target >= classes)) & counted, f"labels 0..{classes - 1}")
        return
    tolerance = sum_tolerance(target.dtype) if tolerance is None else tolerance
    with np.errstate(invalid="ignore", over="ignore"):
        entries = ~(target >= 0) | ~(target <= 1 + tolerance)
        refuse(name, target, entries & np.expand_dims(counted, -1), "probabilities >= 0 that sum to 1")
        total = np.asarray(np.sum(target, axis=-1, dtype=np.float64))
        bad = ~(np.abs(total - 1) <= tolerance) & counted
    if bad.any():
        place = np.unravel_index(int(np.argmax(bad)), bad.shape)
        row = f"[{', '.join(map(str, place))}]" if place else ""
        raise DomainError(f"{name}{row} sums to {float(total[place])!r}; allowed: probabilities that sum to 1 within {tolerance:g}")


def sum_tolerance(dtype: Any) -> float:
    """How far the sum of a distribution may be from 1, for this dtype of NumPy, PyTorch or JAX."""
    name = getattr(dtype, "name", None) or str(dtype).removeprefix("torch.")
    return {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}.get(name, 1e-6)


def distributions(target: NDArray[Any], labels: bool, classes: int) -> NDArray[np.float64]:
    """Targets as float64 distributions; labels become one-hot."""
    return (target[..., np.newaxis] == np.arange(classes)).astype(np.float64) if labels else target.astype(np.float64)
