"""Which columns of a table a linear model can use, with sentences on what is left out and how the others enter."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.tables.read import pl
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.linear.plan import Category, Design, Level, Missing
    from matchloss.linear.rows import TableRows

MAX_LEVELS = 200  # a text column with more levels is probably an identifier, not a category
ID_SHARE = 0.9  # a text column with more distinct values per row than this identifies the rows
ID_ROWS = 20  # with fewer rows, distinct values mean nothing
MOST = 12  # most names in a sentence
DATE = re.compile(r"\s*(\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.](\d\d|\d{4}))([T\s].*)?$")


@dataclass(frozen=True)
class LeftOut:
    """A column that does not enter, and why."""

    name: str
    why: str
    suspect: bool = False  # an id or a date, from which a person may want to derive features


@dataclass(frozen=True)
class Choice:
    """The columns that enter, in the table's order, and those that do not."""

    kept: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def choose_columns(training: pl.DataFrame, categorical: Collection[str] = ()) -> Choice:
    """Decide from the training rows which columns enter; `categorical` names those that enter as levels, however many.

    Left out: constants, columns without values, dates, nested and binary columns, text that names rows or has more than 200 levels.

    >>> choose_columns(pl.DataFrame({"age": [20, 40, None], "day": ["2013-01-01", "2013-01-02", None], "same": [7, 7, 7]})).left_out
    (LeftOut(name='day', why='dates, written as text', suspect=True), LeftOut(name='same', why='constant', suspect=False))
    """
    found = {column.name: _reason(column, column.name in categorical) for column in training}
    kept = tuple(name for name, reason in found.items() if reason is None)
    return Choice(kept, tuple(reason for reason in found.values() if reason is not None))


def missing(column: pl.Series) -> pl.Series:
    """Where the column has no value: null, NaN or infinite."""
    gone = column.is_null()
    return gone | ~column.is_finite().fill_null(True) if column.dtype.is_float() else gone


def gap(column: pl.Series, row: int) -> str:
    """What is wrong with a missing value: "has no value", or "is inf"."""
    value = column[row]
    return f"is {value}" if isinstance(value, float) and math.isinf(value) else "has no value"


def enter(
    training: pl.DataFrame, n: int, choice: Choice, categorical: Collection[str] = (), missing: Missing = "indicate", weight: Any = None
) -> tuple[Design, TableRows]:
    """The design learned from the columns of the `n` training rows that enter, and these rows in it."""
    from matchloss.linear.plan import Design, learn_rows

    if not choice.kept:
        return Design(()), rows_of(Design(()), training, n)
    return learn_rows(training.select(choice.kept), [name for name in categorical if name in choice.kept], missing, weight)


def rows_of(design: Design, table: pl.DataFrame, n: int) -> TableRows:
    """The `n` rows of `table` in the design; a frame without columns has no rows of its own."""
    return design.rows(table if table.width else pl.DataFrame({"": np.zeros(n)}))


def describe(design: Design, choice: Choice, training: pl.DataFrame) -> list[str]:
    """How the columns enter, a sentence each."""
    from matchloss.linear.plan import Category

    categories = [c for c in design.columns if isinstance(c, Category)]
    numbers = [c for c in design.columns if not isinstance(c, Category)]
    gaps = [f"{c.name} ({plural(int(missing(training[c.name]).sum()), 'row')})" for c in numbers if c.indicator]
    wild = [c.name for c in numbers if training[c.name].dtype.is_float() and training[c.name].is_infinite().any()]
    levels = [f"{c.name} ({levels_of(c)})" for c in categories]
    sentences: Mapping[str, list[str]] = {
        "Numbers": [c.name for c in numbers],
        "Categories": levels,
        "Missing numbers get the mean and an indicator column": gaps,
        "Infinite numbers are taken as missing": wild,
        "Left out": [f"{column.name} ({column.why})" for column in choice.left_out],
    }
    messages = [f"{start}: {listed(names)}." for start, names in sentences.items() if names]
    if not design.columns:
        messages.append("No column is left to learn from: every model is a constant.")
    return messages


def levels_of(category: Category) -> str:
    """How many levels a category has, and which is the reference: its coefficient would be 0."""
    gap = ", missing one of them" if None in category.levels else ""
    return f"{plural(len(category.levels), 'level')}{gap}, {_show(category.levels[0])} the reference" if category.levels else "no level"


def describe_unseen(design: Design, unseen: Mapping[str, int], noun: str = "held-out row") -> list[str]:
    """A sentence for each category with levels that were not learned."""
    from matchloss.linear.plan import Category

    reference = {c.name: c.levels[0] if c.levels else None for c in design.columns if isinstance(c, Category)}
    said = ((f"{name}: in {plural(n, noun)}", _show(reference[name])) for name, n in unseen.items())
    return [f"{where} a level not seen in training, or none, counts as {first}." for where, first in said]


def listed(names: Iterable[str]) -> str:
    """The names with commas between, the first dozen of many."""
    names = list(names)
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST:,} more" if len(names) > MOST else "")


def _reason(column: pl.Series, as_levels: bool) -> LeftOut | None:
    name, dtype = column.name, column.dtype
    text = dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))
    if dtype == pl.Null or column.null_count() == len(column):
        return LeftOut(name, "no values")
    if not (text or dtype.is_numeric() or dtype == pl.Boolean):
        temporal = dtype.is_temporal()
        return LeftOut(name, "dates and times are not used" if temporal else f"{dtype} is not used", suspect=temporal)
    if text or as_levels or dtype == pl.Boolean:
        return _levels_reason(column, text and not as_levels)
    return _number_reason(column)


def _levels_reason(column: pl.Series, limited: bool) -> LeftOut | None:
    column = column.set(missing(column), None) if column.dtype.is_float() else column
    known, distinct = len(column) - column.null_count(), column.n_unique()
    if distinct == 1:
        return LeftOut(column.name, "no values" if not known else "constant")
    if not limited:
        return None
    different = column.drop_nulls().n_unique()
    if column.dtype == pl.String and all(DATE.match(value) for value in column.drop_nulls().head(100)):
        return LeftOut(column.name, "dates, written as text", suspect=True)
    if known >= ID_ROWS and different > ID_SHARE * known:
        what = f"looks like an id: {different:,} different values in {plural(known, 'row')}"
        return LeftOut(column.name, what, suspect=True)
    return LeftOut(column.name, f"{distinct:,} levels, more than {MAX_LEVELS}") if distinct > MAX_LEVELS else None


def _number_reason(column: pl.Series) -> LeftOut | None:
    gone = missing(column)
    known = column.filter(~gone).cast(pl.Float64)
    if known.is_empty():
        return LeftOut(column.name, "no values")
    low, high = float(known.min()), float(known.max())  # pyright: ignore[reportArgumentType]
    flat = high / 2 - low / 2 <= 1e-13 * max(abs(low), abs(high))  # equal up to rounding; halved so that nothing overflows
    return LeftOut(column.name, "constant") if flat and not gone.any() else None


def _show(level: Level) -> str:
    return "missing" if level is None else f'"{level}"' if isinstance(level, str) else str(level)
