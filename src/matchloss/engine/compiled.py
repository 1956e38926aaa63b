"""numba: turns a formula into a loop over rows, for exactly the outputs that are asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cache
from types import CellType, FunctionType
from typing import Any

import numpy as np
from numba.core import types

from matchloss.engine import elementary, special
from matchloss.engine.cache import compiled, key, names_of, steady
from matchloss.engine.elementary import FLAGS, inlined, intrinsic
from matchloss.engine.namespaces import Namespace


@cache
def lower(function: FunctionType) -> Any:
    """A formula, or a helper of one, as a function that numba inlines, with its helpers lowered in the same way."""
    outside = {name: lower(thing) if isinstance(thing, FunctionType) else thing for name, thing in names_of(function).items()}
    cells = tuple(CellType(outside[name]) for name in function.__code__.co_freevars)
    copy = FunctionType(function.__code__, {**function.__globals__, **outside}, function.__name__, function.__defaults__, cells)
    copy.__qualname__ = function.__qualname__
    lowered: Any = inlined(copy)
    lowered._set_uuid(str(uuid.UUID(key(function)[:32])))  # as `steady` does
    return lowered


def _bind(helper: FunctionType) -> Any:
    step = lower(helper)

    @inlined
    def bound(x: Any) -> Any:
        return step(_BASE, x)

    return steady(bound, helper.__name__)


for _name, _helper in vars(elementary).items():
    if hasattr(_helper, "_set_uuid"):
        steady(_helper, _name)

_BASE = Namespace(
    exp=elementary.exp,
    expm1=elementary.expm1,
    log=elementary.log,
    log1p=elementary.log1p,
    log1p_unit=elementary.log1p_unit,
    sqrt=elementary.sqrt,
    abs=elementary.absolute,
    floor=elementary.floor,
    where=elementary.where,
    sin=elementary.sin,
    cos=elementary.cos,
    tanh=elementary.absolute,  # these four are texts over the others, bound below
    sigmoid=elementary.absolute,
    softplus=elementary.absolute,
    erf=elementary.absolute,
)
COMPILED = _BASE._replace(
    tanh=_bind(special.tanh), sigmoid=_bind(special.sigmoid), softplus=_bind(special.softplus), erf=_bind(special.erf)
)


@intrinsic
def wide_vectors(typingctx):
    """Makes the calling loop use 512-bit vectors on processors where these are faster.

    LLVM prefers 256 bits on all Intel processors, because the first ones with 512 lowered their clock for them. Processors with
    AVX512-FP16 (Sapphire Rapids and later) do not: there compute-bound float64 loops take 10 to 30 % less time. Float32 loops gain
    nothing, and loops that wait for memory lose up to 20 %, because an array of NumPy starts inside a cache line, so that each vector of
    512 bits lies across two. numba's own cache key includes the features that are checked here.
    """

    def generate(context, builder, signature, arguments):
        if "+avx512fp16" in context.codegen().magic_tuple()[2].split(","):
            attributes = builder.function.attributes
            attributes.add("noinline")  # inlined into numba's wrapper, the loop would lose the attribute
            set.add(attributes, '"prefer-vector-width"="512"')  # llvmlite's own `add` rejects attributes with a value
        return context.get_dummy_value()

    return types.none(), generate


CHEAP = {"abs", "floor", "where"}


def computes(formula: FunctionType) -> bool:
    """Whether a formula calls an elementary function, so that its loop waits for the processor and not for memory."""
    if not set(formula.__code__.co_names).isdisjoint(set(Namespace._fields) - CHEAP):
        return True
    return any(computes(helper) for helper in names_of(formula).values() if isinstance(helper, FunctionType))


@inlined
def allowed(y, low, high):
    """Whether a target lies in the domain."""
    return (y >= low) & (y <= high)


@inlined
def times_weight(x, w):
    """w x, but 0 for weight 0 even if x is NaN or infinite."""
    return x * w if w != 0.0 else 0.0


@inlined
def first_outside(target, weight, low, high):
    """The first row with a target outside the domain and a weight that is not 0, or -1."""
    for i in range(target.shape[0]):
        if not allowed(np.float64(target[i]), low, high) and (weight is None or weight[i] != 0.0):
            return i
    return -1


for _helper in (allowed, times_weight, first_outside):
    steady(_helper, _helper.py_func.__name__)


def _types(dtype: str, constants: int) -> tuple[types.Array, types.Array, types.Type]:
    """numba's types of a loop's inputs, its outputs and the formula's constants."""
    scalar = types.float32 if dtype == "f4" else types.float64
    numbers = types.UniTuple(types.float64, constants) if constants else types.Tuple(())
    return types.Array(scalar, 1, "C", readonly=True), types.Array(scalar, 1, "C"), numbers


@cache
def target_loop(dtype: str, weighted: bool) -> Callable[..., int]:
    """loop(target, weight, low, high) -> the first row outside the domain whose weight is not 0, or -1. Arrays: see pointwise_loop."""

    wide = dtype == "f8"

    def loop(target, weight, low, high):
        if wide:
            wide_vectors()
        good = True
        for i in range(target.shape[0]):
            inside = allowed(np.float64(target[i]), low, high)
            good &= inside if weight is None else inside | (weight[i] == 0.0)
        return -1 if good else first_outside(target, weight, low, high)

    reads, _, _ = _types(dtype, 0)
    name = f"targets_{dtype}{'_w' if weighted else ''}_{key()[:24]}"
    return compiled(loop, name, (reads, reads if weighted else types.none, types.float64, types.float64), FLAGS)


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
    """loop(raw, target, weight, low, high, in_place, value, gradient, hessian, constants) -> the first bad row, or -1.

    Arrays are contiguous and of one dtype; None for missing weights and outputs that are not wanted. With `in_place` the gradient is
    written over raw through the same pointer. With two pointers LLVM could not rule out overlap and would not vectorise.
    """
    step = lower(formula)
    second: Any = None if curvature is None else lower(curvature)
    plain, wide = second is None, dtype == "f8" and computes(formula)

    def loop(raw, target, weight, low, high, in_place, value, gradient, hessian, constants):
        if wide:
            wide_vectors()
        good = True
        for i in range(raw.shape[0]):
            y = np.float64(target[i])
            z = np.float64(raw[i])
            f, g, h = step(COMPILED, z, y, *constants)
            if not plain:
                h = second(COMPILED, z, y, *constants)
            inside = allowed(y, low, high)
            if weight is not None:
                w = np.float64(weight[i])
                inside |= w == 0.0
                f, g, h = times_weight(f, w), times_weight(g, w), times_weight(h, w)
            good &= inside
            if value is not None:
                value[i] = f
            if gradient is not None:
                gradient[i] = g
            if hessian is not None:
                hessian[i] = h
            if in_place is not None:
                raw[i] = g
        return -1 if good else first_outside(target, weight, low, high)

    reads, writes, numbers = _types(dtype, constants)
    signature = (
        writes if in_place else reads,
        reads,
        reads if weighted else types.none,
        types.float64,
        types.float64,
        types.boolean if in_place else types.none,
        *(writes if wanted else types.none for wanted in outputs),
        numbers,
    )
    variant = "".join(letter if on else "_" for letter, on in zip("vghwi", (*outputs, weighted, in_place), strict=True))
    name = f"pointwise_{formula.__name__}_{dtype}_{variant}_{constants}_{key(formula, curvature)[:24]}"
    return compiled(loop, name, signature, FLAGS)


LANES, CHUNK = 64, 1024  # number of partial sums side by side, and rows whose values are kept in cache before they are summed


@cache
def total_loop(formula: FunctionType, constants: int, dtype: str, gradient: bool, weighted: bool) -> Callable[..., tuple[float, int]]:
    """loop(raw, target, weight, low, high, scale, gradient, constants) -> the sum of weight * value, and the first bad row or -1.

    Arrays: see pointwise_loop; `gradient` may be raw itself, and is multiplied by weight * scale.
    """
    step, wide = lower(formula), dtype == "f8" and computes(formula)

    def loop(raw, target, weight, low, high, scale, gradient, constants):
        if wide:
            wide_vectors()
        rows = raw.shape[0]
        lanes, values = np.zeros(LANES), np.empty(CHUNK)
        good = True
        for start in range(0, rows, CHUNK):
            stop = min(rows, start + CHUNK)
            size = stop - start
            z_part, y_part = raw[start:stop], target[start:stop]  # with slices LLVM sees that no index is negative
            w_part = None if weight is None else weight[start:stop]
            g_part = None if gradient is None else gradient[start:stop]
            for i in range(size):
                y = np.float64(y_part[i])
                f, g, _h = step(COMPILED, np.float64(z_part[i]), y, *constants)
                inside = allowed(y, low, high)
                if w_part is not None:
                    w = np.float64(w_part[i])
                    inside |= w == 0.0
                    f, g = times_weight(f, w), g * w * scale if w != 0.0 else 0.0  # scale is NaN if all weights are 0
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

    reads, writes, numbers = _types(dtype, constants)
    signature = (
        reads,
        reads,
        reads if weighted else types.none,
        types.float64,
        types.float64,
        types.float64,
        writes if gradient else types.none,
        numbers,
    )
    name = f"total_{formula.__name__}_{dtype}_{'g' if gradient else '_'}{'w' if weighted else '_'}_{constants}_{key(formula)[:24]}"
    return compiled(loop, name, signature, FLAGS)


@cache
def column_loop(formula: FunctionType, columns: int, constants: int) -> Callable[..., None]:
    """loop(a, ..., out, constants): out[i] = formula(m, a[i], ..., *constants) over two to four columns of contiguous float64."""
    step = lower(formula)

    def of_two(a, b, out, constants):
        for i in range(out.shape[0]):
            out[i] = step(COMPILED, a[i], b[i], *constants)

    def of_three(a, b, c, out, constants):
        for i in range(out.shape[0]):
            out[i] = step(COMPILED, a[i], b[i], c[i], *constants)

    def of_four(a, b, c, d, out, constants):
        for i in range(out.shape[0]):
            out[i] = step(COMPILED, a[i], b[i], c[i], d[i], *constants)

    signature = (
        *(types.Array(types.float64, 1, "C", readonly=True),) * columns,
        types.Array(types.float64, 1, "C"),
        types.UniTuple(types.float64, constants) if constants else types.Tuple(()),
    )
    loop = {2: of_two, 3: of_three, 4: of_four}[columns]
    return compiled(loop, f"columns_{formula.__name__}_{columns}_{constants}_{key(formula)[:24]}", signature, FLAGS)
