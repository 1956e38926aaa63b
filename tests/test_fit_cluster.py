"""`matchloss fit` on a Dask cluster: the model and the scores of the same rows in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from command import matchloss, refusal
from fit_tables import table, written
from matchloss.fit import run
from matchloss.linear.model import Model
from matchloss.models.saved import read_model
from matchloss.tables.errors import DataError

distributed = pytest.importorskip("distributed")
pytest.importorskip("typer")
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # which dask gives to pandas

ROWS = 110_000  # so many that rows are held out by their values in memory too
WHOLE = table(ROWS, 1)
ASIDE = ["number", "count", "label", "weight"]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0") as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hours = pa.array(np.random.default_rng(3).uniform(0.5, 9, len(WHOLE)))
    return written(tmp_path_factory.mktemp("cluster") / "t", WHOLE.drop_columns(["many"]).append_column("hours", hours), 3, 20_000)


def _collection(folder: Path) -> Any:
    import dask.dataframe as dd

    return dd.read_parquet(folder)


def address(client: Any) -> str:
    return client.scheduler_info()["address"]


def test_the_command_gives_the_model_and_the_scores_of_files(client: Any, folder: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "m.json"
    options = ["--target", "binary", "--drop", ",".join(ASIDE), "--dask", address(client), "--out", out]
    code, said, err = matchloss(capsys, "fit", folder, *options)
    assert (code, err) == (0, "") and "on a Dask cluster: read once" in " ".join(said.split())
    assert max(map(len, said.splitlines()[:-1])) <= 80 and [p.name for p in tmp_path.iterdir()] == ["m.json"]
    there = run.fit(folder, "binary", drop=ASIDE, memory="10MB")
    found = read_model(out)
    assert isinstance(found, Model) and isinstance(there.model, Model)
    assert found.design.names == there.model.design.names and found.about["source"] == str(folder)
    np.testing.assert_allclose(found.coef, there.model.coef, rtol=1e-10, atol=1e-12)
    assert (found.about["rows"], found.about["scored"]) == (there.rows, there.scored)
    for name, score in there.scores.items():
        assert found.about["scores"][name]["model"] == pytest.approx(score.value, rel=1e-10)
        assert found.about["scores"][name]["constant"] == pytest.approx(there.constant[name].value, rel=1e-10)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("count", {"weight": "weight", "exposure": "hours", "offset": "a", "summary": True}),
        pytest.param("label", {}, marks=pytest.mark.exhaustive),
    ],
)
def test_a_data_frame_gives_the_coefficients_of_files(client: Any, folder: Path, target: str, options: dict[str, Any]) -> None:
    aside = [name for name in ("number", "count", "binary", "label") if name != target]
    found = run.fit(_collection(folder), target, drop=aside, client=client, **options)
    there = run.fit(folder, target, drop=aside, memory="10MB", **options)
    assert isinstance(found.model, Model) and isinstance(there.model, Model)
    assert found.model.design.names == there.model.design.names and found.model.classes == there.model.classes
    assert (found.rows, found.scored, found.how, found.kind) == (there.rows, there.scored, there.how, there.kind)
    np.testing.assert_allclose(found.model.coef, there.model.coef, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.model.intercept, there.model.intercept, rtol=1e-10)
    for name, score in there.scores.items():
        assert found.scores[name].value == pytest.approx(score.value, rel=1e-10)
    if "summary" in options:
        np.testing.assert_allclose(found.summary["se"], there.summary["se"], rtol=1e-8)  # pyright: ignore[reportOptionalSubscript]


def test_options_that_do_not_go_with_a_cluster_are_refused_by_name(client: Any, folder: Path, tmp_path: Path, capsys: Any) -> None:
    base = ["fit", folder, "--target", "number", "--dask", address(client)]
    stays = "the rows of a Dask cluster stay with its workers"
    for more, message in (
        (["--model", "trees"], f"--model trees needs all rows in memory, and {stays}"),
        (["--l1", "0.1"], f"--l1 is for tables that fit in memory, and {stays}"),
        (["--formula", "number ~ a"], f"--formula is for tables that fit in memory, and {stays}"),
        (["--folds", "3"], f"--folds is for tables that fit in memory, and {stays}"),
        (["--loss", "pinball"], "has kinks, and the interior point method"),
    ):
        assert message in refusal(capsys, *base, *more)
    for more in (["--memory", "2GB"], ["--scratch", tmp_path], ["--resume", "--out", tmp_path / "m.json"]):
        code, _, err = matchloss(capsys, *base, *more)
        assert code == 2 and f"{more[0]} is for files that are read here" in " ".join(err.split())
    code, _, err = matchloss(capsys, *base[:4], "--loss", "cox", "--dask", address(client))
    assert code == 2 and "--dask is not for --loss cox" in " ".join(err.split())
    assert 'the collection has no column "none"' in refusal(capsys, *base[:2], "--target", "none", *base[4:])
    with pytest.raises(DataError, match="checkpoint is for files"):
        run.fit(_collection(folder), "number", client=client, checkpoint=tmp_path / "c")


def test_equal_rows_are_held_out_by_their_place_and_a_bad_row_is_named(client: Any) -> None:
    import dask.dataframe as dd
    import pandas as pd

    few = pd.DataFrame({"a": np.arange(40_000) % 7, "y": np.arange(40_000) % 7 + np.arange(40_000) % 5 + 1.0})
    found = run.fit(dd.from_pandas(few, npartitions=3), "y", client=client)
    assert "by values and places, since many rows are equal" in found.how and abs(found.scored - 8_000) < 300
    few.loc[39_999, "y"] = -1.0
    with pytest.raises(ValueError, match="-1"):
        run.fit(dd.from_pandas(few, npartitions=3), "y", loss="poisson", client=client)
