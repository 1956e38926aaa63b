"""Brings the observations and the forecasts together, which may stand in several files."""

from __future__ import annotations

from collections.abc import Sequence

from matchloss.tables.errors import DataError
from matchloss.tables.read import pl, read_table, require_columns
from matchloss.tables.recode import clean
from matchloss.tables.words import plural
from matchloss.urls import Location


def gather(
    files: Sequence[Location], truth: Location | None = None, on: Sequence[str] = ()
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """The table with the observations, and the tables with the forecasts by the stem of their file's name, row for row.

    Without `truth` the observations stand in the first file. Rows belong together by their order, or by the columns `on`, which must tell
    the rows of each file apart. DataError where files have different numbers of rows, or a row has no partner.
    """
    tables = {file: _read(file) for file in files}
    stems = [file.stem for file in tables]
    for stem in stems:
        if stems.count(stem) > 1:
            raise DataError(f"two files are called {stem}: the forecasts take their names from the files")
    source, base = (truth, _read(truth)) if truth is not None else next(iter(tables.items()))
    return base, {file.stem: table if file == source else _aligned(base, source, table, file, on) for file, table in tables.items()}


def _aligned(base: pl.DataFrame, source: Location, table: pl.DataFrame, file: Location, on: Sequence[str]) -> pl.DataFrame:
    """The rows of `table` in the order of those of `base`."""
    if not on:
        if base.height != table.height:
            counts = f"{source.name} has {plural(base.height, 'row')} and {file.name} {table.height:,}"
            raise DataError(f"{counts}; --on names the columns by which their rows belong together")
        return table
    for each, name in ((base, source.name), (table, file.name)):
        require_columns(each, on, name)
        twice = each.select(on).is_duplicated()
        if twice.any():
            raise DataError(f"{name} has {_key(each, twice.arg_true()[0], on)} more than once; --on needs columns that tell the rows apart")
    for name in on:
        if base[name].dtype != table[name].dtype:
            raise DataError(f"{name} holds {base[name].dtype} in {source.name} and {table[name].dtype} in {file.name}; --on needs the same")
    joined = base.select(on).join(table.with_columns(pl.lit(True).alias("__there")), on=list(on), how="left", maintain_order="left")
    lost = joined["__there"].is_null()
    if lost.any():
        raise DataError(f"{plural(int(lost.sum()), 'row')} of {source.name} not in {file.name}, first {_key(base, lost.arg_true()[0], on)}")
    return joined.drop("__there")


def _key(table: pl.DataFrame, row: int, on: Sequence[str]) -> str:
    return ", ".join(f"{name} = {table[name][row]}" for name in on)


def _read(file: Location) -> pl.DataFrame:
    """The table in a file, its numbers read as such."""
    read = read_table(file)
    return clean(read.table, "", (), read.comma).table
