"""Paths may be URLs: read by every command, and clear about what they need."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from command import matchloss
from matchloss.judging import judge
from matchloss.tables.errors import DataError
from matchloss.tables.read import read_table
from matchloss.urls import Url, UrlError, located, matching, stamp

fsspec = pytest.importorskip("fsspec")

N = 60
r = np.random.default_rng(2)
TABLE = pl.DataFrame({"x": r.normal(size=N), "c": r.choice(["a", "b"], N)}).with_columns(y=pl.col("x") * 2 + pl.Series(r.normal(size=N)))


@pytest.fixture
def memory(tmp_path: Path) -> str:
    """A folder of files in memory."""
    system = fsspec.filesystem("memory")
    if system.exists("/urls"):
        system.rm("/urls", recursive=True)
    for name, write in {"t.csv": TABLE.write_csv, "t.parquet": TABLE.write_parquet, "_SUCCESS": TABLE.write_csv}.items():
        write(tmp_path / name)
        system.pipe(f"/urls/{name}", (tmp_path / name).read_bytes())
    return "memory://urls"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_url_is_read_as_the_file_is(memory: str, tmp_path: Path, name: str) -> None:
    for url in (f"{memory}/{name}", f"file://{tmp_path}/{name}"):
        read = read_table(url)
        assert (read.name, read.table.equals(TABLE)) == (name, True)
    assert ml.compare(f"{memory}/{name}", "y", losses="squared_error").source == name


def test_fit_compare_predict_and_score_take_urls(memory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("typer")
    model, out = tmp_path / "m.json", tmp_path / "p.csv"
    assert matchloss(capsys, "fit", f"{memory}/t.parquet", "--target", "y", "--out", str(model))[0] == 0
    assert matchloss(capsys, "predict", str(model), f"{memory}/t.csv", "--key", "y", "--out", str(out))[0] == 0
    fsspec.filesystem("memory").pipe("/urls/p.csv", out.read_bytes())
    code, said, _ = matchloss(capsys, "score", f"{memory}/p.csv", "--target", "y", "--prediction", "prediction")
    assert code == 0 and "squared error" in said
    assert judge([located(f"{memory}/p.csv")], "y", ["prediction"]).source == "p.csv"
    code, said, _ = matchloss(capsys, "compare", f"file://{tmp_path}/t.csv", "--target", "y", "--losses", "squared_error")
    assert code == 0 and "t.csv: 60 rows" in said


def test_a_pattern_and_a_folder_name_their_files(memory: str, tmp_path: Path) -> None:
    for place in (memory, f"{memory}/t.*", f"file://{tmp_path}", str(tmp_path), f"{tmp_path}/*", tmp_path):
        assert [path.name for path in matching(place)] == ["t.csv", "t.parquet"], place
    assert [path.name for path in matching(f"{tmp_path}/none-*")] == []
    assert matching(f"{memory}/_SUCCESS") == [Url(f"{memory}/_SUCCESS")]  # named outright, it is taken
    assert matching(tmp_path / "t.csv") == [tmp_path / "t.csv"]


def test_a_stamp_tells_that_a_file_changed(memory: str, tmp_path: Path) -> None:
    for place in matching(f"{memory}/t.*"):
        before = stamp(place)
        fsspec.filesystem("memory").pipe(f"/urls/{place.name}", b"x\n1\n")
        assert before[0] > 4 == stamp(place)[0] and stamp(place)[1] != before[1]
    assert stamp(tmp_path / "t.csv")[0] == (tmp_path / "t.csv").stat().st_size


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("memory://urls/none.csv", "memory://urls/none.csv: no such file"),
        ("s3://bucket/t.csv", "s3://bucket/t.csv: s3:// needs the package s3fs: pip install s3fs"),
        ("gs://bucket/t.csv", "gs:// needs the package gcsfs: pip install gcsfs"),
        ("thing://t.csv", "thing:// is not known; file://, s3://"),
    ],
)
def test_a_url_that_cannot_be_opened_says_what_would_do(url: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError) as caught:
        read_table(url)
    assert says in str(caught.value)


def test_without_fsspec_a_url_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UrlError, match="a URL needs the package fsspec: pip install fsspec"):
        located("s3://bucket/t.csv").exists()


def test_a_drive_is_no_url() -> None:
    assert isinstance(located("C://folder/t.csv"), Path) and isinstance(located("folder/t.csv"), Path)
