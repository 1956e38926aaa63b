"""`matchloss fit`, `predict` and `show` as a person meets them: what is said, what is written, and every kind of bad input."""

import json
import os

import numpy as np
import polars as pl
import pytest

from command import matchloss, refusal


@pytest.fixture
def model(capsys, tmp_path, data):
    path = tmp_path / "model.json"
    assert matchloss(capsys, "fit", data, "--target", "late", "--l2", 0.01, "--drop", "arr_delay", "--out", path)[0] == 0
    return path


def test_fit_says_what_it_did_and_writes_model_and_page(capsys, tmp_path, data):
    out, page = tmp_path / "model.json", tmp_path / "page.html"
    code, said, err = matchloss(capsys, "fit", data, "--target", "arr_delay", "--drop", "late", "--out", out, "--report", page)
    assert (code, err) == (0, "")
    assert max(len(line) for line in said.splitlines() if str(tmp_path) not in line) <= 80 and said.isascii()
    for part in (
        "squared_error, since arr_delay is a number.",
        "120 to learn from",
        "Newton's method",
        "(converged)",
        "squared error",
        "constant",
        "x ",
        f"The model: {out}",
        f"The page: {page}",
    ):
        assert part in said, part
    assert "arr_delay" in page.read_text(encoding="utf-8")
    assert json.loads(out.read_text())["target"]["name"] == "arr_delay"


def test_fit_takes_loss_and_parameters(capsys, tmp_path, data):
    out = tmp_path / "model.json"
    options = ("--target", "arr_delay", "--drop", "late", "--loss", "quantile", "--param", "alpha=0.9", "--out", out)
    said = matchloss(capsys, "fit", data, *options)[1]
    assert "pinball, as --loss says, with alpha = 0.9." in said and "pinball loss" in said
    assert json.loads(out.read_text())["loss"] == {"name": "pinball", "parameters": {"alpha": 0.9}}


def test_fit_begins_with_what_was_left_out(capsys, tmp_path, table):
    path = tmp_path / "leaky.csv"
    table.with_columns(grade=pl.when("late").then(3).otherwise(1), row=pl.Series(range(1, 121))).write_csv(path)
    said = matchloss(capsys, "fit", path, "--target", "late", "--l2", 0.01)[1].splitlines()
    assert said[1] == "late in leaky.csv"
    assert said[2] == "  ! grade gives late away and is left out: alone it separates the classes of"
    assert said[4] == "  ! row is left out: an id (whole numbers that count the rows). If it is a"
    kept = matchloss(capsys, "fit", path, "--target", "late", "--l2", 0.01, "--keep", "grade")[1]
    assert "! grade" not in kept and "Numbers: arr_delay, x, grade." in kept


def test_long_names_fit_80_columns(capsys, tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / f"{'s' * 90}.parquet"
    names = {
        "y" * 90: rng.choice(["u" * 60, "v" * 60, "w" * 60], 200),
        "x" * 90: rng.normal(size=200),
        "c": rng.choice(["l" * 90, "m"], 200),
    }
    pl.DataFrame(names).write_parquet(path)
    model = tmp_path / "m.json"
    for command in (["fit", path, "--target", "y" * 90, "--l2", 0.1, "--out", model], ["show", model]):
        code, said, _ = matchloss(capsys, *command)
        assert code == 0
        assert max(len(line) for line in said.splitlines() if not line.startswith(("yyy", "The model"))) <= 80


def test_predict_and_show(capsys, tmp_path, data, table, model):
    out = tmp_path / "predictions.parquet"
    code, said, err = matchloss(capsys, "predict", model, data, "--out", out)
    assert (code, err) == (0, "") and "late: 120 rows predicted." in said and f"The predictions: {out}" in said
    made = pl.read_parquet(out)
    assert made.columns == ["prediction", "probability_False", "probability_True"] and made.height == 120
    assert (made["prediction"] == table["late"].cast(pl.String).str.to_titlecase()).mean() > 0.9
    code, said, err = matchloss(capsys, "show", model)
    assert (code, err) == (0, "") and said.isascii() and max(map(len, said.splitlines())) <= 80
    for part in ("late, by model.json", "logistic", "a label: False, True", "numbers", "rows scored", "log ", "intercept", "0.01"):
        assert part in said, part


def test_unseen_levels_are_said(capsys, tmp_path):
    train, fresh = tmp_path / "train.csv", tmp_path / "fresh.csv"
    train.write_text("c,y\n" + "".join(f"{'ab'[i % 2]},{i % 7 + i % 2}\n" for i in range(60)))
    fresh.write_text("y,c\n1,a\n2,z\n3,z\n")
    matchloss(capsys, "fit", train, "--target", "y", "--out", tmp_path / "m.json")
    said = matchloss(capsys, "predict", tmp_path / "m.json", fresh, "--out", tmp_path / "p.csv")[1]
    assert 'c: in 2 rows a level not seen in training, or none, counts as "a".' in said


def test_models_that_are_none(capsys, tmp_path, data, model):
    other = tmp_path / "other.json"
    for content, says in (
        ("", "other.json is empty"),
        ("a,b\n", "is not a matchloss model: it is not JSON"),
        ('{"format": "matchloss model", "schema": 4}', "was written by a later version of matchloss (schema 4; this one reads 3)"),
        (model.read_text().replace('"logistic"', '"os.system"'), 'is a damaged model: there is no loss "os.system"'),
        (model.read_text().replace('"x"', '"\\u001b[2Jx"'), "fresh"),
    ):
        other.write_text(content)
        if says == "fresh":
            assert "\x1b" not in matchloss(capsys, "show", other)[1]
            assert "no column [2Jx" in refusal(capsys, "predict", other, data, "--out", tmp_path / "p.csv").replace("  ", " ")
            continue
        assert says in refusal(capsys, "show", other)
        assert says in refusal(capsys, "predict", other, data, "--out", tmp_path / "p.csv")
    assert "No such file" in refusal(capsys, "show", tmp_path / "none.json")


def test_bad_input_to_fit_and_predict(capsys, tmp_path, data, model):
    def fit(*options):
        return refusal(capsys, "fit", data, "--target", "arr_delay", *options)

    assert fit("--loss", "hubr") == "there is no loss hubr; did you mean huber?"
    assert fit("--param", "alpha=0.9") == "--param alpha needs --loss: parameters are those of a loss"
    assert fit("--loss", "pinball", "--param", "alpha") == "--param is alpha; write a name and a number, such as power=1.5"
    assert fit("--loss", "pinball", "--param", "alpha=0.9", "--param", "alpha=0.8") == "--param names alpha twice"
    assert fit("--loss", "pinball", "--param", "alpha=nan").startswith("Pinball's alpha is nan; allowed: (0, 1)")
    assert "--l2 is -1" in fit("--l2", -1) and "--l2 is nan" in fit("--l2", "nan")
    assert "--missing is maybe; it must be error, drop or indicate" in fit("--missing", "maybe")
    assert "no column w; it has" in fit("--weight", "w")
    assert "no column z" in fit("--categorical", "z")
    assert "--split is half; it must be auto, random" in fit("--split", "half") and "--folds is 1" in fit("--folds", 1)
    for command in ("fit", "compare"):
        code, _, said = matchloss(capsys, command, data, "--target", "arr_delay", "--test-fraction", 0.2)
        assert code == 2 and "--split says how rows are held out" in said
    assert matchloss(capsys, "fit", data)[0] == matchloss(capsys, "predict", model, data)[0] == 2
    short = tmp_path / "short.csv"
    short.write_text("arr_delay\n1\n2\n")
    assert refusal(capsys, "predict", model, short, "--out", tmp_path / "p.csv") == "short.csv has no column x"
    assert "ends in none of .parquet" in refusal(capsys, "predict", model, data, "--out", tmp_path / "p.txt")
    assert "no such file; did you mean flights.csv" in refusal(
        capsys, "predict", model, tmp_path / "flight.csv", "--out", tmp_path / "p.csv"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("x,y\n", "has a header and no rows"),
        ("x,y\n1,2\n", "1 row has a value of y; at least 2 are needed"),
        ("x,y\n1,yes\n2,yes\n3,yes\n", "the target y is yes in every row: with one value only there is nothing to learn"),
        ("x,y\n1,2\n2,3\n3\n", "is ragged: line 4 has 1 fields, the header 2"),
        ("x,y\n1,inf\n2,3\n3,4\n", "the target y is inf in row 1"),
        ("y\n1\n2\n4\n", ""),  # no column is left: the model is a constant
    ],
)
def test_tables_with_little_in_them(capsys, tmp_path, content, says):
    path = tmp_path / "small.csv"
    path.write_text(content)
    if says:
        assert says in refusal(capsys, "fit", path, "--target", "y")
        return
    model = tmp_path / "m.json"
    code, said, err = matchloss(capsys, "fit", path, "--target", "y", "--out", model)
    assert (code, err) == (0, "") and "every model is a constant" in said
    assert matchloss(capsys, "predict", model, path, "--out", tmp_path / "p.csv")[0] == matchloss(capsys, "show", model)[0] == 0


def test_outputs_that_cannot_be_written_are_refused_before_any_work(capsys, tmp_path, data, model, monkeypatch):
    from matchloss.fit import predict as predicting
    from matchloss.models import linear

    monkeypatch.setattr(linear, "cross_fit", None)
    monkeypatch.setattr(predicting, "batches", None)
    for path, says in ((tmp_path, "is a folder"), (tmp_path / "no" / "file.csv", "there is no folder")):
        assert f"the model cannot be written: {says}" in refusal(capsys, "fit", data, "--target", "late", "--out", path).replace(
            f"{path} ", ""
        )
        assert "the page cannot be written" in refusal(capsys, "fit", data, "--target", "late", "--report", path)
        assert "the predictions cannot be written" in refusal(capsys, "predict", model, data, "--out", path)


def test_a_full_disk_leaves_old_files_and_one_message(capsys, tmp_path, data, model, monkeypatch):
    before, out = model.read_bytes(), tmp_path / "p.csv"
    out.write_text("old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, said, err = matchloss(capsys, "fit", data, "--target", "late", "--l2", 0.01, "--out", model)
    assert code == 1 and "logistic" in said and err == f"matchloss: {model}: No space left on device\n"
    code, _, err = matchloss(capsys, "predict", model, data, "--out", out)
    assert code == 1 and err == f"matchloss: {out}: No space left on device\n"
    assert model.read_bytes() == before and out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flights.csv", "model.json", "p.csv"]


def test_interrupted_fits_and_predictions_leave_nothing_half_written(capsys, tmp_path, data, model, monkeypatch):
    from matchloss.linear.model import Model
    from matchloss.models import linear

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    before = model.read_bytes()
    monkeypatch.setattr(linear, "cross_fit", interrupt)
    monkeypatch.setattr(Model, "predict", interrupt)
    for command in (
        ("fit", data, "--target", "late", "--out", model, "--report", tmp_path / "page.html"),
        ("predict", model, data, "--out", tmp_path / "p.parquet"),
        ("predict", model, data, "--out", tmp_path / "p.csv"),
    ):
        code, out, err = matchloss(capsys, *command)
        assert (code, out) == (130, "") and "interrupted" in err
    assert model.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flights.csv", "model.json"]


@pytest.mark.parametrize("columns", [24, 40, 60, 80, 200])
def test_no_number_is_cut_in_any_terminal(capsys, monkeypatch, data, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = matchloss(capsys, "fit", data, "--target", "arr_delay", "--drop", "late")[1]
    monkeypatch.setenv("COLUMNS", "80")
    whole = matchloss(capsys, "fit", data, "--target", "arr_delay", "--drop", "late")[1]
    table = whole[whole.index("score ") : whole.index("  by size")]
    numbers = {word for word in table.split() if word[-1].isdigit() or word.endswith("%")} - {"%"}
    assert len(numbers) > 8 and numbers <= set(said.split())
    assert max(map(len, said.splitlines())) <= max(columns, 24)
