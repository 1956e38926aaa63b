"""The rows of a table as passes read them: numbers where they lie, categories as integer codes, nothing one-hot, nothing copied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Rows:
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
        """The numbers of some rows, (stop - start, q) in float64: a view where they lie so, else written into `scratch`."""
        if isinstance(self.numbers, tuple):
            made = scratch[: stop - start]
            for j, column in enumerate(self.numbers):
                made[:, j] = column[start:stop]
            return made
        view = self.numbers[start:stop]
        if view.dtype == np.float64 and view.flags.aligned and (view.strides[1] == 8 or view.strides[0] == 8 or not view.size):
            return view
        made = scratch[: stop - start]
        made[...] = view
        return made

    def strided(self, step: int) -> Rows:
        """Every step-th row."""
        return self._pick(slice(None, None, step))

    def take(self, index: NDArray[np.intp]) -> Rows:
        """The rows at these places, copied."""
        return self._pick(index)

    def _pick(self, index: Any) -> Rows:
        numbers = tuple(c[index] for c in self.numbers) if isinstance(self.numbers, tuple) else self.numbers[index]
        codes = np.ascontiguousarray(self.codes[index])
        return Rows(len(codes), numbers, codes, self.levels, self.slots)


def of_array(x: NDArray[Any]) -> Rows:
    """The rows of a matrix of numbers; nothing is copied."""
    return Rows(x.shape[0], x, np.zeros((x.shape[0], 0), np.int32), (), np.arange(1, 1 + x.shape[1]))
