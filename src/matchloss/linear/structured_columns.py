"""The columns of a structured trainer as Newton's method multiplies them: one dense block, or category codes where levels are many."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.inference.information import SUMS, cluster_sums
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import blas_on_one_thread

SAID = 1 << 30  # bytes of a dense block from which its size is said
PAYS = 3  # times as many columns as a row has entries: measured, codes are as quick as a dense block at 2 and 7 times at 20
CONSTANT = 1e-10  # of a column's sum of squares: what is left of one that does not vary within groups

Groups = NDArray[np.int64]  # bounds of groups of rows that lie together


@dataclass(frozen=True, eq=False)
class Dense:
    """All columns in one block (n, p)."""

    x: Floats

    def times(self, b: Floats) -> Floats:
        """X b, (n,)."""
        return self.x @ b

    def transposed(self, error: Floats) -> Floats:
        """X' error, (p,) of (n,) or (p, K) of (n, K)."""
        return self.x.T @ error

    def gram(self, weight: Floats) -> Floats:
        """X' diag(weight) X."""
        return self.x.T @ (weight[:, None] * self.x)

    def sums(self, error: Floats, group: NDArray[np.intp], count: int) -> Floats:
        """The sum of error times row over each of `count` groups, (count, p); group (n,): which one a row is of."""
        each = error[:, None] * self.x
        if count == len(each):
            return each
        made = np.zeros((count, self.x.shape[1]))
        np.add.at(made, group, each)
        return made

    def centred(self, centre: Floats) -> Dense:
        """Less `centre`, which has one entry a column."""
        return Dense(_exact(self.x - centre, self.x))

    def within(self, groups: Groups) -> Dense:
        """Less the mean of each group, which a loss of groups does not see."""
        means = np.add.reduceat(self.x, groups[:-1]) / np.diff(groups)[:, None]
        return Dense(_exact(self.x - np.repeat(means, np.diff(groups), axis=0), self.x))

    def spread(self, p: Floats, groups: Groups, weight: Floats) -> Floats:
        """The covariance of rows drawn from each group with probabilities p, summed over groups of these weights."""
        means = np.add.reduceat(p[:, None] * self.x, groups[:-1])
        away = (self.x - np.repeat(means, np.diff(groups), axis=0)) * np.sqrt(p * np.repeat(weight, np.diff(groups)))[:, None]
        return away.T @ away

    def take(self, order: NDArray[np.int64]) -> Dense:
        """Its rows in this order."""
        return Dense(np.ascontiguousarray(self.x[order]))


@dataclass(frozen=True, eq=False)
class Coded:
    """Numbers, and codes for levels: nothing of the size of (n, p) is made. Levels are not centred; 0 and 1 lose nothing."""

    rows: TableRows

    @property
    def _matrix(self) -> Matrix:
        return Matrix(self.rows)

    def times(self, b: Floats) -> Floats:  # noqa: D102
        wide = np.zeros(self.rows.width)
        wide[self.rows.slots] = b
        return self._matrix.times(wide)

    def transposed(self, error: Floats) -> Floats:  # noqa: D102
        columns = 1 if error.ndim == 1 else error.shape[1]
        with blas_on_one_thread():
            return Matrix(self.rows, columns).transposed(np.ascontiguousarray(error))[self.rows.slots]

    def gram(self, weight: Floats) -> Floats:  # noqa: D102
        with blas_on_one_thread():
            return self._matrix.gram(np.ascontiguousarray(weight))[np.ix_(self.rows.slots, self.rows.slots)]

    def sums(self, error: Floats, group: NDArray[np.intp], count: int) -> Floats:  # noqa: D102
        check_size(count, self.rows.width, 2)
        return cluster_sums(self.rows, error, group, count)[:, self.rows.slots]

    def centred(self, centre: Floats) -> Coded:  # noqa: D102
        return Coded(self.rows.shifted(centre))

    def within(self, groups: Groups) -> Coded:  # noqa: D102
        x = self.rows.block(0, self.rows.n, np.empty((self.rows.n, self.rows.q)))
        return Coded(replace(self.rows, numbers=Dense(x).within(groups).x, shift=None) if self.rows.q else self.rows)

    def spread(self, p: Floats, groups: Groups, weight: Floats) -> Floats:  # noqa: D102
        made = self.gram(p * np.repeat(weight, np.diff(groups)))
        whole, many, slots = np.diagonal(made).copy(), groups.size - 1, self.rows.slots
        for a, b in pairwise([*range(0, many, max(1, SUMS // self.rows.width)), many]):
            first, last = groups[a], groups[b]
            part, place = self.rows.take(np.arange(first, last)), np.repeat(np.arange(b - a), np.diff(groups[a : b + 1]))
            means = cluster_sums(part, p[first:last], place, b - a)[:, slots]
            made -= means.T @ (weight[a:b, None] * means)
        flat = np.diagonal(made) <= CONSTANT * whole  # a difference of equals, but for rounding
        made[flat], made[:, flat] = 0.0, 0.0
        return made

    def take(self, order: NDArray[np.int64]) -> Coded:  # noqa: D102
        return Coded(self.rows.take(order))


Columns = Dense | Coded


def _exact(centred: Floats, x: Floats) -> Floats:
    """0 in columns that are constant but for rounding: what is left of them would pass for a column."""
    if len(x):
        centred[:, np.abs(centred).max(axis=0) <= 1e-14 * np.abs(x).max(axis=0)] = 0.0
    return centred


def columns_for(rows: TableRows, held: int) -> Columns:
    """Codes and sparse columns where they pay, else a dense block, of which the solver holds `held` at once. Errors: `dense`."""
    sparse = 0.0 if rows.sparse is None else rows.sparse.x.nnz / max(rows.n, 1)
    return Coded(rows) if len(rows.slots) > PAYS * (rows.q + len(rows.levels) + sparse) else Dense(dense(rows, held))


def dense(rows: TableRows, held: int = 1) -> Floats:
    """All columns as one block (n, p) in float64, levels as 0 and 1.

    Its size is said in a warning from 1 GB on; a ValueError says it where `held` such blocks need more memory than is free.
    """
    n, p = rows.n, len(rows.slots)
    check_size(n, p, held)
    out, place = np.zeros((n, p)), np.full(rows.width, -1)
    place[rows.slots] = np.arange(p)
    numbers = place[1 : 1 + rows.q]
    out[:, numbers] = rows.block(0, n, np.empty((n, rows.q)))
    if rows.sparse is not None:
        out[:, place[1 + rows.q : 1 + rows.q + rows.s]] = rows.sparse.x.toarray()
    for c, first in enumerate(rows.first):
        column = place[first + rows.codes[:, c]]
        there = np.flatnonzero(column >= 0)
        out[there, column[there]] = 1.0
    return out


def check_size(n: int, p: int, held: int) -> None:
    """Says the size of `held` blocks (n, p) before they are made: a warning from SAID on, a ValueError where they do not fit."""
    size = 8 * n * p
    if size < SAID:
        return
    from matchloss.linear.file_options import free_memory

    said = f"{n:,} rows of {p:,} coefficients make a dense block of {size / 2**30:.1f} GB, and {held} of its size are held at once"
    if held * size > (free := free_memory()):
        what = "drop columns of many levels, join rare levels, or fit to a sample of the rows"
        raise ValueError(f"{said}; {free / 2**30:.1f} GB of memory are free: {what}")
    warnings.warn(said, stacklevel=4)
