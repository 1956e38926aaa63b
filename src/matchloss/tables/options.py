"""What a person says of a table, and the way from it to rows that are ready and split: `compare` and `fit` share both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from matchloss.tables.errors import DataError
from matchloss.tables.formula import columns_of, others, with_formula
from matchloss.tables.prepare import Missing, Prepared, prepare
from matchloss.tables.read import Read, pl, require_columns
from matchloss.tables.splits import Split, describe, opened, split_of
from matchloss.tables.target import needed
from matchloss.tables.weights import offsets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matchloss.linear.formula import Terms
    from matchloss.losses import Loss

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Options:
    """The options that commands on a table share; those of `matchloss.tables.prepare.prepare`, and how rows are held out."""

    source: str | None = None  # what to call the table
    keep: Collection[str] = ()
    drop: Collection[str] = ()
    categorical: Collection[str] = ()
    counts: bool | None = None
    exposure: str | None = None
    weight: Any = None  # the name of a column, or a number for each row
    dates: Literal["drop", "parts"] = "drop"
    missing: Missing = "indicate"
    rows: int | None = None
    encoding: str | None = None
    split: str = "auto"  # auto, random, stratified, group:COLUMN or time:COLUMN
    folds: int | None = None
    seed: int = 0  # of the folds, and of the draw of rows
    formula: str | None = None  # which columns enter, and how; the target stands on its left
    offset: str | None = None  # a column that is added to the raw predictions


@dataclass(frozen=True, eq=False)
class Study:
    """Rows that are ready to learn from, which models predict which of them, and that in a sentence."""

    ready: Prepared
    split: Split
    how: str
    terms: Terms | None = None  # of a formula
    offset: Floats | None = None
    offset_column: str | None = None


def study(data: Any, target: str, options: Options, losses: Sequence[Loss], tell: Callable[[str], None]) -> Study:
    """The rows of `data`, a frame or the path of a file, and their split.

    losses: those that a person names; they may say what the target is.
    DataError for a table, a column or an option that nothing can be made from.
    """
    tell("reading the table")
    read, way = opened(data, target, options.split, options.source, options.encoding)
    read, weight = _weighted(read, options.weight)
    tell("looking at the columns")
    keep, drop, missing = options.keep, {*options.drop, *filter(None, [way.column, options.offset])}, options.missing
    if options.formula is not None:
        keep = columns_of(options.formula, read.table, target)
        drop |= others(keep, read.table, (target, weight, options.exposure))
        missing = "drop" if missing == "indicate" else missing  # a formula has no indicators
    check_offset(options, read.table, target, weight, options.source or read.name)
    ready = prepare(
        read,
        target,
        source=options.source,
        keep=keep,
        drop=drop,
        categorical=options.categorical,
        counts=options.counts,
        take=needed(losses),
        exposure=options.exposure,
        weight=weight,
        dates=options.dates,
        missing=missing,
        rows=options.rows,
        seed=options.seed,
    )
    terms, said = None, []
    if options.formula is not None:
        ready, terms = with_formula(ready, options.formula)
        said.append(f"The columns are the terms of {options.formula}, as --formula says.")
    if options.offset is not None:
        said.append(told_of_offset(options.offset))
    told = {*options.drop, *filter(None, [way.column])}
    ready = replace(ready, said=(*ready.said, *said), columns=tuple(c for c in ready.columns if c.role != "dropped" or c.name in told))
    split = split_of(ready, read.table, way, options.folds, options.seed)
    offset = None if options.offset is None else offsets_of(read.table[options.offset], ready.rows)
    return Study(ready, split, describe(split, way, options.seed), terms, offset, options.offset)


def check_offset(options: Options, table: pl.DataFrame, target: str, weight: str | None, source: str) -> None:
    """DataError for an offset that is no column of the table, or one that is something else already."""
    if options.offset is None:
        return
    require_columns(table, [options.offset], source)
    if options.offset in (target, weight, options.exposure):
        raise DataError(f"--offset is {options.offset}, which is the target, the weight or the exposure already")


def told_of_offset(offset: str) -> str:
    """What a person is told of an offset."""
    return f"{offset} is added to the raw predictions, as --offset says; the constant is without it."


def _weighted(read: Read, weight: Any) -> tuple[Read, str | None]:
    """The table, and the column of weights in it, which is added if they were given as numbers."""
    table = read.table
    if weight is None or isinstance(weight, str):
        return read, weight
    values = np.asarray(weight)
    if values.shape != (table.height,):
        raise DataError(f"sample_weight has the shape {values.shape}; it takes a column's name or {table.height} numbers")
    name = "sample_weight"
    while name in table.columns:
        name += "_"
    return replace(read, table=table.with_columns(pl.Series(name, values))), name
