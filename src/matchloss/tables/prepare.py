"""A table goes through here once: read, roles of columns, target, weights. `fit`, `compare` and `predict` share it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.model import Reading
from matchloss.tables.errors import DataError
from matchloss.tables.frames import open_data
from matchloss.tables.leaks import leaks
from matchloss.tables.read import pl, require_columns
from matchloss.tables.recode import clean
from matchloss.tables.roles import COUNTS_ROWS, LEFT_OUT, Column, Found, Role, has_one_value, is_named_id, missing, role_of, without
from matchloss.tables.target import As, Target, drop_missing, read_target
from matchloss.tables.times import parts_of
from matchloss.tables.weights import as_rate, exposures_of, weights_of
from matchloss.tables.words import plural

Index = NDArray[np.intp]
Floats = NDArray[np.float64]
Missing = Literal["error", "drop", "indicate"]
MISSING = ("error", "drop", "indicate")


@dataclass(frozen=True, eq=False)
class Prepared:
    """The rows that have a target, their columns that enter, and what was done to all others."""

    source: str  # what to call the table
    features: pl.DataFrame  # the columns that enter, in the table's order
    levels: tuple[str, ...]  # columns of numbers that enter as levels
    target: Target
    weight: Floats | None  # of each row; the exposure is part of it
    exposure: str | None  # the column of exposures: the target is then a rate
    rows: Index  # where each row stood in the table, from 0
    read: int  # rows in the table
    columns: tuple[Column, ...]  # every column of the table
    alerts: tuple[str, ...]  # what a person should know first: columns left out, gaps; each with the flag that overrules it
    said: tuple[str, ...]  # what else was decided on the person's behalf
    missing: Missing  # what becomes of missing values
    readings: Mapping[str, Reading]  # how columns are read that do not enter as they are written

    @property
    def notes(self) -> tuple[str, ...]:
        """All that was decided on the person's behalf, a sentence each, alerts first."""
        return (*self.alerts, *self.said)

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.rows)


def prepare(
    data: Any,
    target: str,
    *,
    source: str | None = None,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    categorical: Collection[str] = (),
    counts: bool | None = None,
    take: As | None = None,
    exposure: str | None = None,
    weight: str | None = None,
    dates: Literal["drop", "parts"] = "drop",
    missing: Missing = "indicate",
    rows: int | None = None,
    encoding: str | None = None,
    seed: int = 0,
) -> Prepared:
    """Read `data`, a frame of pandas, polars or Arrow or the path of a file, find the role of each column, and settle the target.

    Ids, times, columns that give the target away and free text are left out, unless they are named in `keep`; so is what `drop` names.
    `categorical` names columns of numbers, or the target, that are names of levels. `counts`: the target counts something, or does not;
    None lets its values decide. `take` says what a loss that was named needs the target to be. `rows` takes that many at random.
    DataError for a table, a column or an option that nothing can be made from.
    """
    read = open_data(data, encoding)
    source = source or read.name
    _check(read.table, target, source, keep, drop, categorical, weight, exposure, rows, missing, dates)
    cleaned = clean(read.table, target, {*drop, *categorical}, read.comma)
    table = cleaned.table
    _refuse_id(table[target], target in keep)
    kept, stood = drop_missing(table, target)
    said = [f"{source}: {plural(table.height, 'row')}, {plural(table.width, 'column')}.", *cleaned.said]
    if kept.height < table.height:
        gone = table.height - kept.height
        said.append(f"{plural(gone, 'row')} without a value of {target} dropped: {plural(kept.height, 'row')} left.")
    if rows is not None and rows < kept.height:
        drawn = np.sort(np.random.default_rng(seed).choice(kept.height, rows, replace=False))
        kept, stood = kept[drawn], stood[drawn]
        said.append(f"{plural(rows, 'row')} of them, drawn at random, as --rows says.")
    wanted = read_target(kept[target], stood, "label" if target in categorical else take, counts)
    said.append(wanted.message)
    weights = None if weight is None else weights_of(kept[weight], stood)
    if exposure is not None:
        wanted, weights = as_rate(wanted, exposures_of(kept[exposure], stood), weights)
        said.append(f"The target is {target} per {exposure}, each row weighted by its {exposure}, as --exposure says.")
    given: dict[str | None, Role] = {**dict.fromkeys(drop, "dropped"), weight: "weight", exposure: "exposure", target: "target"}
    found = {column.name: role_of(column, column.name in categorical) for column in table if column.name not in given}
    kept, times = _with_parts(kept, found) if dates == "parts" else (kept, {})
    columns = _columns(table, kept, wanted, given, found, times, frozenset(keep), frozenset(categorical))
    entering = [name for column in columns if column.enters for name in times.get(column.name, Parts("", [column.name])).names]
    features = kept.select(entering)
    if not features.width and (left := without(columns)):
        names = ", ".join(f"{column.name} ({column.role}: {column.done.removeprefix('left out: ')})" for column in left)
        raise DataError(f"no column is left to learn from. Left out: {names}; --keep {left[0].name} takes it all the same")
    levels = [name for name in categorical if name in features.columns]
    levels += [name for parts in times.values() for name in parts.names if not name.endswith(" year")]
    words = {name: tuple(found) for name, found in cleaned.words.items() if name in features.columns}
    made = Prepared(
        source=source,
        features=features,
        levels=tuple(levels),
        target=wanted,
        weight=weights,
        exposure=exposure,
        rows=stood,
        read=table.height,
        columns=tuple(columns),
        alerts=(*read.said, *_alerts(columns, target, dates), *cleaned.alerts),
        said=tuple(said),
        missing=missing,
        readings={name: Reading(words=seen) for name, seen in words.items()}
        | {name: Reading(time=parts.how) for name, parts in times.items() if parts.names},
    )
    return made if missing == "indicate" else _without_gaps(made)


def subset(ready: Prepared, rows: Index) -> Prepared:
    """The same for some of the rows."""
    target = replace(ready.target, values=ready.target.values[rows])
    weight = None if ready.weight is None else ready.weight[rows]
    return replace(ready, features=_rows(ready.features, rows), target=target, weight=weight, rows=ready.rows[rows])


@dataclass(frozen=True)
class Parts:
    """What is made of a column of times: how these are written, and the names of the columns."""

    how: str
    names: list[str]


def _with_parts(table: pl.DataFrame, found: Mapping[str, Found]) -> tuple[pl.DataFrame, dict[str, Parts]]:
    """The table with years, months, weekdays and hours of its times, those that differ between rows."""
    made: dict[str, Parts] = {}
    for name, one in found.items():
        if one.role == "time":
            parts, how = parts_of(table[name], one.time)
            telling = {part: values for part, values in parts.items() if part not in table.columns and not has_one_value(values)}
            table = table.with_columns(list(telling.values()))
            made[name] = Parts(how, list(telling))
    return table, made


def _columns(
    table: pl.DataFrame,
    kept: pl.DataFrame,
    target: Target,
    given: Mapping[str | None, Role],
    found: Mapping[str, Found],
    times: Mapping[str, Parts],
    keep: frozenset[str],
    categorical: frozenset[str],
) -> list[Column]:
    """What becomes of every column, by its role and by what it says of the target."""
    could = [name for name, one in found.items() if one.role in ("number", "category")]
    told = leaks(kept.select(could), target, categorical)
    made = []
    for name in table.columns:
        if name in given:
            made.append(Column(name, given[name], given[name]))
            continue
        role, why = ("leak", told[name]) if name in told else (found[name].role, found[name].why)
        if times.get(name, Parts("", [])).names:
            parts = ", ".join(part.removeprefix(f"{name} ") for part in times[name].names)
            made.append(Column(name, role, f"enters as {parts}, as --dates says", True))
            continue
        if role == "time" and name in keep and not table[name].dtype.is_numeric():
            raise DataError(f"{name} holds {why}, which are no numbers; --dates parts makes numbers of them")
        enters = role in ("number", "category") or (role in LEFT_OUT and name in keep)
        as_levels = role in ("category", "text") or name in categorical or not table[name].dtype.is_numeric()
        how = f"enters as {'levels' if as_levels else 'numbers'}{', as --keep says' if role in LEFT_OUT else ''}"
        made.append(Column(name, role, how if enters else f"left out: {why}", enters))
    return made


def _refuse_id(target: pl.Series, keep: bool) -> None:
    """DataError for a target that counts the rows or names them."""
    found = role_of(target)
    if found.role == "id" and not keep and (found.why == COUNTS_ROWS or is_named_id(target.name)):
        raise DataError(f"the target {target.name} is an id ({found.why}): nothing predicts it; --keep {target.name} takes it all the same")


def _alerts(columns: list[Column], target: str, dates: str) -> list[str]:
    """A sentence for each column left out by its role, those that give the target away first."""
    left = sorted(without(columns), key=lambda column: column.role != "leak")
    said = {
        "leak": "{name} gives {target} away and is left out: {why}. If it is known beforehand: --keep {name} [leak]",
        "id": "{name} is left out: an id ({why}). If it is a measure: --keep {name} [id]",
        "time": "{name} is left out: times ({why}). "
        + ("--dates parts makes year, month, weekday and hour of it [time]" if dates == "drop" else "No parts can be made of them [time]"),
        "text": "{name} is left out: free text ({why}). If its values are categories: --keep {name} [text]",
    }
    return [said[c.role].format(name=c.name, target=target, why=c.done.removeprefix("left out: ")) for c in left]


def _rows(frame: pl.DataFrame, rows: Index) -> pl.DataFrame:
    return frame[rows] if frame.width else frame


def _without_gaps(ready: Prepared) -> Prepared:
    """The rows that have a value in every column that enters; DataError for the first gap if gaps are errors."""
    gone = np.zeros(ready.n, bool)
    for column in ready.features:
        there = missing(column).to_numpy()
        if ready.missing == "error" and there.any():
            at = int(np.argmax(there))
            value = column[at]
            what = f"is {value}" if isinstance(value, float) and math.isinf(value) else "has no value"
            advice = "--missing drop leaves such rows out, --missing indicate keeps them"
            raise DataError(f"{column.name} {what} in row {ready.rows[at] + 1}; {advice}")
        gone |= there
    if not gone.any():
        return ready
    left = np.flatnonzero(~gone)
    if len(left) < 2:
        raise DataError(f"{plural(len(left), 'row')} with a value in every column; at least 2 are needed; try --missing indicate")
    message = f"{plural(int(gone.sum()), 'row')} with missing values dropped, as --missing drop says: {len(left):,} left."
    return replace(subset(ready, left), said=(*ready.said, message))


def _check(
    table: pl.DataFrame,
    target: str,
    source: str,
    keep: Collection[str],
    drop: Collection[str],
    categorical: Collection[str],
    weight: str | None,
    exposure: str | None,
    rows: int | None,
    missing: str,
    dates: str,
) -> None:
    require_columns(table, [target, *keep, *drop, *categorical, *[name for name in (weight, exposure) if name is not None]], source)
    if target in drop:
        raise DataError(f"{target} is the target: it cannot be dropped")
    both = [name for name in keep if name in drop]
    if both:
        raise DataError(f"{both[0]} is in --keep and in --drop")
    for name, what in ((weight, "weight"), (exposure, "exposure")):
        if name is None:
            continue
        if name == target:
            raise DataError(f"{target} is the target: it cannot be the {what} too")
        if name in drop or name in categorical:
            raise DataError(f"{name} is the {what}: it is no column to {'drop' if name in drop else 'take as a category'}")
    if weight is not None and weight == exposure:
        raise DataError(f"{weight} cannot be both weight and exposure")
    if rows is not None and rows < 2:
        raise DataError(f"--rows is {rows}; at least 2 are needed, one to learn from and one to hold out")
    if missing not in MISSING:
        raise DataError(f"--missing is {missing}; it must be {', '.join(MISSING[:-1])} or {MISSING[-1]}")
    if dates not in ("drop", "parts"):
        raise DataError(f"--dates is {dates}; it must be drop or parts")
