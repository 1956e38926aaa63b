"""Trees as JSON: read back bit for bit, and refused where a file would lead a tree astray; scorers of losses and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.model_selection import GridSearchCV

import matchloss as ml
import sweeps
from boosted import diabetes, digits, tumours, weights
from matchloss.sklearn import HistGradientBoostingClassifier, HistGradientBoostingRegressor, TreesError, load, scorer
from tree_hosts import HOSTS, Host

QUICK: dict[str, Any] = {"max_iter": 5, "max_leaf_nodes": 6, "random_state": 0}


@pytest.fixture(autouse=True)
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.spare_loops(monkeypatch)


def saved(model: Any, folder: Path) -> Any:
    model.save(folder / "trees.json")
    return load(folder / "trees.json")


@pytest.mark.parametrize("loss", ["poisson", "pinball(alpha=0.9)", "huber(delta=3)"])
def test_numbers_come_back_bit_for_bit(loss: str, tmp_path: Path) -> None:
    X, y = diabetes()
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    model = HistGradientBoostingRegressor(loss, **QUICK).fit(X, y)
    back = saved(model, tmp_path)
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    np.testing.assert_array_equal(back.raw_predict(X), model.raw_predict(X))
    assert (back.loss_, back.curvature_, back.n_iter_) == (model.loss_, model.curvature_, 5)
    again = saved(back, tmp_path)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="has 3 features, but"):
        back.predict(X[:, :3])


@pytest.mark.parametrize("loss", ["cross_entropy", "sparsemax"])
@pytest.mark.parametrize("words", [False, True])
def test_labels_come_back_bit_for_bit(loss: str, words: bool, tmp_path: Path) -> None:
    X, y = digits()
    y = np.array([f"digit {k}" for k in y]) if words else y
    model = HistGradientBoostingClassifier(loss, **QUICK).fit(X, y)
    back = saved(model, tmp_path)
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(back.predict(X), model.predict(X))


def test_levels_and_names_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names, n = np.array(["bus", "car", "foot", None], dtype=object), 300
    table = pd.DataFrame({"km": rng.uniform(1, 9, n), "by": names[rng.integers(0, 4, n)], "day": rng.integers(0, 7, n)})
    table = table.astype({"by": "category", "day": "category"})
    y = table["km"].to_numpy() * np.where(table["by"] == "foot", 9.0, 2.0) + (table["day"].astype(int) == 3)
    model = HistGradientBoostingRegressor("gamma", min_samples_leaf=3, max_iter=10).fit(table, y)
    assert any(tree.nodes["is_categorical"].any() for [tree] in model._predictors)
    back = saved(model, tmp_path)
    fresh = pd.DataFrame({"km": [2.0, 3.0, 4.0, 5.0], "by": ["foot", "tram", None, "bus"], "day": [3, 9, 0, 1]})
    for rows in (table, fresh):
        np.testing.assert_array_equal(back.predict(rows), model.predict(rows))
    as_polars = pl.from_pandas(fresh)[["by", "day", "km"]]  # found by name
    np.testing.assert_array_equal(back.predict(as_polars), model.predict(fresh))
    with pytest.raises(ValueError, match="X has no column 'by'"):
        back.predict(fresh.drop(columns="by"))


def found(tmp_path: Path) -> dict[str, Any]:
    X, y = diabetes()
    HistGradientBoostingRegressor("poisson", **QUICK).fit(X, y).save(tmp_path / "trees.json")
    return json.loads((tmp_path / "trees.json").read_text())


def spoil(content: dict[str, Any], where: list[Any], value: Any) -> None:
    for key in where[:-1]:
        content = content[key]
    content[where[-1]] = value


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        (["format"], "other", 'its format is not "matchloss trees"'),
        (["schema"], 9, "its schema is 9; this version reads 1"),
        (["loss", "name"], "os:system", "its loss is 'os:system', which is not in the catalogue"),
        (["loss", "parameters"], {"alpha": 1}, "the parameters of poisson are none, not alpha"),
        (["start"], [0.0, 1.0], "its start has 2 numbers; the loss poisson asks for 1"),
        (["trees"], [], "each of its rounds must have 1 trees"),
        (["trees", 0, 0, "left", 0], 0, "node 0 of a tree has a child that is not a later node"),
        (["trees", 0, 0, "right", 0], 999, "node 0 of a tree has a child that is not a later node"),
        (["trees", 0, 0, "left", 0], -1, "out of bounds|not a later node"),
        (["trees", 0, 0, "feature_idx", 0], 10, "node 0 of a tree has a column that is not there"),
        (["trees", 0, 0, "is_categorical", 0], 1, "node 0 of a tree has levels of a column of numbers"),
        (["trees", 0, 0, "value"], [1.0], "entries of count and 1 of value|entries of"),
        (["trees", 0, 0, "value", 0], "x", "holds no trees"),
        (["columns"], {"names": None}, "it has no levels"),
        (["columns", "levels"], [[{}]], "is no level"),
        (["curvature"], ["newton", 1.0], "there is no curvature 'newton'"),
        (["classes"], {"kind": "U", "labels": ["a"]}, "its classes are fewer than two"),
    ],
)
def test_a_spoilt_file_is_refused(where: list[Any], value: Any, says: str, tmp_path: Path) -> None:
    content = found(tmp_path)
    spoil(content, where, value)
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(content))
    with pytest.raises(TreesError, match=says):
        load(path)


def test_half_a_file_is_refused_and_a_loss_without_a_name_is_not_written(tmp_path: Path) -> None:
    text = json.dumps(found(tmp_path))
    (tmp_path / "half.json").write_text(text[: len(text) // 2])
    with pytest.raises(TreesError, match="it is not JSON"):
        load(tmp_path / "half.json")
    X, y = diabetes()
    model = HistGradientBoostingRegressor(ml.match(lambda m, raw: m.exp(raw)), max_iter=1).fit(X, y)
    with pytest.raises(TreesError, match="so that no file can name it"):
        model.save(tmp_path / "trees.json")
    assert json.loads((tmp_path / "trees.json").read_text()) == json.loads(text)  # the old file stays


def test_a_scorer_of_a_loss_is_minus_its_mean() -> None:
    X, y = diabetes()
    w = weights(len(y))
    model = PoissonRegressor().fit(X, y)
    mean = scorer("poisson")(model, X, y, sample_weight=w)
    best = -float(ml.Poisson()(np.log(y), y, w))
    np.testing.assert_allclose(2 * (best - mean), mean_poisson_deviance(y, model.predict(X), sample_weight=w))
    X, y = tumours()
    labels = np.array(["no", "yes"])[y]
    made = LogisticRegression(max_iter=5000).fit(X / X.max(0), labels)
    for name in ("logistic", "cross_entropy", "log_score"):
        np.testing.assert_allclose(-scorer(name)(made, X / X.max(0), labels), log_loss(labels, made.predict_proba(X / X.max(0))))
    assert -1 < scorer("hinge")(made, X / X.max(0), labels) < 0
    with pytest.raises(ValueError, match=r"y\[0\] is .*; the classes are no, yes"):
        scorer("logistic")(made, X / X.max(0), np.full(len(y), "maybe"))
    with pytest.raises(ValueError, match="no loss is called"):
        scorer("brie")
    assert repr(scorer(ml.Huber(2))) == "scorer(Huber(delta=2.0))" and repr(scorer("brier_score")) == "scorer('brier_score')"


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.title)
def test_a_search_picks_by_a_scorer(host: Host) -> None:
    """Also under CatBoost, whose regressor has classes_, and none in it."""
    X, y = diabetes()
    losses = {"loss": ["pinball(alpha=0.9)", "squared_error"]}
    search = GridSearchCV(
        host.regressor(**host.quick | {host.trees: 20}), losses, scoring=scorer("pinball(alpha=0.9)"), cv=2, error_score="raise"
    )
    assert search.fit(X, y).best_params_ == {"loss": "pinball(alpha=0.9)"}
