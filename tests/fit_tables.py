"""A table with columns of every kind, and its files, for the tests of fits to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

ROWS = 20_000
SMALL = "8MB"  # the compact rows go to a file


def table(n: int = ROWS, seed: int = 0) -> pa.Table:
    """Numbers, one of them far from 0, categories of every kind, weights, and targets of every kind."""
    r = np.random.default_rng(seed)
    a, k = r.normal(size=n), r.integers(0, 40, n)
    z = a - k / 40
    return pa.table(
        {
            "a": a,
            "far": (r.normal(size=n) + 1e7).astype(np.float32),
            "k": k.astype(np.int16),
            "c": pa.array(r.choice(["u", "v", "w"], n)),
            "flag": r.random(n) < 0.3,
            "many": pa.array(r.integers(0, 300, n).astype(str)),
            "weight": r.integers(0, 3, n).astype(float),
            "number": z + r.normal(size=n),
            "count": r.poisson(np.exp(0.5 * z)),
            "binary": (r.random(n) < 1 / (1 + np.exp(-z))).astype(np.int8),
            "label": pa.array(r.choice(["x", "y", "z"], n)),
        }
    )


TARGETS = ("number", "count", "binary", "label")
TABLE = table()


def features(target: str, drop: tuple[str, ...] = ()) -> tuple[pa.Table, list[str]]:
    """The features for a target, and what to drop to get them."""
    aside = [*(t for t in TARGETS if t != target), *drop]
    return TABLE.drop_columns([target, "weight", *aside]), aside


def written(folder: Path, whole: pa.Table = TABLE, files: int = 3, group: int = 3000) -> Path:
    """The table in Parquet files."""
    folder.mkdir(exist_ok=True)
    rows = -(-len(whole) // files)
    for i in range(files):
        parquet.write_table(whole.slice(i * rows, rows), folder / f"{i}.parquet", row_group_size=group)
    return folder
