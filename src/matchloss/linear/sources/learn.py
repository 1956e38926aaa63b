"""The one reading of rows that lie elsewhere: batches become compact columns, and what a model learns of them is counted by the way.

A category's levels are numbered in the order in which they are met, so that one reading is enough; slots put them in order afterwards.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError
from matchloss.linear.columns import Coded, ColumnError, kind_of
from matchloss.linear.plan import Missing
from matchloss.linear.sources.batches import as_batches, names_of, read
from matchloss.linear.sources.levels import Levels, in_row, in_rows, without_value
from matchloss.linear.sources.narrow import ends, narrow

_lock = threading.Lock()  # held while levels are numbered: threads read several files into one Seen


@dataclass(frozen=True)
class Spec:
    """What is asked of a table: its target, a number or a label, and its features, all other columns unless `drop` names them."""

    target: str
    labels: bool = False
    weight: str | None = None
    categorical: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    missing: Missing = "error"
    bounds: tuple[float, float, str] | None = None  # the least and the greatest target, if it is a number, and these in words
    offset: str | None = None

    @property
    def ahead(self) -> int:
        """How many arrays of a piece stand ahead of its numbers: the target, the weight and the offset."""
        return 1 + (self.weight is not None) + (self.offset is not None)

    @property
    def asked(self) -> list[str]:
        """The columns besides the features."""
        return [name for name in (self.target, self.weight, self.offset) if name is not None]

    def features(self, names: Collection[str]) -> list[str]:
        """The features among these columns, in their order."""
        aside = {self.target, self.weight, self.offset, *self.drop}
        return [name for name in names if name not in aside]


@dataclass(frozen=True)
class Place:
    """Where a batch stands, for messages: the name of its file, or "the table", and its first row there.

    `rows`: which rows from there on it has, all by default. `part`: rows of part 1 are kept behind all others.
    """

    name: str
    start: int = 0
    rows: NDArray[np.intp] | None = None
    part: int = 0

    def row(self, i: int) -> str:
        """The i-th row of the batch."""
        return f"row {self.start + (i if self.rows is None else int(self.rows[i])):,} of {self.name}"

    def after(self, rows: int) -> Place:
        """Where the batch stands when so many of its rows have been taken."""
        return replace(self, start=self.start + rows) if self.rows is None else replace(self, rows=self.rows[rows:])


@dataclass
class Numbers:
    """What a column of numbers showed: how many are known and how many not, and the ends of those that are."""

    known: int = 0
    gaps: int = 0
    low: float = math.inf
    high: float = -math.inf

    @classmethod
    def of(cls, values: NDArray[Any]) -> Numbers:
        """What these values show."""
        known, low, high = ends(values)
        return cls(known, len(values) - known, low, high)

    def join(self, other: Numbers) -> None:
        """Adds what other rows showed."""
        self.known, self.gaps = self.known + other.known, self.gaps + other.gaps
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)


@dataclass
class Seen:
    """What batches showed; several threads may add to it. `columns` holds the features."""

    spec: Spec
    rows: int = 0  # of positive weight
    read: int = 0
    columns: dict[str, Numbers | Levels] = field(default_factory=dict)
    target: Numbers | Levels | None = None
    kinds: dict[str, tuple[str, str]] = field(default_factory=dict)  # of each column's values, and where it was first seen

    def take(self, frame: Any, place: Place) -> Iterator[list[NDArray[Any]]]:
        """The rows of a frame of any library in compact form, in pieces; see `Order` for the arrays of a piece.

        Rows of weight 0 are left out. ColumnError for columns that are missing, of another type than in earlier batches, or of one that
        cannot enter; ValueError for a value that is missing or infinite where all must be known.
        """
        for batch in as_batches(frame):  # none of them empty
            yield self._take(batch, place)
            place = place.after(len(batch))

    def _take(self, batch: Any, place: Place) -> list[NDArray[Any]]:
        spec, names = self.spec, names_of(batch)
        self._check_columns(names, place)
        n = len(batch)
        kept: NDArray[np.intp] | None = None
        weight = None
        if spec.weight is not None:
            weight = self._amounts("sample_weight", spec.weight, batch, place)
            kept = np.flatnonzero(weight > 0) if not (weight > 0).all() else None
        arrays = [self._target(read(batch, spec.target, spec.labels), place, kept)]
        if weight is not None:
            arrays.append(weight if kept is None else weight[kept])
        if spec.offset is not None:
            offset = self._amounts("offset", spec.offset, batch, place)
            arrays.append(offset if kept is None else offset[kept])
        numbers: list[NDArray[Any]] = []
        codes: list[tuple[Coded, NDArray[Any]]] = []
        for name, (kind, _) in self.kinds.items():  # in the order of the first table
            found = read(batch, name, name in spec.categorical)
            if kind == "numbers" and isinstance(found, Coded) and not kind_of(found.values):
                found = np.full(n, np.nan)  # a batch in which no value is known has no type
            elif kind not in ("", "numbers") and not isinstance(found, Coded) and np.isnan(found).all():
                found = Coded(np.zeros(n, np.uint8), (None,), False, "null")
            if isinstance(found, Coded):
                codes.append(self._category(name, found, place, kept))
            else:
                numbers.append(self._number(name, found, place, kept))
        with _lock:
            self.read, self.rows = self.read + n, self.rows + len(arrays[0])
        return [*arrays, *numbers, in_rows(codes, len(arrays[0]))]

    def _check_columns(self, names: list[str], place: Place) -> None:
        """ColumnError where a batch lacks a column, has one more, or two of one name."""
        features = self.spec.features(names)
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise ColumnError(f'{place.name} has two columns "{twice}": give each a name of its own')
        self.expect(features, place.name)
        if self.kinds.keys() == set(features) and set(self.spec.asked) <= set(names):
            return
        first = next(iter(self.kinds.values()), ("", place.name))[1]
        for name in (*self.spec.asked, *self.kinds):
            if name not in names:
                raise ColumnError(f'{place.name} has no column "{name}"' + (f"; {first} has one" if name in self.kinds else ""))
        more = next(name for name in features if name not in self.kinds)
        raise ColumnError(f'{place.name} has a column "{more}", which {first} has not; drop=["{more}"] leaves it out')

    def expect(self, features: Collection[str], place: str) -> None:
        """The features of all batches, in this order, if none are known yet."""
        with _lock:
            if not self.kinds:
                self.kinds = dict.fromkeys(features, ("", place))

    def _same_kind(self, name: str, kind: str, place: Place) -> None:
        """ColumnError where a column holds text in one file and numbers in another."""
        with _lock:
            known, first = self.kinds[name]
            if not known:
                self.kinds[name] = (kind, place.name)
        if known and kind and kind != known:
            raise ColumnError(f'column "{name}" holds {kind} in {place.name} and {known} in {first}')

    def _number(self, name: str, found: NDArray[Any], place: Place, kept: NDArray[np.intp] | None) -> NDArray[Any]:
        self._same_kind(name, "numbers", place)
        found = narrow(found)
        shown = Numbers.of(found)
        if self.spec.missing == "error" and shown.gaps:
            raise unknown(name, int(np.argmin(np.isfinite(found))), found, place)
        if kept is not None:
            found = found[kept]
            shown = Numbers.of(found)
        seen = self._about(name, Numbers)
        with _lock:
            seen.join(shown)
        return found

    def _category(self, name: str, found: Coded, place: Place, kept: NDArray[np.intp] | None) -> tuple[Coded, NDArray[Any]]:
        """The rows' levels, and the number of each."""
        kind = kind_of(found.values)
        self._same_kind(name, "levels that are numbers" if kind == "numbers" else kind, place)
        if self.spec.missing == "error" and (gone := without_value(found.values)) is not None:
            wrong = gone[found.places]
            if wrong.any():
                raise unknown(name, int(wrong.argmax()), None, place)
        if kept is not None:
            found = replace(found, places=found.places[kept])
        return found, self._about(name, Levels).numbers(found)

    def _about(self, name: str, kind: Any) -> Any:
        with _lock:
            return self.columns.setdefault(name, kind())

    def _amounts(self, what: str, column: str, batch: Any, place: Place) -> NDArray[np.float64]:
        """The weights, or the offsets, of the rows of a batch."""
        name, found = f'{what}, column "{column}"', read(batch, column, False)
        if isinstance(found, Coded):
            raise ColumnError(f"{name}, has the type {found.type} in {place.name}; {what.removeprefix('sample_')}s are numbers")
        values = np.ascontiguousarray(found, np.float64)
        bad = ~np.isfinite(values) if what == "offset" else ~((values >= 0) & (values < np.inf))
        if bad.any():
            i = int(bad.argmax())
            allowed = "an offset is finite" if what == "offset" else "a weight is finite and at least 0"
            raise ColumnError(f"{name}, is {values[i]} in {place.row(i)}; {allowed}")
        return values

    def _target(self, found: NDArray[Any] | Coded, place: Place, kept: NDArray[np.intp] | None) -> NDArray[Any]:
        name = self.spec.target
        if isinstance(found, Coded):
            if not self.spec.labels:
                raise ColumnError(f'the target "{name}" has the type {found.type}: LinearClassifier takes labels')
            if (gone := without_value(found.values)) is not None and (at := gone[found.places]).any():
                raise ColumnError(f'the target "{name}" has no value in {place.row(int(at.argmax()))}; every row needs one')
            with _lock:
                seen = self.target = self.target or Levels()
            assert isinstance(seen, Levels)
            kinds = sorted({kind_of(seen.codes), kind_of(found.values)} - {""})
            if len(kinds) > 1:
                raise ColumnError(f'the target "{name}" holds {" and ".join(kinds)}, in {place.name} for one: labels are of one type')
            if kept is not None:
                found = replace(found, places=found.places[kept])
            return in_row(found, seen.numbers(found))
        values = narrow(found)
        shown = Numbers.of(values)
        if shown.gaps:
            i = int(np.argmin(np.isfinite(found)))
            raise ColumnError(f'the target "{name}" is {found[i]} in {place.row(i)}; it must be known and finite')
        if kept is not None:
            values = values[kept]
            shown = Numbers.of(values)
        low, high, allowed = self.spec.bounds or (-math.inf, math.inf, "")
        if shown.low < low or shown.high > high:
            i = int(((values < low) | (values > high)).argmax())
            raise DomainError(f'the target "{name}" is {values[i]} in {place.row(i if kept is None else int(kept[i]))}; allowed: {allowed}')
        with _lock:
            seen = self.target = self.target or Numbers()
            assert isinstance(seen, Numbers)
            seen.join(shown)
        return values

    def about(self) -> dict[str, Numbers | Levels]:
        """What each feature showed, in the table's order."""
        return {name: self.columns[name] for name in self.kinds if name in self.columns}

    def packed(self) -> dict[str, Any]:
        """The same as values for JSON; `unpacked` reads it."""
        columns = {name: _packed(found) for name, found in self.columns.items()}
        return {"rows": self.rows, "read": self.read, "kinds": self.kinds, "columns": columns, "target": _packed(self.target)}

    @classmethod
    def unpacked(cls, packed: dict[str, Any], spec: Spec) -> Seen:
        """What `packed` gave."""
        columns = {name: _unpacked(found) for name, found in packed["columns"].items()}
        kinds = {name: (kind, place) for name, (kind, place) in packed["kinds"].items()}
        return cls(spec, packed["rows"], packed["read"], columns, _unpacked(packed["target"]), kinds)

    def join(self, other: Seen) -> None:
        """Adds what other rows, which stand after these, showed; ColumnError where they do not go together."""
        self.rows, self.read = self.rows + other.rows, self.read + other.read
        if not self.kinds:
            self.kinds = dict(other.kinds)
        for name, (kind, place) in other.kinds.items():
            if name not in self.kinds:
                raise ColumnError(f'{place} has a column "{name}", which other parts have not')
            self._same_kind(name, kind, Place(place))
        for name, found in other.columns.items():
            self.columns.setdefault(name, type(found)()).join(found)  # pyright: ignore[reportArgumentType]
        if other.target is not None:
            self.target = self.target or type(other.target)()
            self.target.join(other.target)  # pyright: ignore[reportArgumentType]


def _packed(found: Numbers | Levels | None) -> Any:
    if isinstance(found, Levels):
        return {"levels": list(found.codes), "declared": None if found.declared is None else list(found.declared)}
    return None if found is None else [found.known, found.gaps, found.low, found.high]


def _unpacked(packed: Any) -> Any:
    if isinstance(packed, dict):
        declared = None if packed["declared"] is None else tuple(packed["declared"])
        return Levels({level: k for k, level in enumerate(packed["levels"])}, declared, 1)
    return Numbers(*packed)


def unknown(name: str, i: int, values: NDArray[Any] | None, place: Place) -> ColumnError:
    """The error for a missing or infinite value."""
    value = math.nan if values is None else float(values[i])
    what = "NaN, a missing value" if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return ColumnError(f'column "{name}", {place.row(i)}: {what}; every value must be known and finite, or missing="indicate"')
