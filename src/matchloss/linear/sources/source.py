"""What the trainer asks of rows, wherever they live: sums over all of them, and every step-th of them in memory.

A pass is a Term: a small value, which says what a slab of rows adds to a sum. A source cuts its rows into slabs, gives a term the blocks
of each, and joins the parts in the order of the rows. So no loss, no kernel and no solver knows where rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sparse import Entries

if TYPE_CHECKING:
    from matchloss.linear.sources.memory import Memory

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows, ready to be multiplied."""

    start: int
    stop: int
    x: Floats  # (r, q)
    codes: NDArray[np.int32] | NDArray[np.uint8]  # (r, C)
    y: NDArray[Any]  # (r,) float64; labels (r,) int64 or distributions (r, K) for a simplex loss; empty if rows have no target
    w: Floats | None = None  # (r,); None: each weighs 1
    offset: Floats | None = None  # (r,) or (r, K), added to the raw predictions
    sparse: Entries | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return self.stop - self.start

    def mapped(self, change: Callable[[Floats], Floats]) -> Block:
        """With changed numbers; a 0 must stay one."""
        return replace(self, x=change(self.x), sparse=None if self.sparse is None else self.sparse.mapped(change))


class Layout(Protocol):
    """How a term wants its rows cut; `passes.Matrix` is one."""

    @property
    def height(self) -> int:
        """Rows of a block."""
        ...

    def slab(self, bytes_each: int) -> int:
        """Rows of a slab whose part of the sum holds so many bytes."""
        ...


class Term(Protocol[T]):
    """What a pass adds up. It can be pickled, so that a cluster can send it to its workers; `join` may be applied as a tree."""

    @property
    def matrix(self) -> Layout:
        """The design matrix; the values of its rows are not asked for, only their shape."""
        ...

    @property
    def bytes(self) -> int:
        """The size of a part."""
        ...

    def slab(self, blocks: Iterator[Block], rows: int) -> T:
        """What these rows add. A block is valid until the next one is taken."""
        ...

    def join(self, parts: Sequence[T]) -> T:
        """The sum of parts, in the order of their rows."""
        ...


class Source(Protocol):
    """Rows with their targets and weights, all of which are positive."""

    @property
    def rows(self) -> TableRows:
        """The rows, or elsewhere than in memory only their shape: their number, numeric columns, levels, slots and shift."""
        ...

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        ...

    @property
    def shifted(self) -> bool:
        """Whether rows have offsets."""
        ...

    def total(self) -> float:
        """The sum of the weights, or the number of rows."""
        ...

    def mass(self, classes: int) -> Floats:
        """The weight of each class, (K,)."""
        ...

    def ends(self) -> tuple[float, float]:
        """The least and the greatest target of a pointwise loss."""
        ...

    def mean(self) -> float:
        """The weighted mean of the targets of a pointwise loss."""
        ...

    def targets(self) -> tuple[NDArray[Any], Floats | None]:
        """All targets and weights; elsewhere than in memory, distinct targets with the weight of each."""
        ...

    def sum(self, term: Term[T]) -> T:
        """One pass over all rows."""
        ...

    def strided(self, step: int) -> Memory:
        """Every step-th row, in memory. Never the first rows, because files are often sorted."""
        ...

    def every(self, step: int) -> Source:
        """Every step-th row, wherever it lives."""
        ...

    def far_means(self) -> Floats:
        """(q,): the approximate mean of each numeric column that is far from 0 for its spread; see rows.far_means."""
        ...

    def with_rows(self, rows: TableRows) -> Self:
        """The same rows with other slots, or another shift."""
        ...

    def largest_last(self) -> Self:
        """The same rows, with the slots of the category with most levels at the end."""
        ...


@dataclass(frozen=True, eq=False)
class Around:
    """A source that adds something to the passes of another one; its rows are that one's."""

    source: Source

    @property
    def rows(self) -> TableRows:
        """The shape of the rows."""
        return self.source.rows

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self.source.weighted

    @property
    def shifted(self) -> bool:
        """Whether rows have offsets."""
        return self.source.shifted


def over_slabs(rows: int, height: int, work: Callable[[int, int], T]) -> list[T]:
    """work(start, stop) of each slab, in order; on threads."""
    if 0 < rows <= height:
        return [work(0, rows)]
    results: list[Any] = [None] * -(-rows // height)

    def one(start: int, stop: int) -> int:
        results[start // height] = work(start, stop)
        return -1

    threads.over_blocks(rows, height, one)
    return results


def added(parts: Sequence[Floats], shape: tuple[int, ...]) -> Floats:
    """The sum of the slabs' arrays, in order."""
    made = np.zeros(shape)
    for part in parts:
        made += part
    return made
