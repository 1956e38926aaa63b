"""Tables in files, larger than memory: which files a person means, that they go together, and their rows in batches."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matchloss.errors import FileError
from matchloss.linear.columns import ColumnError, is_frame
from matchloss.linear.sources.learn import Place, Spec
from matchloss.urls import Location, Url, located, matching, stamp

if TYPE_CHECKING:
    import pyarrow as pa

Stamp = tuple[str, int, str]  # a file's path, size and time
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
        for known in self.stamps:
            if stamp_of(located(known[0])) != known:
                raise FileError(f"{known[0]} changed while it was read: start again when nothing writes to it")


def table_of(data: Any, spec: Spec, checked: bool = True) -> Table:
    """The rows of a path, folder, pattern or list of paths, or of batches: an iterator of frames, or a function that returns one.

    Files are read in the order of their names. FileError for what cannot be read; ColumnError for files that do not go together, or
    without the columns of the spec, unless `checked` is False.
    """
    places = data if isinstance(data, list | tuple) else [data]
    if places and all(isinstance(place, str | Path | Url) for place in places):
        return _of_files(places_of(data), spec, checked)
    if is_frame(data):
        data = [data]
    batches = data() if callable(data) else data
    if not isinstance(batches, Iterable) or isinstance(batches, bytes | dict):
        raise TypeError(f"data is {type(data).__name__}; allowed: a path, a folder, a pattern, a list of paths, or batches of frames")
    return Table([Task((0,), lambda rows: _placed(batches, "the batches"))], None, (), "the batches")


def places_of(data: Any) -> list[Location]:
    """The files that a path, a URL, a folder, a pattern or a list of these names, in the order of their names; FileError for none."""
    if isinstance(data, list | tuple):
        return [place for one in data for place in places_of(one)]
    found = [place for place in matching(data) if kind_of_file(place) or not _is_folder(data)]
    if not found:
        what = f"a folder without a file that ends in {', '.join(ENDINGS)}" if _is_folder(data) else "no file has such a name"
        raise FileError(f"{data}: {what}")
    for place in found:
        if isinstance(place, Path) and not place.exists():
            raise FileError(f"{place}: no such file")
    return found


def _is_folder(data: Any) -> bool:
    place = located(data)
    return isinstance(place, Path) and place.is_dir()


def kind_of_file(place: Location) -> str | None:
    """The format of a file by its name."""
    return next((kind for ending, kind in ENDINGS.items() if place.name.lower().endswith(ending)), None)


def stamp_of(place: Location) -> Stamp:
    """A file's path, size and what changes with it; FileError where it is gone."""
    try:
        return str(place), *stamp(place)
    except OSError as error:
        raise FileError(f"{place} cannot be read: {error.strerror}") from error


def _input(place: Location) -> Any:
    """What pyarrow reads: the path, by which it knows gzip, or the open file of a URL."""
    if isinstance(place, Path):
        return str(place)
    return gzip.open(place.open()) if place.name.endswith(".gz") else place.open()


def _of_files(places: list[Location], spec: Spec, checked: bool) -> Table:
    stamps, tasks, known, total = tuple(map(stamp_of, places)), [], True, 0
    first: tuple[str, pa.Schema] | None = None
    for k, (place, (path, size, _)) in enumerate(zip(places, stamps, strict=True)):
        kind = kind_of_file(place)
        if kind is None:
            raise FileError(f"{path} ends in none of {', '.join(ENDINGS)}: it does not say which format to read")
        if not size:
            raise FileError(f"{path} is empty: it has no bytes at all")
        schema, rows, made = OPEN[kind](place, k, spec, None if first is None else first[1])
        first = first or (path, schema)
        if checked:
            _go_together(first, (path, schema), spec)
        tasks += made
        known, total = known and rows is not None, total + (rows or 0)
    assert first is not None
    return Table(tasks, total if known else None, spec.features(first[1].names), first[0], stamps)


def _go_together(one: tuple[str, pa.Schema], other: tuple[str, pa.Schema], spec: Spec) -> None:
    """ColumnError where a file lacks a column of the first, has one more, or holds text where that has numbers."""
    (first, here), (path, there) = one, other
    wanted = [*spec.asked, *spec.features(here.names)]
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


def _damaged(path: Location, kind: str, error: Exception) -> FileError:
    return FileError(f"{path} is not a complete {kind} file: {str(error).strip().splitlines()[0][:200]}")


Opened = tuple[Any, int | None, list[Task]]  # a file's schema, its rows, and how they are read


def _parquet(path: Location, k: int, spec: Spec, like: Any) -> Opened:
    """Row groups, which threads share; text comes as Parquet's own dictionaries, at a third of the price."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(_input(path)) as file:
            schema, about = file.schema_arrow, file.metadata
            sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "Parquet", error) from error
    columns = [name for name in schema.names if name not in spec.drop]
    text = [name for name in columns if what_of(schema.field(name).type) == "text"]

    def rows_of(group: int, start: int) -> Callable[[int], Iterator[tuple[Any, Place]]]:
        def batches(rows: int) -> Iterator[tuple[Any, Place]]:
            try:
                with parquet.ParquetFile(_input(path), read_dictionary=text) as file:
                    at = start
                    for batch in file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):
                        yield batch, Place(str(path), at)
                        at += len(batch)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(path, "Parquet", error) from error

        return batches

    starts = [sum(sizes[:group]) for group in range(len(sizes))]
    return schema, sum(sizes), [Task((k, group), rows_of(group, starts[group])) for group in range(len(sizes))]


def _arrow(path: Location, k: int, spec: Spec, like: Any) -> Opened:
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
            with pa.OSFile(str(path)) if isinstance(path, Path) else path.open() as file:
                reader, at = opened(file), 0
                each = reader if not hasattr(reader, "num_record_batches") else map(reader.get_batch, range(reader.num_record_batches))
                for batch in each:
                    yield batch.drop_columns([name for name in spec.drop if name in batch.schema.names]), Place(str(path), at)
                    at += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, "Arrow", error) from error

    try:
        with pa.OSFile(str(path)) if isinstance(path, Path) else path.open() as file:
            return opened(file).schema, None, [Task((k,), batches)]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "Arrow", error) from error


def _csv(path: Location, k: int, spec: Spec, like: Any) -> Opened:
    """A text with commas between its fields; empty fields and NA are missing. Its numbers are float64, for a first block cannot tell."""
    import pyarrow as pa
    from pyarrow import csv

    def reader(types: dict[str, Any] | None) -> Any:
        return csv.open_csv(
            _input(path),
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
                    yield batch.drop_columns([name for name in spec.drop if name in batch.schema.names]), Place(str(path), at)
                    at += len(batch)
        except (pa.ArrowException, OSError, EOFError) as error:
            raise _damaged(path, "CSV", error) from error

    return pa.schema(list(types.items())), None, [Task((k,), batches)]


OPEN = {"parquet": _parquet, "arrow": _arrow, "csv": _csv}
