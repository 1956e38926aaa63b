"""Numbers in the least type of integers that holds them, without the loss of a bit: what is written, and read again in every pass.

The usual cases, whole numbers from 0 to 255 or 65,535 in eight bytes, are found out and cast in one read by a compiled loop. So are the
ends of floats: every call of NumPy costs a thread a wait for Python's lock.
"""
# pyright: reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.pointwise import COMPILE_FROM
from matchloss.engine.signatures import Reads, Writes, inlined

MOST, EXPONENT = (1 << 63) - 1, 0x7FF << 52  # of the bits of a float64


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Integers, and float64 that are whole and not below 0, in a narrow type; all others as they are. Each is the same in float64.

    >>> narrow(np.array([1.0, 300.0])).dtype, narrow(np.array([-0.0, 1.0])).dtype, narrow(np.array([-1, 300])).dtype
    (dtype('uint16'), dtype('float64'), dtype('int16'))
    """
    values = np.ascontiguousarray(values)
    if not len(values):
        return values
    if values.dtype == np.float64:
        if not (0 <= values[0] < 1 << 16 and float(values[0]).is_integer()):  # most columns of floats need no second look
            return values
        whole = np.empty(len(values), np.uint16)
        return _least(whole) if _loops(len(values)).whole(values, values.view(np.int64), whole) else values
    if values.dtype.kind not in "iu":
        return values
    if values.itemsize == 8:
        small = np.empty(len(values), np.uint8)
        if 0 <= _loops(len(values)).small(values.view(np.int64), small) < 1 << 8:
            return small
    return _least(values)


def ends(values: NDArray[Any]) -> tuple[int, float, float]:
    """How many of these numbers are finite, and the least and the greatest of those; inf and -inf if there is none.

    >>> ends(np.array([2.0, np.nan, -1.0, np.inf])), ends(np.array([3, 4], np.uint8))
    ((2, -1.0, 2.0), (2, 3.0, 4.0))
    """
    if values.dtype == np.float64 and values.flags.c_contiguous:
        found = np.array([0, MOST, -MOST])
        _loops(len(values)).ends(values.view(np.int64), found)
        return (int(found[0]), *_ranked(found[1:]).tolist()) if found[0] else (0, np.inf, -np.inf)
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (len(known), float(known.min()), float(known.max())) if len(known) else (0, np.inf, -np.inf)


def _ranked(bits: NDArray[np.int64]) -> NDArray[np.float64]:
    """The numbers of these ranks; see `_ends`."""
    return (bits ^ ((bits >> 63) & MOST)).view(np.float64)


def _least(values: NDArray[Any]) -> NDArray[Any]:
    low, high = int(values.min()), int(values.max())
    kind = np.min_scalar_type(high) if low >= 0 else np.promote_types(np.min_scalar_type(low), np.min_scalar_type(-1 - max(high, 0)))
    return values.astype(kind, copy=False)


class Loops:
    """The loops, compiled or by NumPy."""

    def __init__(self, whole: Callable[..., Any], small: Callable[..., Any], ends: Callable[..., Any]) -> None:
        self.whole = whole  # (values, their bits, out): whether all are whole and in 0..65535, and not -0; out has them then
        self.small = small  # (values, out): a number with all their bits; out has the last eight of each
        self.ends = ends  # (the bits of values, out): out has how many are finite, and the ends of their ranks


@inlined
def _whole(values, bits, out):
    same, signs = True, 0
    for i in range(values.shape[0]):
        v = values[i]
        k = int(v if (v >= 0.0) & (v < 65536.0) else 0.0)
        out[i] = k
        same &= float(k) == v  # not for NaN
        signs |= bits[i]
    return same & (signs >= 0)


@inlined
def _small(values, out):
    bits = 0
    for i in range(values.shape[0]):
        bits |= values[i]
        out[i] = values[i]
    return bits


@inlined
def _ends(bits, out):
    known, low, high = 0, MOST, -MOST
    for i in range(bits.shape[0]):
        b = bits[i]
        there = (b & EXPONENT) != EXPONENT
        rank = b ^ ((b >> 63) & MOST)  # integers in the order of the numbers: their least is found eight at a time
        known += there
        low = min(low, rank if there else MOST)
        high = max(high, rank if there else -MOST)
    out[0] = known
    out[1] = low
    out[2] = high


def _whole_by_numpy(values: NDArray[Any], bits: NDArray[Any], out: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        out[:] = values.astype(np.int64)
    return bool((out == values).all() and (bits >= 0).all())


def _small_by_numpy(values: NDArray[Any], out: NDArray[Any]) -> int:
    out[:] = values & 255
    return int(np.bitwise_or.reduce(values))


def _ends_by_numpy(bits: NDArray[Any], out: NDArray[Any]) -> None:
    known = bits[(bits & EXPONENT) != EXPONENT]
    if len(known):
        ranks = known ^ ((known >> 63) & MOST)
        out[:] = len(known), ranks.min(), ranks.max()


BY_NUMPY = Loops(_whole_by_numpy, _small_by_numpy, _ends_by_numpy)


def _loops(rows: int) -> Loops:
    return BY_NUMPY if rows < COMPILE_FROM else _compiled()


@cache
def _compiled() -> Loops:
    with threads.FIRST_CALLS:
        from matchloss.engine.cache import key
        from matchloss.engine.compiled import compiled

        made = {
            _whole: (Reads("float64"), Reads("int64"), Writes("uint16")),
            _small: (Reads("int64"), Writes("uint8")),
            _ends: (Reads("int64"), Writes("int64")),
        }
        return Loops(*(compiled(loop, f"narrow{loop.__name__}", signature, key(loop)) for loop, signature in made.items()))
