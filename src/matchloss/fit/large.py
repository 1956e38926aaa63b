"""A fit to files larger than memory: a sample shows what each column is; the rows are read once, and passes read their compact form."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import matchloss
from matchloss.fit import measure
from matchloss.fit.choice import settle
from matchloss.fit.result import FitResult, Step
from matchloss.fit.trained import known
from matchloss.linear.from_files import Opened, Reading, bytes_of, opened, refuse_kinks, solve_source
from matchloss.linear.model import Model
from matchloss.linear.solve import Options, raw_of
from matchloss.linear.sources.files import Table, Task, kind_of_file, places_of, table_of
from matchloss.linear.sources.learn import Place, Spec
from matchloss.linear.sources.memory import Memory
from matchloss.models.kinds import LINEAR
from matchloss.tables.crossfit import MAX_PASSES, describe_ridge, in_units, ridge
from matchloss.tables.design import describe_columns, levels_of
from matchloss.tables.diagrams import diagrams
from matchloss.tables.errors import DataError
from matchloss.tables.keys import Keys, Tally, as_target, held_out, label_text, placed, row_keys
from matchloss.tables.prepare import Prepared, prepare
from matchloss.tables.read import STDIN, Read, pl, read_table
from matchloss.tables.recode import as_learned
from matchloss.tables.splits import FOLDS, asked_split
from matchloss.tables.target import needed
from matchloss.tables.words import plural
from matchloss.urls import Location, Url, matching, stamp

if TYPE_CHECKING:
    from matchloss.losses import Loss, TargetKind
    from matchloss.tables import options

LOOKED_AT = 200_000  # rows of the sample
MOST_SCORED = 1_000_000  # rows
VALUE = 32  # bytes that a value of a table takes while it is read, prepared and fitted in memory
TEXT = {".gz": 20.0}  # bytes in memory for each of a file's; 4 for those that are not compressed
FLAGS = {"rows": None, "folds": None, "exposure": None, "dates": "drop", "counts": None, "encoding": None}


@dataclass(frozen=True)
class Files:
    """Files of a table, and how much memory its rows may take."""

    places: tuple[Location, ...]
    memory: int

    @property
    def name(self) -> str:
        """What to call them."""
        first = self.places[0].name
        return first if len(self.places) == 1 else f"{first} and {plural(len(self.places) - 1, 'other file')}"

    def larger(self) -> bool:
        """Whether the table would take more memory than it may."""
        return sum(map(_in_memory, self.places)) > self.memory

    def read(self, encoding: str | None) -> Read:
        """All rows in memory; DataError for files whose columns differ."""
        found = [read_table(place, encoding) for place in self.places]
        if len(found) == 1:
            return found[0]
        for place, one in zip(self.places, found, strict=True):
            if set(one.table.columns) != set(found[0].table.columns):
                differ = sorted(set(one.table.columns) ^ set(found[0].table.columns))
                raise DataError(f"{place.name} and {self.places[0].name} have not the same columns: {', '.join(differ[:6])}")
        try:
            whole = pl.concat([one.table.select(found[0].table.columns) for one in found], how="vertical_relaxed")
        except pl.exceptions.PolarsError as error:
            raise DataError(f"the files do not go together: {str(error).splitlines()[0]}") from error
        return Read(whole, self.name, tuple(dict.fromkeys(said for one in found for said in one.said)), found[0].comma)


def files_of(data: Any, memory: int | str | None) -> Files | None:
    """The files that a path, folder, pattern or list names; None for a frame, or the standard input."""
    if isinstance(data, str | Path | Url | list | tuple):
        if str(data) == STDIN:
            return None
        found = places_of(data) if isinstance(data, list | tuple) else matching(data)
        return Files(tuple(found if len(found) == 1 else places_of(data)), bytes_of(memory))
    return None


def _in_memory(place: Location) -> float:
    """The bytes that a file's table takes in memory, roughly."""
    if kind_of_file(place) == "parquet" and place.exists():
        table = table_of(str(place), Spec("", drop=()), checked=False)
        return VALUE * float(table.rows or 0) * max(len(table.features), 1)
    return stamp(place)[0] * TEXT.get(place.suffix, 4.0) if place.exists() and kind_of_file(place) else 0.0


def fit_large(
    files: Files,
    target: str,
    given: options.Options,
    asked: Loss | None,
    settled: bool,
    *,
    model: str,
    l2: float | None,
    how: Reading,
    tell: Callable[[str], None],
) -> FitResult:
    """A linear model of all rows, and the scores of one of a part of them on the rest, as `matchloss.fit.run.fit` has them."""
    _refuse(given, model)
    spec = Spec(target, weight=given.weight, categorical=tuple(given.categorical), missing=given.missing)  # pyright: ignore[reportArgumentType]
    table = table_of(list(files.places), spec)
    tell("looking at some of the rows")
    ready = _looked_at(table, files.name, target, given, asked)
    wanted = ready.target
    loss, why = settle(asked, settled, wanted)
    entering = tuple(ready.features.columns)
    aside = tuple(name for name in table.features if name not in entering and name not in (target, given.weight))
    spec = replace(
        spec,
        labels=bool(wanted.classes),
        categorical=tuple(ready.levels),
        drop=aside,
        bounds=None if wanted.classes else refuse_kinks(loss),
    )
    refuse_kinks(loss)
    split = Split.of(ready, target, given.seed)
    table = replace(table_of(list(files.places), spec), features=entering)
    tasks = [Task(task.key, _split(task.batches, ready, spec, split)) for task in table.tasks]
    penalty = ridge(loss, wanted) if l2 is None else l2
    about = {"loss": repr(loss), "l2": penalty, "seed": given.seed}
    with opened(replace(table, tasks=tasks), spec, replace(how, tell=tell), about) as rows:
        classes = tuple(label_text(level) for level in rows.found.classes)
        if wanted.classes and loss.family != "simplex" and len(classes) != 2:
            raise DataError(
                f"the target {target} has {len(classes)} classes, and two in the rows looked at first; --loss cross_entropy takes them"
            )
        kind: TargetKind = wanted.kind if not classes else "binary" if len(classes) == 2 else "multiclass"
        fitted = _Fits(loss, kind, len(classes) if loss.family == "simplex" else None, penalty, rows, tell)
        return _result(files, ready, loss, why, classes, split, fitted, l2 is None and penalty > 0, given)


def _refuse(given: options.Options, model: str) -> None:
    """DataError for what only a table in memory has."""
    if model != LINEAR:
        raise DataError(
            f"--model {model} needs all rows in memory, and the table is larger than --memory: allow more, or give a sample of the rows"
        )
    for name, usual in FLAGS.items():
        if getattr(given, name) != usual:
            raise DataError(f"--{name} is for tables that fit in memory, and this one is larger than --memory")
    if given.missing == "drop":
        raise DataError("--missing drop is for tables that fit in memory; --missing indicate keeps such rows, and error refuses them")
    if asked_split(given.split).how not in (None, "random"):
        raise DataError(f"--split {given.split} is for tables that fit in memory; of a larger one rows are held out by their values")


def _looked_at(table: Table, source: str, target: str, given: options.Options, asked: Loss | None) -> Prepared:
    """What a sample of the rows, from all over the files, shows of the columns."""
    tasks = [table.tasks[k] for k in np.unique(np.linspace(0, len(table.tasks) - 1, 16).astype(int))]
    frames = [batch for task in tasks if (batch := next(task.batches(LOOKED_AT // len(tasks)), None)) is not None]
    some = pl.concat([_frame(batch).head(LOOKED_AT // len(tasks)) for batch, _ in frames], how="vertical_relaxed")
    ready = prepare(
        some,
        target,
        source=source,
        keep=given.keep,
        drop=given.drop,
        categorical=given.categorical,
        take=needed([] if asked is None else [asked]),
        weight=given.weight,
    )
    return replace(ready, missing=given.missing)


def _frame(batch: Any) -> pl.DataFrame:
    """A batch in polars, its dictionaries as text."""
    return pl.DataFrame(pl.from_arrow(batch)).with_columns(pl.col(pl.Categorical).cast(pl.String))


@dataclass(frozen=True)
class Split:
    """Which rows are held out: by their values alone, or by where they stand too if many rows are equal."""

    columns: tuple[str, ...]
    target: str
    labels: bool
    seed: int
    distinct: bool

    @classmethod
    def of(cls, ready: Prepared, target: str, seed: int) -> Split:
        """That of a table, by its sample."""
        made = cls(tuple(ready.features.columns), target, bool(ready.target.classes), seed, True)
        values = pl.Series(target, np.asarray(ready.target.values))
        if ready.target.classes:
            values = pl.Series(target, ready.target.classes)[values.cast(pl.Int64)]
        keys = row_keys([*ready.features, values])
        return replace(made, distinct=Tally.of(keys, held_out(keys, seed, FOLDS)).mostly_distinct(FOLDS))

    def held(self, frame: pl.DataFrame, start: int) -> NDArray[np.bool_]:
        """Which rows of a batch are held out."""
        keys: Keys = row_keys([*frame.select(self.columns), as_target(frame[self.target], self.labels)])
        return held_out(keys if self.distinct else placed(keys, start), self.seed, FOLDS)


Batches = Callable[[int], Iterator[tuple[Any, Place]]]


def _split(batches: Batches, ready: Prepared, spec: Spec, split: Split) -> Batches:
    """The batches of a task, each in two: the rows learned from, and behind them those that are held out. Rows without target go."""
    import pyarrow as pa

    numbers = [column.name for column in ready.features if column.dtype.is_numeric() and column.name not in ready.levels]

    def both(rows: int) -> Iterator[tuple[Any, Place]]:
        for batch, place in batches(rows):
            frame = as_learned(_frame(batch), place.name, numbers, ready.readings, None, place.start)
            columns = [*split.columns, split.target, *([] if spec.weight is None else [spec.weight])]
            gone = frame[split.target].is_null()
            if frame[split.target].dtype.is_float():
                gone |= frame[split.target].is_nan().fill_null(False)
            held = split.held(frame, place.start)
            coded = batch if not ready.readings else None
            for part, chosen in enumerate((~held, held)):
                at = np.flatnonzero(chosen & ~gone.to_numpy())
                if not len(at):
                    continue
                where = replace(place, rows=at, part=part)
                if coded is not None:
                    yield coded.select(columns).take(pa.array(at)), where
                else:
                    yield frame.select(columns)[at].to_arrow(), where

    return both


class _Fits:
    """The fit to the rows that are not held out, and to all, of one reading."""

    def __init__(self, loss: Loss, kind: TargetKind, outputs: int | None, l2: float, rows: Opened, tell: Callable[[str], None]) -> None:
        self.loss, self.outputs, self.l2, self.rows = loss, outputs, l2, rows
        self.kind: TargetKind = kind
        source = rows.found.of_target(np.float64 if outputs is None else np.int64)
        n, learned = rows.store.n, sum(piece.rows for piece in rows.store.found if piece.key[0] == 0)
        if not 0 < learned < n:
            raise DataError(f"all rows would be {'learned from' if learned else 'held out'}; take another --seed")
        scaled, unit = source.in_deviations() if l2 else (source, None)
        names, how = rows.found.design.names, Options(l2=l2, max_passes=MAX_PASSES)
        self.unit, self.held, self.learned = unit, source.between(learned, n), source.between(0, learned)
        tell(f"{loss.name}: rows that are not held out")
        part = solve_source(loss, rows.kept(scaled.between(0, learned)), how, outputs, names, rows.said)
        self.part = in_units(part, unit, l2)
        tell(f"{loss.name}: all rows")
        self.whole = in_units(solve_source(loss, rows.kept(scaled), how, outputs, names, rows.said), unit, l2)

    def scored(self) -> Memory:
        """The rows held out, or as many of them as are enough."""
        return self.held.strided(-(-self.held.rows.n // MOST_SCORED))


def _of_all(ready: Prepared, fits: _Fits, classes: tuple[str, ...]) -> str:
    """What is said of the target, by all rows where it is a label."""
    if not classes:
        return ready.target.message.removesuffix(".") + ", by these rows."
    share = replace(fits.rows.found.of_target(np.int64), weighted=False).mass(len(classes)) / fits.rows.store.n
    shown = ", ".join(f"{name} ({part:.1%})" for name, part in list(zip(classes, share, strict=True))[:6])
    return f"The target {ready.target.name} is a label: {len(classes)} classes, {shown}{', ...' if len(classes) > 6 else ''}."


def _result(
    files: Files,
    ready: Prepared,
    loss: Loss,
    why: str,
    classes: tuple[str, ...],
    split: Split,
    fits: _Fits,
    kept_finite: bool,
    given: options.Options,
) -> FitResult:
    """The result, from the scores of the rows that are held out."""
    found, held, design, seen = fits.whole, fits.scored(), fits.rows.found.design, fits.rows.seen
    raw = raw_of(held.rows, fits.part.intercept, fits.part.coef, fits.part.centre)
    more = {} if fits.outputs is None else {"n_classes": fits.outputs}
    constant = np.broadcast_to(np.asarray(loss.best_constant(*fits.learned.targets(), **more), np.float64), raw.shape)
    scores, beside = (measure.scores(loss, fits.kind, z[None], held.target, held.weight) for z in (raw, constant))
    scored, n = held.rows.n, fits.held.rows.n
    shown = f"{plural(n, 'row')} held out" if scored == n else f"{scored:,} of the {n:,} rows held out"
    aside = f"seed {split.seed}" if split.distinct else f"by values and places, since many rows are equal; seed {split.seed}"
    how = f"Scores are of {shown} ({aside})."
    said = [
        f"{files.name}: {plural(seen.read, 'row')}, larger than memory: read once; what the columns are was judged by {ready.n:,} of them.",
        *(_of_all(ready, fits, classes) if text == ready.target.message else text for text in ready.said[1:]),
    ]
    about = {
        "source": files.name,
        "missing": given.missing,
        "rows": seen.rows,
        "scored": scored,
        "split": how,
        "scores": {name: {"model": known(s.value), "constant": known(beside[name].value)} for name, s in scores.items()},
        "weight": given.weight,
        "l2": fits.l2,
        "method": found.method,
        "passes": found.passes,
        "seconds": round(found.seconds, 3),
        "converged": found.converged,
        "objective": known(found.objective),
        "gradient_norm": known(found.gradient_norm),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": matchloss.__version__,
    }
    return FitResult(
        source=files.name,
        kind=fits.kind,
        why=why,
        model=Model(loss, design, found.intercept, found.coef, ready.target.name, fits.kind, classes, about, ready.readings),
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
    )
