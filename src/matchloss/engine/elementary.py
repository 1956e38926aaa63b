"""exp, log1p, sin, ... on float64, without branches, so that LLVM can vectorise loops over them: texts over matchloss.engine.values.

Each is accurate to about 1 ulp. The methods are classical: reduce the argument by powers of two (or quarter turns), then evaluate a
polynomial (Muller, Elementary Functions, 3rd ed., chapters 3 and 11; the logarithm's coefficients are fdlibm's).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from matchloss.engine.values import F32, F64, I32, I64, Value, absolute, cast, floor, greatest, least, where


def bits_of(x: Any) -> Any:
    """The bits of a real number, as an integer of its width."""
    if not isinstance(x, Value):
        return x.view(f"i{x.itemsize}")
    return x.as_bits(I64 if x.kind is F64 else I32)


def real_of(bits: Any) -> Any:
    """The real number that has these bits."""
    if not isinstance(bits, Value):
        return bits.view(f"f{bits.itemsize}")
    return bits.as_bits(F64 if bits.kind is I64 else F32)


LN2_HI, LN2_LO = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2, Chebyshev at 40 digits: e^r within 0.08 eps.
EXP_SERIES = (
    2.5105208127700235e-08, 2.7620078172640664e-07, 2.7557255421326075e-06, 2.480152131723845e-05, 0.00019841269874804187,
    0.0013888888917200288, 0.00833333333332614, 0.04166666666662416, 0.1666666666666667, 0.5000000000000001,
)  # fmt: skip
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, which then sits in the low bits
ROUND_BITS = 0x4338000000000000


def _expm1_reduced(x: Value) -> Any:
    """a, b, p with e^x = a b (1 + p): a b = 2^k in two factors that cannot overflow, p = expm1(x - k ln 2), |x - k ln 2| <= ln(2)/2."""
    x = least(greatest(x, -745.2), 709.79)
    shifted = x * 1.4426950408889634 + ROUND
    k = shifted - ROUND
    r = (x - k * LN2_HI) - k * LN2_LO
    p = EXP_SERIES[0]
    for c in EXP_SERIES[1:]:
        p = p * r + c
    p = r + r * r * p
    n = bits_of(shifted) - ROUND_BITS
    half = n >> 1
    return real_of((half + 1023) << 52), real_of((n - half + 1023) << 52), p


def exp(x: Value) -> Any:
    """e^x, subnormal results included."""
    a, b, p = _expm1_reduced(x)
    v = (1.0 + p) * a * b
    v = where(x < 709.79, v, math.inf)
    return where(x == x, v, x)


def expm1(x: Value) -> Any:
    """e^x - 1."""
    a, b, p = _expm1_reduced(x)
    s = a * b
    v = s * p + (s - 1.0)
    v = where(x < 709.79, v, math.inf)
    v = where(x > -745.0, v, -1.0)
    return where(x == x, v, x)


LOG_SERIES = (
    1.479819860510658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
    2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01,
)  # fmt: skip


def _log_reduced(u: Value, correction: Any) -> Any:
    """log(u) + correction for a normal u > 0: exponent times log(2) plus an odd series in f / (2 + f)."""
    b = bits_of(u)
    m = real_of((b & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000)
    big = m > 1.4142135623730951
    m = where(big, m * 0.5, m)
    k = cast((b >> 52) - 1023, F64) + where(big, 1.0, 0.0)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = LOG_SERIES[0]
    for q in LOG_SERIES[1:]:
        r = r * z + q
    h = 0.5 * f * f
    return k * LN2_HI - ((h - (s * (h + z * r) + (k * LN2_LO + correction))) - f)


def log1p(x: Value) -> Any:
    """log(1 + x); -inf at -1, NaN below."""
    u = 1.0 + x
    c = where(u < 1e15, x - (u - 1.0), 0.0)
    c = where(x < 1.0, c, where(u < 1e15, 1.0 - (u - x), 0.0))
    v = _log_reduced(u, c / u)
    v = where(u < math.inf, v, u)
    v = where(x > -1.0, v, where(x == -1.0, -math.inf, math.nan))
    return where(x == x, v, x)


# 2 (atanh(s) / s - 1) / s^2 in s^2 on [0, 1/9], fitted in the same way
UNIT_SERIES = (
    0.15643073435544105, 0.07485237198183619, 0.1084680051803883, 0.11734068180117799, 0.13335195194423768, 0.15384543159972075,
    0.18181819921765763, 0.22222222197832636, 0.2857142857160358, 0.3999999999999951, 0.6666666666666666,
)  # fmt: skip


def log1p_unit(x: Value) -> Any:
    """log(1 + x) for 0 <= x <= 1: 2 atanh(x / (2 + x)), faster because no exponent has to be split off."""
    s = x / (2.0 + x)
    t = s * s
    p = UNIT_SERIES[0]
    for c in UNIT_SERIES[1:]:
        p = p * t + c
    return x - s * (x - t * p)


def log(x: Value) -> Any:
    """log(x), subnormal arguments included; -inf at 0, NaN below."""
    tiny = x < 2.2250738585072014e-308
    v = _log_reduced(where(tiny, x * 18014398509481984.0, x), 0.0) - where(tiny, 37.42994775023705, 0.0)
    v = where(x < math.inf, v, x)
    v = where(x > 0, v, where(x == 0, -math.inf, math.nan))
    return where(x == x, v, x)


SIN_TAYLOR = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(9, 0, -1))
COS_TAYLOR = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(10, 0, -1))
HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)


def _sincos(x: Value) -> Any:
    """sin and cos by Cody and Waite's reduction in three parts: within 1 ulp of 1 for |x| <= 1e5, in [-1, 1] beyond, NaN at infinity."""
    x = where(absolute(x) > 1e15, 0.5 + 0.0 * x, x)  # the remainder would have no correct digit, and could be too large for the polynomials
    k = floor(x * 0.6366197723675814 + 0.5)
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
    q = cast(k, I64)
    a, b = where(q & 1, d, s), where(q & 1, s, d)
    a = where(q & 2, -a, a)
    b = where((q + 1) & 2, -b, b)
    return a, b


def sin(x: Value) -> Any:
    """sin(x)."""
    return _sincos(x)[0]


def cos(x: Value) -> Any:
    """cos(x)."""
    return _sincos(x)[1]


f32, i32 = np.float32, np.int32
ROUND32 = f32(12582912.0)  # 1.5 * 2^23: adding it rounds to an integer, which then sits in the low bits


def exp32(x: Value) -> Any:
    """e^x for x <= 0 in float32, below 2 ulp; 0 where the result would be below the smallest normal number (Cephes' polynomial)."""
    y = greatest(x, f32(-87.3))
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
    v = p * real_of((bits_of(shifted) + i32(127)) << i32(23))
    v = where(x > f32(-87.3), v, f32(0.0))
    return where(x == x, v, x)
