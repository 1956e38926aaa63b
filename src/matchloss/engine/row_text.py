"""The formulas of a row of raw predictions, over the protocol `m` and row reductions: what every engine and host computes.

A simplex loss is a map from a row to weights u, and three small formulas. The map is softmax, u = exp(z - max), or a threshold,
u = [1 - scale (max - z) - d]+ with the sum of u^power equal to 1. The formulas see one entry and the sums over all the *others*.
With the sums over the others 1 - p is never computed by subtraction, which keeps confident rows exact.

Cross entropy also has options. With u = softcap(z) / temperature, softcap(z) = c tanh(z / c), L = log sum exp u, p = softmax(u) and a
target t >= 0 of mass a = sum t, its value is a L - <t, u> + lambda L^2 and its gradient ((a + 2 lambda L) p_j - t_j) du_j / dz_j. A
logit of -inf is a mask, even under a softcap: p = 0 there, and the value is infinite if t > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from types import FunctionType
from typing import Any, NamedTuple

from matchloss.engine.namespaces import Namespace, RowReductions


@dataclass(frozen=True)
class Threshold:
    """u = [1 - scale (max - z) - d]+, d such that the sum of u^power is 1. Power 1: sparsemax; 2: entmax 1.5 and spherical."""

    power: float
    scale: float


@dataclass(frozen=True)
class RowProgram:
    """All that the engine needs to know about a simplex loss. Each formula is called with `*constants` at the end.

    terms(m, u, t) -> three terms of an entry, to be summed over the other entries; all are 0 at u = 0, and the first is the weight, with
        p = weight / sum of weights
    base(m, gap, d, others) -> the row's value without that of `entry`; gap = sum t (max - z); others: sums over all but the largest entry
    entry(m, p, c, t, own, others, share) -> value if this is the label, gradient, hessian; c = 1 - p, share = 1 / sum of weights
    """

    terms: FunctionType
    base: FunctionType
    entry: FunctionType
    constants: tuple[float, ...]
    threshold: Threshold | None  # None for softmax
    allowed: str
    curvature: FunctionType | None = None  # (m, p) -> what stands in for the hessian


@dataclass(frozen=True)
class Options:
    """What cross entropy does to the logits and adds to the loss. softcap 0 means none."""

    softcap: float = 0.0
    temperature: float = 1.0
    z_loss: float = 0.0


def exp_gap(m: Any, z: Any, big: Any) -> Any:
    """exp(z - big), z <= big, corrected for the rounding of the difference, which at -88 would cost 44 eps."""
    high = z - big
    b = high - z
    low = (z - (high - b)) - (big + b)
    e = m.exp(high)
    return m.where(high > -inf, e + e * low, e)


def one_minus_gap(m: Any, z: Any, big: Any, scale: Any) -> Any:
    """1 - scale (big - z), also corrected for the rounding of the difference."""
    high = big - z
    b = high - big
    low = (big - (high - b)) - (z + b)
    far = 1.0 - scale * high
    return m.where(high < inf, far - scale * low, far)


def half_gap(half: Any, z: Any, big: Any) -> Any:
    """(big - z) / 2, halved because big - z may overflow although t times it does not. half: 0.5 in the type to compute in."""
    return half * big - half * z


def bonus(m: Any, big: Any, rest: Any, z_loss: Any) -> Any:
    """d (z_loss L^2) / dL, L the row's log sum exp."""
    return 2.0 * z_loss * (big + m.log1p(rest))


def signal(held: Any, own: Any, p: Any, c: Any) -> Any:
    """Cross entropy's gradient at an entry with p = 1 - c; `own` is its target, `held` the target's mass elsewhere (and the bonus)."""
    return held * p - own * c


def cap_slope(m: Any, x: Any, steep: Any) -> Any:
    """steep (1 - tanh(x)^2), without cancellation where tanh is near 1."""
    e = m.exp(-2.0 * m.abs(x))
    return steep * 4.0 * e / ((1.0 + e) * (1.0 + e))


class Solver(NamedTuple):
    """How to find d with (1 - d)^power + sum [w - d]+^power = 1. w is -inf at the largest entry, whose weight (1 - d)^power is apart.

    Solving for d instead of the threshold avoids cancellation: in confident rows d is tiny and exact. For power >= 1 the sum is convex,
    so Newton's method from 0 climbs monotonically; below 1 a bracket guards it.
    """

    summand: Callable[..., Any]  # (m, w, d, power) -> two terms of an entry, to be summed over the row
    step: Callable[..., Any]  # (m, (d, low, high), sum, sum, power) -> the next (d, low, high), and whether to go on


LIMIT = 200  # most steps; usually a handful are enough


def on_support(m: Any, w: Any, d: Any, power: Any) -> tuple[Any, Any]:
    """w, and 1, where the weight is not 0."""
    return m.where(w > d, w, 0.0), m.where(w > d, 1.0, 0.0 * d)


def climb_support(m: Any, state: tuple[Any, Any, Any], a: Any, b: Any, power: Any) -> tuple[tuple[Any, Any, Any], Any]:
    """Power 1: d is the mean over the support, and 0."""
    d, low, high = state
    new = a / (b + 1.0)
    return (m.where(new > d, new, d), low, high), new > d * (1 + 1e-15)


def squares(m: Any, w: Any, d: Any, power: Any) -> tuple[Any, Any]:
    """[w - d]+ squared, and itself."""
    x = m.where(w > d, w - d, 0.0)
    return x * x, x


def climb_squares(m: Any, state: tuple[Any, Any, Any], a: Any, b: Any, power: Any) -> tuple[tuple[Any, Any, Any], Any]:
    """Power 2: a step of Newton's method."""
    d, low, high = state
    new = d + (a - d * (2.0 - d)) / (2.0 * b + 2.0 * (1.0 - d))
    return (m.where(new > d, new, d), low, high), new > d * (1 + 1e-15)


def powers(m: Any, w: Any, d: Any, power: Any) -> tuple[Any, Any]:
    """[w - d]+^power, and its slope over the power."""
    x = m.where(w > d, w - d, 0.0)
    safe = m.where(x > 0, x, 1.0)
    y = m.where(x > 0, m.exp(power * m.log(safe)), 0.0)
    return y, y / safe


def climb_bracket(m: Any, state: tuple[Any, Any, Any], a: Any, b: Any, power: Any) -> tuple[tuple[Any, Any, Any], Any]:
    """Any power: Newton's step if it stays in the bracket, otherwise bisection."""
    d, low, high = state
    left = m.log1p(-d)
    f = a + m.expm1(power * left)
    slope = -power * (b + m.exp((power - 1.0) * left))
    low, high = m.where(f > 0, d, low), m.where(f > 0, high, d)
    new = d - f / slope
    new = m.where((new > low) & (new < high), new, 0.5 * (low + high))
    return (m.where(f == 0, d, new), low, high), (m.abs(new - d) > 1e-16 * d) & (f != 0)


def solver_of(power: float) -> Solver:
    """The solver for a power."""
    if power == 1.0:
        return Solver(on_support, climb_support)
    if power == 2.0:
        return Solver(squares, climb_squares)
    return Solver(powers, climb_bracket)


def deficit(m: Namespace, r: RowReductions, w: Any, power: float) -> Any:
    """Solver's d for whole rows."""
    summand, step = solver_of(power)
    d = 0.0 * r.sum(m.where(w > 0, w, 0.0))

    def turn(state: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        a, b = summand(m, w, state[0], power)
        return step(m, state, r.sum(a), r.sum(b), power)

    return r.iterate(turn, (d, d, d + 1.0), LIMIT)[0]


def largest(m: Namespace, r: RowReductions, z: Any) -> tuple[Any, Any]:
    """The largest entry (NaN if there is a NaN or a second +inf), and True at its first position."""
    big, top = r.max(z), r.first_max(z)
    several = r.sum(m.where(z == big, 1.0, m.where(z == z, 0.0, z))) > 1
    return m.where((m.abs(big) == inf) & several, float("nan"), big), top


def weight_and_target(m: Any, u: Any, t: Any, *options: float) -> tuple[Any, Any, Any]:
    """The terms (see RowProgram) of cross entropy with options."""
    return u, t, 0.0


def exponentials(m: Namespace, z: Any, big: Any, top: Any) -> Any:
    """The weights of softmax."""
    return m.where(top, m.where(big == big, 1.0, big), exp_gap(m, z, big))


def mean_gap(m: Namespace, r: RowReductions, z: Any, t: Any, big: Any) -> Any:
    """sum t (big - z)."""
    half = m.where(z == big, 0.0, half_gap(0.5, z, big))
    return 2.0 * r.sum(m.where(t == 0, 0.0, t * half))


class Parts(NamedTuple):
    """The inputs of a row's formulas, as arrays."""

    p: Any
    c: Any
    own: tuple[Any, Any, Any]
    others: tuple[Any, Any, Any]
    share: Any
    gap: Any
    d: Any
    rest: tuple[Any, Any, Any]


def parts(m: Namespace, r: RowReductions, program: RowProgram, raw: Any, t: Any, solve: Callable[..., Any] | None = None) -> Parts:
    """The parts from which a row's value, gradient and hessian are computed. t: distributions; solve: a replacement for `deficit`."""
    big, top = largest(m, r, raw)
    if program.threshold is None:
        d = 0.0 * m.where(m.abs(big) == inf, 0.0, big)
        u = exponentials(m, raw, big, top)
    else:
        w = m.where(top, -inf, one_minus_gap(m, raw, big, program.threshold.scale))
        d = m.where(r.sum(w) == r.sum(w), (solve or deficit)(m, r, w, program.threshold.power), float("nan"))
        u = m.where(top, 1.0 - d, m.where(w > d, w - d, m.where(d == d, 0.0, d)))
    own = program.terms(m, u, t, *program.constants)
    own = tuple(o + 0.0 * u for o in own)
    rest = tuple(r.sum(m.where(top, 0.0, o)) for o in own)
    total = tuple(s + r.sum(m.where(top, o, 0.0)) for s, o in zip(rest, own, strict=True))
    others = tuple(m.where(top, s, a - o) for s, a, o in zip(rest, total, own, strict=True))
    share = 1.0 / total[0]
    gap = mean_gap(m, r, raw, t, big)
    return Parts(own[0] * share, others[0] * share, own, others, share, gap, d, rest)  # pyright: ignore[reportArgumentType]


class Jet(NamedTuple):
    """The formulas' results for whole rows, unweighted: value and logsumexp (..., 1), gradient (..., K)."""

    value: Any
    logsumexp: Any
    gradient: Any
    p: Any
    bend: Any  # du / dz
    tanh: Any


def jet(m: Namespace, r: RowReductions, z: Any, t: Any, options: Options) -> Jet:
    """Cross entropy with options, over whole arrays of any library. t: the target as one (..., K) array."""
    cool = 1.0 / options.temperature
    if options.softcap:
        tanh = m.tanh(z / options.softcap)
        u = m.where(z > -inf, options.softcap * cool * tanh, z)
        bend = cap_slope(m, z / options.softcap, cool)
    else:
        tanh, u, bend = None, z if cool == 1.0 else z * cool, cool
    big, top = largest(m, r, u)
    e = exponentials(m, u, big, top)
    rest = r.sum(m.where(top, 0.0, e))
    total = 1.0 + rest
    mass, own = r.sum(t), r.sum(m.where(top, t, 0.0))
    log_total = m.log1p(rest)
    lse = big + log_total
    lift = bonus(m, big, rest, options.z_loss) if options.z_loss else 0.0 * rest
    p = e / total
    at_top = (mass - own + lift) / total - own * (rest / total)
    gradient = m.where(top, at_top, (mass + lift) * p - t) * bend
    value = mass * log_total + mean_gap(m, r, u, t, big)
    return Jet(value + options.z_loss * lse * lse if options.z_loss else value, lse, gradient, p, bend, tanh)


def hessian_product(r: RowReductions, x: Jet, t: Any, options: Options, v: Any) -> Any:
    """The hessian of each row, which is symmetric, times v."""
    du = x.bend * v
    shift = r.sum(x.p * du)
    dp = x.p * (du - shift)
    mass = r.sum(t)
    change = mass * dp
    if options.z_loss:
        change = change + 2.0 * options.z_loss * (x.logsumexp * dp + shift * x.p)
    result = change * x.bend
    if options.softcap:  # d bend / d z = -2 tanh bend / c
        slope = (mass + 2.0 * options.z_loss * x.logsumexp) * x.p - t
        result = result + slope * (-2.0 / options.softcap) * x.tanh * x.bend * v
    return result
