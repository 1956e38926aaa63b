"""Boosted trees beside linear models: what they learn from, when they stop, what a comparison says of them."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from command import refusal
from matchloss.comparison.text import comparison_markdown, comparison_text
from matchloss.models.columns import features_of
from matchloss.models.found import CannotTrain
from matchloss.models.hosts.sklearn_trees import Sklearn
from matchloss.models.kinds import models_of
from matchloss.report.compare_page import compare_charts
from matchloss.tables.errors import DataError
from matchloss.tables.options import Options, study
from matchloss.tables.stopping import PARTS, watched_rows
from matchloss.terminal import rendered
from pages import Visit, browser  # noqa: F401

pytest.importorskip("sklearn")

ROWS = 600


def table(rows=ROWS, seed=1):
    """Numbers with gaps, levels, a count that bends with x, a label, groups and times."""
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=rows), rng.choice(["a", "b", "d"], rows)
    mean = np.exp(np.sin(2 * x) + (c == "a"))
    return pl.DataFrame(
        {
            "x": np.where(np.arange(rows) % 9 == 0, np.nan, x),
            "c": c,
            "count": rng.poisson(mean),
            "label": np.where(x * x + rng.logistic(size=rows) > 1, "yes", "no"),
            "three": np.array(["p", "q", "r"])[np.digitize(x + rng.logistic(size=rows), [-1, 1])],
            "g": rng.integers(0, 40, rows),
            "w": rng.integers(0, 6, rows),
        }
    )


def of(target, **options):
    """The study of a target in the table, by the columns x and c."""
    others = {"count", "label", "three", "g", "w"} - {target, options.get("weight")}
    return study(table(), target, Options(**{"drop": others, "folds": 2} | options), [], lambda text: None)


@pytest.fixture(scope="module")
def both():
    return ml.compare(table(), "count", counts=True, drop=["label", "three", "g", "w"], folds=2, model="linear,trees")


def test_linear_models_are_the_same_beside_trees(both):
    alone = ml.compare(table(), "count", counts=True, drop=["label", "three", "g", "w"], folds=2)
    beside = {fit.name.removeprefix("linear:"): fit for fit in both.fits if fit.kind == "linear"}
    assert [fit.name for fit in alone.fits] == list(beside)
    for fit in alone.fits:
        assert fit.scores == beside[fit.name].scores and (fit.raw == beside[fit.name].raw).all()


def test_trees_find_what_bends_and_every_text_says_which_model_it_was(both):
    assert both.models == ("linear", "trees") and both.verdicts[0].best == "trees:poisson"
    assert {"linear:poisson", "linear:negative_binomial"} <= set(both.verdicts[0].worse)
    assert "no linear model does as well; the nearest, linear:" in both.verdicts[0].sentence
    text = rendered(comparison_text(both))
    assert max(map(len, text.splitlines())) <= 80 and text.isascii()
    assert "trees:poisson" in text and "Trees of scikit-learn" in text and "\npoisson " in text  # what a loss is, is said once
    assert "| trees:poisson |" in comparison_markdown(both)
    found = json.loads(json.dumps(both.to_dict()))
    assert found["models"] == ["linear", "trees"]
    assert [(f["name"], f["model"], f["loss"]) for f in found["losses"]][3] == ("trees:poisson", "trees", "poisson")
    assert "trees" in found["losses"][3] and "passes" in found["losses"][0]
    assert both.table["model"].to_list() == ["linear"] * 3 + ["trees"] * 3 + [None]


def test_one_kind_alone_keeps_plain_names():
    found = ml.compare(table(), "label", drop=["count", "three", "g", "w"], folds=2, model="trees", losses="logistic,hinge")
    assert [fit.name for fit in found.fits] == ["logistic", "hinge"] and found.models == ("trees",)
    assert found.features == 2 and "trees" in rendered(comparison_text(found))
    assert found.fits[0].model.predict(table())[0].shape == (ROWS,)


@pytest.mark.parametrize("target", ["count", "three"])
def test_models_of_folds_are_those_of_scikit_learn_itself(target):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = of(target, weight="w")
    loss = ml.CrossEntropy() if target == "three" else ml.Poisson()
    trees = models_of("trees", made, 0)
    raw = trees.found(loss, lambda text: None).raw
    X, y, w = trees.X, made.ready.target.values, made.ready.weight
    repeat, train, test = next(made.split.parts())
    aside = watched_rows(made.ready, made.split, 0)(train)
    learned, watched = train[~aside & (w[train] > 0)], train[aside & (w[train] > 0)]
    host, own = (HistGradientBoostingClassifier, "log_loss") if target == "three" else (HistGradientBoostingRegressor, "poisson")
    model = host(own, max_iter=500, max_depth=6, categorical_features=[1], early_stopping=True, n_iter_no_change=20, random_state=0)
    model.fit(X[learned], y[learned], w[learned], X_val=X[watched], y_val=y[watched], sample_weight_val=w[watched])
    best = int(np.argmax(model.validation_score_))
    del model._predictors[best:]
    assert best > 3
    place = np.searchsorted(made.split.scored, test)
    assert np.allclose(raw[repeat, place], np.squeeze(model._raw_predict(X[test])), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("how", ["auto", "group:g", "time:g"])
def test_the_rows_watched_are_a_tenth_and_the_same_in_any_order(how):
    made = of("label", split=how)
    train = next(made.split.parts())[1] if how != "time:g" else list(made.split.parts())[-1][1]
    aside = watched_rows(made.ready, made.split, 0)(train)
    assert 0.4 / PARTS < aside.mean() < 1.8 / PARTS
    g = table()["g"].to_numpy()[made.ready.rows][train]
    if how == "group:g":
        assert not set(g[aside]) & set(g[~aside])
    if how == "time:g":
        assert g[aside].min() > g[~aside].max()
    turned = study(table().reverse(), "label", Options(drop={"count", "three", "g", "w"}, folds=2, split=how), [], lambda text: None)
    everywhere = np.arange(ROWS)
    again = watched_rows(turned.ready, turned.split, 0)(everywhere)[::-1]
    assert (again == watched_rows(made.ready, made.split, 0)(everywhere)).mean() > 0.99


def test_a_label_is_never_watched_alone_and_few_rows_are_not_watched():
    made = of("three")
    values = np.zeros(ROWS, np.int64)
    values[:1], values[1:3] = 2, 1
    rare = replace(made.ready, target=replace(made.ready.target, values=values))
    for seed in range(12):
        aside = watched_rows(rare, made.split, seed)(np.arange(ROWS))
        assert set(values[~aside]) == {0, 1, 2} and aside.any()
    assert not watched_rows(made.ready, made.split, 0)(np.arange(100)).any()


def test_missing_and_unknown_values_are_nan_and_counted():
    made = of("count")
    trees = models_of("trees", made, 0)
    X, unseen = features_of(trees.design, pl.DataFrame({"c": ["z", None, "d"], "x": [float("inf"), None, 2.0]}))
    assert np.array_equal(X, [[np.nan, np.nan], [np.nan, np.nan], [2.0, 2.0]], equal_nan=True) and unseen == {"c": 1}


def test_a_loss_that_a_library_cannot_train_is_left_out_and_said(monkeypatch):
    grow = Sklearn.grow

    def picky(self, training):
        if training.loss == ml.Poisson():
            raise ValueError("a gradient is not finite in row 3.")
        return grow(self, training)

    monkeypatch.setattr(Sklearn, "grow", picky)
    options = {"counts": True, "drop": ["label", "three", "g", "w"], "folds": 2, "model": "trees"}
    found = ml.compare(table(), "count", **options, losses="poisson,squared_error")
    assert [fit.name for fit in found.fits] == ["squared_error"]
    assert "poisson is left out, since scikit-learn cannot train it: a gradient is not finite in row 3." in found.notes
    with pytest.raises(DataError, match="no loss is left to compare: poisson is left out, since scikit-learn cannot train it"):
        ml.compare(table(), "count", **options, losses="poisson")
    with pytest.raises(CannotTrain):
        made = of("count")
        models_of("trees", made, 0).found(ml.Poisson(), lambda text: None)


def test_a_library_that_is_not_installed_is_said_before_any_work(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    path = tmp_path / "no such file.csv"
    assert refusal(capsys, "compare", path, "--target", "y", "--model", "linear,xgboost").endswith('pip install "matchloss[xgboost]"')


@pytest.mark.parametrize(
    ("model", "says"),
    [("tree", "--model is 'tree'; did you mean trees?"), ("", "--model names no kind of model"), ("forest!", "allowed: linear, trees")],
)
def test_kinds_that_are_none_are_refused(model, says):
    with pytest.raises(DataError, match=says.replace("?", r"\?")):
        ml.compare(table(), "count", model=model)


def test_tables_with_little_in_them():
    constant = ml.compare(pl.DataFrame({"y": [1.0, 2.0, 4.0, 3.0] * 5}), "y", model="trees", losses="squared_error", folds=2)
    assert constant.verdicts[0].best is None and constant.features == 0
    few = ml.compare(pl.DataFrame({"y": [1.0, 2.0, 4.0], "x": [1, 2, 3]}), "y", model="linear,trees", losses="squared_error", folds=2)
    assert any("since rows are too few to watch" in note for note in few.notes)


def test_exposures_are_weights_and_only_poisson_is_ranked():
    with_exposure = table().with_columns(e=pl.Series(np.random.default_rng(0).uniform(0.5, 2, ROWS)))
    options = {"drop": ["label", "three", "g", "w"], "folds": 2, "model": "trees", "exposure": "e"}
    found = ml.compare(with_exposure, "count", **options, losses="poisson,squared_error")
    assert found.verdicts[0].best == "poisson" and "exact for poisson alone" in found.verdicts[0].not_ranked["squared_error"]


def test_the_page_shows_losses_and_models_at_once(browser, both, tmp_path):  # noqa: F811
    page = tmp_path / "page.html"
    both.save(page)
    with Visit(browser, page, 1280) as visit:
        visit.assert_fits()
        assert visit.page.locator("h1").inner_text() == "Which loss and which model fit count?"
        standing = visit.page.locator(".standing svg")
        assert standing.count() == 1 and {"linear", "trees", "poisson"} <= set(standing.locator("text").all_text_contents())
        assert visit.page.locator(".signals .legend-item").count() == 3  # what a loss tells a model is said once
    assert set(compare_charts([both])) >= {"standing-0-0", "error-0", "reliability-0-0"}
