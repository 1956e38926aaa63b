"""How the columns that enter become the columns of a linear model, and sentences on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from matchloss.tables.prepare import Prepared
from matchloss.tables.read import pl
from matchloss.tables.roles import has_one_value, missing
from matchloss.tables.words import listed, plural

if TYPE_CHECKING:
    from matchloss.linear.plan import Category, Design, Level
    from matchloss.linear.rows import TableRows


def learn(ready: Prepared) -> tuple[Design, TableRows]:
    """The design, and the rows in it: levels, the mean that stands for a missing number. A column with one value does not enter."""
    from matchloss.linear.plan import Design, learn_rows

    features, weight = ready.features, ready.weight
    counted = features if weight is None or (weight > 0).all() else features.filter(pl.Series(weight > 0))
    entering = [column.name for column in counted if not has_one_value(column)]
    if not entering:
        return Design(()), rows_of(Design(()), features, ready.n)
    policy = "indicate" if ready.missing == "indicate" else "error"
    return learn_rows(features.select(entering), [name for name in ready.levels if name in entering], policy, weight)


def rows_of(design: Design, table: pl.DataFrame, n: int) -> TableRows:
    """The `n` rows of `table` in the design; a frame without columns has no rows of its own."""
    return design.rows(table if table.width else pl.DataFrame({"": np.zeros(n)}))


def gap(column: pl.Series, row: int) -> str:
    """What is wrong with a missing value: "has no value", or "is inf"."""
    value = column[row]
    return f"is {value}" if isinstance(value, float) and math.isinf(value) else "has no value"


def describe(design: Design, ready: Prepared) -> list[str]:
    """How the columns enter a linear model, a sentence each, and which do not although no alert says so."""
    return [*describe_columns(design, levels_of), *describe_gaps(design, ready), *describe_rest(design, ready)]


def describe_columns(design: Design, levels: Callable[[Category], str]) -> list[str]:
    """Which columns are numbers and which are levels; `levels` says of a category what there is to say."""
    from matchloss.linear.plan import Category

    numbers = [c.name for c in design.columns if not isinstance(c, Category)]
    categories = [f"{c.name} ({levels(c)})" for c in design.columns if isinstance(c, Category)]
    return [f"{start}: {listed(names)}." for start, names in (("Numbers", numbers), ("Categories", categories)) if names]


def describe_gaps(design: Design, ready: Prepared) -> list[str]:
    """What becomes of missing numbers in a linear model."""
    from matchloss.linear.plan import Number

    gaps = [c.name for c in design.columns if isinstance(c, Number) and c.indicator]
    said = listed(f"{name} ({plural(int(missing(ready.features[name]).sum()), 'row')})" for name in gaps)
    return [f"Missing numbers get the mean and an indicator column: {said}."] if gaps else []


def describe_rest(design: Design, ready: Prepared) -> list[str]:
    """What is said of the columns whatever the model: infinite numbers, and those that do not enter although no alert says so."""
    from matchloss.linear.plan import Category

    numbers = [c.name for c in design.columns if not isinstance(c, Category)]
    quietly = [c for c in ready.columns if c.role in ("constant", "empty", "other")]
    sentences: Mapping[str, list[str]] = {
        "Infinite numbers are taken as missing": [
            name for name in numbers if ready.features[name].dtype.is_float() and ready.features[name].is_infinite().any()
        ],
        "Left out": [f"{c.name} ({c.done.removeprefix('left out: ')})" for c in quietly],
        "Dropped, as --drop says": [c.name for c in ready.columns if c.role == "dropped"],
    }
    messages = [f"{start}: {listed(names)}." for start, names in sentences.items() if names]
    if not design.columns:
        messages.append("No column is left to learn from: every model is a constant.")
    return messages


def levels_of(category: Category) -> str:
    """How many levels a category has, and which is the reference: its coefficient would be 0."""
    there = ", missing one of them" if None in category.levels else ""
    return f"{plural(len(category.levels), 'level')}{there}, {_show(category.levels[0])} the reference" if category.levels else "no level"


def describe_unseen(design: Design, unseen: Mapping[str, int]) -> list[str]:
    """A sentence for each category with levels that were not learned."""
    from matchloss.linear.plan import Category

    reference = {c.name: c.levels[0] if c.levels else None for c in design.columns if isinstance(c, Category)}
    said = ((f"{name}: in {plural(n, 'row')}", _show(reference[name])) for name, n in unseen.items())
    return [f"{where} a level not seen in training, or none, counts as {first}." for where, first in said]


def _show(level: Level) -> str:
    return "missing" if level is None else f'"{level}"' if isinstance(level, str) else str(level)
