"""A table that is read in batches, larger than memory or spread over machines: a sample of its rows says what becomes of its columns.

A `Recipe` is what the sample decided, small enough to go to workers; it makes of any batch the rows to learn from and the rows held out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from matchloss.linear.model import Reading
from matchloss.linear.sources.compact import Learned
from matchloss.linear.sources.learn import Spec
from matchloss.tables.errors import DataError
from matchloss.tables.keys import Tally, as_target, drawn, held_out, label_text, placed, row_keys
from matchloss.tables.options import Options
from matchloss.tables.prepare import Missing, Prepared, prepare
from matchloss.tables.read import Read, pl
from matchloss.tables.recode import as_learned
from matchloss.tables.roles import has_one_value, missing
from matchloss.tables.splits import FOLDS, Split, asked_split
from matchloss.tables.target import Target, needed, unknown
from matchloss.tables.times import sources_of
from matchloss.tables.weights import weighed
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.losses import Loss

Tell = Callable[[str], None]

SAMPLE = 200_000  # rows that decide what becomes of the columns
SCORED = 1_000_000  # of the rows held out, at most so many are scored: more would only take memory
WEIGHT = "weight of the row"


@dataclass(frozen=True, eq=False)
class Parted:
    """A batch: the rows to learn from and those held out, of these columns: the features, the target and perhaps WEIGHT."""

    learn: pl.DataFrame
    held: pl.DataFrame
    order: np.ndarray  # a random number of each row held out, so that those with the least can stand for all
    tally: Tally


@dataclass(frozen=True)
class Recipe:
    """How a batch of the table is read."""

    target: str
    label: bool
    features: tuple[str, ...]
    levels: tuple[str, ...]  # columns of numbers that enter as levels
    numbers: tuple[str, ...]  # columns that hold numbers, although a batch may have text there
    readings: Mapping[str, Reading]
    weight: str | None = None
    exposure: str | None = None
    missing: Missing = "indicate"
    comma: bool | None = None
    seed: int = 0
    k: int = FOLDS
    by_place: bool = False  # rows are held out by their place, because too many of them are equal

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self.weight is not None or self.exposure is not None

    @property
    def spec(self) -> Spec:
        """What is asked of the rows that it makes."""
        policy = "error" if self.missing == "error" else "indicate"
        return Spec(self.target, self.label, WEIGHT if self.weighted else None, self.levels, (), policy)

    @property
    def needed(self) -> list[str]:
        """The columns of the table that it reads."""
        parts = sources_of({name: reading.time for name, reading in self.readings.items()})
        asked = [parts.get(name, name) for name in self.features]
        return list(dict.fromkeys([*asked, self.target, *(name for name in (self.weight, self.exposure) if name is not None)]))

    def rows(self, batch: pl.DataFrame, source: str, before: int = 0) -> pl.DataFrame:
        """The rows that have a target, as the model knows them: the features, the target, and WEIGHT if rows have weights.

        `before` rows of `source` came earlier. DataError for a value that cannot be, by row.
        """
        coded = [c for c in (*self.numbers, *self.readings) if c in batch.columns and isinstance(batch[c].dtype, pl.Categorical | pl.Enum)]
        batch = batch.with_columns(pl.col(coded).cast(pl.String)) if coded else batch  # Parquet's dictionaries, of numbers written as text
        y = batch[self.target]
        gone = unknown(y)
        stood = np.flatnonzero(~gone.to_numpy())
        known = as_learned(batch.filter(~gone) if gone.any() else batch, source, self.numbers, self.readings, self.comma, before)
        y = known[self.target]
        made = known.select(self.features)
        if not self.label:
            y = y.cast(pl.Float64)
            if y.is_infinite().any():
                at = before + stood[int(y.is_infinite().arg_max() or 0)]
                raise DataError(f"{source}: the target {self.target} is infinite in row {at + 1}; it must be finite")
        y, weight = weighed(known.with_columns(y), self.target, self.exposure, self.weight, before + stood, source)
        made = made.with_columns(y)
        if self.weighted:
            made = made.with_columns(pl.Series(WEIGHT, weight, pl.Float64))
        if self.missing == "drop":
            there = np.ones(made.height, bool)
            for name in self.features:
                there &= ~missing(made[name]).to_numpy()
            made = made.filter(pl.Series(there))
        return made

    def parted(self, batch: pl.DataFrame, source: str, before: int = 0) -> Parted:
        """The rows to learn from, and those held out."""
        rows = self.rows(batch, source, before)
        keys = row_keys([*rows.select(self.features), as_target(rows[self.target], self.label)])
        held = held_out(placed(keys, before, source) if self.by_place else keys, self.seed, self.k)
        order = drawn(keys[held], self.seed, 1)
        return Parted(rows.filter(pl.Series(~held)), rows.filter(pl.Series(held)), order, Tally.of(keys, held))


@dataclass(eq=False)
class Drawn:
    """Rows held out, of which at most `most` are kept, those with the least random numbers: the same ones in any order of batches."""

    most: int = SCORED
    rows: int = 0
    frames: list[pl.DataFrame] | None = None
    orders: list[np.ndarray] | None = None

    def add(self, held: pl.DataFrame, order: np.ndarray) -> None:
        """Adds some rows."""
        self.rows += held.height
        self.frames, self.orders = [*(self.frames or []), held], [*(self.orders or []), order]
        if sum(map(len, self.orders)) > 2 * self.most:
            self.frames, self.orders = [self.kept()], [np.sort(np.concatenate(self.orders))[: self.most]]

    def kept(self) -> pl.DataFrame:
        """The rows that are kept, in the order of their random numbers."""
        assert self.frames is not None and self.orders is not None
        whole = pl.concat(self.frames, how="vertical_relaxed")
        return whole[np.argsort(np.concatenate(self.orders), kind="stable")[: self.most]]


@dataclass(frozen=True, eq=False)
class Rows:
    """What the reading of all rows gave: those to learn from as a source, and those held out."""

    learned: Learned
    held: pl.DataFrame
    held_rows: int  # before the drawing
    tally: Tally


class Outside(Protocol):
    """A table that is read in batches."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    def sample(self, rows: int) -> Read:
        """About so many rows, from all of its parts."""
        ...

    def read(self, recipe: Recipe, tell: Tell) -> Rows:
        """All rows, once."""
        ...

    def close(self) -> None:
        """Nothing more is asked."""
        ...


@dataclass(frozen=True, eq=False)
class Outline:
    """What a sample decided, and its rows made ready."""

    ready: Prepared
    recipe: Recipe

    @classmethod
    def of(cls, sample: Read, target: str, options: Options, losses: Sequence[Loss]) -> Outline:
        """From the rows of a sample; `losses`: those that a person names. DataError for what cannot be done in batches."""
        asked = asked_split(options.split)
        if asked.how not in (None, "random"):
            raise DataError(f"--split {options.split} needs all rows in memory; rows that are read in batches are held out at random")
        for value, flag in ((options.rows, "--rows"), (options.weight if not isinstance(options.weight, str) else None, "sample_weight")):
            if value is not None:
                raise DataError(f"{flag} needs all rows in memory" + ("; name a column of weights" if flag != "--rows" else ""))
        ready = prepare(
            sample,
            target,
            source=options.source,
            keep=options.keep,
            drop=options.drop,
            categorical=options.categorical,
            counts=options.counts,
            take=needed(losses),
            exposure=options.exposure,
            weight=options.weight,
            dates=options.dates,
            missing=options.missing,
            seed=options.seed,
        )
        entering = tuple(column.name for column in ready.features if not has_one_value(column))
        if not entering:
            raise DataError("no column is left to learn from: each has one value only in the sample that was looked at")
        parts = sources_of({name: reading.time for name, reading in ready.readings.items()})
        label = bool(ready.target.classes)
        numbers = [name for name in entering if ready.features[name].dtype.is_numeric() and name not in parts]
        numbers += [name for name in (None if label else target, options.weight, options.exposure) if name is not None]
        return cls(
            ready,
            Recipe(
                target,
                label,
                entering,
                tuple(name for name in ready.levels if name in entering),
                tuple(numbers),
                ready.readings,
                options.weight,
                options.exposure,
                options.missing,
                sample.comma,
                options.seed,
                options.folds or FOLDS,
            ),
        )

    def of_held(self, rows: Rows, source: str) -> tuple[Prepared, Split, str]:
        """The rows held out as a table that is ready and split, and how scores come about, in a sentence."""
        held, recipe, classes = rows.held, self.recipe, rows.learned.classes
        if not held.height:
            raise DataError("no row is held out: there are too few rows; take another --seed")
        target = self._target(held, rows, classes)
        weight = held[WEIGHT].to_numpy() if recipe.weighted else None
        if weight is not None and not weight.any():
            raise DataError("the rows to score all have the weight 0; take another --seed")
        read = rows.tally.rows
        about = f"{source}: {plural(read, 'row')} with a value of {recipe.target}, read in batches"
        said = (f"{about}; what its columns are was judged by {plural(self.ready.n, 'row')}.", *self.ready.said[1:])
        ready = replace(
            self.ready,
            source=source,
            features=held.select(recipe.features),
            target=target,
            weight=weight,
            rows=np.arange(held.height),
            read=read,
            said=said,
        )
        folds = np.full((1, held.height), recipe.k - 1)
        some = plural(held.height, "row") if held.height == rows.held_rows else f"{held.height:,} of the {plural(rows.held_rows, 'row')}"
        why = ", by their place, because many rows are equal" if recipe.by_place else ""
        return ready, Split("random", folds), f"Scores are of {some} held out (seed {recipe.seed}{why})."

    def _target(self, held: pl.DataFrame, rows: Rows, classes: Sequence[object]) -> Target:
        wanted = self.ready.target
        if not classes:
            return replace(wanted, values=held[self.recipe.target].to_numpy())
        code = {level: k for k, level in enumerate(classes)}
        column = held[self.recipe.target]
        if isinstance(column.dtype, pl.Categorical | pl.Enum):
            column = column.cast(pl.String)
        values = column.replace_strict(list(code), list(code.values()), return_dtype=pl.Int64).to_numpy()
        names = tuple(label_text(level) for level in classes)
        kind = "binary" if len(names) == 2 else "multiclass"
        if len(names) > 2 and len(wanted.classes) == 2 and column.dtype.is_numeric():
            new = next(name for name in names if name not in wanted.classes)
            raise DataError(
                f"the target {wanted.name} had two values, {' and '.join(wanted.classes)}, in the sample that was looked at, and is {new} "
                f"in other rows; --categorical {wanted.name} takes it as a label of many classes, --losses squared_error as a number"
            )
        return replace(wanted, kind=kind, classes=names, values=values.astype(np.float64) if kind == "binary" else values)
