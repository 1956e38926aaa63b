"""The rows of a fit: a target that can be learned, weights, missing values by the policy that was asked for."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.columns import Choice, choose_columns, gap, listed, missing
from matchloss.tables.errors import DataError
from matchloss.tables.prepare import Index, Prepared, prepare
from matchloss.tables.read import pl
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.tables.target import As, Target

Floats = NDArray[np.float64]
Missing = Literal["error", "drop", "indicate"]


@dataclass(frozen=True, eq=False)
class Side:
    """The rows to learn from, or those held out."""

    table: pl.DataFrame  # every column that is neither target nor weight nor dropped
    target: NDArray[Any]
    weight: Floats | None


@dataclass(frozen=True, eq=False)
class Data:
    """Everything that a fit is made from."""

    target: Target
    choice: Choice  # the columns that enter
    train: Side
    test: Side
    dropped: int  # rows, for want of a target or of other values
    messages: tuple[str, ...]


def gather(
    table: pl.DataFrame,
    target: str,
    *,
    source: str,
    take: As | None,
    categorical: Collection[str],
    drop: Collection[str],
    weight: str | None,
    rows: int | None,
    test_fraction: float,
    seed: int,
    policy: Missing,
) -> Data:
    """Both sides of a split of `table`, and what was decided on the way; DataError where nothing can be learned from it."""
    left = [*drop, *([weight] if weight is not None else [])]
    ready = prepare(table, target, source=source, drop=left, rows=rows, take=take, test_fraction=test_fraction, seed=seed)
    ready = _with_every_class(ready)
    weights = None if weight is None else _weights(table[weight], ready.rows)
    choice, messages = choose_columns(ready.table[ready.train], categorical), ready.messages
    train, test, gaps = _without_gaps(ready, choice.kept, policy)
    if gaps:
        messages += (f"{plural(gaps, 'row')} with missing values dropped, as --missing drop says: {len(train) + len(test):,} left.",)
        choice = choose_columns(ready.table[train], categorical)
    sides = [_side(ready, weights, part, what) for part, what in ((train, "to learn from"), (test, "held out"))]
    return Data(ready.target, choice, sides[0], sides[1], ready.dropped + gaps, messages)


def shares(target: Target, side: Side) -> Floats:
    """The share of each class among the rows, none for numbers; DataError where a class has none."""
    if not target.classes:
        return np.zeros(0)
    count = np.bincount(side.target.astype(np.int64), side.weight, len(target.classes))
    if not count.all():
        absent = target.classes[int(np.argmin(count))]
        raise DataError(f"no row to learn from has {target.name} = {absent}; take more rows or another --seed")
    return count / count.sum()


def _side(ready: Prepared, weights: Floats | None, rows: Index, what: str) -> Side:
    weight = None if weights is None else weights[rows]
    if weight is not None and not (weight > 0).any():
        raise DataError(f"the rows {what} all have the weight 0; at least one must be positive")
    return Side(ready.table[rows], ready.target.values[rows], weight)


def _with_every_class(ready: Prepared) -> Prepared:
    """Moves a class that was held out entirely to the training rows, because it could not be learned otherwise."""
    wanted = ready.target
    if not wanted.classes:
        return ready
    labels = wanted.values.astype(np.int64)
    absent = np.setdiff1d(labels[ready.test], labels[ready.train])
    moved = np.isin(labels[ready.test], absent)
    if not absent.size or moved.all():
        return ready
    names = listed(wanted.classes[k] for k in absent)
    message = f"{plural(int(moved.sum()), 'held-out row')} moved to those to learn from, which had none of {wanted.name} = {names}."
    train = np.sort(np.concatenate([ready.train, ready.test[moved]]))
    return replace(ready, train=train, test=ready.test[~moved], messages=(*ready.messages, message))


def _weights(column: pl.Series, rows: Index) -> Floats:
    """The weights of these rows; DataError for the first that is missing, negative or infinite."""
    if not column.dtype.is_numeric():
        raise DataError(f"the weight {column.name} holds {column.dtype}: weights are numbers")
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()[rows]
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        shown = "missing" if math.isnan(values[at]) else f"{values[at]:g}"
        raise DataError(f"the weight {column.name} is {shown} in row {rows[at] + 1}; a weight is finite and at least 0")
    return values


def _without_gaps(ready: Prepared, kept: Collection[str], policy: Missing) -> tuple[Index, Index, int]:
    """The training and test rows that have a value in every column that enters, and how many rows do not."""
    if policy == "indicate":
        return ready.train, ready.test, 0
    gone = np.zeros(ready.table.height, bool)
    for name in kept:
        there = missing(ready.table[name]).to_numpy()
        if policy == "error" and there.any():
            at = int(np.argmax(there))
            what = f"{name} {gap(ready.table[name], at)} in row {ready.rows[at] + 1}"
            raise DataError(f"{what}; --missing drop leaves such rows out, --missing indicate keeps them")
        gone |= there
    train, test = ready.train[~gone[ready.train]], ready.test[~gone[ready.test]]
    if not (len(train) and len(test)):
        raise DataError(f"no row {'to learn from' if not len(train) else 'held out'} has a value in every column; try --missing indicate")
    return train, test, int(gone[ready.train].sum() + gone[ready.test].sum())
