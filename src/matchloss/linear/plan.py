"""How the columns of a table enter a linear model: learned from training rows, applied to any rows."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import ShapeError
from matchloss.linear.columns import Coded, ColumnError, Level, Table, Thin, kind_of, open_table
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sparse import of_columns

__all__ = ["Category", "ColumnError", "Design", "Level", "Number", "learn", "learn_rows"]

Missing = Literal["error", "indicate"]
Read = NDArray[Any] | Coded | Thin


@dataclass(frozen=True)
class Number:
    """A column of numbers: one coefficient, and with `indicator` a second one for a column that is 1 where the value is missing.

    `fill` replaces missing and infinite values; without it they are errors.
    """

    name: str
    fill: float | None = None
    indicator: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """One for each coefficient."""
        return (self.name, f"{self.name} is missing") if self.indicator else (self.name,)


@dataclass(frozen=True)
class Category:
    """A column of levels: one coefficient for each level except the first, the reference. None, always last, stands for missing.

    An unknown level counts as the reference. So does a missing value if None is not a level, unless `required`, which makes it
    an error.
    """

    name: str
    levels: tuple[Level, ...]
    required: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """One for each coefficient."""
        return tuple(f"{self.name} is missing" if level is None else f"{self.name} = {level}" for level in self.levels[1:])


@dataclass(frozen=True)
class Design:
    """The columns of a model, in the order of the table they were learned from.

    >>> import polars as pl
    >>> table = pl.DataFrame({"age": [20, 40, None], "city": ["Rome", "Oslo", "Rome"]})
    >>> design = learn(table, missing="indicate")
    >>> design.names
    ('age', 'age is missing', 'city = Rome')
    >>> rows = design.rows(pl.DataFrame({"city": ["Bonn", "Rome"], "age": [1, None]}))
    >>> rows.numbers, rows.codes.tolist(), rows.unseen
    ((array([ 1., 30.]), array([0, 1], dtype=int8)), [[0], [1]], {'city': 1})
    """

    columns: tuple[Number | Category, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coefficients, in order."""
        return tuple(name for column in self.columns for name in column.names)

    def rows(self, frame: Any) -> TableRows:
        """The rows of any table that has these columns. They are found by name, in any order, and other columns are ignored.

        ColumnError if a column is missing or has another type than was learned, such as numbers instead of text.
        """
        table = open_table(frame)
        table.require(column.name for column in self.columns)
        return _assemble(table.n, ((c, _thin(table, c) or table.read(c.name, isinstance(c, Category))) for c in self.columns))[1]


def learn(frame: Any, categorical: Collection[str] = (), missing: Missing = "error", sample_weight: Any = None) -> Design:
    """The design of a table of training rows: `learn_rows` without the rows."""
    return learn_rows(frame, categorical, missing, sample_weight)[0]


def learn_rows(
    frame: Any, categorical: Collection[str] = (), missing: Missing = "error", sample_weight: Any = None
) -> tuple[Design, TableRows]:
    """The design learned from a table of training rows, all of whose columns enter, and these rows.

    Text, booleans, categories and the columns named in `categorical` become levels: those that occur in rows of positive weight.
    Declared categories (pandas' Categorical, polars' Enum, an ordered Arrow dictionary) keep their order, others are sorted.
    missing="error": a missing or infinite value raises a ValueError that names the column and row.
    missing="indicate": it becomes the (weighted) mean of the known numbers, with an indicator; in a column of levels, a level.
    Sparse columns of pandas, numbers or booleans, stay sparse, but those of which more than half is not 0.
    ColumnError (a ValueError) for dates, nested and other types, and for a column of numbers without a single known one.

    >>> import polars as pl
    >>> design, rows = learn_rows(pl.DataFrame({"late": [True, False], "city": ["Rome", "Oslo"], "age": [20, 40]}))
    >>> design.names, rows.codes.tolist(), rows.slots.tolist()
    (('late = True', 'city = Rome', 'age'), [[1, 1], [0, 0]], [3, 5, 1])
    """
    if missing not in ("error", "indicate"):
        raise ValueError(f'missing is {missing!r}; it must be "error" or "indicate"')
    table = open_table(frame)
    as_levels = {categorical} if isinstance(categorical, str) else set(categorical)
    table.require(sorted(as_levels))
    weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weight is not None and weight.shape != (table.n,):
        raise ShapeError(f"sample_weight has the shape {weight.shape}; the table has {table.n} rows")
    return _assemble(table.n, _learned(table, as_levels, missing == "indicate", weight))


def _learned(table: Table, as_levels: set[str], indicate: bool, weight: Floats | None) -> Iterator[tuple[Number | Category, Read]]:
    for name in table.labels:
        thin = None if indicate or name in as_levels else table.thin(name)
        if thin is not None:
            yield Category(name, _booleans(thin, weight), required=True) if thin.booleans else Number(name), thin
            continue
        found = table.read(name, name in as_levels)
        if isinstance(found, Coded):
            yield _learn_category(name, found, indicate, weight), found
        else:
            yield _learn_number(name, found, weight) if indicate else Number(name), found


def _booleans(thin: Thin, weight: Floats | None) -> tuple[Level, ...]:
    """The levels of a sparse column of booleans, in rows of positive weight."""
    there, rows = (len(thin.rows), thin.n) if weight is None else ((weight[thin.rows] > 0).sum(), (weight > 0).sum())
    return tuple(value for value, seen in ((False, there < rows), (True, there > 0)) if seen)


def _thin(table: Table, column: Number | Category) -> Thin | None:
    """A learned column as a sparse one, if it can be: numbers without gaps, or booleans where both levels are known."""
    thin = table.thin(column.name)
    if thin is None:
        return None
    if isinstance(column, Category):
        return thin if thin.booleans and column.levels == (False, True) else None
    plain = not column.indicator and not thin.booleans and (column.fill is None or bool(np.isfinite(thin.values).all()))
    return thin if plain else None


def _learn_number(name: str, values: NDArray[Any], weight: Floats | None) -> Number:
    known = np.isfinite(values)
    gap = not known.all()
    if weight is not None:
        gap = bool((~known & (weight > 0)).any())
        known &= weight > 0
        weight = weight[known]
    used = np.ascontiguousarray(values if known.all() else values[known], np.float64)
    if not len(used):
        raise ColumnError(f'column "{name}": no value is known')
    return Number(name, _mean(used, weight), indicator=gap)


def _mean(values: Floats, weight: Floats | None) -> float:
    top = max(float(values.max()), -float(values.min()))
    unit = top if top > 1e250 else 1.0  # otherwise the sum could overflow
    scaled = values if unit == 1 else values / unit
    if weight is None:
        return float(scaled.mean()) * unit
    share = weight / weight.max()
    return float((scaled * share).sum() / share.sum()) * unit


def _learn_category(name: str, found: Coded, indicate: bool, weight: Floats | None) -> Category:
    places = found.places if weight is None else found.places[weight > 0]
    seen = np.flatnonzero(np.bincount(places, minlength=len(found.values)))
    values = dict.fromkeys(_finite(found.values[place]) for place in seen)
    known: list[Any] = [value for value in values if value is not None]
    if not found.declared:
        known.sort()
    return Category(name, (*known, None) if None in values else tuple(known), required=not indicate)


def _assemble(n: int, columns: Iterable[tuple[Number | Category, Read]]) -> tuple[Design, TableRows]:
    """The design and rows from columns and their values, taken one at a time because a column's text is larger than its codes."""
    entered: list[tuple[Number | Category, bool]] = []  # and whether it is sparse
    numbers: list[NDArray[Any]] = []
    sparse: list[tuple[NDArray[Any], NDArray[Any]]] = []
    codes: list[NDArray[Any]] = []
    unseen: dict[str, int] = {}
    for column, found in columns:
        thin = isinstance(found, Thin) and (isinstance(column, Number) or len(column.levels) == 2)
        entered.append((column, thin))
        if isinstance(found, Thin):
            if thin:
                _refuse_gaps(column.name, found.values, found.rows)
                sparse.append((found.rows, found.values))
            else:  # booleans all of one level
                codes.append(np.zeros(n, np.uint8))
        elif isinstance(column, Number):
            numbers += _enter_number(column, found)
        else:
            made, lost = _enter_category(column, found)
            codes.append(made)
            if lost:
                unseen[column.name] = lost
    joined = np.empty((n, len(codes)), np.int32)
    for c, made in enumerate(codes):
        joined[:, c] = made
    levels = tuple(_width(column) for column, thin in entered if isinstance(column, Category) and not thin)
    slots = _slots(entered, 1 + len(numbers), 1 + len(numbers) + len(sparse))
    return Design(tuple(c for c, _ in entered)), TableRows(n, tuple(numbers), joined, levels, slots, unseen, sparse=of_columns(n, sparse))


def _width(category: Category) -> int:
    """The number of slots of a category; 1 if no level was learned, for the reference that every row then counts as."""
    return max(1, len(category.levels))


def _slots(columns: Iterable[tuple[Number | Category, bool]], thin: int, level: int) -> NDArray[np.intp]:
    """The slot of each coefficient: of numbers from 1, of sparse columns from `thin`, of levels from `level`, reference levels skipped."""
    slots: list[int] = []
    number = 1
    for column, sparse in columns:
        if sparse:
            slots.append(thin)
            thin += 1
        elif isinstance(column, Number):
            slots += range(number, number + len(column.names))
            number += len(column.names)
        else:
            slots += range(level + 1, level + len(column.levels))
            level += _width(column)
    return np.array(slots, np.intp)


def numbers_of(column: Number, found: NDArray[Any] | Coded) -> NDArray[Any]:
    """The column's numbers as they stand; ColumnError for text, and a ValueError for a gap in a column that must have none."""
    if isinstance(found, Coded):
        if found.kind:
            raise ColumnError(f'column "{column.name}" has the type {found.type}; the model was trained on numbers there')
        found = np.full(len(found.places), np.nan)
    if column.fill is None and found.dtype.kind not in "iu":
        _refuse_gaps(column.name, found)
    return found


def _refuse_gaps(name: str, values: NDArray[Any], rows: NDArray[Any] | None = None) -> None:
    """ValueError for the first value that is not finite; `rows`: that each stands in."""
    gone = ~np.isfinite(values)
    if gone.any():
        place = int(gone.argmax())
        raise _unusable(name, place if rows is None else int(rows[place]), float(values[place]))


def level_codes(column: Category, found: NDArray[Any] | Coded) -> NDArray[np.int64]:
    """The place among the learned levels of each of the column's distinct values, -1 for an unknown one; errors as above."""
    if not isinstance(found, Coded):
        raise TypeError("levels are read as such")
    learned = kind_of(column.levels)
    if found.kind and learned and found.kind != learned:
        raise ColumnError(f'column "{column.name}" has the type {found.type}; the model was trained on {learned} there')
    if column.required:
        _all_known(column.name, found)
    code = {level: code for code, level in enumerate(column.levels)}
    return np.array([code.get(_finite(value), -1) for value in found.values], np.int64)


def _enter_number(column: Number, found: NDArray[Any] | Coded) -> list[NDArray[Any]]:
    """The column, and its indicator if it has one."""
    values = numbers_of(column, found)
    gone = None if column.fill is None or values.dtype.kind in "iu" else ~np.isfinite(values)  # without a fill there are none
    if gone is not None and gone.any():
        values = np.where(gone, np.float64(column.fill or 0.0), values.astype(np.float64))
    if not column.indicator:
        return [values]
    return [values, np.zeros(len(values), np.int8) if gone is None else gone.astype(np.int8)]


def _enter_category(column: Category, found: NDArray[Any] | Coded) -> tuple[NDArray[Any], int]:
    """The code of each row, in the narrowest integers that hold it, and how many rows have a level that was not learned."""
    codes = level_codes(column, found)
    assert isinstance(found, Coded)
    lost = 0
    if (codes < 0).any():
        lost = int(np.count_nonzero((codes < 0).take(found.places)))
        codes[codes < 0] = 0
    return codes.astype(np.min_scalar_type(len(column.levels))).take(found.places), lost


def _all_known(name: str, found: Coded) -> None:
    bad = np.array([_finite(value) is None for value in found.values], bool)
    if bad.any():
        rows = bad.take(found.places)
        if rows.any():
            row = int(rows.argmax())
            raise _unusable(name, row, found.values[found.places[row]])


def _finite(value: Level) -> Level:
    """An infinite level is taken as missing."""
    return None if isinstance(value, float) and math.isinf(value) else value


def _unusable(name: str, row: int, value: Level) -> ValueError:
    what = "NaN, a missing value"
    if isinstance(value, float) and math.isinf(value):
        what = "infinity" if value > 0 else "-infinity"
    return ValueError(f'column "{name}", row {row}: {what}; every value must be known and finite')
