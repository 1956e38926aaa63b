"""Decides the kind of target from its column, with a sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from matchloss.tables.errors import DataError
from matchloss.tables.keys import label_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matchloss.losses import Loss, TargetKind

MAX_CLASSES = 200
As = Literal["number", "count", "label"]
ZEROS = 0.05  # share of rows
SKEWED = 1.0  # third standardised moment


@dataclass(frozen=True, eq=False)
class Target:
    """The target column, read: numbers, counts, or labels 0..K-1 with the names of their classes."""

    name: str
    kind: TargetKind
    values: NDArray[np.generic]  # float64; integer labels for more than two classes
    classes: tuple[str, ...]
    message: str


def needed(losses: Sequence[Loss]) -> As | None:
    """What the target must be for the losses that a person names; None where its column decides."""
    if not losses or any("binary" in loss.suits and "number" in loss.suits for loss in losses):
        return None
    labels = ["binary" in loss.suits for loss in losses]
    return "label" if all(labels) else None if any(labels) else "number"


def unknown(target: pl.Series) -> pl.Series:
    """Where a target is not known: null or NaN. An infinite one is no gap but an error, which others tell."""
    gone = target.is_null()
    return gone | target.is_nan().fill_null(False) if target.dtype.is_float() else gone


def drop_missing(table: pl.DataFrame, target: str) -> tuple[pl.DataFrame, NDArray[np.intp]]:
    """The rows that have a target, neither null nor NaN, and where they stood in `table`."""
    missing = unknown(table[target])
    kept = table.filter(~missing)
    if kept.height < 2:
        have = "no row has" if kept.height == 0 else "1 row has"
        raise DataError(f"{have} a value of {target}; at least 2 are needed, one to learn from and one to hold out")
    return kept, np.flatnonzero(~missing.to_numpy())


def read_target(column: pl.Series, rows: NDArray[np.intp], take: As | None = None, counts: bool | None = None) -> Target:
    """The kind of the target in `column`, which has no missing values; `rows` says where they stood.

    Text, booleans, categories and two values are labels and other numbers are numbers, unless `take` says what they are. Numbers that
    look like counts of events are counts: whole, at least 0, often 0, with a long tail. `counts` says that they are, or that they are not.
    DataError for one value only, an infinite one, more than 200 classes, dates, negative counts.
    """
    name, dtype = column.name, column.dtype
    text = dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))
    if not (text or dtype.is_numeric() or dtype == pl.Boolean):
        raise DataError(f"the target {name} holds {dtype}: it must be numbers, text or booleans")
    distinct = column.n_unique()
    if distinct == 1:
        raise DataError(f"the target {name} is {label_text(column[0])} in every row: with one value only there is nothing to learn")
    if take == "count" or counts:
        return _counts(column, rows, text)
    if text or take == "label" or dtype == pl.Boolean or (distinct == 2 and take != "number"):
        why = "text" if text else "booleans" if dtype == pl.Boolean else "two values" if distinct == 2 else "said to be categorical"
        return _labels(column, rows, distinct, why)
    values = _finite(column, rows)
    whole = bool(values.min() >= 0) and bool((values == np.floor(values)).all())
    if counts is None and whole and distinct > 2 and _like_counts(values):
        zeros = f"whole numbers from 0 to {values.max():g}, {np.mean(values == 0):.0%} of them 0, with a long tail"
        return Target(name, "count", values, (), f"The target {name} looks like a count: {zeros}; --no-counts takes it as a number.")
    aside = "; --counts says that its whole numbers count something" if whole and counts is None else ""
    return Target(name, "number", values, (), f"The target {name} holds numbers: {distinct:,} different values{aside}.")


def _like_counts(values: NDArray[np.float64]) -> bool:
    """Whether these look like counts of events: whole numbers >= 0, often 0, with a long tail."""
    spread = float(values.std())
    return bool(np.mean(values == 0) >= ZEROS) and float(np.mean(((values - values.mean()) / spread) ** 3)) > SKEWED


def _labels(column: pl.Series, rows: NDArray[np.intp], distinct: int, why: str) -> Target:
    name = column.name
    if distinct > MAX_CLASSES:
        raise DataError(f"the target {name} has {distinct:,} different values, too many for labels (at most {MAX_CLASSES})")
    if column.dtype.is_numeric():
        _finite(column, rows)
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    levels = column.unique().sort()
    codes = column.replace_strict(levels, list(range(distinct)), return_dtype=pl.Int64).to_numpy()
    classes = tuple(label_text(level) for level in levels)
    shares = np.bincount(codes) / len(codes)
    known = ", ".join(f"{level} ({share:.1%})" for level, share in list(zip(classes, shares, strict=True))[:6])
    known += ", ..." if distinct > 6 else ""
    message = f"The target {name} is a label ({why}): {distinct} classes, {known}."
    if distinct == 2:
        return Target(name, "binary", codes.astype(np.float64), classes, message)
    return Target(name, "multiclass", codes, classes, message)


def _counts(column: pl.Series, rows: NDArray[np.intp], text: bool) -> Target:
    name = column.name
    if text:
        raise DataError(f"the target {name} holds text; counts are numbers")
    values = _finite(column, rows)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise DataError(f"the target {name} is {values[row]:g} in row {rows[row] + 1}; a count is 0 or more")
    whole = "" if (values == np.floor(values)).all() else ", not all of them whole"
    return Target(name, "count", values, (), f"The target {name} is a count{whole}.")


def _finite(column: pl.Series, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    values = column.cast(pl.Float64).to_numpy()
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"the target {column.name} is {values[row]} in row {rows[row] + 1}; it must be finite")
    return values
