"""Solving with a hessian: scaled, and safe when columns are collinear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from matchloss.linear.rows import Floats

POTRF, POTRS = linalg.lapack.dpotrf, linalg.lapack.dpotrs  # pyright: ignore[reportAttributeAccessIssue]  # scipy's wrappers take longer
NONE = np.array([], np.intp)
DEPENDENT = 1e-12  # a column is dependent if projecting out the columns before it leaves less than this share of its squared length


@dataclass(frozen=True, eq=False)
class Metric:
    """A positive definite matrix to solve with. `dependent` lists columns that are combinations of others; their step is 0."""

    solve: Callable[[Floats], Floats]
    dependent: NDArray[np.intp]


def of_matrix(hessian: Floats, intercepts: int, damping: float = 0.0) -> Metric:
    """The metric of a symmetric matrix >= 0; its first columns are the `intercepts` many intercepts.

    Scaled to a unit diagonal, so that the columns' units do not matter; `damping` is added to that diagonal. If plain Cholesky
    breaks down, a pivoted one chooses independent columns, the intercept first.
    """
    if not len(hessian):
        return Metric(np.copy, NONE)
    diagonal = np.diagonal(hessian)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.clip(hessian * scale * scale[:, None], -1, 1)  # changes nothing unless something overflowed
    if np.isnan(scaled.sum()):
        scaled = np.nan_to_num(scaled)
    scaled.flat[:: len(scaled) + 1] = np.where(diagonal > 0, 1.0 + damping, 0.0)
    factor, failed = POTRF(scaled, lower=1, clean=0)
    if not failed and (np.diagonal(factor) ** 2 > DEPENDENT).all():
        return Metric(lambda g: _scaled(scale, POTRS(factor, _scaled(scale, g), lower=1)[0]), NONE)
    return _independent(scaled, scale, intercepts)


def _scaled(scale: Floats, g: Floats) -> Floats:
    """Each row of g times its scale; an overflow makes a step that the line search rejects."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (scale * g.T).T


def _independent(scaled: Floats, scale: Floats, intercepts: int) -> Metric:
    first = np.ones(len(scale))
    first[:intercepts] = 2.0  # the largest diagonal entry is the first pivot, so intercepts are kept
    factor, kept, left_out = pivoted(scaled * first * first[:, None], DEPENDENT)
    block = np.asfortranarray(factor)
    scale = scale * first

    def solve(g: Floats) -> Floats:
        made = np.zeros_like(g)
        if len(kept):
            made[kept] = _scaled(scale[kept], linalg.cho_solve((block, True), _scaled(scale, g)[kept], check_finite=False))
        return made

    return Metric(solve, left_out)


def pivoted(matrix: Floats, least: float) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Pivoted Cholesky of a symmetric matrix >= 0: the factor, the columns it covers in pivot order, and those with pivots <= least."""
    factor, pivots, rank, _ = linalg.lapack.dpstrf(matrix, lower=1, tol=least)  # pyright: ignore[reportAttributeAccessIssue]
    return factor[:rank, :rank], pivots[:rank] - 1, np.sort(pivots[rank:] - 1)


def of_arrow(arrow: Floats, levels: NDArray[np.bool_], intercepts: int, damping: float = 0.0) -> Metric:
    """The metric of [[A, B'], [B, D]], D diagonal. `arrow` has a row [a, -] or [b, d] for each coefficient; `levels` marks D's rows.

    The levels are eliminated: S others = g - B' D^-1 g_levels with the Schur complement S = A - B' D^-1 B, then
    D levels = g_levels - B others. A column that is constant within levels has only rounding on S's diagonal: it is dependent.
    """
    a, b, d = arrow[~levels, :-1], arrow[levels, :-1], arrow[levels, -1] * (1 + damping)
    d = np.where(d > 0, d, np.inf)  # the step of a level without rows is 0
    part = b / d[:, None]
    schur = a - b.T @ part
    kept = np.flatnonzero(np.diagonal(schur) > DEPENDENT * np.diagonal(a))
    inner = of_matrix(schur[np.ix_(kept, kept)], int(intercepts > 0 and 0 in kept), damping)

    def solve(g: Floats) -> Floats:
        made, others = np.zeros_like(g), np.zeros(len(a))
        others[kept] = inner.solve((g[~levels] - part.T @ g[levels])[kept])
        made[~levels], made[levels] = others, g[levels] / d - part @ others
        return made

    left_out = np.concatenate([np.delete(np.arange(len(a)), kept), kept[inner.dependent]])
    return Metric(solve, np.sort(np.concatenate([np.flatnonzero(~levels)[left_out], np.flatnonzero(levels)[np.isinf(d)]])))


def of_diagonal(diagonal: Floats) -> Metric:
    """The metric of a diagonal."""
    safe = np.where(diagonal > 0, diagonal, np.inf)
    least = diagonal[diagonal > 0].min(initial=np.inf) if diagonal.size else np.inf
    return Metric(lambda g: g / np.where(np.isfinite(safe), safe, least), NONE)


def of_product(gram: Floats, weights: Floats, intercept: bool) -> Metric:
    """The metric gram (x) diag(weights) on (P, K) arrays: the hessian of K raw predictions at the same probabilities in every row.

    Cross entropy's hessian is gram (x) (diag p - p p'). Its gradients have rows that sum to 0, and there gram^-1 (x) diag(1 / p)
    inverts it, up to an equal shift of all K classes, on which no prediction depends.
    """
    inner = of_matrix(gram, int(intercept))
    safe = np.where(weights > 0, weights, weights.max(initial=0.0) or 1.0)

    def solve(g: Floats) -> Floats:
        made = inner.solve(g) / safe
        return made - made.mean(axis=1, keepdims=True)

    return Metric(solve, inner.dependent)
