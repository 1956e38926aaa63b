"""A Dask data frame as a table that is read in batches, for comparisons: each partition is a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.delayed import delayed

from matchloss.dask import parts, watch
from matchloss.dask.cluster import read
from matchloss.dask.frames import frames_of
from matchloss.dask.watch import Session
from matchloss.linear.sources.learn import Place
from matchloss.tables.frames import to_polars
from matchloss.tables.keys import Tally
from matchloss.tables.outside import SCORED, Drawn, Parted, Recipe, Rows, Tell
from matchloss.tables.read import Read, pl

LOOKED_AT = 20  # partitions that a sample is taken from
MORE = 1.1  # so much of what is wanted is asked for, since random numbers are random


@dataclass(frozen=True, eq=False)
class Collection:
    """The partitions of a Dask data frame (delayed), and the client of the cluster."""

    frames: Sequence[Any]
    client: Session
    name: str = "the collection"

    @classmethod
    def of(cls, collection: Any, client: Session | None = None) -> Collection:
        """Those of a data frame; by default with the client that is open."""
        return cls(frames_of(collection, []), watch.client_of(client))

    def sample(self, rows: int) -> Read:
        """About so many rows, from the beginnings of LOOKED_AT partitions."""
        some = [self.frames[k] for k in np.unique(np.linspace(0, len(self.frames) - 1, LOOKED_AT).astype(int))]
        heads = watch.result(self.client, self.client.compute([delayed(_head)(frame, -(-rows // len(some))) for frame in some]))
        return Read(pl.concat([head for head in heads if head.height] or heads[:1], how="vertical_relaxed"), self.name)

    def read(self, recipe: Recipe, tell: Tell) -> Rows:
        """All rows, once; those to learn from stay with the workers."""
        tell(f"reading {len(self.frames)} partitions")
        taken = read(self.client, self.frames, recipe.spec, Before(recipe))
        counts = watch.result(self.client, self.client.map(_counted, taken.made, pure=False))
        held, tally = sum(rows for rows, _ in counts), Tally()
        for _, one in counts:
            tally = tally.add(one)
        share, drawn = min(1.0, MORE * SCORED / max(held, 1)), Drawn()
        for frame, order in watch.result(self.client, self.client.map(_held, taken.made, share=share, pure=False)):
            drawn.add(frame, order)
        return Rows(taken.learned, drawn.kept(), held, tally)

    def close(self) -> None:
        """Nothing is left: futures go with their last user."""


@dataclass(frozen=True)
class Before:
    """Takes the rows held out aside."""

    recipe: Recipe

    def __call__(self, frame: Any, name: str) -> tuple[list[tuple[Any, Place]], Parted]:
        """The rows to learn from, as an Arrow table, and the partition's parts."""
        made = self.recipe.parted(to_polars(frame), name)
        return [(made.learn.to_arrow(), Place(name))], Parted(made.learn[:0], made.held, made.order, made.tally)


def _head(frame: Any, rows: int) -> pl.DataFrame:
    return to_polars(frame[:rows] if len(frame) > rows else frame)


def _counted(made: parts.Made) -> tuple[int, Tally]:
    """The rows of a partition that are held out, and its tally."""
    aside: Parted = parts.kept_aside(made)
    return aside.held.height, aside.tally


def _held(made: parts.Made, share: float) -> tuple[pl.DataFrame, np.ndarray]:
    """The rows held out whose random numbers are among the least of this share."""
    aside: Parted = parts.kept_aside(made)
    few = np.ones(len(aside.order), bool) if share >= 1 else aside.order < np.uint64(share * (1 << 64))
    return aside.held.filter(pl.Series(few)), aside.order[few]
