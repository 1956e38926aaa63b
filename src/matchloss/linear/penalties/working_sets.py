"""L1 with many columns: working sets, and Newton steps on sparse columns without any hessian.

outer    X' g over every column gives its residual; the set is the support and the worst columns, at least twice the support
inner    dense: proximal Newton on the set's columns by a Gram matrix. Sparse: descent that keeps r = h * (X d): a column's slope is a
         dot product with r, a step an addition to it; no column is copied. A large sparse set takes one Newton step, because the slopes
         of all columns then cost hardly more than its own
Sources: Johnson and Guestrin (2015); Massias, Gramfort and Salmon (2018); Bertrand et al. (2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.passes import Matrix
from matchloss.linear.penalties.loops import loop
from matchloss.linear.penalties.newton import SHORT, prox_newton
from matchloss.linear.penalties.penalty import Index, Penalty
from matchloss.linear.rows import Floats, TableRows, of_array
from matchloss.linear.sparse import Columns

FIRST = {"sparse": 100, "dense": 20}  # columns of the first set: a Gram matrix costs their square
PULLED = 4  # of sparse columns, which need no Gram matrix, the first set takes one in so many of those whose slopes exceed their penalty
INNER = 0.1  # of the residual that a sparse set, and each Newton step in it, leaves
MANY = 0.15  # a sparse set with more of the columns than this share takes one Newton step
LOOSE = 0.3  # of the residual that such a step leaves: rounds of descent cost more than the next step's slopes
FIND = 0.03  # of the residual that the first dense set leaves: it finds out which columns matter
EXACT = 1e-6  # of the residual that a later one leaves: Newton's steps in a few columns cost less than the slopes of all
TINY = 1e-100  # a curvature's root above this can be divided by
AT_ONCE = 512  # columns a thread takes


@dataclass(frozen=True, eq=False)
class Point:
    """The rows' raw predictions at theta, the mean loss, and each row's gradient and curvature as parts of the mean's."""

    theta: Floats
    raw: Floats
    value: float
    g: Floats
    h: Floats


@dataclass(frozen=True, eq=False)
class Wide:
    """An objective without a penalty, by columns: all of them as CSC in `sparse`, or those of an array, read block by block."""

    f: Objective
    sparse: Columns | None

    @property
    def head(self) -> int:
        """1 if there is an intercept."""
        return int(self.f.intercept)

    @property
    def count(self) -> int:
        """The number of columns."""
        return self.f.size - self.head if self.sparse is None else len(self.sparse[0]) - 1

    @cached_property
    def csc(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Floats]:
        """The sparse columns as the loops take them, with unsigned indices."""
        assert self.sparse is not None
        indptr, indices, data = self.sparse
        return indptr.view(np.uint32), indices.view(np.uint32), data

    @cached_property
    def every(self) -> Index:
        """All columns."""
        return np.arange(self.count)

    def measure(self, theta: Floats) -> Measure:
        """The mean loss and its gradient, in the intercept and all columns."""
        at = self.evaluate(theta, self.raw(theta))
        return Measure(theta, at.value, self.slopes(at.g, self.every), None)

    @cached_property
    def matrix(self) -> Matrix:
        """The products of a dense matrix."""
        return Matrix(self.f.rows)

    def evaluate(self, theta: Floats, raw: Floats) -> Point:
        """The loss of each row, weighted."""
        f = self.f
        e = f.loss.evaluate(raw, f.target, f.weight, hessian=True)
        return Point(theta, raw, float(e.value.sum()) / f.total, e.gradient / f.total, e.hessian / f.total)

    def slopes(self, g: Floats, columns: Index) -> Floats:
        """[sum g, X' g] of some columns."""
        made = np.empty(self.head + len(columns))
        made[: self.head] = g.sum()
        if self.sparse is None:
            made[self.head :] = self.matrix.transposed(g)[self.f.rows.slots][columns]
        else:
            dots, line, out = loop("dots"), self.csc, made[self.head :]
            threads.over_blocks(len(columns), AT_ONCE, lambda a, b: dots(*line, columns, a, b, g, out) or -1)
        return made

    def raw(self, theta: Floats) -> Floats:
        """Raw predictions, with the offset."""
        f = self.f
        if self.sparse is None and theta[self.head :].any():
            return f.raw(theta)
        raw = np.zeros(f.rows.n) if f.offset is None else f.offset.copy()
        if self.head:
            raw += theta[0]
        if self.sparse is not None:
            loop("add")(*self.csc, self.every, theta[self.head :], raw)
        return raw

    def some(self, columns: Index) -> Objective:
        """The objective on some dense columns alone, copied."""
        f, rows = self.f, self.f.rows
        x = np.empty((rows.n, len(columns)), order="F")
        place = rows.slots[columns] - 1
        for k, j in enumerate(place):
            column = rows.numbers[j] if isinstance(rows.numbers, tuple) else rows.numbers[:, j]
            x[:, k] = column if rows.shift is None else column - rows.shift[j]
        return replace(f, source=f.source.with_rows(of_array(x)))


def csc_of(rows: TableRows) -> Columns:
    """All columns of the design as CSC, in the order of the coefficients; the column of a level has ones in its rows."""
    if rows.sparse is not None and rows.s == rows.width - 1:
        return rows.sparse.csc
    place = np.full(rows.width, -1)
    place[rows.slots] = np.arange(len(rows.slots))
    parts: list[tuple[Any, Any]] = [(np.empty(0, np.int32), np.empty(0))] * len(rows.slots)
    for j in range(rows.q):
        if place[1 + j] >= 0:
            column = np.asarray(rows.numbers[j] if isinstance(rows.numbers, tuple) else rows.numbers[:, j], np.float64)
            column = column if rows.shift is None else column - rows.shift[j]
            index = np.flatnonzero(column)
            parts[place[1 + j]] = index.astype(np.int32), column[index]
    if rows.sparse is not None:
        ends, index, data = rows.sparse.csc
        for j, slot in enumerate(range(1 + rows.q, 1 + rows.q + rows.s)):
            if place[slot] >= 0:
                parts[place[slot]] = index[ends[j] : ends[j + 1]], data[ends[j] : ends[j + 1]]
    for c, (first, levels) in enumerate(zip(rows.first, rows.levels, strict=True)):
        codes = rows.codes[:, c]
        order, counts = np.argsort(codes, kind="stable").astype(np.int32), np.bincount(codes, minlength=levels)
        ends = np.concatenate([[0], np.cumsum(counts)])
        for level in range(levels):
            if place[first + level] >= 0:
                here = order[ends[level] : ends[level + 1]]
                parts[place[first + level]] = here, np.ones(len(here))
    indptr = np.cumsum([0, *(len(index) for index, _ in parts)]).astype(np.int32)
    return indptr, np.concatenate([index for index, _ in parts]), np.concatenate([data for _, data in parts])


def working_sets(wide: Wide, pen: Penalty, tol: float, log: Log, theta: Floats) -> tuple[Measure, float, bool]:
    """The minimum from a warm start, the largest residual over all columns, and whether rounding prevents further steps."""
    head, size, before, taken = wide.head, 0, (np.inf, np.inf), 0  # `taken`: columns of the last set
    every = wide.every
    theta, now = theta.copy(), wide.evaluate(theta, wide.raw(theta))
    while True:
        at = Measure(theta.copy(), now.value, wide.slopes(now.g, every), None)
        log.add(at, wide.f.rows.n)
        each = pen.residual(theta, at.gradient)
        left, total = float(each.max(initial=0.0)), at.value + pen.value(theta)
        support = np.flatnonzero(theta[head:])
        flat = left >= 0.5 * before[0] and total >= before[1]
        if left <= tol or log.full or (taken == len(every) and flat):
            return at, left, not log.full
        pulled = int((each[head:] > 0).sum()) // PULLED if wide.sparse is not None else 0
        size = min(len(every), max(2 * len(support), size, FIRST["dense" if wide.sparse is None else "sparse"], pulled))
        rank, before = each[head:].copy(), (left, total)
        rank[support] = np.inf
        rank[pen.l1[head:] == 0] = np.inf  # what is free belongs to every set
        size = min(len(every), max(size, int(np.isinf(rank).sum())))
        chosen = np.sort(np.argpartition(-rank, size - 1)[:size])
        chosen = chosen[rank[chosen] > 0]
        taken = len(chosen)
        place = np.concatenate([np.arange(head), head + chosen])
        inner, share = (_dense, EXACT if len(support) else FIND) if wide.sparse is None else (_sparse, INNER)
        now = replace(now, theta=theta[place])
        now = inner(wide, now, at.gradient[place], chosen, pen.of(place), max(share * left, 0.5 * tol), log)
        theta[place] = now.theta


def _dense(wide: Wide, at: Point, _: Floats, columns: Index, pen: Penalty, tol: float, log: Log) -> Point:
    """The minimum over the intercept and these dense columns."""
    f = wide.some(columns)
    found = prox_newton(f, f.measure(at.theta, log, "hessian"), pen, tol, log)[0]
    return wide.evaluate(found.theta, f.raw(found.theta))


def _sparse(wide: Wide, at: Point, slope: Floats, columns: Index, pen: Penalty, tol: float, log: Log) -> Point:
    """The same for sparse columns, whose slopes are given; for many columns only one Newton step towards it."""
    assert wide.sparse is not None
    head, n, line, columns = wide.head, len(at.raw), wide.csc, columns.astype(np.int64)
    once = bool(pen.l1.any()) and len(columns) > MANY * wide.count
    curve, search, share = np.empty(len(slope)), loop("descend_sparse"), LOOSE if once else INNER
    sizes = np.diff(line[0])[columns].astype(np.int64)
    start, scaled = np.cumsum(sizes, dtype=np.int64) - sizes, np.empty(int(sizes.sum()))
    left = float(pen.residual(at.theta, slope).max(initial=0.0))
    while left > tol and not log.full:
        curve[:head], root = at.h.sum(), np.sqrt(at.h)
        loop("scale")(*line, columns, root, start, scaled, curve[head:])
        theta, new, r, goal = at.theta, at.theta.copy(), np.zeros(n), max(share * left, 0.3 * tol)
        smooth = slope + pen.l2 * theta
        moving = np.ones(len(new), np.uint8)
        sink = new, pen.l1, pen.l2, pen.low, pen.high, r, moving
        search(*line[:2], columns, start, scaled, root, smooth, curve + pen.l2, theta, *sink, head, goal, 200)
        move, t = new - theta, 1.0
        if float(root.min()) > TINY:
            along = r / root
        else:  # rows whose curvature vanished say nothing of X move
            along = np.full(n, move[0] if head else 0.0)
            loop("add")(*line, columns, move[head:], along)
        old, ahead = at.value + pen.value(theta), float(slope @ move) + pen.value(new) - pen.value(theta)
        while t >= SHORT:
            found = wide.evaluate(theta + t * move, at.raw + t * along)
            if found.value + pen.value(found.theta) <= old + 1e-4 * t * ahead + 1e-13 * abs(old):
                break
            t *= 0.5
        else:
            break
        at = found
        if once:
            break
        slope = wide.slopes(at.g, columns)
        left = float(pen.residual(at.theta, slope).max(initial=0.0))
        log.steps.append((at.value + pen.value(at.theta), left, n))
    return at
