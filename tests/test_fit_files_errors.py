"""Fits to files that cannot be read, on disks that are full: one clear message, and nothing stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fit_tables import SMALL, TABLE, written
from matchloss.errors import DomainError, FileError
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.columns import ColumnError
from matchloss.linear.sources.scratch import Scratch, ScratchError


@pytest.fixture(autouse=True)
def _on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rows are held in memory, however few."""
    monkeypatch.setattr("matchloss.linear.from_files.HELD", 1 << 30)


def bad(folder: Path, name: str) -> tuple[Any, str, dict[str, Any], type[Exception], str]:
    """Data, target, options, and the error that they should give."""
    frame = pa.table({"x": np.arange(100.0), "y": np.arange(100) % 5.0, "w": np.ones(100)})
    one, two = folder / "a.parquet", folder / "b.parquet"
    parquet.write_table(frame, one)
    more: dict[str, Any] = {}
    data: Any = folder
    if name == "a column is missing":
        parquet.write_table(frame.drop_columns("x"), two)
        return data, "y", more, ColumnError, r'b.parquet has no column "x"; .*a.parquet has one'
    if name == "one column more":
        parquet.write_table(frame.append_column("z", frame["x"]), two)
        return data, "y", more, ColumnError, r'b.parquet has a column "z", which .*a.parquet has not; drop='
    if name == "another type":
        parquet.write_table(frame.set_column(0, "x", pa.array(["t"] * 100)), two)
        return data, "y", more, ColumnError, r'column "x" holds text in .*b.parquet and numbers in .*a.parquet'
    if name == "the target is missing in one":
        parquet.write_table(frame.drop_columns("y"), two)
        return data, "y", more, ColumnError, r'b.parquet has no column "y"'
    if name == "an empty file":
        two.write_bytes(b"")
        return data, "y", more, FileError, r"b.parquet is empty"
    if name == "a truncated file":
        two.write_bytes(one.read_bytes()[:-20])
        return data, "y", more, FileError, r"b.parquet is not a complete Parquet file"
    if name == "a damaged page":
        content = bytearray(one.read_bytes())
        content[4:400] = bytes(396)
        two.write_bytes(content)
        return data, "y", more, FileError, r"b.parquet is not a complete Parquet file"
    if name == "a truncated gzip":
        one.unlink()
        (folder / "c.csv").write_text("x,y\n" + "1.5,2\n" * 3000)
        os.system(f"gzip {folder}/c.csv")
        (folder / "c.csv.gz").write_bytes((folder / "c.csv.gz").read_bytes()[:-15])
        return data, "y", more, FileError, r"c.csv.gz is not a complete CSV file"
    if name == "no rows":
        parquet.write_table(frame.slice(0, 0), one)
        return data, "y", more, ValueError, "there is no row to fit to"
    if name == "a used iterator":
        batches = iter(frame.to_batches())
        list(batches)
        return batches, "y", more, ValueError, "there is no row to fit to"
    if name == "an iterator to resume from":
        return iter([frame]), "y", {"checkpoint": folder / "c", "resume": True}, ValueError, "an iterator can be read only once"
    if name == "an iterator of something else":
        return [{"x": 1}], "y", more, TypeError, "a data frame in memory"
    if name == "something else":
        return 5, "y", more, TypeError, "data is int; allowed: a path"
    if name == "no file":
        return folder / "none.parquet", "y", more, FileError, "none.parquet: no such file"
    if name == "no file of the pattern":
        return folder / "*.csv", "y", more, FileError, "no file has such a name"
    if name == "no such target":
        return data, "z", more, ColumnError, r'a.parquet has no column "z"'
    if name == "a target that is not a number":
        return frame.set_column(1, "y", pa.array(["t"] * 100)), "y", more, ColumnError, "LinearClassifier takes labels"
    if name == "a missing target":
        return frame.set_column(1, "y", pa.array([1.0] * 7 + [None] * 93)), "y", more, ValueError, "is nan in row 7 of the batches"
    if name == "a target outside":
        return frame.set_column(1, "y", pa.array([1.0] * 7 + [-1.0] * 93)), "y", more, DomainError, r'"y" is -1.0 in row 7 of'
    if name == "a negative weight":
        return frame.set_column(2, "w", pa.array([1.0] * 9 + [-2.0] * 91)), "y", {"sample_weight": "w"}, ValueError, "is -2.0 in row 9"
    if name == "all weights 0":
        return frame.set_column(2, "w", pa.array([0.0] * 100)), "y", {"sample_weight": "w"}, ValueError, "every sample_weight is zero"
    if name == "too little memory":
        return data, "y", {"memory": 1000}, ValueError, r'memory=1 kB is too small: .* memory="\d.*" \(--memory\) would do'
    if name == "no size":
        return data, "y", {"memory": "much"}, ValueError, "memory is 'much'; allowed: a size such as \"2GB\""
    if name == "no folder":
        return data, "y", {"scratch": folder / "none"}, ScratchError, "is no folder"
    if name == "two columns of one name":
        return frame.append_column("x", frame["y"]), "y", more, ColumnError, 'has two columns "x"'
    if name == "a date":
        return frame.append_column("d", pa.array([0] * 100, pa.date32())), "y", more, ColumnError, 'column "d" has the type'
    raise AssertionError(name)


BAD = (
    "a column is missing", "one column more", "another type", "the target is missing in one", "an empty file", "a truncated file",
    "a damaged page", "a truncated gzip", "no rows", "a used iterator", "an iterator to resume from", "an iterator of something else",
    "something else", "no file", "no file of the pattern", "no such target", "a target that is not a number", "a missing target",
    "a target outside", "a negative weight", "all weights 0", "too little memory", "no size", "no folder", "a date",
    "two columns of one name",
)  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_said_in_one_message(name: str, tmp_path: Path) -> None:
    folder, scratch = tmp_path / "t", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    data, target, more, error, message = bad(folder, name)
    options: dict[str, Any] = {"scratch": scratch, "checkpoint": scratch / "c"} | more
    with pytest.raises(error, match=message):
        LinearRegressor("poisson").fit_files(data, target, **options)
    assert not list(scratch.iterdir())


def test_an_empty_table_among_many_is_no_error(tmp_path: Path) -> None:
    frame = pa.table({"x": np.arange(100.0), "y": np.arange(100) % 5.0})
    parquet.write_table(frame.slice(0, 0), tmp_path / "0.parquet")
    parquet.write_table(frame, tmp_path / "1.parquet")
    np.testing.assert_array_equal(
        LinearRegressor().fit_files(tmp_path, "y").coef_, LinearRegressor().fit(frame.drop_columns("y"), frame["y"].to_numpy()).coef_
    )


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    folder = written(tmp_path / "t", TABLE.select(["a", "number"]))
    told: list[str] = []

    def change(text: str) -> None:
        if not told:
            os.utime(folder / "1.parquet", (1, 1))
        told.append(text)

    with pytest.raises(FileError, match=r"1.parquet changed while it was read"):
        LinearRegressor().fit_files(folder, "number", memory=SMALL, progress=change)


def test_a_disk_too_small_is_an_error_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=5000))
    with pytest.raises(ScratchError, match=r"the rows take about \d.*B, and .* has 5 kB free; scratch= \(--scratch\) names another"):
        LinearRegressor().fit_files(written(tmp_path / "t", TABLE.select(["a", "number"])), "number", scratch=tmp_path)
    assert not list(tmp_path.glob("*.rows"))


def test_a_disk_that_fills_is_said_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(ScratchError, match="is full; the rows so far took"):
        LinearRegressor().fit_files(written(tmp_path / "t", TABLE.select(["a", "number"])), "number", scratch=tmp_path)
    assert not list(tmp_path.glob("*.rows"))


ALIVE = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); input()"


def test_leftovers_of_killed_runs_go_and_those_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "matchloss-dead.rows").write_bytes(b"x")
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); input()",
            tmp_path / "matchloss-alive.rows",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None and other.stdout.readline()
        told: list[str] = []
        LinearRegressor().fit_files(TABLE.select(["a", "number"]), "number", scratch=tmp_path, progress=told.append)
        assert [p.name for p in tmp_path.iterdir()] == ["matchloss-alive.rows"] and "1 scratch file of killed runs removed" in told[0]
        other.communicate(b"\n")


def test_a_reading_may_end_in_the_thread_that_holds_the_lock(tmp_path: Path) -> None:
    """The garbage collector ends readings that were left, in whatever thread it runs."""
    store = Scratch(tmp_path, 0)
    store.append((0,), [np.arange(10.0)])
    store.finish()
    left = store.pieces(0, 10)
    next(left)

    def end() -> None:
        with store._lock:
            left.close()

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    store.close()


def test_progress_is_told_in_sentences(tmp_path: Path) -> None:
    told: list[str] = []
    LinearClassifier().fit_files(written(tmp_path / "t", TABLE.select(["a", "binary"])), "binary", scratch=tmp_path, progress=told.append)
    assert told[0].startswith("the rows take about 180 kB in ") and told[1].startswith("20,000 rows read in ")
    assert told[2].startswith("pass 1: gradient ") and "rows a second" in told[2]
