"""The role of each column of a table: what it is by its values, and so whether it enters a model."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.read import pl
from matchloss.tables.times import time_of
from matchloss.tables.words import plural

Floats = NDArray[np.float64]
Role = Literal[
    "number", "category", "id", "time", "leak", "text", "constant", "empty", "other", "dropped", "target", "weight", "exposure"
]  # fmt: skip
LEFT_OUT: tuple[Role, ...] = ("id", "time", "leak", "text")  # by default; --keep overrules
MAX_LEVELS = 200  # a text column with more levels is free text rather than a category
ID_SHARE = 0.9  # a text column with more distinct values per row than this identifies the rows
ID_ROWS = 20  # with fewer rows, distinct values mean nothing
ID_NAMES = {"id", "ids", "idx", "index", "key", "uuid", "guid", "row", "rows", "rownames", "rowname", "rownum", "nr", "no", "serial", ""}
COUNTS_ROWS = "whole numbers that count the rows"
YEARS = re.compile("year|yr|time|date|season|jahr|zeit|annee|ann\u00e9e")
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True)
class Column:
    """A column of the person's table: its role, what was done with it, and whether it enters the model."""

    name: str
    role: Role
    done: str
    enters: bool = False


@dataclass(frozen=True)
class Found:
    """What the values of a column say it is, and by what it was recognised."""

    role: Role
    why: str = ""
    time: str = ""  # how times are written


def role_of(column: pl.Series, as_levels: bool = False) -> Found:
    """The role of a column by its values alone; `as_levels` says that its numbers are names of levels.

    >>> role_of(pl.Series("rownames", range(1, 31)))
    Found(role='id', why='whole numbers that count the rows', time='')
    >>> role_of(pl.Series("weight", [61500, 72250, 58020, 80410, 66600] * 6)).role
    'number'
    """
    dtype = column.dtype
    if dtype == pl.Null or column.null_count() == len(column):
        return Found("empty", "no values")
    if not as_levels and (time := time_of(column)):
        return Found("time", time.why, time.how)
    if is_text(dtype) or dtype == pl.Boolean or (as_levels and dtype.is_numeric()):
        return _levels(column, limited=is_text(dtype) and not as_levels)
    if not dtype.is_numeric():
        return Found("other", f"{dtype} is not used")
    return _number(column)


def is_text(dtype: pl.DataType) -> bool:
    """Whether values of this type are text, or categories with text for names."""
    return dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))


def missing(column: pl.Series) -> pl.Series:
    """Where the column has no value: null, NaN or infinite."""
    gone = column.is_null()
    return gone | ~column.is_finite().fill_null(True) if column.dtype.is_float() else gone


def has_one_value(column: pl.Series) -> bool:
    """Whether a column says nothing about its rows: one value in all of them, up to rounding, or none; some gaps do say something."""
    if not column.dtype.is_numeric():
        return column.n_unique() <= 1
    known = column.filter(~missing(column)).cast(pl.Float64).to_numpy()
    return not known.size or (known.size == len(column) and _flat(known))


def is_named_id(name: str) -> bool:
    """Whether a column's name alone would make one think of an id: "id", "CustomerID", "row_number", R's "rownames".

    >>> [name for name in ("CustomerID", "user_id", "rownames", "paid", "weight", "Unnamed: 0") if is_named_id(name)]
    ['CustomerID', 'user_id', 'rownames', 'Unnamed: 0']
    """
    words = [word.lower() for word in WORDS.findall(name)]
    return not words or words[-1] in ID_NAMES or words[:1] == ["unnamed"] or {"row", "number"} <= {*words}


def _levels(column: pl.Series, limited: bool) -> Found:
    column = column.set(missing(column), None) if column.dtype.is_float() else column
    known, distinct = len(column) - column.null_count(), column.n_unique()
    if distinct == 1:
        return Found("constant" if known else "empty", "one value in every row" if known else "no values")
    if not limited:
        return Found("category")
    different = distinct - bool(column.null_count())
    if known >= ID_ROWS and different > ID_SHARE * known:
        every = "all different" if different == known else f"{different:,} different values"
        return Found("id", f"text, {every} in {plural(known, 'row')}")
    return Found("text", f"{distinct:,} levels, more than {MAX_LEVELS}") if distinct > MAX_LEVELS else Found("category")


def _number(column: pl.Series) -> Found:
    gone = missing(column)
    known = column.filter(~gone).cast(pl.Float64).to_numpy()
    if not known.size:
        return Found("empty", "no values")
    if not gone.any() and _flat(known):
        return Found("constant", "one value in every row")
    return _number_or_id(column.name, known) if len(known) >= max(ID_ROWS, ID_SHARE * len(column)) else Found("number")


def _flat(values: Floats) -> bool:
    low, high = float(values.min()), float(values.max())
    return high / 2 - low / 2 <= 1e-13 * max(abs(low), abs(high))  # halved so that nothing overflows


def _number_or_id(name: str, values: Floats) -> Found:
    """An id where the values are whole, all different, and count the rows; a measure may be unique too, but comes in no such order."""
    if not (np.floor(values[:1000]) == values[:1000]).all():
        return Found("number")
    steps = np.diff(values)
    in_order = bool((steps > 0).all() or (steps < 0).all())
    if not in_order:
        steps = np.diff(np.sort(values))
    if not steps.all() or not (np.floor(values) == values).all() or _is_year(name, values):
        return Found("number")
    if in_order or bool((steps == steps[0]).all()):
        return Found("id", COUNTS_ROWS if (steps == steps[0]).all() else "whole numbers in the order of the rows")
    return Found("id", "whole numbers, all different, and its name says so") if is_named_id(name) else Found("number")


def _is_year(name: str, values: Floats) -> bool:
    """A series of years counts its rows, and is an amount all the same."""
    return YEARS.search(name.lower()) is not None and bool(values.min() >= 1000) and bool(values.max() <= 3000)


def without(columns: Collection[Column]) -> list[Column]:
    """The columns that were left out by their role, not by the person."""
    return [column for column in columns if column.role in LEFT_OUT and not column.enters]
