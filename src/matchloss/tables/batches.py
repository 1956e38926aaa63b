"""Reading and writing tables in batches, because a file may be larger than memory."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import zipfile
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from matchloss.files import replacing
from matchloss.tables.errors import DataError
from matchloss.tables.read import check_text, is_parquet, only_member, open_table, pl, separator_of
from matchloss.tables.words import suggest

Holds = Literal["text", "numbers", "whole numbers", "booleans"]
TYPES: Mapping[Holds, Any] = {"text": pa.string(), "numbers": pa.float64(), "whole numbers": pa.int64(), "booleans": pa.bool_()}
ROWS = 100_000  # in a batch of a Parquet file
BYTES = 4 << 20  # in a batch of a CSV file
HEADER = 1 << 20  # bytes
ENDINGS = (".parquet", ".pq", ".csv")
CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to \S+: invalid value '(.*)'", re.DOTALL)


def batches(path: Path, wanted: Mapping[str, Holds], rows: int = ROWS, size: int = BYTES) -> Generator[pl.DataFrame, None, None]:
    """The columns named in `wanted`, which also says what they hold, one batch of rows at a time; DataError as for `read_table`.

    CSV needs these types, because a single batch does not show them. If no column is wanted, the first one is returned for its rows.
    """
    with open_table(path, HEADER) as file:
        some = False
        for batch in _parquet(path, file, wanted, rows) if is_parquet(path, file.peek(4)) else _csv(path, file, wanted, size):
            some = some or batch.height > 0
            yield batch
        if not some:
            raise DataError(f"{path} has a header and no rows")


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


def _check_columns(path: Path, there: Collection[str], wanted: Collection[str]) -> list[str]:
    absent = [f"{name}{suggest(name, there)}".removesuffix("?") for name in wanted if name not in there]
    if absent:
        named = ", ".join(absent[:6]) + (f" and {len(absent) - 6} more" if len(absent) > 6 else "")
        raise DataError(f"{path.name} has no column {named}" if len(absent) == 1 else f"{path.name} has no columns {named}")
    return list(wanted) or list(there)[:1]  # a frame without columns has no rows


def _parquet(path: Path, file: IO[bytes], wanted: Collection[str], rows: int) -> Iterator[pl.DataFrame]:
    try:
        table = parquet.ParquetFile(file)
        for batch in table.iter_batches(rows, columns=_check_columns(path, table.schema_arrow.names, wanted)):
            yield pl.DataFrame(pl.from_arrow(batch))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a complete Parquet file: {_first_line(error)}") from error


def _csv(path: Path, file: io.BufferedReader, wanted: Mapping[str, Holds], size: int) -> Iterator[pl.DataFrame]:
    try:
        with contextlib.ExitStack() as stack:
            text = _unpacked(path, file, stack)
            head = text.peek(HEADER)
            if not head:
                raise DataError(f"{path} is empty")
            check_text(path, head)
            separator = separator_of(head)
            there = next(csv.reader(io.StringIO(head.decode("utf-8-sig", errors="replace")), delimiter=separator), [])
            columns = _check_columns(path, there, wanted)
            yield from _csv_batches(path, text, separator, columns, {name: TYPES[holds] for name, holds in wanted.items()}, there, size)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged or cut short: {_first_line(error)}") from error


def _csv_batches(
    path: Path, file: IO[bytes], separator: str, columns: list[str], types: Mapping[str, Any], there: list[str], size: int
) -> Iterator[pl.DataFrame]:
    ragged: list[arrow_csv.InvalidRow] = []

    def note(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    try:
        with arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(block_size=size, use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=note),
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
    except pa.ArrowInvalid as error:
        if ragged:
            row = ragged[0]
            place = f"line {row.number}" if row.number is not None else f'the line "{row.text[:60]}"'
            raise DataError(f"{path} is ragged: {place} has {row.actual_columns} fields, the header {row.expected_columns}") from error
        found = CONVERSION.search(str(error))
        if found is None:
            raise DataError(f"{path} cannot be read as CSV: {_first_line(error)}") from error
        name = there[int(found[1])]
        row = f" in line {found[2]}" if found[2] else ""
        what = "booleans" if types[name] == pa.bool_() else "numbers"
        raise DataError(f'{path.name}: {name} is "{found[3][:60]}"{row}; the model was trained on {what} there') from error


def _unpacked(path: Path, file: io.BufferedReader, stack: contextlib.ExitStack) -> io.BufferedReader:
    """The CSV file, unpacked from gzip or zip; its start can be peeked at without being consumed, even in a pipe."""
    start = file.peek(4)
    if start[:2] == b"\x1f\x8b":
        inside: Any = stack.enter_context(gzip.GzipFile(fileobj=file))
    elif start[:4] == b"PK\x03\x04":
        archive = stack.enter_context(zipfile.ZipFile(file))
        inside = stack.enter_context(archive.open(only_member(path, archive)))
    else:
        return file
    return stack.enter_context(io.BufferedReader(inside, HEADER))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
