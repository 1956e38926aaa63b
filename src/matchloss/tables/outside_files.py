"""Tables in files that are larger than memory, read in batches; the rows to learn from go to a scratch file in compact form."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from matchloss.linear.from_files import HELD, bytes_of, free_memory, read_all
from matchloss.linear.sources.compact import learned
from matchloss.linear.sources.files import Table, Task, places_of, table_of
from matchloss.linear.sources.learn import Place, Seen, Spec
from matchloss.linear.sources.scratch import Scratch
from matchloss.tables.keys import Tally
from matchloss.tables.outside import Drawn, Parted, Recipe, Rows, Tell
from matchloss.tables.read import Read, pl, read_table, require_columns
from matchloss.urls import Location, stamp

LOOKED_AT = 20  # places of the files that a sample is taken from
GROWS = 4  # times a file's size is what its table takes in memory, roughly: text and compression


@dataclass(eq=False)
class Files:
    """One or more files that go together."""

    paths: Sequence[Location]
    name: str
    target: str
    memory: int
    folder: Path
    store: Scratch | None = None

    @classmethod
    def of(cls, data: Any, target: str, memory: int | str | None = None, scratch: str | Path | None = None) -> Files:
        """The files that a path, a folder, a pattern or a list of paths names."""
        paths = places_of(data)
        name = paths[0].name if len(paths) == 1 else f"{len(paths)} files, {paths[0].name} to {paths[-1].name}"
        return cls(paths, name, target, bytes_of(memory), Path(scratch or tempfile.gettempdir()))

    @property
    def larger_than_memory(self) -> bool:
        """Whether the whole table would take more than may be taken."""
        return GROWS * sum(stamp(path)[0] for path in self.paths) > min(self.memory, free_memory())

    @cached_property
    def table(self) -> Table:
        """All files with all columns."""
        return table_of(list(self.paths), Spec(self.target))

    def whole(self) -> Read:
        """All rows in memory."""
        tables = [read_table(path) for path in self.paths]
        for path, read in zip(self.paths, tables, strict=True):
            require_columns(read.table, tables[0].table.columns, path.name)
        names = tables[0].table.columns
        return replace(tables[0], table=pl.concat([read.table.select(names) for read in tables], how="vertical_relaxed"), name=self.name)

    def sample(self, rows: int) -> Read:
        """About so many rows, from the beginnings of LOOKED_AT places."""
        tasks = self.table.tasks
        some = [tasks[k] for k in np.unique(np.linspace(0, len(tasks) - 1, LOOKED_AT).astype(int))]
        each, frames = -(-rows // len(some)), []
        for task in some:
            left = each
            for batch, _ in task.batches(min(each, 1 << 16)):
                frames.append(_polars(batch)[:left])
                left -= frames[-1].height
                if left <= 0:
                    break
        sample = pl.concat([frame.with_columns(pl.col(pl.Categorical).cast(pl.String)) for frame in frames], how="vertical_relaxed")
        return Read(sample, self.name)  # as text, in which numbers may be hidden: Parquet's dictionaries are no categories

    def read(self, recipe: Recipe, tell: Tell) -> Rows:
        """All rows, once, on threads."""
        drawn, tally, lock = Drawn(), Tally(), threading.Lock()
        everything = self.table.features
        whole = table_of(list(self.paths), Spec(recipe.target, drop=tuple(name for name in everything if name not in recipe.needed)))

        def parted(task: Task) -> Task:
            def batches(rows: int) -> Iterator[tuple[Any, Place]]:
                nonlocal tally
                for batch, place in task.batches(rows):
                    made: Parted = recipe.parted(_polars(batch), place.name, place.start)
                    with lock:
                        drawn.add(made.held, made.order)
                        tally = tally.add(made.tally)
                    yield made.learn.to_arrow(), place

            return Task(task.key, batches)

        table = replace(whole, tasks=[parted(task) for task in whole.tasks], features=recipe.features)
        self.store, seen = Scratch(self.folder, self.memory // HELD, whole.rows, tell), Seen(recipe.spec)
        read_all(table, seen, self.store, self.memory, tell)
        return Rows(learned(seen, self.store), drawn.kept(), drawn.rows, tally)

    def close(self) -> None:
        """Removes the scratch file."""
        if self.store is not None:
            self.store.close()
            self.store = None


def _polars(batch: Any) -> pl.DataFrame:
    return batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(pl.from_arrow(batch))
