"""Tables in files that are larger than memory, read in batches; the rows to learn from go to a scratch file in compact form."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from matchloss.linear.from_files import HELD, read_all
from matchloss.linear.sources.compact import learned
from matchloss.linear.sources.files import Table, Task, table_of
from matchloss.linear.sources.learn import Place, Seen, Spec
from matchloss.linear.sources.scratch import Scratch
from matchloss.tables.keys import Tally
from matchloss.tables.many_files import ManyFiles, sample_of
from matchloss.tables.outside import Drawn, Parted, Recipe, Rows, Tell
from matchloss.tables.read import Read, pl


@dataclass(eq=False)
class Files:
    """One or more files that go together."""

    files: ManyFiles
    target: str
    folder: Path
    store: Scratch | None = None

    @classmethod
    def of(cls, data: Any, target: str, memory: int | str | None = None, scratch: str | Path | None = None) -> Files:
        """The files that a path, a folder, a pattern or a list of paths names."""
        return cls(ManyFiles.of(data, memory), target, Path(scratch or tempfile.gettempdir()))

    @property
    def name(self) -> str:
        """What to call them."""
        return self.files.name

    @cached_property
    def table(self) -> Table:
        """All files with all columns."""
        return table_of(list(self.files.places), Spec(self.target))

    def sample(self, rows: int) -> Read:
        """About so many rows, from all over the files."""
        return Read(sample_of(self.table, rows), self.name)

    def read(self, recipe: Recipe, tell: Tell) -> Rows:
        """All rows, once, on threads."""
        drawn, tally, lock = Drawn(), Tally(), threading.Lock()
        everything = self.table.features
        whole = table_of(list(self.files.places), Spec(recipe.target, drop=tuple(name for name in everything if name not in recipe.needed)))

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
        self.store, seen = Scratch(self.folder, self.files.memory // HELD, whole.rows, tell), Seen(recipe.spec)
        read_all(table, seen, self.store, self.files.memory, tell)
        return Rows(learned(seen, self.store), drawn.kept(), drawn.rows, tally)

    def close(self) -> None:
        """Removes the scratch file."""
        if self.store is not None:
            self.store.close()
            self.store = None


def _polars(batch: Any) -> pl.DataFrame:
    return batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(pl.from_arrow(batch))
