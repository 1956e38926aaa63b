"""Reading a whole table, and saying clearly why one cannot be read."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

try:
    import polars as pl
except ImportError as error:
    raise ImportError('reading tables needs polars: pip install "matchloss[cli]"') from error

from matchloss.tables.errors import DataError
from matchloss.tables.numbers import has_comma
from matchloss.tables.text_files import UTF8, Dialect, dialect_of, header_of, ragged, said_of
from matchloss.tables.words import suggest
from matchloss.urls import Location, Url, UrlError, located

STDIN = "-"
INFERRED = 10_000  # rows of a text file that show the types of its columns
ARROW = (b"ARROW1", b"\xff\xff\xff\xff", b"FEA1")  # an Arrow file or Feather, a stream, the first Feather


@dataclass(frozen=True, eq=False)
class Read:
    """A table from a file, and how it was read."""

    table: pl.DataFrame
    name: str  # what to call it
    said: tuple[str, ...] = ()
    comma: bool | None = None  # whether its numbers have a decimal comma; None where its columns may tell


def read_table(path: str | Location, encoding: str | None = None) -> Read:
    """The table in a file: text with separators, Parquet, Arrow or Feather, each also in gzip or alone in a zip; "-" is standard input.

    A path may be a URL: see `matchloss.urls`.

    In a text empty fields and NA are missing. DataError, with one sentence, for a file that is missing, empty, truncated, ragged or of
    another format.
    """
    path = located(path)
    with open_table(path) as file:
        content = file.read()
    name = name_of(path)
    if not content:
        raise DataError(f"{name} is empty")
    content = _unpack(name, content)
    if is_parquet(path, content):
        found = Read(read_binary(name, content, "Parquet"), name)
    elif content.startswith(ARROW):
        found = Read(read_binary(name, content, "Arrow"), name)
    else:
        found = _read_text(name, content, encoding)
    if found.table.height == 0:
        raise DataError(f"{name} has a header and no rows")
    return found


def open_table(path: Location, buffer: int = io.DEFAULT_BUFFER_SIZE) -> io.BufferedReader:
    """The file, open; DataError where there is none, or no permission to read it."""
    if str(path) == STDIN:
        return io.BufferedReader(io.BytesIO(sys.stdin.buffer.read()), buffer)  # pyright: ignore[reportArgumentType]
    if isinstance(path, Url):
        try:
            return io.BufferedReader(path.open(), buffer)  # pyright: ignore[reportArgumentType]
        except UrlError as error:
            raise DataError(str(error)) from error
    if not path.exists():
        raise DataError(f"{path}: no such file{suggest(path.name, _siblings(path), 'in that folder')}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a CSV or Parquet file")
    try:
        return io.BufferedReader(io.FileIO(path), buffer)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def name_of(path: Location) -> str:
    """What to call the file in sentences."""
    return "standard input" if str(path) == STDIN else path.name


def is_parquet(path: Location, start: bytes) -> bool:
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


def _unpack(name: str, content: bytes) -> bytes:
    try:
        if content[:2] == b"\x1f\x8b":
            return gzip.decompress(content)
        if content[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.read(only_member(name, archive))
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{name} is damaged or cut short: {first_line(error)}") from error
    return content


def only_member(name: str, archive: zipfile.ZipFile) -> str:
    """The name of the one file in a zip; DataError where there are others or none."""
    inside = archive.namelist()
    if len(inside) != 1:
        raise DataError(f"{name} holds {len(inside)} files; give one with a single table")
    return inside[0]


def read_binary(name: str, content: bytes, what: str) -> pl.DataFrame:
    """The table in the bytes of a Parquet or Arrow file; DataError where they are damaged."""
    file = io.BytesIO(content)
    try:
        if what == "Parquet":
            return pl.read_parquet(file)
        if content.startswith(b"FEA1"):
            from pyarrow import feather

            return pl.DataFrame(pl.from_arrow(feather.read_table(file)))
        return pl.read_ipc(file) if content.startswith(b"ARROW1") else pl.read_ipc_stream(file)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(f"{name} is not a complete {what} file: {first_line(error)}") from error


def _read_text(name: str, content: bytes, encoding: str | None) -> Read:
    dialect = dialect_of(name, content, whole=True, encoding=encoding)
    header = header_of(content[: 1 << 20], dialect)
    twice = next((column for column in header if column and header.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{name} has two columns called {twice}: give each a name of its own")
    as_utf8 = content if dialect.encoding in UTF8 else content.decode(dialect.encoding).encode()
    table = _parse(name, content, as_utf8, dialect, INFERRED)
    comma = None
    if dialect.separator != "," and any(has_comma(column) for column in table.select(pl.col(pl.String))):
        table, comma = _parse(name, content, as_utf8, dialect, 0), True  # 1.234 was read as a little more than 1
    said = [*said_of(name, dialect), *(["Its numbers have a decimal comma."] if comma else [])]
    return Read(table, name, tuple(said), comma)


def _parse(name: str, content: bytes, as_utf8: bytes, dialect: Dialect, infer: int) -> pl.DataFrame:
    def parsed(rows: int | None) -> pl.DataFrame:
        return pl.read_csv(
            io.BytesIO(as_utf8),
            separator=dialect.separator,
            skip_lines=dialect.skip,
            infer_schema_length=rows,
            null_values=["", "NA"],
        )

    try:
        try:
            table = parsed(infer)
        except pl.exceptions.ComputeError:  # the first rows did not show the type
            table = parsed(None)
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{name} is empty") from error
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise DataError(ragged(name, content, dialect) or f"{name} cannot be read as CSV: {first_line(error)}") from error
    if table.height and table[:, -1].null_count():  # polars pads short rows with nulls, in the last column always
        said = ragged(name, content, dialect)
        if said:
            raise DataError(said)
    return table


def first_line(error: Exception) -> str:
    """The first line of what a library says."""
    return str(error).strip().split("\n")[0][:200]
