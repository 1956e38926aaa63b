"""Several fits of the same rows at once: where their passes coincide, each block is read once and serves them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Around, Block, Layout, Source, Term

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class Together:
    """Several terms of the same rows as one, whose sum is the list of theirs."""

    terms: tuple[Term[Any], ...]

    @property
    def matrix(self) -> Layout:
        """How the rows are cut: as the term with the lowest blocks wants it."""
        return min((term.matrix for term in self.terms), key=lambda matrix: matrix.height)

    @property
    def bytes(self) -> int:
        """The size of a slab's parts."""
        return sum(term.bytes for term in self.terms)

    def slab(self, blocks: Iterator[Block], rows: int) -> list[Any]:
        """What these rows add to each. A block is valid only until the next one, so each term gets it as a slab of its own."""
        made: list[list[Any]] = [[] for _ in self.terms]
        for block in blocks:
            for term, parts in zip(self.terms, made, strict=True):
                parts.append(term.slab(iter((block,)), block.rows))
                if len(parts) > 1:
                    parts[:] = [term.join(parts)]
        return [parts[0] if parts else term.join(parts) for term, parts in zip(self.terms, made, strict=True)]

    def join(self, parts: Sequence[list[Any]]) -> list[Any]:
        """The sums of each."""
        return [term.join([part[k] for part in parts]) for k, term in enumerate(self.terms)]


@dataclass(eq=False)
class Meeting:
    """Where fits on threads of their own wait for each other's passes."""

    source: Source
    fits: int  # that have not ended
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: list[tuple[Term[Any], list[Any]]] = field(default_factory=list)  # a term, and the place of its sum or its error
    passes: int = 0  # readings of all rows
    answers: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def ask(self, question: str, *given: Any) -> Any:
        """What a method of the source answers, which is asked once for all fits."""
        with self.changed:
            if (question, *given) not in self.answers:
                self.answers[question, *given] = getattr(self.source, question)(*given)
            return self.answers[question, *given]

    def sum(self, term: Term[T]) -> T:
        """The term's sum, by the pass that starts when every fit that has not ended asks for one."""
        place: list[Any] = []
        with self.changed:
            self.waiting.append((term, place))
            self._run_if_all_wait()
            while not place:
                self.changed.wait()
        if isinstance(place[0], BaseException):
            raise place[0]
        return place[0]

    def end(self) -> None:
        """A fit has ended; the others need not wait for it."""
        with self.changed:
            self.fits -= 1
            self._run_if_all_wait()

    def _run_if_all_wait(self) -> None:
        if not self.waiting or len(self.waiting) < self.fits:
            return
        asked, self.waiting = self.waiting, []
        self.passes += 1
        try:
            found: Sequence[Any] = self.source.sum(Together(tuple(term for term, _ in asked)))
        except BaseException as error:  # each fit raises it
            found = [error] * len(asked)
        for (_, place), one in zip(asked, found, strict=True):
            place.append(one)
        self.changed.notify_all()


@dataclass(frozen=True, eq=False)
class Shared(Around):
    """Rows that several fits share: `meeting` sums, and everything else is asked of the source itself."""

    meeting: Meeting

    def total(self) -> float:
        """The sum of the weights, or the number of rows."""
        return self._ask("total")

    def mass(self, classes: int) -> Floats:
        """The weight of each class, (K,)."""
        return self._ask("mass", classes)

    def ends(self) -> tuple[float, float]:
        """The least and the greatest target."""
        return self._ask("ends")

    def mean(self) -> float:
        """The weighted mean of the targets."""
        return self._ask("mean")

    def targets(self) -> tuple[NDArray[Any], Floats | None]:
        """Distinct targets with the weight of each."""
        return self._ask("targets")

    def sum(self, term: Term[T]) -> T:
        """One pass, with those of the other fits where the rows are read in the same way."""
        same = self.meeting.source.rows
        if self.rows.levels == same.levels and np.array_equal(_shift(self.rows), _shift(same)):
            return self.meeting.sum(term)
        with self.meeting.changed:
            return self.source.sum(term)

    def strided(self, step: int) -> Memory:
        """Every step-th row, in memory."""
        return self._ask("strided", step)

    def every(self, step: int) -> Source:
        """Every step-th row, wherever it is."""
        return Shared(self.source, self.meeting) if step == 1 else self.source.every(step)

    def far_means(self) -> Floats:
        """(q,): the approximate mean of each numeric column that is far from 0 for its spread."""
        return self._ask("far_means")

    def with_rows(self, rows: TableRows) -> Shared:
        """The same rows with other slots, or another shift."""
        return replace(self, source=self.source.with_rows(rows))

    def largest_last(self) -> Shared:
        """The same rows, with the slots of the category with most levels at the end."""
        return replace(self, source=self.source.largest_last())

    def _ask(self, question: str, *given: Any) -> Any:
        return self.meeting.ask(question, *given) if self.source is self.meeting.source else getattr(self.source, question)(*given)


def _shift(rows: TableRows) -> Floats:
    return np.zeros(rows.q) if rows.shift is None else rows.shift


def at_once(source: Source, fits: Sequence[Callable[[Source], S]]) -> list[S]:
    """The results of several fits of one source, which run at once; the first error is raised when all have ended."""
    if (shift := source.far_means()).any():
        source = source.with_rows(replace(source.rows, shift=shift))
    meeting = Meeting(source, len(fits), answers={("far_means",): shift})

    def run(fit: Callable[[Source], S]) -> S:
        try:
            return fit(Shared(source, meeting))
        finally:
            meeting.end()

    with ThreadPoolExecutor(max(len(fits), 1)) as pool:
        return [done.result() for done in [pool.submit(run, fit) for fit in fits]]
