"""What the loops share: sums that may be reordered, logarithms of sums, and numbers m 2^k that cannot underflow.

A number m 2^k has 1 <= m < 2 and k an integer of 64 bits. Adding three of them needs no logarithm and vectorises: below 1 ns with AVX-512.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import overload

from matchloss.engine.compiled import COMPILED
from matchloss.engine.elementary import (
    EXP_SERIES,
    FLAGS,
    LN2_HI,
    LN2_LO,
    ROUND,
    ROUND_BITS,
    bits_of_float,
    exp,
    exp32,
    float_of_bits,
    inlined,
    intrinsic,
    log,
    log1p,
    log1p_unit,
    maximum,
)
from matchloss.engine.row_steps import CHUNK, summing
from matchloss.engine.row_steps import largest_of as largest

__all__ = [
    "CHUNK",
    "LINE",
    "LN2",
    "NONE",
    "add3",
    "exp",
    "exp_of",
    "exps",
    "fetch",
    "inlined",
    "largest",
    "log",
    "log1p",
    "log1p_unit",
    "log_sum",
    "made",
    "mass_of",
    "maximum",
    "merged",
]
__all__ += ["reads", "sigmoid", "softplus", "summing", "times_two_to", "wide_exp", "wide_exps"]

sigmoid, softplus = COMPILED.sigmoid, COMPILED.softplus
LN2 = 0.6931471805599453
NONE = -(1 << 40)  # the exponent of 0, whatever m is
LINE = 16  # entries of float32 in a line of the processor's cache


merged: Callable[[Callable[..., Any]], Any] = numba.njit(inline="always", **FLAGS)
"""For the one long function that a loop calls: its text becomes a part of the loop's, where `inlined` would compile it twice."""


def reads(scalar: Any, dimensions: int) -> Any:
    """The type of a C-ordered array that a loop only reads; it may be read-only."""
    return types.Array(scalar, dimensions, "C", readonly=True)


def made(scalar: Any, dimensions: int) -> Any:
    """The type of a C-ordered array that a loop writes."""
    return types.Array(scalar, dimensions, "C")


@intrinsic
def fetch(typingctx, x, j):
    """Asks the processor to bring entry j of x, a C-ordered vector that will be read soon, into its cache."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place, i32 = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        read, into_all_levels, data_cache = i32(0), i32(3), i32(1)
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [place, read, into_all_levels, data_cache])
        return context.get_dummy_value()

    return types.void(x, j), generate


def exp_of(x):
    """e^x for x <= 0, in the precision of x."""
    raise NotImplementedError("only compiled loops call this")


@overload(exp_of, jit_options={"forceinline": True, **FLAGS})
def _exp_of(x):  # numba compares its parameters with those of the functions that it returns
    if x == types.float32:
        return lambda x: exp32(x)
    return lambda x: exp(x)


@summing
def mass_of(row):
    """The sum of a row, in float64."""
    total = 0.0
    for j in range(row.size):
        total += np.float64(row[j])
    return total


@summing
def log_sum(x):
    """log(sum of e^x)."""
    big, s = largest(x), 0.0
    if big == -inf:
        return big
    for j in range(x.size):
        s += exp(x[j] - big)
    return big + log(s)


@inlined
def exps(x, shift, out):
    """e^(x - shift), in float64."""
    for j in range(x.size):
        out[j] = exp(np.float64(x[j]) - shift)


@inlined
def wide_exp(x):
    """e^x = m 2^k."""
    some = x > -1e8
    y = x if some else 0.0
    shifted = y * 1.4426950408889634 + ROUND
    k = shifted - ROUND
    r = (y - k * LN2_HI) - k * LN2_LO
    p = EXP_SERIES[0]
    for c in EXP_SERIES[1:]:
        p = p * r + c
    return 1.0 + (r + r * r * p), (bits_of_float(shifted) - ROUND_BITS) if some else NONE


@inlined
def wide_exps(x, m, k):
    """e^x of a vector, as m 2^k."""
    for s in range(x.size):
        m[s], k[s] = wide_exp(x[s])


@inlined
def times_two_to(m, d):
    """m 2^d for d <= 0; below 1e-300 where d is less than -1022."""
    return m * float_of_bits((max(d, -1022) + 1023) << 52)


@inlined
def add3(m0, k0, m1, k1, m2, k2, factor, k):
    """(m0 2^k0 + m1 2^k1 + m2 2^k2) factor 2^k, normalised."""
    top = max(k0, max(k1, k2))
    x = (times_two_to(m0, k0 - top) + times_two_to(m1, k1 - top) + times_two_to(m2, k2 - top)) * factor
    b = bits_of_float(x)
    e = top + k + (b >> 52) - 1023
    return float_of_bits((b & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000), e if e > NONE >> 1 else NONE
