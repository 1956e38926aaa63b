"""A fit of trees, and its model as two files: read back bit for bit, replaced whole or not at all, refused where they do not fit."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from command import matchloss, refusal
from matchloss.fit import measure
from matchloss.fit.run import fit
from matchloss.fit.text import fit_text, model_text
from matchloss.linear import load
from matchloss.linear.model import ModelError
from matchloss.models.hosts import PACKAGES, host_of
from matchloss.models.saved import read_model, write_model
from matchloss.models.training import FEW, Rows, Settings, Training
from matchloss.report import render_fit_page
from matchloss.tables.errors import DataError
from matchloss.terminal import rendered
from pages import Visit, browser  # noqa: F401
from sweeps import sweep
from test_models import table

pytest.importorskip("sklearn")


def fitted(target="count", **options):
    others = {"count", "label", "three", "g", "w"} - {target}
    return fit(table(), target, drop=others, model="trees", folds=2, **options)


@pytest.fixture(scope="module")
def counts():
    return fitted(counts=True)


def test_a_fit_of_trees_scores_as_a_comparison_does(counts):
    drop = ["label", "three", "g", "w"]
    compared = ml.compare(table(), "count", losses="poisson", drop=drop, counts=True, folds=2, model="trees")
    assert counts.scores == {name: compared.fits[0].scores[name] for name in counts.scores}
    assert not counts.linear and counts.passes == counts.model.about["trees"] == int(np.argmin(counts.watched))
    text = rendered(fit_text(counts))
    assert max(map(len, text.splitlines())) <= 80 and text.isascii()
    assert "boosted trees of scikit-learn" in text and re.search(r"^x +[0-9.]+$", text, re.MULTILINE)


def test_a_column_is_worth_what_shuffling_it_costs(counts):
    worth = {one.name: one.rise for one in counts.importance}
    assert set(worth) == {"x", "c"} and min(worth.values()) > 0.02
    noise = table().with_columns(noise=pl.Series(np.random.default_rng(5).normal(size=600)))
    found = fit(noise, "count", drop=["label", "three", "g", "w"], counts=True, model="trees", folds=2)
    assert [one.name for one in found.importance][-1] == "noise" and 4 * found.importance[-1].rise < found.importance[0].rise


@pytest.mark.parametrize("target", sweep(["count", "label", "three"], "three".__ne__))
def test_the_files_give_the_same_bits(target, tmp_path):
    found = fitted(target)
    path, trees = write_model(tmp_path / "m.json", found.model)
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, trees.name])
    again = read_model(path)
    rows = table().with_columns(pl.when(pl.col("c") == "d").then(pl.lit("new")).otherwise("c").alias("c"))
    (one, unseen), (other, known) = found.model.predict(rows), again.predict(rows)
    assert np.array_equal(one, other) and unseen == known == {"c": (rows["c"] == "new").sum()}
    assert (again.loss, again.kind, again.classes, again.about) == (
        found.model.loss,
        found.model.kind,
        found.model.classes,
        found.model.about,
    )
    with pytest.raises(ModelError, match=r"is a model of trees, which matchloss.models.saved.read_model reads"):
        load(path)


def test_fit_predict_and_show_on_the_command_line(capsys, tmp_path):
    data, model, out = tmp_path / "t.parquet", tmp_path / "m.json", tmp_path / "p.csv"
    table().write_parquet(data)
    options = ("--target", "three", "--drop", "count,label,g,w", "--folds", 2, "--model", "trees")
    code, said, err = matchloss(capsys, "fit", data, *options, "--out", model, "--pictures", tmp_path / "d")
    assert (code, err) == (0, "") and "Its trees: " in said
    assert {"fit-0-trees.png", "fit-0-trees.svg"} <= set(os.listdir(tmp_path / "d"))
    code, said, err = matchloss(capsys, "show", model)
    assert (code, err) == (0, "") and "library " in said and "coefficient" not in said and max(map(len, said.splitlines())) <= 80
    assert matchloss(capsys, "predict", model, data, "--out", out)[0] == 0
    made = pl.read_csv(out)
    assert made.columns == ["prediction", "probability_p", "probability_q", "probability_r"] and made.height == 600
    assert np.allclose(made.select(pl.col("^probability.*$")).sum_horizontal(), 1)
    pl.DataFrame({"x": [1.0, 2.0], "c": ["z", "a"]}).write_csv(tmp_path / "new.csv")
    said = matchloss(capsys, "predict", model, tmp_path / "new.csv", "--out", out)[1]
    assert "c: in 1 row a level not seen in training, which counts as missing." in said
    pl.DataFrame({"x": ["u", "v"], "c": ["z", "a"]}).write_csv(tmp_path / "new.csv")
    assert "the model was trained on numbers there" in refusal(capsys, "predict", model, tmp_path / "new.csv", "--out", out)


def test_options_that_do_not_go_with_trees(capsys, tmp_path):
    with pytest.raises(DataError, match="--l2 is a ridge on the coefficients of linear models; --model trees has none"):
        fitted(l2=0.1)
    with pytest.raises(DataError, match="a fit has one kind of model"):
        fit(table(), "count", model="linear,trees")


def test_a_new_model_takes_the_place_of_both_files_of_the_old_one(tmp_path, counts):
    path, first = write_model(tmp_path / "m.json", counts.model)
    _, second = write_model(path, fitted("label").model)
    assert first != second and sorted(os.listdir(tmp_path)) == sorted([path.name, second.name])
    write_model(path, fitted("label").model)
    assert len(os.listdir(tmp_path)) == 2


def test_a_full_disk_leaves_the_old_model(tmp_path, counts, monkeypatch):
    path, trees = write_model(tmp_path / "m.json", counts.model)
    other, replace = fitted("label").model, os.replace
    for fails in ("m.json", ".trees.json"):

        def full(source, target, fails=fails):
            if str(target).endswith(fails) and "draft" not in str(target):
                raise OSError(28, "No space left on device")
            replace(source, target)

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            write_model(path, other)
        assert sorted(os.listdir(tmp_path)) == sorted([path.name, trees.name])
    assert read_model(path).target == "count"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"host": "os"}, 'host is "os"; it must be trees, lightgbm, xgboost, catboost'),
        ({"file": {"name": "../m.0123456789.trees.json", "sha256": "0" * 64}}, "it must be one beside it"),
        ({"file": {"name": "m.0123456789.trees.json", "sha256": "0" * 64}}, "cannot be read: No such file"),
        ({"schema": 2}, "was written by a later version of matchloss"),
        ({"code": "print()"}, 'the model has "code"'),
        ({"loss": {"name": "os:system", "parameters": {}}}, "it is imported only if you name it: --loss os:system"),
        ({"columns": [{"name": "x", "type": "number", "fill": 0.0, "indicator": False}] * 2}, 'the column "x" is there twice'),
        ({"columns": [7]}, "a column is 7; it must be an object"),
    ],
)
def test_a_spoilt_model_is_refused(tmp_path, counts, change, says):
    path, _ = write_model(tmp_path / "m.json", counts.model)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=re.escape(says)):
        read_model(path)


def test_trees_of_another_model_are_refused(tmp_path, counts):
    path, trees = write_model(tmp_path / "m.json", counts.model)
    trees.write_text(trees.read_text().replace("0.", "0.1", 1))
    with pytest.raises(ModelError, match=r"does not hold the trees of m\.json: it was changed, or belongs to another model"):
        read_model(path)


def test_only_complete_rows_are_predicted_where_training_had_only_these(tmp_path):
    found = fitted(counts=True, missing="drop")
    path, _ = write_model(tmp_path / "m.json", found.model)
    with pytest.raises(ValueError, match="every value must be known"):
        read_model(path).predict(table())
    assert "drop" in rendered(model_text(read_model(path), "m.json"))


def test_a_fit_without_columns_is_a_constant(tmp_path):
    found = fit(pl.DataFrame({"y": [1.0, 2.0, 4.0, 3.0] * 30}), "y", model="trees", folds=2)
    path, _ = write_model(tmp_path / "m.json", found.model)
    assert np.allclose(read_model(path).predict(pl.DataFrame({"z": [1, 2]}))[0], 2.5, atol=0.1) and found.importance == ()
    render_fit_page([found])


@pytest.mark.exhaustive
def test_the_page_shows_what_columns_are_worth_and_when_trees_stopped(browser, counts, tmp_path):  # noqa: F811
    page = tmp_path / "fit.html"
    page.write_text(render_fit_page([counts]), encoding="utf-8")
    with Visit(browser, page, 390, drawn="#fit-0-trees svg path") as visit:
        visit.assert_fits()
        assert visit.page.locator("#fit-0-worth tbody tr").count() == 2
        assert f"{counts.passes} trees are kept" in visit.page.locator("#fit-0-trees").inner_text()


def test_few_rows_are_shuffled_of_many(monkeypatch, counts):
    monkeypatch.setattr(measure, "SHUFFLED", 100)
    assert {one.name for one in fitted(counts=True).importance} == {"x", "c"}


LIBRARIES = ["trees", "lightgbm", "xgboost", "catboost"]


@pytest.mark.parametrize("kind", LIBRARIES)
def test_every_library_starts_stops_and_comes_back(kind, tmp_path):
    host = host_or_skip(kind)
    found = fit(table(), "count", drop=["label", "three", "g", "w"], counts=True, model=kind, folds=2)
    assert found.passes == max(int(np.argmin(found.watched)), 1) == found.model.forest.trees > 5
    assert found.watched[0] > 1.02 * min(found.watched) or found.watched[0] > min(found.watched) + 0.02
    path, trees = write_model(tmp_path / "m.json", found.model)
    assert trees.name.endswith(host.ending) and found.model.about["library"] == f"{host.title} {host.version()}"
    prediction = read_model(path).predict(table())[0]
    assert np.array_equal(prediction, found.model.predict(table())[0])
    assert np.isclose(prediction.mean(), table()["count"].mean(), rtol=0.05)  # Poisson's start score is part of it
    assert found.scores["Poisson deviance"].value < 0.75 * found.constant["Poisson deviance"].value
    with pytest.raises(ValueError):
        (tmp_path / "other").write_text("no trees at all")
        host.read(tmp_path / "other", found.model.loss)


@pytest.mark.parametrize("kind", LIBRARIES)
def test_a_level_that_a_fold_did_not_show_has_a_prediction(kind):
    host, rng = host_or_skip(kind), np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=300), rng.integers(0, 3, 300)])
    rows = Rows(X, 2.0 * X[:, 0] + (X[:, 1] == 1), None)
    grown = host.grow(Training(ml.SquaredError(), rows, None, (1,), (6,), 0, 0))
    raw = grown.forest.raw(np.array([[0.5, 5.0], [0.5, np.nan], [np.nan, 1.0]]))
    assert grown.forest.trees == FEW and np.isfinite(raw).all() and abs(raw[0] - 1.3) < 0.8


@pytest.mark.parametrize("kind", LIBRARIES)
def test_weights_are_repeated_rows(kind):
    host, rng = host_or_skip(kind), np.random.default_rng(0)
    X, w = rng.normal(size=(400, 2)), rng.integers(1, 4, 400)
    y = rng.poisson(np.exp(X[:, 0])).astype(float)
    small = Settings(rows=1)
    weighted = host.grow(Training(ml.Poisson(), Rows(X, y, w.astype(float)), None, (), (), 0, 0, small)).forest.raw(X)
    repeated = host.grow(Training(ml.Poisson(), Rows(X.repeat(w, axis=0), y.repeat(w), None), None, (), (), 0, 0, small)).forest.raw(X)
    assert np.corrcoef(weighted, repeated)[0, 1] > 0.98


def host_or_skip(kind):
    pytest.importorskip(PACKAGES[kind])
    return host_of(kind)
