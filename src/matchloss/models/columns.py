"""How the columns of a table enter boosted trees: numbers as they are, levels as their places, and NaN for what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.columns import Coded, open_table
from matchloss.linear.plan import Category, level_codes, numbers_of
from matchloss.tables.design import describe_columns, describe_rest
from matchloss.tables.roles import missing
from matchloss.tables.words import listed, plural

if TYPE_CHECKING:
    from matchloss.linear.plan import Design
    from matchloss.tables.prepare import Prepared

Floats = NDArray[np.float64]


def features_of(design: Design, frame: Any) -> tuple[Floats, dict[str, int]]:
    """The rows of any table as trees take them, (n, columns), and for each column the number of rows with a level that was not learned.

    Missing and infinite numbers, missing levels and those not learned are NaN. Columns are found by name; ColumnError if one is missing
    or has another type than was learned.

    >>> import polars as pl
    >>> from matchloss.linear.plan import learn
    >>> design = learn(pl.DataFrame({"age": [20, 40, None], "city": ["Rome", "Oslo", "Rome"]}), missing="indicate")
    >>> features_of(design, pl.DataFrame({"city": ["Bonn", "Rome"], "age": [1, None]}))
    (array([[ 1., nan],
           [nan,  1.]]), {'city': 1})
    """
    table = open_table(frame)
    table.require(column.name for column in design.columns)
    made = np.empty((table.n, len(design.columns)), order="F")
    unseen: dict[str, int] = {}
    for j, column in enumerate(design.columns):
        if not isinstance(column, Category):
            made[:, j] = numbers_of(column, table.read(column.name, as_levels=False))
            made[~np.isfinite(made[:, j]), j] = np.nan
            continue
        found = table.read(column.name, as_levels=True)
        codes = level_codes(column, found).astype(np.float64)
        assert isinstance(found, Coded)
        known = np.array([value is not None for value in found.values], bool)
        lost = int(np.count_nonzero(((codes < 0) & known)[found.places])) if len(codes) else 0
        unseen |= {column.name: lost} if lost else {}
        codes[(codes < 0) | ~known] = np.nan
        made[:, j] = codes[found.places]
    return made, unseen


def categories_of(design: Design) -> tuple[int, ...]:
    """Which columns hold the places of levels."""
    return tuple(j for j, column in enumerate(design.columns) if isinstance(column, Category))


def describe(design: Design, ready: Prepared) -> list[str]:
    """How the columns enter, a sentence each, and which do not although no alert says so."""

    def levels(category: Category) -> str:
        return plural(sum(level is not None for level in category.levels), "level")

    return [*describe_columns(design, levels), *describe_rest(design, ready)]


def describe_gaps(design: Design, ready: Prepared) -> list[str]:
    """What becomes of missing values."""
    gaps = [f"{c.name} ({plural(rows, 'row')})" for c in design.columns if (rows := int(missing(ready.features[c.name]).sum()))]
    return [f"Trees send missing values down a branch of their own: {listed(gaps)}."] if gaps else []
