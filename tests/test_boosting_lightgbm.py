"""LightGBM under our losses: the built-in objectives' bits, its own files, all losses, weights, early stopping, bad input."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import matchloss as ml
import matchloss.lightgbm as mlgb
import sweeps
from boosted import diabetes, digits, tumours, weights, wines, without_us

FEW: dict[str, Any] = {"num_leaves": 8, "num_threads": 1, "verbosity": -1, "seed": 0}
QUICK: dict[str, Any] = {"num_leaves": 8, "n_estimators": 8, "n_jobs": 1, "verbose": -1}


@pytest.fixture(autouse=True)
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.spare_loops(monkeypatch)


TWINS = [
    ("squared_error", {"objective": "regression"}, diabetes),
    ("absolute_error", {"objective": "regression_l1"}, diabetes),
    ("pinball(alpha=0.9)", {"objective": "quantile", "alpha": 0.9}, diabetes),
    ("poisson", {"objective": "poisson"}, diabetes),
    ("gamma", {"objective": "gamma"}, diabetes),
    ("tweedie(power=1.3)", {"objective": "tweedie", "tweedie_variance_power": 1.3}, diabetes),
    ("logistic", {"objective": "binary"}, tumours),
    ("cross_entropy", {"objective": "multiclass", "num_class": 10}, digits),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "built_in", "rows"), TWINS, ids=[t[0] for t in TWINS])
def test_the_same_bits_as_from_the_built_in_objective(loss: str, built_in: dict[str, Any], rows: Any, weighted: bool) -> None:
    X, y = rows()
    data = [lgb.Dataset(X, y, weight=weights(len(y)) if weighted else None) for _ in range(2)]
    classes = {k: v for k, v in built_in.items() if k == "num_class"}
    theirs = lgb.train(FEW | built_in, data[0], 8)
    ours = mlgb.train(FEW | classes, data[1], 8, loss=loss)
    # Weighted, LightGBM rounds the difference of squared error before it multiplies, and takes log(p / (1 - p)) of a rounded quotient.
    apart = {"squared_error": 1e-8, "logistic": 1e-13}.get(loss, 0.0) if weighted else 0.0
    np.testing.assert_allclose(ours.predict(X, raw_score=True), theirs.predict(X, raw_score=True), rtol=apart)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=apart)


def test_the_hosts_own_file_predicts_right_without_us(tmp_path: Path) -> None:
    for name, loss in {"poisson": "poisson", "counts": "negative_binomial(size=2)", "raw": "probit", "two": "focal"}.items():
        X, y = diabetes() if name in ("poisson", "counts") else tumours()
        model = mlgb.LGBMRegressor(loss, **QUICK).fit(X, y)
        model.booster_.save_model(tmp_path / f"{name}.txt")
        np.savez(tmp_path / f"{name}.npz", X=X, raw=model.predict(X, raw_score=True), prediction=model.predict(X))
    X, y = wines()
    for name in ("sparsemax", "cross_entropy"):
        model = mlgb.LGBMClassifier(name, **QUICK).fit(X, y)
        model.booster_.save_model(tmp_path / f"{name}.txt")
        np.savez(tmp_path / f"{name}.npz", X=X, raw=model.predict(X, raw_score=True), prediction=model.predict_proba(X))
    code = """
import numpy as np, lightgbm as lgb
for name in ("poisson", "counts", "raw", "two", "sparsemax", "cross_entropy"):
    told, model = np.load(f"{name}.npz"), lgb.Booster(model_file=f"{name}.txt")
    np.testing.assert_array_equal(model.predict(told["X"], raw_score=True), told["raw"])
    own = told["raw"] if name in ("raw", "sparsemax") else told["prediction"]
    np.testing.assert_allclose(model.predict(told["X"]), own, rtol=1e-14, atol=1e-15)
"""
    without_us(code, tmp_path)


def test_early_stopping_watches_the_same_loss() -> None:
    X, y = diabetes()
    model = mlgb.LGBMRegressor("gamma", **QUICK | {"n_estimators": 200, "learning_rate": 0.3})
    model.fit(X[:300], y[:300], eval_X=X[300:], eval_y=y[300:], callbacks=[lgb.early_stopping(3, verbose=False)])
    told = model.evals_result_["valid_0"]["gamma"]
    assert model.best_iteration_ == int(np.argmin(told)) + 1 < 190 and list(model.evals_result_["valid_0"]) == ["gamma"]
    np.testing.assert_allclose(ml.Gamma()(model.predict(X[300:], raw_score=True), y[300:].astype(np.float32)), min(told), rtol=1e-12)
    given: dict[str, Any] = {"eval_X": X, "eval_y": y, "eval_metric": "l1"}
    assert "l1" in mlgb.LGBMRegressor("huber", **QUICK).fit(X, y, **given).evals_result_["training"]


def test_data_sets_are_as_they_were() -> None:
    X, y = diabetes()
    data, others = lgb.Dataset(X[:300], y[:300], free_raw_data=False), lgb.Dataset(X[300:], y[300:], free_raw_data=False)
    for _ in range(2):
        result: dict[str, Any] = {}
        record = lgb.record_evaluation(result)
        booster = mlgb.train(FEW, data, 5, [data, others], ["a", "b"], callbacks=[record], loss="negative_binomial(size=2)")
        assert data.get_init_score() is None and others.get_init_score() is None
        at_end = ml.NegativeBinomial(2)(booster.predict(X[300:], raw_score=True), y[300:].astype(np.float32))
        np.testing.assert_allclose(result["b"]["negative_binomial"][-1], at_end, rtol=1e-12)
    theirs = lgb.train(FEW | {"objective": "poisson"}, data, 5)  # the same data set again, which starts at its own average
    np.testing.assert_array_equal(theirs.predict(X), lgb.train(FEW | {"objective": "poisson"}, lgb.Dataset(X[:300], y[:300]), 5).predict(X))


def test_a_weight_is_a_row_repeated() -> None:
    X, y = diabetes()
    w, again = weights(len(y)), np.repeat(np.arange(len(y)), weights(len(y)).astype(int))
    X = X.round(2)  # fewer values than bins, or bins depend on how many rows there are
    grown = QUICK | {"min_child_samples": 1, "min_sum_hessian_in_leaf": 5.0, "min_data_in_bin": 1}
    for loss in ("negative_binomial(size=2)", "huber(delta=20)"):
        one = mlgb.LGBMRegressor(loss, **grown).fit(X, y, sample_weight=w)
        other = mlgb.LGBMRegressor(loss, **grown).fit(X[again], y[again])
        np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-5)


def test_weights_of_classes() -> None:
    X, y = tumours()
    names = np.array(["no", "yes"])[y]
    three = mlgb.LGBMClassifier("probit", **QUICK).fit(X, names, sample_weight=np.where(y == 1, 3.0, 1.0))
    by_class = mlgb.LGBMClassifier("probit", class_weight={"no": 1.0, "yes": 3.0}, **QUICK).fit(X, names)
    np.testing.assert_array_equal(by_class.predict_proba(X), three.predict_proba(X))
    np.testing.assert_array_equal(by_class.predict(X) == "yes", by_class.predict_proba(X)[:, 1] > 0.5)
    by_scale = mlgb.LGBMClassifier("probit", scale_pos_weight=3.0, **QUICK).fit(X, names)
    np.testing.assert_allclose(by_scale.predict_proba(X), three.predict_proba(X), rtol=1e-5)
    with pytest.raises(ValueError, match="is_unbalance is of LightGBM's own objectives; class_weight"):
        mlgb.LGBMClassifier("probit", is_unbalance=True, **QUICK).fit(X, y)


def test_scores_to_start_from_and_going_on() -> None:
    X, y = diabetes()
    offset = np.log(y.mean()) + X[:, 2]
    model = mlgb.LGBMRegressor("poisson", **QUICK).fit(X, y, init_score=offset)
    theirs = lgb.LGBMRegressor(objective="poisson", **QUICK).fit(X, y, init_score=offset)
    np.testing.assert_array_equal(model.predict(X, raw_score=True), theirs.predict(X, raw_score=True))
    half = mlgb.LGBMRegressor("poisson", **QUICK | {"n_estimators": 4}).fit(X, y)
    whole = mlgb.LGBMRegressor("poisson", **QUICK | {"n_estimators": 4}).fit(X, y, init_model=half)
    np.testing.assert_allclose(whole.predict(X), mlgb.LGBMRegressor("poisson", **QUICK).fit(X, y).predict(X), rtol=1e-6)


def test_shares_are_soft_targets_of_a_regressor() -> None:
    X, y = tumours()
    p = mlgb.LGBMRegressor("logistic", **QUICK).fit(X, 0.8 * y + 0.1).predict(X)
    theirs = lgb.LGBMRegressor(objective="cross_entropy", **QUICK).fit(X, 0.8 * y + 0.1).predict(X)
    np.testing.assert_allclose(p, theirs, rtol=1e-6)


def test_a_table_without_a_split_is_the_start_score() -> None:
    y = np.arange(1.0, 41)
    model = mlgb.LGBMRegressor("gamma", min_child_samples=40, feature_pre_filter=False, verbose=-1).fit(np.arange(40.0)[:, None], y)
    np.testing.assert_allclose(model.predict(np.zeros((2, 1))), y.mean(), rtol=1e-12)


def test_objective_and_metric_for_people_who_call_lightgbm() -> None:
    X, y = diabetes()
    w = weights(len(y))
    start = np.full(len(y), float(np.log(np.average(y.astype(np.float32), weights=w))))
    told: dict[str, Any] = {}
    params = FEW | {"objective": mlgb.objective("gamma"), "metric": "None"}
    data = lgb.Dataset(X, y, weight=w, init_score=start)
    by_hand = lgb.train(params, data, 5, [data], ["train"], mlgb.metric("gamma"), callbacks=[lgb.record_evaluation(told)])
    ours = mlgb.train(FEW, lgb.Dataset(X, y, weight=w), 5, loss="gamma")
    np.testing.assert_allclose(by_hand.predict(X, raw_score=True) + start, ours.predict(X, raw_score=True), rtol=1e-7)
    assert list(told["train"]) == ["gamma"]
    X, y = digits()
    model = lgb.LGBMClassifier(objective=mlgb.objective("cross_entropy", classes=10), **QUICK)
    model.fit(X, y, eval_X=X, eval_y=y, eval_metric=mlgb.metric("cross_entropy"))
    assert (np.argmax(model.predict(X, raw_score=True), axis=1) == y).mean() > 0.9


def test_what_only_lightgbm_refuses() -> None:
    X, y = diabetes()
    bad = np.where(np.arange(len(y)) == 7, np.nan, y)
    with pytest.raises(ml.DomainError, match=r"target\[7\] is nan; allowed: .*, the targets of huber"):
        mlgb.train(FEW, lgb.Dataset(X, bad), loss="huber")
    with pytest.raises(ml.DomainError, match=r"in eval set 0: target\[7\] is nan"):  # LightGBM reads it as 0
        mlgb.train(FEW, lgb.Dataset(X, y), 2, [lgb.Dataset(X, bad)], loss="huber")
    with pytest.raises(ml.DomainError, match=r"target\[2\] is 2; allowed: labels 0..1"):
        mlgb.train(FEW | {"num_class": 2}, lgb.Dataset(X, np.arange(len(y)) % 3), loss="cross_entropy")
    with pytest.raises(ValueError, match=r'cross_entropy needs the number of classes: params\["num_class"\]'):
        mlgb.train(FEW, lgb.Dataset(X, np.arange(len(y)) % 3), loss="cross_entropy")
    with pytest.raises(ValueError, match="num_class is 3, and poisson is a loss of one raw prediction a row"):
        mlgb.train(FEW | {"num_class": 3}, lgb.Dataset(X, y), loss="poisson")
    with pytest.raises(ValueError, match=r"params has the objective 'gamma' beside the loss Poisson\(\)"):
        mlgb.train(FEW | {"objective": "gamma"}, lgb.Dataset(X, y), loss="poisson")
    with pytest.raises(ValueError, match="linear_tree has no leaf values"):
        mlgb.LGBMRegressor("poisson", linear_tree=True).fit(X, y)
    with pytest.raises(ValueError, match="boosting is 'rf': LightGBM's forests take its own objectives only"):
        mlgb.train(FEW | {"boosting": "rf"}, lgb.Dataset(X, y), 2, loss="poisson")


def test_a_metric_of_lightgbms_is_refused_where_it_would_be_of_raw_predictions() -> None:
    X, y = diabetes()
    words = "LightGBM would compute its metric 'l1' from the raw predictions of gamma, before the link; leave it out"
    with pytest.raises(ValueError, match=words):
        mlgb.LGBMRegressor("gamma", **QUICK).fit(X, y, eval_X=X, eval_y=y, eval_metric="l1")
    with pytest.raises(ValueError, match=words):
        mlgb.LGBMRegressor("gamma", metric="l1", **QUICK).fit(X, y, eval_X=X, eval_y=y)
    for given in ({}, {"feval": mlgb.metric("gamma")}):
        with pytest.raises(ValueError, match=words):
            mlgb.train(FEW | {"metric": ["l1", "l2"]}, lgb.Dataset(X, y), 2, loss="gamma", **given)
    told: dict[str, Any] = {}
    data = lgb.Dataset(X, y)
    mlgb.train(FEW | {"metric": "l1,l2"}, data, 2, [data], ["rows"], callbacks=[lgb.record_evaluation(told)], loss="huber")
    assert set(told["rows"]) == {"l1", "l2"}


def test_clones_pickles_pipelines_searches_and_frames() -> None:
    X, y = diabetes()
    model = mlgb.LGBMRegressor(ml.Tweedie(1.2), learning_rate=0.2, **QUICK)
    again = clone(model).fit(X, y)
    assert again.get_params()["loss"] == ml.Tweedie(1.2) and again.get_params()["learning_rate"] == 0.2
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).predict(X), again.predict(X))
    assert again.set_params(loss="huber", curvature="unit").fit(X, y).loss_ == ml.Huber() and clone(again).loss == "huber"
    pipe = make_pipeline(StandardScaler(), mlgb.LGBMRegressor(**QUICK)).set_output(transform="pandas")
    search = GridSearchCV(pipe, {"lgbmregressor__loss": ["poisson", ml.Gamma(), "expectile(alpha=0.3)"]}, cv=2)
    assert search.fit(X, y).best_params_["lgbmregressor__loss"] in ("poisson", ml.Gamma())
    levels = pd.Series(np.where(X[:, 0] > 0, "old", "young"), dtype="category")
    frame = pd.DataFrame(X[:, 1:], columns=[f"c{j}" for j in range(9)]).assign(age=levels)
    theirs = lgb.LGBMRegressor(objective="poisson", **QUICK).fit(frame, y)
    ours = mlgb.LGBMRegressor("poisson", **QUICK).fit(frame, y)
    np.testing.assert_array_equal(ours.predict(frame), theirs.predict(frame))
    table = pl.DataFrame(X)
    assert mlgb.LGBMRegressor("poisson", **QUICK).fit(table, y).predict(table).shape == y.shape
