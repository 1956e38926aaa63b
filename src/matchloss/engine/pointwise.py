"""Losses of one raw prediction a row: which engine runs, over which blocks, through which buffers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.arrays import (
    Evaluation,
    apart_from,
    as_array,
    as_weight,
    is_plain,
    outputs_of,
    refuse,
    refuse_at,
    result_dtype,
    same_memory,
    same_shape,
)
from matchloss.engine.namespaces import NUMPY

COMPILE_FROM = 1000  # rows; below, NumPy runs the formula and numba need not be imported
BLOCK = 1 << 16
NATIVE = {name: np.dtype(name) for name in ("f4", "f8")}
STAGE = 1 << 15  # rows of a strided, byte-swapped or converted input that are copied at a time: they stay in cache


@dataclass(frozen=True)
class Program:
    """All that the engine needs to know of a loss."""

    formula: FunctionType  # (m, raw, target, *constants) -> value, gradient, hessian
    constants: tuple[float, ...]
    low: float  # least and greatest target
    high: float
    allowed: str  # the same, in words
    curvature: FunctionType | None = None  # (m, raw, target, *constants) -> what stands in for the hessian
    fallback: bool = False  # a person's own formula: where it cannot be compiled, NumPy runs it


def evaluate(program: Program, raw: Any, target: Any, sample_weight: Any, want: tuple[bool, bool, bool], out: Any) -> Evaluation:
    """The outputs asked for, one a row, each multiplied by the row's weight; raises before writing into `out`."""
    raw, target = as_array("raw", raw), as_array("target", target)
    same_shape("target", target, raw.shape, "raw's shape")
    weight = as_weight(sample_weight, raw.shape)
    outs = outputs_of(out, want, raw.shape, (raw.shape,) * 3, result_dtype(raw))
    if out is not None:
        raw, target = apart_from(raw, outs, except_for=1), apart_from(target, outs)
        weight = None if weight is None else apart_from(weight, outs)
    if raw.size < COMPILE_FROM:
        _by_numpy(program, raw, target, weight, outs)
    else:
        with threads.FIRST_CALLS:
            from matchloss.engine.cache import NotCompilable
        try:
            by_loop(program, raw, target, weight, outs, check_first=out is not None)
        except NotCompilable:
            if not program.fallback:
                raise
            _by_numpy(program, raw, target, weight, outs)
    return Evaluation(*(o if o is None or o.shape or out is not None else o[()] for o in outs))


def check(program: Program, target: NDArray[Any], weight: NDArray[Any] | None) -> None:
    """DomainError for the first target outside the loss's domain in a row whose weight is not 0."""
    y = target.astype(np.float64) if target.dtype.itemsize < 8 else target  # a float32 would turn the bounds into infinities
    bad = ~((y >= program.low) & (y <= program.high))
    refuse("target", target, bad if weight is None else bad & (weight != 0), program.allowed)


Step = Callable[[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any], NDArray[Any], NDArray[Any] | None], object]


def step(program: Program, rows: int, weighted: bool, hessian: bool) -> Step:
    """step(raw, target, weight, value, gradient, hessian) on plain float64 lines, targets checked before: for passes over `rows` rows."""
    if rows >= COMPILE_FROM:
        with threads.FIRST_CALLS:
            from matchloss.engine.cache import NotCompilable
            from matchloss.engine.compiled import pointwise_loop
        try:
            curvature = program.curvature if hessian else None
            with threads.FIRST_CALLS:
                loop = pointwise_loop(program.formula, curvature, len(program.constants), "f8", (True, True, hessian), weighted, False)
        except NotCompilable:
            if not program.fallback:
                raise
        else:
            low, high, constants = program.low, program.high, program.constants
            return lambda z, y, w, value, gradient, hessian: loop(z, y, w, low, high, None, value, gradient, hessian, constants)
    return lambda z, y, w, *outs: _by_numpy(program, z, y, w, list(outs))


def _by_numpy(
    program: Program, raw: NDArray[Any], target: NDArray[Any], weight: NDArray[Any] | None, outs: list[NDArray[Any] | None]
) -> None:
    check(program, target, weight)
    z, y = raw.astype(np.float64), target.astype(np.float64)
    with np.errstate(all="ignore"):
        jet = list(program.formula(NUMPY, z, y, *program.constants))
        if outs[2] is not None and program.curvature is not None:
            jet[2] = program.curvature(NUMPY, z, y, *program.constants)
        for result, out in zip(jet, outs, strict=True):
            if out is not None:
                out[...] = result if weight is None else np.where(weight == 0, 0.0, result * weight)


def by_loop(
    program: Program,
    raw: NDArray[Any],
    target: NDArray[Any],
    weight: NDArray[Any] | None,
    outs: list[NDArray[Any] | None],
    check_first: bool,
) -> None:
    """The compiled loop over arrays of any layout, targets checked in the pass (DomainError, `outs` then half written) or before."""
    with threads.FIRST_CALLS:
        from matchloss.engine.compiled import pointwise_loop

    arrays, restore = _flat([raw, target, weight, *outs])
    z, y, w, *written = arrays
    if z is None or y is None:
        raise AssertionError("raw and target are always there")
    dtype = "f4" if all(a is None or (a.dtype.itemsize == 4 and a.dtype.kind == "f") for a in arrays) else "f8"
    direct = all(a is None or is_plain(a, NATIVE[dtype]) for a in arrays)
    in_place = check_first and direct and written[1] is not None and same_memory(z, written[1])  # what we allocate is never raw
    wanted = tuple(a is not None and not (in_place and i == 1) for i, a in enumerate(written))
    curvature = program.curvature if wanted[2] else None

    def loop_for(outputs: tuple[bool, ...], in_place: bool) -> Callable[..., int]:
        with threads.FIRST_CALLS:
            return pointwise_loop(program.formula, curvature, len(program.constants), dtype, outputs, w is not None, in_place)  # pyright: ignore[reportArgumentType]

    def run(loop: Callable[..., int], targets: list[NDArray[Any] | None], flag: bool | None) -> int:
        def block(start: int, stop: int) -> int:
            part = [None if a is None else a[start:stop] for a in (z, y, w, *targets)]
            bad = (
                loop(*part[:3], program.low, program.high, flag, *part[3:], program.constants)
                if direct
                else _staged(loop, program, part, dtype)
            )
            return bad if bad < 0 else bad + start

        return threads.over_blocks(z.shape[0], BLOCK if direct else STAGE, block)

    if check_first and (bad := run(loop_for((False,) * 3, False), [None] * 3, None)) >= 0:
        refuse_at("target", target, bad, program.allowed)
    sinks = [a if on else None for a, on in zip(written, wanted, strict=True)]
    if (bad := run(loop_for(wanted, in_place), sinks, True if in_place else None)) >= 0:
        refuse_at("target", target, bad, program.allowed)
    restore()


def _flat(arrays: list[NDArray[Any] | None]) -> tuple[list[NDArray[Any] | None], Callable[[], None]]:
    """One-dimensional arrays in C order (views where possible), and what copies results back where an output is no view."""
    flat: list[NDArray[Any] | None] = []
    back: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for i, a in enumerate(arrays):
        line = a if a is None or a.ndim == 1 else a.reshape(-1)
        flat.append(line)
        if a is not None and line is not None and line is not a and i >= 3 and not np.may_share_memory(a, line):
            back.append((a, line))

    def restore() -> None:
        for a, line in back:
            a[...] = line.reshape(a.shape)

    return flat, restore


_buffers = threading.local()


def _staged(loop: Callable[..., int], program: Program, part: list[NDArray[Any] | None], dtype: str) -> int:
    """The loop on contiguous copies of a block: faster than a loop over strides, and one loop serves all layouts."""
    buffers = getattr(_buffers, dtype, None)
    if buffers is None:
        buffers = np.empty((6, STAGE), dtype)
        setattr(_buffers, dtype, buffers)
    lines = [None if a is None else buffers[i, : a.shape[0]] for i, a in enumerate(part)]
    for line, a in zip(lines[:3], part[:3], strict=True):
        if line is not None and a is not None:
            np.copyto(line, a)
    bad = loop(*lines[:3], program.low, program.high, None, *lines[3:], program.constants)
    for line, a in zip(lines[3:], part[3:], strict=True):
        if line is not None and a is not None:
            with np.errstate(over="ignore"):
                np.copyto(a, line, casting="same_kind")
    return bad
