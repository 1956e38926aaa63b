"""A comparison: the same model, by the same trainer, under every candidate loss, judged on rows that no model saw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from matchloss.comparison.candidates import Candidate, choose, with_models
from matchloss.comparison.judging import Bench, Fitted, answer_all
from matchloss.comparison.lines import records
from matchloss.comparison.outside import made_ready, outside_of
from matchloss.comparison.result import Answer, Comparison, Fit
from matchloss.linear.sources.files import FileError
from matchloss.models.found import CannotTrain
from matchloss.models.kinds import LINEAR, asked_kinds, models_of
from matchloss.names import split_names
from matchloss.tables.crossfit import describe_ridge, ridge
from matchloss.tables.errors import DataError
from matchloss.tables.frames import like
from matchloss.tables.losses import get_loss
from matchloss.tables.options import Options, Study, study
from matchloss.tables.outside import Outside
from matchloss.tables.read import Read
from matchloss.tables.scores import ERROR_RATE
from matchloss.tables.words import listed

if TYPE_CHECKING:
    from matchloss.losses import Loss
    from matchloss.models.found import Models

Tell = Callable[[str], None]


def compare(
    data: Any,
    target: str,
    losses: str | Sequence[str | Loss] | None = None,
    quantile: float | str | Sequence[float] | None = None,
    score: str | None = None,
    model: str | Sequence[str] = "linear",
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
    offset: str | None = None,
    source: str | None = None,
    rows: int | None = None,
    encoding: str | None = None,
    memory: int | str | None = None,
    scratch: str | Path | None = None,
    client: Any = None,
    progress: Tell | None = None,
) -> Comparison:
    """Which loss fits the column `target` of a table: the same model under each loss, judged on rows that the model did not see.

    model: "linear", "trees" (scikit-learn's boosted trees), "lightgbm", "xgboost" or "catboost", or several, "linear,trees", whose
    candidates are ranked together and called "trees:poisson". data: a frame of pandas, polars or Arrow, the path of a file, a folder, a
    pattern or a list of paths, or a Dask data frame. Files that would take more than `memory` ("2GB"; by default half of what is free) are
    read in batches, with a scratch file in the folder `scratch`; a Dask data frame stays with the workers of `client`. Losses with kinks
    need all rows in memory and are left out then. losses: names, with parameters if need be ("huber(delta=2)", or several with commas),
    "module:class" for your own, or losses; by default those that suit the target. quantile: levels, such as [0.1, 0.9], to compare
    quantiles instead. score: decides instead of squared error (numbers), Poisson deviance (counts), the log score (labels) or the pinball
    score (quantiles), where it is consistent for the question. split: auto, random, stratified, group:COLUMN or time:COLUMN; folds: 5 by
    default. sample_weight: a column, or a number for each row. offset: a column that is added to the raw predictions of linear models, such
    as the logarithm of an exposure. The other options are those of `matchloss compare` on the command line.
    `progress` is told what goes on.
    DataError (a ValueError) for a table, a column or an option that no comparison can be made from; ImportError, before any work, with the
    pip command where `model` names a library that is not installed.

    >>> import polars as pl
    >>> table = pl.DataFrame({"x": [i % 7 for i in range(70)], "y": [2 * (i % 7) + i % 3 - 3 for i in range(70)]})
    >>> found = compare(table, "y", losses="squared_error,absolute_error")
    >>> [(verdict.functional, verdict.best) for verdict in found.verdicts]
    [('mean', 'squared_error'), ('median', 'absolute_error')]
    """
    tell = progress or (lambda text: None)
    kinds = asked_kinds(model)
    other = next((kind for kind in kinds if kind != LINEAR), None)
    if offset is not None and other:
        raise DataError(f"--offset is for the raw predictions of linear models; --model {other} has none")
    named = split_names(losses) if isinstance(losses, str) else losses
    table = Options(source, keep, drop, categorical, counts, exposure, sample_weight, dates, "indicate", rows, encoding, split, folds, seed)
    given = replace(table, offset=offset)
    asked = [get_loss(name) for name in named or () if name != "argument"]
    outside = outside_of(data, target, memory, scratch, client, rows, seed)
    if outside is not None and not isinstance(outside, Read):
        return _outside(outside, data, target, given, named, asked, _levels(quantile), kinds, score, tell)
    made = study(data if outside is None else outside, target, given, asked, tell)
    chosen = with_models(choose(made.ready.target, named, _levels(quantile)), kinds)
    models = {kind: models_of(kind, made, seed) for kind in kinds}
    fitted, refused = _all_fitted(chosen, models, tell)
    bench = Bench(made.ready, made.split)
    tell("comparing the scores")
    return _comparison(data, bench, made, models, fitted, refused, score)


def _outside(
    outside: Outside,
    data: Any,
    target: str,
    options: Options,
    named: Sequence[str | Loss] | None,
    losses: Sequence[Loss],
    levels: Sequence[float],
    kinds: Sequence[str],
    score: str | None,
    tell: Tell,
) -> Comparison:
    """The comparison of a table that is read in batches."""
    if tuple(kinds) != (LINEAR,):
        raise DataError(f"--model {','.join(kinds)} needs all rows in memory; rows that are read in batches take linear models")
    if options.offset is not None:
        raise DataError("--offset needs all rows in memory in a comparison; --rows draws as many as there is room for")
    try:
        made = made_ready(outside, target, options, named, losses, levels, tell)
        models: dict[str, Models] = {LINEAR: made.models}
        fitted, refused = _all_fitted(made.chosen, models, tell)
        found = _comparison(data, made.bench, made.study, models, fitted, refused, score)
    except FileError as error:
        raise DataError(str(error)) from error
    finally:
        outside.close()
    return replace(found, rows=made.rows, frequencies=made.frequencies, split=None, places=None)


def _levels(quantile: float | str | Sequence[float] | None) -> list[float]:
    """The levels of the quantiles that were asked for."""
    if quantile is None:
        return []
    given = split_names(quantile) if isinstance(quantile, str) else [quantile] if isinstance(quantile, int | float) else list(quantile)
    try:
        return [float(level) for level in given]
    except (TypeError, ValueError) as error:
        raise DataError(f"--quantile is {quantile}; it takes levels between 0 and 1, such as 0.1,0.9") from error


def _all_fitted(chosen: Sequence[Candidate], models: Mapping[str, Models], tell: Tell) -> tuple[list[Fitted], dict[str, str]]:
    """The candidates' models, and by name why others could not be trained; DataError where none could."""
    fitted: list[Fitted] = []
    refused: dict[str, str] = {}
    for candidate in chosen:
        try:
            found = models[candidate.model].found(candidate.loss, tell)
        except CannotTrain as error:
            refused[candidate.name] = str(error)
        else:
            fitted.append(Fitted(candidate, found, np.asarray(candidate.loss.predict(found.raw))))
    if not fitted:
        name, why = next(iter(refused.items()))
        raise DataError(f"no loss is left to compare: {name} is left out, since {why}")
    return fitted, refused


def _comparison(
    data: Any,
    bench: Bench,
    made: Study,
    models: Mapping[str, Models],
    fitted: Sequence[Fitted],
    refused: Mapping[str, str],
    score: str | None,
) -> Comparison:
    ready, wanted = bench.ready, bench.ready.target
    answers = answer_all(bench, fitted, score)
    fits = tuple(_fit(f, bench, answers) for f in fitted)
    scores = dict.fromkeys(name for answer in answers for name in answer.standings)
    first, *others = models.values()
    notes = [*ready.notes, made.how, *first.notes(), *(note for of in others for note in of.notes(alone=False))]
    if any(f.candidate.model == LINEAR and ridge(f.candidate.loss, wanted) for f in fitted):
        notes.append(describe_ridge())
    if made.offset_column is not None:
        notes += scales_of_offset(made.offset_column, [f.candidate.loss for f in fitted])
    notes += dict.fromkeys(f"{f.candidate.loss.name}: {f.candidate.note}." for f in fitted if f.candidate.note)
    for reason in dict.fromkeys(refused.values()):
        names = [name for name, why in refused.items() if why == reason]
        notes.append(f"{listed(names)} {'is' if len(names) == 1 else 'are'} left out, since {reason}.")
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
        how=made.how,
        models=tuple(models),
        features=next(iter(models.values())).columns,
        alerts=ready.alerts,
        notes=tuple(notes),
        roles=ready.columns,
        score_names=(*scores, *((ERROR_RATE,) if wanted.classes else ())),
        fits=fits,
        answers=answers,
        observed=bench.observed,
        weight=bench.weight,
        columns=like(data, {part: [getattr(column, part) for column in ready.columns] for part in ("name", "role", "done")}),
        table=like(data, records(fits, answers)),
        split=bench.split,
        places=ready.rows,
    )


def scales_of_offset(column: str, losses: Sequence[Loss]) -> list[str]:
    """That an offset means something else under another link; nothing where all links are the same.

    >>> import matchloss as ml
    >>> scales_of_offset("log_hours", [ml.Poisson(), ml.Gamma()])
    []
    >>> print(*scales_of_offset("log_hours", [ml.Poisson(), ml.SquaredError()]))
    log_hours is on the scale of the link: log (poisson); identity (squared_error). Compare losses of the link that it is meant for.
    """
    links: dict[str, dict[str, None]] = {}
    for loss in losses:
        links.setdefault(loss.link_name, {})[loss.name] = None
    each = "; ".join(f"{link} ({listed(names)})" for link, names in links.items())
    said = f"{column} is on the scale of the link: {each}. Compare losses of the link that it is meant for."
    return [said] if len(links) > 1 else []


def _fit(f: Fitted, bench: Bench, answers: Sequence[Answer]) -> Fit:
    return Fit(
        name=f.candidate.name,
        kind=f.candidate.model,
        loss=f.candidate.loss,
        note=f.candidate.note,
        asked=f.candidate.asked,
        passes=f.found.steps,
        seconds=f.found.seconds,
        converged=not f.unsettled,
        objective=f.found.objective,
        scores=bench.scores(f, answers),
        raw=f.found.raw[0],
        whole=f.found.whole,
    )
