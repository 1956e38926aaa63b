"""The text of a row of raw predictions, over the protocol `m` and the reductions of rows: what every engine and host computes.

A simplex loss is a map from a row to weights u, and three small formulas. The map is softmax, u = exp(z - max), or a threshold,
u = [1 - scale (max - z) - d]+ with the sum of u^power equal to 1. The formulas see one entry and, summed, all the *others*:
with the sum of the others no 1 - p is ever formed by subtraction, which is what keeps confident rows exact.

Cross entropy has options besides. With u = softcap(z) / temperature, softcap(z) = c tanh(z / c), L = log sum exp u, p = softmax(u), a
target t >= 0 of mass a = sum t, its value is a L - <t, u> + lambda L^2 and its gradient ((a + 2 lambda L) p_j - t_j) du_j / dz_j. A
logit of -inf is a mask, under a softcap too: p = 0 there, and the value is infinite if t > 0.
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
    """All that the engine needs to know of a simplex loss. Each formula is called with `*constants` at the end.

    terms(m, u, t) -> three terms of an entry, of which sums over the other entries are wanted; the first is the weight: p = weight / sum;
        all three are 0 at u = 0
    base(m, gap, d, others) -> the row's value apart from entries'; gap = sum t (max - z); others: sums over all but the largest entry
    entry(m, p, c, t, own, others, share) -> value were this the label, gradient, hessian; c = 1 - p, share = 1 / sum of weights
    """

    terms: FunctionType
    base: FunctionType
    entry: FunctionType
    constants: tuple[float, ...]
    threshold: Threshold | None  # None: softmax
    allowed: str
    curvature: FunctionType | None = None  # (m, p) -> what stands in for the hessian


@dataclass(frozen=True)
class Options:
    """What cross entropy does to the logits, and what it adds to the loss. softcap 0: none."""

    softcap: float = 0.0
    temperature: float = 1.0
    z_loss: float = 0.0


class Parts(NamedTuple):
    """What the formulas of a row are made of, as arrays."""

    p: Any
    c: Any
    own: tuple[Any, Any, Any]
    others: tuple[Any, Any, Any]
    share: Any
    gap: Any
    d: Any
    rest: tuple[Any, Any, Any]


def exp_gap(m: Any, z: Any, big: Any) -> Any:
    """exp(z - big), z <= big, with the rounding of the difference put back: at -88 it would cost 44 eps."""
    high = z - big
    b = high - z
    low = (z - (high - b)) - (big + b)
    e = m.exp(high)
    return m.where(high > -inf, e + e * low, e)


def one_minus_gap(m: Any, z: Any, big: Any, scale: Any) -> Any:
    """1 - scale (big - z), the difference likewise in two parts."""
    high = big - z
    b = high - big
    low = (big - (high - b)) - (z + b)
    far = 1.0 - scale * high
    return m.where(high < inf, far - scale * low, far)


def parts(m: Namespace, r: RowReductions, program: RowProgram, raw: Any, t: Any, solve: Callable[..., Any] | None = None) -> Parts:
    """The reference: the same text as the compiled loops run, over whole arrays. t: distributions; solve: stands in for `deficit`."""
    big, top = r.max(raw), r.first_max(raw)
    several = r.sum(m.where(raw == big, 1.0, m.where(raw == raw, 0.0, raw))) > 1
    big = m.where((m.abs(big) == inf) & several, m.where(big == big, float("nan"), big), big)
    if program.threshold is None:
        d = 0.0 * m.where(m.abs(big) == inf, 0.0, big)
        u = m.where(top, m.where(big == big, 1.0, big), exp_gap(m, raw, big))
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
    half = m.where(raw == big, 0.0, 0.5 * big - 0.5 * raw)  # half, since the whole may overflow where t times it does not
    gap = 2.0 * r.sum(m.where(t == 0, 0.0, t * half))
    return Parts(own[0] * share, others[0] * share, own, others, share, gap, d, rest)  # pyright: ignore[reportArgumentType]


def deficit(m: Namespace, r: RowReductions, w: Any, power: float) -> Any:
    """d with (1 - d)^power + sum [w - d]+^power = 1; w holds -inf at the largest entry, whose own weight is (1 - d)^power.

    Solving for d, not for the threshold, leaves no cancellation: near a certain row d is tiny and exact. Newton from 0 climbs
    monotonically for power >= 1, since the sum is convex; below 1 a bracket guards it.
    """
    d = 0.0 * r.sum(m.where(w > 0, w, 0.0))

    def climb(state: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        (d,) = state
        x = m.where(w > d, w - d, 0.0)
        if power == 1.0:
            new = r.sum(m.where(w > d, w, 0.0)) / (r.sum(m.where(w > d, 1.0, 0.0 * x)) + 1.0)
        else:
            new = d + (r.sum(x * x) - d * (2.0 - d)) / (2.0 * r.sum(x) + 2.0 * (1.0 - d))
        return (m.where(new > d, new, d),), new > d * (1 + 1e-15)

    def bracket(state: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        d, low, high = state
        x = m.where(w > d, w - d, 0.0)
        safe = m.where(x > 0, x, 1.0)
        y = m.where(x > 0, m.exp(power * m.log(safe)), 0.0)
        left = m.log1p(-d)
        f = r.sum(y) + m.expm1(power * left)
        slope = -power * (r.sum(m.where(x > 0, y / safe, 0.0)) + m.exp((power - 1.0) * left))
        low, high = m.where(f > 0, d, low), m.where(f > 0, high, d)
        new = d - f / slope
        new = m.where((new > low) & (new < high), new, 0.5 * (low + high))
        going = (m.abs(new - d) > 1e-16 * d) & (f != 0)
        return (m.where(f == 0, d, new), low, high), going

    if power in (1.0, 2.0):
        return r.iterate(climb, (d,), 100)[0]
    return r.iterate(bracket, (d, d, d + 1.0), 200)[0]


class Jet(NamedTuple):
    """What the formulas of whole rows give: value and logsumexp (..., 1), gradient (..., K), without the row's weight."""

    value: Any
    logsumexp: Any
    gradient: Any
    p: Any
    bend: Any  # du / dz
    tanh: Any


def jet(m: Namespace, r: RowReductions, z: Any, t: Any, options: Options) -> Jet:
    """The reference, over whole arrays of any library; the compiled loop is its fast form. t: the mixture as one (..., K) array."""
    cool = 1.0 / options.temperature
    if options.softcap:
        tanh = m.tanh(z / options.softcap)
        u = m.where(z > -inf, options.softcap * cool * tanh, z)
        e = m.exp(-2.0 * m.abs(z / options.softcap))
        bend = cool * 4.0 * e / ((1.0 + e) * (1.0 + e))
    else:
        tanh, u, bend = None, z if cool == 1.0 else z * cool, cool
    big, top = r.max(u), r.first_max(u)
    several = r.sum(m.where(u == big, 1.0, m.where(u == u, 0.0, u))) > 1
    big = m.where((m.abs(big) == inf) & several, big * float("nan"), big)
    e = m.where(top, m.where(big == big, 1.0, big), exp_gap(m, u, big))
    rest = r.sum(m.where(top, 0.0, e))
    total = 1.0 + rest
    mass, own = r.sum(t), r.sum(m.where(top, t, 0.0))
    half = m.where(u == big, 0.0, 0.5 * big - 0.5 * u)
    gap = 2.0 * r.sum(m.where(t == 0, 0.0, t * half))
    log_total = m.log1p(rest)
    lse = big + log_total
    bonus = 2.0 * options.z_loss * lse if options.z_loss else 0.0 * rest
    p = e / total
    at_top = (mass - own + bonus) / total - own * (rest / total)
    gradient = m.where(top, at_top, (mass + bonus) * p - t) * bend
    value = mass * log_total + gap
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
