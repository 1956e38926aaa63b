"""A fit: one loss, a linear model of a person's table, scored on rows that a model did not see."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import matchloss
from matchloss.fit import measure
from matchloss.fit.choice import asked_for, settle
from matchloss.fit.result import FitResult, Step
from matchloss.linear.model import Model
from matchloss.models.linear import LinearModels
from matchloss.tables.crossfit import describe_ridge, ridge
from matchloss.tables.diagrams import diagrams
from matchloss.tables.errors import DataError
from matchloss.tables.options import Options, study
from matchloss.tables.prepare import Missing

if TYPE_CHECKING:
    from matchloss.linear.solve import Solution
    from matchloss.losses import Loss

Tell = Callable[[str], None]


def fit(
    data: Any,
    target: str,
    *,
    source: str | None = None,
    loss: str | Loss | None = None,
    parameters: Mapping[str, float] | None = None,
    l2: float | None = None,
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
    progress: Tell | None = None,
) -> FitResult:
    """Fit a linear model for the column `target` of a table, under the loss that is named or the one that suits the target.

    The scores are of rows that a model did not see, and those of `matchloss.comparison.run.compare`; the model is fitted to all rows.
    split: auto, random, stratified, group:COLUMN or time:COLUMN; folds: 5 by default. `l2` is a ridge for columns of numbers in units of
    their standard deviations, by default the one that a comparison takes.
    `loss` is a name of the catalogue, "module:class" for a person's own, or a loss, which is taken as it is.
    `weight` names a column of weights, which is no feature. `missing` says what becomes of rows with missing values: "error" refuses
    them, "drop" leaves them out, "indicate" fills numbers with the mean and adds an indicator. `progress` is told what goes on.
    The other options, and `data`, are those of `matchloss.tables.prepare.prepare`.
    DataError for a table, a column or an option that no fit can be made from.

    >>> import polars as pl
    >>> table = pl.DataFrame({"x": [i % 7 for i in range(40)], "y": [2 * (i % 7) + i % 3 for i in range(40)]})
    >>> found = fit(table, "y")
    >>> found.model.loss, found.scored, found.converged
    (SquaredError(), 40, True)
    """
    tell = progress or (lambda text: None)
    asked, settled = asked_for(loss, parameters or {})
    if l2 is not None and not (math.isfinite(l2) and l2 >= 0):
        raise DataError(f"--l2 is {l2:g}; it must be finite and at least 0")
    given = Options(source, keep, drop, categorical, counts, exposure, weight, dates, missing, rows, encoding, split, folds, seed)
    made = study(data, target, given, [] if asked is None else [asked], tell)
    ready, shares, wanted = made.ready, made.split, made.ready.target
    chosen, why = settle(asked, settled, wanted)
    observed, heavy = wanted.values[shares.scored], None if ready.weight is None else ready.weight[shares.scored]
    penalty = ridge(chosen, wanted) if l2 is None else l2
    outputs = len(wanted.classes) if chosen.family == "simplex" else None
    models = LinearModels.of(ready, shares)
    cross = models.crossed(chosen, tell, penalty)
    found = cross.whole()
    tell("scoring rows that the models did not see")
    training = wanted.values.astype(np.float64 if outputs is None else np.int64)
    constant = measure.constant_raw(chosen, shares, training, ready.weight, outputs)
    scores, beside = (measure.scores(chosen, wanted.kind, z, observed, heavy) for z in (cross.raw, constant))
    about = {
        "source": ready.source,
        "missing": missing,
        "rows": ready.n,
        "scored": len(shares.scored),
        "split": made.how,
        "scores": {name: {"model": _known(s.value), "constant": _known(beside[name].value)} for name, s in scores.items()},
    } | _how(found, penalty, weight)
    kept_finite = [describe_ridge()] if l2 is None and penalty else []
    return FitResult(
        source=ready.source,
        kind=wanted.kind,
        why=why,
        model=Model(chosen, models.design, found.intercept, found.coef, target, wanted.kind, wanted.classes, about, ready.readings),
        rows=ready.read,
        dropped=ready.read - ready.n,
        scored=len(shares.scored),
        how=made.how,
        alerts=ready.alerts,
        messages=(*ready.said, made.how, *models.notes(), *kept_finite),
        warnings=tuple(found.messages),
        passes=found.passes,
        seconds=found.seconds,
        method=found.method,
        converged=found.converged,
        objective=found.objective + found.penalty,
        gradient_norm=found.gradient_norm,
        trace=tuple(Step(*step) for step in found.trace),
        effects=measure.effects(models.rows, found.coef, models.design.names, wanted.classes, chosen, ready.weight),
        scores=scores,
        constant=beside,
        reliability=diagrams(chosen, np.asarray(chosen.predict(cross.raw[0])), observed, wanted.classes, heavy),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _how(found: Solution, l2: float, weight: str | None) -> dict[str, Any]:
    return {
        "l2": l2,
        "weight": weight,
        "method": found.method,
        "passes": found.passes,
        "seconds": round(found.seconds, 3),
        "converged": found.converged,
        "objective": _known(found.objective),
        "gradient_norm": _known(found.gradient_norm),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": matchloss.__version__,
    }
