"""Fits that are killed go on from their checkpoint to the same bits, and only if it is of the same fit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fit_tables import TABLE, written
from matchloss.errors import CheckpointError
from matchloss.linear import LinearClassifier, load
from matchloss.linear.journal import Journal


@pytest.fixture(autouse=True)
def _on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rows are held in memory, however few."""
    monkeypatch.setattr("matchloss.linear.from_files.HELD", 1 << 30)


CHILD = """
import os, sys
import matchloss.linear.journal, matchloss.linear.sources.scratch as s
from matchloss.linear import fit_files  # without an estimator, whose import takes a second
moment = int(sys.argv[4])
step = [0]
def slower(work):
    def run(*args):
        step[0] += 1
        if step[0] == moment:
            os.kill(os.getpid(), 9)
        return work(*args)
    return run
os.pwritev, os.fsync = slower(os.pwritev), slower(os.fsync)
s.Scratch._fill = slower(s.Scratch._fill)
import matchloss.linear.from_files as f
f.HELD = 1 << 30
aside = ["weight", "number", "count", "label", "many"]
more = {"scratch": sys.argv[2], "checkpoint": sys.argv[3], "resume": "resume" in sys.argv}
found = fit_files("logistic", sys.argv[1], "binary", categorical=["k"], drop=aside, **more)
found.save(sys.argv[3] + ".model")
"""


def killed_and_resumed(tmp_path: Path, moments: list[int]) -> None:
    """Kills a fit at these steps of writing and reading, one after the other, and holds the end to a fit that nobody killed."""
    folder = written(tmp_path / "t")
    aside = ["weight", "number", "count", "label", "many"]
    want = LinearClassifier("logistic").fit_files(folder, "binary", categorical=["k"], drop=aside)
    scratch, checkpoint = tmp_path / "scratch", tmp_path / "checkpoint"
    scratch.mkdir()
    for moment in [*moments, 1 << 30]:
        more = ["resume"] if checkpoint.exists() else []
        done = subprocess.run(
            [sys.executable, "-c", CHILD, folder, scratch, checkpoint, str(moment), *more], capture_output=True, text=True
        )
        assert done.returncode == (-signal.SIGKILL if moment < 1 << 30 else 0), done.stderr
        assert len(list(scratch.iterdir())) <= 1  # a run removes what a killed one left, or goes on from it
    np.testing.assert_array_equal(load(f"{checkpoint}.model").coef_, want.coef_)
    assert not list(scratch.iterdir()) and not checkpoint.exists()


def test_a_fit_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, [2, 11])


@pytest.mark.exhaustive
def test_a_fit_that_was_killed_at_twenty_moments_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    for k, moment in enumerate(np.random.default_rng(0).integers(1, 90, 20).tolist()):
        (tmp_path / str(k)).mkdir()
        killed_and_resumed(tmp_path / str(k), [moment])


class Stopped(Exception):
    pass


def stopped(data: Any, checkpoint: Path, passes: int, **options: Any) -> None:
    """A fit that ends by an error after some passes."""

    def tell(text: str) -> None:
        if text.startswith(f"pass {passes}: gradient"):
            raise Stopped

    with pytest.raises(Stopped):
        LinearClassifier("logistic").fit_files(data, "binary", checkpoint=checkpoint, progress=tell, **options)


def test_a_checkpoint_of_another_fit_is_refused_by_name(tmp_path: Path) -> None:
    folder, checkpoint = written(tmp_path / "t", TABLE.select(["a", "far", "binary"])), tmp_path / "c"
    stopped(folder, checkpoint, 2)
    cases: tuple[tuple[LinearClassifier, dict[str, Any], str], ...] = (
        (LinearClassifier("logistic", l2=0.5), {}, "l2 was 0.0 and is 0.5"),
        (LinearClassifier("probit"), {}, r"loss was 'Logistic\(\)' and is 'Probit\(\)'"),
        (LinearClassifier("logistic"), {"drop": ["a"]}, r"drop was \[\] and is \['a'\]"),
    )
    for estimator, more, message in cases:
        with pytest.raises(CheckpointError, match=message):
            estimator.fit_files(folder, "binary", checkpoint=checkpoint, resume=True, **more)
    os.utime(folder / "1.parquet", (1, 1))
    with pytest.raises(CheckpointError, match=r"1.parquet has another size or time since"):
        LinearClassifier("logistic").fit_files(folder, "binary", checkpoint=checkpoint, resume=True)
    checkpoint.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="is no checkpoint of matchloss"):
        LinearClassifier("logistic").fit_files(folder, "binary", checkpoint=checkpoint, resume=True)


def test_a_resumed_fit_makes_no_pass_twice(tmp_path: Path) -> None:
    folder, checkpoint = written(tmp_path / "t", TABLE.select(["a", "far", "binary"])), tmp_path / "c"
    stopped(folder, checkpoint, 3)
    with checkpoint.open("ab") as file:
        file.write(b"half a record")
    journal = Journal(checkpoint, {})
    journal.resume()
    assert len(journal.kept) == 3
    told: list[str] = []
    found = LinearClassifier("logistic").fit_files(folder, "binary", checkpoint=checkpoint, resume=True, progress=told.append)
    assert any("3 passes are known" in text for text in told)
    np.testing.assert_array_equal(found.coef_, LinearClassifier("logistic").fit_files(folder, "binary").coef_)


def test_a_checkpoint_on_a_full_disk_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, checkpoint, told = written(tmp_path / "t", TABLE.select(["a", "binary"])), tmp_path / "c", []
    sync, calls = os.fsync, [0]

    def full(file: int) -> None:
        calls[0] += 1
        if calls[0] > 3:
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    kept: list[int] = []
    monkeypatch.setattr(Journal, "remove", lambda self: kept.append(len(self.path.read_bytes()) - self.end))
    LinearClassifier("logistic").fit_files(folder, "binary", checkpoint=checkpoint, progress=told.append)
    assert kept == [0] and sum("cannot be written any more (No space left on device)" in text for text in told) == 1
    journal = Journal(checkpoint, {})
    journal.resume()
    assert len(journal.kept) == 1
