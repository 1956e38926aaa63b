"""A fit: one loss, a linear model of a person's table, scored on rows that it never saw."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

import matchloss
from matchloss.fit import measure
from matchloss.fit.choice import asked_for, settle
from matchloss.fit.result import FitResult, Step
from matchloss.linear.model import Model
from matchloss.linear.solve import raw_of, solve
from matchloss.linear.warm import warm
from matchloss.tables.design import describe, describe_unseen, held, learn
from matchloss.tables.diagrams import diagrams
from matchloss.tables.errors import DataError
from matchloss.tables.holdout import hold_out
from matchloss.tables.prepare import Missing, Prepared, prepare
from matchloss.tables.target import needed
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.linear.plan import Design
    from matchloss.linear.rows import TableRows
    from matchloss.linear.solve import Solution
    from matchloss.losses import Loss
    from matchloss.tables.prepare import Floats, Index

Tell = Callable[[str], None]
MAX_PASSES = 300  # cross entropy over many classes wants more than the estimators' 100


def fit(
    data: Any,
    target: str,
    *,
    source: str | None = None,
    loss: str | Loss | None = None,
    parameters: Mapping[str, float] | None = None,
    l2: float = 0.0,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    categorical: Collection[str] = (),
    weight: str | None = None,
    exposure: str | None = None,
    rows: int | None = None,
    counts: bool | None = None,
    dates: Literal["drop", "parts"] = "drop",
    test_fraction: float = 0.2,
    seed: int = 0,
    missing: Missing = "indicate",
    encoding: str | None = None,
    progress: Tell | None = None,
) -> FitResult:
    """Fit a linear model for the column `target` of a table, under the loss that is named or the one that suits the target.

    The held-out scores are of a model that saw the other rows only; the model itself is fitted to all rows.
    `loss` is a name of the catalogue, "module:class" for a person's own, or a loss, which is taken as it is.
    `weight` names a column of weights, which is no feature. `missing` says what becomes of rows with missing values: "error" refuses
    them, "drop" leaves them out, "indicate" fills numbers with the mean and adds an indicator. `progress` is told what goes on.
    The other options, and `data`, are those of `matchloss.tables.prepare.prepare`.
    DataError for a table, a column or an option that no fit can be made from.

    >>> import polars as pl
    >>> table = pl.DataFrame({"x": [i % 7 for i in range(40)], "y": [2 * (i % 7) + i % 3 for i in range(40)]})
    >>> found = fit(table, "y")
    >>> found.model.loss, found.rows_train, found.rows_test, found.converged
    (SquaredError(), 32, 8, True)
    """
    tell = progress or (lambda text: None)
    asked, settled = asked_for(loss, parameters or {})
    if not (math.isfinite(l2) and l2 >= 0):
        raise DataError(f"--l2 is {l2:g}; it must be finite and at least 0")
    tell("looking at the columns")
    ready = prepare(
        data,
        target,
        source=source,
        keep=keep,
        drop=drop,
        categorical=categorical,
        counts=counts,
        take=needed([] if asked is None else [asked]),
        exposure=exposure,
        weight=weight,
        dates=dates,
        missing=missing,
        rows=rows,
        encoding=encoding,
        seed=seed,
    )
    wanted = ready.target
    chosen, why = settle(asked, settled, wanted)
    train, test = hold_out(wanted, test_fraction, seed)
    judge_by, heavy = wanted.values[test], None if ready.weight is None else ready.weight[test]
    if heavy is not None and not heavy.any():
        raise DataError(f"the rows held out all have the weight 0; take another --seed than {seed}")

    part = _solved(ready, chosen, l2, train, tell)
    tell("scoring the held-out rows")
    judged = held(part.design, ready, test)
    raw = raw_of(judged, part.found.intercept, part.found.coef, part.found.centre)
    constant = measure.constant_raw(chosen, part.target, part.weight, len(test), part.outputs)
    scores, beside = (measure.scores(chosen, wanted.kind, z, judge_by, heavy) for z in (raw, constant))
    whole = _solved(ready, chosen, l2, None, tell)
    found = whole.found
    about = {
        "source": ready.source,
        "missing": missing,
        "rows": ready.n,
        "rows_train": len(train),
        "rows_test": len(test),
        "scores": {name: {"model": _known(s.value), "constant": _known(beside[name].value)} for name, s in scores.items()},
    } | _how(found, l2, weight)
    parts = f"The scores: {plural(len(train), 'row')} to learn from, {len(test):,} held out, drawn at random (seed {seed})."
    return FitResult(
        source=ready.source,
        kind=wanted.kind,
        why=why,
        model=Model(chosen, whole.design, found.intercept, found.coef, target, wanted.kind, wanted.classes, about, ready.readings),
        rows=ready.read,
        dropped=ready.read - ready.n,
        rows_train=len(train),
        rows_test=len(test),
        alerts=ready.alerts,
        messages=(*ready.said, *describe(whole.design, ready), parts, *describe_unseen(part.design, judged.unseen)),
        warnings=tuple(found.messages),
        passes=found.passes,
        seconds=found.seconds,
        method=found.method,
        converged=found.converged,
        objective=found.objective,
        gradient_norm=found.gradient_norm,
        trace=tuple(Step(*step) for step in found.trace),
        effects=measure.effects(whole.rows, found.coef, whole.design.names, wanted.classes, chosen, whole.weight),
        scores=scores,
        constant=beside,
        reliability=diagrams(chosen, np.asarray(chosen.predict(raw)), judge_by, wanted.classes, heavy),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """A model fitted to some of the rows."""

    design: Design
    rows: TableRows
    target: NDArray[Any]
    weight: Floats | None
    outputs: int | None
    found: Solution


def _solved(ready: Prepared, loss: Loss, l2: float, rows: Index | None, tell: Tell) -> _Part:
    """The model of these rows, or of all of them."""
    outputs = len(ready.target.classes) if loss.family == "simplex" else None
    target = ready.target.values.astype(np.float64 if outputs is None else np.int64)
    weight = ready.weight
    if rows is not None:
        target, weight = target[rows], None if weight is None else weight[rows]
    if weight is not None and not weight.any():
        raise DataError("the rows to learn from all have the weight 0; take another --seed")
    _every_class(ready, target, weight)
    design, learned = learn(ready, rows)
    tell(f"{loss.name}: loading")
    warm(loss, learned, target, outputs, weight is not None)
    found = solve(
        loss,
        learned,
        target,
        sample_weight=weight,
        l2=l2,
        outputs=outputs,
        max_passes=MAX_PASSES,
        names=design.names,
        progress=lambda passes: tell(f"{loss.name}: pass {passes}"),
    )
    return _Part(design, learned, target, weight, outputs, found)


def _every_class(ready: Prepared, target: NDArray[Any], weight: Floats | None) -> None:
    """DataError where a class has no row to be learned from."""
    count = np.bincount(target.astype(np.int64), weight, len(ready.target.classes)) if ready.target.classes else np.ones(1)
    if not count.all():
        absent = ready.target.classes[int(np.argmin(count))]
        raise DataError(f"no row to learn from has {ready.target.name} = {absent}; take more rows or another --seed")


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
