"""Terms that several formulas share. Every function is written over the protocol `m` of matchloss.engine.namespaces."""

from __future__ import annotations

import math
from math import inf
from typing import Protocol

from matchloss.engine.namespaces import Namespace
from matchloss.engine.special import sigmoids as sigmoids


class Numbers(Protocol):
    """What a formula computes with: arrays of any library, scalars, a compiled loop's floats. Operators give more of the same."""

    def __neg__(self) -> Numbers: ...
    def __invert__(self) -> Numbers: ...
    def __add__(self, other: Operand, /) -> Numbers: ...
    def __radd__(self, other: float, /) -> Numbers: ...
    def __sub__(self, other: Operand, /) -> Numbers: ...
    def __rsub__(self, other: float, /) -> Numbers: ...
    def __mul__(self, other: Operand, /) -> Numbers: ...
    def __rmul__(self, other: float, /) -> Numbers: ...
    def __truediv__(self, other: Operand, /) -> Numbers: ...
    def __rtruediv__(self, other: float, /) -> Numbers: ...
    def __pow__(self, other: int, /) -> Numbers: ...
    def __and__(self, other: Operand, /) -> Numbers: ...
    def __or__(self, other: Operand, /) -> Numbers: ...
    def __lt__(self, other: Operand, /) -> Numbers: ...
    def __le__(self, other: Operand, /) -> Numbers: ...
    def __gt__(self, other: Operand, /) -> Numbers: ...
    def __ge__(self, other: Operand, /) -> Numbers: ...
    def __eq__(self, other: object, /) -> Numbers: ...
    def __ne__(self, other: object, /) -> Numbers: ...


Operand = Numbers | float
Triple = tuple[Operand, Operand, Operand]  # value, gradient and hessian; or what an entry adds to a row's three sums
Pieces = tuple[Triple, ...]  # kink, slope below it, slope above it


def times(m: Namespace, weight: Numbers, x: Numbers) -> Numbers:
    """weight * x, and 0 where the weight is 0 even if x is infinite, because a hard target switches its term off."""
    return m.where(weight == 0, 0.0, weight * x)


def times_square(m: Namespace, weight: Numbers, x: Numbers) -> Numbers:
    """weight * x^2, and 0 where the weight is 0; no overflow of x^2 if a small weight keeps the product finite."""
    return m.where(weight == 0, 0.0, weight * x * x)


def constant(m: Namespace, c: float, x: Numbers) -> Numbers:
    """c, but NaN where x is NaN."""
    return m.where(x == x, c, x)


def at_labels(m: Namespace, target: Numbers, at_one: Numbers, at_zero: Numbers) -> Numbers:
    """target * at_one + (1 - target) * at_zero: what makes a binary loss linear in its target."""
    return times(m, target, at_one) + times(m, 1 - target, at_zero)


def split_factor(a: float) -> tuple[float, float, float]:
    """A factor in the form that exp_of_product takes: its leading 26 bits, the rest, and the grid 2^k to which raw is rounded."""
    fraction, exponent = math.frexp(a)
    high = math.ldexp(round(math.ldexp(fraction, 26)), exponent - 26)
    return high, a - high, math.ldexp(1.0, 15 + exponent)


def exp_of_product(m: Namespace, high: float, low: float, grid: float, raw: Numbers) -> Numbers:
    """exp((high + low) raw) to 1.5 eps. A plain product would be off by up to 745 eps / 2, which the exponential would amplify."""
    product, small = _product(m, high, low, grid, raw)
    e = m.exp(product)
    return m.where(e == inf, e, e + e * small)


def times_exp_of_product(m: Namespace, weight: Numbers, high: float, low: float, grid: float, raw: Numbers) -> Numbers:
    """weight * exp((high + low) raw) to 3 eps, finite if a small weight makes it so; 0 where the weight is 0."""
    product, small = _product(m, high, low, grid, raw)
    e = m.exp(0.5 * product)
    return m.where(weight == 0, 0.0, weight * e * (e * (1 + small)))


def _product(m: Namespace, high: float, low: float, grid: float, raw: Numbers) -> tuple[Numbers, Numbers]:
    """a, b with e^a (1 + b) = exp((high + low) raw), a exact; raw is clipped where the exponential overflows or underflows anyway."""
    bound, back = 134217728.0 / grid, 1.0 / grid
    raw = m.where(raw > bound, bound, m.where(raw < -bound, -bound, raw))
    cut = m.floor(raw * grid + 0.5) * back
    rest = low * cut + (high + low) * (raw - cut)
    return high * cut, rest * (1 + rest * (0.5 + rest * 0.16666666666666666))
