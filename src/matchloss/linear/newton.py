"""Newton's method in fused passes, and the line search that it shares with L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from matchloss.linear.advice import at_rounding
from matchloss.linear.metric import Metric
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.rows import Floats

ARMIJO, WOLFE = 1e-4, 0.9
NOISE = 1e-11  # smaller relative differences of the objective are rounding; then slopes decide (Hager & Zhang 2005)
SHORT, CAREFUL = 0.1, 5  # after a step shorter than this share of Newton's, take this many steps with the majorizer
KEEP = 0.1  # keep the factored hessian while each step shrinks the gradient at least this much


def search(at: Measure, direction: Floats, measure: Callable[[Floats], Measure], more: Callable[[], bool]) -> Measure | None:
    """A point along `direction` that is low enough and far enough (weak Wolfe conditions, by bisection); None if none is found."""
    slope = float(np.vdot(at.gradient, direction))
    if not slope < 0:
        return None
    noise = NOISE * max(abs(at.value), 1e-300)
    low, high, length, rejected = 0.0, np.inf, 1.0, 0
    best: Measure | None = None
    for _ in range(60):
        if not more():
            return best
        trial = measure(at.theta + length * direction)
        ahead = float(np.vdot(trial.gradient, direction)) if np.isfinite(trial.value) else np.nan
        if -slope <= noise and trial.norm < at.norm and np.isfinite(trial.value):
            return trial  # values and slopes of these points differ by rounding only, so the smaller gradient wins
        lower = trial.value <= at.value + ARMIJO * length * slope
        level = trial.value <= at.value + noise and ahead <= (2 * ARMIJO - 1) * slope
        if not (lower or level):
            high = length
            if low == 0:  # go to the minimum of the interpolating parabola, shrinking faster with each rejection
                lift = trial.value - at.value - length * slope
                rejected += 1
                length *= min(0.5, max(1e-3, -0.5 * slope * length / lift)) ** rejected if np.isfinite(lift) else 0.1
                continue
        elif ahead < WOLFE * slope:
            low, best = length, trial
        else:
            return trial
        length = 0.5 * (low + high) if np.isfinite(high) else 2 * length
        if length * float(np.abs(direction).max()) < 1e-16 * (1 + float(np.abs(at.theta).max())):
            break
    return best


@dataclass(frozen=True, eq=False)
class Newton:
    """Where Newton's method stopped."""

    at: Measure
    metric: Metric | None  # of the last hessian
    stuck: bool  # rounding allows no further step


def newton(f: Objective, theta: Floats, tol: float, log: Log, enough: float = 0.0) -> Newton:
    """Minimises a convex objective from theta until the gradient's largest entry is at most tol, or `enough` times its first value.

    A pass computes no hessian while the last one still shrinks the gradient well. Newton's steps can overshoot, for example far from a
    rounded-off kink. Then some steps use the majorizer instead, if the loss has one, because its steps never overshoot.
    """
    careful, cautious = 0, replace(f, curvature="majorizer") if "majorizer" in f.loss.programs and f.outputs is None else None
    at = f.measure(theta, log, "hessian")
    tol = max(tol, enough * at.norm)
    metric, ratio = None, 1.0
    while at.norm > tol and not log.full:
        g = cautious if careful and cautious is not None else f
        if at.second is not None:
            first = metric is None
            metric = _damped(f, at)
            if metric is None:
                return Newton(at, None, True)
            if first:
                f.suspect(metric)
        assert metric is not None
        quick = ratio < KEEP and at.norm * (ratio**2 if at.second is not None else ratio) <= tol
        step = -metric.solve(at.gradient)
        direction = f.bent(step)
        if not np.vdot(at.gradient, direction) < 0:  # no longer a descent direction
            direction = step
        found = search(at, direction, lambda t: g.measure(t, log, "none" if quick else "hessian"), lambda: not log.full)  # noqa: B023
        if found is None or not np.isfinite(found.value):
            if at.second is None and not log.full:  # the old hessian no longer helps: retry with a fresh one
                at = f.measure(at.theta, log, "hessian")
                ratio = 1.0
                continue
            return Newton(at, metric, not log.full)
        before, ratio = ratio, found.norm / at.norm
        if ratio > 0.5 and found.value >= at.value - NOISE * abs(at.value):
            # The gradient's largest entry hardly shows progress along nearly flat directions of near-collinear columns; the metric does.
            left, was = _decrement(found, metric), _decrement(at, metric)
            better = found if left < was else at
            if left > 0.25 * was and (min(ratio, before) >= 1 or at_rounding(f, better)):
                return Newton(better, metric, True)
        short = float(np.abs(found.theta - at.theta).max()) < SHORT * float(np.abs(direction).max())
        at, was_careful = found, careful > 0
        careful = CAREFUL if short and cautious is not None and not careful else max(careful - 1, 0)
        switched = (careful > 0) != was_careful
        if at.norm > tol and not log.full and (switched or (at.second is None and ratio > KEEP)):
            at = (cautious if careful and cautious is not None else f).measure(at.theta, log, "hessian")
    return Newton(at, metric, False)


def _decrement(at: Measure, metric: Metric) -> float:
    """The squared Newton decrement: twice the estimated distance of the objective from its minimum."""
    return float(np.vdot(at.gradient, metric.solve(at.gradient)))


def _damped(f: Objective, at: Measure) -> Metric | None:
    """The hessian's metric, damped by a multiple of its diagonal until its step points downhill; None if none does."""
    if at.second is None or not np.isfinite(at.second).all():
        return None
    for damping in (0.0, 1e-8, 1e-4, 1e-2, 1.0, 100.0):
        made = f.metric(at.second, damping)
        step = made.solve(at.gradient)
        if np.isfinite(step).all() and float(np.vdot(step, at.gradient)) > 0:
            return made
    return None
