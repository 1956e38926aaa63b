"""`matchloss score`: what is forecast decides the score; the constant stands beside; bad columns are named; text of 80 columns, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from command import matchloss, refusal
from matchloss import scoring
from matchloss.judging import judge
from matchloss.report import write_score_page
from pages import Visit, assert_all_or_nothing, assert_refers_to_nothing
from sweeps import sweep

N = 400


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    r = np.random.default_rng(0)
    mean, chance, shares = np.exp(0.5 * r.normal(size=N)), r.uniform(0.02, 0.98, N), r.dirichlet(np.ones(3), N)
    return pl.DataFrame(
        {
            "id": np.arange(N),
            "y": mean * r.gamma(3, 1 / 3, N),
            "p": mean,
            "q": 1.5 * mean,
            "count": r.poisson(mean),
            "late": r.uniform(size=N) < chance,
            "chance": chance,
            "kind": np.array(["a", "b", "c"])[[r.choice(3, p=s) for s in shares]],
            "probability_a": shares[:, 0],
            "probability_b": shares[:, 1],
            "probability_c": shares[:, 2],
            "low": 0.27 * mean,
            "high": 2.1 * mean,
            "group": np.arange(N) % 40,
            "w": r.choice([0.0, 1.0, 2.0], N),
        }
    )


@pytest.fixture(scope="module")
def file(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("judging") / "forecasts.parquet"
    table.write_parquet(path)
    return path


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--target", "y", "--prediction", "p", "--prediction", "q"], ["the mean of y", "squared error  Poisson", "p is better"]),
        (["--target", "count", "--prediction", "p", "--counts"], ["a count", "Poisson deviance", "constant - p"]),
        (["--target", "count", "--prediction", "p", "--no-counts"], ["holds numbers", "squared error", "constant - p"]),
        (["--target", "late", "--prediction", "chance", "--order", "id"], ["probability that late is True", "log score", "Brier score"]),
        (["--target", "kind", "--group", "group"], ["the probabilities of kind", "probability: a", "probability: c"]),
        (["--target", "y", "--prediction", "high", "--quantile", "0.95"], ["the 95 % quantile", "pinball loss", "at most"]),
        (
            ["--target", "y", "--interval", "low,high", "--coverage", "0.9"],
            ["hold 90 % of y", "interval score", "mean width"],
        ),
    ],
)
def test_what_is_forecast_decides_the_score(capsys: Any, file: Path, arguments: list[str], parts: list[str]) -> None:
    code, said, err = matchloss(capsys, "score", file, *arguments)
    assert (code, err) == (0, "") and said.isascii()
    assert max(map(len, said.splitlines())) <= 80, said
    for part in [*parts, "constant", "forecasts.parquet", "miscalibration"]:
        assert part in " ".join(said.split()) or part in said, part


def test_the_numbers_are_those_of_the_scores(file: Path, table: pl.DataFrame) -> None:
    found = judge([file], "y", ["p", "q"], weight="w")
    live = table.filter(pl.col("w") > 0)
    y, p, w = live["y"].to_numpy(), live["p"].to_numpy(), live["w"].to_numpy()
    means = found.decides.means
    assert means["p"] == pytest.approx(np.average((y - p) ** 2, weights=w))
    assert means["constant"] == pytest.approx(np.average((y - np.average(y, weights=w)) ** 2, weights=w))
    assert found.comparisons["gamma_deviance"].means["p"] == pytest.approx(scoring.gamma_deviance(y, p, w, "mean"))
    assert found.parts["p"][""].score == pytest.approx(means["p"])
    assert {"p", "q", "constant"} == set(means) and len(found.rows.obs) == live.height


def test_it_reads_what_predict_writes(capsys: Any, tmp_path: Path, table: pl.DataFrame) -> None:
    data = tmp_path / "data.csv"
    table.select("kind", "y", "p", "low", "count").write_csv(data)
    for target in ("kind", "y"):
        model, first, second = tmp_path / f"{target}.json", tmp_path / f"{target}.parquet", tmp_path / f"{target}2.csv"
        assert matchloss(capsys, "fit", data, "--target", target, "--out", model)[0] == 0
        for out in (first, second):
            assert matchloss(capsys, "predict", model, data, "--out", out)[0] == 0
        code, said, err = matchloss(capsys, "score", first, second, "--truth", data, "--target", target)
        assert (code, err) == (0, ""), err
        assert f"{target}2 - {target}" in said or f"{target} - {target}2" in said


def test_rows_of_several_files_are_joined_by_columns(capsys: Any, tmp_path: Path, table: pl.DataFrame) -> None:
    truth, mixed = tmp_path / "truth.csv", tmp_path / "mixed.csv"
    table.select("id", "y").write_csv(truth)
    table.select("id", "p").sample(fraction=1, shuffle=True, seed=1).write_csv(mixed)
    joined = judge([mixed], "y", ["p"], truth=truth, on=["id"]).decides.means["p"]
    assert joined == pytest.approx(float(((table["y"] - table["p"]) ** 2).mean()))  # type: ignore[arg-type]
    table.select("id", "p").head(7).write_csv(mixed)
    base = ["score", mixed, "--truth", truth, "--target", "y", "--prediction", "p"]
    assert refusal(capsys, *base) == "truth.csv has 400 rows and mixed.csv 7; --on names the columns by which their rows belong together"
    assert refusal(capsys, *base, "--on", "id") == "393 rows of truth.csv not in mixed.csv, first id = 7"
    pl.DataFrame({"id": [1, 1], "p": [0.0, 1.0]}).write_csv(mixed)
    assert "mixed.csv has id = 1 more than once" in refusal(capsys, *base, "--on", "id")
    pl.DataFrame({"id": ["x", "z"], "p": [0.0, 1.0]}).write_csv(mixed)
    assert "id holds Int64 in truth.csv and String in mixed.csv" in refusal(capsys, *base, "--on", "id")


def test_json_has_everything_and_no_infinity(capsys: Any, tmp_path: Path, file: Path, table: pl.DataFrame) -> None:
    sure = tmp_path / "sure.parquet"
    table.with_columns(sure=pl.col("chance").round(0)).write_parquet(sure)
    out = tmp_path / "out.json"
    code, said, _ = matchloss(capsys, "score", sure, "--target", "late", "--prediction", "chance", "--prediction", "sure", "--json", out)
    assert code == 0 and "sure is not ranked: its score is infinite in" in " ".join(said.split())
    made = json.loads(out.read_text())
    assert made["kind"] == "binary" and made["scores"]["log_score"]["means"]["sure"] is None
    assert made["scores"]["log_score"]["infinite_rows"]["sure"] > 0 and made["scores"]["brier_score"]["best"] == "chance"
    assert set(made["parts"]["chance"][""]) == {"score", "miscalibration", "discrimination", "uncertainty", "intervals"}


def bad(table: pl.DataFrame, tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "bad.parquet"
    table.with_columns(**columns).write_parquet(path)
    return path


def at(row: int, value: Any, otherwise: str) -> pl.Expr:
    return pl.when(pl.col("id") == row).then(pl.lit(value)).otherwise(pl.col(otherwise))


def test_bad_forecasts_are_named_with_row_and_value(capsys: Any, tmp_path: Path, table: pl.DataFrame) -> None:
    path = bad(
        table,
        tmp_path,
        beyond=at(3, 1.5, "chance"),
        endless=at(5, float("inf"), "p"),
        u_a=at(2, 0.9, "probability_a"),
        u_b=pl.col("probability_b"),
        u_c=pl.col("probability_c"),
        crossed=pl.when(pl.col("id") < 2).then(9.0).otherwise(pl.col("low")),
        text=pl.lit("late"),
        same=pl.lit(1.0),
        loss=at(4, -1.0, "w"),
        time=pl.when(pl.col("id") == 6).then(None).otherwise(pl.col("id")),
    )

    def score(target: str, *more: Any) -> str:
        return refusal(capsys, "score", path, "--target", target, *more)

    assert score("late", "--prediction", "beyond") == "beyond is 1.5 in row 4; a probability lies between 0 and 1"
    assert score("y", "--prediction", "endless") == "endless is inf in row 6; a forecast is finite"
    assert "the sum of u is 1.83452031 in row 3; probabilities sum to 1" in score("kind", "--prediction", "u_")
    assert "the ends are crossed in 2 rows, first in row 1, 9 above" in score("y", "--interval", "crossed,high")
    assert "text holds String, and a forecast is a number" in score("y", "--prediction", "text")
    assert "same is 1.0 in every row" in score("same", "--prediction", "p")
    assert "loss is -1 in row 5; a weight is a finite number, 0 or more" in score("y", "--prediction", "p", "--weight", "loss")
    assert "time has no value in row 7" in score("y", "--prediction", "p", "--order", "time")
    assert "no column pp; did you mean p?" in score("y", "--prediction", "pp")
    assert "no column z" in score("z", "--prediction", "p")
    assert "which column is the forecast? --prediction names it" in score("y")
    assert "probability_a is one column and kind has 3 classes" in score("kind", "--prediction", "probability_a")
    assert score("y", "--prediction", "p", "--quantile", 1.5) == "--quantile is 1.5; it must lie between 0 and 1, such as 0.9"
    assert "--coverage needs --interval" in score("y", "--prediction", "p", "--coverage", 0.9)
    assert "write the columns of both ends" in score("y", "--interval", "low")
    assert "either --group or --order" in score("y", "--prediction", "p", "--group", "id", "--order", "id")
    assert "--prediction names p twice" in score("y", "--prediction", "p", "--prediction", "p")
    assert "no such file" in refusal(capsys, "score", tmp_path / "none.csv", "--target", "y")
    assert "no folder" in score("y", "--prediction", "p", "--json", tmp_path / "none" / "x.json")


def test_rows_without_a_value_are_left_out_and_counted(capsys: Any, tmp_path: Path, table: pl.DataFrame) -> None:
    path = bad(table, tmp_path, y=at(1, None, "y"), p=at(3, float("nan"), "p"))
    code, said, _ = matchloss(capsys, "score", path, "--target", "y", "--prediction", "p", "--prediction", "q")
    said = " ".join(said.split())
    assert code == 0 and "on 398 rows" in said
    assert "1 row without a value of y left out." in said and "1 row without a forecast of p left out for all" in said


def test_a_score_that_is_not_defined_is_left_out_and_said(capsys: Any, tmp_path: Path, table: pl.DataFrame) -> None:
    path = bad(table, tmp_path, p=at(3, -1.0, "p"))
    said = " ".join(matchloss(capsys, "score", path, "--target", "count", "--prediction", "p", "--counts")[1].split())
    assert "Poisson deviance is left out: p is -1 in 1 row" in said and "squared error" in said


ARGUMENTS: dict[str, list[str]] = {
    "number": ["--target", "y", "--prediction", "p", "--prediction", "q"],
    "binary": ["--target", "late", "--prediction", "chance"],
    "classes": ["--target", "kind"],
    "quantile": ["--target", "y", "--prediction", "high", "--quantile", "0.95"],
    "interval": ["--target", "y", "--interval", "low,high"],
}


@pytest.mark.parametrize("name", sweep(ARGUMENTS, lambda name: name in ("number", "binary")))
def test_the_page_and_the_pictures(capsys: Any, tmp_path: Path, file: Path, name: str, browser: Any) -> None:
    page, folder = tmp_path / "page.html", tmp_path / "pictures"
    more = ["--pictures", folder] if name == "interval" else []
    code, said, err = matchloss(capsys, "score", file, *ARGUMENTS[name], "--report", page, *more)
    assert (code, err) == (0, "") and f"The page: {page}" in said
    text = page.read_text(encoding="utf-8")
    assert_refers_to_nothing(text)
    assert text.count('class="drawn"') >= 4
    for width, scheme in ((1280, "light"), (390, "dark")) if name in ("number", "interval") else ():
        with Visit(browser, page, width, scheme, drawn="html[data-drawn=yes]") as visit:
            visit.assert_fits()
    if more:
        assert {p.name for p in folder.iterdir()} >= {"differences.png", "reliability-1-1.svg", "reliability-1-2.png", "sharpness.svg"}


def test_the_page_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    found = judge([file], "y", ["p"])
    assert_all_or_nothing(lambda path: write_score_page(path, found), tmp_path, monkeypatch)
