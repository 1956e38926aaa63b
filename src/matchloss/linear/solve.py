"""Fitting a linear model under any loss: inputs, solution, and messages for the person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from numbers import Integral, Real
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise
from matchloss.engine.arrays import as_weight
from matchloss.engine.row_targets import check_targets
from matchloss.errors import ShapeError
from matchloss.linear.advice import advise, at_rounding, not_centred
from matchloss.linear.methods import RUN, choose, eliminating
from matchloss.linear.objective import Log, Objective, Suspected
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats, TableRows, moved
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Source

if TYPE_CHECKING:
    from matchloss.losses import Loss

METHODS = ("auto", *RUN)


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the solver stopped."""

    intercept: Any  # float, or (K,)
    coef: Floats  # (p,), or (p, K)
    centre: Floats  # (p,): subtracted from the numbers, 0 for most; raw_of needs it to lose no digits to large numbers
    passes: int  # over all rows
    seconds: float
    method: str
    converged: bool
    objective: float
    gradient_norm: float  # the largest absolute entry of the objective's gradient
    messages: tuple[str, ...]  # what the person should look at, one sentence each
    trace: tuple[tuple[float, float, int], ...]  # objective, gradient norm and rows of every pass, the subsample's first
    diverging: tuple[int, ...] = ()  # coefficients without a finite best value, the intercept, if any, first
    penalty: float = 0.0  # of the ridge, where the objective is without it


def solve(
    loss: Loss,
    rows: TableRows,
    target: NDArray[Any],
    *,
    sample_weight: Any = None,
    offset: Any = None,
    l2: float = 0.0,
    outputs: int | None = None,
    fit_intercept: bool = True,
    tol: float = 1e-8,
    max_passes: int = 100,
    method: str = "auto",
    names: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Solution:
    """Minimises sum(w * value) / sum(w) + l2 / 2 * |coef|^2, the intercept free, until the gradient's largest entry is at most tol.

    `target`: float64 (n,) for a pointwise loss; for a simplex loss, with `outputs` = K, labels 0..K-1 (n,) or distributions (n, K).
    `offset` (n,), or (n, K) for a simplex loss, is added to the raw predictions. `names`: of the coefficients, for messages.
    Raises DomainError for a target or weight outside its domain, ShapeError if no row has a positive weight, ValueError for an option
    outside its range or an offset that is not finite.

    >>> import numpy as np, matchloss as ml
    >>> from matchloss.linear.rows import of_array
    >>> found = solve(ml.SquaredError(), of_array(np.array([[0.0], [1.0], [2.0]])), np.array([1.0, 3.0, 5.0]))
    >>> round(found.intercept, 6), found.coef.round(6), found.converged
    (1.0, array([2.]), True)
    """
    options = Options(l2, fit_intercept, tol, max_passes, method)
    began = time.perf_counter()
    f = objective(loss, rows, target, sample_weight, offset, float(l2), outputs, fit_intercept)
    return minimise(f, options, names, (lambda log: progress(len(log.steps))) if progress else None, began)


@dataclass(frozen=True)
class Options:
    """How to fit; see `solve`. ValueError for an option outside its range."""

    l2: float = 0.0
    fit_intercept: bool = True
    tol: float = 1e-8
    max_passes: int = 100
    method: str = "auto"

    def __post_init__(self) -> None:
        if not (isinstance(self.fit_intercept, bool | np.bool_ | Integral) and self.fit_intercept in (True, False)):
            raise ValueError(f"fit_intercept is {self.fit_intercept!r}; it must be True or False")
        for name, x in {"l2": self.l2, "tol": self.tol}.items():
            if not (isinstance(x, Real) and np.isfinite(x) and x >= 0):
                raise ValueError(f"{name} is {x!r}; it must be a number, finite and >= 0")
        if not (isinstance(self.max_passes, Integral) and self.max_passes >= 1):
            raise ValueError(f"max_passes is {self.max_passes!r}; it must be a whole number, 1 or more")
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; allowed: {', '.join(METHODS)}")


def minimise(
    f: Objective,
    options: Options,
    names: Sequence[str] = (),
    tell: Callable[[Log], None] | None = None,
    began: float | None = None,
) -> Solution:
    """`solve` for an objective, whose rows may be anywhere; NotInMemory for a method that needs them in memory."""
    began, tol, intercept, method = began or time.perf_counter(), options.tol, options.fit_intercept, options.method
    with blas_on_one_thread():
        loss, outputs, rows, given, log = f.loss, f.outputs, f.rows, f, Log(options.max_passes, tell or (lambda log: None))
        chosen = choose(f) if method == "auto" else method
        if chosen == "interior_point" and getattr(loss.simplified, "pieces_formula", None) is None:
            raise ValueError(f'method="interior_point" takes losses that are linear but for kinks; {loss!r} is not')
        if chosen == "newton":
            f = eliminating(f)
        try:
            found = RUN[chosen](f, tol, log)
        except Suspected:
            f = f.without(f.collinear())
            found = RUN[chosen](f, tol, log)
        if not np.isfinite(found.at.norm):
            f.measure(f.start(), Log(1))  # raises NotFinite if the rows are to blame
        converged = found.at.norm <= tol or (found.stuck and (chosen == "interior_point" or at_rounding(f, found.at)))
        advice = advise(f, found.at, converged, tol, names, log.before(found.at.norm))
        messages = advice.messages
        if not intercept and (f.left_out or not converged):
            messages += not_centred(given, names)
    theta = f.whole(found.at.theta)
    coef = theta[int(intercept) :]
    constant, centre = rows.uncentred(theta[0] if intercept else np.zeros(theta.shape[1:]), coef)
    return Solution(
        intercept=float(constant) if outputs is None else constant,
        coef=coef,
        centre=centre,
        passes=len(log.steps),
        seconds=time.perf_counter() - began,
        method=found.method,
        converged=converged,
        objective=found.at.value,
        gradient_norm=found.at.norm,
        messages=messages,
        diverging=advice.diverging,
        trace=(*found.before, *log.steps),
    )


def raw_of(rows: TableRows, intercept: Any, coef: Floats, centre: Floats | None = None, offset: Any = None) -> Floats:
    """The raw predictions of a fitted model: (n,), or (n, K) if coef is (p, K). Pass Solution.centre to lose no digits."""
    outputs = None if coef.ndim == 1 else coef.shape[1]
    if centre is not None and centre.any():
        rows, intercept = rows.shifted(centre), moved(np.asarray(intercept, np.float64), centre, coef)
    wide = np.zeros((rows.width, *coef.shape[1:]))
    wide[rows.slots] = coef
    wide[0] = intercept
    raw = Matrix(rows, outputs or 1).times(wide)
    return raw if offset is None else raw + as_offset(offset, rows.n, outputs)


class _OneThread:
    """Limits BLAS to one thread while anyone is inside: the first to enter sets the limit, and the last to leave lifts it. So calls of
    several threads do not keep each other's limit for ever, and a call inside another one costs nothing.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.before = Lock(), 0, ()

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.before = tuple((library, library.num_threads) for library in _libraries())
                for library, _ in self.before:
                    library.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                for library, threads in self.before:
                    library.set_num_threads(threads)


_one_thread = _OneThread()


def blas_on_one_thread() -> AbstractContextManager[None]:
    """Limits BLAS to one thread: beside our own threads, its threads would only get in the way."""
    return _one_thread


@cache
def _libraries() -> tuple[Any, ...]:
    """BLAS's libraries; cached, because finding them takes milliseconds, which small fits would notice. They are all loaded by now."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError as error:
        raise ImportError('fitting needs threadpoolctl: pip install "matchloss[linear]"') from error
    return tuple(library for library in ThreadpoolController().lib_controllers if library.user_api == "blas")


def objective(
    loss: Loss, rows: TableRows, target: NDArray[Any], sample_weight: Any, offset: Any, l2: float, outputs: int | None, intercept: bool
) -> Objective:
    """What is minimised, its inputs checked; rows of weight 0 are left out."""
    if target.shape != (rows.n,) and (outputs is None or target.shape != (rows.n, outputs)):
        wanted = f"({rows.n},)" + (f" or ({rows.n}, {outputs})" if outputs else "")
        raise ShapeError(f"target has shape {target.shape}; {rows.n} rows ask for {wanted}")
    weight = as_weight(sample_weight, (rows.n,))
    if outputs is None:
        target = np.ascontiguousarray(target, np.float64)
        pointwise.check(loss.programs["exact"], target, weight)
    else:
        check_targets(target, target.ndim == 1, outputs, weight)
        rounded = target.ndim == 2 and target.dtype != np.float64  # float32 distributions sum to 1 only within 1e-4
        target = np.ascontiguousarray(target, np.int64 if target.ndim == 1 else np.float64)
        if rounded:
            target = target / np.where(target.sum(axis=1) > 0, target.sum(axis=1), 1.0)[:, None]
    offset = None if offset is None else as_offset(offset, rows.n, outputs)
    if weight is not None:
        weight = np.ascontiguousarray(weight, np.float64)
        if not (weight > 0).all():  # rows of weight 0 are ignored
            kept = np.flatnonzero(weight > 0)
            rows, target, weight, offset = rows.take(kept), target[kept], weight[kept], None if offset is None else offset[kept]
    if rows.n == 0:
        raise ShapeError("there is no row to fit to: none at all, or each sample_weight is zero")
    return of_source(loss, Memory(rows, target, weight, offset), l2, outputs, intercept)


def of_source(loss: Loss, source: Source, l2: float, outputs: int | None, intercept: bool) -> Objective:
    """What is minimised, over the rows of any source, whose targets have been checked."""
    if intercept and (shift := source.far_means()).any():  # columns far from 0 for their spread are read relative to their means
        source = source.with_rows(replace(source.rows, shift=shift))
    return Objective(loss, source, l2, outputs, intercept, independent=l2 > 0)


def as_offset(offset: Any, n: int, outputs: int | None) -> Floats:
    """An offset in float64, (n,) or (n, K); ShapeError for another shape, ValueError for the first that is not finite."""
    given = np.asarray(offset)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"offset has the dtype {given.dtype}; allowed: numbers")
    wanted = (n,) if outputs is None else (n, outputs)
    if given.shape != wanted:
        why = "" if outputs is None else ": one for each class, since an equal offset of all classes changes nothing"
        raise ShapeError(f"offset has shape {given.shape}; {n} rows ask for {wanted}{why}")
    given = np.ascontiguousarray(given, np.float64)
    bad = ~np.isfinite(given)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise ValueError(f"offset, row {row}: {given[row]}; every offset must be known and finite")
    return given
