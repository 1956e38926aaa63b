"""L1 with many columns: working sets, and Newton steps on sparse columns without any hessian.

outer    X' g over every column gives its residual; the set is the support and the worst columns, at least twice the support
inner    dense: proximal Newton on the set's columns by a Gram matrix. Sparse: descent that keeps r = h * (X d): a column's slope is a
         dot product with r, a step an addition to it; no column is copied
Sources: Johnson and Guestrin (2015); Massias, Gramfort and Salmon (2018); Bertrand et al. (2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

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
INNER = 0.1  # of the residual that a Newton step leaves
EXACT = 1e-3  # of the residual that a dense set is solved to: Newton's steps in a few columns cost less than the slopes of all
TINY = 1e-100  # a curvature's root above this can be divided by
AT_ONCE = 512  # columns a thread takes


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
    def every(self) -> Index:
        """All columns."""
        return np.arange(self.count)

    def measure(self, theta: Floats) -> Measure:
        """The mean loss and its gradient, in the intercept and all columns."""
        value, g, _ = self.evaluate(self.raw(theta))
        return Measure(theta, value, self.slopes(g, self.every), None)

    @cached_property
    def matrix(self) -> Matrix:
        """The products of a dense matrix."""
        return Matrix(self.f.rows)

    def evaluate(self, raw: Floats) -> Any:
        """Value, gradient and hessian of each row, weighted, as means."""
        f = self.f
        e = f.loss.evaluate(raw, f.target, f.weight, hessian=True)
        return float(e.value.sum()) / f.total, e.gradient / f.total, e.hessian / f.total

    def slopes(self, g: Floats, columns: Index) -> Floats:
        """[sum g, X' g] of some columns."""
        made = np.empty(self.head + len(columns))
        made[: self.head] = g.sum()
        if self.sparse is None:
            made[self.head :] = self.matrix.transposed(g)[self.f.rows.slots][columns]
        else:
            dots, line, out = loop("dots"), self.sparse, made[self.head :]
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
            loop("add")(*self.sparse, self.every, theta[self.head :], raw)
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
    head, size, before, taken = wide.head, 0, np.inf, 0  # `taken`: columns of the last set
    every = wide.every
    theta, raw = theta.copy(), wide.raw(theta)
    while True:
        value, g, _ = wide.evaluate(raw)
        gradient = wide.slopes(g, every)
        at = Measure(theta.copy(), value, gradient, None)
        log.add(at, wide.f.rows.n)
        each = pen.residual(theta, gradient)
        left = float(each.max(initial=0.0))
        support = np.flatnonzero(theta[head:])
        if left <= tol or log.full or (taken == len(every) and left >= 0.5 * before):
            return at, left, not log.full
        pulled = int((each[head:] > 0).sum()) // PULLED if wide.sparse is not None else 0
        size, before = min(len(every), max(2 * len(support), size, FIRST["dense" if wide.sparse is None else "sparse"], pulled)), left
        rank = each[head:].copy()
        rank[support] = np.inf
        rank[pen.l1[head:] == 0] = np.inf  # what is free belongs to every set
        size = min(len(every), max(size, int(np.isinf(rank).sum())))
        chosen = np.sort(np.argpartition(-rank, size - 1)[:size])
        chosen = chosen[rank[chosen] > 0]
        taken = len(chosen)
        place = np.concatenate([np.arange(head), head + chosen])
        inner, share = (_dense, EXACT) if wide.sparse is None else (_sparse, INNER)
        theta[place], raw = inner(wide, theta[place], raw, chosen, pen.of(place), max(share * left, 0.5 * tol), log)


def _dense(wide: Wide, theta: Floats, raw: Floats, columns: Index, pen: Penalty, tol: float, log: Log) -> tuple[Floats, Floats]:
    """The minimum over the intercept and these dense columns: theta and raw there."""
    f = wide.some(columns)
    at, *_ = prox_newton(f, f.measure(theta, log, "hessian"), pen, tol, log)
    return at.theta, f.raw(at.theta)


def _sparse(wide: Wide, theta: Floats, raw: Floats, columns: Index, pen: Penalty, tol: float, log: Log) -> tuple[Floats, Floats]:
    """The same for sparse columns."""
    assert wide.sparse is not None
    head, n, line, columns = wide.head, len(raw), wide.sparse, columns.astype(np.int64)
    curve, search = np.empty(len(theta)), loop("descend_sparse")
    sizes = np.diff(line[0])[columns]
    start, scaled = np.cumsum(sizes, dtype=np.int64) - sizes, np.empty(int(sizes.sum()))
    value, g, h = wide.evaluate(raw)
    while not log.full:
        slope = wide.slopes(g, columns)
        left = float(pen.residual(theta, slope).max(initial=0.0))
        log.steps.append((value + pen.value(theta), left, n))
        if left <= tol:
            break
        curve[:head], root = h.sum(), np.sqrt(h)
        loop("scale")(*line, columns, root, start, scaled, curve[head:])
        new, r, goal = theta.copy(), np.zeros(n), max(INNER * left, 0.3 * tol)
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
        old, ahead = value + pen.value(theta), float(slope @ move) + pen.value(new) - pen.value(theta)
        while t >= SHORT:
            value, g, h = wide.evaluate(raw + t * along)
            if value + pen.value(theta + t * move) <= old + 1e-4 * t * ahead + 1e-13 * abs(old):
                break
            t *= 0.5
        else:
            break
        theta, raw = theta + t * move, raw + t * along
    return theta, raw


Inner = Callable[..., tuple[Floats, Floats]]
