"""A fit to files larger than memory: a sample shows what each column is; the rows are read once, and passes read their compact form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.fit import measure
from matchloss.fit.choice import settle
from matchloss.fit.facts import of_fit, of_solution
from matchloss.fit.parting import Parting, Split, parted
from matchloss.fit.result import FitResult, Step
from matchloss.linear.file_options import Reading
from matchloss.linear.from_files import HELD, Opened, opened, refuse_kinks, solve_source
from matchloss.linear.model import Model
from matchloss.linear.solve import Options, raw_of
from matchloss.linear.sources.files import Task, table_of
from matchloss.linear.sources.learn import Spec
from matchloss.linear.sources.memory import Memory
from matchloss.models.kinds import LINEAR
from matchloss.tables.crossfit import MAX_PASSES, describe_ridge, in_units, ridge
from matchloss.tables.design import describe_columns, levels_of
from matchloss.tables.diagrams import diagrams
from matchloss.tables.errors import DataError
from matchloss.tables.keys import label_text
from matchloss.tables.many_files import VALUE, ManyFiles, sample_of
from matchloss.tables.options import check_offset, told_of_offset
from matchloss.tables.outside import WEIGHT
from matchloss.tables.prepare import Prepared, prepare
from matchloss.tables.read import STDIN, pl
from matchloss.tables.splits import asked_split
from matchloss.tables.target import needed
from matchloss.tables.words import plural
from matchloss.urls import Url

if TYPE_CHECKING:
    from matchloss.losses import Loss, TargetKind
    from matchloss.tables import options

LOOKED_AT, AT_LEAST = 200_000, 20_000  # rows of the sample, as many as memory lets
MOST_SCORED, SCORED = 1_000_000, 256  # rows; and the bytes that scores and pictures take of each
LARGER = "this one is larger than --memory; --rows draws some of its rows into memory"
FLAGS = {"rows": None, "folds": None, "dates": "drop", "counts": None, "encoding": None}


def files_of(data: Any, memory: int | str | None) -> ManyFiles | None:
    """The files that a path, folder, pattern or list names; None for a frame, or the standard input."""
    if isinstance(data, str | Path | Url | list | tuple) and str(data) != STDIN:
        return ManyFiles.of(data, memory)
    return None


def fit_large(
    files: ManyFiles,
    target: str,
    given: options.Options,
    asked: Loss | None,
    settled: bool,
    *,
    model: str,
    l2: float | None,
    summary: bool,
    how: Reading,
    tell: Callable[[str], None],
) -> FitResult:
    """A linear model of all rows, and the scores of one of a part of them on the rest, as `matchloss.fit.run.fit` has them."""
    refuse(given, model, LARGER)
    table = table_of(list(files.places), Spec(target, weight=given.weight, categorical=tuple(given.categorical)))
    tell("looking at some of the rows")
    looked_at = files.memory // (HELD * VALUE * max(len(table.features), 1))
    plan = Plan.of(sample_of(table, min(LOOKED_AT, max(AT_LEAST, looked_at))), files.name, target, given, asked, settled, summary)
    table = replace(table_of(list(files.places), replace(plan.spec, weight=given.weight)), features=plan.split.columns)
    tasks = [Task(task.key, parted(task.batches, plan.parting)) for task in table.tasks]
    penalty = plan.ridge(l2)
    about = {"loss": repr(plan.loss), "l2": penalty, "seed": given.seed}
    with opened(replace(table, tasks=tasks), plan.spec, replace(how, tell=tell), about) as rows:
        return plan.result(rows, penalty, l2 is None and penalty > 0, given, "larger than memory", tell, files.memory // SCORED)


def refuse(given: options.Options, model: str, why: str) -> None:
    """DataError for what only a table in memory has, and `why` this one is not."""
    if model != LINEAR:
        raise DataError(f"--model {model} needs all rows in memory, and {why}")
    for name, usual in FLAGS.items():
        if getattr(given, name) != usual:
            raise DataError(f"--{name} is for tables that fit in memory, and {why}")
    if given.missing == "drop":
        raise DataError("--missing drop is for tables that fit in memory; --missing indicate keeps such rows, and error refuses them")
    if asked_split(given.split).how not in (None, "random"):
        raise DataError(f"--split {given.split} is for tables that fit in memory; of a larger one rows are held out by their values")


@dataclass(frozen=True, eq=False)
class Plan:
    """What a sample of the rows decided."""

    ready: Prepared
    loss: Loss
    why: str
    spec: Spec  # of the rows that `parting` makes
    split: Split
    given: options.Options
    summary: bool = False  # whether standard errors are asked for

    @classmethod
    def of(
        cls, some: pl.DataFrame, source: str, target: str, given: options.Options, asked: Loss | None, settled: bool, summary: bool
    ) -> Plan:
        """From the rows of a sample of the table that is called `source`."""
        check_offset(given, some, target, given.weight, source)
        aside = [] if given.offset is None else [given.offset]
        ready = prepare(
            some,
            target,
            source=source,
            keep=given.keep,
            drop=[*given.drop, *aside],
            categorical=given.categorical,
            take=needed([] if asked is None else [asked]),
            weight=given.weight,
            exposure=given.exposure,
        )
        said = [told_of_offset(name) for name in aside]
        ready = replace(ready, missing=given.missing, said=(*ready.said, *said))
        loss, why = settle(asked, settled, ready.target)
        bounds, labels = refuse_kinks(loss), bool(ready.target.classes)
        if summary and loss.family == "simplex":
            raise DataError(f"--summary of {loss.name}, a loss of several classes, is for tables that fit in memory")
        read = {*ready.features.columns, target, given.weight, given.exposure, given.offset}
        spec = Spec(
            target,
            labels=labels,
            weight=given.weight if given.exposure is None else WEIGHT,
            categorical=tuple(ready.levels),
            drop=tuple(name for name in some.columns if name not in read),
            missing=given.missing,  # pyright: ignore[reportArgumentType]
            bounds=None if labels else bounds,
            offset=given.offset,
        )
        return cls(ready, loss, why, spec, Split.of(ready, target, given.seed), given, summary)

    @property
    def parting(self) -> Parting:
        """How batches are taken apart."""
        levels = self.ready.levels
        numbers = [column.name for column in self.ready.features if column.dtype.is_numeric() and column.name not in levels]
        given = self.given
        numbers += [name for name in (given.exposure, given.offset) if name is not None]
        return Parting(self.split, given.weight, given.exposure, given.offset, tuple(numbers), self.ready.readings)

    def ridge(self, l2: float | None) -> float:
        """The ridge that is asked for, or else the one of a comparison."""
        return ridge(self.loss, self.ready.target) if l2 is None else l2

    def result(
        self,
        rows: Opened,
        l2: float,
        kept_finite: bool,
        given: options.Options,
        where: str,
        tell: Callable[[str], None],
        scored: int = MOST_SCORED,
    ) -> FitResult:
        """The fits to the rows that were read, and the scores of at most `scored`; `where` the rows are, in words."""
        wanted, loss = self.ready.target, self.loss
        classes = tuple(label_text(level) for level in rows.found.classes)
        if wanted.classes and loss.family != "simplex" and len(classes) != 2:
            raise DataError(
                f"the target {wanted.name} has {len(classes)} classes, and two in the rows looked at first; --loss cross_entropy takes them"
            )
        kind: TargetKind = wanted.kind if not classes else "binary" if len(classes) == 2 else "multiclass"
        fitted = _Fits(loss, kind, len(classes) if loss.family == "simplex" else None, l2, rows, tell, min(scored, MOST_SCORED))
        return _result(self, where, classes, fitted, kept_finite, given)


class _Fits:
    """The fit to the rows that are not held out, and to all, of one reading."""

    def __init__(
        self, loss: Loss, kind: TargetKind, outputs: int | None, l2: float, rows: Opened, tell: Callable[[str], None], most: int
    ) -> None:
        self.loss, self.outputs, self.l2, self.rows, self.most, self.tell = loss, outputs, l2, rows, most, tell
        self.kind: TargetKind = kind
        source = rows.found.of_target(np.float64 if outputs is None else np.int64)
        n, learned = source.rows.n, rows.ahead
        if not 0 < learned < n:
            raise DataError(f"all rows would be {'learned from' if learned else 'held out'}; take another --seed")
        scaled, unit = source.in_deviations() if l2 else (source, None)
        names, how = rows.found.design.names, Options(l2=l2, max_passes=MAX_PASSES)
        self.source, self.unit, self.held, self.learned = source, unit, source.between(learned, n), source.between(0, learned)
        tell(f"{loss.name}: rows that are not held out")
        part = solve_source(loss, rows.kept(scaled.between(0, learned)), how, outputs, names, rows.said)
        self.part = in_units(part, unit, l2)
        tell(f"{loss.name}: all rows")
        self.whole = in_units(solve_source(loss, rows.kept(scaled), how, outputs, names, rows.said), unit, l2)

    def scored(self) -> Memory:
        """The rows held out, or as many of them as are enough and memory takes."""
        return self.held.strided(-(-self.held.rows.n // self.most))


def _of_all(ready: Prepared, fits: _Fits, classes: tuple[str, ...]) -> str:
    """What is said of the target, by all rows where it is a label."""
    if not classes:
        return ready.target.message.removesuffix(".") + ", by these rows."
    share = replace(fits.rows.found.of_target(np.int64), weighted=False).mass(len(classes)) / fits.rows.found.source.rows.n
    shown = ", ".join(f"{name} ({part:.1%})" for name, part in list(zip(classes, share, strict=True))[:6])
    return f"The target {ready.target.name} is a label: {len(classes)} classes, {shown}{', ...' if len(classes) > 6 else ''}."


def _result(plan: Plan, where: str, classes: tuple[str, ...], fits: _Fits, kept_finite: bool, given: options.Options) -> FitResult:
    """The result, from the scores of the rows that are held out."""
    ready, loss, split, source = plan.ready, plan.loss, plan.split, plan.ready.source
    found, held, design, seen = fits.whole, fits.scored(), fits.rows.found.design, fits.rows.seen
    raw = raw_of(held.rows, fits.part.intercept, fits.part.coef, fits.part.centre, held.offset)
    more = {} if fits.outputs is None else {"n_classes": fits.outputs}
    constant = np.broadcast_to(np.asarray(loss.best_constant(*fits.learned.targets(), **more), np.float64), raw.shape)
    scores, beside = (measure.scores(loss, fits.kind, z[None], held.target, held.weight) for z in (raw, constant))
    scored, n = held.rows.n, fits.held.rows.n
    shown = f"{plural(n, 'row')} held out" if scored == n else f"{scored:,} of the {n:,} rows held out"
    aside = f"seed {split.seed}" if split.distinct else f"by values and places, since many rows are equal; seed {split.seed}"
    how = f"Scores are of {shown} ({aside})."
    said = [
        f"{source}: {plural(seen.read, 'row')}, {where}: read once; what the columns are was judged by {ready.n:,} of them.",
        *(_of_all(ready, fits, classes) if text == ready.target.message else text for text in ready.said[1:]),
    ]
    training, errors = of_solution(found, fits.l2), None
    if plan.summary:
        from matchloss.fit.errors import errors_outside  # which imports scipy.stats: most of a second, and 40 MB

        fits.tell("standard errors: one more pass")
        errors = errors_outside(fits.source, found, loss, fits.l2, design, classes, given.exposure is not None)
        training["inference"] = errors.as_facts()
    about = of_fit(ready, seen.rows, scored, how, scores, beside, given.weight, training)
    return FitResult(
        source=source,
        kind=fits.kind,
        why=plan.why,
        model=Model(
            loss, design, found.intercept, found.coef, ready.target.name, fits.kind, classes, about, ready.readings, offset=given.offset
        ),
        rows=seen.read,
        dropped=seen.read - seen.rows,
        scored=scored,
        how=how,
        alerts=ready.alerts,
        messages=(*said, how, *describe_columns(design, levels_of), *([describe_ridge()] if kept_finite else [])),
        warnings=tuple(found.messages),
        passes=found.passes,
        seconds=found.seconds,
        method=found.method,
        converged=found.converged,
        objective=found.objective + found.penalty,
        gradient_norm=found.gradient_norm,
        trace=tuple(Step(*step) for step in found.trace),
        effects=measure.effects(held.rows, found.coef, design.names, classes, loss, held.weight),
        scores=scores,
        constant=beside,
        reliability=diagrams(loss, np.asarray(loss.predict(raw)), held.target, classes, held.weight),
        summary=None if errors is None else errors.table,
    )
