"""Reading a whole table, and saying clearly why one cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

try:
    import polars as pl
except ImportError as error:
    raise ImportError('reading tables needs polars: pip install "matchloss[cli]"') from error

from matchloss.tables.errors import DataError
from matchloss.tables.words import suggest


def read_table(path: str | Path) -> pl.DataFrame:
    """The table in a CSV (plain, gzip, or alone in a zip) or Parquet file; in a CSV, empty fields and NA are missing.

    DataError, with one sentence, for a file that is missing, empty, truncated, ragged or of another format.
    """
    path = Path(path)
    with open_table(path) as file:
        content = file.read()
    if not content:
        raise DataError(f"{path} is empty")
    if is_parquet(path, content):
        table = _read_parquet(path, content)
    else:
        table = _read_csv(path, _unpack(path, content))
    if table.height == 0:
        raise DataError(f"{path} has a header and no rows")
    return table


def open_table(path: Path, buffer: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
    """The file, open; DataError where there is none, or no permission to read it."""
    if not path.exists():
        raise DataError(f"{path}: no such file{suggest(path.name, _siblings(path), 'in that folder')}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a CSV or Parquet file")
    try:
        return io.BufferedReader(io.FileIO(path), buffer)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def is_parquet(path: Path, start: bytes) -> bool:
    """Whether a file of this name that starts like this is, or should be, Parquet."""
    return start[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".pq")


def require_columns(table: pl.DataFrame, names: Iterable[str], source: str) -> None:
    """DataError for the first name that `table` does not have, with the nearest that it has."""
    for name in names:
        if name not in table.columns:
            shown = ", ".join(table.columns[:12]) + (", ..." if table.width > 12 else "")
            raise DataError(f"{source} has no column {name}{suggest(name, table.columns) or f'; it has {shown}'}")


def _siblings(path: Path) -> list[str]:
    return [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []


def _unpack(path: Path, content: bytes) -> bytes:
    try:
        if content[:2] == b"\x1f\x8b":
            return gzip.decompress(content)
        if content[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.read(only_member(path, archive))
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged or cut short: {_first_line(error)}") from error
    return content


def _read_parquet(path: Path, content: bytes) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a complete Parquet file: {_first_line(error)}") from error


def _read_csv(path: Path, content: bytes) -> pl.DataFrame:
    check_text(path, content)
    separator = separator_of(content)
    try:
        try:
            table = _parse(content, separator, infer=10_000)
        except pl.exceptions.ComputeError:  # the first rows did not show the type
            table = _parse(content, separator, infer=None)
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{path} is empty") from error
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise DataError(_ragged(path, content, separator) or f"{path} cannot be read as CSV: {_first_line(error)}") from error
    if table.height and table[:, -1].null_count():  # polars pads short rows with nulls, in the last column always
        ragged = _ragged(path, content, separator)
        if ragged:
            raise DataError(ragged)
    return table


def _parse(content: bytes, separator: str, infer: int | None) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(content), separator=separator, infer_schema_length=infer, null_values=["", "NA"])


def only_member(path: Path, archive: zipfile.ZipFile) -> str:
    """The name of the one file in a zip; DataError where there are others or none."""
    inside = archive.namelist()
    if len(inside) != 1:
        raise DataError(f"{path} holds {len(inside)} files; give one with a single CSV file")
    return inside[0]


def check_text(path: Path, content: bytes) -> None:
    """DataError for a file that does not start like text."""
    if b"\x00" in content[:4096]:
        raise DataError(f"{path} is neither CSV nor Parquet")


def separator_of(content: bytes) -> str:
    """The separator of a CSV file: comma, semicolon or tab, whichever is most frequent in the header."""
    header = content.split(b"\n", 1)[0]
    return max(",;\t", key=lambda mark: header.count(mark.encode()))  # max keeps the first of equals: the comma


def _ragged(path: Path, content: bytes, separator: str) -> str:
    """A sentence about the first row with more or fewer fields than the header, "" if there is none."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="replace", newline=""), delimiter=separator)
    try:
        width = len(next(reader))
        for row in reader:
            if len(row) != width and row:
                return f"{path} is ragged: line {reader.line_num} has {len(row)} fields, the header {width}"
    except (csv.Error, StopIteration):
        pass
    return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
