"""Rows on a Dask cluster as a source: a pass sends coefficients, and sums come back by a tree.

Parts are futures whose recipe the scheduler knows: "read this partition, and code it". So when a worker is lost, Dask makes its parts
again, and nothing here needs to notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from dask.delayed import delayed
from distributed import Future
from numpy.typing import NDArray

from matchloss.dask import parts, watch
from matchloss.dask.watch import Session
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sources.compact import Compact, Learned, learned
from matchloss.linear.sources.learn import Numbers, Seen, Spec
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Term
from matchloss.linear.sources.stores import Held

T = TypeVar("T")

FAN = 16  # sums that one task adds
PARTS = 4  # a thread; more only cost messages


@dataclass(frozen=True, eq=False)
class Spread:
    """A store whose rows lie with workers."""

    client: Session
    futures: tuple[Future, ...]  # of Held, none empty
    rows: tuple[int, ...]  # of each

    @property
    def n(self) -> int:
        """How many rows."""
        return sum(self.rows)

    @property
    def starts(self) -> list[int]:
        """The first row of each part among all."""
        return np.cumsum([0, *self.rows[:-1]]).tolist()

    def pieces(self, start: int, stop: int, columns: Sequence[int] | None = None) -> Any:
        """Not asked for: the rows stay where they are."""
        raise NotImplementedError("rows on a cluster are summed there")

    def map(self, function: Callable[..., Any], *lists: Sequence[Any], **given: Any) -> list[Future]:
        """The function of each part."""
        return self.client.map(function, self.futures, *lists, pure=False, **given)

    def ask(self, function: Callable[..., Any], *lists: Sequence[Any], **given: Any) -> list[Any]:
        """Its results."""
        return watch.result(self.client, self.map(function, *lists, **given))


@dataclass(frozen=True, eq=False)
class Cluster(Compact):
    """The rows of a Dask collection."""

    @property
    def spread(self) -> Spread:
        """The futures of the parts."""
        assert isinstance(self.store, Spread)
        return self.store

    @property
    def shape(self) -> Compact:
        """What a worker is told of all rows: without their values and without the futures."""
        known = {field.name: getattr(self, field.name) for field in fields(Compact)}
        return Compact(**known | {"store": Held(()), "watch": None})

    def sum(self, term: Term[T]) -> T:
        """One pass. The term is an argument of each task: a scattered copy would have no recipe."""
        client = self.spread.client
        sums = self.spread.map(parts.ask, whole=self.shape, question="sum", given=(term,))
        while len(sums) > 1:
            sums = [client.submit(parts.join, term, sums[a : a + FAN], pure=False) for a in range(0, len(sums), FAN)]
        found = watch.result(client, sums[0])
        if self.watch is not None:
            self.watch(self.rows.n)
        return found

    def total(self) -> float:
        """The sum of the weights."""
        return float(sum(self._each("total"))) if self.weighted else float(self.rows.n)

    def mean(self) -> float:
        """The weighted mean of the targets."""
        weight = self._each("total") if self.weighted else list(self.spread.rows)
        return float(np.average(self._each("mean"), weights=weight))

    def mass(self, classes: int) -> Floats:
        """The weight of each class, (K,)."""
        return np.sum(self._each("mass", classes), axis=0)

    def targets(self) -> tuple[NDArray[Any], Floats | None]:
        """The distinct targets, with the weight of each."""
        values, weights = (np.concatenate(found) for found in zip(*self._each("targets"), strict=True))
        distinct, place = np.unique(values, return_inverse=True)
        return distinct, np.bincount(place, weights).astype(np.float64)

    def strided(self, step: int, first: int = 0) -> Memory:
        """Every step-th row, in the client's memory."""
        starts = [first + start for start in self.spread.starts]
        return _joined(self.spread.ask(parts.strided, starts, whole=self.shape, step=step))

    def every(self, step: int) -> Cluster:
        """Every step-th row, where it is."""
        starts, rows = self.spread.starts, self.spread.rows
        counts = [-(-(start + n) // step) - -(-start // step) for start, n in zip(starts, rows, strict=True)]
        futures = self.spread.map(parts.every, starts, step=step)
        some = [(future, n) for future, n in zip(futures, counts, strict=True) if n]
        store = Spread(self.spread.client, tuple(future for future, _ in some), tuple(n for _, n in some))
        return replace(self, rows=replace(self.rows, n=store.n), store=store)

    def between(self, first: int, last: int) -> Cluster:
        """The rows from one to another, where they are: these must be the ends of futures."""
        spread = self.spread
        some = [k for k, start in enumerate(spread.starts) if first <= start < last]
        store = Spread(spread.client, tuple(spread.futures[k] for k in some), tuple(spread.rows[k] for k in some))
        assert store.n == last - first, "rows from within a future"
        return replace(self, rows=replace(self.rows, n=store.n), store=store)

    def moments(self, base: Floats) -> Floats:
        """(2, q): for each numeric column the sum of x_j - base_j, and that of its squares."""
        return np.sum(self._each("moments", base), axis=0)

    def _each(self, question: str, *given: Any) -> list[Any]:
        return self.spread.ask(parts.ask, whole=self.shape, question=question, given=given)


@dataclass(frozen=True, eq=False)
class Taken:
    """What the reading of frames gave."""

    learned: Learned
    seen: Seen
    ahead: int  # rows of part 0, behind which those of part 1 stand
    made: Sequence[Future]  # of parts.Made, where rows were taken apart


def read(client: Session, frames: Sequence[Any], spec: Spec, before: parts.Before | None = None) -> Taken:
    """The one reading of frames (delayed): workers keep their rows, and what these showed comes to the client.

    `before` takes each frame's rows apart first: those of part 1 stand behind all others, and what is kept aside stays in `made`.
    """
    watch.check(client)
    made = client.compute([delayed(parts.compact)(frame, spec, k, before) for k, frame in enumerate(frames)])
    told = watch.result(client, client.map(parts.shown, made, pure=False))
    watch.check_room(client, sum(size for *_, size in told))
    seen = Seen(spec)
    for one, *_ in told:
        seen.join(one)
    ahead, behind = (
        _spread(client, [(future, rows[part]) for future, (_, rows, _) in zip(made, told, strict=True)], part, seen) for part in (0, 1)
    )
    found = learned(seen, Spread(client, ahead.futures + behind.futures, ahead.rows + behind.rows), _mean)
    known = {field.name: getattr(found.source, field.name) for field in fields(Compact)}
    return Taken(replace(found, source=Cluster(**known)), seen, ahead.n, made if before is not None else [])


def _spread(client: Session, made: Sequence[tuple[Future, int]], part: int, seen: Seen) -> Spread:
    """The rows of a part, so many of each future, their levels numbered alike and neighbours joined."""
    some = [(future, rows) for future, rows in made if rows]
    held = [client.submit(parts.settled, future, part, seen, pure=False) for future, _ in some]
    groups = np.array_split(np.arange(len(some)), min(len(some), PARTS * sum(client.nthreads().values())) or 1)
    if len(groups) < len(some):
        held = [client.submit(parts.together, *[held[k] for k in group], pure=False) for group in groups]
    return Spread(client, tuple(held), tuple(sum(some[k][1] for k in group) for group in groups) if some else ())


def _mean(name: str, store: Spread, found: Numbers, column: int, weighted: bool) -> float:
    """The weighted mean of the known numbers of a stored column."""
    if not found.known:
        raise ValueError(f'column "{name}": no value is known')
    top = max(found.high, -found.low)
    unit = top if top > 1e250 else 1.0  # otherwise the sum could overflow
    total, weight = np.sum(store.ask(parts.known, column=column, weighted=weighted, unit=unit), axis=0)
    return float(total / weight) * unit


def _joined(some: Sequence[Memory]) -> Memory:
    """The rows of several parts as one."""
    first = some[0]
    numbers = tuple(np.concatenate([part.rows.numbers[j] for part in some]) for j in range(first.rows.q))
    codes = np.concatenate([part.rows.codes for part in some])
    rows: TableRows = replace(first.rows, n=len(codes), numbers=numbers, codes=codes)
    lines = ([getattr(part, name) for part in some] for name in ("weight", "offset"))
    weight, offset = (None if line[0] is None else np.concatenate(line) for line in lines)
    return Memory(rows, np.concatenate([part.target for part in some]), weight, offset)
