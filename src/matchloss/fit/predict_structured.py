"""Predictions of the models of structured losses for a table, which is read whole: a set of alternatives may lie anywhere in it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from matchloss.fit.predict import PREDICTION, PROBABILITY, Predicted
from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor
from matchloss.linear.ordered import label_text
from matchloss.linear.plan import Design, Number
from matchloss.tables.batches import check_ending, writing
from matchloss.tables.errors import DataError
from matchloss.tables.frames import open_data
from matchloss.tables.recode import as_learned
from matchloss.tables.roles import missing
from matchloss.tables.words import suggest

if TYPE_CHECKING:
    from matchloss.linear.dense import Structured

SURVIVAL = "survival_"


def predict_structured(
    model: Structured,
    data: Any,
    out: Path,
    *,
    times: Sequence[float] = (),
    group: str | None = None,
    strata: str | None = None,
    key: Sequence[str] = (),
    encoding: str | None = None,
) -> Predicted:
    """Writes a row of predictions for each row of the table to `out`, Parquet or CSV by its name; a row with a missing value has nulls.

    Cox: `prediction`, the log hazard ratio against a row of zeros; `hazard_ratio`, against the mean row of training; and `survival_T`,
    the probability of no event until T, for each of `times`. Conditional logit: `prediction`, 1 for the likeliest row of its set, and
    `probability`. Ordered: `prediction`, a label, and `probability_LABEL` for each. `group` and `strata` are columns, by default those of
    training. The columns of `key` come first. DataError for a table that the model cannot read.
    """
    check_ending(out)
    if model.design_ is None:
        raise DataError("the model was fitted to an array, whose columns have no names: load it in Python and pass an array")
    read = open_data(data, encoding)
    by = _by(model, group, strata)
    needed = [column.name for column in model.design_.columns] + ([by] if by else [])
    for column in [*needed, *key]:
        if column not in read.table.columns:
            raise DataError(f"{read.name} has no column {column}{suggest(column, read.table.columns)}")
    numbers = [column.name for column in model.design_.columns if isinstance(column, Number)]
    frame = as_learned(read.table, read.name, numbers, {}, read.comma)
    gone = np.any([missing(frame[column]).to_numpy() for column in needed], axis=0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = _columns(model, frame.filter(pl.Series(~gone)), by, times)
    clash = next((name for name in key if name in made.columns), None)
    if clash is not None:
        raise DataError(f"--key {clash} has the name of a column of predictions")
    at = pl.Series(np.cumsum(~gone) - 1, dtype=pl.Int64).set(pl.Series(gone), None)
    made = made.select(pl.all().gather(at))
    with writing(out) as write:
        write(pl.concat([frame.select(key), made], how="horizontal") if key else made)
    return Predicted(frame.height, int(gone.sum()), {}, tuple(f"{warning.message}." for warning in said))


def _by(model: Structured, group: str | None, strata: str | None) -> str | None:
    """The column of sets or of strata, if the model needs one."""
    if isinstance(model, ConditionalLogit):
        option, given, role = "group", group, "groups"
    elif isinstance(model, CoxRegression) and model.strata_ is not None:
        option, given, role = "strata", strata, "strata"
    else:
        return None
    found = given or model.named_.get(role)
    if found is None:
        raise DataError(f"--{option} is missing: the model does not say which column it was fitted with")
    return found


def _columns(model: Structured, rows: pl.DataFrame, by: str | None, times: Sequence[float]) -> pl.DataFrame:
    """The predictions of complete rows."""
    assert isinstance(model.design_, Design)
    if rows.is_empty():
        raise DataError("no row has a value in every column that the model needs")
    x = rows.select(column.name for column in model.design_.columns)
    labels = None if by is None else rows[by].to_numpy()
    if isinstance(model, ConditionalLogit):
        return pl.DataFrame({PREDICTION: model.predict(x, labels), PROBABILITY.rstrip("_"): model.predict_proba(x, labels)})
    if isinstance(model, OrderedRegressor):
        p = model.predict_proba(x)
        each = {f"{PROBABILITY}{label_text(label)}": p[:, k] for k, label in enumerate(model.classes_.tolist())}
        return pl.DataFrame({PREDICTION: model.classes_[p.argmax(axis=1)]} | each)
    assert isinstance(model, CoxRegression)
    made = {PREDICTION: model.predict(x), "hazard_ratio": model.predict_partial_hazard(x)}
    if times:
        alive = model.predict_survival_function(x, times, labels)
        made |= {f"{SURVIVAL}{time:g}": alive[:, k] for k, time in enumerate(times)}
    return pl.DataFrame(made)
