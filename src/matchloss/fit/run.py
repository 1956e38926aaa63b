"""A fit: one loss, a linear model or trees of a person's table, scored on rows that a model did not see."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from matchloss.fit import measure
from matchloss.fit.choice import asked_for, settle
from matchloss.fit.facts import of_fit
from matchloss.fit.large import LARGER, files_of, fit_large
from matchloss.fit.result import FitResult
from matchloss.fit.trained import train_linear, train_trees
from matchloss.linear.file_options import Reading
from matchloss.models.kinds import LINEAR, asked_kinds
from matchloss.tables.diagrams import diagrams
from matchloss.tables.errors import DataError
from matchloss.tables.options import Options, study
from matchloss.tables.prepare import Missing

if TYPE_CHECKING:
    from matchloss.losses import Loss

Tell = Callable[[str], None]


def fit(
    data: Any,
    target: str,
    *,
    source: str | None = None,
    loss: str | Loss | None = None,
    parameters: Mapping[str, float] | None = None,
    model: str = LINEAR,
    l1: float = 0.0,
    l2: float | None = None,
    formula: str | None = None,
    offset: str | None = None,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    categorical: Collection[str] = (),
    weight: str | None = None,
    exposure: str | None = None,
    rows: int | None = None,
    counts: bool | None = None,
    dates: Literal["drop", "parts"] = "drop",
    split: str = "auto",
    folds: int | None = None,
    seed: int = 0,
    missing: Missing = "indicate",
    encoding: str | None = None,
    summary: bool = False,
    memory: int | str | None = None,
    scratch: str | Path | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    client: Any = None,
    progress: Tell | None = None,
) -> FitResult:
    """Fit a model for the column `target` of a table, under the loss that is named or the one that suits the target.

    model: "linear", "trees" (scikit-learn's boosted trees), "lightgbm", "xgboost" or "catboost".
    The scores are of rows that a model did not see, and those of `matchloss.comparison.run.compare`; the model is fitted to all rows.
    split: auto, random, stratified, group:COLUMN or time:COLUMN; folds: 5 by default. `l2` is a ridge for columns of numbers in units of
    their standard deviations, by default the one that a comparison takes.
    `l1`, in the same units, makes coefficients 0. `formula`, such as "late ~ C(carrier) * distance", says which columns enter, and how; its
    left side is the target. `offset` names a column that is added to the raw predictions, and that predictions need too.
    `loss` is a name of the catalogue, "module:class" for a person's own, or a loss, which is taken as it is.
    `weight` names a column of weights, which is no feature. `missing` says what becomes of rows with missing values: "error" refuses
    them, "drop" leaves them out, "indicate" fills numbers with the mean and adds an indicator. `summary`: with standard errors of a
    linear model's coefficients, which the model's file keeps too. `progress` is told what goes on.
    `data` may also be a folder, a pattern or a list of files. What would take more than `memory`, such as "2GB", by default half of what
    is free, is read once and fitted from a file in `scratch`; see `fit_files` of `matchloss.linear.LinearRegressor`, which also tells what
    `checkpoint` and `resume` do; `rows` draws so many of its rows into memory, where every option is there. `data` may be a Dask data
    frame too, whose rows stay with the workers of `client`, by default the client that is open.
    The other options, and `data`, are those of `matchloss.tables.prepare.prepare`.
    DataError for a table, a column or an option that no fit can be made from; ImportError, before any work, with the pip command where
    `model` names a library that is not installed.

    >>> import polars as pl
    >>> table = pl.DataFrame({"x": [i % 7 for i in range(40)], "y": [2 * (i % 7) + i % 3 for i in range(40)]})
    >>> found = fit(table, "y")
    >>> found.model.loss, found.scored, found.converged
    (SquaredError(), 40, True)
    """
    tell = progress or (lambda text: None)
    asked, settled = asked_for(loss, parameters or {})
    kind, *others = asked_kinds(model)
    if others:
        raise DataError(f"--model is {model}: a fit has one kind of model, and `matchloss compare` several")
    if l2 is not None and not (math.isfinite(l2) and l2 >= 0):
        raise DataError(f"--l2 is {l2:g}; it must be finite and at least 0")
    if not (math.isfinite(l1) and l1 >= 0):
        raise DataError(f"--l1 is {l1:g}; it must be finite and at least 0")
    if summary and l1:
        raise DataError("--summary and --l1 do not go together: what a penalty has selected has no standard errors")
    if kind != LINEAR:
        told = {
            "--l2 is a ridge on the coefficients": l2 is not None,
            "--l1 is a penalty on the coefficients": l1,
            "--formula is for the columns": formula is not None,
            "--offset is for the raw predictions": offset is not None,
            "--summary is of the coefficients": summary,
        }
        wrong = next((what for what, given in told.items() if given), None)
        if wrong:
            raise DataError(f"{wrong} of linear models; --model {model} has none")
    if formula is not None:
        beside = {"--keep": keep, "--drop": drop, "--categorical": categorical, "--dates": dates != "drop"}
        wrong = next((option for option, given in beside.items() if given), None)
        if wrong:
            raise DataError(f"{wrong} and --formula do not go together: the formula says which columns enter; C(a) makes levels of numbers")
    spread = hasattr(data, "map_partitions") and hasattr(data, "to_delayed")
    files = None if spread else files_of(data, memory)
    given = Options(
        source, keep, drop, categorical, counts, exposure, weight, dates, missing, rows, encoding, split, folds, seed, formula, offset
    )
    if files is not None and rows is not None and files.larger_than_memory:
        tell(f"drawing {rows:,} rows")
        data, files = files.draw(target, rows, seed), None
    large = files is not None and files.larger_than_memory
    if spread or large:
        told = {"--l1": l1, "--formula": formula}
        wrong = next((option for option, given in told.items() if given), None)
        if wrong:
            where = "the rows of a Dask cluster stay with its workers" if spread else LARGER
            raise DataError(f"{wrong} is for tables that fit in memory, and {where}")
    if spread:
        told = {"--memory": memory, "--scratch": scratch, "--resume": resume, "checkpoint": checkpoint}
        wrong = next((option for option, given in told.items() if given), None)
        if wrong:
            raise DataError(f"{wrong} is for files, and the rows of a Dask cluster stay with its workers")
        from matchloss.fit.cluster import fit_on_cluster

        return fit_on_cluster(data, client, target, given, asked, settled, model=kind, l2=l2, summary=summary, tell=tell)
    if files is not None and large:
        how = Reading(memory, scratch, checkpoint, resume)
        return fit_large(files, target, given, asked, settled, model=kind, l2=l2, summary=summary, how=how, tell=tell)
    if files is not None and len(files.places) > 1:
        data = files.whole(encoding)
    made = study(data, target, given, [] if asked is None else [asked], tell)
    ready, shares, wanted = made.ready, made.split, made.ready.target
    chosen, why = settle(asked, settled, wanted)
    if summary and not chosen.smooth:
        raise DataError(f"--summary: {chosen!r} has kinks, so that its coefficients have no standard errors from second derivatives")
    if l1 and (chosen.family == "simplex" or not chosen.smooth or not chosen.convex):
        chosen = chosen.of_classes(len(wanted.classes)) if wanted.kind == "binary" else chosen
        if chosen.family == "simplex" or not chosen.smooth or not chosen.convex:
            raise DataError(f"--l1 is for losses of one raw prediction a row that are smooth and convex; {chosen.name} is none")
    if kind == LINEAR:
        found = train_linear(made, chosen, l2, tell, summary, exposure is not None, l1)
    else:
        found = train_trees(kind, made, chosen, seed, tell)
    observed, heavy = wanted.values[shares.scored], None if ready.weight is None else ready.weight[shares.scored]
    outputs = len(wanted.classes) if chosen.family == "simplex" else None
    tell("scoring rows that the models did not see")
    training = wanted.values.astype(np.float64 if outputs is None else np.int64)
    constant = measure.constant_raw(chosen, shares, training, ready.weight, outputs)
    scores, beside = (measure.scores(chosen, wanted.kind, z, observed, heavy) for z in (found.raw, constant))
    named = weight if isinstance(weight, str) else None
    about = of_fit(ready, ready.n, len(shares.scored), made.how, scores, beside, named, found.about)
    return FitResult(
        source=ready.source,
        kind=wanted.kind,
        why=why,
        model=replace(found.model, about=about),
        rows=ready.read,
        dropped=ready.read - ready.n,
        scored=len(shares.scored),
        how=made.how,
        alerts=ready.alerts,
        messages=(*ready.said, made.how, *found.notes),
        warnings=found.warnings,
        passes=found.passes,
        seconds=found.seconds,
        method=found.method,
        converged=found.converged,
        objective=found.objective,
        gradient_norm=found.gradient_norm,
        trace=found.trace,
        effects=found.effects,
        scores=scores,
        constant=beside,
        reliability=diagrams(chosen, np.asarray(chosen.predict(found.raw[0])), observed, wanted.classes, heavy),
        importance=found.importance,
        watched=found.watched,
        summary=None if found.errors is None else found.errors.table,
    )
