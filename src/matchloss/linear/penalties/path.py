"""A path of penalties, from the least that keeps every coefficient 0 downwards; each solution starts at the previous one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from matchloss.linear.objective import Log
from matchloss.linear.penalties.fit import Problem, solution
from matchloss.linear.rows import Floats
from matchloss.linear.solve import Options, Solution, blas_on_one_thread

LEAST_RATIO = 1e-3  # of l1 in a path of a ridge alone, which no penalty keeps at 0: where it starts


@dataclass(frozen=True, eq=False)
class Path:
    """The solutions at falling alphas: l1 is alpha l1_ratio, l2 is alpha (1 - l1_ratio)."""

    alphas: Floats
    solutions: tuple[Solution, ...]

    @property
    def coef(self) -> Floats:
        """(alphas, p)."""
        return np.array([s.coef for s in self.solutions])

    @property
    def intercept(self) -> Floats:
        """(alphas,)."""
        return np.array([s.intercept for s in self.solutions])


def alphas_of(p: Problem, l1_ratio: float, count: int, least: float, tol: float) -> Floats:
    """`count` penalties, in equal ratios from the least that keeps every coefficient 0 down to `least` times that."""
    with blas_on_one_thread():
        at = p.free(tol, Log(1000))
    top = p.unit.lambda_max(at.gradient) / max(l1_ratio, LEAST_RATIO)
    if not top > 0:
        raise ValueError("every slope is 0 where all coefficients are: no penalty makes a difference. Is the target constant?")
    return top * np.geomspace(1, least, count)


def path(p: Problem, alphas: Sequence[float] | Floats, l1_ratio: float, options: Options, names: Sequence[str] = ()) -> Path:
    """All solutions; each has as many passes as `options.max_passes` allows."""
    alphas, made = np.sort(np.asarray(alphas, np.float64))[::-1], []
    with blas_on_one_thread():
        at = p.free(options.tol, Log(1000))
    for alpha in alphas:
        began, log = time.perf_counter(), Log(options.max_passes)
        pen = p.unit.times(float(alpha * l1_ratio), float(alpha * (1 - l1_ratio)))
        at, left, stuck = p.solve(at, pen, options.tol, log)
        made.append(replace(solution(p, at, pen, left, stuck, options, log, began, names), penalty=pen.value(at.theta)))
    return Path(alphas, tuple(made))
