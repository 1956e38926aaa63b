"""Tables in files, larger than memory: which files a person means, that they go together, and their rows in batches."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matchloss.linear.columns import ColumnError
from matchloss.linear.inputs import is_frame
from matchloss.linear.sources.learn import Place, Spec

if TYPE_CHECKING:
    import pyarrow as pa

Stamp = tuple[str, int, int]  # a file's path, size and time
ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".csv.gz": "csv",
}
CSV_BLOCK = 4 << 20  # bytes


class FileError(ValueError):
    """A file that is missing, damaged, empty or changed, or files that do not go together; the message names it."""


@dataclass(frozen=True)
class Task:
    """Some rows in their order: batches that one thread reads, each with its place."""

    key: tuple[int, ...]
    batches: Callable[[int], Iterator[tuple[Any, Place]]]  # of at most so many rows


@dataclass(frozen=True)
class Table:
    """What is read: tasks in the order of the rows, how many rows (None: not known before), the features, and the files' stamps."""

    tasks: Sequence[Task]
    rows: int | None
    features: Sequence[str]
    first: str  # where the features' names come from
    stamps: tuple[Stamp, ...] = ()

    def unchanged(self) -> None:
        """FileError for a file that is no longer as it was when reading began."""
        for stamp in self.stamps:
            if stamp_of(stamp[0]) != stamp:
                raise FileError(f"{stamp[0]} changed while it was read: start again when nothing writes to it")


def table_of(data: Any, spec: Spec) -> Table:
    """The rows of a path, folder, pattern or list of paths, or of batches: an iterator of frames, or a function that returns one.

    Files are read in the order of their names. FileError for what cannot be read; ColumnError for files that do not go together.
    """
    if isinstance(data, str | Path) or (isinstance(data, list | tuple) and data and all(isinstance(d, str | Path) for d in data)):
        return _of_files(paths_of(data), spec)
    if is_frame(data):
        data = [data]
    batches = data() if callable(data) else data
    if not isinstance(batches, Iterable) or isinstance(batches, bytes | dict):
        raise TypeError(f"data is {type(data).__name__}; allowed: a path, a folder, a pattern, a list of paths, or batches of frames")
    return Table([Task((0,), lambda rows: _placed(batches, "the batches"))], None, (), "the batches")


def paths_of(data: Any) -> list[str]:
    """The files that a path, a folder, a pattern or a list of these names, in the order of their names; FileError where there is none."""
    if isinstance(data, list | tuple):
        return [path for one in data for path in paths_of(one)]
    path = Path(data).expanduser()
    if path.is_dir():
        inside = sorted(str(p) for p in path.rglob("*") if p.is_file() and not any(part[0] in "._" for part in p.relative_to(path).parts))
        found = [p for p in inside if kind_of_file(p)]
        if not found:
            raise FileError(f"{path} is a folder without a file that ends in {', '.join(ENDINGS)}")
        return found
    if path.exists():
        return [str(path)]
    found = sorted(p for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
    if not found:
        raise FileError(f"{path}: no such file" + (", and no file has such a name" if glob.has_magic(str(path)) else ""))
    return found


def kind_of_file(path: str) -> str | None:
    """The format of a file by its name."""
    return next((kind for ending, kind in ENDINGS.items() if path.lower().endswith(ending)), None)


def stamp_of(path: str) -> Stamp:
    """A file's path, size and time of change; FileError where it is gone."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    return path, found.st_size, found.st_mtime_ns


def _of_files(paths: list[str], spec: Spec) -> Table:
    stamps, tasks, known, total = tuple(map(stamp_of, paths)), [], True, 0
    first: tuple[str, pa.Schema] | None = None
    for k, (path, size, _) in enumerate(stamps):
        kind = kind_of_file(path)
        if kind is None:
            raise FileError(f"{path} ends in none of {', '.join(ENDINGS)}: it does not say which format to read")
        if not size:
            raise FileError(f"{path} is empty: it has no bytes at all")
        schema, rows, made = OPEN[kind](path, k, spec, None if first is None else first[1])
        first = first or (path, schema)
        _go_together(first, (path, schema), spec)
        tasks += made
        known, total = known and rows is not None, total + (rows or 0)
    assert first is not None
    return Table(tasks, total if known else None, spec.features(first[1].names), first[0], stamps)


def _go_together(one: tuple[str, pa.Schema], other: tuple[str, pa.Schema], spec: Spec) -> None:
    """ColumnError where a file lacks a column of the first, has one more, or holds text where that has numbers."""
    (first, here), (path, there) = one, other
    wanted = [spec.target, *([] if spec.weight is None else [spec.weight]), *spec.features(here.names)]
    for name in wanted:
        if name not in there.names:
            raise ColumnError(f'{path} has no column "{name}"' + (f"; {first} has one" if name in here.names and path != first else ""))
        a, b = (what_of(schema.field(name).type) for schema in (here, there))
        if a != b and "nothing" not in (a, b):
            raise ColumnError(f'column "{name}" holds {b} in {path} and {a} in {first}')
    more = [name for name in spec.features(there.names) if name not in here.names]
    if more:
        raise ColumnError(f'{path} has a column "{more[0]}", which {first} has not; drop=["{more[0]}"] (--drop {more[0]}) leaves it out')


def what_of(kind: pa.DataType) -> str:
    """What a type of Arrow holds, in a word."""
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_dictionary(kind):
        return what_of(kind.value_type)
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind):
        return "numbers"
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return "text"
    return "booleans" if kinds.is_boolean(kind) else "nothing" if kinds.is_null(kind) else str(kind)


def _placed(frames: Iterable[Any], name: str) -> Iterator[tuple[Any, Place]]:
    start = 0
    for frame in frames:
        yield frame, Place(name, start)
        start += len(frame)


def _damaged(path: str, kind: str, error: Exception) -> FileError:
    return FileError(f"{path} is not a complete {kind} file: {str(error).strip().splitlines()[0][:200]}")


Opened = tuple[Any, int | None, list[Task]]  # a file's schema, its rows, and how they are read


def _parquet(path: str, k: int, spec: Spec, like: Any) -> Opened:
    """Row groups, which threads share; text comes as Parquet's own dictionaries, at a third of the price."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            schema, about = file.schema_arrow, file.metadata
            sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "Parquet", error) from error
    columns = [name for name in schema.names if name not in spec.drop]
    text = [name for name in columns if what_of(schema.field(name).type) == "text"]

    def rows_of(group: int, start: int) -> Callable[[int], Iterator[tuple[Any, Place]]]:
        def batches(rows: int) -> Iterator[tuple[Any, Place]]:
            try:
                with parquet.ParquetFile(path, read_dictionary=text) as file:
                    at = start
                    for batch in file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
                        yield batch, Place(path, at)
                        at += len(batch)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, "Parquet", error) from error

        return batches

    starts = [sum(sizes[:group]) for group in range(len(sizes))]
    return schema, sum(sizes), [Task((k, group), rows_of(group, starts[group])) for group in range(len(sizes))]


def _arrow(path: str, k: int, spec: Spec, like: Any) -> Opened:
    """An Arrow file, whose batches are read one by one, or a stream."""
    import pyarrow as pa
    from pyarrow import ipc

    def opened(file: Any) -> Any:
        try:
            return ipc.open_file(file)
        except pa.ArrowInvalid:
            file.seek(0)
            return ipc.open_stream(file)

    def batches(rows: int) -> Iterator[tuple[Any, Place]]:
        try:
            with pa.OSFile(path) as file:
                reader, at = opened(file), 0
                each = reader if not hasattr(reader, "num_record_batches") else map(reader.get_batch, range(reader.num_record_batches))
                for batch in each:
                    yield batch.drop_columns([name for name in spec.drop if name in batch.schema.names]), Place(path, at)
                    at += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, "Arrow", error) from error

    try:
        with pa.OSFile(path) as file:
            return opened(file).schema, None, [Task((k,), batches)]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "Arrow", error) from error


def _csv(path: str, k: int, spec: Spec, like: Any) -> Opened:
    """A text with commas between its fields; empty fields and NA are missing. Its numbers are float64, for a first block cannot tell."""
    import pyarrow as pa
    from pyarrow import csv

    def reader(types: dict[str, Any] | None) -> Any:
        return csv.open_csv(
            path,
            read_options=csv.ReadOptions(block_size=CSV_BLOCK, use_threads=False),
            convert_options=csv.ConvertOptions(
                column_types=types, null_values=["", "NA"], strings_can_be_null=True, quoted_strings_can_be_null=True
            ),
        )

    try:
        with reader(None) as file:
            schema = file.schema
    except (pa.ArrowException, OSError, EOFError) as error:
        raise _damaged(path, "CSV", error) from error
    levels = {*spec.categorical, *([spec.target] if spec.labels else [])}
    fields = [(f.name, like.field(f.name).type if like is not None and f.name in like.names else f.type) for f in schema]
    types = {name: pa.float64() if pa.types.is_integer(kind) and name not in levels else kind for name, kind in fields}

    def batches(rows: int) -> Iterator[tuple[Any, Place]]:
        try:
            with reader(types) as file:
                at = 0
                for batch in file:
                    yield batch.drop_columns([name for name in spec.drop if name in batch.schema.names]), Place(path, at)
                    at += len(batch)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise _damaged(path, "CSV", error) from error

    return pa.schema(list(types.items())), None, [Task((k,), batches)]


OPEN = {"parquet": _parquet, "arrow": _arrow, "csv": _csv}
