"""The central path of interior.py: a point near it, and the steps that follow it to the minimum; see there for the letters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from matchloss.engine import threads
from matchloss.linear.metric import pivoted
from matchloss.linear.rows import Floats

BLOCK = 1 << 13  # rows whose temporaries stay in the second cache
EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
NEAR, INSIDE = 0.1, 0.01  # how far above 0 u and v start, as a share of the rows' mean distance from their kinks; the same for s and t
TO_BOUNDARY = 0.9995  # a step goes at most this share of the way to the boundary, where u, v, s or t is 0
HELD = 0.1  # a step of length a < 1 is shortened by the factor 1 - HELD (1 - a)
SHORT = 0.7  # steps below this length are corrected towards the central path
FARTHER = 0.3  # how much longer the corrected step tries to be
BAND = 10.0  # the corrected step should leave u s and v t within this factor of their target mu


class Matrix(Protocol):
    """A design matrix, used only through its products."""

    @property
    def n(self) -> int: ...  # noqa: D102
    @property
    def columns(self) -> int: ...  # noqa: D102
    def times(self, theta: Floats) -> Floats: ...  # noqa: D102
    def transposed(self, vector: Floats) -> Floats: ...  # noqa: D102
    def gram(self, weights: Floats) -> Floats: ...  # noqa: D102
    def take(self, index: NDArray[np.intp]) -> Matrix: ...  # noqa: D102


def solver(h: Floats) -> Callable[[Floats], Floats]:
    """A function that solves h x = b by pivoted Cholesky of h scaled to unit diagonal; x is 0 in columns that depend on others."""
    size = np.sqrt(np.diagonal(h))
    size = np.where(size > 0, size, 1.0)
    factor, kept, _ = pivoted(h / size / size[:, None], max(64, 4 * len(h)) * EPS)

    def solve(b: Floats) -> Floats:
        x = np.zeros_like(b)
        half = solve_triangular(factor, (b / size)[kept], lower=True, check_finite=False)
        x[kept] = solve_triangular(factor, half, lower=True, trans=1, check_finite=False)
        return x / size

    return solve


@dataclass(frozen=True, eq=False)
class Problem:
    """What is minimised over theta: phi_i of rows with kinks, a ridge, and a linear term; arrays of length n and P."""

    m: Matrix
    kink: Floats
    low: Floats
    high: Floats
    ridge: Floats
    linear: Floats  # the coefficients of a term linear in theta, from rows without a kink
    constant: float = 0.0

    def kinked(self) -> Problem:
        """The problem of the rows that have a kink; the other rows add a term linear in theta."""
        if (self.low < self.high).all():
            return self
        live = np.flatnonzero(self.low < self.high)
        rest = np.where(self.low < self.high, 0.0, self.low)
        linear, constant = self.m.transposed(rest), -float(np.dot(rest, self.kink))
        return Problem(self.m.take(live), self.kink[live], self.low[live], self.high[live], self.ridge, linear, constant)

    def least_squares(self) -> Floats:
        """The least squares theta, where the path starts."""
        width = self.high - self.low
        return solver(self.m.gram(width) + np.diag(self.ridge))(self.m.transposed(width * self.kink) - self.linear)

    def smooth(self, theta: Floats) -> float:
        """The terms without a kink."""
        return float(np.dot(self.linear, theta) + 0.5 * np.dot(self.ridge, theta**2)) + self.constant

    def over_rows(self, work: Callable[[slice], tuple[float, ...]]) -> Floats:
        """Runs `work` on each block of rows, on threads; row b of the array is what block b returned."""
        found: list[tuple[float, ...]] = [()] * max(1, -(-self.m.n // BLOCK))

        def one(start: int, stop: int) -> int:
            with np.errstate(all="ignore"):  # an overflow shows up as a step that is not finite, which ends the path
                found[start // BLOCK] = work(slice(start, stop))
            return -1

        threads.over_blocks(max(1, self.m.n), BLOCK, one)
        return np.array(found)


class CentralPath:
    """A point near the central path: theta, and u, v, s, t and w of every row. `advance` moves it along."""

    def __init__(self, problem: Problem, theta: Floats) -> None:
        self.problem, self.theta, self.width = problem, theta, problem.high - problem.low
        self.total = float(self.width.sum())
        away = problem.m.times(theta) - problem.kink
        apart = float(np.dot(self.width, np.abs(away))) / self.total
        first = max(NEAR * apart, EPS * float(np.abs(problem.kink).max())) or 1.0
        self.u, self.v = np.maximum(away, 0) + first, np.maximum(-away, 0) + first
        self.t = np.clip(-problem.low / self.width, INSIDE, 1 - INSIDE)  # start at a = 0 if that is inside the interval: then X'a = 0
        self.s = 1 - self.t
        self.on = np.zeros(problem.m.n, bool)  # rows that are approaching their kinks
        self.first = self.total * first
        self.gap = self.objective = np.inf
        self._du, self._dv, self._dt, self._weight, self._share = np.empty((5, problem.m.n))

    def _rows(self, b: slice) -> tuple[Floats, ...]:
        return self.u[b], self.v[b], self.s[b], self.t[b]

    def _steps(self, b: slice) -> tuple[Floats, ...]:
        return self._du[b], self._dv[b], self._dt[b]

    def advance(self) -> float:
        """One iteration; returns the shorter of its primal and dual step lengths."""
        problem, m, share = self.problem, self.problem.m, self._share

        def weigh(b: slice) -> tuple[float, ...]:
            u, v, s, t = self._rows(b)
            self._weight[b] = self.width[b] / (u / s + v / t)
            share[b] = problem.low[b] + self.width[b] * t + self._weight[b] * (u - v)
            return (float(np.dot(self.width[b], u * s + v * t)),)

        gap = float(problem.over_rows(weigh).sum())
        pull = problem.linear + problem.ridge * self.theta
        solve = solver(m.gram(self._weight) + np.diag(problem.ridge))
        along = m.times(-solve(pull + m.transposed(share)))

        def predict(b: slice) -> tuple[float, ...]:
            width, (u, v, s, t) = self.width[b], self._rows(b)
            dt = (along[b] + u - v) / (u / s + v / t)
            du, dv = u * (dt / s - 1), -v * (dt / t + 1)
            sums = np.dot(width, s * du + t * dv), np.dot(width, dt * (v - u)), np.dot(width, dt * (dv - du))
            return *_shrinking((u, v, s, t), (du, dv, dt)), *(float(x) for x in sums)

        found = problem.over_rows(predict)
        primal, dual = self._lengths(found[:, :2])
        by_primal, by_dual, by_both = found[:, 2:].sum(axis=0)
        left = (gap + primal * by_primal + dual * by_dual + primal * dual * by_both) / gap
        aim = min(max(float(left), 0.0), 1.0) ** 3 * gap / (2 * self.total)

        def correct(b: slice) -> tuple[float, ...]:
            u, v, s, t = self._rows(b)
            dt = (along[b] + u - v) / (u / s + v / t)
            self._du[b] = (aim + u * (dt / s - 1) * dt) / s - u
            self._dv[b] = (aim + v * (dt / t + 1) * dt) / t - v
            share[b] = problem.low[b] + self.width[b] * t + self._weight[b] * (self._dv[b] - self._du[b])
            return ()

        problem.over_rows(correct)
        step = -solve(pull + m.transposed(share))
        along = m.times(step)

        def finish(b: slice) -> tuple[float, ...]:
            (u, v, s, t), (du, dv, dt) = self._rows(b), self._steps(b)
            dt[:] = (along[b] + dv - du) / (u / s + v / t)
            du += u * dt / s
            dv -= v * dt / t
            return _shrinking((u, v, s, t), (du, dv, dt))

        shrinking = problem.over_rows(finish)
        if not np.isfinite(shrinking).all():
            return 0.0
        if min(self._lengths(shrinking)) < SHORT:
            step, shrinking = self._centred(step, shrinking, solve, aim)
        primal, dual = (length * min(TO_BOUNDARY, 1 - HELD * (1 - length)) for length in self._lengths(shrinking))

        def move(b: slice) -> tuple[float, ...]:
            width, (u, v, s, t), (du, dv, dt) = self.width[b], self._rows(b), self._steps(b)
            self.on[b] = (primal * du / u < -dual * dt / s) & (primal * dv / v < dual * dt / t)
            u += primal * du
            v += primal * dv
            s -= dual * dt
            t += dual * dt
            away = u - v
            return float(np.dot(width, u * s + v * t)), float(np.dot(problem.low[b], away) + np.dot(width, np.maximum(away, 0)))

        self.gap, value = (float(x) for x in problem.over_rows(move).sum(axis=0))
        self.theta = self.theta + primal * step
        self.objective = value + problem.smooth(self.theta)
        return min(primal, dual)

    def _centred(self, step: Floats, shrinking: Floats, solve: Callable[[Floats], Floats], aim: float) -> tuple[Floats, Floats]:
        """The step with Gondzio's corrector, if that makes it longer: it pulls rows that run ahead or lag back towards the path."""
        problem, lengths = self.problem, self._lengths(shrinking)
        primal, dual = (min(1.0, length + FARTHER) for length in lengths)

        def back(b: slice) -> tuple[Floats, Floats]:
            (u, v, s, t), (du, dv, dt) = self._rows(b), self._steps(b)
            products = (u + primal * du) * (s - dual * dt), (v + primal * dv) * (t + dual * dt)
            over, under = (np.maximum(np.clip(x, aim / BAND, aim * BAND) - x, -aim * BAND) for x in products)
            return over / s, under / t

        def weigh(b: slice) -> tuple[float, ...]:
            over, under = back(b)
            self._share[b] = self._weight[b] * (under - over)
            return ()

        problem.over_rows(weigh)
        extra = -solve(problem.m.transposed(self._share))
        along = problem.m.times(extra)

        def changed(b: slice) -> tuple[Floats, ...]:
            (u, v, s, t), (over, under), (du, dv, dt) = self._rows(b), back(b), self._steps(b)
            more = (along[b] + under - over) / (u / s + v / t)
            return du + over + u * more / s, dv + under - v * more / t, dt + more

        after = problem.over_rows(lambda b: _shrinking(self._rows(b), changed(b)))
        if sum(self._lengths(after)) < sum(lengths) + 0.01:
            return step, shrinking

        def accept(b: slice) -> tuple[float, ...]:
            self._du[b], self._dv[b], self._dt[b] = changed(b)
            return ()

        problem.over_rows(accept)
        return step + extra, after

    def _lengths(self, shrinking: Floats) -> tuple[float, float]:
        """The step lengths of u, v and of s, t. With a ridge, which ties theta to a, both get the shorter one."""
        primal, dual = (float(min(1.0, 1 / max(x, EPS))) for x in shrinking.max(axis=0))
        least = min(primal, dual)
        return (least, least) if self.problem.ridge.any() else (primal, dual)


def _shrinking(rows: tuple[Floats, ...], steps: tuple[Floats, ...]) -> tuple[float, float]:
    """The largest rate at which any u or v shrinks, and the largest for s or t."""
    (u, v, s, t), (du, dv, dt) = rows, steps
    return float(max(-(du / u).min(), -(dv / v).min())), float(max((dt / s).max(), -(dt / t).min()))
