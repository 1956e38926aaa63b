"""What workers do: partitions become compact rows, which a worker keeps, and a pass over them gives a small sum.

These are functions of a module, so that a task names them and carries no code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import IO, Any, TypeAlias, TypeVar

import numpy as np

from matchloss.engine import threads
from matchloss.linear.solve import blas_on_one_thread
from matchloss.linear.sources.compact import Compact
from matchloss.linear.sources.learn import Numbers, Place, Seen, Spec
from matchloss.linear.sources.levels import Levels
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Term
from matchloss.linear.sources.stores import Arrays, Every, Held
from matchloss.urls import Url, located

T = TypeVar("T")
# of a partition and its name, the rows that enter, in batches, and what is kept aside
Before: TypeAlias = Callable[[Any, str], tuple[Iterable[tuple[Any, Place]], Any]]
Made: TypeAlias = tuple[tuple[Held, Held], Seen, Any]  # the rows of either part


def row_groups(path: str) -> int:
    """How many row groups a Parquet file has."""
    from pyarrow import parquet

    with _file(path) as file:
        return parquet.ParquetFile(file).num_row_groups


def row_group(path: str, group: int) -> Any:
    """One of them as an Arrow table, text as Parquet's own dictionaries."""
    import pyarrow as pa
    from pyarrow import parquet

    with _file(path) as file:
        text = [field.name for field in parquet.ParquetFile(file).schema_arrow if pa.types.is_string(field.type)]
        return parquet.ParquetFile(file, read_dictionary=text).read_row_group(group, use_threads=False)


def _file(path: str) -> IO[bytes]:
    place = located(path)
    return place.open() if isinstance(place, Url) else place.open("rb")


def compact(frame: Any, spec: Spec, number: int, before: Before | None = None) -> Made:
    """The one reading of a partition: its rows in compact form, with levels numbered as this partition met them, and what it showed."""
    seen, name = Seen(spec), f"partition {number}"
    sides: tuple[list[Arrays], list[Arrays]] = [], []
    with threads.at_most(1):  # a worker has the threads that Dask gave it
        batches, aside = ([(frame, Place(name))], None) if before is None else before(frame, name)
        for batch, place in batches:
            sides[place.part].extend(seen.take(batch, place))
    return (Held(tuple(sides[0])), Held(tuple(sides[1]))), seen, aside


def shown(made: Made) -> tuple[Seen, tuple[int, int], int]:
    """What a partition showed, the rows of either part, and their bytes."""
    ahead, behind = made[0]
    return made[1], (ahead.n, behind.n), ahead.__sizeof__() + behind.__sizeof__()


def kept_aside(made: Made) -> Any:
    """What was kept aside of a partition."""
    return made[2]


def settled(made: Made, part: int, all_seen: Seen) -> Held:
    """The rows of a part with the numbers of levels that all partitions share, and their columns in the order that they share."""
    held, own = made[0][part], made[1]
    target = _lookup(own.target, all_seen.target) if isinstance(own.target, Levels) else None
    here, there = own.about(), all_seen.about()
    numbers, levels = ([name for name, found in here.items() if isinstance(found, kind)] for kind in (Numbers, Levels))
    place = [numbers.index(name) for name, found in there.items() if isinstance(found, Numbers)]
    coded = [(levels.index(name), _lookup(here[name], found)) for name, found in there.items() if isinstance(found, Levels)]
    first = own.spec.ahead

    def renumbered(piece: Arrays) -> list[np.ndarray]:
        y = piece[0] if target is None else target.take(piece[0])
        codes = np.empty(piece[-1].shape, np.result_type(np.uint8, *(lookup for _, lookup in coded)))
        for c, (stored, lookup) in enumerate(coded):
            codes[:, c] = lookup.take(piece[-1][:, stored])
        return [y, *piece[1:first], *(piece[first + k] for k in place), codes]

    return Held(tuple(renumbered(piece) for piece in held.parts))


def _lookup(own: Numbers | Levels, shared: Numbers | Levels | None) -> np.ndarray:
    """For the number that a partition gave a level, that of all partitions."""
    assert isinstance(own, Levels) and isinstance(shared, Levels)
    return np.array([shared.codes[level] for level in own.codes], np.min_scalar_type(max(len(shared.codes) - 1, 0)))


def together(*held: Held) -> Held:
    """Neighbouring parts as one."""
    return Held(tuple(piece for part in held for piece in part.parts))


def ask(held: Held | Every, whole: Compact, question: str, given: Sequence[Any] = ()) -> Any:
    """What a method of the rows' source answers for one part; `whole` is that of all rows, without their values."""
    with threads.at_most(1), blas_on_one_thread():
        return getattr(replace(whole, rows=replace(whole.rows, n=held.n), store=held), question)(*given)


def every(held: Held, first: int, step: int) -> Every:
    """The rows of a part that a strided sample of all takes, where they are; `first` is the number of its first row among all."""
    return Every(held, step, first)


def known(held: Held, column: int, weighted: bool, unit: float) -> tuple[float, float]:
    """Of the known values of a stored column, in this unit, the weighted sum, and the sum of their weights."""
    total, weight = 0.0, 0.0
    for *w, x in held.pieces(0, held.n, [1, column] if weighted else [column]):
        there = np.isfinite(x)
        each = w[0][there] if weighted else np.ones(np.count_nonzero(there))
        total, weight = total + float(each @ (x[there].astype(np.float64) / unit)), weight + float(each.sum())
    return total, weight


def strided(held: Held, first: int, whole: Compact, step: int) -> Memory:
    """The rows of a part that a strided sample of all takes; `first` is the number of its first row among all."""
    return ask(held, whole, "strided", (step, first))


def join(term: Term[T], parts: Sequence[T]) -> T:
    """The sum of some parts' sums, in their order, so that the last bits do not depend on which came first."""
    return term.join(parts)
