"""A comparison: the same linear model, by the same trainer, under every candidate loss, judged on rows that no model saw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from matchloss.comparison.candidates import Candidate, choose
from matchloss.comparison.judging import Bench, Fitted, answer_all
from matchloss.comparison.lines import records
from matchloss.comparison.result import Answer, Comparison, Fit
from matchloss.linear.model import Model
from matchloss.names import split_names
from matchloss.tables.crossfit import cross_fit, describe_ridge, ridge
from matchloss.tables.design import describe, learn
from matchloss.tables.errors import DataError
from matchloss.tables.frames import like
from matchloss.tables.losses import get_loss
from matchloss.tables.prepare import prepare
from matchloss.tables.read import Read, pl
from matchloss.tables.scores import ERROR_RATE
from matchloss.tables.splits import Asked, opened, split_of
from matchloss.tables.splits import describe as describe_split
from matchloss.tables.target import needed

if TYPE_CHECKING:
    from matchloss.linear.plan import Design
    from matchloss.linear.rows import TableRows
    from matchloss.losses import Loss

Tell = Callable[[str], None]


def compare(
    data: Any,
    target: str,
    losses: str | Sequence[str | Loss] | None = None,
    quantile: float | str | Sequence[float] | None = None,
    score: str | None = None,
    model: Literal["linear"] = "linear",
    split: str = "auto",
    folds: int | None = None,
    keep: Collection[str] = (),
    drop: Collection[str] = (),
    categorical: Collection[str] = (),
    counts: bool | None = None,
    exposure: str | None = None,
    sample_weight: Any = None,
    dates: Literal["drop", "parts"] = "drop",
    seed: int = 0,
    *,
    source: str | None = None,
    rows: int | None = None,
    encoding: str | None = None,
    progress: Tell | None = None,
) -> Comparison:
    """Which loss fits the column `target` of a table: one linear model under each loss, judged on rows that the model did not see.

    data: a frame of pandas, polars or Arrow, or the path of a file. losses: names, with parameters if need be ("huber(delta=2)", or
    several with commas), "module:class" for your own, or losses; by default those that suit the target. quantile: levels, such as
    [0.1, 0.9], to compare quantiles instead. score: decides instead of squared error (numbers), Poisson deviance (counts), the log
    score (labels) or the pinball score (quantiles), where it is consistent for the question. split: auto, random, stratified,
    group:COLUMN or time:COLUMN; folds: 5 by default. sample_weight: a column, or a number for each row. The other options are those of
    `matchloss compare` on the command line. `progress` is told what goes on.
    DataError (a ValueError) for a table, a column or an option that no comparison can be made from.

    >>> import polars as pl
    >>> table = pl.DataFrame({"x": [i % 7 for i in range(70)], "y": [2 * (i % 7) + i % 3 - 3 for i in range(70)]})
    >>> found = compare(table, "y", losses="squared_error,absolute_error")
    >>> [(verdict.functional, verdict.best) for verdict in found.verdicts]
    [('mean', 'squared_error'), ('median', 'absolute_error')]
    """
    tell = progress or (lambda text: None)
    if model != "linear":
        raise DataError(f"model is {model!r}; allowed: 'linear'")
    named = split_names(losses) if isinstance(losses, str) else losses
    tell("reading the table")
    read, way = opened(data, target, split, source, encoding)
    read, weight = _weighted(read, sample_weight)
    tell("looking at the columns")
    ready = prepare(
        read,
        target,
        source=source,
        keep=keep,
        drop={*drop, *filter(None, [way.column])},
        categorical=categorical,
        counts=counts,
        take=needed([get_loss(name) for name in named or () if name != "argument"]),
        exposure=exposure,
        weight=weight,
        dates=dates,
        rows=rows,
        seed=seed,
    )
    chosen = choose(ready.target, named, _levels(quantile))
    bench = Bench(ready, split_of(ready, read.table, way, folds, seed))
    design, learned = learn(ready)
    fitted = [_fitted(candidate, bench, learned, design, tell) for candidate in chosen]
    tell("comparing the scores")
    return _comparison(data, bench, design, fitted, way, score, seed)


def _levels(quantile: float | str | Sequence[float] | None) -> list[float]:
    """The levels of the quantiles that were asked for."""
    if quantile is None:
        return []
    given = split_names(quantile) if isinstance(quantile, str) else [quantile] if isinstance(quantile, int | float) else list(quantile)
    try:
        return [float(level) for level in given]
    except (TypeError, ValueError) as error:
        raise DataError(f"--quantile is {quantile}; it takes levels between 0 and 1, such as 0.1,0.9") from error


def _weighted(read: Read, weight: Any) -> tuple[Read, str | None]:
    """The table, and the column of weights in it, which is added if they were given as numbers."""
    table = read.table
    if weight is None or isinstance(weight, str):
        return read, weight
    values = np.asarray(weight)
    if values.shape != (table.height,):
        raise DataError(f"sample_weight has the shape {values.shape}; it takes a column's name or {table.height} numbers")
    name = "sample_weight"
    while name in table.columns:
        name += "_"
    return replace(read, table=table.with_columns(pl.Series(name, values))), name


def _fitted(candidate: Candidate, bench: Bench, rows: TableRows, design: Design, tell: Tell) -> Fitted:
    """The candidate's model of all rows, and predictions by models that did not see the rows."""
    loss, wanted = candidate.loss, bench.ready.target
    found = cross_fit(
        loss,
        rows,
        wanted.values,
        bench.split,
        weight=bench.ready.weight,
        l2=ridge(loss, wanted),
        outputs=len(wanted.classes) if loss.family == "simplex" else None,
        names=design.names,
        tell=tell,
    )
    return Fitted(candidate, found, np.asarray(loss.predict(found.raw)))


def _comparison(data: Any, bench: Bench, design: Design, fitted: Sequence[Fitted], way: Asked, score: str | None, seed: int) -> Comparison:
    ready, wanted = bench.ready, bench.ready.target
    answers = answer_all(bench, fitted, score)
    fits = tuple(_fit(f, bench, answers, design) for f in fitted)
    names = dict.fromkeys(name for answer in answers for name in answer.standings)
    how = describe_split(bench.split, way, seed)
    notes = [*ready.notes, how, *describe(design, ready)]
    if any(ridge(f.candidate.loss, wanted) for f in fitted):
        notes.append(describe_ridge())
    notes += [f"{f.candidate.name}: {f.candidate.note}." for f in fitted if f.candidate.note]
    low, high = (0.0, 1.0) if wanted.classes else np.quantile(np.asarray(wanted.values, np.float64), [0.05, 0.95])
    count = np.bincount(wanted.values.astype(np.intp), minlength=len(wanted.classes)) if wanted.classes else np.zeros(0)
    return Comparison(
        source=ready.source,
        target=wanted.name,
        kind=wanted.kind,
        classes=wanted.classes,
        frequencies=tuple(float(c) / ready.n for c in count),
        target_range=(float(low), float(high)),
        rows=ready.n,
        scored=len(bench.split.scored),
        how=how,
        features=len(design.names),
        alerts=ready.alerts,
        notes=tuple(notes),
        roles=ready.columns,
        score_names=(*names, *((ERROR_RATE,) if wanted.classes else ())),
        fits=fits,
        answers=answers,
        observed=bench.observed,
        weight=bench.weight,
        columns=like(data, {part: [getattr(column, part) for column in ready.columns] for part in ("name", "role", "done")}),
        table=like(data, records(fits, answers)),
    )


def _fit(f: Fitted, bench: Bench, answers: Sequence[Answer], design: Design) -> Fit:
    loss, wanted, found = f.candidate.loss, bench.ready.target, f.cross.solution

    def whole() -> Model:
        of_all = f.cross.whole()
        return Model(loss, design, of_all.intercept, of_all.coef, wanted.name, wanted.kind, wanted.classes)

    return Fit(
        name=f.candidate.name,
        loss=loss,
        note=f.candidate.note,
        asked=f.candidate.asked,
        passes=found.passes,
        seconds=found.seconds,
        converged=not f.unsettled,
        objective=found.objective,
        scores=bench.scores(f, answers),
        raw=f.cross.raw[0],
        whole=whole,
    )
