"""An interior point method for linear models under losses that are linear except for one kink per row, with a certificate.

    minimise over theta   sum_i phi_i(x_i' theta) + 1/2 sum_j r_j theta_j^2,      phi_i(z) = max of a (z - k_i) over low_i <= a <= high_i

theta is the minimum if slopes a exist with X'a + r theta = 0, where a_i is an end of its interval unless x_i' theta = k_i. Write
w = high - low, a = low + w t, s = 1 - t, x' theta - k = u - v with u, v, s, t >= 0. At the minimum u s = v t = 0. The central path
u s = v t = mu leads there as mu goes to 0. Newton steps with Mehrotra's predictor and corrector follow it (Portnoy and Koenker 1997);
each solves (X' diag(w / q) X + diag(r)) d = ..., q = u / s + v / t. Near the end u and v shrink in rows on their kinks, s or t in all
others, which tells the two apart (Tapia). Then theta and a solve equations without mu, and together they bound the distance from
the minimum. Where rounding hides which rows are on their kinks, the path's own slopes are a proof as soon as their gap is negligible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from matchloss.engine import threads
from matchloss.linear.metric import pivoted
from matchloss.linear.rows import Floats

BLOCK = 1 << 13  # rows whose temporaries stay in the second cache
EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
ROUNDING = 32.0  # a row counts as on its kink if it is within this many eps of its terms
NEAR, INSIDE = 0.1, 0.01  # how far above 0 u and v start, as a share of the rows' mean distance from their kinks; the same for s and t
TO_BOUNDARY = 0.9995  # a step goes at most this share of the way to the boundary, where u, v, s or t is 0
HELD = 0.1  # a step of length a < 1 is shortened by the factor 1 - HELD (1 - a)
SHORT = 0.7  # steps below this length are corrected towards the central path
FARTHER = 0.3  # how much longer the corrected step tries to be
BAND = 10.0  # the corrected step should leave u s and v t within this factor of their target mu
MIN_STEP, SPENT = 1e-8, 1e-19  # stop at a step this short, or when the gap is this small a share of the objective
WHOLE = 0.9  # only after a step longer than this can rows on their kinks be told from the others
REFINEMENTS = 5
SURE = 1e-8  # the path's slopes are a proof if the objective is within this share of its minimum
MORE = 2  # iterations that may still find which rows are on their kinks, after other slopes have proven the minimum


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


@dataclass(frozen=True, eq=False)
class Interior:
    """theta and the slopes that certify it: the objective is within gap + |gradient' (theta - best theta)| of its minimum."""

    theta: Floats  # (P,)
    dual: Floats  # (n,): exactly low or high, except in rows on their kinks up to rounding; or the path's
    iterations: int
    converged: bool
    objective: float
    gap: float  # sum of phi_i - a_i (z_i - k_i); rows at an end of their intervals add nothing
    gradient_norm: float  # largest absolute entry of X'a + r theta


def _solver(h: Floats) -> Callable[[Floats], Floats]:
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
class _Problem:
    m: Matrix
    kink: Floats
    low: Floats
    high: Floats
    ridge: Floats
    linear: Floats  # the coefficients of a term linear in theta, from rows without a kink
    constant: float = 0.0

    def kinked(self) -> _Problem:
        """The problem of the rows that have a kink; the other rows add a term linear in theta."""
        if (self.low < self.high).all():
            return self
        live = np.flatnonzero(self.low < self.high)
        rest = np.where(self.low < self.high, 0.0, self.low)
        linear, constant = self.m.transposed(rest), -float(np.dot(rest, self.kink))
        return _Problem(self.m.take(live), self.kink[live], self.low[live], self.high[live], self.ridge, linear, constant)

    def least_squares(self) -> Floats:
        """The least squares theta, where the path starts."""
        width = self.high - self.low
        return _solver(self.m.gram(width) + np.diag(self.ridge))(self.m.transposed(width * self.kink) - self.linear)

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


class _Path:
    """A point near the central path: theta, and u, v, s, t and w of every row. `advance` moves it along."""

    def __init__(self, problem: _Problem, theta: Floats) -> None:
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
        solve = _solver(m.gram(self._weight) + np.diag(problem.ridge))
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


@dataclass(frozen=True, eq=False)
class _Candidate:
    theta: Floats
    slope: Floats  # (n,)
    sizes: Floats  # (P,): typical sizes of the columns, to judge rounding


def _vertex(path: _Path, settled: bool) -> _Candidate:
    """theta and slopes with x' theta = k in the rows on their kinks and X'a + r theta = 0, by iterative refinement.

    Those rows fix theta in the range of their Gram matrix. In its null space theta is what the ridge asks for if `settled`, and
    otherwise what the path has: with a negligible ridge, solving for it would only amplify rounding.
    """
    problem, theta, on = path.problem, path.theta, np.flatnonzero(path.on)
    m, kink, weight, ridge = problem.m.take(on), problem.kink[on], path.width[on], problem.ridge
    even = np.sqrt(weight / weight.max(initial=TINY))
    slope = np.where(path.s < path.t, problem.high, problem.low)
    slope[on] = 0
    pull, inside = problem.linear + problem.m.transposed(slope), problem.low[on] + weight * path.t[on]
    gram = m.gram(even)
    sizes = np.sqrt(np.diagonal(gram))
    scale = np.where(sizes > 0, sizes, 1.0)
    values, basis = np.linalg.eigh(gram / scale / scale[:, None])
    held = values > max(64, 4 * len(values)) * EPS
    basis /= scale[:, None]
    free, basis = basis[:, ~held], basis[:, held] / np.sqrt(values[held])
    loose = _solver(free.T @ (ridge[:, None] * free)) if settled else np.zeros_like
    for _ in range(REFINEMENTS):
        theta = theta - basis @ (basis.T @ m.transposed(even * (m.times(theta) - kink)))
        theta = theta - free @ loose(free.T @ (pull + ridge * theta))
        inside -= even * m.times(basis @ (basis.T @ (pull + ridge * theta + m.transposed(inside))))
    slope[on] = inside
    return _Candidate(theta, slope, sizes / np.sqrt(max(float(even.sum()), TINY)))


def _certified(problem: _Problem, found: _Candidate, iterations: int, tol: float) -> Interior:
    """The candidate with valid subgradients as slopes: its own in rows on their kinks up to rounding, interval ends in all others."""
    theta, dual, raw = found.theta, found.slope.copy(), problem.m.times(found.theta)
    common = float(np.dot(found.sizes, np.abs(theta)) + np.abs(raw - problem.kink).sum() / max(problem.m.n, 1))

    def certify(b: slice) -> tuple[float, ...]:
        kink, low, high = problem.kink[b], problem.low[b], problem.high[b]
        off = raw[b] - kink
        near = ROUNDING * EPS * (np.abs(raw[b]) + np.abs(kink) + common)
        end = np.where(off > 0, high, low)
        dual[b] = np.where(np.abs(off) <= near, np.clip(dual[b], low, high), end)
        return float(np.dot(end, off)), float(np.dot(end - dual[b], off)), float(np.dot(high - low, near))

    value, gap, rounding = (float(x) for x in problem.over_rows(certify).sum(axis=0))
    objective = value + problem.smooth(theta)
    gradient = problem.linear + problem.m.transposed(dual) + problem.ridge * theta
    allowed = tol + ROUNDING * EPS * (float(np.abs(dual).sum()) * found.sizes + np.abs(problem.linear))
    converged = bool((np.abs(gradient) <= allowed).all()) and gap <= tol * abs(objective) + rounding
    return Interior(theta, dual, iterations, converged, objective, gap, float(np.abs(gradient).max(initial=0.0)))


def _by_path(path: _Path, found: Interior, tol: float) -> Interior | None:
    """The same theta with the path's own slopes, all inside their intervals; None if they prove nothing.

    This helps where a row on its kink was missed because slopes nearly balance without it.
    """
    problem, theta = path.problem, found.theta
    dual = np.clip(problem.low + path.width * path.t, problem.low, problem.high)
    gradient = np.abs(problem.linear + problem.ridge * theta + problem.m.transposed(dual))
    away = problem.m.times(theta) - problem.kink
    gap = float(np.dot(np.where(away > 0, problem.high, problem.low) - dual, away))
    doubt = gap + float(np.dot(gradient, np.abs(theta)))  # whatever the columns' units
    if gradient.max() > tol or doubt > min(tol, SURE) * found.objective:
        return None
    return replace(found, dual=dual, gap=gap, gradient_norm=float(gradient.max()), converged=True)


def _better(best: Interior | None, path: _Path, iterations: int, tol: float) -> Interior:
    """The better of `best` and the vertex given by the rows that are now on their kinks."""
    for settled in (True, False) if path.problem.ridge.any() else (False,):
        found = _certified(path.problem, _vertex(path, settled), iterations, tol)
        best = found if best is None or found.converged or found.objective < best.objective else best
        if best.converged:
            return best
    assert best is not None
    return best


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

    kink, low, high (n,), low <= high: phi_i is high_i (z - k_i) above its kink, low_i (z - k_i) below. ridge (P,) >= 0. start: where to
    begin, by default the least squares fit. progress(objective, gap) is called after each of at most max_passes >= 1 iterations.
    Converged means gradient_norm <= tol and gap <= tol * objective, up to rounding, which matters for sums of large columns.

    >>> from matchloss.linear.kinks import Narrow
    >>> from matchloss.linear.rows import of_array
    >>> m = Narrow(of_array(np.array([[1.0], [2.0], [2.0]])), np.array([1]))
    >>> third = np.full(3, 1 / 3)
    >>> found = interior(m, np.array([2.0, 4.0, 5.0]), -third, third, np.zeros(1))  # the mean of |x theta - k|
    >>> found.theta.round(12), round(found.objective, 12), found.converged
    (array([2.]), 0.333333333333, True)
    """
    whole = _Problem(m, kink, low, high, ridge, np.zeros(m.columns))
    problem = whole.kinked()
    if not (problem.kink.any() and m.columns):  # nothing to fit, or every kink is at theta = 0
        theta = np.divide(0.0 - problem.linear, ridge, out=np.zeros(m.columns), where=ridge > 0)
        still = _certified(whole, _Candidate(theta, np.clip(0.0, low, high), np.zeros(m.columns)), 0, tol)
        if still.converged or not problem.m.n:
            return still
    path = _Path(problem, problem.least_squares() if start is None else start)
    best: Interior | None = None
    proof: Interior | None = None  # of the same minimum, without rows told apart
    iteration, last = 0, max_passes
    for iteration in range(1, max_passes + 1):
        with np.errstate(all="ignore"):
            length = path.advance()
        if progress is not None:
            progress(path.objective, path.gap)
        ended = iteration == max_passes or not (length > MIN_STEP and path.gap > SPENT * max(path.objective, EPS * path.first))
        if ended or length > WHOLE or path.gap <= tol * path.objective or path.objective == 0:
            best = _better(best, path, iteration, tol)
            if not best.converged and proof is None and (proof := _by_path(path, best, tol)) is not None:
                last = iteration + MORE
            if ended or best.converged or iteration >= last:
                break
    assert best is not None
    if proof is not None and not best.converged:
        best = replace(proof, iterations=iteration)
    dual = low.copy()
    dual[low < high] = best.dual
    return replace(best, dual=dual)
