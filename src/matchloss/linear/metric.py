"""Solving with a hessian: scaled, and sound where columns are collinear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from matchloss.linear.rows import Floats

NONE = np.array([], np.intp)
DEPENDENT = 1e-12  # what is left of a column's squared length after the columns before it: less is rounding


@dataclass(frozen=True, eq=False)
class Metric:
    """A positive definite matrix that can be solved with; `dependent` lists columns that others make up, which it leaves where they are."""

    solve: Callable[[Floats], Floats]
    dependent: NDArray[np.intp]


def of_matrix(hessian: Floats, intercepts: int, damping: float = 0.0) -> Metric:
    """The metric of a symmetric matrix >= 0, whose first columns are the intercepts' if there are any.

    Scaled to a unit diagonal, so that columns of any size are treated alike; `damping` is added to that diagonal. Where Cholesky's
    factors break down, pivots choose independent columns, the intercept first.
    """
    diagonal = np.diagonal(hessian)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.clip(np.nan_to_num(hessian * scale * scale[:, None]), -1, 1)  # as it is where nothing overflowed
    scaled[np.diag_indices_from(scaled)] = np.where(diagonal > 0, 1.0 + damping, 0.0)
    try:
        factor = linalg.cholesky(scaled, lower=True, check_finite=False)
        if (np.diagonal(factor) ** 2 > DEPENDENT).all():
            return Metric(lambda g: _scaled(scale, linalg.cho_solve((factor, True), _scaled(scale, g), check_finite=False)), NONE)
    except linalg.LinAlgError:
        pass
    return _independent(scaled, scale, intercepts)


def _scaled(scale: Floats, g: Floats) -> Floats:
    """Each row of g times its scale; what overflows makes a step that no line search takes."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (scale * g.T).T


def _independent(scaled: Floats, scale: Floats, intercepts: int) -> Metric:
    first = np.ones(len(scale))
    first[:intercepts] = 2.0  # the greatest diagonal is the first pivot: an intercept stays
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
    """Cholesky's factor of a symmetric matrix >= 0, the greatest pivot first, and the columns it is of; and those with pivots <= least."""
    factor, pivots, rank, _ = linalg.lapack.dpstrf(matrix, lower=1, tol=least)  # pyright: ignore[reportAttributeAccessIssue]
    return factor[:rank, :rank], pivots[:rank] - 1, np.sort(pivots[rank:] - 1)


def of_arrow(arrow: Floats, levels: NDArray[np.bool_], intercepts: int, damping: float = 0.0) -> Metric:
    """The metric of [[A, B'], [B, D]], D diagonal. `arrow` has a row [a, -] or [b, d] for each coefficient: `levels` says which are D's.

    The levels are eliminated. S = A - B' D^-1 B is solved with for the others, of g - B' D^-1 g_levels; then D for the levels, of
    g_levels - B others. A column that is constant within levels leaves in S no more than rounding of A's diagonal: it is dependent.
    """
    a, b, d = arrow[~levels, :-1], arrow[levels, :-1], arrow[levels, -1] * (1 + damping)
    d = np.where(d > 0, d, np.inf)  # a level of no rows stays where it is
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
    """The metric gram x diag(weights) on (P, K) arrays: the hessian of K raw predictions whose probabilities do not vary by row.

    Cross entropy's own, gram x (diag p - p p'), is inverted by gram^-1 x diag(1 / p) wherever a gradient's rows sum to 0, as they do,
    up to what no prediction depends on: the same shift of all K.
    """
    inner = of_matrix(gram, int(intercept))
    safe = np.where(weights > 0, weights, weights.max(initial=0.0) or 1.0)

    def solve(g: Floats) -> Floats:
        made = inner.solve(g) / safe
        return made - made.mean(axis=1, keepdims=True)

    return Metric(solve, inner.dependent)
