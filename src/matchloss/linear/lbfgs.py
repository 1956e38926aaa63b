"""L-BFGS in a given metric: a good one, such as the hessian of a subsample, leaves it a few passes to do (Nocedal 1980)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matchloss.linear.newton import search
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.rows import Floats

MEMORY = 20


def lbfgs(f: Objective, at: Measure, solve: Callable[[Floats], Floats], tol: float, log: Log) -> tuple[Measure, bool]:
    """Minimises from `at` until the gradient's largest entry is at most tol; also whether rounding allows no further step."""
    pairs: list[tuple[Floats, Floats, float]] = []
    fresh = True
    while at.norm > tol and not log.full:
        found = search(at, -_direction(at.gradient, pairs, solve), lambda t: f.measure(t, log), lambda: not log.full)
        if found is None:
            if fresh:
                return at, not log.full
            pairs, fresh = [], True
            continue
        s, y = found.theta - at.theta, found.gradient - at.gradient
        curve = float(np.vdot(s, y))
        if curve > 1e-14 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            pairs = [*pairs[-MEMORY + 1 :], (s, y, 1 / curve)]
        stalled = found.norm >= at.norm and found.value >= at.value
        if stalled and fresh:
            return min(at, found, key=lambda m: m.norm), True
        if stalled:
            pairs, fresh = [], True
        else:
            fresh = not pairs
        at = found
    return at, False


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
