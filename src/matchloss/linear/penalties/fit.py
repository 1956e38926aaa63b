"""A penalised fit from rows to a Solution: which solver takes it, or why none does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.advice import all_at_the_end, at_the_end, diverge
from matchloss.linear.endless import endless
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.passes import FEW
from matchloss.linear.penalties.asked import Asked, factors, grouped, limits, named, penalty_of
from matchloss.linear.penalties.newton import prox_newton
from matchloss.linear.penalties.penalty import Index, Penalty
from matchloss.linear.penalties.sample import Sample, sampled_newton
from matchloss.linear.penalties.working_sets import Wide, csc_of, working_sets
from matchloss.linear.plan import Category, Design
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import Options, Solution, blas_on_one_thread, objective

if TYPE_CHECKING:
    from matchloss.losses import Loss

GRAM_COLUMNS = 100  # with more columns of an array, working sets are cheaper than one Gram matrix of all
GRAM_LIMIT = 1500  # and with more columns of whatever kind
STEPS = 2  # of the sample, before all rows are asked
SAMPLE, SAMPLE_FROM = 17, 100_000  # a sample has every so many-th row, from so many rows on; prime, so that it keeps out of step with folds


@dataclass(eq=False)
class Problem:
    """Rows, a loss and a penalty with l1 = l2 = 1 times factors, which a path or a single fit multiplies."""

    f: Objective  # without a penalty
    unit: Penalty
    groups: tuple[str, ...]
    members: tuple[Index, ...]  # of each group, places in theta
    wide: Wide | None  # where working sets do it
    hessian: Floats | None = None  # the last one: the next penalty starts with it
    sample: Sample | None = None  # of many rows

    def solve(self, at: Measure, pen: Penalty, tol: float, log: Log) -> tuple[Measure, float, bool]:
        """The minimum, starting from a measured point; the residual there; and whether rounding prevents further steps."""
        with blas_on_one_thread():
            if self.wide is not None:
                return working_sets(self.wide, pen, tol, log, at.theta)
            if self.sample is not None:
                at, self.hessian, left, stuck = sampled_newton(self.f, at, pen, tol, log, self.hessian, self.sample)
            else:
                at, self.hessian, left, stuck = prox_newton(self.f, at, pen, tol, log, self.hessian)
            return replace(at, second=None), left, stuck

    def start(self, log: Log, pen: Penalty | None = None) -> Measure:
        """The model of the intercept alone, or the point of the box that is nearest to it; with a penalty and a sample, a few of the
        sample's steps further. Not more: a level whose targets agree in the sample goes on for ever there.
        """
        theta = np.zeros(len(self.unit.l1))
        if self.f.intercept:
            theta[0] = self.f.start()[0]
        theta = np.clip(theta, self.unit.low, self.unit.high)
        if self.wide is not None:
            return Measure(theta, np.nan, np.zeros_like(theta), None)  # sets begin with it
        if pen is not None and self.sample is not None:
            near = prox_newton(self.sample.f, self.sample.measured(theta), pen, 0.0, Log(STEPS))[0]
            at = self.f.measure(near.theta, log, "hessian") if np.isfinite(near.value) else near
            if np.isfinite(at.value):
                return at
        return self.f.measure(theta, log, "hessian")

    def free(self, tol: float, log: Log) -> Measure:
        """The optimum of what no penalty can keep at 0: the intercept, and columns with the factor 0. A path starts there."""
        at = self.start(log)
        held = (self.unit.l1 > 0) & np.isfinite(self.unit.l1)
        for index, weight in self.unit.groups:
            held[index] = weight > 0
        if held.all():
            return at if self.wide is None else self.wide.measure(at.theta)
        return self._with(held, at, tol, log)

    def _with(self, held: NDArray[np.bool_], at: Measure, tol: float, log: Log) -> Measure:
        low, high = np.where(held, 0.0, self.unit.low), np.where(held, 0.0, self.unit.high)
        pen = Penalty(np.zeros(len(low)), np.zeros(len(low)), low, high)
        if self.wide is not None:
            return working_sets(self.wide, pen, tol, log, np.clip(at.theta, low, high))[0]
        at, self.hessian, *_ = prox_newton(self.f, self.f.measure(np.clip(at.theta, low, high), log, "hessian"), pen, tol, log)
        return replace(at, second=None)


def problem(
    loss: Loss,
    rows: TableRows,
    target: NDArray[Any],
    weight: Any,
    offset: Any,
    asked: Asked,
    intercept: bool,
    design: Design | None,
    names: Sequence[str],
    l1: bool,
) -> Problem:
    """The problem that is asked for; `l1` says whether it can make coefficients 0. ValueError for what no solver takes."""
    _refuse(loss)
    columns = named(design, names)
    groups = grouped(asked, design, columns)
    lines = factors(asked, columns), *limits(asked, columns)
    rows, (factor, low, high), members = _with_all_levels(rows, design, columns.places, groups, lines)
    f = objective(loss, rows.together() if rows.q <= FEW else rows, target, weight, offset, 0.0, None, intercept)
    unit = penalty_of(factor, low, high, members, intercept)
    wide, thin = None, rows.sparse is not None
    if not groups and f.size > (GRAM_LIMIT if (rows.levels and not thin) or not l1 else GRAM_COLUMNS) and (l1 or thin):
        wide = Wide(f, csc_of(f.rows) if rows.rare else None)
    elif f.size > GRAM_LIMIT:
        raise ValueError(f"groups, bounds and factors without l1 take up to {GRAM_LIMIT} columns; there are {f.size}")
    few = Sample(f.strided(SAMPLE)) if wide is None and l1 and f.rows.n >= SAMPLE_FROM else None
    few = few if few is not None and few.f.total > 0 else None  # whose weights may all be 0
    return Problem(f, unit, tuple(groups), tuple(index + int(intercept) for index in members), wide, sample=few)


def _refuse(loss: Loss) -> None:
    what = "l1, penalty_factor, groups and bounds"
    if loss.family == "simplex":
        raise ValueError(f"{what} are there for one raw prediction a row; {loss.name} of three classes or more has l2 alone")
    if not loss.smooth:
        raise ValueError(f"{what} need a loss without kinks: {loss!r} has l2 alone")
    if not loss.convex:
        raise ValueError(f"{what} need a convex loss: {loss!r} has l2 alone")


Lines = tuple[Floats, Floats, Floats]  # the factor of each coefficient, its least and its greatest value


def _with_all_levels(
    rows: TableRows, design: Design | None, places: dict[Any, list[int]], groups: dict[str, list[Any]], lines: Lines
) -> tuple[TableRows, Lines, list[Index]]:
    """Rows in which a grouped category has a slot for every level, the reference last of all; and the places of each group."""
    if not groups:
        return rows, lines, []
    slots, (factor, low, high) = list(rows.slots), (list(line) for line in lines)
    extra: dict[Any, list[int]] = {}
    if design is not None:
        thin = range(1 + rows.q, 1 + rows.q + rows.s)
        categories = [c for c in design.columns if isinstance(c, Category)]
        sparse = [c.name for c in categories if places[c.name] and rows.slots[places[c.name][0]] in thin]
        for group, members in groups.items():
            if both := set(members).intersection(sparse):
                raise ValueError(
                    f"group {group!r} has {min(both)!r}, a sparse column of booleans: pass it as numbers, or as a dense column"
                )
        for first, category in zip(rows.first, [c for c in categories if c.name not in sparse], strict=True):
            if any(category.name in members for members in groups.values()) and len(category.levels) > 1:
                own = places[category.name]
                extra[category.name] = [len(slots)]
                slots.append(int(first))
                factor.append(float(np.mean([factor[j] for j in own])))
                low.append(-np.inf)
                high.append(np.inf)
    index = [np.array([j for name in names for j in (*places[name], *extra.get(name, []))], np.intp) for names in groups.values()]
    made = replace(rows, slots=np.array(slots, np.intp))
    return made, (np.array(factor), np.array(low), np.array(high)), index


def solve_penalised(p: Problem, asked: Asked, options: Options, names: Sequence[str]) -> Solution:
    """The fit of one penalty."""
    began, log = time.perf_counter(), Log(options.max_passes)
    pen = p.unit.times(float(asked.l1), float(asked.l2))
    at, left, stuck = p.solve(p.start(log, pen), pen, options.tol, log)
    return solution(p, at, pen, left, stuck, options, log, began, names)


def solution(
    p: Problem, at: Measure, pen: Penalty, left: float, stuck: bool, options: Options, log: Log, began: float, names: Sequence[str]
) -> Solution:
    """The Solution of a point: in the columns' own units, a grouped category measured from its reference as all others are."""
    f, head = p.f, int(p.f.intercept)
    if not np.isfinite(at.value):
        f.measure(f.start(), Log(1))  # raises NotFinite if the rows are to blame
    converged = left <= options.tol
    said = [] if converged else [f"Not converged: the KKT residual is {left:.1e}, above tol = {options.tol:g}. More passes may help."]
    said += _endless(p, at, pen, names, log.before(left))
    coef, constant = at.theta[head:].copy(), at.theta[0] if head else np.zeros(())
    centre = np.zeros(len(coef))
    constant, centre = f.rows.uncentred(np.asarray(constant), coef)
    coef, constant = folded(f.rows, coef, float(constant))
    return Solution(
        intercept=float(constant),
        coef=coef,
        centre=centre[: len(coef)],
        passes=len(log.steps),
        seconds=time.perf_counter() - began,
        method="working sets and proximal Newton" if p.wide is not None else "proximal Newton",
        converged=converged,
        objective=at.value + pen.value(at.theta),
        gradient_norm=left,
        messages=tuple(said),
        trace=tuple(log.steps),
    )


def _endless(p: Problem, at: Measure, pen: Penalty, names: Sequence[str], before: Sequence[Floats]) -> list[str]:
    """The message about coefficients without a finite best value: the intercept, or those that only bounds could hold."""
    if all_at_the_end(p.f):
        return [at_the_end(p.f)]
    if p.wide is not None or pen.selects or pen.l2.any():
        return []
    direction = endless(p.f, at, before)
    if direction is None or (np.where(direction > 0, pen.high, -pen.low)[direction != 0] < np.inf).any():
        return []
    return [diverge(p.f, direction, [*(["the intercept"] if p.f.intercept else []), *names])]


def folded(rows: TableRows, coef: Floats, constant: float) -> tuple[Floats, float]:
    """A reference level's own coefficient, which a group gives it, taken from the other levels and put into the intercept."""
    own = np.isin(rows.slots, rows.first)
    for slot, value in zip(rows.slots[own], coef[own], strict=True):
        levels = rows.levels[list(rows.first).index(slot)]
        coef = np.where((rows.slots > slot) & (rows.slots < slot + levels), coef - value, coef)
        constant += float(value)
    return coef[~own], constant
