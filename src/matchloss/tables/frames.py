"""Any table in memory as a polars frame, and back to the kind of frame that the person uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matchloss.tables.errors import DataError
from matchloss.tables.read import Read, pl, read_table
from matchloss.urls import Url

FRAMES = "a frame of pandas, polars or Arrow, or the path of a file"


def open_data(data: Any, encoding: str | None = None) -> Read:
    """The table that a person passes, a frame in memory or the path of a file, and what to call it.

    DataError for what is no table, with the call that would make one of it.
    """
    if isinstance(data, Read):
        return data
    if isinstance(data, str | Path | Url):
        return read_table(data, encoding)
    return Read(to_polars(data), "the table")


def to_polars(data: Any) -> pl.DataFrame:
    """The frame in polars; its columns of text, numbers and times share their memory where their library allows."""
    if isinstance(data, pl.DataFrame):
        return data
    _refuse(data)
    import pyarrow as pa

    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    labels = [str(label) for label in (data.column_names if hasattr(data, "column_names") else data.columns)]
    twice = next((name for name in labels if labels.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two columns are called {twice}: give each a name of its own")
    if not labels:
        raise DataError("the table has no columns")
    if isinstance(data, pa.Table):
        return pl.DataFrame(pl.from_arrow(data))
    import narwhals.stable.v2 as nw

    frame = nw.from_native(data, eager_only=True)
    return pl.DataFrame([_series(name, frame.get_column(label)) for name, label in zip(labels, frame.columns, strict=True)])


def like(data: Any, columns: Mapping[str, Iterable[Any]]) -> Any:
    """A frame of the person's kind, pandas, Arrow or else polars, with these columns."""
    module = type(data).__module__.partition(".")[0]
    made = {name: list(values) for name, values in columns.items()}
    if module == "pandas":
        import pandas as pd

        return pd.DataFrame(made)
    if module == "pyarrow":
        import pyarrow as pa

        return pa.table(made)
    return pl.DataFrame(made)


def _series(name: str, series: Any) -> pl.Series:
    native = series.to_native()
    if str(getattr(native, "dtype", "")) == "object":
        return _of_objects(name, native.tolist())
    made = pl.Series(name, series.to_polars())
    categories = getattr(native.dtype, "categories", None) if hasattr(native, "dtype") else None
    if categories is not None and isinstance(made.dtype, pl.Categorical):  # pandas' order is declared, polars' is of appearance
        return made.cast(pl.Enum([str(category) for category in categories]))
    return made


def _of_objects(name: str, values: list[Any]) -> pl.Series:
    """A column of Python objects: of one type where all are, else of text."""
    known = [None if value is None or value != value or type(value).__name__ == "NAType" else value for value in values]
    try:
        return pl.Series(name, known, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, [None if value is None else str(value) for value in known], dtype=pl.String)


def _refuse(data: Any) -> None:
    """DataError for what is no frame in memory."""
    kind = type(data)
    called = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}".removeprefix("builtins.")
    if isinstance(data, Mapping):
        raise DataError(f"the data are a {called}; make a frame of it: pandas.DataFrame(data), or polars.DataFrame(data)")
    if hasattr(kind, "compute") and hasattr(kind, "columns"):
        raise DataError(f"the data are a {called}, which is not in memory: data.compute() loads it")
    if hasattr(kind, "collect") and hasattr(kind, "columns"):
        raise DataError(f"the data are a {called}, which is not in memory: data.collect() loads it")
    if hasattr(kind, "toPandas"):
        raise DataError(f"the data are a {called}, which is not in memory: data.toPandas() loads it")
    if not (hasattr(data, "columns") or hasattr(data, "column_names")):
        arrays = ", for arrays, LinearRegressor(loss).fit(X, y)" if hasattr(data, "shape") or isinstance(data, list | tuple) else ""
        raise DataError(f"the data are a {called}, whose columns have no names; allowed: {FRAMES}{arrays}")
