"""Frames of any library in batches of some ten thousand rows, and their columns as numbers or codes, without imports of pandas."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.columns import Coded, Level, level, open_table
from matchloss.linear.sources.levels import FEW
from matchloss.linear.sources.narrow import narrow

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 1 << 17  # rows that are made compact at once: with fewer, threads wait for Python's lock; with more, Arrow holds more memory
DENSE = 1 << 12  # integers from 0 to below this are looked up instead of hashed: a quarter of the price


def as_batches(frame: Any, rows: int = BATCH) -> Iterator[Any]:
    """A frame in batches of at most so many rows: Arrow's own batches, or slices of any other frame."""
    import pyarrow as pa

    if isinstance(frame, pa.RecordBatch):
        yield from (frame.slice(a, rows) for a in range(0, len(frame), rows))
    elif isinstance(frame, pa.Table):
        yield from (batch for batch in frame.to_batches(rows) if len(batch))
    else:
        whole = open_table(frame).frame
        yield from (whole[a : a + rows].to_native() for a in range(0, len(whole), rows))


def names_of(batch: Any) -> list[str]:
    """The names of a batch's columns."""
    import pyarrow as pa

    return batch.schema.names if isinstance(batch, pa.RecordBatch) else list(open_table(batch).labels)


def read(batch: Any, name: str, as_levels: bool) -> NDArray[Any] | Coded:
    """A column of a batch, as Table.read gives it."""
    import pyarrow as pa

    if isinstance(batch, pa.RecordBatch):
        found = _of_arrow(batch.column(batch.schema.get_field_index(name)), as_levels)
        if found is not None:
            return found
    return open_table(batch).read(name, as_levels)


def _of_arrow(column: pa.Array, as_levels: bool) -> NDArray[Any] | Coded | None:
    """The usual types, where they lie; None for others. (pyarrow's own to_numpy imports pandas: half a second, and memory.)"""
    import pyarrow as pa

    kind, kinds = column.type, pa.types
    if kinds.is_integer(kind) or kinds.is_float32(kind) or kinds.is_float64(kind):
        if not as_levels:
            if column.null_count:
                column = column.cast(pa.float64()).fill_null(float("nan"))
            return np.from_dlpack(column)
        if kinds.is_integer(kind) and not column.null_count and len(column):
            values = narrow(np.from_dlpack(column))
            if values.dtype.kind == "u" and (top := int(values.max())) < DENSE:
                return Coded(values, _whole(top + 1), False, str(kind))
    elif not (kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_boolean(kind) or kinds.is_dictionary(kind)):
        return None
    if kinds.is_boolean(kind) and not column.null_count:
        bits = np.frombuffer(column.buffers()[1] or b"", np.uint8)  # a cast by Arrow takes eight times as long
        ones = np.unpackbits(bits, count=column.offset + len(column), bitorder="little")[column.offset :]
        return Coded(ones, (level(False), level(True)), False, str(kind))
    if not kinds.is_dictionary(kind):
        column = column.dictionary_encode()
    inner = column.type.value_type
    if not (kinds.is_string(inner) or kinds.is_large_string(inner) or kinds.is_boolean(inner) or kinds.is_integer(inner)):
        return None
    known, places = _levels(column.dictionary), column.indices
    if places.null_count:
        places = places.cast(pa.int64()).fill_null(len(known))
        known = (*known, None)
    return Coded(np.from_dlpack(places), known, column.type.ordered, str(kind))


def _levels(dictionary: pa.Array) -> tuple[Level, ...]:
    """The levels in a dictionary."""
    if len(dictionary) > FEW or dictionary.null_count or dictionary.offset:
        return tuple(level(value) for value in dictionary.to_pylist())
    return _levels_of(dictionary.type, len(dictionary), tuple(bytes(buffer) for buffer in dictionary.buffers()[1:]))


@lru_cache(FEW)
def _levels_of(kind: pa.DataType, n: int, buffers: tuple[bytes, ...]) -> tuple[Level, ...]:
    """The same by their bytes: batches of a row group have the same ones, again and again."""
    import pyarrow as pa

    return tuple(level(value) for value in pa.Array.from_buffers(kind, n, [None, *map(pa.py_buffer, buffers)]).to_pylist())


@lru_cache(FEW)
def _whole(n: int) -> tuple[Level, ...]:
    return tuple(range(n))
