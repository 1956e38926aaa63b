"""What the loops share: sums that may be reordered, logarithms of sums, and numbers m 2^k that cannot underflow.

A number m 2^k has 1 <= m < 2 and k an integer of 64 bits. Adding three of them needs no logarithm and vectorises: below 1 ns with AVX-512.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from matchloss.engine.compiled import COMPILED
from matchloss.engine.elementary import EXP_SERIES, LN2_HI, LN2_LO, ROUND, ROUND_BITS, bits_of, exp32, real_of
from matchloss.engine.row_steps import CHUNK
from matchloss.engine.row_steps import largest_of as largest
from matchloss.engine.signatures import Reads, Writes, inlined, summing
from matchloss.engine.values import F32, Array, maximum

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
]
__all__ += ["reads", "sigmoid", "softplus", "summing", "times_two_to", "wide_exp", "wide_exps"]

sigmoid, softplus = COMPILED.sigmoid, COMPILED.softplus
LN2 = 0.6931471805599453
NONE = -(1 << 40)  # the exponent of 0, whatever m is
LINE = 16  # entries of float32 in a line of the processor's cache


exp, log, log1p, log1p_unit = COMPILED.exp, COMPILED.log, COMPILED.log1p, COMPILED.log1p_unit


def reads(dtype: str, dimensions: int) -> Any:
    """The type of a C-ordered array that a loop only reads; it may be read-only."""
    return Reads(dtype, dimensions)


def made(dtype: str, dimensions: int) -> Any:
    """The type of a C-ordered array that a loop writes."""
    return Writes(dtype, dimensions)


def fetch(x: Array, j: Any) -> None:
    """Asks the processor to bring entry j of x, a vector that will be read soon, into its cache."""
    x.b.declare("llvm.prefetch.p0", "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    x.b.act(f"call void @llvm.prefetch.p0(ptr {x.view(j).pointer}, i32 0, i32 3, i32 1)")  # to read, into all levels, as data


def exp_of(x: Any) -> Any:
    """e^x for x <= 0, in the precision of x."""
    return exp32(x) if x.kind is F32 else exp(x)


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
    return 1.0 + (r + r * r * p), (bits_of(shifted) - ROUND_BITS) if some else NONE


@inlined
def wide_exps(x, m, k):
    """e^x of a vector, as m 2^k."""
    for s in range(x.size):
        m[s], k[s] = wide_exp(x[s])


@inlined
def times_two_to(m, d):
    """m 2^d for d <= 0; below 1e-300 where d is less than -1022."""
    return m * real_of((max(d, -1022) + 1023) << 52)


@inlined
def add3(m0, k0, m1, k1, m2, k2, factor, k):
    """(m0 2^k0 + m1 2^k1 + m2 2^k2) factor 2^k, normalised."""
    top = max(k0, max(k1, k2))
    x = (times_two_to(m0, k0 - top) + times_two_to(m1, k1 - top) + times_two_to(m2, k2 - top)) * factor
    b = bits_of(x)
    e = top + k + (b >> 52) - 1023
    return real_of((b & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000), e if e > NONE >> 1 else NONE
