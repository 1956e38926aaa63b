"""exp, log1p, sin, ... on float64 scalars, without branches, so that LLVM can vectorise loops over them.

Each is accurate to about 1 ulp. The methods are classical: reduce the argument by powers of two (or quarter turns), then evaluate a
polynomial (Muller, Elementary Functions, 3rd ed., chapters 3 and 11; the logarithm's coefficients are fdlibm's).
Keep `nnan` and `ninf` off: with them NaN and infinite arguments give nonsense.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as _intrinsic


def _without_blas() -> None:
    """Imports numba's array functions without scipy.linalg, whose import takes a third of a first call and is not needed."""
    from numba.np import linalg

    asked = getattr(linalg, "ensure_blas", None)
    try:
        linalg.ensure_blas = lambda: None
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = asked


_without_blas()

FLAGS: dict[str, Any] = {"fastmath": {"contract": True, "nsz": True}, "error_model": "numpy"}
inlined: Callable[[Callable[..., Any]], Any] = numba.njit(forceinline=True, **FLAGS)


def intrinsic(make: Callable[..., Any]) -> Any:
    """numba's `intrinsic`, typed: the function that it makes is called without the first parameter."""
    return _intrinsic(make)


@intrinsic
def float_of_bits(typingctx, i):  # noqa: D103
    return types.float64(types.int64), lambda context, builder, signature, a: builder.bitcast(a[0], ir.DoubleType())


@intrinsic
def bits_of_float(typingctx, x):  # noqa: D103
    return types.int64(types.float64), lambda context, builder, signature, a: builder.bitcast(a[0], ir.IntType(64))


@intrinsic
def float32_of_bits(typingctx, i):  # noqa: D103
    return types.float32(types.int32), lambda context, builder, signature, a: builder.bitcast(a[0], ir.FloatType())


@intrinsic
def bits_of_float32(typingctx, x):  # noqa: D103
    return types.int32(types.float32), lambda context, builder, signature, a: builder.bitcast(a[0], ir.IntType(32))


@intrinsic
def maximum(typingctx, a, b):
    """The larger of two, NaN if either is. Unlike a comparison LLVM may reorder it, so a running maximum vectorises."""

    def generate(context, builder, signature, pair):
        of = pair[0].type
        name = f"llvm.maximum.{'f32' if isinstance(of, ir.FloatType) else 'f64'}"
        return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(of, [of, of]), name), pair, fastmath=("nsz",))

    return a(a, a), generate


LN2_HI, LN2_LO = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2, Chebyshev at 40 digits: e^r within 0.08 eps.
EXP_SERIES = (
    2.5105208127700235e-08, 2.7620078172640664e-07, 2.7557255421326075e-06, 2.480152131723845e-05, 0.00019841269874804187,
    0.0013888888917200288, 0.00833333333332614, 0.04166666666662416, 0.1666666666666667, 0.5000000000000001,
)  # fmt: skip
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, which then sits in the low bits
ROUND_BITS = 0x4338000000000000


@inlined
def _expm1_reduced(x):
    """a, b, p with e^x = a b (1 + p): a b = 2^k in two factors that cannot overflow, p = expm1(x - k ln 2), |x - k ln 2| <= ln(2)/2."""
    x = min(max(x, -745.2), 709.79)
    shifted = x * 1.4426950408889634 + ROUND
    k = shifted - ROUND
    r = (x - k * LN2_HI) - k * LN2_LO
    p = EXP_SERIES[0]
    for c in EXP_SERIES[1:]:
        p = p * r + c
    p = r + r * r * p
    n = bits_of_float(shifted) - ROUND_BITS
    half = n >> 1
    return float_of_bits((half + 1023) << 52), float_of_bits((n - half + 1023) << 52), p


@inlined
def exp(x):
    """e^x, subnormal results included."""
    a, b, p = _expm1_reduced(x)
    v = (1.0 + p) * a * b
    v = v if x < 709.79 else math.inf
    return v if x == x else x


@inlined
def expm1(x):
    """e^x - 1."""
    a, b, p = _expm1_reduced(x)
    s = a * b
    v = s * p + (s - 1.0)
    v = v if x < 709.79 else math.inf
    v = v if x > -745.0 else -1.0
    return v if x == x else x


LOG_SERIES = (
    1.479819860510658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
    2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01,
)  # fmt: skip


@inlined
def _log_reduced(u, correction):
    """log(u) + correction for a normal u > 0: exponent times log(2) plus an odd series in f / (2 + f)."""
    b = bits_of_float(u)
    m = float_of_bits((b & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000)
    big = m > 1.4142135623730951
    m = m * 0.5 if big else m
    k = np.float64((b >> 52) - 1023) + (1.0 if big else 0.0)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = LOG_SERIES[0]
    for q in LOG_SERIES[1:]:
        r = r * z + q
    h = 0.5 * f * f
    return k * LN2_HI - ((h - (s * (h + z * r) + (k * LN2_LO + correction))) - f)


@inlined
def log1p(x):
    """log(1 + x); -inf at -1, NaN below."""
    u = 1.0 + x
    c = x - (u - 1.0) if u < 1e15 else 0.0
    c = c if x < 1.0 else (1.0 - (u - x) if u < 1e15 else 0.0)
    v = _log_reduced(u, c / u)
    v = v if u < math.inf else u
    v = v if x > -1.0 else (-math.inf if x == -1.0 else math.nan)
    return v if x == x else x


# 2 (atanh(s) / s - 1) / s^2 in s^2 on [0, 1/9], fitted in the same way
UNIT_SERIES = (
    0.15643073435544105, 0.07485237198183619, 0.1084680051803883, 0.11734068180117799, 0.13335195194423768, 0.15384543159972075,
    0.18181819921765763, 0.22222222197832636, 0.2857142857160358, 0.3999999999999951, 0.6666666666666666,
)  # fmt: skip


@inlined
def log1p_unit(x):
    """log(1 + x) for 0 <= x <= 1: 2 atanh(x / (2 + x)), faster because no exponent has to be split off."""
    s = x / (2.0 + x)
    t = s * s
    p = UNIT_SERIES[0]
    for c in UNIT_SERIES[1:]:
        p = p * t + c
    return x - s * (x - t * p)


@inlined
def log(x):
    """log(x), subnormal arguments included; -inf at 0, NaN below."""
    tiny = x < 2.2250738585072014e-308
    v = _log_reduced(x * 18014398509481984.0 if tiny else x, 0.0) - (37.42994775023705 if tiny else 0.0)
    v = v if x < math.inf else x
    v = v if x > 0 else (-math.inf if x == 0 else math.nan)
    return v if x == x else x


SIN_TAYLOR = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(9, 0, -1))
COS_TAYLOR = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(10, 0, -1))
HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)


@inlined
def _sincos(x):
    """sin and cos by Cody and Waite's reduction in three parts: within 1 ulp of 1 for |x| <= 1e5, in [-1, 1] beyond, NaN at infinity."""
    x = 0.5 + 0.0 * x if abs(x) > 1e15 else x  # the remainder would have no correct digit, and could be too large for the polynomials
    k = np.floor(x * 0.6366197723675814 + 0.5)
    r = ((x - k * HALF_PI[0]) - k * HALF_PI[1]) - k * HALF_PI[2]
    z = r * r
    s = SIN_TAYLOR[0]
    for c in SIN_TAYLOR[1:]:
        s = s * z + c
    s = r + r * z * s
    d = COS_TAYLOR[0]
    for c in COS_TAYLOR[1:]:
        d = d * z + c
    d = 1.0 + z * d
    q = np.int64(k)
    a = d if q & 1 else s
    b = s if q & 1 else d
    a = -a if q & 2 else a
    b = -b if (q + 1) & 2 else b
    return a, b


@inlined
def sin(x):  # noqa: D103
    return _sincos(x)[0]


@inlined
def cos(x):  # noqa: D103
    return _sincos(x)[1]


@inlined
def where(condition, a, b):  # noqa: D103
    return a if condition else b


@inlined
def absolute(a):  # noqa: D103
    return abs(a)


@inlined
def sqrt(a):  # noqa: D103
    return math.sqrt(a)


@inlined
def floor(a):  # noqa: D103
    return np.floor(a)  # math.floor returns a 64-bit integer, which large floats overflow


f32, i32 = np.float32, np.int32
ROUND32 = f32(12582912.0)  # 1.5 * 2^23: adding it rounds to an integer, which then sits in the low bits


@inlined
def exp32(x):
    """e^x for x <= 0 in float32, below 2 ulp; 0 where the result would be below the smallest normal number (Cephes' polynomial)."""
    y = max(x, f32(-87.3))
    shifted = y * f32(1.44269504) + ROUND32
    k = shifted - ROUND32
    r = (y - k * f32(0.693359375)) - k * f32(-2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * r * r + r + f32(1.0)
    v = p * float32_of_bits((bits_of_float32(shifted) + i32(127)) << i32(23))
    v = v if x > f32(-87.3) else f32(0.0)
    return v if x == x else x
