"""Losses of one raw prediction per row: chooses the engine, the blocks and the buffers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
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
from matchloss.engine.values import NotCompilable

COMPILE_FROM = 1000  # with fewer rows NumPy runs the formula, and no compiler is imported
BLOCK = 1 << 16
NATIVE = {name: np.dtype(name) for name in ("f4", "f8")}
STAGE = 1 << 15  # rows of a strided, byte-swapped or converted input to copy at a time, so that they stay in cache


@dataclass(frozen=True)
class Program:
    """All that the engine needs to know about a loss."""

    formula: FunctionType  # (m, raw, target, *constants) -> value, gradient, hessian
    constants: tuple[float, ...]
    low: float  # least and greatest target
    high: float
    allowed: str  # the same, in words
    curvature: FunctionType | None = None  # (m, raw, target, *constants) -> what stands in for the hessian
    fallback: bool = False  # for a person's own formula: NumPy runs it if it cannot be compiled


def evaluate(program: Program, raw: Any, target: Any, sample_weight: Any, want: tuple[bool, bool, bool], out: Any) -> Evaluation:
    """The outputs asked for, one entry per row, times the row's weight; raises before writing into `out`."""
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
        try:
            by_loop(program, raw, target, weight, outs, check_first=out is not None)
        except NotCompilable:
            if not program.fallback:
                raise
            _by_numpy(program, raw, target, weight, outs)
    if raw.shape or out is not None:
        return Evaluation(*outs)
    return Evaluation(*(None if o is None else o[()] for o in outs))


def check(program: Program, target: NDArray[Any], weight: NDArray[Any] | None) -> None:
    """DomainError for the first target outside the loss's domain in a row whose weight is not 0."""
    y = target.astype(np.float64) if target.dtype.itemsize < 8 else target  # a float32 would turn the bounds into infinities
    bad = ~((y >= program.low) & (y <= program.high))
    refuse("target", target, bad if weight is None else bad & (weight != 0), program.allowed)


Step = Callable[[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any], NDArray[Any], NDArray[Any] | None], object]


def step(program: Program, rows: int, weighted: bool, hessian: bool) -> Step:
    """step(raw, target, weight, value, gradient, hessian) on plain float64 lines with checked targets, for passes over `rows` rows."""
    if rows >= COMPILE_FROM:
        try:
            curvature = program.curvature if hessian else None
            loop = _pointwise_loop(program.formula, curvature, len(program.constants), "f8", (True, True, hessian), weighted, False)
        except NotCompilable:
            if not program.fallback:
                raise
        else:
            low, high, constants = program.low, program.high, program.constants
            return lambda z, y, w, value, gradient, hessian: loop(z, y, w, low, high, value, gradient, hessian, constants)
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


@cache  # so that a known loop needs no lock
def _pointwise_loop(
    formula: FunctionType,
    curvature: FunctionType | None,
    constants: int,
    dtype: str,
    outputs: tuple[bool, ...],
    weighted: bool,
    in_place: bool,
) -> Callable[..., int]:
    with threads.FIRST_CALLS:
        from matchloss.engine.compiled import pointwise_loop

        return pointwise_loop(formula, curvature, constants, dtype, outputs, weighted, in_place)


@cache
def _target_loop(dtype: str, weighted: bool) -> Callable[..., int]:
    with threads.FIRST_CALLS:
        from matchloss.engine.compiled import target_loop

        return target_loop(dtype, weighted)


def by_loop(
    program: Program,
    raw: NDArray[Any],
    target: NDArray[Any],
    weight: NDArray[Any] | None,
    outs: list[NDArray[Any] | None],
    check_first: bool,
) -> None:
    """Runs the compiled loop on arrays of any layout. Targets are checked first, or in the pass: then a DomainError leaves `outs` half
    written."""
    z, y = _line(raw), _line(target)
    w = None if weight is None else _line(weight)
    lines = [None if a is None else _line(a) for a in outs]
    low, high, constants = program.low, program.high, program.constants
    bad = _first_outside(y, w, low, high) if check_first else -1
    if bad < 0:
        dtype, direct = _layout([z, y, w, *lines])
        in_place = check_first and direct and lines[1] is not None and same_memory(z, lines[1])  # an array that we allocated is never raw
        sinks = [lines[0], None if in_place else lines[1], lines[2]]
        curvature = None if lines[2] is None else program.curvature
        wanted = tuple(a is not None for a in sinks)
        loop = _pointwise_loop(program.formula, curvature, len(constants), dtype, wanted, w is not None, in_place)

        def run(z: Any, y: Any, w: Any, value: Any, gradient: Any, hessian: Any) -> int:
            return loop(z, y, w, low, high, value, gradient, hessian, constants)

        bad = _over_blocks(run, [z, y, w], sinks, dtype, direct)
    if bad >= 0:
        refuse_at("target", target, bad, program.allowed)
    for a, line in zip(outs, lines, strict=True):
        if a is not None and line is not None and line is not a and not np.may_share_memory(a, line):
            a[...] = line.reshape(a.shape)


def _first_outside(y: NDArray[Any], w: NDArray[Any] | None, low: float, high: float) -> int:
    """The first row with a target outside the domain and a weight that is not 0, or -1, in one pass over the targets."""
    dtype, direct = _layout([y, w])
    loop = _target_loop(dtype, w is not None)
    return _over_blocks(lambda y, w: loop(y, w, low, high), [y, w], [], dtype, direct)


def _line(a: NDArray[Any]) -> NDArray[Any]:
    """The array flattened in C order; a view if possible."""
    return a if a.ndim == 1 else a.reshape(-1)


Lines = list[NDArray[Any] | None]


def _layout(lines: Lines) -> tuple[str, bool]:
    """The dtype to compute in, f4 if all are float32, and whether a loop can run over the lines without copies."""
    there = [a for a in lines if a is not None]
    dtype = "f4" if all(a.dtype.itemsize == 4 and a.dtype.kind == "f" for a in there) else "f8"
    native = NATIVE[dtype]
    return dtype, all(is_plain(a, native) for a in there)


def _over_blocks(run: Callable[..., int], reads: Lines, writes: Lines, dtype: str, direct: bool) -> int:
    """run(*reads, *writes) over blocks of rows on threads, on copies unless the lines are `direct`; returns the first bad row or -1."""
    lines = reads + writes
    rows = 0 if lines[0] is None else lines[0].shape[0]
    if direct and rows <= BLOCK:
        return run(*lines)

    def block(start: int, stop: int) -> int:
        part = [None if a is None else a[start:stop] for a in lines]
        bad = run(*part) if direct else _staged(run, part, len(reads), dtype)
        return bad if bad < 0 else bad + start

    return threads.over_blocks(rows, BLOCK if direct else STAGE, block)


_buffers = threading.local()


def _staged(run: Callable[..., int], part: Lines, reads: int, dtype: str) -> int:
    """Runs the loop on contiguous copies of a block: faster than strided loops, and one loop serves all layouts."""
    buffers = getattr(_buffers, dtype, None)
    if buffers is None:
        buffers = np.empty((6, STAGE), dtype)
        setattr(_buffers, dtype, buffers)
    lines = [None if a is None else buffers[i, : a.shape[0]] for i, a in enumerate(part)]
    for line, a in zip(lines[:reads], part, strict=False):
        if line is not None and a is not None:
            np.copyto(line, a)
    bad = run(*lines)
    for line, a in zip(lines[reads:], part[reads:], strict=True):
        if line is not None and a is not None:
            with np.errstate(over="ignore"):
                np.copyto(a, line, casting="same_kind")
    return bad
