"""Penalties on many rows: a sample of them takes the place of hessians of all rows.

step  the sample says what Newton's quadratic leaves out of gradient and hessian on the way to its minimum, which is then sought again;
      all rows give value and gradient there, and BFGS's update corrects the hessian by them
The sample changes the way, not the end: the residual is that of all rows.
Source: Shamir, Srebro and Zhang (2014), where a part's objective is corrected by the gradient of all rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.penalties.newton import KEEP, bfgs, prox_newton, quadratic, searched
from matchloss.linear.penalties.penalty import Penalty
from matchloss.linear.rows import Floats

FAR = 1e3  # times tol: with a larger residual the sample is asked
EXACT = 1e-5  # of the residual that a corrected quadratic's minimum may leave
ROUNDS, ENOUGH = 3, 0.1  # of correction, until the next one leaves this share of the residual


@dataclass(eq=False)
class Sample:
    """Some of the rows: they tell how gradient and hessian of all rows change from point to point, at a small part of a pass's cost."""

    f: Objective
    at: Measure | None = None  # where the hessian of all rows was corrected last

    def measured(self, theta: Floats) -> Measure:
        """The mean over these rows, with its hessian."""
        return self.f.measure(theta, Log(1), "hessian")

    def corrected(self, hessian: Floats, at: Measure, goal: Floats, pen: Penalty, left: float) -> tuple[Floats, Floats] | None:
        """The quadratic's minimum and the hessian there, by what these rows say the quadratic leaves out. None where that is not finite."""
        before = self.measured(at.theta) if self.at is None else self.at
        made = hessian
        for _ in range(ROUNDS):
            here = self.measured(goal)
            assert before.second is not None and here.second is not None
            rest = here.gradient - before.gradient - before.second @ (goal - before.theta)
            slope, made = at.gradient + hessian @ (goal - at.theta) + rest, hessian + here.second - before.second
            if not (np.isfinite(slope).all() and np.isfinite(made).all()):
                return None
            self.at, off = here, float(pen.residual(goal, slope).max(initial=0.0))
            goal = quadratic(made, slope, goal, pen, EXACT * left)
            if off <= ENOUGH * left:
                break
        return goal, made


def sampled_newton(
    f: Objective, at: Measure, pen: Penalty, tol: float, log: Log, hessian: Floats | None, sample: Sample
) -> tuple[Measure, Floats, float, bool]:
    """prox_newton with a sample, which stands in for hessians of all rows after the first, as long as steps go far enough. Where one
    fails, prox_newton goes on.
    """
    if hessian is None and at.second is None:
        at = f.measure(at.theta, log, "hessian")
    if at.second is not None:
        hessian, sample.at = at.second, None
    assert hessian is not None
    left = float(pen.residual(at.theta, at.gradient).max(initial=0.0))
    while left > tol and not log.full:
        step = quadratic(hessian, at.gradient, at.theta, pen, EXACT * left), hessian
        if left > FAR * tol:
            step = sample.corrected(hessian, at, step[0], pen, left)
        found = None if step is None else searched(at, step[0], pen, log, lambda theta: f.measure(theta, log))
        if found is None or step is None:
            break
        was, left = left, float(pen.residual(found.theta, found.gradient).max(initial=0.0))
        s, y, at = found.theta - at.theta, found.gradient - at.gradient, found
        hessian = bfgs(step[1], s, y + 0.5 * ((step[1] - hessian) @ s))  # y is of the mean hessian along s
        if left >= was:
            break
        if left > max(KEEP * was, tol) and not log.full:
            at = f.measure(at.theta, log, "hessian")
            hessian, sample.at = at.second, None
            assert hessian is not None
    if left <= tol or log.full:
        return at, hessian, left, False
    sample.at = None
    return prox_newton(f, f.measure(at.theta, log, "hessian"), pen, tol, log)
