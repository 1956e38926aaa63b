"""A fit to rows on a Dask cluster: as to files larger than memory, but workers read the rows, take them apart and keep them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from matchloss.dask import watch
from matchloss.dask.cluster import read
from matchloss.dask.frames import frames_of
from matchloss.dask.tables import Collection
from matchloss.fit.large import LOOKED_AT, Plan, refuse
from matchloss.fit.parting import Parting
from matchloss.linear.from_files import Opened, Said
from matchloss.linear.sources.learn import Place
from matchloss.tables.frames import to_polars

if TYPE_CHECKING:
    from matchloss.fit.result import FitResult
    from matchloss.losses import Loss
    from matchloss.tables import options


def fit_on_cluster(
    collection: Any,
    client: watch.Session | None,
    target: str,
    given: options.Options,
    asked: Loss | None,
    settled: bool,
    *,
    model: str,
    l2: float | None,
    summary: bool,
    tell: Callable[[str], None],
) -> FitResult:
    """A linear model of all rows of a Dask data frame, and the scores of one of a part of them on the rest, as `fit_large` has them."""
    refuse(given, model, "the rows of a Dask cluster stay with its workers")
    frames = frames_of(collection, [target, given.weight, given.exposure, given.offset])
    rows = Collection(frames, watch.client_of(client), given.source or "the collection")
    tell("looking at some of the rows")
    plan = Plan.of(rows.sample(LOOKED_AT).table, rows.name, target, given, asked, settled, summary)
    penalty = plan.ridge(l2)
    return plan.result(_read(rows, plan, tell), penalty, l2 is None and penalty > 0, given, "on a Dask cluster", tell)


def _read(rows: Collection, plan: Plan, tell: Callable[[str], None]) -> Opened:
    """All rows, once; workers keep those learned from and those held out."""
    tell(f"reading {len(rows.frames)} partitions")
    taken = read(rows.client, rows.frames, plan.spec, Before(plan.parting))
    said = Said(tell, taken.learned.source.rows.n)
    return Opened(taken.seen, replace(taken.learned, source=replace(taken.learned.source, watch=said.read)), taken.ahead, said)


@dataclass(frozen=True)
class Before:
    """Takes the rows of a partition apart, on its worker."""

    parting: Parting

    def __call__(self, frame: Any, name: str) -> tuple[list[tuple[Any, Place]], None]:
        """The two parts; nothing is kept aside."""
        import pyarrow as pa

        return list(self.parting(frame if isinstance(frame, pa.Table) else to_polars(frame), Place(name))), None
