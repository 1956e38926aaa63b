"""Rows in memory as a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sources.source import Block, Term, over_slabs

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Memory:
    """The rows of a table, their targets, weights and offsets."""

    rows: TableRows
    target: NDArray[Any] = field(default_factory=lambda: np.empty(0))  # none for rows that are only multiplied
    weight: Floats | None = None
    offset: Floats | None = None  # (n,) or (n, K), added to the raw predictions

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self.weight is not None

    @property
    def shifted(self) -> bool:
        """Whether rows have offsets."""
        return self.offset is not None

    def total(self) -> float:
        """The sum of the weights."""
        return float(self.rows.n if self.weight is None else self.weight.sum())

    def mass(self, classes: int) -> Floats:
        """The weight of each class, (K,)."""
        if self.target.ndim == 1:
            return np.bincount(self.target, self.weight, classes).astype(np.float64)
        return np.sum(self.target, axis=0) if self.weight is None else self.weight @ self.target

    def ends(self) -> tuple[float, float]:
        """The least and the greatest target."""
        return float(self.target.min()), float(self.target.max())

    def mean(self) -> float:
        """The weighted mean of the targets."""
        return float(np.average(self.target, weights=self.weight))

    def targets(self) -> tuple[NDArray[Any], Floats | None]:
        """All targets and weights."""
        return self.target, self.weight

    def blocks(self, start: int, stop: int, height: int) -> Iterator[Block]:
        """The blocks of a slab; each is valid until the next one is made."""
        scratch = np.empty((min(height, stop - start), self.rows.q))
        for a in range(start, stop, height):
            b = min(a + height, stop)
            w, offset = (None if line is None else line[a:b] for line in (self.weight, self.offset))
            thin = None if self.rows.sparse is None else self.rows.sparse.block(a, b)
            yield Block(a, b, self.rows.block(a, b, scratch), self.rows.codes[a:b], self.target[a:b], w, offset, thin)

    def sum(self, term: Term[T]) -> T:
        """One pass over all rows, on threads."""
        matrix, n = term.matrix, self.rows.n
        return term.join(over_slabs(n, matrix.slab(term.bytes), lambda a, b: term.slab(self.blocks(a, b, matrix.height), b - a)))

    def strided(self, step: int) -> Memory:
        """Every step-th row."""
        weight, offset = (None if line is None else np.ascontiguousarray(line[::step]) for line in (self.weight, self.offset))
        return Memory(self.rows.strided(step), np.ascontiguousarray(self.target[::step]), weight, offset)

    def every(self, step: int) -> Memory:
        """Every step-th row."""
        return self.strided(step)

    def far_means(self) -> Floats:
        """(q,): the approximate mean of each numeric column that is far from 0 for its spread."""
        return self.rows.far_means()

    def with_rows(self, rows: TableRows) -> Memory:
        """The same rows with other slots, or another shift."""
        return replace(self, rows=rows)

    def largest_last(self) -> Memory:
        """The same rows, with the slots of the category with most levels at the end."""
        return replace(self, rows=self.rows.largest_last())
