"""scikit-learn's histogram gradient boosting under our losses: the built-in ones' trees, all losses, bad input, its tools."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.ensemble as host
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import matchloss as ml
import sweeps
from boosted import diabetes, digits, tumours, weights
from matchloss.sklearn import HistGradientBoostingClassifier, HistGradientBoostingRegressor

QUICK: dict[str, Any] = {"max_iter": 8, "max_leaf_nodes": 8, "random_state": 0}


@pytest.fixture(autouse=True)
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.spare_loops(monkeypatch)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["squared_error", "poisson", "gamma", "absolute_error", "quantile"])
def test_numbers_get_the_same_trees_as_from_the_built_in_loss(name: str, weighted: bool) -> None:
    X, y = diabetes()
    w = weights(len(y)) if weighted else None
    level: dict[str, Any] = {"quantile": 0.9} if name == "quantile" else {}
    theirs = host.HistGradientBoostingRegressor(loss=name, **level, **QUICK).fit(X, y, w)  # pyright: ignore[reportArgumentType]
    ours = HistGradientBoostingRegressor(loss=name, **level, **QUICK).fit(X, y, w)
    np.testing.assert_array_equal(ours._raw_predict(X), theirs._raw_predict(X))
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-15)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [tumours, digits])
def test_labels_get_the_same_trees_as_from_the_built_in_loss(rows: Any, weighted: bool) -> None:
    X, y = rows()
    w = weights(len(y)) if weighted else None
    theirs = host.HistGradientBoostingClassifier(**QUICK).fit(X, y, w)
    ours = HistGradientBoostingClassifier(**QUICK).fit(X, y, w)
    np.testing.assert_array_equal(ours.decision_function(X), theirs.decision_function(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-14)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_early_stopping_watches_the_same_loss() -> None:
    X, y = diabetes()
    stop: dict[str, Any] = QUICK | {"max_iter": 200, "early_stopping": True, "n_iter_no_change": 3, "learning_rate": 0.3}
    theirs = host.HistGradientBoostingRegressor(loss="poisson", **stop).fit(X, y)
    ours = HistGradientBoostingRegressor(loss="poisson", **stop).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_ < 200
    np.testing.assert_allclose(ours.validation_score_, theirs.validation_score_, rtol=1e-12)
    wide = HistGradientBoostingRegressor(loss="expectile(alpha=0.9)", **stop).fit(X, y)
    assert wide.n_iter_ < 200 and wide.validation_score_.max() > wide.validation_score_[0]


def test_a_weight_is_a_row_repeated() -> None:
    X, y = diabetes()
    w = weights(len(y))
    again = np.repeat(np.arange(len(y)), w.astype(int))
    few: dict[str, Any] = QUICK | {"min_samples_leaf": 1, "max_bins": 255}
    for loss in ("negative_binomial(size=2)", "log_cosh"):
        one = HistGradientBoostingRegressor(loss=loss, **few).fit(X.round(2), y, w)
        other = HistGradientBoostingRegressor(loss=loss, **few).fit(X.round(2)[again], y[again])
        np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-5)


def test_shares_are_soft_targets_of_a_regressor() -> None:
    X, y = tumours()
    shares = 0.8 * y + 0.1
    model = HistGradientBoostingRegressor(loss="logistic", **QUICK).fit(X, shares)
    p = model.predict(X)
    assert ((p > 0) & (p < 1)).all() and np.corrcoef(p, shares)[0, 1] > 0.9
    np.testing.assert_allclose(ml.Logistic().predict(model.raw_predict(X)), p)


def test_binary_losses_cut_at_one_half_of_the_probability() -> None:
    X, y = tumours()
    model = HistGradientBoostingClassifier(loss="cloglog", **QUICK).fit(X, np.array(["no", "yes"])[y])
    np.testing.assert_array_equal(model.predict(X) == "yes", model.predict_proba(X)[:, 1] > 0.5)
    hinge = HistGradientBoostingClassifier(loss="hinge", **QUICK | {"max_iter": 30}).fit(X, y)
    assert (hinge.predict(X) == y).mean() > 0.95
    with pytest.raises(AttributeError, match="predict_proba"):
        hinge.predict_proba(X)


def test_class_weights_are_weights() -> None:
    X, y = tumours()
    one = HistGradientBoostingClassifier(loss="probit", class_weight={0: 2.0, 1: 1.0}, **QUICK).fit(X, y)
    other = HistGradientBoostingClassifier(loss="probit", **QUICK).fit(X, y, np.where(y == 0, 2.0, 1.0))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_curvature_is_the_hosts_or_the_one_given() -> None:
    X, y = diabetes()
    plain = HistGradientBoostingRegressor(loss="poisson", **QUICK).fit(X, y)
    halved = HistGradientBoostingRegressor(loss="poisson", curvature=("exact", 2.0), max_iter=1).fit(X, y)
    whole = HistGradientBoostingRegressor(loss="poisson", max_iter=1).fit(X, y)
    assert str(plain.curvature_) == "exact" and str(halved.curvature_) == "2 x exact"
    start = np.log(y.mean())
    np.testing.assert_allclose(halved.raw_predict(X) - start, (whole.raw_predict(X) - start) / 2, rtol=1e-5)


def test_what_only_scikit_learns_trees_refuse() -> None:
    with pytest.raises(ml.DomainError, match=r"the curvature of SigmoidBrier\(\) is -\S+ in row \d+ .*absolute"):
        HistGradientBoostingClassifier(loss="sigmoid_brier", curvature="exact").fit(*tumours())


class Broken(ml.PointwiseLoss):
    """A person's own squared error, without a gradient at large targets."""

    convex = True

    @staticmethod
    def formula(m: Any, raw: Any, target: Any) -> Any:
        d = raw - target
        return 0.5 * d * d, m.where(target > 3.4, float("nan"), d), 1.0 + 0.0 * d


def test_a_loss_without_a_start_score_is_refused_with_its_row() -> None:
    X, y = diabetes()
    row = int(np.argmax(y > 340))
    with pytest.raises(ml.DomainError, match=rf"Broken\(\) has no start score: .* at raw 0 it is not in row {row} \(target 3.41\)"):
        HistGradientBoostingRegressor(loss=Broken()).fit(X, y / 100)


def test_own_losses_train() -> None:
    X, y = tumours()
    loss = ml.match(lambda m, raw: 0.5 + 0.5 * m.tanh(raw))
    model = HistGradientBoostingRegressor(loss=loss, **QUICK).fit(X, y)
    assert ((model.predict(X) > 0.5) == y).mean() > 0.95


def test_frames_and_categories() -> None:
    rng = np.random.default_rng(0)
    names = np.array(["bus", "car", "foot"])
    columns = {"km": rng.uniform(1, 9, 200), "by": names[rng.integers(0, 3, 200)]}
    y = columns["km"] * np.where(columns["by"] == "foot", 10.0, 2.0)
    pandas = pd.DataFrame(columns).astype({"by": "category"})
    model = HistGradientBoostingRegressor(loss="gamma", **QUICK).fit(pandas, y)
    theirs = host.HistGradientBoostingRegressor(loss="gamma", **QUICK).fit(pandas, y)
    np.testing.assert_allclose(model.predict(pandas), theirs.predict(pandas), rtol=1e-15)
    frame = pl.DataFrame(columns).with_columns(pl.col("by").cast(pl.Categorical))
    np.testing.assert_array_equal(HistGradientBoostingRegressor(loss="gamma", **QUICK).fit(frame, y).predict(frame), model.predict(pandas))


def test_clones_pickles_pipelines_and_searches() -> None:
    X, y = diabetes()
    model = HistGradientBoostingRegressor(loss=ml.Pinball(0.9), learning_rate=0.2, **QUICK)
    assert repr(clone(model)) == repr(model) and "learning_rate=0.2" in repr(model)
    back = pickle.loads(pickle.dumps(model.fit(X, y)))
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    assert model.set_params(loss="huber").fit(X, y).loss_ == ml.Huber()
    pipe = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(**QUICK))
    search = GridSearchCV(pipe, {"histgradientboostingregressor__loss": ["poisson", ml.Tweedie(1.5), "expectile(alpha=0.3)"]}, cv=2)
    assert search.fit(X, y).best_params_["histgradientboostingregressor__loss"] in ("poisson", ml.Tweedie(1.5))
