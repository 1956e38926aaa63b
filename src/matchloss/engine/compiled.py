"""numba: a formula becomes a loop over rows, for exactly the outputs that are asked for."""
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOptionalCall=false

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
from matchloss.engine.elementary import FLAGS, inlined
from matchloss.engine.namespaces import Namespace


@cache
def lower(function: FunctionType) -> Any:
    """A formula, or a helper of one, as a function that numba inlines: itself, with its helpers lowered likewise."""
    outside = {name: lower(thing) if isinstance(thing, FunctionType) else thing for name, thing in names_of(function).items()}
    cells = tuple(CellType(outside[name]) for name in function.__code__.co_freevars)
    copy = FunctionType(function.__code__, {**function.__globals__, **outside}, function.__name__, function.__defaults__, cells)
    copy.__qualname__ = function.__qualname__
    lowered = inlined(copy)
    lowered._set_uuid(str(uuid.UUID(key(function)[:32])))  # else a fresh one each process, and the cache never hits
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


@cache
def pointwise_loop(
    formula: FunctionType,
    curvature: FunctionType | None,
    constants: int,
    dtype: str,
    outputs: tuple[bool, bool, bool],
    weighted: bool,
    in_place: bool,
) -> Callable[..., int]:
    """loop(raw, target, weight, low, high, in_place, value, gradient, hessian, constants) -> the first bad row, or -1.

    Arrays are contiguous, of one dtype; None for weights not given and outputs not asked for. With `in_place` the gradient is
    written over raw, through one pointer: through two, LLVM cannot rule out overlap and gives up on vector code.
    """
    step = lower(formula)
    second = None if curvature is None else lower(curvature)
    plain = second is None

    def loop(raw, target, weight, low, high, in_place, value, gradient, hessian, constants):
        good = True
        for i in range(raw.shape[0]):
            y = np.float64(target[i])
            z = np.float64(raw[i])
            f, g, h = step(COMPILED, z, y, *constants)
            if not plain:
                h = second(COMPILED, z, y, *constants)
            if weight is None:
                good &= (y >= low) & (y <= high)
            else:
                w = np.float64(weight[i])
                good &= ((y >= low) & (y <= high)) | (w == 0.0)
                f = f * w if w != 0.0 else 0.0
                g = g * w if w != 0.0 else 0.0
                h = h * w if w != 0.0 else 0.0
            if value is not None:
                value[i] = f
            if gradient is not None:
                gradient[i] = g
            if hessian is not None:
                hessian[i] = h
            if in_place is not None:
                raw[i] = g
        if not good:
            for i in range(target.shape[0]):
                y = np.float64(target[i])
                if not ((y >= low) & (y <= high)) and (weight is None or weight[i] != 0.0):
                    return i
        return -1

    scalar = types.float32 if dtype == "f4" else types.float64
    reads, writes = types.Array(scalar, 1, "C", readonly=True), types.Array(scalar, 1, "C")
    signature = (
        writes if in_place else reads,
        reads,
        reads if weighted else types.none,
        types.float64,
        types.float64,
        types.boolean if in_place else types.none,
        *(writes if wanted else types.none for wanted in outputs),
        types.UniTuple(types.float64, constants) if constants else types.Tuple(()),
    )
    variant = "".join(letter if on else "_" for letter, on in zip("vghwi", (*outputs, weighted, in_place), strict=True))
    name = f"pointwise_{formula.__name__}_{dtype}_{variant}_{constants}_{key(formula, curvature)[:24]}"
    return compiled(loop, name, signature, FLAGS)


LANES, CHUNK = 64, 1024  # running sums side by side, and the rows whose values wait for them in cache


@cache
def total_loop(formula: FunctionType, constants: int, dtype: str, gradient: bool, weighted: bool) -> Callable[..., tuple[float, int]]:
    """loop(raw, target, weight, low, high, scale, gradient, constants) -> the sum of weight * value, and the first bad row or -1.

    Arrays as pointwise_loop's, or the gradient raw itself; it is multiplied by weight * scale.
    """
    step = lower(formula)

    def loop(raw, target, weight, low, high, scale, gradient, constants):
        rows = raw.shape[0]
        lanes, values = np.zeros(LANES), np.empty(CHUNK)
        good = True
        for start in range(0, rows, CHUNK):
            stop = min(rows, start + CHUNK)
            size = stop - start
            z_part, y_part = raw[start:stop], target[start:stop]  # slices, not offsets: LLVM must see that no index is negative
            w_part = None if weight is None else weight[start:stop]
            g_part = None if gradient is None else gradient[start:stop]
            for i in range(size):
                y = np.float64(y_part[i])
                f, g, _h = step(COMPILED, np.float64(z_part[i]), y, *constants)
                if w_part is None:
                    good &= (y >= low) & (y <= high)
                    g = g * scale
                else:
                    w = np.float64(w_part[i])
                    good &= ((y >= low) & (y <= high)) | (w == 0.0)
                    f = f * w if w != 0.0 else 0.0
                    g = g * w * scale if w != 0.0 else 0.0
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
        if not good:
            for i in range(rows):
                y = np.float64(target[i])
                if not ((y >= low) & (y <= high)) and (weight is None or weight[i] != 0.0):
                    return total, i
        return total, -1

    scalar = types.float32 if dtype == "f4" else types.float64
    reads = types.Array(scalar, 1, "C", readonly=True)
    signature = (
        reads,
        reads,
        reads if weighted else types.none,
        types.float64,
        types.float64,
        types.float64,
        types.Array(scalar, 1, "C") if gradient else types.none,
        types.UniTuple(types.float64, constants) if constants else types.Tuple(()),
    )
    name = f"total_{formula.__name__}_{dtype}_{'g' if gradient else '_'}{'w' if weighted else '_'}_{constants}_{key(formula)[:24]}"
    return compiled(loop, name, signature, FLAGS)
