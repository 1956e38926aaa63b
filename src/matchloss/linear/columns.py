"""Reading the columns of any data frame: numbers without a copy, everything else as indices into its distinct values.

Only this file knows which library a frame comes from, through narwhals and pyarrow; both are imported at the first frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    from matchloss.linear.sparse import Floats

SMALL = 1 << 16  # numbers of a pandas frame whose columns are read together, and copied if they lie apart
LIBRARIES = ("pandas", "polars", "pyarrow", "modin", "cudf")
NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
Level = str | bool | int | float | None  # None: the level of missing values


class ColumnError(ValueError):
    """A column that is missing, or of a type that cannot enter a linear model; the message names it and its type."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of levels: row i has values[places[i]]. Values may repeat, and some may occur in no row."""

    places: NDArray[Any]  # (n,) integers of any width
    values: tuple[Level, ...]  # None where missing; infinities stay
    declared: bool  # whether the order of the values was declared; otherwise it is the order of first appearance
    type: str  # as messages call it

    @property
    def kind(self) -> str:
        """Text, numbers or booleans; empty if no value is known."""
        return kind_of(self.values)


@dataclass(frozen=True, eq=False)
class Thin:
    """A sparse column of numbers, or of booleans as 0 and 1: its entries, and 0 everywhere else."""

    n: int
    rows: NDArray[np.int32]  # of the entries, rising
    values: Floats
    booleans: bool


@dataclass(frozen=True, eq=False)
class Table:
    """A data frame, and a map from each column's name as text to its label."""

    native: Any  # the frame as its library has it
    labels: dict[str, Any]
    _columns: dict[str, Any] = field(default_factory=dict, repr=False)  # of pandas or polars, once they were looked up

    @cached_property
    def frame(self) -> Any:
        """The narwhals.DataFrame."""
        return _narwhals().from_native(self.native, eager_only=True)

    @cached_property
    def library(self) -> str:
        """The library that the frame comes from."""
        return library_of(self.native)

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.native)

    def require(self, names: Iterable[str]) -> None:
        """ColumnError if any of these columns is missing; it suggests the nearest existing name for each."""
        absent = [name for name in names if name not in self.labels]
        if absent:
            raise ColumnError(f"the table has no {_listed([_and_near(name, self.labels) for name in absent])}")

    def read(self, name: str, as_levels: bool) -> NDArray[Any] | Coded:
        """The numbers of a column, NaN where missing, as a view wherever the library allows. Coded for text, booleans and
        categories, and with `as_levels` for numbers too. ColumnError for dates, nested and all other types.
        """
        plain = None if as_levels else self.plain(name)
        return _read(name, self.frame.get_column(self.labels[name]), as_levels) if plain is None else plain

    def plain(self, name: str) -> NDArray[Any] | None:
        """A column of NumPy's own numbers in pandas or polars, without narwhals' way there, which small tables notice; None for others."""
        if name in self._together:
            return self._together[name]
        if self.library == "pandas":
            series = self._column(name)
            return series.to_numpy() if isinstance(series.dtype, np.dtype) and series.dtype.name in NUMBERS else None
        if self.library == "polars":
            series = self._column(name)
            return series.to_numpy() if str(series.dtype).lower() in NUMBERS and not series.null_count() else None
        return None

    def thin(self, name: str) -> Thin | None:
        """A sparse column of pandas whose entries are few; None for any other column, which `read` reads."""
        if name in self._together or self.library != "pandas":
            return None
        series = self._column(name)
        held: Any = None if isinstance(series.dtype, np.dtype) else series.array
        if not hasattr(held, "sp_index"):
            return None
        values, filled = held.sp_values, held.fill_value
        whole = len(values) == len(held)  # entries everywhere, so that whatever fills the gaps has none to fill
        if values.dtype.kind not in "iufb" or not (whole or filled == 0):
            return None
        there = np.flatnonzero(values)  # a NaN is an entry
        if 2 * len(there) > len(held):
            return None
        return Thin(len(held), held.sp_index.to_int_index().indices[there], values[there].astype(np.float64), values.dtype.kind == "b")

    @cached_property
    def _together(self) -> dict[str, NDArray[Any]]:
        """All columns of a small table of numbers in pandas, which takes as long for one of them as for all."""
        frame = self.native
        if self.library != "pandas" or frame.size > SMALL:
            return {}
        kinds = set(frame.dtypes.tolist())
        if not all(isinstance(kind, np.dtype) and kind.name in NUMBERS for kind in kinds):
            return {}
        return dict(zip(self.labels, frame.to_numpy(kinds.pop() if len(kinds) == 1 else np.float64).T, strict=True))

    def _column(self, name: str) -> Any:
        """A column as pandas or polars has it, looked up once."""
        if name not in self._columns:
            label = self.labels[name]
            self._columns[name] = self.native[label] if self.library == "pandas" else self.native.get_column(label)
        return self._columns[name]


def library_of(x: Any) -> str:
    """The library of a frame, "pandas" or another, or of the class that it extends; "" for anything else."""
    homes = (kind.__module__.split(".")[0] for kind in type(x).__mro__)
    return next((name for name in homes if name in LIBRARIES), "")


def open_table(frame: Any) -> Table:
    """The columns of an in-memory data frame, from any library that narwhals reads.

    >>> import polars as pl
    >>> table = open_table(pl.DataFrame({"age": [20, 40], "city": ["Rome", None]}))
    >>> table.read("age", as_levels=False), table.read("city", as_levels=False).values
    (array([20, 40]), ('Rome', None))
    """
    if library_of(frame) in ("pandas", "polars") and "DataFrame" in {kind.__name__ for kind in type(frame).__mro__}:
        labels = {str(label): label for label in frame.columns}
        if len(labels) == len(frame.columns):
            return Table(frame, labels)
    nw = _narwhals()
    import pyarrow as pa
    from narwhals.exceptions import DuplicateError

    if isinstance(frame, pa.RecordBatch):  # narwhals does not read these
        frame = pa.Table.from_batches([frame])
    try:
        table = nw.from_native(frame, eager_only=True)
    except DuplicateError as error:
        raise ColumnError(f"columns of one name cannot be told apart. {' '.join(str(error).split())}") from error
    except TypeError as error:
        what = f"{type(frame).__module__.split('.')[0]}.{type(frame).__qualname__}".removeprefix("builtins.")
        advice = ": collect it first" if hasattr(frame, "collect") else ""
        raise TypeError(f"a data frame in memory (pandas, polars, pyarrow, ...) is needed, not {what}{advice}") from error
    labels = {str(label): label for label in table.columns}
    if len(labels) < len(table.columns):
        raise ColumnError(f"columns of one name cannot be told apart, and as text some are equal: {table.columns[:20]}")
    return Table(table.to_native(), labels)


def _narwhals() -> Any:
    try:
        import narwhals.stable.v2 as nw
        import pyarrow as pa  # noqa: F401  # to say so now if it is missing
    except ImportError as error:
        raise ImportError('reading data frames needs narwhals and pyarrow: pip install "matchloss[linear]"') from error
    return nw


def offset_in(frame: Any, name: str) -> NDArray[Any]:
    """The numbers of a frame's column that are added to raw predictions; ColumnError if it is not there, or holds something else."""
    table = open_table(frame)
    table.require([name])
    found = table.read(name, as_levels=False)
    if isinstance(found, Coded):
        raise ColumnError(f'the offset "{name}" has the type {found.type}; offsets are numbers')
    return found


def is_frame(x: Any) -> bool:
    """Whether x is a table with named columns, of whatever library."""
    return not isinstance(x, np.ndarray) and (hasattr(x, "columns") or hasattr(x, "column_names"))


def kind_of(values: Iterable[Level]) -> str:
    """What the levels are: "text", "booleans" or "numbers", judged by the first that is not missing; "" if all are missing."""
    value = next((v for v in values if v is not None), None)
    if value is None:
        return ""
    return "text" if isinstance(value, str) else "booleans" if isinstance(value, bool) else "numbers"


def _read(name: str, series: nw.Series[Any], as_levels: bool) -> NDArray[Any] | Coded:
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    dtype = series.dtype
    if dtype in (nw.Int128, nw.UInt128):  # neither NumPy nor Arrow has these
        series, dtype = series.cast(nw.Float64()), nw.Float64()
    if not as_levels and (dtype.is_integer() or dtype.is_float()):
        return series.to_numpy()
    if dtype == nw.Unknown and series.implementation.is_pandas_like():
        values = series.to_numpy()
        if values.dtype.kind in "iuf":  # sparse columns and long doubles
            values = values.astype(np.float64)
            return _coded(name, pa.array(values), False, str(series.to_native().dtype)) if as_levels else values
        if values.dtype.kind == "b":
            return _coded(name, pa.array(values), False, str(series.to_native().dtype))
    if (coded := _by_library(series)) is not None:
        return coded
    arrow, what = _to_arrow(name, series)
    if pa.types.is_dictionary(arrow.type):
        native = getattr(series.to_native(), "dtype", None)
        in_pandas = series.implementation.is_pandas_like() and hasattr(native, "categories")  # pandas' order is always declared
        return _coded(name, arrow, in_pandas or arrow.type.ordered, what)
    if pa.types.is_null(arrow.type) and not as_levels:
        return np.full(len(arrow), np.nan)
    if pa.types.is_decimal(arrow.type) or pa.types.is_floating(arrow.type):
        arrow = arrow.cast(pa.float64())
    if not as_levels and (pa.types.is_integer(arrow.type) or pa.types.is_floating(arrow.type)):
        return arrow.to_numpy() if isinstance(arrow, pa.ChunkedArray) else arrow.to_numpy(zero_copy_only=False)
    return _coded(name, arrow, False, what)


def _by_library(series: nw.Series[Any]) -> Coded | None:
    """Codes two kinds of columns with their own library, which is twice as fast as going through Arrow; None for all others."""
    import narwhals.stable.v2 as nw

    native = series.to_native()
    if series.implementation.is_pandas() and series.dtype == nw.String and str(native.dtype) in ("object", "string"):
        places, known = native.factorize()
        values: list[Any] = known.tolist()
        try:
            "".join(values).encode()
        except (TypeError, UnicodeEncodeError):  # not all text (narwhals looks at only 100 rows), or text that UTF-8 cannot encode
            return None
        places[places < 0] = len(values)
        return Coded(places, (*values, None) if len(places) and places.max() == len(values) else tuple(values), False, "String")
    if series.implementation.is_polars() and series.dtype == nw.Categorical:
        known = native.unique(maintain_order=True).drop_nulls()
        numbered, values = known.to_physical().to_list(), known.to_list()
        if not values or max(numbered) > len(native) + 1000:  # polars numbers the categories of all columns together
            return None
        by_number: list[Any] = [values[0]] * (max(numbered) + 1)  # numbers that no row has may map to any value
        for number, value in zip(numbered, values, strict=True):
            by_number[number] = value
        gaps = native.null_count() > 0
        places = (native.to_physical().fill_null(len(by_number)) if gaps else native.to_physical()).to_numpy()
        return Coded(places, (*by_number, None) if gaps else tuple(by_number), False, "Categorical")
    return None


def _to_arrow(name: str, series: nw.Series[Any]) -> tuple[pa.Array | pa.ChunkedArray, str]:
    """The column as an Arrow array, and the name of its type for messages."""
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    dtype, native = series.dtype, series.to_native()
    what = type(dtype).__name__ if dtype in (nw.Enum, nw.Categorical) else str(dtype)  # an Enum would print all its levels
    if dtype in (nw.Unknown, nw.Object):
        what = str(getattr(native, "dtype", getattr(native, "type", dtype)))
    try:
        arrow = native if isinstance(native, pa.ChunkedArray) else series.to_arrow()
    except (ValueError, TypeError, NotImplementedError, OverflowError) as error:  # Arrow's errors are subclasses of these
        raise ColumnError(f'column "{name}" has the type {what}, and cannot be read as numbers or as levels: {error}') from error
    return arrow, f"{what} of {arrow.type}" if dtype == nw.Object else what


def _coded(name: str, arrow: pa.Array | pa.ChunkedArray, declared: bool, what: str) -> Coded:
    import pyarrow as pa

    kinds = pa.types
    inner = arrow.type.value_type if kinds.is_dictionary(arrow.type) else arrow.type
    text = kinds.is_string(inner) or kinds.is_large_string(inner) or kinds.is_string_view(inner)
    if not (text or kinds.is_boolean(inner) or kinds.is_integer(inner) or kinds.is_floating(inner) or kinds.is_null(inner)):
        levels = f" with levels of the type {inner}" if kinds.is_dictionary(arrow.type) else ""
        raise ColumnError(f'column "{name}" has the type {what}{levels}: drop it, or make numbers or text of it')
    if not kinds.is_dictionary(arrow.type):
        arrow = arrow.dictionary_encode()
    if isinstance(arrow, pa.ChunkedArray):
        if arrow.num_chunks > 1:  # the merged dictionary may have more entries than the chunks' index type can count
            arrow = arrow.cast(pa.dictionary(pa.int32(), inner, arrow.type.ordered)).unify_dictionaries()
        arrow = arrow.combine_chunks()
    values = [level(value) for value in arrow.dictionary.to_pylist()]
    places = arrow.indices
    if places.null_count:
        places = places.cast(pa.int64()).fill_null(len(values))
        values.append(None)
    return Coded(places.to_numpy(), tuple(values), declared, what)


def level(value: Any) -> Level:
    """A whole float becomes an int, because pandas stores integers with missing values as floats."""
    if value is None or isinstance(value, str | int):
        return value
    if math.isnan(value):
        return None
    return int(value) if abs(value) < 2**53 and float(value).is_integer() else float(value)


def _listed(words: list[str]) -> str:
    shown = words if len(words) <= 6 else [*words[:5], f"{len(words) - 5:,} others"]
    return f"column {shown[0]}" if len(shown) == 1 else f"columns {', '.join(shown[:-1])} and {shown[-1]}"


def _and_near(name: str, there: Iterable[str]) -> str:
    near = get_close_matches(name, there, 1)
    return f'"{name}" (but "{near[0]}")' if near else f'"{name}"'
