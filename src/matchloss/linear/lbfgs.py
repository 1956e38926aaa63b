"""L-BFGS in a given metric: a good one, such as the hessian of a subsample, leaves it a few passes to do (Nocedal 1980)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matchloss.linear.advice import at_rounding
from matchloss.linear.newton import search
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.rows import Floats

MEMORY = 12  # pairs of steps and gradient changes that are kept
RENEW = 15  # the metric is computed anew after this many steps
IDLE = 6  # after this many steps without progress the search starts again from the best point, without pairs
AGAIN = 3  # how many such restarts in a row are allowed
LOWER = 1e-14  # a decrease of the objective by a smaller share is rounding, and no progress


def lbfgs(
    f: Objective,
    at: Measure,
    solve: Callable[[Floats], Floats],
    tol: float,
    log: Log,
    renew: Callable[[Floats], Callable[[Floats], Floats]] | None = None,
    most: float = np.inf,
) -> tuple[Measure, bool]:
    """Minimises from `at` until the gradient's largest entry is at most tol; also whether rounding allows no further step.

    `renew` makes the metric's `solve` anew at a theta, after every few steps; `most` steps are made.
    """
    pairs: list[tuple[Floats, Floats, float]] = []
    best, steps, idle, again = at, 0, 0, 0
    while at.norm > tol and not log.full and steps < most:
        steps += 1
        if renew is not None and steps % RENEW == 0:
            solve = renew(at.theta)
        found = search(at, -_direction(at.gradient, pairs, solve), lambda t: f.measure(t, log), lambda: not log.full)
        if found is not None:
            s, y = found.theta - at.theta, found.gradient - at.gradient
            curve = float(np.vdot(s, y))
            if curve > 1e-10 * abs(float(np.vdot(s, at.gradient))):  # of no unit: columns may be of any size
                pairs = [*pairs[-MEMORY + 1 :], (s, y, 1 / curve)]
            at = found
            lower = found.value < best.value - LOWER * abs(best.value)
            idle = 0 if lower or found.norm < best.norm else idle + 1
            best = best if idle else found
        if found is None or idle >= IDLE:  # rounding is all that is left, or the pairs mislead: from the best point without them
            if again == AGAIN or log.full or at_rounding(f, best):
                return best, not log.full
            at, pairs, idle, again = best, [], 0, again + 1
            solve = solve if renew is None else renew(at.theta)
        elif not idle:
            again = 0
    return (at if at.norm <= tol else best), False


def _direction(gradient: Floats, pairs: list[tuple[Floats, Floats, float]], solve: Callable[[Floats], Floats]) -> Floats:
    """The inverse hessian that the pairs imply, times the gradient."""
    g, shares = gradient, []
    for s, y, rho in reversed(pairs):
        share = rho * float(np.vdot(s, g))
        shares.append(share)
        g = g - share * y
    made = solve(g)
    if pairs:
        s, y, rho = pairs[-1]
        made = made / (rho * float(np.vdot(y, solve(y))))
    for (s, y, rho), share in zip(pairs, reversed(shares), strict=True):
        made = made + (share - rho * float(np.vdot(y, made))) * s
    return made
