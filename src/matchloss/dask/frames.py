"""What a person passes: Dask data frames, taken apart into their partitions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from dask.delayed import Delayed, delayed
from distributed import Client

from matchloss.dask import parts
from matchloss.dask.watch import ClusterError, Session
from matchloss.linear.columns import ColumnError
from matchloss.linear.sources.files import FileError, kind_of_file, places_of

FRAME = "a Dask data frame, such as dask.dataframe.read_parquet makes, or a list of delayed frames, as matchloss.dask.read_parquet"


def columns_of(collection: Any) -> list[str]:
    """The names of the columns; TypeError for what is no Dask data frame."""
    if hasattr(collection, "to_delayed") and hasattr(collection, "columns") and hasattr(collection, "map_partitions"):
        return [str(name) for name in collection.columns]
    kind = type(collection)
    called = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}".removeprefix("builtins.")
    if hasattr(collection, "columns"):
        raise TypeError(f"the rows are a {called}, which is in memory: LinearRegressor(loss).fit(X, y) takes it; here {FRAME} is needed")
    raise TypeError(f"the rows are a {called}; {FRAME} is needed")


def frames_of(collection: Any, needed: Sequence[str | None]) -> list[Any]:
    """Its partitions (delayed); ColumnError where a column that is needed is not there."""
    if _are_delayed(collection):
        return list(collection)
    names = columns_of(collection)
    for name in needed:
        if name is not None and name not in names:
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise ColumnError(f'the collection has no column "{name}"; it has {shown}')
    return list(collection.to_delayed())


def _are_delayed(collection: Any) -> bool:
    return isinstance(collection, list | tuple) and len(collection) > 0 and all(isinstance(one, Delayed) for one in collection)


def read_parquet(data: Any) -> list[Any]:
    """The row groups of Parquet files, a path, a folder, a pattern, URLs or a list of these, as delayed Arrow tables.

    `matchloss.dask.fit` takes them as it takes a Dask data frame, which goes through pandas: that takes three times as long to read.
    """
    frames = []
    for place in places_of(data):
        groups = parts.row_groups(str(place))
        frames += [delayed(parts.row_group)(str(place), k) for k in range(groups)]
    return frames


@contextlib.contextmanager
def connected(address: str) -> Iterator[Session]:
    """A client of the scheduler at an address; ClusterError where there is none."""
    try:
        client = Client(address, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"--dask {address}: no scheduler answers there. `dask scheduler` starts one and says its address") from error
    with client:
        yield client


def frame_of(data: Any) -> Any:
    """The data frame of a file, a folder, a pattern or URLs of Parquet or CSV, which the workers read: they must reach the files too."""
    import dask.dataframe as dd

    places = places_of(data)
    kinds = {kind_of_file(place) for place in places}
    names = [str(place) for place in places]
    if kinds == {"parquet"}:
        return dd.read_parquet(names)
    if kinds == {"csv"}:
        packed = all(name.lower().endswith(".gz") for name in names)
        return dd.read_csv(names, **({"compression": "gzip", "blocksize": None} if packed else {}))
    raise FileError(f"{data}: workers read Parquet or CSV, not {', '.join(sorted(str(kind) for kind in kinds))} together")
