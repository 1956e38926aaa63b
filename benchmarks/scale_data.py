"""Flights by the million in Parquet files: what fits to files are timed on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from matchloss.tables.flights import LATE, read_flights

TARGET, CATEGORIES = "late", ("carrier", "origin", "dest", "month", "hour")
TEXT = ["carrier", "origin", "dest"]
GROUP = 500_000  # rows of a row group


def folder() -> Path:
    """Where the files are kept between runs: SCALE_FOLDER, or one among the temporary files."""
    return Path(os.environ.get("SCALE_FOLDER", Path(tempfile.gettempdir()) / "matchloss-scale"))


def flights(rows: int, files: int = 6) -> list[Path]:
    """The files of so many rows, made unless they are there: the flights that arrived, in order, again and again, a little changed.

    A label in fifty is drawn anew.
    """
    place = folder() / str(rows)
    paths = [place / f"flights-{k:02}.parquet" for k in range(files)]
    if not all(path.exists() for path in paths):
        place.mkdir(parents=True, exist_ok=True)
        _write(paths, rows)
    return paths


def _write(paths: list[Path], rows: int) -> None:
    table, draw = read_flights().drop_nulls("arr_delay").to_arrow(), np.random.default_rng(0)
    some = {name: table[name].to_numpy() for name in ("day", "month", "hour", "distance", "minute", "arr_delay")}
    text = {name: table[name].combine_chunks().dictionary_encode() for name in TEXT}
    for k, path in enumerate(paths):
        start, stop = k * rows // len(paths), (k + 1) * rows // len(paths)
        n, at = stop - start, np.arange(start, stop) % table.num_rows
        late = some["arr_delay"][at] + draw.normal(0, 10, n) > LATE
        made = {name: some[name][at] for name in ("day", "month", "hour")}
        made["distance"] = some["distance"][at] * draw.normal(1, 0.01, n)
        made["minute"] = (some["minute"][at] + draw.integers(0, 5, n)) % 60
        made |= {name: column.take(pa.array(at)).cast(pa.string()) for name, column in text.items()}
        made[TARGET] = np.where(draw.random(n) < 0.02, draw.random(n) < 0.5, late)
        partial = path.with_suffix(".partial")
        parquet.write_table(pa.table(made), partial, row_group_size=GROUP)
        os.replace(partial, path)
