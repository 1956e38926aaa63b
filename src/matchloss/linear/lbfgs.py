"""L-BFGS preconditioned by a metric. With a good one, such as a subsample's hessian, it needs few passes (Nocedal 1980)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matchloss.linear.advice import at_rounding
from matchloss.linear.newton import search
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.rows import Floats

MEMORY = 12  # (step, gradient change) pairs to keep
RENEW = 15  # recompute the metric after this many steps
IDLE = 6  # after this many steps without progress, restart from the best point without pairs
AGAIN = 3  # restarts allowed in a row
LOWER = 1e-14  # a relative decrease of the objective below this is rounding, not progress


def lbfgs(
    f: Objective,
    at: Measure,
    solve: Callable[[Floats], Floats],
    tol: float,
    log: Log,
    renew: Callable[[Floats], Callable[[Floats], Floats]] | None = None,
    most: float = np.inf,
) -> tuple[Measure, bool]:
    """Minimises from `at` until the gradient's largest entry is at most tol; the second result: whether rounding stopped it first.

    `renew` recomputes the metric's `solve` at a theta every few steps; `most` is the largest number of steps.
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
            if curve > 1e-10 * abs(float(np.vdot(s, at.gradient))):  # a relative test, because columns may have any scale
                pairs = [*pairs[-MEMORY + 1 :], (s, y, 1 / curve)]
            at = found
            lower = found.value < best.value - LOWER * abs(best.value)
            idle = 0 if lower or found.norm < best.norm else idle + 1
            best = best if idle else found
        if found is None or idle >= IDLE:  # only rounding is left, or the pairs mislead: restart without them
            if again == AGAIN or log.full or at_rounding(f, best):
                return best, not log.full
            at, pairs, idle, again = best, [], 0, again + 1
            solve = solve if renew is None else renew(at.theta)
        elif not idle:
            again = 0
    return (at if at.norm <= tol else best), False


def _direction(gradient: Floats, pairs: list[tuple[Floats, Floats, float]], solve: Callable[[Floats], Floats]) -> Floats:
    """The pairs' inverse hessian estimate times the gradient (the two-loop recursion)."""
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
