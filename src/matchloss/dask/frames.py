"""What a person passes: Dask data frames, taken apart into their partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matchloss.linear.columns import ColumnError

FRAME = "a Dask data frame, such as dask.dataframe.read_parquet makes"


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
    names = columns_of(collection)
    for name in needed:
        if name is not None and name not in names:
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise ColumnError(f'the collection has no column "{name}"; it has {shown}')
    return list(collection.to_delayed())
