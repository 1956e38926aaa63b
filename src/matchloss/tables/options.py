"""What a person says of a table, and the way from it to rows that are ready and split: `compare` and `fit` share both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from matchloss.tables.errors import DataError
from matchloss.tables.prepare import Missing, Prepared, prepare
from matchloss.tables.read import Read, pl
from matchloss.tables.splits import Split, describe, opened, split_of
from matchloss.tables.target import needed

if TYPE_CHECKING:
    from matchloss.losses import Loss


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


@dataclass(frozen=True, eq=False)
class Study:
    """Rows that are ready to learn from, which models predict which of them, and that in a sentence."""

    ready: Prepared
    split: Split
    how: str


def study(data: Any, target: str, options: Options, losses: Sequence[Loss], tell: Callable[[str], None]) -> Study:
    """The rows of `data`, a frame or the path of a file, and their split.

    losses: those that a person names; they may say what the target is.
    DataError for a table, a column or an option that nothing can be made from.
    """
    tell("reading the table")
    read, way = opened(data, target, options.split, options.source, options.encoding)
    read, weight = _weighted(read, options.weight)
    tell("looking at the columns")
    ready = prepare(
        read,
        target,
        source=options.source,
        keep=options.keep,
        drop={*options.drop, *filter(None, [way.column])},
        categorical=options.categorical,
        counts=options.counts,
        take=needed(losses),
        exposure=options.exposure,
        weight=weight,
        dates=options.dates,
        missing=options.missing,
        rows=options.rows,
        seed=options.seed,
    )
    split = split_of(ready, read.table, way, options.folds, options.seed)
    return Study(ready, split, describe(split, way, options.seed))


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
