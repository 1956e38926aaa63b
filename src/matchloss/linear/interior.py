"""An interior point method for linear models under losses that are linear but for one kink a row, and the proof of what it found.

    minimise over theta   sum_i phi_i(x_i' theta) + 1/2 sum_j r_j theta_j^2,      phi_i(z) = max of a (z - k_i) over low_i <= a <= high_i

theta is the minimum if slopes a exist with X'a + r theta = 0, where a_i is an end of its interval unless x_i' theta = k_i. Write
w = high - low, a = low + w t, s = 1 - t, x' theta - k = u - v with u, v, s, t >= 0: then u s = v t = 0. The path of u s = v t = mu leads there
as mu goes to 0. Newton steps with Mehrotra's predictor and corrector follow it (Portnoy and Koenker 1997), each a solution of
(X' diag(w / q) X + diag(r)) d = ..., q = u / s + v / t. Near the end u and v shrink in rows on their kinks, s or t in all others (Tapia):
theta and a then follow from equations without mu, and the objective's distance from its minimum from both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpstrf

from matchloss.engine import threads
from matchloss.engine.namespaces import NUMPY
from matchloss.linear.rows import Floats

BLOCK = 1 << 13  # rows whose temporaries stay in the second cache
EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
ROUNDING = 32.0  # a row is on its kink within so many eps of its terms
TO_BOUNDARY = 0.9995  # the part of the way to 0 that a step may go
NEAR, INSIDE = 0.1, 0.01  # u and v start above 0 by so much of the rows' mean distance from their kinks; s and t by so much
MIN_STEP = 1e-6
STIFF = 1e7  # how much rows on their kinks outweigh the ridge where both are solved for


class Matrix(Protocol):
    """A design matrix, known by its products."""

    @property
    def n(self) -> int: ...  # noqa: D102
    @property
    def columns(self) -> int: ...  # noqa: D102
    def times(self, theta: Floats) -> Floats: ...  # noqa: D102
    def transposed(self, vector: Floats) -> Floats: ...  # noqa: D102
    def gram(self, weights: Floats) -> Floats: ...  # noqa: D102
    def take(self, index: NDArray[np.intp]) -> Matrix: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Interior:
    """theta, and the slopes that prove how good it is: the objective is within gap + |gradient' (theta - best theta)| of its minimum."""

    theta: Floats  # (P,)
    dual: Floats  # (n,): at low or high exactly, but for rows that are on their kinks to rounding
    iterations: int
    converged: bool
    objective: float
    gap: float  # sum of phi_i - a_i (z_i - k_i): rounding of rows on their kinks
    gradient_norm: float  # largest absolute entry of X'a + r theta


def pieces(loss: Any, target: Floats, weight: Floats | None = None) -> list[tuple[Floats, Floats, Floats]]:
    """(kink, low, high) of each piece, (n,) each, so that the sum over pieces and rows is the weighted mean of the loss but for a constant."""
    core = loss.reduced
    if core.pieces_formula is None:
        raise NotImplementedError(f"{loss!r} is not linear between kinks: an interior point method does not fit it")
    share = np.full(target.shape, 1 / max(target.size, 1)) if weight is None else weight / weight.sum()
    made = core.pieces_formula(NUMPY, target, *core.constants)
    return [(np.broadcast_to(np.asarray(k, float), target.shape).copy(), share * below, share * above) for k, below, above in made]


def merged(parts: list[tuple[Floats, Floats, Floats]]) -> tuple[NDArray[np.intp] | None, Floats, Floats, Floats]:
    """One piece a row: (row index, kink, low, high). The index is None where no row has two pieces that are not 0, so that none is repeated."""
    live = np.array([(low != 0) | (high != 0) for _, low, high in parts])
    if (live.sum(axis=0) <= 1).all():
        which = live.argmax(axis=0)
        kink, low, high = (np.choose(which, [part[i] for part in parts]) for i in range(3))
        return None, kink, low, high
    rows = [np.flatnonzero(row) for row in live]
    kink, low, high = (np.concatenate([part[i][row] for part, row in zip(parts, rows, strict=True)]) for i in range(3))
    return np.concatenate(rows), kink, low, high


def _solver(h: Floats) -> Callable[[Floats], Floats]:
    """b -> x with h x = b, by a pivoted Cholesky factor of h scaled to unit diagonal; 0 in columns that depend on others."""
    size = np.sqrt(np.diagonal(h))
    size = np.where(size > 0, size, 1.0)
    factor, pivot, rank, _ = dpstrf(h / size / size[:, None], tol=max(64, 4 * len(h)) * EPS, lower=1)
    factor, kept = factor[:rank, :rank], pivot[:rank] - 1

    def solve(b: Floats) -> Floats:
        x = np.zeros_like(b)
        half = solve_triangular(factor, (b / size)[kept], lower=True, check_finite=False)
        x[kept] = solve_triangular(factor, half, lower=True, trans=1, check_finite=False)
        return x / size

    return solve


@dataclass(frozen=True, eq=False)
class _Problem:
    m: Matrix
    kink: Floats
    low: Floats
    high: Floats
    ridge: Floats

    def least_squares(self) -> Floats:
        """The theta of the squared error: where the path starts."""
        width = self.high - self.low
        return _solver(self.m.gram(width) + np.diag(self.ridge))(self.m.transposed(width * self.kink))

    def over_rows(self, work: Callable[[slice], tuple[float, ...]]) -> Floats:
        """What `work` returns for each block of rows, one a row of the array; on threads."""
        found: list[tuple[float, ...]] = [()] * -(-self.m.n // BLOCK)

        def one(start: int, stop: int) -> int:
            with np.errstate(all="ignore"):  # what overflows ends the path, which says so
                found[start // BLOCK] = work(slice(start, stop))
            return -1

        threads.over_blocks(self.m.n, BLOCK, one)
        return np.array(found)


class _Path:
    """theta, and u, v, s, t and w of every row: a point near the path, which `advance` moves along it."""

    def __init__(self, problem: _Problem, theta: Floats) -> None:
        self.problem, self.theta, self.width = problem, theta, problem.high - problem.low
        self.total = float(self.width.sum())
        away = problem.m.times(theta) - problem.kink
        apart = float(np.dot(self.width, np.abs(away))) / max(self.total, TINY)
        first = max(NEAR * apart, EPS * float(np.abs(problem.kink).max(initial=0.0))) or 1.0
        self.u, self.v = np.maximum(away, 0) + first, np.maximum(-away, 0) + first
        flat = np.divide(-problem.low, self.width, out=np.full(problem.m.n, 0.5), where=self.width > 0)  # a = 0: X'a is 0 too
        self.t = np.clip(flat, INSIDE, 1 - INSIDE)
        self.s = 1 - self.t
        self.on = np.zeros(problem.m.n, bool)  # which rows tend to their kinks
        self.gap = self.objective = np.inf
        self._weight, self._up, self._down, self._share = np.empty((4, problem.m.n))

    def _rows(self, b: slice) -> tuple[Floats, ...]:
        return self.width[b], self.u[b], self.v[b], self.s[b], self.t[b]

    def advance(self) -> float:
        """One iteration; the shorter of its two step lengths."""
        problem, m, share = self.problem, self.problem.m, self._share

        def weigh(b: slice) -> tuple[float, ...]:
            width, u, v, s, t = self._rows(b)
            self._weight[b] = width / (u / s + v / t)
            share[b] = problem.low[b] + width * t + self._weight[b] * (u - v)
            return (float(np.dot(width, u * s + v * t)),)

        gap = float(problem.over_rows(weigh).sum())
        pull = problem.ridge * self.theta
        solve = _solver(m.gram(self._weight) + np.diag(problem.ridge))
        along = m.times(-solve(pull + m.transposed(share)))

        def predict(b: slice) -> tuple[float, ...]:
            width, u, v, s, t = self._rows(b)
            dt = (along[b] + u - v) / (u / s + v / t)
            du, dv = u * (dt / s - 1), -v * (dt / t + 1)
            sums = np.dot(width, s * du + t * dv), np.dot(width, dt * (v - u)), np.dot(width, dt * (dv - du))
            return *_shrinking(u, v, s, t, du, dv, dt), *(float(x) for x in sums)

        found = problem.over_rows(predict)
        primal, dual = self._lengths(found[:, :2], 1.0)
        by_primal, by_dual, by_both = found[:, 2:].sum(axis=0)
        left = (gap + primal * by_primal + dual * by_dual + primal * dual * by_both) / gap
        aim = min(max(float(left), 0.0), 1.0) ** 3 * gap / (2 * self.total)

        def correct(b: slice) -> tuple[float, ...]:
            width, u, v, s, t = self._rows(b)
            dt = (along[b] + u - v) / (u / s + v / t)
            self._up[b] = (aim + u * (dt / s - 1) * dt) / s - u
            self._down[b] = (aim + v * (dt / t + 1) * dt) / t - v
            share[b] = problem.low[b] + width * t + self._weight[b] * (self._down[b] - self._up[b])
            return ()

        problem.over_rows(correct)
        step = -solve(pull + m.transposed(share))
        along = m.times(step)

        def measure(b: slice) -> tuple[float, ...]:
            _, u, v, s, t = self._rows(b)
            dt = share[b] = (along[b] + self._down[b] - self._up[b]) / (u / s + v / t)
            self._up[b] += u * dt / s
            self._down[b] -= v * dt / t
            return _shrinking(u, v, s, t, self._up[b], self._down[b], dt)

        primal, dual = self._lengths(problem.over_rows(measure), TO_BOUNDARY)

        def move(b: slice) -> tuple[float, ...]:
            width, u, v, s, t = self._rows(b)
            du, dv, dt = primal * self._up[b], primal * self._down[b], dual * share[b]
            self.on[b] = (width > 0) & (du / u < -dt / s) & (dv / v < dt / t)
            u += du
            v += dv
            s -= dt
            t += dt
            away = u - v
            return float(np.dot(width, u * s + v * t)), float(np.dot(problem.low[b], away) + np.dot(width, np.maximum(away, 0)))

        self.gap, value = (float(x) for x in problem.over_rows(move).sum(axis=0))
        self.theta = self.theta + primal * step
        self.objective = value + 0.5 * float(np.dot(problem.ridge, self.theta**2))
        return min(primal, dual)

    def _lengths(self, shrinking: Floats, part: float) -> tuple[float, float]:
        """How far u, v and s, t may go; with a ridge both as far as the other, since it ties theta to a."""
        primal, dual = (float(min(1.0, part / max(x, EPS))) for x in shrinking.max(axis=0))
        return (min(primal, dual),) * 2 if self.problem.ridge.any() else (primal, dual)


def _shrinking(u: Floats, v: Floats, s: Floats, t: Floats, du: Floats, dv: Floats, dt: Floats) -> tuple[float, float]:
    """The largest rate at which u or v shrinks, and s or t."""
    return float(max(-(du / u).min(), -(dv / v).min())), float(max((dt / s).max(), -(dt / t).min()))


def _vertex(path: _Path) -> tuple[Floats, Floats, Floats]:
    """theta and slopes with x' theta = k in the rows on their kinks and X'a + r theta = 0, by the method of multipliers; and the columns' sizes."""
    problem, theta, on = path.problem, path.theta, np.flatnonzero(path.on)
    m, kink, weight, ridge = problem.m.take(on), problem.kink[on], path.width[on], problem.ridge
    slope = np.where(path.s < path.t, problem.high, problem.low)
    slope[on] = 0
    pull, inside = problem.m.transposed(slope), problem.low[on] + weight * path.t[on]
    gram = m.gram(weight)
    square = np.diagonal(gram)
    sizes = np.sqrt(square / max(float(weight.sum()), TINY))
    held = (ridge > 0) & (square > 0)
    stiff = STIFF / float(np.max(square[held] / ridge[held])) if held.any() else 1.0
    solve, before = _solver(stiff * gram + np.diag(ridge)), np.inf
    for _ in range(20):
        off = m.times(theta) - kink
        now = float(np.dot(weight, np.abs(off)))
        step = -solve(pull + ridge * theta + m.transposed(inside + stiff * weight * off))
        inside += stiff * weight * (off + m.times(step))
        theta = theta + step
        if now >= 0.5 * before:
            break
        before = now
    slope[on] = inside
    return theta, slope, sizes


def _certified(problem: _Problem, theta: Floats, slope: Floats, sizes: Floats, iterations: int, tol: float) -> Interior:
    """theta with slopes that are subgradients there: those given in the rows on their kinks to rounding, ends in all others."""
    dual, raw = slope.copy(), problem.m.times(theta)
    spread = float(np.dot(sizes, np.abs(theta)))

    def certify(b: slice) -> tuple[float, ...]:
        kink, low, high = problem.kink[b], problem.low[b], problem.high[b]
        off = raw[b] - kink
        near = ROUNDING * EPS * (np.abs(raw[b]) + np.abs(kink) + spread)
        end = np.where(off > 0, high, low)
        dual[b] = np.where(np.abs(off) <= near, np.clip(dual[b], low, high), end)
        return float(np.dot(end, off)), float(np.dot(end - dual[b], off)), float(np.dot(high - low, near))

    value, gap, rounding = (float(x) for x in problem.over_rows(certify).sum(axis=0))
    gradient = problem.m.transposed(dual) + problem.ridge * theta
    norm = float(np.abs(gradient).max(initial=0.0))
    objective = value + 0.5 * float(np.dot(problem.ridge, theta**2))
    return Interior(theta, dual, iterations, norm <= tol and gap <= tol * abs(objective) + rounding, objective, gap, norm)


def interior(
    m: Matrix,
    kink: Floats,
    low: Floats,
    high: Floats,
    ridge: Floats,
    start: Floats | None = None,
    tol: float = 1e-8,
    max_passes: int = 100,
    progress: Callable[[float, float], None] | None = None,
) -> Interior:
    """theta that minimises the sum of phi_i(x_i' theta) and half the ridge, and its certificate.

    kink, low, high (n,), low <= high: phi_i is high_i (z - k_i) above its kink, low_i (z - k_i) below. ridge (P,) >= 0. start: where to begin,
    by default the least squares fit. progress(objective, gap) is called after each iteration. Converged means that gradient_norm <= tol and
    gap <= tol * objective (and the rounding of rows on their kinks). Columns that depend on others get 0 where no ridge decides.
    """
    problem = _Problem(m, kink, low, high, ridge)
    path = _Path(problem, problem.least_squares() if start is None else start)
    best: Interior | None = None
    for iteration in range(1, max_passes + 1):
        length = path.advance()
        if progress is not None:
            progress(path.objective, path.gap)
        ended = iteration == max_passes or not (length > MIN_STEP and path.gap > EPS**2 * abs(path.objective))
        if ended or length > 0.9 or path.gap <= tol * path.objective or path.objective == 0:
            found = _certified(problem, *_vertex(path), iteration, tol)
            if best is None or found.converged or found.gradient_norm < best.gradient_norm:
                best = found
            if ended or found.converged:
                break
    assert best is not None
    return best
