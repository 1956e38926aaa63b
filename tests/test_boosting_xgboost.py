"""XGBoost under our losses: the built-in objectives' trees, its own files, all losses, weights, early stopping, bad input."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost as xgb
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import matchloss as ml
import matchloss.xgboost as mx
import sweeps
from boosted import diabetes, tumours, weights, wines, without_us

FEW: dict[str, Any] = {"max_depth": 4, "nthread": 1}
QUICK: dict[str, Any] = {"max_depth": 3, "n_estimators": 8, "n_jobs": 1}


@pytest.fixture(autouse=True)
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.spare_loops(monkeypatch)


def same_splits(a: xgb.Booster, b: xgb.Booster) -> None:
    """The same columns split at the same values in the same trees."""
    one, other = a.trees_to_dataframe(), b.trees_to_dataframe()
    pd.testing.assert_frame_equal(one[["Tree", "Node", "Feature", "Split"]], other[["Tree", "Node", "Feature", "Split"]])


TWINS = [
    ("squared_error", {"objective": "reg:squarederror"}, diabetes, 0.0),
    ("absolute_error", {"objective": "reg:absoluteerror"}, diabetes, 0.0),
    ("pinball(alpha=0.9)", {"objective": "reg:quantileerror", "quantile_alpha": 0.9}, diabetes, 0.0),
    ("poisson", {"objective": "count:poisson"}, diabetes, 2e-7),
    ("gamma", {"objective": "reg:gamma"}, diabetes, 2e-7),
    ("tweedie(power=1.3)", {"objective": "reg:tweedie", "tweedie_variance_power": 1.3}, diabetes, 2e-7),
    ("logistic", {"objective": "binary:logistic"}, tumours, 2e-7),
    ("cross_entropy", {"objective": "multi:softprob", "num_class": 3}, wines, 2e-7),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "built_in", "rows", "apart"), TWINS, ids=[t[0] for t in TWINS])
def test_the_same_trees_as_from_the_built_in_objective(
    loss: str, built_in: dict[str, Any], rows: Any, apart: float, weighted: bool
) -> None:
    X, y = rows()
    matrix = xgb.DMatrix(X, y, weight=weights(len(y)) if weighted else None)
    params = FEW | {k: v for k, v in built_in.items() if k == "num_class"}
    theirs = xgb.train(FEW | built_in, matrix, 8)
    if loss == "cross_entropy":  # XGBoost adds 1e-6 to each share of a class before it takes logarithms
        params["base_score"] = json.loads(json.loads(theirs.save_config())["learner"]["learner_model_param"]["base_score"])
    ours = mx.train(params, matrix, 8, loss=loss)
    same_splits(ours, theirs)
    one, other = (b.predict(matrix, output_margin=True, iteration_range=(0, 1)) for b in (ours, theirs))
    np.testing.assert_allclose(one, other, rtol=apart, atol=apart)  # a tree's leaves
    one, other = (b.predict(matrix) for b in (ours, theirs))
    np.testing.assert_allclose(one, other, rtol=10 * apart, atol=10 * apart)


def test_the_start_score_of_classes_is_their_log_shares() -> None:
    X, y = wines()
    found = [mx.train(FEW | {"num_class": 3}, xgb.DMatrix(X, y), 1, loss="cross_entropy")]
    found += [xgb.train(FEW | {"num_class": 3, "objective": "multi:softprob"}, xgb.DMatrix(X, y), 1)]
    ours, theirs = (json.loads(json.loads(b.save_config())["learner"]["learner_model_param"]["base_score"]) for b in found)
    np.testing.assert_allclose(ours, np.log(np.bincount(y)) - np.log(np.bincount(y)).mean(), rtol=1e-6)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    same_splits(*found)


def test_max_delta_step_moves_poissons_curvature_as_the_built_in_ones() -> None:
    X, y = diabetes()
    matrix = xgb.DMatrix(X, y)
    step = FEW | {"max_delta_step": 0.2}
    same_splits(mx.train(step, matrix, 5, loss="poisson"), xgb.train(step | {"objective": "count:poisson"}, matrix, 5))


def test_the_hosts_own_file_predicts_right_without_us(tmp_path: Path) -> None:
    for name, loss in {"poisson": "poisson", "counts": "negative_binomial(size=2)", "raw": "probit", "two": "focal"}.items():
        X, y = diabetes() if name in ("poisson", "counts") else tumours()
        model = mx.XGBRegressor(loss, **QUICK).fit(X, y)
        model.save_model(tmp_path / f"{name}.ubj")
        np.savez(tmp_path / f"{name}.npz", X=X, raw=model.predict(X, output_margin=True), prediction=model.predict(X))
    X, y = wines()
    for name in ("sparsemax", "cross_entropy"):
        model = mx.XGBClassifier(name, **QUICK).fit(X, y)
        model.save_model(tmp_path / f"{name}.ubj")
        raw = model.predict(X, output_margin=True)
        np.savez(tmp_path / f"{name}.npz", X=X, raw=raw, prediction=model.predict_proba(X))
    code = """
import numpy as np, xgboost as xgb
for name in ("poisson", "counts", "raw", "two", "sparsemax", "cross_entropy"):
    told, model = np.load(f"{name}.npz"), xgb.Booster(model_file=f"{name}.ubj")
    rows = xgb.DMatrix(told["X"])
    np.testing.assert_array_equal(model.predict(rows, output_margin=True), told["raw"])
    own = told["raw"] if name in ("raw", "sparsemax") else told["prediction"]
    np.testing.assert_allclose(model.predict(rows), own, rtol=1e-6, atol=1e-7)
"""
    without_us(code, tmp_path)


def test_a_loaded_estimator_has_the_loss_of_the_file(tmp_path: Path) -> None:
    X, y = tumours()
    fitted = mx.XGBClassifier("probit", **QUICK).fit(X, y)
    fitted.save_model(tmp_path / "trees.ubj")
    back = mx.XGBClassifier()
    back.load_model(tmp_path / "trees.ubj")
    assert back.get_params()["loss"] == ml.Probit()
    np.testing.assert_array_equal(back.predict_proba(X), fitted.predict_proba(X))
    X, y = diabetes()
    own = mx.XGBRegressor(OneHalf(), **QUICK).fit(X, y)
    own.save_model(tmp_path / "own.ubj")
    back = mx.XGBRegressor(OneHalf())  # no name in a file leads to a person's own
    back.load_model(tmp_path / "own.ubj")
    np.testing.assert_array_equal(back.predict(X), own.predict(X))


class OneHalf(ml.SquaredError):
    """A person's own loss: one half of each prediction is added to it."""

    @staticmethod
    def predict_formula(m: Any, raw: Any) -> Any:
        return 1.5 * raw


def test_early_stopping_watches_the_same_loss() -> None:
    X, y = diabetes()
    parts = (X[:300], y[:300]), (X[300:], y[300:])
    model = mx.XGBRegressor("gamma", n_estimators=200, early_stopping_rounds=3, n_jobs=1)
    model.fit(*parts[0], eval_set=[parts[1]], verbose=False)
    told = model.evals_result()["validation_0"]["gamma"]
    assert model.best_iteration == int(np.argmin(told)) < 190 and list(model.evals_result()["validation_0"]) == ["gamma"]
    at_best = model.predict(parts[1][0], output_margin=True)
    np.testing.assert_allclose(ml.Gamma()(at_best, parts[1][1]), told[model.best_iteration], rtol=1e-6)
    theirs = mx.XGBRegressor("gamma", n_estimators=5, eval_metric="mae", n_jobs=1).fit(*parts[0], eval_set=[parts[1]], verbose=False)
    mae = theirs.evals_result()["validation_0"]["mae"]
    np.testing.assert_allclose(mae[-1], np.abs(theirs.predict(parts[1][0]) - parts[1][1]).mean(), rtol=1e-5)  # in the target's units


def test_a_weight_is_a_row_repeated() -> None:
    X, y = diabetes()
    w, again = weights(len(y)), np.repeat(np.arange(len(y)), weights(len(y)).astype(int))
    exact = QUICK | {"tree_method": "exact"}  # whose splits do not depend on quantiles of the rows
    for loss in ("negative_binomial(size=2)", "huber(delta=20)"):
        one = mx.XGBRegressor(loss, **exact).fit(X, y, sample_weight=w)
        other = mx.XGBRegressor(loss, **exact).fit(X[again], y[again])
        np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-4)
    nothing = np.where(np.arange(len(y)) < 5, 0.0, 1.0)
    bad = np.where(nothing == 0, -1.0, y)
    mx.XGBRegressor("poisson", **QUICK).fit(X, bad, sample_weight=nothing)  # rows of weight 0 are not looked at


def test_scale_pos_weight_is_a_weight_of_the_second_class() -> None:
    X, y = tumours()
    exact = QUICK | {"tree_method": "exact"}
    one = mx.XGBClassifier("logistic", scale_pos_weight=3, **exact).fit(X, y)
    other = mx.XGBClassifier("logistic", **exact).fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_margins_and_going_on() -> None:
    X, y = diabetes()
    margin = np.log(y.mean()) + X[:, 2]
    model = mx.XGBRegressor("poisson", **QUICK).fit(X, y, base_margin=margin)
    theirs = xgb.XGBRegressor(objective="count:poisson", **QUICK).fit(X, y, base_margin=margin)
    np.testing.assert_allclose(model.predict(X, base_margin=margin), theirs.predict(X, base_margin=margin), rtol=1e-5)
    half = mx.XGBRegressor("poisson", **QUICK | {"n_estimators": 4}).fit(X, y)
    whole = mx.XGBRegressor("poisson", **QUICK | {"n_estimators": 4}).fit(X, y, xgb_model=half.get_booster())
    straight = mx.XGBRegressor("poisson", **QUICK).fit(X, y)
    np.testing.assert_allclose(whole.predict(X), straight.predict(X), rtol=1e-6)


def test_soft_targets() -> None:
    X, y = tumours()
    p = mx.XGBRegressor("logistic", **QUICK).fit(X, 0.8 * y + 0.1).predict(X)
    assert ((p > 0) & (p < 1)).all() and np.corrcoef(p, y)[0, 1] > 0.9
    X, y = wines()
    shares = np.eye(3)[y] * 0.85 + 0.05
    matrix = xgb.DMatrix(X, shares)
    booster = mx.train(FEW, matrix, 10, loss="cross_entropy", evals=[(matrix, "train")], verbose_eval=False)
    p = ml.CrossEntropy().predict(booster.predict(matrix))  # raw: XGBoost has no softmax over targets
    assert np.abs(p - shares).mean() < 0.08
    two = np.stack([y, 2 * y], axis=1)
    assert mx.XGBRegressor("huber", **QUICK).fit(X, two).predict(X).shape == two.shape


def test_objective_and_metric_for_people_who_call_xgboost() -> None:
    X, y = diabetes()
    matrix = xgb.DMatrix(X, y, weight=weights(len(y)))
    told: dict[str, Any] = {}
    params = FEW | {"objective": "reg:gamma", "base_score": float(np.average(y, weights=weights(len(y)))), "disable_default_eval_metric": 1}
    given: dict[str, Any] = {"evals": [(matrix, "train")], "verbose_eval": False, "evals_result": told}
    by_hand = xgb.train(params, matrix, 5, obj=mx.objective("gamma"), custom_metric=mx.metric("gamma"), **given)
    np.testing.assert_allclose(by_hand.predict(matrix), mx.train(FEW, matrix, 5, loss="gamma").predict(matrix), rtol=1e-6)
    assert list(told["train"]) == ["gamma"]
    model = xgb.XGBRegressor(objective=mx.objective("huber"), base_score=y.mean(), eval_metric=mx.metric("huber"), **QUICK)
    model.fit(X, y, sample_weight=weights(len(y)), eval_set=[(X, y)], verbose=False)
    assert model.evals_result()["validation_0"]["huber"][-1] < model.evals_result()["validation_0"]["huber"][0]


def test_what_only_xgboost_refuses() -> None:
    X, y = diabetes()
    with pytest.raises(ml.DomainError, match=r"target\[2\] is 2; allowed: labels 0..1"):
        mx.train({"num_class": 2}, xgb.DMatrix(X, np.arange(len(y)) % 3), loss="cross_entropy")
    with pytest.raises(ValueError, match=r'cross_entropy needs the number of classes: params\["num_class"\]'):
        mx.train({}, xgb.DMatrix(X, np.arange(len(y)) % 3), loss="cross_entropy")
    with pytest.raises(ValueError, match="num_class is 3, and poisson is a loss of one raw prediction a row"):
        mx.train({"num_class": 3}, xgb.DMatrix(X, y), loss="poisson")
    with pytest.raises(ValueError, match=r"params has the objective 'reg:gamma' beside the loss Poisson\(\)"):
        mx.train({"objective": "reg:gamma"}, xgb.DMatrix(X, y), loss="poisson")
    with pytest.raises(ValueError, match="the DMatrix has no labels"):
        mx.train({}, xgb.DMatrix(X), loss="poisson")
    with pytest.raises(ValueError, match=r"XGBoost takes the labels 0\.\.K-1"):
        mx.XGBClassifier().fit(X, np.where(y > 100, "high", "low"))
    with pytest.raises(ValueError, match="objective is 'reg:gamma', and these classes take a loss in its place: loss="):
        mx.XGBRegressor().set_params(objective="reg:gamma")


def test_clones_pickles_pipelines_searches_and_frames() -> None:
    X, y = diabetes()
    model = mx.XGBRegressor(ml.Tweedie(1.2), learning_rate=0.2, **QUICK)
    again = clone(model).fit(X, y)
    assert again.get_params()["loss"] == ml.Tweedie(1.2) and again.get_params()["learning_rate"] == 0.2
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).predict(X), again.predict(X))
    before = again.predict(X)
    again.set_params(n_jobs=2)  # XGBoost passes all parameters on to the trees that there are
    np.testing.assert_array_equal(again.predict(X), before)
    pipe = make_pipeline(StandardScaler(), mx.XGBRegressor(**QUICK))
    search = GridSearchCV(pipe, {"xgbregressor__loss": ["poisson", ml.Gamma(), "expectile(alpha=0.3)"]}, cv=2)
    assert search.fit(X, y).best_params_["xgbregressor__loss"] in ("poisson", ml.Gamma())
    levels = pd.Series(np.where(X[:, 0] > 0, "old", "young"), dtype="category")
    frame = pd.DataFrame(X[:, 1:], columns=[f"c{j}" for j in range(9)]).assign(age=levels)
    theirs = xgb.XGBRegressor(objective="count:poisson", enable_categorical=True, **QUICK).fit(frame, y)
    ours = mx.XGBRegressor("poisson", enable_categorical=True, **QUICK).fit(frame, y)
    np.testing.assert_allclose(ours.predict(frame), theirs.predict(frame), rtol=1e-6)
    assert mx.XGBRegressor("poisson", **QUICK).fit(pl.DataFrame(X), y).predict(pl.DataFrame(X)).shape == y.shape
