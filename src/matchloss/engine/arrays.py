"""What every call checks and converts before it computes: dtypes, shapes, weights, overlap."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError, ShapeError

FloatArray = NDArray[np.floating[Any]]


class Evaluation(NamedTuple):
    """What `evaluate` returns: one entry per output, None if it was not asked for."""

    value: Any = None
    gradient: Any = None
    hessian: Any = None


def as_array(name: str, x: Any) -> NDArray[Any]:
    """x as a NumPy array of numbers; floats keep float32 or float64, integers and booleans are converted later."""
    masked = sys.modules.get("numpy.ma")  # np.ma would import it, and a child forked meanwhile would hang on the import lock
    if masked is not None and isinstance(x, getattr(masked, "MaskedArray", ())):
        raise TypeError(f"{name} is a masked array; pass the rows that are present, or give the others sample_weight 0")
    a = np.asarray(x)
    if (a.dtype.kind == "f" and a.dtype.itemsize in (4, 8)) or a.dtype.kind in "iub":
        return a
    if a.dtype.kind == "O" and a.size == 0:
        return a.astype(np.float64)
    raise TypeError(f"{name} has dtype {a.dtype}; float32, float64, integers and booleans are computed")


def result_dtype(raw: NDArray[Any]) -> np.dtype[Any]:
    """float32 stays float32; everything else is float64."""
    return np.dtype(np.float32 if raw.dtype.kind == "f" and raw.dtype.itemsize == 4 else np.float64)


def same_shape(name: str, x: NDArray[Any], shape: tuple[int, ...], like: str) -> None:
    """ShapeError unless x has exactly this shape."""
    if x.shape != shape:
        raise ShapeError(f"{name} has shape {x.shape}, and {like} asks for {shape}; shapes are never broadcast")


def as_weight(sample_weight: Any, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The weights as an array with one per row, finite and >= 0, or None."""
    if sample_weight is None:
        return None
    w = as_array("sample_weight", sample_weight)
    same_shape("sample_weight", w, shape, "one weight a row")
    if w.size and not (w.min() >= 0 and w.max() < np.inf):
        refuse("sample_weight", w, ~((w >= 0) & (w < np.inf)), "finite and >= 0")
    return w


def refuse(name: str, x: NDArray[Any], bad: NDArray[np.bool_], allowed: str) -> None:
    """DomainError for the first bad entry; the message has its index, its value and what is allowed."""
    if bad.any():
        refuse_at(name, x, int(np.argmax(bad)), allowed)


def refuse_at(name: str, x: NDArray[Any], flat: int, allowed: str) -> None:
    """DomainError for the entry at this flat index in C order."""
    place = np.unravel_index(flat, x.shape)
    where = f"[{', '.join(map(str, place))}]" if place else ""
    raise DomainError(f"{name}{where} is {x[place].item()!r}; allowed: {allowed}")


def outputs_of(
    out: Any, want: tuple[bool, bool, bool], shape: tuple[int, ...], shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]
) -> list[NDArray[Any] | None]:
    """The arrays to write: those of `out`, checked, for the outputs that are asked for, and new ones for the rest."""
    given: tuple[Any, ...] = (None, None, None) if out is None else tuple(out)
    if len(given) != 3:
        raise ShapeError(f"out has {len(given)} entries; it is an Evaluation(value, gradient, hessian)")
    result: list[NDArray[Any] | None] = []
    for name, wanted, a, expected in zip(Evaluation._fields, want, given, shapes, strict=True):
        if not wanted:
            result.append(None)
        elif a is None:
            result.append(np.empty(expected, dtype))
        else:
            if not isinstance(a, np.ndarray) or a.dtype.kind != "f" or a.dtype.itemsize not in (4, 8):
                raise TypeError(f"out.{name} must be a NumPy array of float32 or float64, not {getattr(a, 'dtype', type(a).__name__)}")
            same_shape(f"out.{name}", a, expected, f"raw's shape {shape}")
            if not a.flags.writeable:
                raise ValueError(f"out.{name} is read-only")
            result.append(a)
    return result


def is_plain(a: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether a loop compiled for this native dtype can run over the array without a copy (a byte-swapped dtype is not native)."""
    return a.dtype == dtype and a.flags.c_contiguous and a.flags.aligned


def same_memory(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays are one and the same view."""
    return a is b or (a.dtype == b.dtype and a.shape == b.shape and a.strides == b.strides and a.ctypes.data == b.ctypes.data)


def apart_from(x: NDArray[Any], outs: list[NDArray[Any] | None], except_for: int | None = None) -> NDArray[Any]:
    """x itself, or a copy if writing an output would change it before it is read."""
    for i, out in enumerate(outs):
        if out is not None and np.may_share_memory(x, out) and not (i == except_for and same_memory(x, out)):
            return x.copy()
    return x
