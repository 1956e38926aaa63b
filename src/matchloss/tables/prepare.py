"""A table goes through here once: read, roles of columns, target, weights. `fit`, `compare` and `predict` share it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.frames import open_data
from matchloss.tables.leaks import leaks
from matchloss.tables.read import pl, require_columns
from matchloss.tables.roles import LEFT_OUT, Column, Role, missing, role_of, without
from matchloss.tables.target import As, Target, drop_missing, read_target
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
    table, called = open_data(data, encoding)
    source = source or called
    _check(table, target, source, keep, drop, categorical, weight, exposure, rows, missing)
    kept, stood = drop_missing(table, target)
    said = [f"{source}: {plural(table.height, 'row')}, {plural(table.width, 'column')}."]
    if kept.height < table.height:
        gone = table.height - kept.height
        said.append(f"{plural(gone, 'row')} without a value of {target} dropped: {plural(kept.height, 'row')} left.")
    if rows is not None and rows < kept.height:
        drawn = np.sort(np.random.default_rng(seed).choice(kept.height, rows, replace=False))
        kept, stood = kept[drawn], stood[drawn]
        said.append(f"{plural(rows, 'row')} of them, drawn at random, as --rows says.")
    wanted = read_target(kept[target], stood, "label" if target in categorical else take, counts)
    said.append(wanted.message)
    weights = None if weight is None else _weights(kept[weight], stood)
    if exposure is not None:
        wanted, weights = _as_rate(wanted, _exposures(kept[exposure], stood), weights)
        said.append(f"The target is {target} per {exposure}, each row weighted by its {exposure}, as --exposure says.")
    given: dict[str | None, Role] = {**dict.fromkeys(drop, "dropped"), weight: "weight", exposure: "exposure", target: "target"}
    columns = _columns(table, kept, wanted, given, frozenset(keep), frozenset(categorical))
    features = kept.select([column.name for column in columns if column.enters])
    if not features.width and (left := without(columns)):
        names = ", ".join(f"{column.name} ({column.role}: {column.done.removeprefix('left out: ')})" for column in left)
        raise DataError(f"no column is left to learn from. Left out: {names}; --keep {left[0].name} takes it all the same")
    levels = tuple(name for name in categorical if name in features.columns)
    made = Prepared(
        source=source,
        features=features,
        levels=levels,
        target=wanted,
        weight=weights,
        exposure=exposure,
        rows=stood,
        read=table.height,
        columns=tuple(columns),
        alerts=tuple(_alerts(columns, target)),
        said=tuple(said),
        missing=missing,
    )
    return made if missing == "indicate" else _without_gaps(made)


def subset(ready: Prepared, rows: Index) -> Prepared:
    """The same for some of the rows."""
    target = replace(ready.target, values=ready.target.values[rows])
    weight = None if ready.weight is None else ready.weight[rows]
    return replace(ready, features=_rows(ready.features, rows), target=target, weight=weight, rows=ready.rows[rows])


def _columns(
    table: pl.DataFrame,
    kept: pl.DataFrame,
    target: Target,
    given: dict[str | None, Role],
    keep: frozenset[str],
    categorical: frozenset[str],
) -> list[Column]:
    """The role of every column: by its values in all rows, and then by what it says of the target."""
    found = {column.name: role_of(column, column.name in categorical) for column in table if column.name not in given}
    could = [name for name, one in found.items() if one.role in ("number", "category")]
    told = leaks(kept.select(could), target, categorical)
    made = []
    for name in table.columns:
        if name in given:
            made.append(Column(name, given[name], given[name]))
            continue
        role, why = ("leak", told[name]) if name in told else (found[name].role, found[name].why)
        enters = role in ("number", "category") or (role in LEFT_OUT and name in keep)
        as_levels = role in ("category", "text") or name in categorical or not table[name].dtype.is_numeric()
        how = f"enters as {'levels' if as_levels else 'numbers'}{', as --keep says' if role in LEFT_OUT else ''}"
        made.append(Column(name, role, how if enters else f"left out: {why}", enters))
    return made


def _alerts(columns: list[Column], target: str) -> list[str]:
    """A sentence for each column left out by its role, those that give the target away first."""
    left = sorted(without(columns), key=lambda column: column.role != "leak")
    said = {
        "leak": "{name} gives {target} away and is left out: {why}. If it is known beforehand: --keep {name} [leak]",
        "id": "{name} is left out: an id ({why}). If it is a measure: --keep {name} [id]",
        "time": "{name} is left out: times ({why}). --dates parts makes year, month, weekday and hour of it [time]",
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


def _weights(column: pl.Series, rows: Index) -> Floats:
    """The weights of these rows; DataError for the first that is missing, negative or infinite."""
    values = _amounts(column, "weight")
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise DataError(_first_bad(column.name, "weight", values, bad, rows, "a weight is finite and at least 0"))
    if not values.any():
        raise DataError(f"the weight {column.name} is 0 in every row; at least one must be positive")
    return values


def _exposures(column: pl.Series, rows: Index) -> Floats:
    values = _amounts(column, "exposure")
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise DataError(_first_bad(column.name, "exposure", values, bad, rows, "an exposure is finite and above 0"))
    return values


def _amounts(column: pl.Series, what: str) -> Floats:
    if not column.dtype.is_numeric():
        raise DataError(f"the {what} {column.name} holds {column.dtype}: {what}s are numbers")
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _first_bad(name: str, what: str, values: Floats, bad: NDArray[np.bool_], rows: Index, rule: str) -> str:
    at = int(np.argmax(bad))
    shown = "missing" if math.isnan(values[at]) else f"{values[at]:g}"
    return f"the {what} {name} is {shown} in row {rows[at] + 1}; {rule}"


def _as_rate(target: Target, exposure: Floats, weight: Floats | None) -> tuple[Target, Floats]:
    """The rate as the target and the exposure as its weight: for Poisson's loss the same minimiser as an offset of log exposure."""
    if target.classes:
        raise DataError(f"--exposure is for counts; {target.name} is a label")
    values = np.asarray(target.values, np.float64)
    if values.min() < 0:
        raise DataError(f"--exposure is for counts; {target.name} goes down to {values.min():g}")
    return replace(target, kind="count", values=values / exposure), exposure if weight is None else weight * exposure


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
