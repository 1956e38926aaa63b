"""Decides what the columns forecast, and takes the rows that have an observation and every forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.read import pl, require_columns
from matchloss.tables.target import As, Target, drop_missing, read_target
from matchloss.tables.words import plural, suggest

Floats = NDArray[np.float64]
Kind = Literal["number", "count", "binary", "multiclass", "quantile", "interval"]
PREDICTION, PROBABILITY = "prediction", "probability_"  # as `matchloss predict` writes them
CONSTANT = "constant"
TOLERANCE = 1e-6  # of the sum of probabilities


@dataclass(frozen=True, eq=False)
class Rows:
    """What is judged: observations (n,), labels 0..K-1 for classes, and forecasts (n,), (n, K) probabilities or (n, 2) intervals by name.

    level: of a quantile; of intervals the share of rows that they may miss. messages: what was decided, in sentences.
    """

    target: str
    kind: Kind
    obs: NDArray[Any]
    forecasts: Mapping[str, Floats]
    classes: tuple[str, ...]
    level: float | None
    weight: Floats | None
    groups: NDArray[Any] | None
    order: NDArray[Any] | None
    messages: tuple[str, ...]


def read_rows(
    base: pl.DataFrame,
    tables: Mapping[str, pl.DataFrame],
    target: str,
    predictions: Sequence[str] = (),
    *,
    quantile: float | None = None,
    intervals: Sequence[tuple[str, str]] = (),
    coverage: float | None = None,
    counts: bool | None = None,
    weight: str | None = None,
    group: str | None = None,
    order: str | None = None,
) -> Rows:
    """The rows to judge; DataError for columns that are missing or hold something else, naming the row and the value."""
    _check(predictions, quantile, intervals, coverage, group, order)
    require_columns(base, [name for name in (target, weight, group, order) if name], "the table with the observations")
    kept, at = drop_missing(base, target)
    of_numbers = quantile is not None or bool(intervals)
    seen = _target(kept[target], at, "number" if of_numbers else None, False if of_numbers else counts)
    kind: Kind = "interval" if intervals else "quantile" if quantile is not None else seen.kind
    read: Callable[[pl.DataFrame, str], tuple[Floats, tuple[str, ...]]]
    if intervals:
        named = {f"{low} to {high}": (low, high) for low, high in intervals}
        read = lambda table, name: (np.stack([_numbers(table, end) for end in named[name]], axis=1), ())  # noqa: E731
        predictions = list(named)
    elif kind in ("binary", "multiclass"):
        read = lambda table, name: _probabilities(table, name, seen)  # noqa: E731
    else:
        read = lambda table, name: (_numbers(table, name), ())  # noqa: E731
    found: dict[str, Floats] = {}
    classes = seen.classes
    for stem, table in tables.items():
        for name in predictions or [_usual(table, kind)]:
            made, named_classes = read(table, name)
            if named_classes and found and named_classes != classes:
                raise DataError(f"{name} has the classes {', '.join(named_classes)}, another forecast {', '.join(classes)}")
            classes = named_classes or classes
            found[_name(stem, name, len(tables), len(predictions))] = made[at]
    if CONSTANT in found:
        raise DataError(f"a forecast is called {CONSTANT}, as the best constant is, which stands beside; rename the column")
    obs = _codes(kept[target], classes) if classes != seen.classes else seen.values
    if kind == "multiclass" or (any(f.ndim == 2 for f in found.values()) and kind == "binary"):
        kind, obs = "multiclass", obs.astype(np.int64)
    messages = [seen.message]
    if len(at) < base.height:
        messages.append(f"{plural(base.height - len(at), 'row')} without a value of {target} left out.")
    w = None if weight is None else _weights(kept[weight], weight, at)
    there = np.ones(len(at), bool) if w is None else w > 0
    for name, f in found.items():
        gaps = np.isnan(f) if f.ndim == 1 else np.isnan(f).any(axis=1)
        if (gaps & there).any():
            messages.append(f"{plural(int(gaps.sum()), 'row')} without a forecast of {name} left out for all: each row is scored by all.")
        there &= ~gaps
    if there.sum() < 2:
        raise DataError(f"{plural(int(there.sum()), 'row')} with {target} and every forecast; at least 2 are needed")
    rows = at[there]
    for name, f in found.items():
        _check_forecast(kind, name, f[there], rows)
    return Rows(
        target=target,
        kind=kind,
        obs=obs[there],
        forecasts={name: f[there] for name, f in found.items()},
        classes=classes,
        level=round(1 - (coverage or 0.9), 12) if intervals else quantile,
        weight=None if w is None else w[there],
        groups=None if group is None else _codes_of(kept[group], at)[there],
        order=None if order is None else _codes_of(kept[order], at)[there],
        messages=tuple(messages),
    )


def _check(
    predictions: Sequence[str],
    quantile: float | None,
    intervals: Sequence[tuple[str, str]],
    coverage: float | None,
    group: str | None,
    order: str | None,
) -> None:
    if quantile is not None and not 0 < quantile < 1:
        raise DataError(f"--quantile is {quantile:g}; it must lie between 0 and 1, such as 0.9")
    if coverage is not None and not 0 < coverage < 1:
        raise DataError(f"--coverage is {coverage:g}; it must lie between 0 and 1, such as 0.9")
    if coverage is not None and not intervals:
        raise DataError("--coverage needs --interval: it is the share of rows that the intervals should hold")
    if intervals and (predictions or quantile is not None):
        raise DataError("--interval stands for itself: leave out --prediction and --quantile")
    if group is not None and order is not None:
        raise DataError("give either --group or --order: rows of one time already count as one")
    for name in set(predictions):
        if list(predictions).count(name) > 1:
            raise DataError(f"--prediction names {name} twice")


def _target(column: pl.Series, at: NDArray[np.intp], take: As | None, counts: bool | None) -> Target:
    if column.n_unique() == 1:
        raise DataError(f"{column.name} is {column[0]} in every row: the best constant is exact, and there is nothing to judge")
    return read_target(column, at, take, counts)


def _usual(table: pl.DataFrame, kind: Kind) -> str:
    """The forecast that `matchloss predict` writes."""
    usual = PROBABILITY if kind in ("binary", "multiclass") else PREDICTION
    if usual in table.columns or any(name.startswith(PROBABILITY) for name in table.columns if usual == PROBABILITY):
        return usual
    raise DataError(f"which column is the forecast? --prediction names it; there are {', '.join(table.columns[:12])}")


def _name(stem: str, name: str, files: int, predictions: int) -> str:
    """What a forecast is called: its column, or its file where there are several of these."""
    column = name.rstrip("_") if name.endswith("_") else name
    return column if files == 1 else stem if predictions <= 1 else f"{stem}: {column}"


def _numbers(table: pl.DataFrame, name: str) -> Floats:
    """A numeric column as float64, NaN where it has no value."""
    require_columns(table, [name], "the table with the forecasts")
    column = table[name]
    if not column.dtype.is_numeric():
        hint = f"; --prediction {PROBABILITY} scores the probabilities" if any(c.startswith(PROBABILITY) for c in table.columns) else ""
        raise DataError(f"{name} holds {column.dtype}, and a forecast is a number{hint}")
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _probabilities(table: pl.DataFrame, name: str, seen: Target) -> tuple[Floats, tuple[str, ...]]:
    """A column of probabilities of the last of two classes, or one for each class in columns that begin with `name`; and the classes."""
    if name in table.columns:
        if len(seen.classes) > 2:
            raise DataError(f"{name} is one column and {seen.name} has {len(seen.classes)} classes; give what their columns begin with")
        return _numbers(table, name), ()
    by_class = {column.removeprefix(name): column for column in table.columns if column.startswith(name)}
    if not by_class:
        raise DataError(f"there is no column {name}, and none begins with it{suggest(name, table.columns)}")
    known = {_plain(c): c for c in by_class}
    lost = [c for c in seen.classes if _plain(c) not in known]
    if lost:
        raise DataError(f"{seen.name} is {lost[0]} in some rows, and no column {name}{lost[0]} has its probability")
    classes = tuple(by_class) if len(by_class) > len(seen.classes) else tuple(known[_plain(c)] for c in seen.classes)
    made = np.stack([_numbers(table, by_class[c]) for c in classes], axis=1)
    if len(classes) == 2 and len(seen.classes) == 2:
        return np.where(np.isnan(made).any(axis=1), np.nan, made[:, 1]), ()
    return made, classes if len(classes) > len(seen.classes) else ()


def _plain(name: str) -> str:
    """A class as both files may write it: true is True, 1.0 is 1."""
    try:
        return f"{float(name):g}"
    except ValueError:
        return name.casefold() if name.casefold() in ("true", "false") else name


def _codes(column: pl.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    """Labels as the places of their names among all classes."""
    place = {_plain(name): k for k, name in enumerate(classes)}
    return np.array([place[_plain(str(label))] for label in column.to_list()])


def _codes_of(column: pl.Series, at: NDArray[np.intp]) -> NDArray[Any]:
    """Groups or times as whole numbers, in their order."""
    if column.null_count():
        raise DataError(f"{column.name} has no value in row {at[column.is_null().arg_true()[0]] + 1}; every row needs one")
    return column.rank("dense").to_numpy().astype(np.int64)


def _weights(column: pl.Series, name: str, at: NDArray[np.intp]) -> Floats:
    if not column.dtype.is_numeric():
        raise DataError(f"{name} holds {column.dtype}, and a weight is a number")
    w = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    _refuse(name, w, ~(np.isfinite(w) & (w >= 0)), at, "a weight is a finite number, 0 or more")
    return w


def _check_forecast(kind: Kind, name: str, f: Floats, rows: NDArray[np.intp]) -> None:
    flat = f if f.ndim == 1 else f.reshape(-1)
    at = rows if f.ndim == 1 else np.repeat(rows, f.shape[1])
    _refuse(name, flat, ~np.isfinite(flat), at, "a forecast is finite")
    if kind in ("binary", "multiclass"):
        _refuse(name, flat, (flat < 0) | (flat > 1), at, "a probability lies between 0 and 1")
    if kind == "multiclass":
        total = f.sum(axis=1)
        _refuse(f"the sum of {name}", total, np.abs(total - 1) > TOLERANCE, rows, "probabilities sum to 1")
    if kind == "interval":
        crossed = f[:, 0] > f[:, 1]
        if crossed.any():
            i = int(np.argmax(crossed))
            first = f"first in row {rows[i] + 1}, {f[i, 0]:g} above {f[i, 1]:g}"
            raise DataError(f"{name}: the ends are crossed in {plural(int(crossed.sum()), 'row')}, {first}")


def _refuse(name: str, values: Floats, bad: NDArray[np.bool_], rows: NDArray[np.intp], allowed: str) -> None:
    if bad.any():
        i = int(np.argmax(bad))
        more = int(bad.sum()) - 1
        others = f" and in {plural(more, 'row')} more" if more else ""
        raise DataError(f"{name} is {values[i]:.9g} in row {rows[i] + 1}{others}; {allowed}")
