"""A comparison of losses on a table that is read in batches: files larger than memory, or a Dask data frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.comparison.candidates import Candidate, choose, with_models
from matchloss.comparison.judging import Bench
from matchloss.models.outside import OutsideModels
from matchloss.tables.errors import DataError
from matchloss.tables.options import Options, Study
from matchloss.tables.outside import SAMPLE, Outline, Outside, Tell
from matchloss.tables.outside_files import Files
from matchloss.tables.read import STDIN, Read

if TYPE_CHECKING:
    from matchloss.comparison.questions import Question
    from matchloss.linear.sources.compact import Compact
    from matchloss.losses import Loss

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OutsideBench(Bench):
    """The rows held out; those to learn from are a source."""

    source: Compact | None = None

    def constant(self, asked: Question) -> Floats:
        """The best constant answer: means and shares of the rows to learn from, all others, which need every value, of those held out."""
        target, weight, classes = self.ready.target.values, self.ready.weight, len(self.ready.target.classes)
        assert self.source is not None
        if classes > 2:
            mass = self.source.mass(classes)
            best = (mass / mass.sum())[None, :]
        else:
            best = np.array([self.source.mean()]) if asked.functional in ("mean", "label") else asked.constant(target, weight, classes)
        return np.broadcast_to(best, (1, len(self.split.scored), *best.shape[1:]))


def outside_of(
    data: Any, target: str, memory: int | str | None, scratch: str | Path | None, client: Any, rows: int | None = None, seed: int = 0
) -> Outside | Read | None:
    """What is read in batches: a Dask data frame, or files larger than memory; None for a table that `open_data` takes.

    Several files that fit into memory are read as one table, and so are as many `rows` of larger ones.
    """
    if hasattr(data, "map_partitions") and hasattr(data, "to_delayed"):
        from matchloss.dask.tables import Collection

        return Collection.of(data, client)
    if not isinstance(data, str | Path | list | tuple) or str(data) == STDIN:
        return None
    try:
        files = Files.of(data, target, memory, scratch)
        if files.files.larger_than_memory:
            return files if rows is None else files.files.draw(target, rows, seed)
    except (ValueError, OSError) as error:
        if isinstance(data, list | tuple) or Path(data).is_dir():
            raise DataError(str(error)) from error
        return None  # a single file, of which reading says more
    return files.files.whole() if len(files.files.places) > 1 else None


@dataclass(frozen=True, eq=False)
class Ready:
    """All that a comparison asks for once the rows are read and the models fitted."""

    study: Study
    bench: OutsideBench
    models: OutsideModels
    chosen: list[Candidate]
    rows: int
    frequencies: tuple[float, ...]


def made_ready(
    outside: Outside,
    target: str,
    options: Options,
    named: Sequence[str | Loss] | None,
    losses: Sequence[Loss],
    levels: Sequence[float],
    tell: Tell,
) -> Ready:
    """The rows of a table outside memory, and the models of every loss that is compared; DataError for what cannot be done there."""
    tell("looking at a sample of the rows")
    outline = Outline.of(outside.sample(SAMPLE), target, options, losses)
    rows = outside.read(outline.recipe, tell)
    if not rows.tally.mostly_distinct(outline.recipe.k):
        tell("many rows are equal: reading again, to hold rows out by their place")
        outline = replace(outline, recipe=replace(outline.recipe, by_place=True))
        rows = outside.read(outline.recipe, tell)
    ready, split, how = outline.of_held(rows, options.source or outside.name)
    source = rows.learned.of_target(np.float64 if len(ready.target.classes) < 3 else np.int64)
    values = ready.target.values
    if not ready.target.classes:  # so that a loss is chosen for all values, not for those held out alone
        values = np.concatenate([values, source.ends()])
    chosen = with_models(choose(replace(ready.target, values=values), named, levels), ("linear",))
    if not chosen:
        raise DataError("no loss is left to compare")
    models = OutsideModels.of(rows.learned, ready, [candidate.loss for candidate in chosen], tell)
    mass = source.mass(len(ready.target.classes)) if len(ready.target.classes) > 2 else np.zeros(0)
    if len(ready.target.classes) == 2:
        mass = np.array([1 - source.mean(), source.mean()])
    frequencies = tuple((mass / mass.sum()).tolist()) if mass.size else ()
    return Ready(Study(ready, split, how), OutsideBench(ready, split, source=source), models, chosen, rows.tally.rows, frequencies)
