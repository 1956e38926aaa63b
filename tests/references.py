"""Every loss a second time, in mpmath at 60 digits: the only place with a second formula.

Written from the docstrings and from the definitions, not from the rearrangements in `matchloss.losses`. Each output of a loss is the list
of the terms of its documented formula: their sum is the exact output, the sum of their absolute values the scale that the contract of
accuracy measures errors by. Where the contract promises accuracy relative to the result itself, the list has one term.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath as mp

from matchloss.losses import Loss

mp.mp.dps = 60
M = mp.mpf
Terms = list[Any]
Jet = tuple[Terms, Terms, Terms]
ZERO, ONE, HALF = M(0), M(1), M(1) / 2


def total(terms: Terms) -> Any:
    """The exact output."""
    return mp.fsum(terms)


def scale(terms: Terms) -> Any:
    """What an error is measured by."""
    return mp.fsum(terms, absolute=True)


def softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(-abs(x))) + max(x, ZERO)


def sigmoid(x: Any) -> Any:
    e = mp.exp(-abs(x))
    return (ONE if x >= 0 else e) / (1 + e)


# --- losses of a number: functions of d = z - y ---------------------------------------------------------------------------------


def squared_error(loss: Any, d: Any) -> Jet:
    return [d * d / 2], [d], [ONE]


def absolute_error(loss: Any, d: Any) -> Jet:
    return [abs(d)], [mp.sign(d)], [ZERO]


def pinball(loss: Any, d: Any) -> Jet:
    slope = (1 if d >= 0 else 0) - M(loss.alpha)
    return [slope * d], [slope], [ZERO]


def expectile(loss: Any, d: Any) -> Jet:
    w = abs((1 if d >= 0 else 0) - M(loss.alpha))
    return [w * d * d], [2 * w * d], [2 * w]


def huber(loss: Any, d: Any) -> Jet:
    delta, a = M(loss.delta), abs(d)
    if a <= delta:
        return [d * d / 2], [d], [ONE]
    return [delta * a, -delta * delta / 2], [delta * mp.sign(d)], [ZERO]


def log_cosh(loss: Any, d: Any) -> Jet:
    a = abs(d)
    value = mp.log1p(2 * mp.sinh(a / 2) ** 2) if a < 1 else a + mp.log1p(mp.exp(-2 * a)) - mp.log(2)
    return [value], [mp.tanh(d)], [4 * mp.exp(-2 * a) / (1 + mp.exp(-2 * a)) ** 2]


def quartic(loss: Any, d: Any) -> Jet:
    return [d**4], [4 * d**3], [12 * d**2]


def sine_squared(loss: Any, d: Any) -> Jet:
    # The hessian changes sign, and 2 cos 2d is the difference of two squares: those are its terms (engine.md, "Ill-posed demands").
    s, c, u, v = mp.sin(d), mp.cos(d), mp.sinpi(d), mp.cospi(d)
    hessian = [2 * c * c, -2 * s * s, 2 * mp.pi**2 * v * v, -2 * mp.pi**2 * u * u]
    return [s * s, u * u], [mp.sin(2 * d), mp.pi * mp.sinpi(2 * d)], hessian


# --- losses of a probability: f(z, 1), and f(z, 0) by symmetry unless said otherwise ------------------------------------------------


def logistic_one(loss: Any, z: Any) -> Jet:
    return [softplus(-z)], [-sigmoid(-z)], [sigmoid(z) * sigmoid(-z)]


def mills_excess(x: Any) -> Any:
    """phi(x) / Phi(-x) - x for x >= 0: by its continued fraction far out, where the quotient would cancel."""
    if x > 60:
        v = x
        for k in range(60, 1, -1):
            v = x + k / v
        return 1 / v
    return 1 / (mp.sqrt(mp.pi / 2) * mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2))) - x


def probit_one(loss: Any, z: Any) -> Jet:
    if z <= 0:
        excess = mills_excess(-z)
        rate = excess - z
        return [z * z / 2, mp.log(rate * mp.sqrt(2 * mp.pi))] if z < -5 else [-mp.log(mp.ncdf(z))], [-rate], [rate * excess]
    if z > 1000:  # below 10^-217000
        return [ZERO], [ZERO], [ZERO]
    tail = mp.erfc(z / mp.sqrt(2)) / 2
    rate = mp.npdf(z) / (1 - tail)
    return [-mp.log1p(-tail)], [-rate], [rate * (z + rate)]


def cloglog_one(loss: Any, z: Any) -> Jet:
    if z > 20:  # below 10^-(2 10^8)
        return [ZERO], [ZERO], [ZERO]
    mu = mp.exp(z)
    if mu < M("1e-12"):  # r + mu - 1 would cancel
        r, slope = 1 - mu / 2 + mu**2 / 12 - mu**4 / 720, mu / 2 + mu**2 / 12 - mu**4 / 720
        return [-z - mp.log1p(-mu / 2 + mu**2 / 6 - mu**3 / 24 + mu**4 / 120)], [-r], [r * slope]

    # exp(-mu) multiplies the rounding of mu itself by mu: the scale is (1 + mu) times the output, written as terms that cancel.
    def spread(x: Any) -> Terms:
        return [x, x * mu / 2, -x * mu / 2]

    r = mu / mp.expm1(mu)
    return tuple(map(spread, cloglog_plain(mu, r)))  # type: ignore[return-value]


def cloglog_plain(mu: Any, r: Any) -> tuple[Any, Any, Any]:
    return -mp.log(-mp.expm1(-mu)) if mu < 1 else -mp.log1p(-mp.exp(-mu)), -r, r * (r + mu - 1)


def cloglog_zero(loss: Any, z: Any) -> Jet:
    mu = mp.exp(z)
    return [mu], [mu], [mu]


def binary_brier_one(loss: Any, z: Any) -> Jet:
    if abs(z) > 1:
        return [max(-z, ZERO)], [-ONE if z < 0 else ZERO], [ZERO]
    q = (1 - z) / 2
    return [q * q], [-q], [HALF]


def binary_spherical_one(loss: Any, z: Any) -> Jet:
    if abs(z) > 1:
        return [max(-z, ZERO)], [-ONE if z < 0 else ZERO], [ZERO]
    s = mp.sqrt(2 - z * z)
    return [1 - (z + s) / 2], [(z / s - 1) / 2], [1 / s**3]


def sigmoid_brier_one(loss: Any, z: Any) -> Jet:
    p, q = sigmoid(z), sigmoid(-z)
    return [q * q], [-2 * p * q * q], [4 * p * p * q * q, -2 * p * q**3]


def exponential_one(loss: Any, z: Any) -> Jet:
    e = mp.exp(-z)
    return [e], [-e], [e]


def hinge_one(loss: Any, z: Any) -> Jet:
    return [max(1 - z, ZERO)], [-ONE if z < 1 else ZERO], [ZERO]


def squared_hinge_one(loss: Any, z: Any) -> Jet:
    u = max(1 - z, ZERO)
    return [u * u], [-2 * u], [M(2) if z < 1 else ZERO]


def focal_one(loss: Any, z: Any) -> Jet:
    k, p, q, l = M(loss.gamma), sigmoid(z), sigmoid(-z), softplus(-z)
    power = mp.exp(-k * softplus(z))  # q^gamma
    return [power * l], [-power * k * p * l, -power * q], [power * p * (2 * k + 1) * q, power * p * k * l * k * p, -power * p * k * l * q]


# --- exponential families, mu = e^z ---------------------------------------------------------------------------------------------


def poisson(loss: Any, z: Any, y: Any) -> Jet:
    mu = mp.exp(z)
    return [mu, -y * z], [mu, -y], [mu]


def gamma(loss: Any, z: Any, y: Any) -> Jet:
    r = y * mp.exp(-z)
    return [z, r], [ONE, -r], [r]


def tweedie(loss: Any, z: Any, y: Any) -> Jet:
    power = M(getattr(loss, "power", 3))
    if power == 1:
        return poisson(loss, z, y)
    if power == 2:
        return gamma(loss, z, y)
    s, t = mp.exp((2 - power) * z), y * mp.exp((1 - power) * z)
    return [s / (2 - power), -t / (1 - power)], [s, -t], [(2 - power) * s, -(1 - power) * t]


def negative_binomial(loss: Any, z: Any, y: Any) -> Jet:
    size = M(loss.size)
    t = z - mp.log(size)
    p, q = sigmoid(t), sigmoid(-t)
    return [size * softplus(t), y * softplus(-t)], [size * p, -y * q], [size * p * q, y * p * q]


LOCATION = {f.__name__: f for f in (squared_error, absolute_error, pinball, expectile, huber, log_cosh, quartic, sine_squared)}
BINARY_ONE: dict[str, Callable[[Any, Any], Jet]] = {
    "logistic": logistic_one, "probit": probit_one, "cloglog": cloglog_one, "binary_brier": binary_brier_one,
    "binary_spherical": binary_spherical_one, "sigmoid_brier": sigmoid_brier_one, "exponential": exponential_one,
    "hinge": hinge_one, "squared_hinge": squared_hinge_one, "focal": focal_one,
}  # fmt: skip
POSITIVE = {
    "poisson": poisson, "gamma": gamma, "inverse_gaussian": tweedie, "tweedie": tweedie, "negative_binomial": negative_binomial,
}  # fmt: skip


def at_labels(loss: Loss, z: Any, y: Any) -> Jet:
    """y f(z, 1) + (1 - y) f(z, 0); a term whose weight is 0 is not there."""
    one = BINARY_ONE[loss.name]
    outputs: Jet = ([], [], [])
    if y > 0:
        for terms, new in zip(outputs, one(loss, z), strict=True):
            terms += [y * t for t in new]
    if y < 1:
        zero = cloglog_zero(loss, z) if loss.name == "cloglog" else one(loss, -z)
        for i, (terms, new) in enumerate(zip(outputs, zero, strict=True)):
            flip = -1 if i == 1 and loss.name != "cloglog" else 1
            terms += [flip * (1 - y) * t for t in new]
    return outputs


def pointwise(loss: Loss, z: Any, y: Any) -> Jet:
    """The terms of value, gradient and hessian at raw z and target y, exact for these mpf numbers."""
    if loss.name in LOCATION:
        return LOCATION[loss.name](loss, z - y)
    if loss.name in POSITIVE:
        return POSITIVE[loss.name](loss, z, y)
    return at_labels(loss, z, y)


@cache
def pointwise_at(loss: Loss, raw: float, target: float) -> Jet:
    """The same at stored inputs: location losses are functions of fl(raw - target), as the contract has it."""
    if loss.name in LOCATION:
        return LOCATION[loss.name](loss, M(raw - target))
    return pointwise(loss, M(raw), M(target))


def known(loss: Loss) -> bool:
    """Whether this file has a reference of the loss: a test fails for a loss of the catalogue that has none."""
    return loss.name in LOCATION or loss.name in POSITIVE or loss.name in BINARY_ONE
