"""Comparisons of tables larger than memory: the verdicts and scores of memory, from files and from a Dask data frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from command import matchloss
from matchloss.tables.errors import DataError
from matchloss.tables.many_files import ManyFiles
from matchloss.tables.outside import Recipe

N = 120_000  # more than 100,000, where memory too holds rows out by their key
r = np.random.default_rng(6)
TABLE = pl.DataFrame(
    {
        "x": r.normal(size=N) * 1e3,
        "town": r.choice(["Ulm", "Bonn", "Graz"], N),
        "gap": pl.Series(r.normal(size=N)).set(pl.Series(r.random(N) < 0.1), None),
        "fee": pl.Series([f"{v:.2f}" for v in r.normal(size=N)]).set(pl.Series(r.random(N) < 0.01), "n/a"),  # numbers written as text
        "w": r.integers(1, 4, N),
    }
)
Z = TABLE["x"].to_numpy() / 1e3 + (TABLE["town"] == "Graz").to_numpy()
TABLE = TABLE.with_columns(
    late=pl.Series(np.where(Z + r.logistic(size=N) > 0, "late", "in time")),
    trips=pl.Series(r.poisson(np.exp(Z / 2))),
    kind=pl.Series(r.choice(["bus", "car", "foot"], N, p=[0.5, 0.3, 0.2])),
)
TARGETS = ["late", "trips", "kind"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three Parquet files of unlike size, in another order of rows."""
    made, shuffled = tmp_path_factory.mktemp("parts"), TABLE[r.permutation(N)]
    for k, (a, b) in enumerate([(0, 10_000), (10_000, 90_000), (90_000, N)]):
        shuffled[a:b].write_parquet(made / f"{k}.parquet", row_group_size=30_000)
    return made


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that these files count as larger than memory."""
    monkeypatch.setattr(ManyFiles, "larger_than_memory", property(lambda self: len(self.places) > 1))


def assert_same(found: Any, memory: Any) -> None:
    """The scores of memory, but for what a tolerance of the solver leaves."""
    assert (found.rows, found.scored, found.classes, found.kind) == (memory.rows, memory.scored, memory.classes, memory.kind)
    assert [v.best for v in found.verdicts] == [v.best for v in memory.verdicts if v.functional != "median"]
    by_name = {fit.name: fit for fit in memory.fits}
    assert found.fits
    for fit in found.fits:
        assert fit.converged
        for name, score in fit.scores.items():
            assert score.value == pytest.approx(by_name[fit.name].scores[name].value, rel=2e-6), (fit.name, name)
    np.testing.assert_allclose(found.frequencies, memory.frequencies, rtol=0.01)


def drop(target: str) -> list[str]:
    return [name for name in TARGETS if name != target]


@pytest.mark.parametrize("target", ["late", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("trips", "kind"))])
def test_files_give_the_scores_of_memory(folder: Path, target: str) -> None:
    options: dict[str, Any] = {"drop": drop(target), "sample_weight": "w"}
    if target == "late":
        options |= {"losses": "logistic,probit,hinge"}  # the exhaustive ones take the usual losses
    memory = ml.compare(TABLE, target, **options)
    found = ml.compare(folder if target == "late" else f"file://{folder}/*.parquet", target, memory="50MB", **options)
    assert_same(found, memory)
    if target == "late":
        assert "hinge is left out, since it has kinks" in " ".join(found.notes)
    assert any("read in batches" in note for note in found.notes)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # which dask gives to pandas
def test_a_dask_data_frame_gives_the_scores_of_memory(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed")
    import dask.dataframe as dd
    from distributed import Client

    memory = ml.compare(TABLE, "late", drop=drop("late"), sample_weight="w", losses="logistic,probit")
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0") as client:
        collection = dd.from_pandas(TABLE[::-1].to_pandas(), npartitions=5)
        found = ml.compare(collection, "late", drop=drop("late"), sample_weight="w", losses="logistic,probit")
        address = client.scheduler_info()["address"]
        options = ["--target", "late", "--drop", "trips,kind", "--losses", "logistic,probit", "--weight", "w", "--json"]
        code, said, _ = matchloss(capsys, "compare", str(folder), *options, "--dask", address)
    assert_same(found, memory)
    assert code == 0 and json.loads(said)["rows"] == N


def test_a_folder_that_fits_is_read_as_one_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ManyFiles, "larger_than_memory", property(lambda self: False))
    found = ml.compare(folder, "trips", drop=drop("trips"), losses="poisson")
    assert found.rows == N and found.source == "3 files, 0.parquet to 2.parquet"


def test_rows_that_are_drawn_from_files_are_a_table_in_memory(folder: Path) -> None:
    found = ml.compare(folder, "trips", drop=drop("trips"), losses="poisson,absolute_error", rows=2000, folds=3)
    assert found.rows == found.scored == 2000 and "drawn at random, as --rows says" in " ".join(found.notes)
    assert [fit.name for fit in found.fits] == ["poisson", "absolute_error"]


def test_what_needs_all_rows_in_memory_says_so(folder: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"split": "group:town"}, "--split group:town needs all rows in memory"),
        ({"rows": 10**6, "memory": "1MB"}, "--rows 1000000 take about 256 MB of memory, more than --memory, 1 MB"),
        ({"losses": "absolute_error"}, "absolute_error is left out, since it has kinks"),
        ({"model": "trees"}, "--model trees needs all rows in memory"),
    ]
    for options, says in cases:
        with pytest.raises(DataError, match=says):
            ml.compare(folder, "trips", drop=drop("trips"), **options)


def test_equal_rows_are_held_out_by_their_place(tmp_path: Path) -> None:
    few = pl.DataFrame({"a": np.arange(40_000) % 7, "y": np.arange(40_000) % 7 + np.arange(40_000) % 2})
    for k in range(2):
        few.write_parquet(tmp_path / f"{k}.parquet")
    found = ml.compare(tmp_path, "y", losses="squared_error")
    assert "by their place, because many rows are equal" in found.how and abs(found.scored - 16_000) < 600


def test_a_batch_names_the_row_whose_weight_or_exposure_cannot_be() -> None:
    recipe = Recipe("y", False, ("a",), (), ("a",), {}, weight="w", exposure="e")
    batch = pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": [None, 4.0, 6.0], "e": [0.0, 2.0, 3.0], "w": [-1.0, 1.0, 0.5]})
    assert recipe.rows(batch, "b.csv").rows() == [(2.0, 2.0, 2.0), (3.0, 2.0, 1.5)]  # a row without a target is not looked at
    for column, says in (("w", "the weight w is -1 in row 13; a weight is finite"), ("e", "the exposure e is missing in row 13")):
        bad = batch.with_columns(pl.Series(column, [1.0, 1.0, -1.0 if column == "w" else None]))
        with pytest.raises(DataError, match=f"b.csv: {says}"):
            recipe.rows(bad, "b.csv", 10)
    nothing = batch.select(pl.all().cast(pl.String))[:0]
    assert recipe.rows(nothing, "b.csv").height == 0


def test_the_command_reads_folders_and_clusters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("typer")
    options = ["--target", "trips", "--drop", "late,kind", "--losses", "poisson", "--memory", "50MB"]
    code, said, _ = matchloss(capsys, "compare", str(folder), *options)
    assert code == 0 and "read in batches" in " ".join(said.split()) and max(map(len, said.splitlines())) <= 80
    code, _, err = matchloss(capsys, "compare", str(folder / "none-*.parquet"), *options)
    assert code == 1 and "none-*.parquet" in err
