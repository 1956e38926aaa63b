"""Levels of categories, numbered in the order in which they are met, and the loops that write a batch's numbers into its rows."""
# pyright: reportArgumentType=false

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.pointwise import COMPILE_FROM
from matchloss.engine.signatures import Reads, Writes, inlined
from matchloss.linear.columns import Coded, Level

FEW = 1 << 8  # values of a batch: so many are kept with their numbers, for batches of a row group have the same ones

_lock = threading.Lock()  # held while levels are numbered: threads read several files into one Levels


@dataclass(frozen=True, eq=False)
class Numbered:
    """The number of each value, and 1 for those that have none yet; None if there are none such."""

    numbers: NDArray[Any]
    new: NDArray[np.uint8] | None


@dataclass
class Levels:
    """The levels of a column, each with the number under which it was met, and the declared order, if all batches had the same one."""

    codes: dict[Level, int] = field(default_factory=dict)
    declared: tuple[Level, ...] | None = None
    batches: int = 0
    met: dict[tuple[Level, ...], Numbered] = field(default_factory=dict, compare=False)  # values that come again

    def numbers(self, found: Coded) -> NDArray[Any]:
        """The number of each value of a batch, in the narrowest integers that hold these; 0 for new values that no row has."""
        with _lock:
            self._declare(found.values if found.declared else None)
            made = self.met.get(found.values) if len(found.values) <= FEW else None
        if made is None or (made.new is not None and meets(found, made.new)):
            made = self._numbered(found)
            if len(found.values) <= FEW and (len(self.met) < FEW or found.values in self.met):
                self.met[found.values] = made
        return made.numbers

    def _numbered(self, found: Coded) -> Numbered:
        """The number of each value; those that some row has get one if they have none yet."""
        values = [finite(value) for value in found.values]
        there = occurring(found)
        with _lock:
            known = [
                self.codes.setdefault(value, len(self.codes)) if here else self.codes.get(value, -1)
                for value, here in zip(values, there.tolist(), strict=True)
            ]
        numbers = np.array(known, np.int64)
        new = numbers < 0
        numbers[new] = 0
        return Numbered(numbers.astype(np.min_scalar_type(max(known, default=0))), new.astype(np.uint8) if new.any() else None)

    def _declare(self, order: tuple[Level, ...] | None) -> None:
        self.declared = order if self.batches == 0 or order == self.declared else None
        self.batches += 1

    def join(self, other: Levels) -> None:
        """Adds the levels that other rows showed; the numbers of these rows stay as they are."""
        for value in other.codes:
            self.codes.setdefault(value, len(self.codes))
        if other.batches:
            self._declare(other.declared)

    def ordered(self) -> tuple[Level, ...]:
        """The levels in a model's order: as declared, or sorted, the missing one last."""
        known: list[Any] = [value for value in self.codes if value is not None]
        if self.declared is None:
            known.sort()
        else:
            place = {value: k for k, value in enumerate(self.declared)}
            known.sort(key=lambda value: place[value])
        return (*known, None) if None in self.codes else tuple(known)


def finite(value: Level) -> Level:
    """An infinite level is taken as missing."""
    return None if isinstance(value, float) and math.isinf(value) else value


def without_value(values: tuple[Level, ...]) -> NDArray[np.bool_] | None:
    """Which values of a batch are missing; None if there is none."""
    return _without_value(values) if len(values) <= FEW else _without_value.__wrapped__(values)


@lru_cache(FEW)
def _without_value(values: tuple[Level, ...]) -> NDArray[np.bool_] | None:
    gone = np.array([finite(value) is None for value in values], bool)
    return gone if gone.any() else None


def in_rows(columns: Sequence[tuple[Coded, NDArray[Any]]], n: int) -> NDArray[Any]:
    """(n, C): the numbers of columns' levels, row by row; each column comes with the number of each of its values."""
    made = np.empty((n, len(columns)), np.result_type(np.uint8, *(numbers for _, numbers in columns)))
    for c, (found, numbers) in enumerate(columns):
        _write(found.places, numbers.astype(made.dtype), made[:, c])
    return made


def in_row(found: Coded, numbers: NDArray[Any]) -> NDArray[Any]:
    """(n,): the numbers of one column's levels."""
    made = np.empty(len(found.places), numbers.dtype)
    _write(found.places, numbers, made)
    return made


def occurring(found: Coded) -> NDArray[np.uint8]:
    """1 for each value that some row has, otherwise 0."""
    made = np.zeros(len(found.values), np.uint8)
    if len(found.places) < COMPILE_FROM:
        made[found.places] = 1
    else:
        _loops(found.places.itemsize, 1)[1](_unsigned(found.places), made)
    return made


def meets(found: Coded, flags: NDArray[np.uint8]) -> bool:
    """Whether some row has a value with a flag: a tenth of what `occurring` takes."""
    if len(found.places) < COMPILE_FROM:
        return bool(flags[found.places].any())
    return bool(_loops(found.places.itemsize, 1)[2](_unsigned(found.places), flags))


def _write(places: NDArray[Any], numbers: NDArray[Any], out: NDArray[Any]) -> None:
    if len(places) < COMPILE_FROM:
        out[...] = numbers[places]
    else:
        _loops(places.itemsize, out.itemsize)[0](_unsigned(places), numbers, out)


def _unsigned(places: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(places).view(f"u{places.itemsize}")


@inlined
def _look_up(places, numbers, out):  # NumPy's take costs five times as much: it turns places into int64 and checks each
    for i in range(out.shape[0]):
        out[i] = numbers[places[i]]


@inlined
def _mark(places, out):
    for i in range(places.shape[0]):
        out[places[i]] = 1


@inlined
def _meet(places, flags):
    met = 0
    for i in range(places.shape[0]):
        met |= flags[places[i]]
    return met


@cache
def _loops(places: int, numbers: int) -> tuple[Callable[..., object], ...]:
    """The loops for places and numbers of so many bytes."""
    with threads.FIRST_CALLS:
        from matchloss.engine.cache import key
        from matchloss.engine.compiled import compiled

        read, kind = Reads(f"uint{8 * places}"), f"uint{8 * numbers}"
        signatures = {
            _look_up: (read, Reads(kind), Writes(kind, together=False)),
            _mark: (read, Writes("uint8")),
            _meet: (read, Reads("uint8")),
        }
        return tuple(compiled(loop, f"levels{loop.__name__}", signature, key(loop)) for loop, signature in signatures.items())
