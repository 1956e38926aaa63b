"""Where compact rows are kept, as readers see it: rows in memory, every k-th of a store's rows, those from one to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = Sequence[NDArray[Any]]  # of a piece: the target, the weight if there is one, each number, and the codes (r, C)


class Store(Protocol):
    """Where compact rows are kept."""

    @property
    def n(self) -> int:
        """How many rows."""
        ...

    def pieces(self, start: int, stop: int, columns: Sequence[int] | None = None) -> Iterator[Arrays]:
        """These rows in order, in pieces, each valid until the next one is taken; of the arrays only some, if `columns` says which."""
        ...


@dataclass(frozen=True, eq=False)
class Held:
    """Compact rows in memory, in pieces of one or more."""

    parts: tuple[Arrays, ...]

    def __sizeof__(self) -> int:
        """Dask would take it for 56 bytes, move it about as if for nothing, and see no memory limit."""
        return sum(array.nbytes for part in self.parts for array in part)

    @property
    def n(self) -> int:
        """How many rows."""
        return sum(len(part[0]) for part in self.parts)

    def pieces(self, start: int, stop: int, columns: Sequence[int] | None = None) -> Iterator[Arrays]:
        """Views of these rows."""
        at = 0
        for part in self.parts:
            a, b = max(start - at, 0), min(stop - at, len(part[0]))
            if a < b:
                yield [array[a:b] for k, array in enumerate(part) if columns is None or k in columns]
            at += len(part[0])


@dataclass(frozen=True, eq=False)
class Every:
    """Every step-th row of a store, whose first row is number `first` among all."""

    store: Store
    step: int
    first: int = 0

    @property
    def n(self) -> int:
        """How many rows."""
        return -(-(self.store.n + self.first) // self.step) - self._skipped

    @property
    def _skipped(self) -> int:
        return -(-self.first // self.step)

    def pieces(self, start: int, stop: int, columns: Sequence[int] | None = None) -> Iterator[Arrays]:
        """Those among these rows."""
        a, b = ((self._skipped + row) * self.step - self.first for row in (start, stop))
        at = 0
        for piece in self.store.pieces(a, min(b, self.store.n), columns):
            made = [array[-at % self.step :: self.step] for array in piece]
            if len(made[0]):
                yield made
            at += len(piece[0])


@dataclass(frozen=True, eq=False)
class Between:
    """The rows of a store from one to another."""

    store: Store
    first: int
    last: int

    @property
    def n(self) -> int:
        """How many rows."""
        return self.last - self.first

    def pieces(self, start: int, stop: int, columns: Sequence[int] | None = None) -> Iterator[Arrays]:
        """Those among these rows."""
        return self.store.pieces(self.first + start, self.first + stop, columns)
