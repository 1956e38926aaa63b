"""Reading and writing tables in batches, because a file may be larger than memory."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from matchloss.files import replacing
from matchloss.tables.errors import DataError
from matchloss.tables.numbers import has_comma
from matchloss.tables.read import ARROW, first_line, is_parquet, name_of, only_member, open_table, pl, read_binary
from matchloss.tables.text_files import UTF8, Dialect, dialect_of, header_of, said_of
from matchloss.tables.words import suggest
from matchloss.urls import Location

Holds = Literal["text", "numbers", "whole numbers", "booleans"]
TYPES: Mapping[Holds, Any] = {"text": pa.string(), "numbers": pa.float64(), "whole numbers": pa.int64(), "booleans": pa.bool_()}
ROWS = 100_000  # in a batch of a Parquet file
BYTES = 4 << 20  # in a batch of a CSV file
HEADER = 1 << 20  # bytes
COMMA_LINES = 1000  # that are looked at for decimal commas
ENDINGS = (".parquet", ".pq", ".csv")
CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to \S+: invalid value '(.*)'", re.DOTALL)


@dataclass
class Batches:
    """A table in batches of rows, and what its first bytes said of how it is written."""

    rows: Iterator[pl.DataFrame]
    said: tuple[str, ...] = ()
    comma: bool | None = None  # whether its numbers have a decimal comma


@contextlib.contextmanager
def batches(
    path: Location, wanted: Mapping[str, Holds], rows: int = ROWS, size: int = BYTES, encoding: str | None = None
) -> Iterator[Batches]:
    """The columns named in `wanted`, which also says what they hold, one batch of rows at a time; DataError as for `read_table`.

    A text needs these types, because a single batch does not show them. If no column is wanted, the first one is returned for its rows.
    """
    name = name_of(path)
    with contextlib.ExitStack() as stack:
        try:
            file = _unpacked(name, stack.enter_context(open_table(path, HEADER)), stack)
            start = file.peek(HEADER)
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{name} is damaged or cut short: {first_line(error)}") from error
        if not start:
            raise DataError(f"{name} is empty")
        if is_parquet(path, start) or start.startswith(ARROW):
            made = Batches(_binary(name, file, wanted, rows, "Parquet" if is_parquet(path, start) else "Arrow"))
        else:
            made = _text(name, file, start, wanted, size, encoding)
        yield replace(made, rows=_counted(name, made.rows))


def _counted(name: str, rows: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same batches; DataError where there is no row in any."""
    some = False
    for batch in rows:
        some = some or batch.height > 0
        yield batch
    if not some:
        raise DataError(f"{name} has a header and no rows")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Callable[[pl.DataFrame], None]]:
    """A function that appends a batch to the file, Parquet or CSV by its name. The file appears, complete, if the block succeeds."""
    check_ending(path)
    with replacing(path) as partial:
        if path.suffix.lower() == ".csv":
            with partial.open("wb") as file:
                yield lambda batch: batch.write_csv(file, include_header=file.tell() == 0)
        else:
            with contextlib.ExitStack() as stack:
                writers: list[parquet.ParquetWriter] = []

                def add(batch: pl.DataFrame) -> None:
                    table = batch.to_arrow()
                    if not writers:
                        writers.append(stack.enter_context(parquet.ParquetWriter(partial, table.schema, compression="zstd")))
                    writers[0].write_table(table)

                yield add


def check_ending(path: Path) -> None:
    """DataError for a name that does not say which format to write."""
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{path} ends in none of {', '.join(ENDINGS)}: it does not say which format to write")


def _check_columns(name: str, there: Collection[str], wanted: Collection[str]) -> list[str]:
    absent = [f"{column}{suggest(column, there)}".removesuffix("?") for column in wanted if column not in there]
    if absent:
        named = ", ".join(absent[:6]) + (f" and {len(absent) - 6} more" if len(absent) > 6 else "")
        raise DataError(f"{name} has no column {named}" if len(absent) == 1 else f"{name} has no columns {named}")
    return list(wanted) or list(there)[:1]  # a frame without columns has no rows


def _binary(name: str, file: IO[bytes], wanted: Collection[str], rows: int, what: str) -> Iterator[pl.DataFrame]:
    """The batches of a Parquet or Arrow file."""
    try:
        if what == "Parquet":
            table = parquet.ParquetFile(file if file.seekable() else io.BytesIO(file.read()))
            for batch in table.iter_batches(rows, columns=_check_columns(name, table.schema_arrow.names, wanted)):
                yield pl.DataFrame(pl.from_arrow(batch))
            return
        whole = read_binary(name, file.read(), what)
        yield from whole.select(_check_columns(name, whole.columns, wanted)).iter_slices(rows)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name} is not a complete {what} file: {first_line(error)}") from error


def _text(name: str, file: IO[bytes], start: bytes, wanted: Mapping[str, Holds], size: int, encoding: str | None) -> Batches:
    dialect = dialect_of(name, start, whole=False, encoding=encoding)
    there = header_of(start, dialect)
    columns = _check_columns(name, there, wanted)
    lines = start.decode(dialect.encoding, errors="replace").rpartition("\n")[0].split("\n")[dialect.skip + 1 :]
    cells = itertools.chain.from_iterable(csv.reader(lines[:COMMA_LINES], delimiter=dialect.separator))
    comma = dialect.separator != "," and has_comma(pl.Series(list(cells), dtype=pl.String))
    types = {column: TYPES[holds] for column, holds in wanted.items()}
    return Batches(_csv_batches(name, file, dialect, columns, types, there, size), tuple(said_of(name, dialect)), comma or None)


def _csv_batches(
    name: str, file: IO[bytes], dialect: Dialect, columns: list[str], types: Mapping[str, Any], there: list[str], size: int
) -> Iterator[pl.DataFrame]:
    ragged: list[arrow_csv.InvalidRow] = []

    def note(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    try:
        encoding = "utf8" if dialect.encoding in UTF8 else dialect.encoding
        with arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(block_size=size, use_threads=False, encoding=encoding, skip_rows=dialect.skip),
            parse_options=arrow_csv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=note),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=columns,
                column_types=types,
                null_values=["", "NA"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        ) as reader:
            for batch in reader:
                yield pl.DataFrame(pl.from_arrow(batch))
    except (OSError, EOFError) as error:
        raise DataError(f"{name} is damaged or cut short: {first_line(error)}") from error
    except pa.ArrowInvalid as error:
        if ragged:
            row = ragged[0]
            place = f"line {row.number}" if row.number is not None else f'the line "{row.text[:60]}"'
            raise DataError(f"{name} is ragged: {place} has {row.actual_columns} fields, the header {row.expected_columns}") from error
        found = CONVERSION.search(str(error))
        if found is None:
            advice = f"; it was taken for {dialect.encoding}, and --encoding names another" if "UTF" in str(error) else ""
            raise DataError(f"{name} cannot be read as CSV: {first_line(error)}{advice}") from error
        column = there[int(found[1])]
        row = f" in line {found[2]}" if found[2] else ""
        what = "booleans" if types[column] == pa.bool_() else "numbers"
        raise DataError(f'{name}: {column} is "{found[3][:60]}"{row}; the model was trained on {what} there') from error


def _unpacked(name: str, file: io.BufferedReader, stack: contextlib.ExitStack) -> io.BufferedReader:
    """The file, unpacked from gzip or zip; its start can be peeked at without being consumed, even in a pipe."""
    start = file.peek(4)
    if start[:2] == b"\x1f\x8b":
        inside: Any = stack.enter_context(gzip.GzipFile(fileobj=file))
    elif start[:4] == b"PK\x03\x04":
        archive = stack.enter_context(zipfile.ZipFile(file))
        inside = stack.enter_context(archive.open(only_member(name, archive)))
    else:
        return file
    return stack.enter_context(io.BufferedReader(inside, HEADER))
