"""Losses of a row of raw predictions: what a program is, its text over arrays, and which engine runs.

A simplex loss is a map from a row to weights u, and three small formulas. The map is softmax, u = exp(z - max), or a threshold,
u = [1 - scale (max - z) - d]+ with the sum of u^power equal to 1. The formulas see one entry and, summed, all the *others*:
with the sum of the others no 1 - p is ever formed by subtraction, which is what keeps confident rows exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise, threads
from matchloss.engine.arrays import Evaluation, apart_from, as_array, as_weight, is_plain, outputs_of, refuse, refuse_at, result_dtype
from matchloss.engine.namespaces import NUMPY, NUMPY_ROWS, Namespace, Rows
from matchloss.errors import DomainError, ShapeError

COMPILE_FROM = 1000  # entries
SIDE_BY_SIDE_BELOW = 32  # columns; a shorter row does not fill vector registers, so many rows are worked on at once


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


def parts(m: Namespace, r: Rows, program: RowProgram, raw: Any, t: Any, solve: Callable[..., Any] | None = None) -> Parts:
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


def deficit(m: Namespace, r: Rows, w: Any, power: float) -> Any:
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


def evaluate(program: RowProgram, raw: Any, target: Any, sample_weight: Any, want: tuple[bool, bool, bool], out: Any) -> Evaluation:
    """Value (...,), gradient and hessian diagonal (..., K), each row multiplied by its weight; raises before writing into `out`."""
    raw = as_array("raw", raw)
    if raw.ndim == 0 or raw.shape[-1] == 0:
        raise ShapeError(f"raw has shape {raw.shape}; a simplex loss takes (..., K) with at least one class")
    target, labels = as_target(target, raw.shape)
    rows = raw.shape[:-1]
    weight = as_weight(sample_weight, rows)
    outs = outputs_of(out, want, raw.shape, (rows, raw.shape, raw.shape), result_dtype(raw))
    if out is not None:
        raw, target = apart_from(raw, outs, except_for=1), apart_from(target, outs)
        weight = None if weight is None else apart_from(weight, outs)
    if out is not None or raw.size < COMPILE_FROM:
        check(program, target, labels, raw.shape[-1], weight)
    if raw.size < COMPILE_FROM:
        _by_numpy(program, raw, target, labels, weight, outs)
    else:
        by_loop(program, raw, target, labels, weight, outs)
    return Evaluation(*(o if o is None or o.shape or out is not None else o[()] for o in outs))


def as_target(target: Any, shape: tuple[int, ...]) -> tuple[NDArray[Any], bool]:
    """Labels (...,) or distributions (..., K), and which of the two they are."""
    target = as_array("target", target)
    if target.shape == shape:
        return target, False
    if target.shape != shape[:-1]:
        raise ShapeError(f"target has shape {target.shape}; raw of shape {shape} asks for labels {shape[:-1]} or distributions {shape}")
    if target.dtype.kind == "f":
        raise TypeError(f"target has dtype {target.dtype}; labels are integers")
    return target, True


def check(
    program: RowProgram,
    target: NDArray[Any],
    labels: bool,
    classes: int,
    weight: NDArray[Any] | None,
    tolerance: float | None = None,
) -> None:
    """DomainError for the first label out of range or row that is no distribution, in a row whose weight is not 0."""
    if labels and (not target.size or (target.min() >= 0 and target.max() < classes)):
        return  # the common case, without a temporary array
    counted = np.ones(target.shape[: target.ndim - (not labels)], np.bool_) if weight is None else weight != 0
    if labels:
        refuse("target", target, ((target < 0) | (target >= classes)) & counted, f"labels 0..{classes - 1}")
        return
    tolerance = sum_tolerance(target) if tolerance is None else tolerance
    with np.errstate(invalid="ignore", over="ignore"):
        entries = ~(target >= 0) | ~(target <= 1 + tolerance)
        refuse("target", target, entries & np.expand_dims(counted, -1), "probabilities >= 0 that sum to 1")
        total = np.asarray(np.sum(target, axis=-1, dtype=np.float64))
        bad = ~(np.abs(total - 1) <= tolerance) & counted
    if bad.any():
        place = np.unravel_index(int(np.argmax(bad)), bad.shape)
        row = f"[{', '.join(map(str, place))}]" if place else ""
        raise DomainError(f"target{row} sums to {float(total[place])!r}; allowed: probabilities that sum to 1 within {tolerance:g}")


def sum_tolerance(target: NDArray[Any]) -> float:
    """How far from 1 the sum of a distribution of this dtype may be."""
    return {2: 1e-2, 4: 1e-4}.get(target.dtype.itemsize, 1e-6) if target.dtype.kind == "f" else 1e-6


def distributions(target: NDArray[Any], labels: bool, classes: int) -> NDArray[np.float64]:
    """Targets as float64 distributions; labels become corners."""
    return (target[..., np.newaxis] == np.arange(classes)).astype(np.float64) if labels else target.astype(np.float64)


def step(program: RowProgram, rows: int, classes: int, weighted: bool, hessian: bool) -> pointwise.Step:
    """step(raw, labels, weight, value, gradient, hessian) on plain float64 rows, as pointwise.step; the gradient may be raw itself."""
    if rows * classes < COMPILE_FROM:
        return lambda z, y, w, *outs: _by_numpy(program, z, y, True, w, list(outs))
    loop, settings = loop_of(program, "f8", (True, True, hessian), True, weighted, classes)
    return lambda z, y, w, *outs: loop(z, y, w, 0.0, *settings, *outs, program.constants)


def loop_of(
    program: RowProgram, dtype: str, wanted: tuple[bool, bool, bool], labels: bool, weighted: bool, classes: int
) -> tuple[Callable[..., int], tuple[float, float]]:
    """The compiled loop for these outputs, and the threshold's power and scale, which it takes after the tolerance."""
    with threads.FIRST_CALLS:
        from matchloss.engine.row_loops import row_loop

        short = classes < SIDE_BY_SIDE_BELOW and (program.threshold is None or program.threshold.power in (1.0, 2.0))
        loop = row_loop(program, dtype, wanted, labels, weighted, short)
    return loop, (0.0, 0.0) if program.threshold is None else (program.threshold.power, program.threshold.scale)


def _by_numpy(
    program: RowProgram,
    raw: NDArray[Any],
    target: NDArray[Any],
    labels: bool,
    weight: NDArray[Any] | None,
    outs: list[NDArray[Any] | None],
) -> None:
    z, t = raw.astype(np.float64), distributions(target, labels, raw.shape[-1])
    with np.errstate(all="ignore"):
        x = parts(NUMPY, NUMPY_ROWS, program, z, t) if z.size else None
        if x is None:
            return
        v, g, h = program.entry(NUMPY, x.p, x.c, t, x.own, x.others, x.share, *program.constants)
        if program.curvature is not None:
            h = program.curvature(NUMPY, x.p)
        base = program.base(NUMPY, x.gap, x.d, x.rest, *program.constants)
        value = (base + np.sum(np.where(t == 0, 0.0, t * v), axis=-1, keepdims=True))[..., 0]
        for result, out in zip((value, g, h), outs, strict=True):
            if out is not None:
                w = None if weight is None else weight.reshape(weight.shape + (1,) * (out.ndim - weight.ndim))
                out[...] = result if w is None else np.where(w == 0, 0.0, result * w)


def by_loop(
    program: RowProgram,
    raw: NDArray[Any],
    target: NDArray[Any],
    labels: bool,
    weight: NDArray[Any] | None,
    outs: list[NDArray[Any] | None],
    tolerance: float | None = None,
) -> None:
    """The compiled loop over arrays of any layout, targets checked in the pass: DomainError, `outs` then half written."""
    classes = raw.shape[-1]
    if not raw.size:
        return
    floats = [a for a in (raw, None if labels else target, weight, *outs) if a is not None]
    dtype = np.dtype("f4" if all(a.dtype.kind == "f" and a.dtype.itemsize == 4 for a in floats) else "f8")
    wanted = tuple(a is not None for a in outs)
    loop, settings = loop_of(program, dtype.str[1:], wanted, labels, weight is not None, classes)  # pyright: ignore[reportArgumentType]
    z, y = raw.reshape(-1, classes), target.reshape(-1) if labels else target.reshape(-1, classes)
    w = None if weight is None else weight.reshape(-1)
    flat = [None if a is None else a.reshape((-1, classes)[: 1 + (i > 0)]) for i, a in enumerate(outs)]
    allowed = sum_tolerance(target) if tolerance is None else tolerance

    def block(start: int, stop: int) -> int:
        ins = (
            _plain(z[start:stop], dtype),
            _plain(y[start:stop], np.dtype(np.int64) if labels else dtype),
            None if w is None else _plain(w[start:stop], dtype),
        )
        sinks = [None if a is None else a[start:stop] for a in flat]
        lines = [a if a is None or is_plain(a, dtype) else np.empty(a.shape, dtype) for a in sinks]
        bad = loop(*ins, allowed, *settings, *lines, program.constants)
        for sink, line in zip(sinks, lines, strict=True):
            if sink is not None and line is not None and sink is not line:
                with np.errstate(over="ignore"):
                    np.copyto(sink, line, casting="same_kind")
        return bad if bad < 0 else bad + start

    height = max(128, (1 << 17) // classes // 128 * 128)
    bad = threads.over_blocks(z.shape[0], min(height, 1 << 14), block)
    if bad >= 0:
        check(program, target, labels, classes, weight, allowed)
        refuse_at("target", y, bad, program.allowed)
    for a, line in zip(outs, flat, strict=True):
        if a is not None and line is not None and not np.may_share_memory(a, line):
            a[...] = line.reshape(a.shape)


def _plain(a: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return a if is_plain(a, dtype) else np.ascontiguousarray(a, dtype)
