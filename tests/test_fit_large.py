"""`matchloss fit` of files larger than memory: the model and the scores of a table that fits, by the same rows held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from command import matchloss, refusal
from fit_tables import table, written
from matchloss.fit import run
from matchloss.linear.from_files import Said
from matchloss.tables.errors import DataError

ROWS = 110_000  # so many that rows are held out by their values in memory too
SMALL = "10MB"
WHOLE = table(ROWS, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hours = pa.array(np.random.default_rng(3).uniform(0.5, 9, ROWS))
    return written(tmp_path_factory.mktemp("large") / "t", WHOLE.drop_columns(["many"]).append_column("hours", hours), 3, 20_000)


def both(folder: Path, target: str, **options: Any) -> tuple[Any, Any]:
    """The fit from files, and that in memory."""
    there = parquet.read_schema(next(iter(folder.glob("*.parquet"))) if folder.is_dir() else folder).names
    aside = [name for name in ("number", "count", "binary", "label") if name != target and name in there]
    memory = {key: value for key, value in options.items() if key != "scratch"}
    large = run.fit(folder, target, drop=aside, memory=SMALL, **options)
    return large, run.fit(folder, target, drop=aside, memory="100GB", **memory)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("binary", {"weight": "weight", "categorical": ["k"], "summary": True}),
        ("count", {"exposure": "hours", "offset": "a", "loss": "poisson", "summary": True}),
        pytest.param("count", {}, marks=pytest.mark.exhaustive),
        pytest.param("label", {}, marks=pytest.mark.exhaustive),
    ],
)
def test_model_scores_and_held_out_rows_are_those_of_memory(target: str, options: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    large, memory = both(folder, target, scratch=tmp_path, **options)
    assert "larger than memory: read once" in large.messages[0] and "larger" not in memory.messages[0]
    assert large.model.design.names == memory.model.design.names and large.model.classes == memory.model.classes
    assert large.kind == memory.kind and large.rows == memory.rows == ROWS
    if "weight" not in options:  # rows of weight 0 are read no further
        assert large.scored == memory.scored and large.how == memory.how  # the same rows, by their values
    np.testing.assert_allclose(large.model.coef, memory.model.coef, rtol=1e-5, atol=1e-7)
    for name, score in memory.scores.items():
        assert large.scores[name].value == pytest.approx(score.value, rel=1e-6)
        assert large.constant[name].value == pytest.approx(memory.constant[name].value, rel=1e-6)
    assert large.effects[0].name == memory.effects[0].name and len(large.reliability) == len(memory.reliability)
    if "summary" in options:
        assert large.summary.title == memory.summary.title and large.summary.notes == memory.summary.notes
        np.testing.assert_allclose(large.summary["se"], memory.summary["se"], rtol=1e-4)
        assert large.model.about["inference"]["standard errors"].keys() == memory.model.about["inference"]["standard errors"].keys()
    assert not list(tmp_path.iterdir())


def test_the_command_and_a_prediction_of_all_files(capsys: Any, folder: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "m.json", tmp_path / "p.parquet"
    options = ["--target", "binary", "--drop", "number,count,label,weight", "--memory", SMALL, "--scratch", tmp_path, "--out", model]
    code, said, err = matchloss(capsys, "fit", f"{folder}/*.parquet", *options)
    assert (code, err) == (0, "") and max(map(len, said.splitlines()[:-1])) <= 80
    assert "larger than memory" in said and "logistic, since binary has two classes" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json"]
    code, said, _ = matchloss(capsys, "predict", model, folder, "--out", out)
    assert code == 0 and "110,000 rows predicted" in said
    found = pl.read_parquet(out)
    alone = tmp_path / "one.parquet"
    matchloss(capsys, "predict", model, folder / "1.parquet", "--out", alone)
    one = pl.read_parquet(alone)
    start = parquet.read_metadata(folder / "0.parquet").num_rows
    assert found.height == ROWS and found[start : start + one.height].equals(one)


def test_a_killed_command_goes_on_with_resume(capsys: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "m.json"
    command = ["fit", folder, "--target", "binary", "--drop", "number,count,label,weight", "--memory", SMALL, "--out", model]
    assert matchloss(capsys, *command)[0] == 0
    want = json.loads(model.read_text())
    model.unlink()
    call, passes = Said.__call__, [0]

    def stop(self: Said, log: Any) -> None:
        passes[0] += 1
        if passes[0] == 7:  # in the midst of the second fit
            raise KeyboardInterrupt
        call(self, log)

    monkeypatch.setattr(Said, "__call__", stop)
    assert matchloss(capsys, *command)[0] == 130
    assert not model.exists() and (tmp_path / "m.json.checkpoint").exists()
    assert "drop was" in refusal(capsys, *command[:5], "number,count,label", *command[6:], "--resume")
    assert matchloss(capsys, *command, "--resume")[0] == 0
    found = json.loads(model.read_text())
    assert found["columns"] == want["columns"] and found["intercept"] == want["intercept"]
    assert not (tmp_path / "m.json.checkpoint").exists()


def test_missing_targets_and_values_are_those_of_memory(tmp_path: Path) -> None:
    r = np.random.default_rng(0)
    frame = pl.DataFrame(pl.from_arrow(WHOLE)).select("a", "c", "number")
    gaps = [pl.when(pl.Series(r.random(ROWS) > 0.05)).then(pl.col(name)).alias(name) for name in frame.columns]
    frame.with_columns(gaps).write_parquet(tmp_path / "t.parquet", row_group_size=30_000)
    large, memory = both(tmp_path / "t.parquet", "number")
    assert large.model.design.names == memory.model.design.names and large.scored == memory.scored
    np.testing.assert_allclose(large.model.coef, memory.model.coef, rtol=1e-6, atol=1e-9)
    assert large.scores["squared error"].value == pytest.approx(memory.scores["squared error"].value, rel=1e-9)


def test_rows_that_are_drawn_have_every_option(folder: Path) -> None:
    options: dict[str, Any] = {"drop": ["count", "binary", "label"], "memory": SMALL, "seed": 3}
    found = run.fit(folder, "number", rows=3000, summary=True, folds=3, **options)
    assert found.rows == found.scored == 3000 and found.summary is not None
    assert "3,000 rows of 110,000 are read into memory, drawn at random" in found.alerts[0]
    again, other = (run.fit(folder, "number", rows=3000, **options | {"seed": seed}) for seed in (3, 4))
    assert (again.model.coef == found.model.coef).all() and (other.model.coef != found.model.coef).all()
    with pytest.raises(DataError, match=r"--rows 500000 take about 176 MB of memory, more than --memory, 10 MB"):
        run.fit(folder, "number", rows=500_000, **options)


def test_what_needs_all_rows_is_refused_with_the_way_out(capsys: Any, folder: Path) -> None:
    base = ["fit", folder, "--target", "number", "--memory", SMALL]
    for more, message in (
        (["--model", "trees"], "needs all rows in memory"),
        (["--folds", "3"], "--folds is for tables that fit in memory, and this one is larger than --memory; --rows draws some"),
        (["--split", "time:a"], "of a larger one rows are held out by their values"),
        (["--missing", "drop"], "--missing indicate keeps such rows"),
        (["--loss", "pinball"], "has kinks, and the interior point method"),
        (["--scratch", folder / "none"], "is no folder"),
        (["--offset", "none"], "none"),
        (["--offset", "number"], "--offset is number, which is the target, the weight or the exposure already"),
        (["--exposure", "a"], "an exposure is finite and above 0"),
    ):
        assert message in refusal(capsys, *base, *more)
    code, _, err = matchloss(capsys, *base[:4], "--memory", "much")
    assert code == 2 and 'allowed: a size such as "2GB"' in err
    assert matchloss(capsys, *base, "--resume")[0] == 2
    classes = refusal(capsys, "fit", folder, "--target", "label", "--memory", SMALL, "--summary")
    assert "--summary of cross_entropy, a loss of several classes, is for tables that fit in memory" in classes
    assert "no file has such a name" in refusal(capsys, "fit", f"{folder}/*.csv", "--target", "number")
