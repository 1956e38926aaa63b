"""Predictions for a file, in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.columns import kind_of
from matchloss.linear.model import Model
from matchloss.linear.plan import Category, Number
from matchloss.models.saved import AnyModel
from matchloss.tables.batches import BYTES, ROWS, Holds, batches, check_ending, writing
from matchloss.tables.design import gap
from matchloss.tables.errors import DataError
from matchloss.tables.read import STDIN, name_of, pl
from matchloss.tables.recode import as_learned
from matchloss.tables.roles import missing
from matchloss.tables.times import sources_of
from matchloss.urls import Location, matching

EXACT = 2**53  # whole numbers below it are the same as float64
PREDICTION = "prediction"
PROBABILITY = "probability_"


@dataclass(frozen=True)
class Predicted:
    """What happened to the rows of a file."""

    rows: int
    without: int  # rows without a prediction, because a value is missing and the model was trained on complete rows
    unseen: Mapping[str, int]  # rows with a level that training did not have, by column
    said: tuple[str, ...] = ()  # how the file was read


def predict_file(
    model: AnyModel,
    data: Location,
    out: Path,
    progress: Callable[[str], None] | None = None,
    rows: int = ROWS,
    size: int = BYTES,
    *,
    key: Sequence[str] = (),
    encoding: str | None = None,
) -> Predicted:
    """Write a prediction for each row of the table in `data` to `out`, in its order: Parquet or CSV, by its name, whole or not at all.

    `data` may also be a folder or a pattern: its files are read in the order of their names.

    The columns of `key` come first, as they stand in the table. Numbers: a column `prediction`. Labels: the class that is predicted,
    and a column of probabilities for each class, unless the loss predicts none. DataError for a table that the model cannot read.
    """
    tell = progress or (lambda text: None)
    check_ending(out)
    places = [data] if str(data) == STDIN else matching(data)
    if not places:
        raise DataError(f"{data}: no file has such a name")
    if any(isinstance(place, Path) and out.exists() and place.exists() and out.samefile(place) for place in places):
        raise DataError(f"{out} is the table itself: the predictions need a file of their own")
    own = as_columns(model, _none(model)).columns
    both = next((name for name in key if name in own), None)
    if both is not None:
        raise DataError(f"--key {both} has the name of a column of predictions")
    wanted: dict[str, Holds] = {**dict.fromkeys(key, "text"), **_wanted(model)}
    numbers = [name for name, holds in _sources(model).items() if holds == "numbers"]
    done, without, unseen = 0, 0, Counter[str]()
    said: dict[str, None] = {}
    with writing(out) as write:
        for place in places:
            before = done
            with batches(place, wanted, rows, size, encoding) as table:
                said.update(dict.fromkeys(table.said))
                for batch in table.rows:
                    known = as_learned(batch, name_of(place), numbers, model.readings, table.comma, done - before)
                    made, gaps, lost = _predicted(model, known, name_of(place), done - before)
                    write(pl.concat([batch.select(key), made], how="horizontal") if key else made)
                    done, without = done + batch.height, without + gaps
                    unseen.update(lost)
                    tell(f"{done:,} rows")
    return Predicted(done, without, dict(unseen), tuple(said))


def _wanted(model: AnyModel) -> dict[str, Holds]:
    """The columns of the table that the model needs, and what they hold in files that do not say."""
    if isinstance(model, Model) and model.formula is not None:
        return {name: "booleans" if holds == "booleans" else "text" for name, holds in _sources(model).items()}
    parts = sources_of({name: reading.time for name, reading in model.readings.items()})
    own: dict[str, Holds] = {parts.get(c.name, c.name): "text" if c.name in parts else _holds(c) for c in model.design.columns}
    return {**own, **dict.fromkeys(_offset(model), "text")}


def _offset(model: AnyModel) -> list[str]:
    return [model.offset] if isinstance(model, Model) and model.offset is not None else []


def _sources(model: AnyModel) -> dict[str, str]:
    """The columns of a table that a formula, or a design, reads, and what they hold; and the offset."""
    if isinstance(model, Model) and model.formula is not None:
        return {**model.formula.columns, **dict.fromkeys(_offset(model), "numbers")}
    return {c.name: "numbers" if isinstance(c, Number) else "levels" for c in model.design.columns} | dict.fromkeys(
        _offset(model), "numbers"
    )


def _holds(column: Number | Category) -> Holds:
    """What the column has to hold, for files that do not say."""
    if isinstance(column, Number):
        return "text"  # it may have words for missing values, or decimal commas
    kind = kind_of(column.levels)
    if kind == "numbers":
        large = any(isinstance(level, int) and abs(level) >= EXACT for level in column.levels)
        return "whole numbers" if large else "numbers"
    return "booleans" if kind == "booleans" else "text"


def _predicted(model: AnyModel, batch: pl.DataFrame, source: str, before: int) -> tuple[pl.DataFrame, int, dict[str, int]]:
    """The predictions of a batch, how many rows have none, and the counts of levels that were not learned."""
    gone = _gaps(model, batch, source, before)
    known = batch if not gone.any() else batch.filter(pl.Series(~gone))
    if known.height == 0:
        made, unseen = as_columns(model, _none(model)), {}
    else:
        prediction, unseen = model.predict(known)
        made = as_columns(model, prediction)
    if gone.any():
        at = pl.Series(np.cumsum(~gone) - 1).set(pl.Series(gone), None)
        made = made.select(pl.all().gather(at))
    return made, int(gone.sum()), unseen


def _none(model: AnyModel) -> NDArray[np.float64]:
    """The predictions of no rows."""
    return np.zeros((0, len(model.classes)) if model.loss.family == "simplex" else 0)


def as_columns(model: AnyModel, prediction: NDArray[np.float64]) -> pl.DataFrame:
    """The predictions of some rows as columns: a number, or a class and the probability of each."""
    if not model.classes:
        return pl.DataFrame({PREDICTION: prediction})
    sign = model.loss.functional == "mode"
    label = prediction.argmax(axis=1) if prediction.ndim == 2 else (prediction > (0.0 if sign else 0.5)).astype(np.intp)
    columns = {PREDICTION: pl.Series(model.classes, dtype=pl.String)[label]}
    if not sign:
        both = prediction if prediction.ndim == 2 else np.stack([1 - prediction, prediction], axis=1)
        columns |= {f"{PROBABILITY}{name}": pl.Series(both[:, k]) for k, name in enumerate(model.classes)}
    return pl.DataFrame(columns)


def _gaps(model: AnyModel, batch: pl.DataFrame, source: str, before: int) -> NDArray[np.bool_]:
    """The rows without a value where the model needs one; DataError for the first of them, if the model was told to refuse such rows."""
    gone = np.zeros(batch.height, bool)
    for name in _needed(model):
        there = missing(batch[name]).to_numpy()
        if there.any() and model.about.get("missing") != "drop":
            at = int(np.argmax(there))
            what = f"{name} {gap(batch[name], at)} in row {before + at + 1}"
            raise DataError(f"{source}: {what}; the model was trained on rows that have one")
        gone |= there
    return gone


def _needed(model: AnyModel) -> list[str]:
    """The columns that need a value in each row."""
    if isinstance(model, Model) and model.formula is not None:
        return list(_sources(model))
    needed = [c.name for c in model.design.columns if (c.required if isinstance(c, Category) else c.fill is None)]
    return [*needed, *_offset(model)]
