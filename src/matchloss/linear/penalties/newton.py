"""Proximal Newton steps: the loss's quadratic with the penalty, minimised by descent on a Gram matrix, then a line search.

step     min over d of g'd + d'Hd / 2 + penalty(theta + d), in the box: descent on H, and once it is clear which coefficients are 0 or at
         a bound, Cholesky on the others: exact, however correlated they are
length   F(theta + t d) <= F + 1e-4 t (g'd + penalty(theta + d) - penalty(theta)), t = 1, 1/2, ...
residual how far each coefficient is from optimal (Penalty.residual): 0 if and only if theta is a minimum
Sources: Lee, Sun and Saunders (2014); Friedman, Hastie and Tibshirani (2010); Yuan and Lin (2006) for groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import linalg

from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.passes import Second
from matchloss.linear.penalties.loops import loop
from matchloss.linear.penalties.penalty import Penalty
from matchloss.linear.rows import Floats

KEEP = 0.25  # a hessian that shrinks the residual to a quarter is kept
SHARE = 1e-3  # of the residual that the quadratic's minimum may leave
ROUNDING = 1e-13
SHORT = 1e-6  # the shortest step that is tried


def quadratic(hessian: Floats, gradient: Floats, theta: Floats, pen: Penalty, tol: float) -> Floats:
    """The minimum of Newton's quadratic with the penalty: descent finds the face, Cholesky solves on it; again if it was wrong."""
    hessian = np.ascontiguousarray(hessian + np.diag(pen.l2))
    new, slope = theta.copy(), gradient + pen.l2 * theta
    if pen.groups:
        return _by_groups(hessian, slope, new, pen, tol)
    left = replace(pen, l2=np.zeros_like(pen.l2))
    for most in (8, 8, 16, 64, 500):
        loop("descend")(hessian, slope, new, pen.l1, pen.low, pen.high, np.ones(len(new), np.uint8), tol, most)
        free = np.flatnonzero((np.diagonal(hessian) > 0) & ((new != 0) | (pen.l1 == 0)) & (new > pen.low) & (new < pen.high))
        side = pen.l1[free] * np.sign(new[free])
        try:
            factor = linalg.cho_factor(hessian[np.ix_(free, free)], check_finite=False)
        except linalg.LinAlgError:  # collinear columns: descent goes on
            continue
        step = -linalg.cho_solve(factor, slope[free] + side, check_finite=False)
        to = new[free] + step
        if not (((side != 0) & (np.sign(new[free]) != np.sign(to))) | (to < pen.low[free]) | (to > pen.high[free])).any():
            new[free] = to
            slope += hessian[:, free] @ step
            if float(left.residual(new, slope).max(initial=0.0)) <= tol:
                break
    return new


def _by_groups(hessian: Floats, slope: Floats, new: Floats, pen: Penalty, tol: float) -> Floats:
    """Descent group by group; an entry that is in no group is a group of one."""
    parts, weight, order, start = pen.parts
    values, vectors, apart = np.empty(len(new)), np.zeros((len(new), max(map(len, parts)))), np.ones(len(parts), np.uint8)
    for k, (index, a) in enumerate(zip(parts, start, strict=False)):
        block, b = hessian[np.ix_(index, index)], a + len(index)
        values[a:b] = diagonal = np.diagonal(block)  # all there is of a category, whose levels never meet
        if (block - np.diag(diagonal)).any():
            apart[k], (values[a:b], vectors[a:b, : len(index)]) = 0, np.linalg.eigh(block)
    values = np.maximum(values, 0.0)
    loop("descend_groups")(hessian, slope, new, order, start, values, vectors, apart, weight, *np.empty((2, len(new))), tol, 5000)
    return new


def prox_newton(
    f: Objective, at: Measure, pen: Penalty, tol: float, log: Log, hessian: Floats | None = None
) -> tuple[Measure, Floats, float, bool]:
    """The minimum, starting from a measured point; the last hessian; the residual there; and whether rounding prevents further steps.

    `f` has no penalty of its own. A pass computes no hessian while the last one, corrected by BFGS, shrinks the residual well.
    """
    left, fresh, stuck, ratio = float(pen.residual(at.theta, at.gradient).max(initial=0.0)), at.second is not None, False, 1.0
    if left > tol and hessian is None and at.second is None:
        at, fresh = f.measure(at.theta, log, "hessian"), True
    hessian = at.second if at.second is not None else hessian
    while left > tol and not log.full and hessian is not None:
        goal = quadratic(hessian, at.gradient, at.theta, pen, SHARE * left)
        quick = left * min(1e-3, ratio**4) <= tol  # a step shrinks left by about ratio^2, and so does one more by the same hessian
        second: Second = "none" if quick or not fresh else "hessian"
        found = searched(at, goal, pen, log, lambda theta: f.measure(theta, log, second))  # noqa: B023
        was = left
        if found is None:
            if fresh:
                stuck = not log.full
                break
            at = f.measure(at.theta, log, "hessian")
            hessian, fresh = at.second, True
            continue
        left = float(pen.residual(found.theta, found.gradient).max(initial=0.0))
        flat = found.value + pen.value(found.theta) >= at.value + pen.value(at.theta)
        if left >= was and flat and fresh:  # values differ by rounding alone, and so does the residual
            stuck = True
            at, left = (at, was) if left > was else (found, left)
            break
        s, y, at, ratio = found.theta - at.theta, found.gradient - at.gradient, found, left / was if fresh else 1.0
        if found.second is not None:
            hessian, fresh = found.second, True
        elif left > tol and left > KEEP * was and not log.full:
            at = f.measure(at.theta, log, "hessian")
            hessian, fresh = at.second, True
        else:
            hessian, fresh = bfgs(hessian, s, y), False
    return at, hessian if hessian is not None else np.eye(f.size), left, stuck


def bfgs(hessian: Floats, s: Floats, y: Floats) -> Floats:
    """BFGS's update: what the change y of the gradient along s alone says of the new hessian."""
    hs = hessian @ s
    if float(s @ y) > 1e-10 * float(s @ hs):
        return hessian + np.outer(y, y / float(s @ y)) - np.outer(hs, hs / float(s @ hs))
    return hessian


def searched(at: Measure, goal: Floats, pen: Penalty, log: Log, measure: Callable[[Floats], Measure]) -> Measure | None:
    """The first point on the way to the goal that is low enough; None if there is none."""
    move, old = goal - at.theta, at.value + pen.value(at.theta)
    ahead, t = float(at.gradient @ move) + pen.value(goal) - pen.value(at.theta), 1.0
    if not move.any():
        return None
    while t >= SHORT and not log.full:
        found = measure(at.theta + t * move if t < 1 else goal)
        if found.value + pen.value(found.theta) <= old + 1e-4 * t * ahead + ROUNDING * abs(old):
            return found
        t *= 0.5
    return None
