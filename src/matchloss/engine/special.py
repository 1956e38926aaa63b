"""Functions of one variable that formulas use and not every backend has, written over the protocol `m`."""

from __future__ import annotations

from typing import Any

SQRT_2 = 1.4142135623730951
TWO_OVER_SQRT_PI = 1.1283791670955126
INV_SQRT_2PI = 0.3989422804014327
LOG_SQRT_2PI = 0.9189385332046727

# (x + B) (1 / Mills(x) - x) on [0, inf) as a polynomial in t = (x - K) / (x + K): Chebyshev at 50 digits, error below 2e-17.
MILLS_K = 4.0
MILLS_B = 1.5
MILLS_EVEN = (
    5.799856728462516e-09, -6.473323675227837e-08, 3.766444124403394e-07, -1.5616066006036577e-06, 5.180162183543884e-06,
    -1.3847102055929027e-05, 2.515886933302641e-05, 9.068213051690309e-06, -0.0003678434232634373, 0.0022311000209424437,
    -0.009586047445985001, 0.0322962587852422, -0.07392998541583079, -0.09309367285799144, 1.240839294692091,
)  # fmt: skip
MILLS_ODD = (
    3.882613183496484e-09, -1.4305819174456684e-08, -1.393101452867676e-07, 1.7547433776385013e-06, -1.0903105595981044e-05,
    5.0370680284652294e-05, -0.00019375343589796536, 0.0006434197189189441, -0.0018257274919182781, 0.004070785775710835,
    -0.004407647493455227, -0.02002388207575467, 0.1720300453863592, -0.24874773357082688,
)  # fmt: skip

# erf(x) = 2/sqrt(pi) x sum (-1)^n x^(2n) / (n! (2n+1)), the highest term first; below 2e-19 beyond for |x| < 0.75.
ERF_SERIES = (
    -2.466827010264457e-14, 3.9554295164585257e-13, -5.9477940136376354e-12, 8.35070279514724e-11, -1.0892221037148573e-09,
    1.3122532963802806e-08, -1.4503852223150468e-07, 1.4589169000933706e-06, -1.3227513227513228e-05, 0.00010683760683760684,
    -0.0007575757575757576, 0.004629629629629629, -0.023809523809523808, 0.1, -0.3333333333333333, 1.0,
)  # fmt: skip


def sigmoids(m: Any, x: Any) -> tuple[Any, Any, Any]:
    """exp(-|x|), 1 / (1 + exp(-x)) and 1 / (1 + exp(x)), the last two computed separately and not as 1 minus the other."""
    e = m.exp(-m.abs(x))
    p = 1 / (1 + e)
    q = e * p
    return e, m.where(x >= 0, p, q), m.where(x >= 0, q, p)


def sigmoid(m: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)), accurate in both tails."""
    return sigmoids(m, x)[1]


def softplus(m: Any, x: Any) -> Any:
    """log(1 + exp(x)), the integral of sigmoid."""
    return m.log1p_unit(m.exp(-m.abs(x))) + m.where(x > 0, x, 0.0)


def tanh(m: Any, x: Any) -> Any:
    """(1 - exp(-2x)) / (1 + exp(-2x)), odd to the last bit."""
    f = m.expm1(-2 * m.abs(x))
    t = -f / (2 + f)
    return m.where(x < 0, -t, t)


def inverse_mills_excess(m: Any, x: Any) -> Any:
    """phi(x) / Phi(-x) - x for x >= 0: positive, falling from 0.798 to 1 / x."""
    t = (x - MILLS_K) / (x + MILLS_K)
    u = t * t
    even = MILLS_EVEN[0]
    for c in MILLS_EVEN[1:]:
        even = even * u + c
    odd = MILLS_ODD[0]
    for c in MILLS_ODD[1:]:
        odd = odd * u + c
    return (even + t * odd) / (x + MILLS_B)


def normal_density(m: Any, x: Any) -> Any:
    """exp(-x^2 / 2) / sqrt(2 pi) for x >= 0, with the square in two parts so that the exponential does not amplify its rounding."""
    near = x < 64
    high = m.where(near, m.floor(x * 16 + 0.5) * 0.0625, 64.0)
    low = m.where(near, (x - high) * (x + high), 0.0)
    return INV_SQRT_2PI * m.exp(-0.5 * high * high) * m.exp(-0.5 * low)


def normal_tail(m: Any, x: Any) -> Any:
    """Phi(-x) for x >= 0, accurate until it underflows."""
    x = m.where(x > 1e30, 1e30, x)
    return normal_density(m, x) / (x + inverse_mills_excess(m, x))


def erf(m: Any, x: Any) -> Any:
    """2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    a = m.abs(x)
    u = m.where(a < 0.75, x * x, 0.0)
    series = ERF_SERIES[0]
    for c in ERF_SERIES[1:]:
        series = series * u + c
    far = 1 - 2 * normal_tail(m, SQRT_2 * a)
    return m.where(a < 0.75, TWO_OVER_SQRT_PI * x * series, m.where(x < 0, -far, far))
