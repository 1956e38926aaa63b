"""Files that a person names as one table: what they are called, whether memory takes them, all of their rows, and some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchloss.linear.file_options import bytes_of
from matchloss.linear.sources.files import Table, kind_of_file, places_of, table_of
from matchloss.linear.sources.learn import Spec
from matchloss.linear.sources.scratch import in_words
from matchloss.tables.errors import DataError
from matchloss.tables.keys import drawn, placed
from matchloss.tables.outside import Drawn
from matchloss.tables.read import Read, pl, read_table
from matchloss.tables.target import unknown
from matchloss.tables.words import plural
from matchloss.urls import Location, matching, stamp

PLACES = 20  # of the files, that a sample is taken from
VALUE = 32  # bytes that a value of a table takes while it is read, prepared and fitted in memory
TEXT = {".gz": 20.0}  # bytes in memory for each of a file's; 4 for those that are not compressed


@dataclass(frozen=True)
class ManyFiles:
    """One file or more, and how much memory its rows may take."""

    places: tuple[Location, ...]
    memory: int

    @classmethod
    def of(cls, data: Any, memory: int | str | None) -> ManyFiles:
        """The files that a path, a URL, a folder, a pattern or a list of these names; FileError for none."""
        found = [] if isinstance(data, list | tuple) else matching(data)
        return cls(tuple(found if len(found) == 1 else places_of(data)), bytes_of(memory))

    @property
    def name(self) -> str:
        """What to call them."""
        first, last = self.places[0].name, self.places[-1].name
        return first if len(self.places) == 1 else f"{len(self.places)} files, {first} to {last}"

    @property
    def larger_than_memory(self) -> bool:
        """Whether the whole table would take more memory than it may."""
        return sum(map(_in_memory, self.places)) > self.memory

    def whole(self, encoding: str | None = None) -> Read:
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

    def draw(self, target: str, rows: int, seed: int) -> Read:
        """So many of the rows that have a target, drawn at random by their places, in one reading; DataError for more than memory takes."""
        table = table_of(list(self.places), Spec(target))
        takes = VALUE * rows * (len(table.features) + 1)
        if takes > self.memory:
            raise DataError(f"--rows {rows} take about {in_words(takes)} of memory, more than --memory, {in_words(self.memory)}")
        kept, read = Drawn(max(rows, 2)), 0
        for frame, start, name in _frames(table):
            gone = unknown(frame[target])
            order = drawn(placed(np.zeros(frame.height, np.uint64), start, name), seed)
            kept.add(frame.filter(~gone), order[~gone.to_numpy()])
            read += frame.height
        table.unchanged()
        if not kept.rows:
            raise DataError(f"no row of {self.name} has a value of {target}")
        said = f"{plural(min(rows, kept.rows), 'row')} of {read:,} are read into memory, drawn at random, as --rows says."
        return Read(kept.kept(), self.name, (said,))


def sample_of(table: Table, rows: int) -> pl.DataFrame:
    """About so many rows, from the beginnings of PLACES places all over the files."""
    tasks = [table.tasks[k] for k in np.unique(np.linspace(0, len(table.tasks) - 1, PLACES).astype(int))]
    each, frames = -(-rows // len(tasks)), []
    for task in tasks:
        left = each
        for batch, _ in task.batches(min(each, 1 << 16)):
            frames.append(as_frame(batch)[:left])
            left -= frames[-1].height
            if left <= 0:
                break
    return pl.concat(frames, how="vertical_relaxed")


def as_frame(batch: Any) -> pl.DataFrame:
    """A batch in polars; as text, in which numbers may be hidden, what Parquet has as dictionaries."""
    frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(pl.from_arrow(batch))
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))


def _frames(table: Table) -> Iterator[tuple[pl.DataFrame, int, str]]:
    for task in table.tasks:
        for batch, place in task.batches(1 << 16):
            yield as_frame(batch), place.start, place.name


def _in_memory(place: Location) -> float:
    """The bytes that a file's table takes in memory, roughly."""
    if not (place.exists() and kind_of_file(place)):
        return 0.0
    if kind_of_file(place) == "parquet":
        table = table_of(str(place), Spec("", drop=()), checked=False)
        return VALUE * float(table.rows or 0) * max(len(table.features), 1)
    return stamp(place)[0] * TEXT.get(place.suffix, 4.0)
