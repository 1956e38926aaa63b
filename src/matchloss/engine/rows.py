"""Losses of a row of raw predictions: chooses the engine, the blocks and the buffers; the formulas are in matchloss.engine.row_text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise, threads
from matchloss.engine.arrays import Evaluation, apart_from, as_array, as_weight, is_plain, outputs_of, refuse_at, result_dtype
from matchloss.engine.namespaces import NUMPY, NUMPY_ROWS
from matchloss.engine.row_targets import Mixture, as_target, check_targets, distributions, sum_tolerance
from matchloss.engine.row_text import Options, RowProgram, parts
from matchloss.errors import ShapeError

COMPILE_FROM = 1000  # entries
SIDE_BY_SIDE_BELOW = 32  # rows with fewer columns do not fill vector registers, so many are processed at once
BLOCK = 1 << 21  # logits per block of a thread
INDEX, DOUBLE = np.dtype(np.int64), np.dtype(np.float64)
SMALL = 1 << 16  # up to this many logits one thread is enough


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
        check_targets(target, labels, raw.shape[-1], weight)
    if raw.size < COMPILE_FROM:
        _by_numpy(program, raw, target, labels, weight, outs)
    else:
        by_loop(program, raw, target, labels, weight, outs)
    return Evaluation(*(o if o is None or o.shape or out is not None else o[()] for o in outs))


def step(program: RowProgram, rows: int, classes: int, weighted: bool, hessian: bool, labels: bool = True) -> pointwise.Step:
    """step(raw, target, weight, value, gradient, hessian) on plain float64 rows, like pointwise.step; the gradient may be raw itself.

    Targets are labels or distributions that have been checked.
    """
    if rows * classes < COMPILE_FROM:
        return lambda z, y, w, *outs: _by_numpy(program, z, y, labels, w, list(outs))
    loop, settings = loop_of(program, "f8", (True, True, hessian), labels, weighted, classes)
    return lambda z, y, w, *outs: loop(z, y, w, np.inf, *settings, *outs, program.constants)


def loop_of(
    program: RowProgram, dtype: str, wanted: tuple[bool, bool, bool], labels: bool, weighted: bool, classes: int
) -> tuple[Callable[..., int], tuple[float, float]]:
    """The compiled loop for these outputs, and the threshold's power and scale, its arguments after the tolerance."""
    with threads.FIRST_CALLS:
        from matchloss.engine.row_loops import row_loop

        short = classes < SIDE_BY_SIDE_BELOW and (program.threshold is None or program.threshold.power in (1.0, 2.0))
        form = "labels" if labels else "distributions"
        loop = row_loop(program, np.dtype(dtype).name, wanted, form, weighted, short)
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
    """Runs the compiled loop on arrays of any layout. Targets are checked in the pass: a DomainError leaves `outs` half written."""
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
    allowed = sum_tolerance(target.dtype) if tolerance is None else tolerance

    def block(start: int, stop: int) -> int:
        ins = (
            _plain(z[start:stop], dtype),
            _plain(y[start:stop], INDEX if labels else dtype),
            _plain(None if w is None else w[start:stop], dtype),
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
        check_targets(target, labels, classes, weight, allowed)
        refuse_at("target", y, bad, program.allowed)
    for a, line in zip(outs, flat, strict=True):
        if a is not None and line is not None and not np.may_share_memory(a, line):
            a[...] = line.reshape(a.shape)


def _plain(a: Any, dtype: np.dtype[Any]) -> Any:
    """`a` as a loop for this dtype reads it, copied only if it must be; None stays None."""
    return a if a is None or is_plain(a, dtype) else np.ascontiguousarray(a, dtype)


class Stats(NamedTuple):
    """What the loop reports about each row, in float64; loss, log probability, entropy and argmax follow from it."""

    top: Any  # the largest u
    rest: Any  # sum of exp(u - top) over the other entries
    gap: Any  # sum t (top - u)
    mass: Any  # sum t
    label_gap: Any  # top - u at the first sparse entry
    place: Any  # index of the largest entry, -1 if another process has it
    spread: Any  # sum exp(u - top) (top - u), if asked for

    @property
    def log_total(self) -> Any:
        """log of the sum of exp(u - top)."""
        return np.log1p(self.rest)

    @property
    def value(self) -> Any:
        """mass * L - <t, u> as a sum of terms >= 0, without the row's weight."""
        with np.errstate(invalid="ignore"):
            return np.where(self.mass == 0.0, 0.0, self.mass * self.log_total) + self.gap

    @property
    def logsumexp(self) -> Any:
        """log sum exp u."""
        return self.top + self.log_total

    @property
    def log_probability(self) -> Any:
        """The log probability of the first sparse entry."""
        return -(self.log_total + self.label_gap)

    @property
    def entropy(self) -> Any:
        """The entropy of softmax(u); needs `spread`."""
        return self.log_total + self.spread / (1.0 + self.rest)


def run_mixture(
    dtype: str,
    logits: NDArray[Any],
    target: Mixture,
    weight: NDArray[Any],
    options: Options,
    gradient: NDArray[Any] | None = None,
    *,
    tolerance: float | None = None,
    spread: bool = False,
    known: NDArray[Any] | None = None,
) -> tuple[Stats, int]:
    """One pass over rows of contiguous logits: statistics, and the first bad row or -1. `gradient` is written and may be the logits.

    dtype: float32, float64, bfloat16 or float16; the last two are passed as uint16. A bad row has a label out of range or a `dense` that
    is not a distribution; results are then meaningless. Rows of weight 0 have gradient 0 and are not checked. `known`: if these are
    parts of rows, (n, 3), the top, rest and mass of the whole rows, to which the gradient then belongs.
    """
    n, classes = logits.shape
    with threads.FIRST_CALLS:
        from matchloss.engine.row_loops import row_loop
        from matchloss.engine.row_steps import MixtureParts

        named = 0 if target.index is None else min(target.index.shape[1], 2)
        has = (x is not None for x in (target.base, target.dense, target.scale, known))
        bent = spread or options.temperature != 1.0 or options.z_loss != 0.0
        parts = MixtureParts(named, *has, capped=options.softcap > 0.0, bent=bent)
        short = classes < SIDE_BY_SIDE_BELOW and known is None
        loop = row_loop(None, dtype, (True, gradient is not None, False), parts, True, short)
    work = np.dtype(np.float64 if dtype == "float64" else np.float32)
    allowed = sum_tolerance(work) if tolerance is None else tolerance
    stats = np.empty((len(Stats._fields), n))
    index, share = (_plain(target.index, INDEX), _plain(target.share, DOUBLE)) if named else (None, None)
    base, scale, known = _plain(target.base, work), _plain(target.scale, work), _plain(known, DOUBLE)
    weight = np.ascontiguousarray(weight, np.float64)
    constants = (
        options.softcap if parts.capped else None,
        *((1.0 / options.temperature, options.z_loss, float(spread)) if bent else (None,) * 3),
    )

    def block(start: int, stop: int) -> int:
        part = slice(start, stop)
        at, shares, whole, dense = (None if x is None else x[part] for x in (index, share, known, target.dense))
        mixture = at, shares, base, _plain(dense, work), scale, whole
        out = None if gradient is None else gradient[part]
        bad = loop(logits[part], mixture, weight[part], allowed, 0.0, 0.0, stats[:, part], out, None, constants)
        return bad if bad < 0 else bad + start

    bad = threads.over_blocks(n, height(classes), block) if n else -1
    return Stats(*stats), bad


def run_labels(
    program: RowProgram, logits: NDArray[Any], labels: NDArray[np.int64], weight: NDArray[Any] | float, gradient: NDArray[Any] | None
) -> tuple[NDArray[np.float64], int]:
    """Values and gradient of plain cross entropy with labels, times one weight per row or one for all, by the simplex losses' loops."""
    n, classes = logits.shape
    loop = _hard_loop(program, logits.dtype.str[1:], gradient is not None, classes < SIDE_BY_SIDE_BELOW)
    value = np.empty(n, logits.dtype)
    if logits.size <= SMALL and isinstance(weight, np.ndarray):
        return value, loop(logits, labels, np.ascontiguousarray(weight, logits.dtype), 0.0, 0.0, 0.0, value, gradient, None, ())
    rows_at_once = height(classes)
    even = not isinstance(weight, np.ndarray)  # one block of equal weights serves all rows and saves memory
    weight = np.full(min(n, rows_at_once), weight, logits.dtype) if even else np.ascontiguousarray(weight, logits.dtype)

    def block(start: int, stop: int) -> int:
        part = slice(start, stop)
        out = None if gradient is None else gradient[part]
        w = weight[: stop - start] if even else weight[part]
        bad = loop(logits[part], labels[part], w, 0.0, 0.0, 0.0, value[part], out, None, ())
        return bad if bad < 0 else bad + start

    return value, threads.over_blocks(n, rows_at_once, block)


_hard_loops: dict[tuple[str, bool, bool], Any] = {}


def _hard_loop(program: RowProgram, dtype: str, graded: bool, short: bool) -> Any:
    loop = _hard_loops.get((dtype, graded, short))
    if loop is None:
        with threads.FIRST_CALLS:
            from matchloss.engine.row_loops import row_loop

            loop = _hard_loops[dtype, graded, short] = row_loop(program, np.dtype(dtype).name, (True, graded, False), "labels", True, short)
    return loop


def height(classes: int) -> int:
    """Rows per block of a thread."""
    return max(1, min(BLOCK // classes // 128 * 128 or BLOCK // classes, 1 << 14))
