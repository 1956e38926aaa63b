"""Directions along which the loss falls for ever. If there is one, the coefficients diverge (Albert and Anderson 1984)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from matchloss.linear.objective import Measure, Objective
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats

MOVING = 1e-3  # a direction must change some raw prediction by more than this; near a finite optimum changes are smaller
STILL = 1e-3  # a row stands still if its raw prediction changes by less than this, or less than this share of the largest change
FAR = 40.0  # after such a change of a raw prediction no loss's slope changes sign any more
GONE = 20.0  # a level's coefficient beyond this is heading for infinity: its rows expect counts of e^-20
NULL = 1e-10  # eigenvalues of a Gram matrix with unit diagonal below this are taken for 0
FEW = 1000  # rows of a first, cheap check that rejects most candidates
MOST = 1500  # directions with more coefficients than this are not purified
CURVES = 1 << 24  # limit on rows times classes squared when purifying


def endless(f: Objective, at: Measure, before: Sequence[Floats]) -> Floats | None:
    """A direction along which no row's loss ever rises and some row's always falls; None if none was found.

    The candidates are theta's change since each of `before`, thetas from earlier passes, and theta itself (for separated classes).
    """
    if not np.isfinite(at.value) or not f.loss.smooth or getattr(f.loss.programs["exact"], "threshold", None) is not None:
        return None  # these losses are flat or linear beyond a margin, so their optimum is finite
    if f.arrow:  # levels without a finite optimum go far in one step; they have few rows, which a subsample could miss
        gone = np.where(f.levels & (np.abs(at.theta) > GONE), at.theta, 0.0)
        if _falls(f, at.theta, gone):
            return gone
    few = f.strided(max(1, f.rows.n // FEW))
    for direction in (*(at.theta - theta for theta in before if theta.shape == at.theta.shape), at.theta):
        if _falls(few, at.theta, direction) and _falls(f, at.theta, direction):
            pure = _pure(f, direction)
            if _falls(f, at.theta, pure):
                return pure
    return None


def _moves(f: Objective, direction: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """How far raw predictions move along a direction, and which ones do. With K classes, the move is relative to the target class."""
    move = f.change(direction)
    if move.ndim == 2:  # simplex losses do not change when all raw predictions of a row shift by the same amount
        labels = f.target.ndim == 1
        move -= np.take_along_axis(move, f.target[:, None], axis=1) if labels else np.sum(f.target * move, axis=1, keepdims=True)
    size = np.abs(move)
    return move, size > STILL * min(1.0, float(size.max(initial=0.0)))


def _falls(f: Objective, theta: Floats, direction: Floats) -> bool:
    """Whether no row's loss ever rises along the direction and some row's always falls, judged by slopes far along it."""
    move, moving = _moves(f, direction)
    if not np.abs(move).max(initial=0.0) > MOVING:
        return False
    rows = moving if move.ndim == 1 else moving.any(axis=1)
    move = np.where(moving, move, 0.0)[rows]
    raw, target = f.raw(theta)[rows], f.target[rows]
    unit = (move.T / (np.abs(move) if move.ndim == 1 else np.abs(move).max(axis=1))).T
    far, near = f.loss.evaluate(raw + FAR * unit, target), f.loss.evaluate(raw + unit, target)
    slopes = [np.sum(np.atleast_2d((e.gradient * unit).T), axis=0) for e in (far, near)]
    return bool(((far.value <= near.value) & (slopes[0] <= 0)).all() and (slopes[1] < 0).any())


def _pure(f: Objective, direction: Floats) -> Floats:
    """The direction projected so that rows that hardly move do not move at all; 0 if what moved was only a single far row."""
    if direction.size > MOST:
        return direction
    few = f if direction.ndim == 1 else f.strided(max(1, f.rows.n * direction.shape[1] ** 2 // CURVES))
    still = ~_moves(few, direction)[1]
    gram = few.narrow(few.matrix.gram(still.astype(np.float64))) if direction.ndim == 1 else _gram_of_differences(few, still)
    diagonal = np.diagonal(gram)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = linalg.eigh(gram * scale * scale[:, None], check_finite=False)
    null = vectors[:, values <= NULL]
    return (scale * (null @ (null.T @ (direction.ravel() / scale)))).reshape(direction.shape)


def _gram_of_differences(f: Objective, still: NDArray[np.bool_]) -> Floats:
    """The Gram matrix (P K, P K) of the differences between each class's raw prediction and the target's, over those that stand still."""
    classes, size = f.shape[1], f.size
    own = np.arange(classes) == f.target[:, None] if f.target.ndim == 1 else f.target
    difference = np.eye(classes) - own[:, None, :]  # row i, class k: the unit vector of k minus the target distribution
    curves = np.einsum("ik,ika,ikb->abi", still.astype(np.float64), difference, difference)
    matrix, made = Matrix(f.rows), np.empty((size, classes, size, classes))
    for a in range(classes):
        for b in range(a + 1):
            made[:, a, :, b] = made[:, b, :, a] = f.narrow(matrix.gram(np.ascontiguousarray(curves[a, b])))
    return made.reshape(size * classes, size * classes)
