"""Keys of rows: the same in memory, in batches of any file and in partitions, whatever order, types and formats."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from matchloss.tables.frames import to_polars
from matchloss.tables.keys import SKETCH, Tally, as_target, held_out, numbered, placed, row_keys, value_keys
from matchloss.tables.splits import NEVER, asked_split, plan

N = 2_000
r = np.random.default_rng(11)
TABLE = pl.DataFrame(
    {
        "x": r.normal(size=N),
        "hour": r.integers(0, 24, N),
        "wet": r.random(N) < 0.3,
        "town": r.choice(["Ulm", "Köln", "", "Graz"], N),
        "gap": pl.Series(r.normal(size=N)).set(pl.Series(r.random(N) < 0.2), None),
        "word": pl.Series(r.choice(["a", "b"], N)).set(pl.Series(r.random(N) < 0.2), None),
    }
)
KEYS = row_keys([*TABLE])


def other_types() -> dict[str, pl.DataFrame]:
    """The same values in other types."""
    return {
        "narrow": TABLE.with_columns(pl.col("hour").cast(pl.Int8), pl.col("wet").cast(pl.UInt8)),
        "floats": TABLE.with_columns(pl.col("hour", "wet").cast(pl.Float64), pl.col("x").cast(pl.Float32)),
        "categories": TABLE.with_columns(pl.col("town", "word").cast(pl.Categorical)),
        "enum": TABLE.with_columns(pl.col("town").cast(pl.Enum(["Graz", "Köln", "", "Ulm"]))),
        "NaN": TABLE.with_columns(pl.col("gap").fill_null(float("nan"))),
        "no text": TABLE.with_columns(pl.col("word").fill_null("")),
        "columns in another order": TABLE.select(sorted(TABLE.columns)),
        "chunks": pl.concat([TABLE[:7], TABLE[7:]], rechunk=False),
    }


@pytest.mark.parametrize("how", other_types())
def test_types_do_not_matter(how: str) -> None:
    assert (row_keys([*other_types()[how]]) == KEYS).all()


def test_the_format_of_the_file_and_the_kind_of_frame_do_not_matter(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "t.parquet")
    TABLE.write_csv(tmp_path / "t.csv")
    TABLE.write_ipc(tmp_path / "t.arrow")
    for made in (
        pl.read_parquet(tmp_path / "t.parquet"),
        pl.read_csv(tmp_path / "t.csv"),
        pl.read_ipc(tmp_path / "t.arrow"),
        to_polars(TABLE.to_pandas()),
        to_polars(pd.read_csv(tmp_path / "t.csv")),
        to_polars(TABLE.to_arrow()),
    ):
        assert (row_keys([*made]) == KEYS).all()


@pytest.mark.parametrize("size", [1, 7, 1_999])
def test_batches_and_their_order_do_not_matter(size: int) -> None:
    starts = range(0, N, size)
    assert (np.concatenate([row_keys([*TABLE[at : at + size]]) for at in starts]) == KEYS).all()
    held = held_out(KEYS, 3)
    tallies = [Tally.of(KEYS[at : at + size], held[at : at + size]) for at in starts]
    both = Tally()
    for tally in reversed(tallies):
        both = both.add(tally)
    assert both == Tally.of(KEYS, held) and both.mostly_distinct()


def test_values_names_and_seeds_make_other_keys() -> None:
    assert len(set(KEYS)) == N
    assert not (row_keys([*TABLE.rename({"x": "z"})]) == KEYS).any()
    assert (row_keys([pl.Series("a", [0.0])]) == row_keys([pl.Series("a", [-0.0])])).all()
    assert abs((held_out(KEYS, 0) & held_out(KEYS, 1)).mean() - 0.04) < 0.02  # two seeds have nothing to do with each other


def test_times_in_any_unit_are_one() -> None:
    day = pl.Series("t", [dt.datetime(2024, 1, 2), dt.datetime(1960, 5, 6)])
    kinds = [day.cast(pl.Datetime(unit)) for unit in ("ms", "us", "ns")] + [day.cast(pl.Date)]
    assert all((value_keys(kind) == value_keys(day)).all() for kind in kinds)


def test_a_label_has_one_key_as_a_number_and_as_text() -> None:
    kinds = [pl.Series("y", [1, 0, 1]), pl.Series("y", [1.0, 0.0, 1.0]), pl.Series("y", ["1", "0", "1"])]
    assert len({tuple(value_keys(as_target(kind, is_label=True))) for kind in kinds}) == 1
    assert as_target(kinds[0], is_label=False) is kinds[0]


def test_equal_rows_are_told_apart_by_number_or_place() -> None:
    keys = row_keys([pl.Series("x", [1, 1, 2, 1])])
    assert len(set(numbered(keys))) == len(set(placed(keys, 0))) == 4
    assert (placed(keys, 10)[1:] == placed(keys[1:], 11)).all()


@pytest.mark.parametrize(
    ("x", "differ"),
    [
        (np.arange(100_000), True),
        (np.arange(100_000) % 500, False),
        (np.where(np.arange(100_000) < 40_000, 0, np.arange(100_000)), False),  # most rows differ, but two fifths are one
        (np.arange(100_000) // 4, False),
    ],
)
def test_a_tally_tells_whether_rows_differ(x: np.ndarray, differ: bool) -> None:
    keys = row_keys([pl.Series("x", x)])
    tally = Tally.of(keys, held_out(keys, 0))
    assert tally.distinct == pytest.approx(len(np.unique(x)), rel=4 / SKETCH**0.5)
    assert tally.mostly_distinct() is differ


def test_an_empty_table_has_a_tally() -> None:
    keys = row_keys([pl.Series("x", [], pl.Float64)])
    assert Tally.of(keys, held_out(keys, 0)) == Tally()


def test_many_rows_are_held_out_by_their_own_key_and_equal_ones_by_number() -> None:
    n = 100_001
    table, y = pl.DataFrame({"x": r.normal(size=n), "c": r.choice(["a", "b"], n)}), pl.Series("y", r.choice(["no", "yes"], n))
    codes = (y == "yes").to_numpy().astype(np.intp)
    split = plan(table, pl.Series("y", codes), asked_split("auto"), classes=("no", "yes"), labels=codes, seed=7)
    assert (split.how, ((split.folds[0] != NEVER) == held_out(row_keys([*table, y]), 7)).all()) == ("random", True)
    order = r.permutation(n)
    moved = plan(table[order], pl.Series("y", codes[order]), asked_split("auto"), classes=("no", "yes"), labels=codes[order], seed=7)
    assert (moved.folds[0] == split.folds[0][order]).all()
    discrete = plan(pl.DataFrame({"x": np.arange(n) % 10}), pl.Series("y", np.arange(n) % 10), asked_split("auto"))
    assert np.bincount(np.arange(n)[discrete.scored] % 10).min() > 1_500  # a part of each of the ten rows, not two whole ones
