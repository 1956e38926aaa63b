"""Directions along which the loss falls for ever. If there is one, the coefficients diverge (Albert and Anderson 1984)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from matchloss.linear.objective import Measure, Objective
from matchloss.linear.passes import Gram, Matrix
from matchloss.linear.rows import Floats
from matchloss.linear.sources.source import Block

if TYPE_CHECKING:
    from matchloss.losses import Loss

MOVING = 1e-3  # a direction must change some raw prediction by more than this; near a finite optimum changes are smaller
STILL = 1e-3  # a row stands still if its raw prediction changes by less than this, or less than this share of the largest change
FAR = 40.0  # after such a change of a raw prediction no loss's slope changes sign any more
GONE = 20.0  # a level's coefficient beyond this is heading for infinity: its rows expect counts of e^-20
NULL = 1e-10  # eigenvalues of a Gram matrix with unit diagonal below this are taken for 0
FIRST = 200  # rows of a first check, by slopes at one point, that rejects nearly all candidates under a convex loss
FEW = 1000  # rows of a second, cheap check
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
    directions = [*(at.theta - theta for theta in before if theta.shape == at.theta.shape), at.theta]
    rising = _rising(f.strided(max(1, f.rows.n // FIRST)), at.theta, directions)
    for direction, rises in zip(directions, rising.tolist(), strict=True):
        if not rises and _falls(few, at.theta, direction) and _falls(f, at.theta, direction):
            pure = _pure(f, direction)
            if _falls(f, at.theta, pure):
                return pure
    return None


@dataclass(frozen=True, eq=False)
class Move:
    """How far the raw predictions of a block move along a direction. With K classes, the move is relative to the target class."""

    matrix: Matrix
    direction: Floats  # wide
    bytes = 0

    def of(self, block: Block) -> Floats:
        """The move of each row of a block."""
        move = np.empty((block.rows, *self.direction.shape[1:]))
        self.matrix.raw(block, self.direction, move)
        return move if move.ndim == 1 else _beside_target(move, block.y)

    def slab(self, blocks: Iterator[Block], rows: int) -> float:
        """The largest move of a slab."""
        return max(float(np.abs(self.of(block)).max(initial=0.0)) for block in blocks)

    def join(self, parts: Sequence[float]) -> float:
        """The largest of all."""
        return float(np.max(parts))  # NaN if one is


@dataclass(frozen=True, eq=False)
class Slopes(Move):
    """Whether no row's loss ever rises along the direction, and whether some row's always falls; of rows that move more than `still`."""

    loss: Loss
    wide: Floats
    still: float

    def slab(self, blocks: Iterator[Block], rows: int) -> tuple[bool, bool]:
        """That of a slab."""
        never, some = True, False
        for block in blocks:
            move = self.of(block)
            moving = np.abs(move) > self.still
            kept = moving if move.ndim == 1 else moving.any(axis=1)
            if not kept.any():
                continue
            move, raw = np.where(moving, move, 0.0)[kept], np.empty(move.shape)
            self.matrix.predicted(block, self.wide, raw)
            raw, target = raw[kept], block.y[kept]
            unit = (move.T / (np.abs(move) if move.ndim == 1 else np.abs(move).max(axis=1))).T
            far, near = self.loss.evaluate(raw + FAR * unit, target), self.loss.evaluate(raw + unit, target)
            slopes = [np.sum(np.atleast_2d((e.gradient * unit).T), axis=0) for e in (far, near)]
            never = never and bool(((far.value <= near.value) & (slopes[0] <= 0)).all())
            some = some or bool((slopes[1] < 0).any())
            if not never:
                break
        return never, some

    def join(self, parts: Sequence[tuple[bool, bool]]) -> tuple[bool, bool]:
        """That of all."""
        return all(never for never, _ in parts), any(some for _, some in parts)


@dataclass(frozen=True, eq=False)
class Standing(Gram):
    """The Gram matrix of the rows that stand still: that move at most `still`."""

    move: Move
    still: float

    def weights(self, block: Block) -> Floats:
        """1 for a row that stands still, 0 for any other."""
        return (np.abs(self.move.of(block)) <= self.still).astype(np.float64)


def _still(f: Objective, direction: Floats) -> tuple[Move, float, float]:
    """The moves along a direction, their largest, and up to which a row stands still."""
    move = Move(f.matrix, f.wide(direction))
    most = f.source.sum(move)
    return move, most, STILL * min(1.0, most)


def _rising(few: Objective, theta: Floats, directions: Sequence[Floats]) -> NDArray[np.bool_]:
    """Of each direction, by slopes at theta alone, whether some row's loss rises along it: a convex one then rises for ever."""
    made = np.zeros(len(directions), bool)
    if not few.loss.convex:
        return made
    slope = few.loss.evaluate(few.raw(theta), few.target, value=False).gradient
    (block,) = few.memory.blocks(0, few.rows.n, few.rows.n)
    wide, each = few.wide(np.concatenate([np.atleast_2d(d.T) for d in directions]).T), int(np.prod(theta.shape[1:]))
    moves = np.empty((few.rows.n, wide.shape[1]))
    few.matrix.raw(block, wide, moves)
    for k in range(len(directions)):
        move = moves[:, k] if theta.ndim == 1 else _beside_target(moves[:, k * each : (k + 1) * each], block.y)
        size = np.abs(move)
        along = np.where(size > STILL * min(1.0, float(size.max())), move, 0.0) * slope
        made[k] = ((along if along.ndim == 1 else along.sum(axis=1)) > 0).any()
    return made


def _beside_target(move: Floats, target: NDArray[Any]) -> Floats:
    """(n, K) relative to the target class: simplex losses do not change when all raw predictions of a row shift by the same amount."""
    labels = target.ndim == 1
    return move - (np.take_along_axis(move, target[:, None], axis=1) if labels else np.sum(target * move, axis=1, keepdims=True))


def _falls(f: Objective, theta: Floats, direction: Floats) -> bool:
    """Whether no row's loss ever rises along the direction and some row's always falls, judged by slopes far along it."""
    move, most, still = _still(f, direction)
    if not most > MOVING:
        return False
    never, some = f.source.sum(Slopes(f.matrix, move.direction, f.loss, f.wide(theta), still))
    return never and some


def _pure(f: Objective, direction: Floats) -> Floats:
    """The direction projected so that rows that hardly move do not move at all; 0 if what moved was only a single far row."""
    if direction.size > MOST:
        return direction
    if direction.ndim == 1:
        move, _, still = _still(f, direction)
        gram = f.narrow(f.matrix.whole(f.source.sum(Standing(f.matrix, move, still))))
    else:
        few = f.strided(max(1, f.rows.n * direction.shape[1] ** 2 // CURVES))
        move, _, still = _still(few, direction)
        gram = _gram_of_differences(
            few, np.concatenate([np.abs(move.of(block)) <= still for block in few.memory.blocks(0, few.rows.n, few.matrix.height)])
        )
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
