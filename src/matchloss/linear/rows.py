"""The rows of a table as passes read them: numbers without a copy, categories as integer codes, no one-hot columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.sparse import Sparse, of_scipy

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

FAR = 100.0  # columns with |mean| / standard deviation above this are centred; below it, squares lose at most 4 of 16 digits
LOOK = 1_000  # this is judged from so many rows, or up to twice as many


@dataclass(frozen=True, eq=False)
class TableRows:
    """Numeric columns, (n, q) in one array of any layout or a tuple of q arrays; codes (n, C); and each category's number of levels.

    The wide vector of coefficients has a slot for the intercept, for each numeric column, each sparse one and every level. Reference
    levels are included, so that a code finds its slot by an addition, without a branch. `slots` are the free ones, in the design's order.
    """

    n: int
    numbers: NDArray[Any] | tuple[NDArray[Any], ...]
    codes: Codes
    levels: tuple[int, ...]
    slots: NDArray[np.intp]
    unseen: dict[str, int] = field(default_factory=dict)  # for each column, the number of rows with an unknown level
    shift: Floats | None = None  # (q,): subtracted from the numbers as they are read
    sparse: Sparse | None = None  # further numbers, most of them 0

    @property
    def q(self) -> int:
        """The number of numeric columns, including indicators of missing values."""
        return len(self.numbers) if isinstance(self.numbers, tuple) else self.numbers.shape[1]

    @property
    def s(self) -> int:
        """The number of sparse columns."""
        return 0 if self.sparse is None else self.sparse.columns

    @property
    def rare(self) -> bool:
        """Whether some columns are 0 in most rows, so that a subsample may know little of them."""
        return bool(self.levels) or self.sparse is not None

    @property
    def first(self) -> NDArray[np.int64]:
        """The slot of each category's reference level."""
        return 1 + self.q + self.s + np.concatenate([[0], np.cumsum(self.levels, dtype=np.int64)])[: len(self.levels)].astype(np.int64)

    @property
    def width(self) -> int:
        """The total number of slots."""
        return 1 + self.q + self.s + sum(self.levels)

    def block(self, start: int, stop: int, scratch: Floats) -> Floats:
        """The numbers of some rows minus the shift, (stop - start, q) in float64: a view where possible, otherwise in `scratch`."""
        if isinstance(self.numbers, tuple):
            made = scratch[: stop - start]
            for j, column in enumerate(self.numbers):
                if self.shift is not None and self.shift[j]:
                    np.subtract(column[start:stop], self.shift[j], out=made[:, j])
                else:
                    made[:, j] = column[start:stop]
            return made
        view = self.numbers[start:stop]
        if self.shift is not None:
            return np.subtract(view, self.shift, out=scratch[: stop - start])
        if view.dtype == np.float64 and view.flags.aligned and (view.strides[1] == 8 or view.strides[0] == 8 or not view.size):
            return view
        made = scratch[: stop - start]
        made[...] = view
        return made

    def uncentred(self, intercept: Floats, coef: Floats) -> tuple[Floats, Floats]:
        """Undoes the shift: from the intercept, () or (K,), and coefficients, (p,) or (p, K), found for these rows, the intercept for
        numbers that are not shifted, rounded once, and the shift of each coefficient's column (p,).
        """
        centre = np.zeros(self.width)
        if self.shift is not None:
            centre[1 : 1 + self.q] = self.shift
        centre = centre[self.slots]
        return moved(intercept, -centre, coef), centre

    def shifted(self, centre: Floats) -> TableRows:
        """The same rows, shifted by `centre`, which has one entry for each coefficient."""
        wide = np.zeros(self.width)
        wide[self.slots] = centre
        return replace(self, shift=wide[1 : 1 + self.q]) if centre.any() else self

    def far_means(self) -> Floats:
        """(q,): the approximate mean of each column that lies FAR from 0; 0 for all others, constant ones included."""
        return far_means(self.strided(max(1, self.n // LOOK)), self._varying) if self.q else np.empty(0)

    def _varying(self, j: int) -> tuple[float, float] | None:
        column = self.numbers[j] if isinstance(self.numbers, tuple) else self.numbers[:, j]
        if not (column != column[0]).any():
            return None
        (mean,), (spread,) = _mean_and_spread(np.asarray(column, np.float64)[:, None])
        return mean, spread

    def largest_last(self) -> TableRows:
        """The same rows, with the slots of the category with most levels at the end."""
        big = int(np.argmax(self.levels))
        order = [*(c for c in range(len(self.levels)) if c != big), big]
        if big == len(order) - 1:
            return self
        levels = tuple(self.levels[c] for c in order)
        moved = replace(self, codes=np.ascontiguousarray(self.codes[:, order]), levels=levels)
        place = np.arange(self.width)
        for c, first in zip(order, moved.first, strict=True):
            place[self.first[c] : self.first[c] + self.levels[c]] = np.arange(first, first + self.levels[c])
        return replace(moved, slots=place[self.slots])

    def together(self) -> TableRows:
        """The same rows with their numbers copied into one array, of which passes read parts as they lie: for many passes."""
        if not (isinstance(self.numbers, tuple) and self.numbers and self.shift is None):
            return self
        return replace(self, numbers=self.block(0, self.n, np.empty((self.n, self.q))))

    def strided(self, step: int) -> TableRows:
        """Every step-th row."""
        return self._pick(slice(None, None, step))

    def take(self, index: NDArray[np.intp]) -> TableRows:
        """The rows at these indices, copied."""
        return self._pick(index)

    def _pick(self, index: Any) -> TableRows:
        numbers = tuple(c[index] for c in self.numbers) if isinstance(self.numbers, tuple) else self.numbers[index]
        codes, sparse = np.ascontiguousarray(self.codes[index]), None if self.sparse is None else self.sparse[index]
        return TableRows(len(codes), numbers, codes, self.levels, self.slots, shift=self.shift, sparse=sparse)


def far_means(few: TableRows, varying: Callable[[int], tuple[float, float] | None]) -> Floats:
    """(q,): the approximate mean, by a few rows, of each column that lies FAR from 0; 0 for all others, constant ones included.

    The Gram matrix of x + 1e9 would keep no digit of x. A rough mean c will do: x - c is exact for c / 2 <= x <= 2 c (Sterbenz).
    varying(j): the mean and standard deviation of a column over all rows, None if it is constant; asked if it is constant in the few.
    """
    mean, spread = _mean_and_spread(few.block(0, few.n, np.empty((few.n, few.q))))
    far = np.abs(mean) > FAR * spread
    for j in np.flatnonzero(far & (spread == 0)):
        known = varying(int(j))
        far[j] = known is not None and abs(known[0]) > FAR * known[1]
        mean[j] = mean[j] if known is None else known[0]
    return np.where(far, mean, 0.0)


def _mean_and_spread(x: Floats) -> tuple[Floats, Floats]:
    """The mean and standard deviation of each column, accurate for large numbers too."""
    with np.errstate(all="ignore"):  # a column that is not finite is not FAR
        base = x - x[0]
        mean = np.add.reduce(base) / len(x)  # NumPy's mean and std, without their overhead, which small fits would notice
        base -= mean
        return x[0] + mean, np.sqrt(np.add.reduce(np.square(base, out=base)) / len(x))


def moved(intercept: Floats, centre: Floats, coef: Floats) -> Floats:
    """intercept + centre @ coef, rounded once because the terms are large and cancel; () or, for coef (p, K), (K,)."""
    far = np.flatnonzero(centre)
    if not far.size:
        return intercept
    if not (np.isfinite(coef[far]).all() and np.isfinite(intercept).all()):
        return intercept + centre[far] @ coef[far]
    sums = [Fraction(a) for a in np.atleast_1d(intercept).tolist()]
    for c, line in zip(centre[far].tolist(), coef[far].tolist(), strict=True):
        sums = [a + Fraction(c) * Fraction(b) for a, b in zip(sums, line if isinstance(line, list) else [line], strict=True)]
    return np.array([float(a) for a in sums]).reshape(np.shape(intercept))


def of_array(x: NDArray[Any]) -> TableRows:
    """The rows of a matrix of numbers; nothing is copied."""
    return TableRows(x.shape[0], x, np.zeros((x.shape[0], 0), np.int32), (), np.arange(1, 1 + x.shape[1]))


def of_matrix(x: Any) -> TableRows:
    """The rows of a sparse matrix of SciPy, CSR or CSC; columns more than half full are made dense, and so are centred where that is due.

    ValueError for a value that is not finite.
    """
    n, held = x.shape[0], of_scipy(x)
    full = held.counts() > n / 2
    thin = None if full.all() else held if not full.any() else of_scipy(held.x[:, np.flatnonzero(~full)])
    numbers = held.x[:, np.flatnonzero(full)].toarray() if full.any() else np.empty((n, 0))
    slots = np.where(full, np.cumsum(full), full.sum() + np.cumsum(~full))
    return TableRows(n, numbers, np.zeros((n, 0), np.int32), (), slots, sparse=thin)
