"""The rows of a table as passes read them: numbers where they lie, categories as integer codes, nothing one-hot, nothing copied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

FAR = 100.0  # |mean| / standard deviation from which a column is read less its mean: squares of nearer ones lose 4 of 16 digits at most
LOOK = 1_000  # rows, or up to twice as many, that say so


@dataclass(frozen=True, eq=False)
class TableRows:
    """Numeric columns, (n, q) in one array of any layout or a tuple of q arrays; codes (n, C); and how many levels each category has.

    The wide vector of coefficients has a slot for the intercept, for each number, and for every level, reference levels included:
    a code finds its slot by an addition, without a branch. `slots` are the free ones, in the order of the design's names.
    """

    n: int
    numbers: NDArray[Any] | tuple[NDArray[Any], ...]
    codes: Codes
    levels: tuple[int, ...]
    slots: NDArray[np.intp]
    unseen: dict[str, int] = field(default_factory=dict)  # rows with a level that was not learned, by column
    shift: Floats | None = None  # (q,): numbers are read less this

    @property
    def q(self) -> int:
        """Numeric columns, indicators of missing values included."""
        return len(self.numbers) if isinstance(self.numbers, tuple) else self.numbers.shape[1]

    @property
    def first(self) -> NDArray[np.int64]:
        """The slot of each category's reference level."""
        return 1 + self.q + np.concatenate([[0], np.cumsum(self.levels, dtype=np.int64)])[: len(self.levels)].astype(np.int64)

    @property
    def width(self) -> int:
        """Slots in all."""
        return 1 + self.q + sum(self.levels)

    def block(self, start: int, stop: int, scratch: Floats) -> Floats:
        """The numbers of some rows less their shift, (stop - start, q) in float64: a view where they lie so, else in `scratch`."""
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

    def centred(self) -> TableRows:
        """The same rows, columns far from 0 for their spread read less their means.

        Of x + 1e9 a Gram matrix keeps no digit of x. x - c is exact for c / 2 <= x <= 2 c (Sterbenz), so that c may be a rough mean.
        """
        shift = self.far_means()
        return replace(self, shift=shift) if shift.any() else self

    def uncentred(self, intercept: Floats, coef: Floats) -> tuple[Floats, Floats]:
        """Of an intercept, () or (K,), and coefficients (p,) or (p, K), found for these rows: the intercept for numbers without a shift,
        rounded once, and the shift of each coefficient's column.
        """
        centre = np.zeros(self.width)
        if self.shift is not None:
            centre[1 : 1 + self.q] = self.shift
        centre = centre[self.slots]
        return moved(intercept, -centre, coef), centre

    def shifted(self, centre: Floats) -> TableRows:
        """The same rows, numbers read less the entries of `centre`, one for each coefficient."""
        wide = np.zeros(self.width)
        wide[self.slots] = centre
        return replace(self, shift=wide[1 : 1 + self.q]) if centre.any() else self

    def far_means(self) -> Floats:
        """(q,): about the mean of a column that lies FAR from 0, 0 for all others, constant ones among them."""
        few = self.strided(max(1, self.n // LOOK))
        mean, spread = _mean_and_spread(few.block(0, few.n, np.empty((few.n, self.q))))
        far = np.abs(mean) > FAR * spread
        for j in np.flatnonzero(far & (spread == 0)):  # constant in the rows looked at: in all?
            column = self.numbers[j] if isinstance(self.numbers, tuple) else self.numbers[:, j]
            far[j] = False
            if (column != column[0]).any():
                mean[[j]], spread[[j]] = _mean_and_spread(np.asarray(column, np.float64)[:, None])
                far[j] = abs(mean[j]) > FAR * spread[j]
        return np.where(far, mean, 0.0)

    def largest_last(self) -> TableRows:
        """The same rows, slots of the category of most levels at the end."""
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

    def strided(self, step: int) -> TableRows:
        """Every step-th row."""
        return self._pick(slice(None, None, step))

    def take(self, index: NDArray[np.intp]) -> TableRows:
        """The rows at these places, copied."""
        return self._pick(index)

    def _pick(self, index: Any) -> TableRows:
        numbers = tuple(c[index] for c in self.numbers) if isinstance(self.numbers, tuple) else self.numbers[index]
        codes = np.ascontiguousarray(self.codes[index])
        return TableRows(len(codes), numbers, codes, self.levels, self.slots, shift=self.shift)


def _mean_and_spread(x: Floats) -> tuple[Floats, Floats]:
    """Of each column: mean and standard deviation, right for large numbers too."""
    with np.errstate(all="ignore"):  # what is not finite is not FAR
        base = x - x[0]
        return x[0] + base.mean(axis=0), base.std(axis=0)


def moved(intercept: Floats, centre: Floats, coef: Floats) -> Floats:
    """intercept + centre @ coef, rounded once: of terms that are large and cancel. (), or (K,) of coef (p, K)."""
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
