"""A text becomes a loop: found on disk, or traced, optimised by LLVM and kept there."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from matchloss.engine import cache as disk
from matchloss.engine import elementary, special, threads
from matchloss.engine.cache import key, names_of
from matchloss.engine.namespaces import Namespace
from matchloss.engine.signatures import Reads, Writes, inlined
from matchloss.engine.values import F64, Value, absolute, floor, square_root, where


def compiled(
    text: FunctionType, name: str, signature: Sequence[Any], digest: str, known: Sequence[Any] = (), wide: bool = False
) -> Callable[..., Any]:
    """The builtin that runs the text over arguments of this signature.

    digest: the key of the text and all that it names; known: what the text is given before the arguments, which the name or the digest
    must tell; wide: see entry.module.
    """
    with threads.FIRST_CALLS:
        from matchloss.engine import machine

        parts = f"{digest} {signature!r} {wide} {machine.identity()}"
        full = f"{name}_{hashlib.sha256(parts.encode()).hexdigest()[:32]}"
        code = disk.read(full)
        if code is None:
            from matchloss.engine.entry import module

            begin = time.process_time()
            code = machine.machine_code(module(text, full, signature, known, wide and machine.WIDE in machine.processor()[1].split(",")))
            disk.write(full, code)
            disk.COUNTS.compiled += 1
            disk.COUNTS.seconds += time.process_time() - begin
        return machine.builtin(machine.address_of(code, full), name)


def _of_value(function: Callable[[Value], Any], known: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of the protocol in float64; a number that is known while the loop is written stays one."""
    return lambda x: function(x.to(F64)) if isinstance(x, Value) else float(known(x))


def _log1p(x: float) -> float:
    return float(np.log1p(x))


_BASE = Namespace(
    exp=_of_value(elementary.exp, np.exp),
    expm1=_of_value(elementary.expm1, np.expm1),
    log=_of_value(elementary.log, np.log),
    log1p=_of_value(elementary.log1p, np.log1p),
    log1p_unit=_of_value(elementary.log1p_unit, np.log1p),
    sqrt=square_root,
    abs=absolute,
    floor=floor,
    where=where,
    sin=_of_value(elementary.sin, math.sin),
    cos=_of_value(elementary.cos, math.cos),
    tanh=absolute,  # these four are texts over the others, bound below
    sigmoid=absolute,
    softplus=absolute,
    erf=absolute,
)
COMPILED = _BASE._replace(**{name: partial(getattr(special, name), _BASE) for name in ("tanh", "sigmoid", "softplus", "erf")})

CHEAP = {"abs", "floor", "where"}


def computes(formula: FunctionType) -> bool:
    """Whether a formula calls an elementary function, so that its loop waits for the processor and not for memory."""
    if not set(formula.__code__.co_names).isdisjoint(set(Namespace._fields) - CHEAP):
        return True
    return any(computes(helper) for helper in names_of(formula).values() if isinstance(helper, FunctionType))


def allowed(y: Any, low: Any, high: Any) -> Any:
    """Whether a target lies in the domain."""
    return (y >= low) & (y <= high)


def times_weight(x: Any, w: Any) -> Any:
    """w x, but 0 for weight 0 even if x is NaN or infinite."""
    return where(w != 0.0, x * w, 0.0)


@inlined
def first_outside(target, weight, low, high):
    """The first row with a target outside the domain and a weight that is not 0, or -1."""
    for i in range(target.shape[0]):
        if not allowed(np.float64(target[i]), low, high) and (weight is None or weight[i] != 0.0):
            return i
    return -1


class _Pointwise(NamedTuple):
    """What the texts below know of a loss."""

    formula: FunctionType | None = None
    curvature: FunctionType | None = None
    in_place: bool = False


def _types(dtype: str, constants: int, weighted: bool) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    """The types of what a loop reads and writes, of its weights, and of the formula's constants."""
    name = {"f4": "float32", "f8": "float64"}[dtype]
    return Reads(name), Writes(name), Reads(name) if weighted else None, ("float64",) * constants


@inlined
def _targets(target, weight, low, high):
    good = True
    for i in range(target.shape[0]):
        inside = allowed(np.float64(target[i]), low, high)
        good &= inside if weight is None else inside | (weight[i] == 0.0)
    return -1 if good else first_outside(target, weight, low, high)


@cache
def target_loop(dtype: str, weighted: bool) -> Callable[..., int]:
    """loop(target, weight, low, high) -> the first row outside the domain whose weight is not 0, or -1. Arrays: see pointwise_loop."""
    reads, _, weight, _ = _types(dtype, 0, weighted)
    return compiled(_targets, f"targets_{dtype}", (reads, weight, "float64", "float64"), key(), wide=dtype == "f8")


@inlined
def _pointwise(x, raw, target, weight, low, high, value, gradient, hessian, constants):
    good = True
    for i in range(raw.shape[0]):
        y = np.float64(target[i])
        f, g, h = x.formula(COMPILED, np.float64(raw[i]), y, *constants)
        if x.curvature is not None:
            h = x.curvature(COMPILED, np.float64(raw[i]), y, *constants)
        inside = allowed(y, low, high)
        if weight is not None:
            w = np.float64(weight[i])
            inside = inside | (w == 0.0)
            f, g, h = times_weight(f, w), times_weight(g, w), times_weight(h, w)
        good &= inside
        if value is not None:
            value[i] = f
        if gradient is not None:
            gradient[i] = g
        if hessian is not None:
            hessian[i] = h
        if x.in_place:
            raw[i] = g
    return -1 if good else first_outside(target, weight, low, high)


@cache
def pointwise_loop(
    formula: FunctionType,
    curvature: FunctionType | None,
    constants: int,
    dtype: str,
    outputs: tuple[bool, ...],
    weighted: bool,
    in_place: bool,
) -> Callable[..., int]:
    """loop(raw, target, weight, low, high, value, gradient, hessian, constants) -> the first bad row, or -1.

    Arrays are contiguous and of one dtype; None for missing weights and outputs that are not wanted. With `in_place` the gradient is
    written over raw through the same pointer. With two pointers LLVM could not rule out overlap and would not vectorise.
    """
    reads, writes, weight, numbers = _types(dtype, constants, weighted)
    wanted = (writes if on else None for on in outputs)
    signature = (writes if in_place else reads, reads, weight, "float64", "float64", *wanted, numbers)
    known, wide = _Pointwise(formula, curvature, in_place), dtype == "f8" and computes(formula)
    name = f"pointwise_{formula.__name__}_{dtype}_{in_place:d}"
    return compiled(_pointwise, name, signature, key(formula, curvature), (known,), wide)


LANES, CHUNK = 64, 1024  # number of partial sums side by side, and rows whose values are kept in cache before they are summed


@inlined
def _total(x, raw, target, weight, low, high, scale, gradient, constants):
    rows = raw.shape[0]
    lanes, values = np.zeros(LANES), np.empty(CHUNK)
    good = True
    for start in range(0, rows, CHUNK):
        size = min(rows, start + CHUNK) - start
        z_part, y_part = raw[start : start + CHUNK], target[start : start + CHUNK]
        w_part = None if weight is None else weight[start : start + CHUNK]
        g_part = None if gradient is None else gradient[start : start + CHUNK]
        for i in range(size):
            y = np.float64(y_part[i])
            f, g, _h = x.formula(COMPILED, np.float64(z_part[i]), y, *constants)
            inside = allowed(y, low, high)
            if w_part is not None:
                w = np.float64(w_part[i])
                inside = inside | (w == 0.0)
                f, g = times_weight(f, w), where(w != 0.0, g * w * scale, 0.0)  # scale is NaN if all weights are 0
            else:
                g = g * scale
            good &= inside
            values[i] = f
            if g_part is not None:
                g_part[i] = g
        whole = size // LANES * LANES
        for j in range(0, whole, LANES):
            for q in range(LANES):
                lanes[q] += values[j + q]
        for j in range(whole, size):
            lanes[j - whole] += values[j]
    total = 0.0
    for q in range(LANES):
        total += lanes[q]
    return total, -1 if good else first_outside(target, weight, low, high)


@cache
def total_loop(formula: FunctionType, constants: int, dtype: str, gradient: bool, weighted: bool) -> Callable[..., tuple[float, int]]:
    """loop(raw, target, weight, low, high, scale, gradient, constants) -> the sum of weight * value, and the first bad row or -1.

    Arrays: see pointwise_loop; `gradient` may be raw itself, and is multiplied by weight * scale.
    """
    reads, writes, weight, numbers = _types(dtype, constants, weighted)
    signature = (reads, reads, weight, "float64", "float64", "float64", writes if gradient else None, numbers)
    wide = dtype == "f8" and computes(formula)
    return compiled(_total, f"total_{formula.__name__}_{dtype}", signature, key(formula), (_Pointwise(formula),), wide)


@inlined
def _columns(x, columns, out, constants):
    for i in range(out.shape[0]):
        out[i] = x.formula(COMPILED, *_entries(columns, i), *constants)


def _entries(columns: tuple[Any, ...], i: Any) -> tuple[Any, ...]:
    return tuple(column[i] for column in columns)


@cache
def column_loop(formula: FunctionType, columns: int, constants: int) -> Callable[..., None]:
    """loop((a, ...), out, constants): out[i] = formula(m, a[i], ..., *constants) over columns of contiguous float64."""
    signature = ((Reads("float64"),) * columns, Writes("float64"), ("float64",) * constants)
    return compiled(_columns, f"columns_{formula.__name__}", signature, key(formula), (_Pointwise(formula),))
