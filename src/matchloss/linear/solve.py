"""Fitting a linear model under any loss: the method chosen by cost, a start from a subsample, and what the person should know."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise
from matchloss.engine import rows as row_engine
from matchloss.engine.arrays import as_weight
from matchloss.errors import ShapeError
from matchloss.linear import metric as metrics
from matchloss.linear.advice import advise, at_rounding
from matchloss.linear.lbfgs import lbfgs
from matchloss.linear.newton import newton
from matchloss.linear.objective import Log, Measure, Objective, Suspected
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats, Rows
from matchloss.linear.simplex import block_metric, full_hessian, start_metric

if TYPE_CHECKING:
    from matchloss.linear.metric import Metric
    from matchloss.losses import Loss

METHODS = ("auto", "newton", "lbfgs", "interior_point")
NEWTON_COLUMNS = 1500  # a hessian of more takes longer to factor than many gradients take, and 200 MB with its copies
SUBSAMPLE_FROM = 40_000  # rows
SUBSAMPLE = 10_000  # rows at least
SHORT_SUBSAMPLE = 5_000  # for the whole hessian of a simplex loss
FLOPS = 1e8  # of the whole hessian of a simplex loss, by rows: up to here it is had in milliseconds
MOST_COEFFICIENTS = 1000  # P K, whose hessian a subsample may have
SOME_NUMBERS, STEPS = 16, 10  # numeric columns from which one hessian has to do for so many steps
MANY_NUMBERS = 100  # numeric columns: a pass for the hessian costs 4 for the gradient, and more; then a subsample's has to do


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the solver stopped."""

    intercept: Any  # float, or (K,)
    coef: Floats  # (p,), or (p, K)
    passes: int  # over all rows
    seconds: float
    method: str
    converged: bool
    objective: float
    gradient_norm: float  # the largest absolute entry of the objective's gradient
    messages: tuple[str, ...]  # what the person should look at, a sentence each
    trace: tuple[tuple[float, float, int], ...]  # objective, gradient norm and rows of every pass, the subsample's first


def solve(
    loss: Loss,
    rows: Rows,
    target: NDArray[Any],
    *,
    sample_weight: Any = None,
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

    `target` is float64, (n,), for a pointwise loss, and labels 0..K-1 with `outputs` = K for a simplex loss. `names` of the
    coefficients are for messages. Raises DomainError for a target or weight outside its domain, ShapeError where there is no row of
    positive weight, ValueError for options outside theirs.

    >>> import numpy as np, matchloss as ml
    >>> from matchloss.linear.rows import of_array
    >>> found = solve(ml.SquaredError(), of_array(np.array([[0.0], [1.0], [2.0]])), np.array([1.0, 3.0, 5.0]))
    >>> round(found.intercept, 6), found.coef.round(6), found.converged
    (1.0, array([2.]), True)
    """
    _check_options(l2, tol, max_passes, method)
    began = time.perf_counter()
    with blas_on_one_thread():
        f = _objective(loss, rows, target, sample_weight, float(l2), outputs, fit_intercept)
        log = Log(max_passes, progress or (lambda passes: None))
        chosen = _choose(f) if method == "auto" else method
        if chosen == "interior_point" and getattr(loss.reduced, "pieces_formula", None) is None:
            raise ValueError(f'method="interior_point" takes losses that are linear but for kinks; {loss!r} is not')
        run = {"newton": _newton, "lbfgs": _lbfgs, "interior_point": _interior}[chosen]
        try:
            found = run(f, tol, log)
        except Suspected:
            f = f.without(f.collinear())
            found = run(f, tol, log)
        if not np.isfinite(found.at.norm):
            f.measure(f.start(), Log(1))  # NotFinite if the rows are to blame
        converged = found.at.norm <= tol or (found.stuck and (chosen == "interior_point" or at_rounding(f, found.at)))
        messages = advise(f, found.at, converged, tol, names, log.before(found.at.norm))
    theta = f.whole(found.at.theta)
    intercept = (theta[0] if outputs is not None else float(theta[0])) if fit_intercept else (0.0 if outputs is None else np.zeros(outputs))
    return Solution(
        intercept=intercept,
        coef=theta[int(fit_intercept) :],
        passes=len(log.steps),
        seconds=time.perf_counter() - began,
        method=found.method,
        converged=converged,
        objective=found.at.value,
        gradient_norm=found.at.norm,
        messages=messages,
        trace=(*found.before, *log.steps),
    )


def raw_of(rows: Rows, intercept: Any, coef: Floats) -> Floats:
    """The raw predictions of a fitted model: (n,), or (n, K) where coef is (p, K)."""
    wide = np.zeros((rows.width, *coef.shape[1:]))
    wide[rows.slots] = coef
    wide[0] = intercept
    return Matrix(rows, 1 if coef.ndim == 1 else coef.shape[1]).times(wide)


def blas_on_one_thread() -> Any:
    """While our own threads run, BLAS's would only get in their way."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    """Finding the libraries takes milliseconds, which small fits would notice; NumPy's and SciPy's are all loaded by now."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError as error:
        raise ImportError('fitting needs threadpoolctl: pip install "matchloss[linear]"') from error
    return ThreadpoolController()


@dataclass(frozen=True, eq=False)
class Found:
    """What a method comes back with."""

    at: Measure
    stuck: bool
    metric: Metric | None
    method: str
    before: tuple[tuple[float, float, int], ...] = ()  # passes over a subsample


def _check_options(l2: float, tol: float, max_passes: int, method: str) -> None:
    for name, x in {"l2": l2, "tol": tol}.items():
        if not (isinstance(x, Real) and np.isfinite(x) and x >= 0):
            raise ValueError(f"{name} is {x!r}; it must be a number, finite and >= 0")
    if not (isinstance(max_passes, Integral) and max_passes >= 1):
        raise ValueError(f"max_passes is {max_passes!r}; it must be a whole number, 1 or more")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; allowed: {', '.join(METHODS)}")


def _objective(
    loss: Loss, rows: Rows, target: NDArray[Any], sample_weight: Any, l2: float, outputs: int | None, intercept: bool
) -> Objective:
    if target.shape != (rows.n,):
        raise ShapeError(f"target has shape {target.shape}; {rows.n} rows ask for ({rows.n},)")
    weight = as_weight(sample_weight, (rows.n,))
    if outputs is None:
        target = np.ascontiguousarray(target, np.float64)
        pointwise.check(loss.programs["exact"], target, weight)
    else:
        target = np.ascontiguousarray(target, np.int64)
        row_engine.check(loss.programs["exact"], target, True, outputs, weight)
    if weight is not None:
        weight = np.ascontiguousarray(weight, np.float64)
        if not (weight > 0).all():  # a row of weight 0 is no row
            kept = np.flatnonzero(weight > 0)
            rows, target, weight = rows.take(kept), target[kept], weight[kept]
    if rows.n == 0:
        raise ShapeError("there is no row to fit to: none at all, or each sample_weight is zero")
    return Objective(loss, rows, target, weight, l2, outputs, intercept, independent=l2 > 0)


def _choose(f: Objective) -> str:
    if not f.loss.smooth and f.outputs is None:
        return "interior_point"
    if f.outputs is None and f.loss.convex and f.size <= NEWTON_COLUMNS:
        return "newton"
    if f.outputs is not None and f.loss.convex and f.rows.n * f.outputs**2 * max(100, f.size**2) <= FLOPS:
        return "newton"
    return "lbfgs"


def _step(f: Objective, least: int) -> int:
    """Every how many rows a subsample takes: 1 where there are too few for one."""
    return max(1, f.rows.n // max(least, SUBSAMPLE)) if f.rows.n >= SUBSAMPLE_FROM else 1


def _newton(f: Objective, tol: float, log: Log) -> Found:
    theta, metric, before = _subsampled(f)
    said = "Newton's method" + (", from a subsample's optimum" if before else "")
    if metric is not None and f.rows.q >= SOME_NUMBERS:  # one hessian, or none, and L-BFGS makes up for its age
        at = f.measure(theta, log, "none" if f.rows.q > MANY_NUMBERS else "part")
        if at.second is not None and np.isfinite(at.second).all():
            metric = f.metric(at.second)
            f.suspect(metric)
        at, stuck = lbfgs(f, at, metric.solve, tol, log, most=STEPS)
        if at.norm <= tol or log.full:
            return Found(at, stuck, metric, f"{said}, then L-BFGS with its hessian", before)
        theta = at.theta
    if before and not np.isfinite(f.measure(theta, log).value):  # a row that no subsample had overflows there
        theta = f.start()
    found = newton(f, theta, tol, log)
    if found.at.norm <= tol or log.full or (found.stuck and at_rounding(f, found.at)):
        return Found(found.at, found.stuck, found.metric, said, before)
    gram = start_metric(f, found.at.theta) if f.outputs else f.metric(_second(f, found.at.theta, "gram"))
    at, stuck = lbfgs(f, found.at, gram.solve, tol, log)  # Newton found no direction: a hessian of 0, say
    return Found(at, stuck, None, f"{said}, then L-BFGS", before)


def _telling(few: Objective) -> bool:
    """Whether a subsample has enough rows of the rarest label, or that differ from the usual target, to say something of each column."""
    rare = np.bincount(few.target, minlength=few.outputs).min() if few.outputs else np.count_nonzero(few.target != np.median(few.target))
    return bool(rare >= 2 * few.size)


def _subsampled(f: Objective) -> tuple[Floats, Metric | None, tuple[tuple[float, float, int], ...]]:
    """The optimum of a subsample, or two that grow; its hessian's metric; and the passes. Where rows are few, the start and nothing.

    With categories too: in a few rows a rare level would be taken for certain, and its coefficient start far off.
    """
    step = _step(f, 20 * f.size)
    if step == 1 or f.rows.levels:
        return f.start(), None, ()
    log, metric, theta = Log(50), None, None
    for every, enough in ((step, 1e-3), (8, 0.1)) if step > 32 else ((step, 1e-3),):  # of the gradient at the start: nearer is in vain
        few = f.strided(every)
        if not _telling(few):
            continue
        found = newton(few, few.start() if theta is None else theta, 0.0, log, enough)
        if np.isfinite(found.at.value):
            theta, metric = found.at.theta, found.metric
    return (f.start(), None, ()) if theta is None else (theta, metric, tuple(log.steps))


def _second(f: Objective, theta: Floats, second: Any) -> Floats:
    made = f.measure(theta, Log(1), second).second
    assert made is not None
    return made


def _lbfgs(f: Objective, tol: float, log: Log) -> Found:
    theta = f.start()
    if f.outputs is None:
        return _lbfgs_pointwise(f, theta, tol, log)
    return _lbfgs_simplex(f, theta, tol, log)


def _lbfgs_pointwise(f: Objective, theta: Floats, tol: float, log: Log) -> Found:
    curvature = next((c for c in ("fisher", "majorizer") if c in f.loss.programs), "exact") if not f.loss.convex else "exact"
    curved = replace(f, curvature=curvature)
    if f.size > NEWTON_COLUMNS:
        metric = metrics.of_diagonal(_second(curved, theta, "diagonal"))
    else:
        few = curved.strided(_step(f, max(50 * f.size, f.rows.n // 16)))
        f.suspect(f.metric(_second(few, theta, "gram")))
        hessian = _second(few, theta, "hessian")
        metric = f.metric(hessian, 1e-10) if np.isfinite(hessian).all() else None
        if metric is None or metric.dependent.size:  # where the loss is not convex, say
            metric = f.metric(_second(f, theta, "gram"), 1e-10)
    at, stuck = lbfgs(f, f.measure(theta, log), metric.solve, tol, log)
    return Found(at, stuck, None, "L-BFGS")


def _lbfgs_simplex(f: Objective, theta: Floats, tol: float, log: Log) -> Found:
    metric = start_metric(f, theta)
    few = f.strided(f.rows.n // SHORT_SUBSAMPLE) if f.rows.n >= SUBSAMPLE_FROM and not f.rows.levels else None
    if few is not None and f.loss.convex and theta.size <= MOST_COEFFICIENTS and _telling(few):
        sub = Log(200)
        first, _ = lbfgs(few, few.measure(theta, sub), metric.solve, 1e-5, sub)
        better = f.metric(full_hessian(few, first.theta), 1e-8)
        if not better.dependent.size:
            at, stuck = lbfgs(f, f.measure(first.theta, log), better.solve, tol, log)
            return Found(at, stuck, None, "L-BFGS with the hessian of a subsample", tuple(sub.steps))
    renew = (lambda theta: block_metric(f, theta).solve) if f.loss.convex else None
    at, stuck = lbfgs(f, f.measure(theta, log), metric.solve, tol, log, renew)
    return Found(at, stuck, None, "L-BFGS with the hessian's blocks" if renew else "L-BFGS")


def _interior(f: Objective, tol: float, log: Log) -> Found:
    from matchloss.linear.kinks import interior_point

    if not f.independent:  # one Gram matrix among many
        raise Suspected
    at, proven = interior_point(f, tol, log)
    return Found(at, proven, None, "interior point")
