"""How an objective is minimised: the cheapest method, its start and its metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.linear import metric as metrics
from matchloss.linear.advice import at_rounding
from matchloss.linear.lbfgs import lbfgs
from matchloss.linear.newton import newton
from matchloss.linear.objective import Log, Measure, Objective, Suspected, full_hessian
from matchloss.linear.passes import Gram, Matrix
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.simplex import block_metric, start_metric, too_wide
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Block, added

if TYPE_CHECKING:
    from matchloss.linear.metric import Metric
    from matchloss.losses import Loss

NEWTON_COLUMNS = 1500  # with more, factoring a hessian costs more than many gradient passes, and its copies take 200 MB
ARROW_BYTES = 1 << 28  # memory limit for the level rows of one arrow; several threads hold one each
SUBSAMPLE_FROM = 40_000  # rows
SUBSAMPLE = 10_000  # least number of rows in a subsample
SHORT_SUBSAMPLE = 5_000  # the same, where the full hessian of a simplex loss is computed on it
FLOPS = 1e8  # below this, the full hessian of a simplex loss takes only milliseconds
MOST_COEFFICIENTS = 1000  # the largest P K for which a subsample's full hessian is computed
SOME_NUMBERS = 16  # with so many numeric columns a hessian costs several gradient passes, so one serves many steps
LARGE = 1 << 20  # rows of a sample that are enough to judge it by, where it is not in memory
KINKED_COLUMNS = 10_000  # whose Gram matrices, of 800 MB, an interior point method factors
STEPS = 10  # L-BFGS steps taken with that hessian
MANY_NUMBERS = 100  # with more numeric columns even one hessian of all rows costs too much: the subsample's serves


@dataclass(frozen=True, eq=False)
class Found:
    """The result of a method."""

    at: Measure
    stuck: bool
    method: str
    before: tuple[tuple[float, float, int], ...] = ()  # passes over a subsample


def choose(f: Objective) -> str:
    """The cheapest method, as a key of RUN."""
    if not f.loss.smooth and f.outputs is None:
        return "interior_point"
    if f.outputs is None and f.loss.convex and (f.size <= NEWTON_COLUMNS or (f.loss.family == "positive" and _has_many_levels(f))):
        return "newton"  # with arrows if the curvature is unbounded; if it is bounded, L-BFGS with a diagonal is as quick
    if f.outputs is not None and f.loss.convex and f.rows.n * f.outputs**2 * max(100, f.size**2) <= FLOPS:
        return "newton"
    return "lbfgs"


def descends(loss: Loss, rows: TableRows) -> bool:
    """Whether a ridge is best fitted column by column, as L1 is: many sparse columns, of which no hessian is made."""
    return rows.sparse is not None and len(rows.slots) > NEWTON_COLUMNS and loss.family != "simplex" and loss.smooth and loss.convex


def eliminating(f: Objective) -> Objective:
    """The objective for Newton's method, with hessians as arrows where one category has too many levels for full ones."""
    if f.outputs is None and f.size > NEWTON_COLUMNS and _has_many_levels(f):
        return replace(f, source=f.source.largest_last(), arrow=True)
    return f


def _has_many_levels(f: Objective) -> bool:
    """Whether the hessian is small apart from the levels of one category, and their cross terms fit in memory."""
    largest = max(f.rows.levels, default=0)
    others = f.rows.width - largest
    return largest > 0 and others <= NEWTON_COLUMNS and 8 * others * largest <= ARROW_BYTES


@dataclass(frozen=True)
class Working:
    """The working weights and targets of least squares at the predictions (target + mean) / 2."""

    loss: Loss
    curvature: Any
    mean: float

    def of(self, block: Block) -> tuple[Floats, Floats]:
        """Weight, and weight times target, of each row of a block."""
        with np.errstate(all="ignore"):
            raw = np.asarray(self.loss.link((block.y + self.mean) / 2), np.float64)
            at = self.loss.evaluate(raw, block.y, block.w, value=False, hessian=True, curvature=self.curvature)
            return at.hessian, at.hessian * (raw if block.offset is None else raw - block.offset) - at.gradient


@dataclass(frozen=True, eq=False)
class WorkingGram(Gram):
    """The Gram matrix of the working weights."""

    working: Working

    def weights(self, block: Block) -> Floats:
        """The working weights."""
        return self.working.of(block)[0]


@dataclass(frozen=True, eq=False)
class WorkingTarget:
    """The transposed product of the weighted working targets, (width,)."""

    matrix: Matrix
    working: Working
    bytes = 0

    def slab(self, blocks: Iterator[Block], rows: int) -> Floats:
        """That of a slab."""
        made = np.zeros(self.matrix.rows.width)
        for block in blocks:
            self.matrix.add_gradient(block, self.working.of(block)[1], made)
        return made

    def join(self, parts: Sequence[Floats]) -> Floats:
        """The sum of the slabs'."""
        return added(parts, (self.matrix.rows.width,))


def _working_start(f: Objective) -> Floats:
    """R's start: weighted least squares on link((target + mean) / 2), at the cost of one Gram matrix.

    From a constant start, Newton's method overshoots in levels whose mean is far from the overall mean.
    """
    curvature = "fisher" if "fisher" in f.loss.programs else "exact"
    gram = WorkingGram(f.matrix, working := Working(f.loss, curvature, f.source.mean()))
    with np.errstate(all="ignore"):
        metric = f.metric(f.penalised(f.matrix.whole(f.source.sum(gram))))
        theta = metric.solve(f.source.sum(WorkingTarget(f.matrix, working))[f.slots] / f.total)
    return theta if np.isfinite(theta).all() else f.start()


def _step(f: Objective, least: int) -> int:
    """The stride of a subsample; 1 if there are too few rows to take one."""
    return max(1, f.rows.n // max(least, SUBSAMPLE)) if f.rows.n >= SUBSAMPLE_FROM else 1


def _by_newton(f: Objective, tol: float, log: Log) -> Found:
    theta, metric, before = (_working_start(f), None, ()) if f.arrow else _subsampled(f)
    said = "Newton's method" + (", from a subsample's optimum" if before else ", levels eliminated" if f.arrow else "")
    if metric is not None and f.rows.q >= SOME_NUMBERS:  # use one hessian (or the subsample's) for many steps; L-BFGS corrects it
        at = f.measure(theta, log, "none" if f.rows.q > MANY_NUMBERS else "part")
        if at.second is not None and np.isfinite(at.second).all():
            metric = f.metric(at.second)
            f.suspect(metric)
        at, stuck = lbfgs(f, at, metric.solve, tol, log, most=STEPS)
        if at.norm <= tol or log.full:
            return Found(at, stuck, f"{said}, then L-BFGS with its hessian", before)
        theta = at.theta
    found = newton(f, theta, tol, log)
    if before and not np.isfinite(found.at.value):  # a row outside the subsample overflows at its optimum
        found = newton(f, f.start(), tol, log)
    if found.at.norm <= tol or log.full or (found.stuck and at_rounding(f, found.at)):
        return Found(found.at, found.stuck, said, before)
    gram = start_metric(f, found.at.theta) if f.outputs else f.metric(_second(f, found.at.theta, "gram"))
    at, stuck = lbfgs(f, found.at, gram.solve, tol, log)  # Newton found no descent direction, for example because the hessian is 0
    return Found(at, stuck, f"{said}, then L-BFGS", before)


def _telling(few: Objective) -> bool:
    """Whether a subsample has enough rows with the rarest label, or with an unusual target, to estimate every column's coefficient."""
    if not isinstance(few.source, Memory):
        few = few.strided(-(-few.rows.n // LARGE))
    y = few.target
    rare = replace(few.memory, weight=None).mass(few.outputs).min() if few.outputs else np.count_nonzero(y != np.median(y))
    return bool(rare >= 2 * few.size)


def _subsampled(f: Objective) -> tuple[Floats, Metric | None, tuple[tuple[float, float, int], ...]]:
    """The optimum of a subsample (or of two, the second larger), its hessian's metric, and the passes. With few rows: only the start.

    With categories or sparse columns no subsample is taken either: it would have few rows of a rare level, whose coefficient would
    start far off.
    """
    step = _step(f, 20 * f.size)
    if step == 1 or f.rows.rare:
        return f.start(), None, ()
    log, metric, theta = Log(50), None, None
    # `enough`: stop at this share of the first gradient norm. Solving a subsample more closely gains nothing.
    for every, enough in ((step, 1e-3), (8, 0.1)) if step > 32 else ((step, 1e-3),):
        few = f.every(every)
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


def _by_lbfgs(f: Objective, tol: float, log: Log) -> Found:
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
        few = curved.every(_step(f, max(50 * f.size, f.rows.n // 16)))
        f.suspect(f.metric(_second(few, theta, "gram")))
        hessian = _second(few, theta, "hessian")
        metric = f.metric(hessian, 1e-10) if np.isfinite(hessian).all() else None
        if metric is None or metric.dependent.size:  # for example, the loss is not convex
            metric = f.metric(_second(f, theta, "gram"), 1e-10)
    at, stuck = lbfgs(f, f.measure(theta, log), metric.solve, tol, log)
    return Found(at, stuck, "L-BFGS")


def _lbfgs_simplex(f: Objective, theta: Floats, tol: float, log: Log) -> Found:
    metric = start_metric(f, theta)
    few = f.strided(f.rows.n // SHORT_SUBSAMPLE) if f.rows.n >= SUBSAMPLE_FROM and not f.rows.rare else None
    if few is not None and f.loss.convex and theta.size <= MOST_COEFFICIENTS and _telling(few):
        sub = Log(200)
        first, _ = lbfgs(few, few.measure(theta, sub), metric.solve, 1e-5, sub)
        better = f.metric(full_hessian(few, first.theta), 1e-8)
        if not better.dependent.size:
            at, stuck = lbfgs(f, f.measure(first.theta, log), better.solve, tol, log)
            return Found(at, stuck, "L-BFGS with the hessian of a subsample", tuple(sub.steps))
    renew = (lambda theta: block_metric(f, theta).solve) if f.loss.convex and not too_wide(f) else None
    at, stuck = lbfgs(f, f.measure(theta, log), metric.solve, tol, log, renew)
    return Found(at, stuck, "L-BFGS with the hessian's blocks" if renew else "L-BFGS")


def _by_interior_point(f: Objective, tol: float, log: Log) -> Found:
    from matchloss.linear.kinks import interior_point

    if f.size > KINKED_COLUMNS:
        raise ValueError(
            f"{f.loss!r} has kinks: its method factors a matrix of all columns, up to {KINKED_COLUMNS:,}; there are {f.size:,}"
        )
    if not f.independent:  # checking costs one Gram matrix, little beside the many that follow
        raise Suspected
    at, proven = interior_point(f, tol, log)
    return Found(at, proven, "interior point")


RUN = {"newton": _by_newton, "lbfgs": _by_lbfgs, "interior_point": _by_interior_point}
