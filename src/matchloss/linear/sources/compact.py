"""Compact rows as a source: columns in their own narrow types, wherever these are kept, become the blocks of rows in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import ShapeError
from matchloss.linear.columns import ColumnError
from matchloss.linear.plan import Category, Design, Number
from matchloss.linear.rows import LOOK, Floats, TableRows, far_means
from matchloss.linear.sources.learn import Numbers, Seen
from matchloss.linear.sources.levels import Levels
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Block, Term, over_slabs
from matchloss.linear.sources.stores import Arrays, Between, Every, Store

T = TypeVar("T")
PAIRWISE = 1 << 16  # rows that are summed at a time
Mean: TypeAlias = Callable[[str, Any, Numbers, int, bool], float]


@dataclass(frozen=True)
class Entering:
    """How a stored column of numbers enters: gaps become `fill`, and with `indicator` a second column is 1 in their rows."""

    fill: float | None = None
    indicator: bool = False


@dataclass(frozen=True, eq=False)
class Compact:
    """Rows of a store. `rows` is their shape; its slots say which codes are levels of the model, and in which order."""

    rows: TableRows
    store: Store
    numbers: tuple[Entering, ...]
    ends_: tuple[tuple[float, float], ...]  # of each stored column of numbers
    seen: Numbers | Levels  # of the target
    labels: NDArray[Any] | None = None  # the target of each code of a label, float64 or int64
    weighted: bool = False
    order: tuple[int, ...] | None = None  # of the columns of codes; None: as they are stored
    unit: Floats | None = None  # (q,): the numbers are divided by it
    shifted: bool = False  # whether rows have offsets
    watch: Callable[[int], None] | None = None  # told how many rows a pass has read

    @property
    def narrow(self) -> bool:
        """Whether all codes fit in a byte, so that kernels read them as they are stored."""
        return max(self.rows.levels, default=0) <= 256

    @property
    def ahead(self) -> int:
        """How many stored arrays stand ahead of the numbers."""
        return 1 + self.weighted + self.shifted

    def total(self) -> float:
        """The sum of the weights, summed as NumPy sums an array of them."""
        return float(self._sum([1], lambda columns: columns[0])) if self.weighted else float(self.rows.n)

    def mean(self) -> float:
        """The weighted mean of the targets, as NumPy has it."""
        if not self.weighted:
            return self._sum([0], lambda columns: self._targets(columns[0])) / self.rows.n
        return self._sum([0, 1], lambda columns: self._targets(columns[0]) * columns[1]) / self.total()

    def _sum(self, columns: Sequence[int], of: Callable[[Arrays], NDArray[Any]]) -> float:
        return pairwise(self.rows.n, (of(piece) for piece in self.store.pieces(0, self.rows.n, columns)))

    def _targets(self, stored: NDArray[Any]) -> NDArray[Any]:
        return stored.astype(np.float64) if self.labels is None else self.labels.take(stored)

    def mass(self, classes: int) -> Floats:
        """The weight of each class, (K,)."""
        made = np.zeros(classes)
        for y, *w in self.store.pieces(0, self.rows.n, [0, 1] if self.weighted else [0]):
            if w:
                np.add.at(made, self._targets(y), w[0])  # one after the other, as bincount adds
            else:
                made += np.bincount(self._targets(y), minlength=classes)
        return made

    def ends(self) -> tuple[float, float]:
        """The least and the greatest target."""
        if self.labels is not None:
            return float(self.labels.min()), float(self.labels.max())
        assert isinstance(self.seen, Numbers)
        return self.seen.low, self.seen.high

    def targets(self) -> tuple[NDArray[Any], Floats | None]:
        """The distinct targets, with the weight of each."""
        found: dict[Any, float] = {}
        for y, *w in self.store.pieces(0, self.rows.n, [0, 1] if self.weighted else [0]):
            values, place = np.unique(self._targets(y), return_inverse=True)
            for value, weight in zip(values.tolist(), np.bincount(place, w[0] if w else None).tolist(), strict=True):
                found[value] = found.get(value, 0.0) + weight
        return np.array(sorted(found)), np.array([found[value] for value in sorted(found)])

    def blocks(self, start: int, stop: int, height: int) -> Iterator[Block]:
        """The blocks of a slab: of the same rows as in memory, however rows were cut into pieces."""
        height, kind = min(height, stop - start), np.uint8 if self.narrow else np.int32
        x, codes = np.empty((height, self.rows.q)), np.empty((height, len(self.rows.levels)), kind)
        y = np.empty(height, np.float64 if self.labels is None else self.labels.dtype)
        w, offset = (np.empty(height) if there else None for there in (self.weighted, self.shifted))
        filled, at = 0, start
        for piece in self.store.pieces(start, stop):
            a, n = 0, len(piece[0])
            while a < n:
                b = min(n, a + height - filled)
                self._fill([array[a:b] for array in piece], x, codes, y, w, offset, filled)
                filled, at, a = filled + b - a, at + b - a, b
                if filled == height or at == stop:
                    some = (None if line is None else line[:filled] for line in (w, offset))
                    yield Block(at - filled, at, x[:filled], codes[:filled], y[:filled], *some)  # pyright: ignore[reportArgumentType]
                    filled = 0

    def _fill(
        self, piece: Arrays, x: Floats, codes: NDArray[Any], y: NDArray[Any], w: Floats | None, offset: Floats | None, at: int
    ) -> None:
        """Writes some stored rows into the arrays of a block, from row `at` on."""
        there = slice(at, at + len(piece[0]))
        if self.labels is None:
            y[there] = piece[0]
        else:
            self.labels.take(piece[0], out=y[there], mode="clip")
        if w is not None:
            w[there] = piece[1]
        if offset is not None:
            offset[there] = piece[self.ahead - 1]
        self._fill_numbers(piece[self.ahead : -1], x[there])
        if self.order is None:
            codes[there] = piece[-1]
        else:
            for c, stored in enumerate(self.order):
                codes[there, c] = piece[-1][:, stored]

    def _fill_numbers(self, stored: Arrays, x: Floats) -> None:
        j, shift, unit = 0, self.rows.shift, self.unit
        for column, how in zip(stored, self.numbers, strict=True):
            gone = None
            if column.dtype.kind == "f" and how.fill is not None and (gone := ~np.isfinite(column)).any():
                column = np.where(gone, how.fill, column.astype(np.float64))
            if unit is not None:
                column = column / unit[j]
            if shift is not None and shift[j]:
                np.subtract(column, shift[j], out=x[:, j])
            else:
                x[:, j] = column
            j += 1
            if how.indicator:
                x[:, j] = 0.0 if gone is None else gone
                if unit is not None:
                    x[:, j] /= unit[j]
                if shift is not None and shift[j]:
                    x[:, j] -= shift[j]
                j += 1

    def sum(self, term: Term[T]) -> T:
        """One pass over all rows, on threads."""
        matrix, n, done = term.matrix, self.rows.n, self.watch or (lambda rows: None)

        def slab(start: int, stop: int) -> T:
            made = term.slab(self.blocks(start, stop, matrix.height), stop - start)
            done(stop - start)
            return made

        return term.join(over_slabs(n, matrix.slab(term.bytes), slab))

    def strided(self, step: int, first: int = 0) -> Memory:
        """Every step-th row, in memory: a reading of all. `first`: the number of the first row among those that are counted."""
        some = Every(self.store, step, first)
        found = [[array.copy() for array in piece] for piece in some.pieces(0, some.n)]
        columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        n = len(columns[0])
        x = np.empty((n, self.rows.q))
        replace(self, rows=replace(self.rows, shift=None))._fill_numbers(columns[self.ahead : -1], x)
        codes = columns[-1] if self.order is None else columns[-1][:, self.order]
        numbers = tuple(np.ascontiguousarray(x[:, j]) for j in range(self.rows.q))
        rows = replace(self.rows, n=n, numbers=numbers, codes=np.ascontiguousarray(codes, np.int32))
        return Memory(
            rows,
            self._targets(columns[0]),
            np.ascontiguousarray(columns[1], np.float64) if self.weighted else None,
            np.ascontiguousarray(columns[self.ahead - 1], np.float64) if self.shifted else None,
        )

    def every(self, step: int) -> Compact:
        """Every step-th row, read anew in each pass."""
        store = Every(self.store, step)
        return replace(self, rows=replace(self.rows, n=store.n), store=store)

    def far_means(self) -> Floats:
        """(q,): the approximate mean of each numeric column that is far from 0 for its spread."""
        few = self.strided(max(1, self.rows.n // LOOK)).rows
        return far_means(replace(few, shift=None), self._varying)

    def _varying(self, j: int) -> tuple[float, float] | None:
        stored, indicator = [(k, part) for k, how in enumerate(self.numbers) for part in range(1 + how.indicator)][j]
        low, high = (0.0, 1.0) if indicator else self.ends_[stored]
        if low == high and not self.numbers[stored].indicator:
            return None
        total, squares = self.moments(np.full(self.rows.q, low))[:, j]
        mean = total / self.rows.n
        return low + mean, float(np.sqrt(max(squares / self.rows.n - mean**2, 0.0)))

    def moments(self, base: Floats) -> Floats:
        """(2, q): for each numeric column the sum of x_j - base_j, and that of its squares, in one reading."""
        made = np.zeros((2, self.rows.q))
        for block in replace(self, rows=replace(self.rows, shift=None)).blocks(0, self.rows.n, PAIRWISE):
            apart = block.x - base
            made += apart.sum(axis=0), np.square(apart).sum(axis=0)
        return made

    def between(self, first: int, last: int) -> Compact:
        """The rows from one to another."""
        return replace(self, rows=replace(self.rows, n=last - first), store=Between(self.store, first, last))

    def in_deviations(self) -> tuple[Compact, Floats]:
        """The rows with their numbers in units of their standard deviations, and this unit for each coefficient."""
        ends = zip(self.ends_, self.numbers, strict=True)
        base = np.array([low for (first, _), how in ends for low in ((first, 0.0) if how.indicator else (first,))])
        total, squares = self.moments(base) / self.rows.n
        with np.errstate(invalid="ignore"):
            deviation = np.sqrt(np.maximum(squares - total**2, 0.0))
        deviation = np.where((deviation > 0) & (deviation < np.inf), deviation, 1.0)
        wide = np.ones(self.rows.width)
        wide[1 : 1 + self.rows.q] = deviation
        return replace(self, unit=deviation), wide[self.rows.slots]

    def with_rows(self, rows: TableRows) -> Compact:
        """The same rows with other slots, or another shift."""
        return replace(self, rows=rows)

    def largest_last(self) -> Compact:
        """The same rows, with the slots of the category with most levels at the end."""
        rows = self.rows.largest_last()
        if rows is self.rows:
            return self
        before = self.order or tuple(range(len(self.rows.levels)))
        big = int(np.argmax(self.rows.levels))
        return replace(self, rows=rows, order=(*(c for k, c in enumerate(before) if k != big), before[big]))


@dataclass(frozen=True, eq=False)
class Learned:
    """What the reading of all rows showed: the design of a model, the classes of a label, and the rows as a source."""

    design: Design
    classes: tuple[Any, ...]  # of a label, in order; empty for a number
    source: Compact

    def of_target(self, kind: Any) -> Compact:
        """The source with labels as float64 0 and 1, or int64 0..K-1."""
        return self.source if self.source.labels is None else replace(self.source, labels=self.source.labels.astype(kind))


def learned(seen: Seen, store: Store, mean: Mean | None = None) -> Learned:
    """The design of a model of all rows that were read, as `plan.learn_rows` has it; ValueError where there is nothing to learn from.

    `mean` replaces `mean_of` where a store cannot be read.
    """
    if seen.read == 0:
        raise ShapeError("there is no row to fit to")
    if seen.rows == 0:
        raise ShapeError("every sample_weight is zero: there is no row to fit to")
    if not seen.columns:
        raise ShapeError("there is no column to learn from")
    assert seen.target is not None
    indicate, weighted = seen.spec.missing == "indicate", seen.spec.weight is not None
    stored, design = [found for found in seen.about().values() if isinstance(found, Numbers)], []
    for name, found in seen.about().items():
        if isinstance(found, Levels):
            design.append(Category(name, found.ordered(), required=not indicate))
        elif not indicate:
            design.append(Number(name))
        else:
            k = next(k for k, other in enumerate(stored) if other is found)
            fill = (mean or mean_of)(name, store, found, k + seen.spec.ahead, weighted)
            design.append(Number(name, fill, indicator=found.gaps > 0))
    made = Design(tuple(design))
    numbers = tuple(Entering(c.fill, c.indicator) for c in made.columns if isinstance(c, Number))
    labels, classes = None, ()
    if isinstance(seen.target, Levels):
        classes = seen.target.ordered()
        labels = np.empty(len(classes), np.int64)
        labels[[seen.target.codes[c] for c in classes]] = np.arange(len(classes))
    ends = tuple((found.low, found.high) for found in stored)
    shifted = seen.spec.offset is not None
    return Learned(
        made, classes, Compact(_shape(store.n, made, seen), store, numbers, ends, seen.target, labels, weighted, shifted=shifted)
    )


def _shape(n: int, design: Design, seen: Seen) -> TableRows:
    """The rows without their values. A level's slot follows from the number under which it was met."""
    q = sum(len(column.names) for column in design.columns if isinstance(column, Number))
    widths: list[int] = []
    slots: list[int] = []
    number = 1
    for column in design.columns:
        if isinstance(column, Number):
            slots += range(number, number + len(column.names))
            number += len(column.names)
            continue
        found = seen.columns[column.name]
        assert isinstance(found, Levels)
        first = 1 + q + sum(widths)
        slots += [first + found.codes[level] for level in column.levels[1:]]
        widths.append(max(1, len(column.levels)))
    return TableRows(n, (np.empty(0),) * q, np.empty((0, len(widths)), np.int32), tuple(widths), np.array(slots, np.intp))


def mean_of(name: str, store: Store, found: Numbers, column: int, weighted: bool) -> float:
    """The weighted mean of the known numbers, as plan has it, in one reading of the column."""
    if not found.known:
        raise ColumnError(f'column "{name}": no value is known')
    top = max(found.high, -found.low)
    unit = top if top > 1e250 else 1.0

    def known(wanted: Callable[[NDArray[Any], NDArray[Any] | None], NDArray[Any]]) -> Iterator[NDArray[Any]]:
        for piece in store.pieces(0, store.n, [1, column] if weighted else [column]):
            there = np.isfinite(piece[-1])
            values = piece[-1][there].astype(np.float64)
            yield wanted(values if unit == 1 else values / unit, piece[0][there] if weighted else None)

    if not weighted:
        return pairwise(found.known, known(lambda x, w: x)) / found.known * unit
    heaviest = max(float(piece[0][np.isfinite(piece[-1])].max(initial=0.0)) for piece in store.pieces(0, store.n, [1, column]))
    above = pairwise(found.known, known(lambda x, w: x * (w / heaviest)))  # pyright: ignore[reportOptionalOperand]
    return above / pairwise(found.known, known(lambda x, w: w / heaviest)) * unit  # pyright: ignore[reportOptionalOperand]


def pairwise(n: int, parts: Iterable[NDArray[Any]]) -> float:
    """The sum of n numbers that come in parts, to the bit that of NumPy for one array of them: it halves arrays in the same places."""
    left, held = iter(parts), np.empty(0)

    def taken(count: int) -> float:
        nonlocal held
        while len(held) < count:
            held = np.concatenate([held, next(left)])
        now, held = held[:count], held[count:]
        return float(np.ascontiguousarray(now, np.float64).sum())

    def total(count: int) -> float:
        if count <= PAIRWISE:
            return taken(count)
        half = count // 2 - count // 2 % 8
        return total(half) + total(count - half)

    return total(n)
