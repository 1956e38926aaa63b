"""Rows of batches taken apart: those that are learned from, and those that are held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.model import Reading
from matchloss.linear.sources.learn import Place
from matchloss.tables.keys import Keys, Tally, as_target, held_out, placed, row_keys
from matchloss.tables.many_files import as_frame
from matchloss.tables.outside import WEIGHT
from matchloss.tables.prepare import Prepared
from matchloss.tables.read import pl
from matchloss.tables.recode import as_learned
from matchloss.tables.splits import FOLDS
from matchloss.tables.target import unknown
from matchloss.tables.weights import weighed


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

    def held(self, frame: pl.DataFrame, place: Place) -> NDArray[np.bool_]:
        """Which rows of a batch are held out."""
        keys: Keys = row_keys([*frame.select(self.columns), as_target(frame[self.target], self.labels)])
        return held_out(keys if self.distinct else placed(keys, place.start, place.name), self.seed, FOLDS)


@dataclass(frozen=True)
class Parting:
    """Takes batches apart: the rows learned from, and behind them those that are held out. Rows without target go."""

    split: Split
    weight: str | None
    exposure: str | None  # the target is divided by it, and it is, or multiplies, the weight, which becomes WEIGHT
    offset: str | None
    numbers: tuple[str, ...]
    readings: Mapping[str, Reading]

    def __call__(self, batch: Any, place: Place) -> Iterator[tuple[Any, Place]]:
        """The two parts of an Arrow or polars table, without those that are empty."""
        import pyarrow as pa

        split = self.split
        frame = as_learned(as_frame(batch), place.name, self.numbers, self.readings, None, place.start)
        known, weight = ~unknown(frame[split.target]).to_numpy(), self.weight
        if self.exposure is not None:
            there, made = np.flatnonzero(known), np.full((2, frame.height), np.nan)
            made[:, there] = weighed(frame[there], split.target, self.exposure, weight, place.start + there, place.name)
            frame, weight = frame.with_columns(pl.Series(split.target, made[0]), pl.Series(WEIGHT, made[1])), WEIGHT
        columns = [*split.columns, split.target, *(name for name in (weight, self.offset) if name is not None)]
        held = split.held(frame, place)
        kept = frame if self.readings or self.exposure else batch  # whose dictionaries stay as they are
        for part, chosen in enumerate((~held, held)):
            at = np.flatnonzero(chosen & known)
            if len(at):
                some = kept.select(columns)
                here = pa.Array.from_buffers(pa.int64(), len(at), [None, pa.py_buffer(at)])  # pa.array would import pandas
                yield some[at].to_arrow() if isinstance(some, pl.DataFrame) else some.take(here), replace(place, rows=at, part=part)


Batches = Callable[[int], Iterator[tuple[Any, Place]]]


def parted(batches: Batches, parting: Parting) -> Batches:
    """The batches of a task, each taken apart."""
    return lambda rows: (part for batch, place in batches(rows) for part in parting(batch, place))
