"""Refuses columns of frames that would end the process when a host reads them in C++."""

from __future__ import annotations

from typing import Any


def refuse_columns(X: Any, host: str, instead: str, words: bool = False) -> None:
    """ValueError for a column of a polars frame or an Arrow table that does not hold numbers; words: whether the host takes text.

    Such a column makes LightGBM 4.7 and CatBoost 1.2 end the process. Other kinds of tables are left to the host.

    >>> import pyarrow
    >>> refuse_columns(pyarrow.table({"n": [1, 2], "c": ["a", "b"]}), "LightGBM", "to_pandas() keeps categories")
    Traceback (most recent call last):
    ValueError: LightGBM would end the process at the column 'c' (string); to_pandas() keeps categories
    """
    module = type(X).__module__.partition(".")[0]
    if module not in ("polars", "pyarrow") or not hasattr(X, "schema"):
        return
    columns = X.schema.items() if module == "polars" else [(column.name, column.type) for column in X.schema]
    known = ("int", "uint", "float", "double", "halffloat", "decimal", "bool") + (("string", "enum") if words else ())
    for name, kind in columns:
        if not str(kind).lower().startswith(known):
            raise ValueError(f"{host} would end the process at the column {name!r} ({kind}); {instead}")
