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

import numpy as np

from matchloss.linear.central_path import EPS, TINY, CentralPath, Matrix, Problem, solver
from matchloss.linear.rows import Floats

ROUNDING = 32.0  # a row counts as on its kink if it is within this many eps of its terms
MIN_STEP, SPENT = 1e-8, 1e-19  # stop at a step this short, or when the gap is this small a share of the objective
WHOLE = 0.9  # only after a step longer than this can rows on their kinks be told from the others
REFINEMENTS = 5
SURE = 1e-8  # the path's slopes are a proof if the objective is within this share of its minimum
MORE = 2  # iterations that may still find which rows are on their kinks, after other slopes have proven the minimum


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


@dataclass(frozen=True, eq=False)
class _Candidate:
    theta: Floats
    slope: Floats  # (n,)
    sizes: Floats  # (P,): typical sizes of the columns, to judge rounding


def _vertex(path: CentralPath, settled: bool) -> _Candidate:
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
    loose = solver(free.T @ (ridge[:, None] * free)) if settled else np.zeros_like
    for _ in range(REFINEMENTS):
        theta = theta - basis @ (basis.T @ m.transposed(even * (m.times(theta) - kink)))
        theta = theta - free @ loose(free.T @ (pull + ridge * theta))
        inside -= even * m.times(basis @ (basis.T @ (pull + ridge * theta + m.transposed(inside))))
    slope[on] = inside
    return _Candidate(theta, slope, sizes / np.sqrt(max(float(even.sum()), TINY)))


def _certified(problem: Problem, found: _Candidate, iterations: int, tol: float) -> Interior:
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


def _by_path(path: CentralPath, found: Interior, tol: float) -> Interior | None:
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


def _better(best: Interior | None, path: CentralPath, iterations: int, tol: float) -> Interior:
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
    whole = Problem(m, kink, low, high, ridge, np.zeros(m.columns))
    problem = whole.kinked()
    if not (problem.kink.any() and m.columns):  # nothing to fit, or every kink is at theta = 0
        theta = np.divide(0.0 - problem.linear, ridge, out=np.zeros(m.columns), where=ridge > 0)
        still = _certified(whole, _Candidate(theta, np.clip(0.0, low, high), np.zeros(m.columns)), 0, tol)
        if still.converged or not problem.m.n:
            return still
    path = CentralPath(problem, problem.least_squares() if start is None else start)
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
