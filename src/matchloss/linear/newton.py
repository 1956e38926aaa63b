"""Newton's method in fused passes, and the line search that it shares with L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from matchloss.linear.advice import at_rounding
from matchloss.linear.metric import Metric
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.rows import Floats

ARMIJO, WOLFE = 1e-4, 0.9
NOISE = 1e-11  # of the objective: differences below are rounding, and the slope decides (Hager & Zhang 2005)
KEEP = 0.1  # a factor that shrinks the gradient tenfold a step is kept


def search(at: Measure, direction: Floats, measure: Callable[[Floats], Measure], more: Callable[[], bool]) -> Measure | None:
    """A point along `direction` that is low enough and far enough (weak Wolfe conditions, by bisection); None if none is found."""
    slope = float(np.vdot(at.gradient, direction))
    if not slope < 0:
        return None
    noise = NOISE * max(abs(at.value), 1e-300)
    low, high, length = 0.0, np.inf, 1.0
    best: Measure | None = None
    for _ in range(60):
        if not more():
            return best
        trial = measure(at.theta + length * direction)
        ahead = float(np.vdot(trial.gradient, direction)) if np.isfinite(trial.value) else np.nan
        if -slope <= noise and trial.norm < at.norm and np.isfinite(trial.value):
            return trial  # no value tells these points apart, nor do slopes where they are rounding too
        lower = trial.value <= at.value + ARMIJO * length * slope
        level = trial.value <= at.value + noise and ahead <= (2 * ARMIJO - 1) * slope
        if not (lower or level):
            high = length
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


def newton(f: Objective, theta: Floats, tol: float, log: Log) -> Newton:
    """Minimises a convex objective from theta, until the gradient's largest entry is at most tol, or no pass is left.

    The hessian of a pass is skipped where the last one still shrinks the gradient well.
    """
    at = f.measure(theta, log, "hessian")
    metric, ratio = None, 1.0
    first = True
    while at.norm > tol and not log.full:
        if at.second is not None:
            metric = _damped(f, at)
        if metric is None:
            return Newton(at, None, True)
        if first:
            f.suspect(metric)
        first = False
        quick = ratio < KEEP and at.norm * (ratio**2 if at.second is not None else ratio) <= tol
        found = search(at, -metric.solve(at.gradient), lambda t: f.measure(t, log, "none" if quick else "hessian"), lambda: not log.full)  # noqa: B023
        if found is None or not np.isfinite(found.value):
            if at.second is None and not log.full:  # the old hessian is of no more use: once again with its own
                at = f.measure(at.theta, log, "hessian")
                ratio = 1.0
                continue
            return Newton(at, metric, not log.full)
        before, ratio = ratio, found.norm / at.norm
        if ratio > 0.5 and found.value >= at.value - NOISE * abs(at.value):
            # The largest entry is blind to directions that collinear columns leave nearly flat: the metric sees them.
            left, was = _decrement(found, metric), _decrement(at, metric)
            better = found if left < was else at
            if left > 0.25 * was and (min(ratio, before) >= 1 or at_rounding(f, better)):
                return Newton(better, metric, True)
        at = found
        if at.second is None and at.norm > tol and ratio > KEEP and not log.full:
            at = f.measure(at.theta, log, "hessian")
    return Newton(at, metric, False)


def _decrement(at: Measure, metric: Metric) -> float:
    """Twice how far the objective is above the minimum that the metric expects."""
    return float(np.vdot(at.gradient, metric.solve(at.gradient)))


def _damped(f: Objective, at: Measure) -> Metric | None:
    """The metric of the hessian, a multiple of its diagonal added where it does not point downhill."""
    if at.second is None or not np.isfinite(at.second).all():
        return None
    for damping in (0.0, 1e-8, 1e-4, 1e-2, 1.0, 100.0):
        made = f.metric(at.second, damping)
        step = made.solve(at.gradient)
        if np.isfinite(step).all() and float(np.vdot(step, at.gradient)) > 0:
            return made
    return None
