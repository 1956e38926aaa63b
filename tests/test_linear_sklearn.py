"""scikit-learn's own checks of estimators, and its tools around ours."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingRegressor
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import matchloss as ml
from fits import LOGISTIC, SQUARED, problem, table, theta_of
from frames import FRAMES
from matchloss.linear import LinearClassifier, LinearRegressor

CHECKED = [
    LinearRegressor(),
    LinearRegressor("huber"),
    LinearRegressor("absolute_error"),
    LinearRegressor(ml.Pinball(0.9)),
    LinearRegressor("poisson"),
    LinearRegressor(ml.Tweedie(1.5), l2=1e-3),
    LinearClassifier(l2=1e-3),  # at 0 the checks' classes are separable, of which it warns
    LinearClassifier("logistic", l2=1e-3),
    LinearClassifier("hinge", l2=1e-3),
    LinearClassifier("sparsemax", l2=1e-3),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # some checks have few rows, or one target
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(CHECKED)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_pickles_and_clones() -> None:
    columns, y = table(ml.Gamma(), 80)
    frame = FRAMES["polars"](columns)
    model = LinearRegressor(ml.Tweedie(1.7), l2=0.01, tol=1e-9).fit(frame, y)
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.predict(frame), model.predict(frame))
    assert back.get_params() == model.get_params() and back.coef_names_.tolist() == model.coef_names_.tolist()
    fresh = clone(model)
    assert not hasattr(fresh, "coef_") and fresh.get_params() == model.get_params()
    np.testing.assert_array_equal(fresh.fit(frame, y).coef_, model.coef_)
    assert repr(clone(model).set_params(loss="huber", l2=0.5)) == "LinearRegressor(l2=0.5, loss='huber', tol=1e-09)"


def test_fitting_again_forgets_the_first_fit() -> None:
    columns, y = table(SQUARED, 50)
    x, _ = problem(SQUARED, 50, 2)
    model = LinearRegressor().fit(FRAMES["pandas"](columns), y)
    model.fit(x, y)
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 2
    np.testing.assert_array_equal(model.coef_, LinearRegressor().fit(x, y).coef_)
    model.fit(FRAMES["pandas"](columns), y)
    assert model.feature_names_in_.tolist() == list(columns) and model.n_features_in_ == 5


def test_scaling_in_a_pipeline_changes_no_unpenalised_prediction() -> None:
    x, y = problem(LOGISTIC, 90, 4)
    plain, piped = LinearClassifier(tol=1e-11).fit(x, y), make_pipeline(StandardScaler(), LinearClassifier(tol=1e-11)).fit(x, y)
    np.testing.assert_allclose(piped.predict_proba(x), plain.predict_proba(x), rtol=1e-8)


def test_one_hot_encoding_by_scikit_learn_is_what_categories_do() -> None:
    columns, y = table(SQUARED, 120)
    frame = FRAMES["pandas"](columns)
    levels = ["text 0", "text 4"]
    encoder = make_column_transformer((OneHotEncoder(drop="first", sparse_output=False), levels), remainder="passthrough")
    piped = make_pipeline(encoder, LinearRegressor(l2=0.1, tol=1e-11)).fit(frame, y)
    np.testing.assert_allclose(LinearRegressor(l2=0.1, tol=1e-11).fit(frame, y).predict(frame), piped.predict(frame), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.*was not in training:UserWarning")
def test_search_over_losses_and_penalties() -> None:
    """With a frame that has categories, split by scikit-learn: a level may be in no training row, or in no test row."""
    columns, y = table(LOGISTIC, 150)
    columns["text 0"][0] = "only here"
    frame = FRAMES["pandas category"](columns)
    grid = {"loss": ["logistic", ml.Focal(1.0), "probit"], "l2": [1e-3, 10.0]}
    search = GridSearchCV(LinearClassifier(), grid, cv=3, scoring="neg_log_loss", error_score="raise").fit(frame, y.astype(int))
    best = search.best_estimator_
    assert search.best_params_["l2"] == 1e-3
    assert log_loss(y, best.predict_proba(frame)) < log_loss(y, np.full(150, y.mean()))
    scores = cross_val_score(best, frame, y.astype(int), cv=4, error_score="raise")
    assert scores.shape == (4,) and (scores > 0.4).all()
    weight = np.random.default_rng(0).uniform(size=150)
    guess = cross_val_predict(LinearRegressor("logistic", l2=0.01), frame, y, cv=5, params={"sample_weight": weight})
    assert ((guess > 0) & (guess < 1)).all()


def test_ensembles_of_fits() -> None:
    x, y = problem(SQUARED, 80, 3)
    bag = BaggingRegressor(LinearRegressor(), n_estimators=5, random_state=0).fit(x, y)
    np.testing.assert_allclose(bag.predict(x), LinearRegressor().fit(x, y).predict(x), atol=1.0)


@pytest.mark.parametrize("kind", [int, str, bool, float, "category"])
def test_labels_of_any_type(kind: Any) -> None:
    x, y = problem(ml.CrossEntropy(), 60, 2, classes=2)
    labels = pd.Series(["no", "yes"])[y].astype(kind).to_numpy() if kind in (str, "category") else y.astype(kind)
    model = LinearClassifier(l2=0.1).fit(x, pd.Series(labels))
    assert set(model.predict(x)) <= set(labels.tolist()) and model.classes_.tolist() == sorted(set(labels.tolist()))
    assert theta_of(model) == pytest.approx(theta_of(LinearClassifier(l2=0.1).fit(x, y)))
    assert model.score(x, labels) >= max(np.mean(y), 1 - np.mean(y)) - 0.05
    probability = model.predict_proba(x)
    np.testing.assert_array_equal(model.predict(x), model.classes_[(probability[:, 1] > 0.5).astype(int)])


def test_losses_that_do_not_predict_a_mean_say_so() -> None:
    for loss, poor in ((ml.Pinball(0.9), True), (ml.Expectile(0.9), True), (SQUARED, False)):
        assert LinearRegressor(loss).__sklearn_tags__().regressor_tags.poor_score is poor


def test_a_hinge_predicts_no_probability() -> None:
    model = LinearClassifier("hinge", l2=0.1).fit(*problem(LOGISTIC, 40, 2))
    assert not hasattr(model, "predict_proba")
    assert hasattr(LinearClassifier("squared_hinge"), "predict_proba")
