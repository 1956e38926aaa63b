"""What boosters ask of every loss beside its formula: labels from raw predictions, a stand-in for a hessian of 0, one label a row."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

import matchloss as ml
import matchloss.lightgbm as mlgb
import matchloss.xgboost as mx
import sweeps
from boosted import table, tumours, wines
from cases import DEFAULTS, label
from matchloss.boosting.curvature import curvature_of
from matchloss.boosting.start import start_scores
from matchloss.linear import LinearClassifier
from matchloss.losses import SimplexLoss
from tree_hosts import HOSTS, Host

QUICK = {host.title: host.quick for host in HOSTS}


@pytest.mark.parametrize("loss", DEFAULTS, ids=label)
def test_a_loss_whose_hessian_is_0_names_what_stands_in_for_it(loss: Any) -> None:
    """A convex loss steps by its hessian unless that is 0 over whole stretches; a loss that says so trains by what it names."""
    z = np.linspace(-4, 4, 161)
    if isinstance(loss, SimplexLoss):
        raw, target = np.stack([z, -z, 0 * z], axis=1), np.zeros(len(z), np.int64)
    else:
        raw, target = z, np.full(len(z), 1.0)
    flat = np.mean(loss.hessian(raw, target) == 0) > 0.1
    if loss.convex and loss.name != "log_cosh":  # whose hessian is 0 in float64 only far away
        assert flat == (loss.stand_in is not None)
    if loss.stand_in is not None:
        chosen = curvature_of(loss, {})
        assert (chosen is None) == (loss.stand_in == "none")
        if chosen is not None and chosen.name == "majorizer":
            assert (loss.hessian(raw, target, "majorizer") > 0).all()


@pytest.mark.parametrize("loss", [loss for loss in DEFAULTS if loss.name != "sine_squared"], ids=label)  # minima are everywhere
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.title)
def test_every_loss_trains(host: Host, loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.spare_loops(monkeypatch)
    labels = loss.family == "simplex" or loss.target_domain.high == 1
    by_row = host.title == "CatBoost" and loss.family == "simplex"  # it is called for each row
    X, y = wines() if by_row else table(loss)
    given = host.quick | host.learning | ({"iterations": 4, "learning_rate": 0.5} if by_row else {})
    model = (host.classifier if labels else host.regressor)(loss, **given).fit(X, y)
    raw = host.raw(model, X)
    constant = np.broadcast_to(start_scores(loss, y) if raw.ndim == 2 else start_scores(loss, y)[0], raw.shape)
    assert loss.divergence(raw, y).mean() < 0.85 * loss.divergence(constant, y).mean()
    prediction = model.predict_proba(X) if labels and loss.functional != "mode" else model.predict(X)
    assert np.isfinite(prediction).all()


class MyPinball(ml.Pinball):
    """A person's own loss: no host has it."""


def test_a_persons_own_straight_loss_is_not_left_to_a_hosts_objective() -> None:
    X, y = tumours()
    with pytest.raises(ValueError, match='is 0 in every row, and trees divide by it; curvature="unit" goes down'):
        mlgb.LGBMRegressor(MyPinball(0.9), **QUICK["LightGBM"]).fit(X, y)


@pytest.mark.parametrize("loss", ["cloglog", "logistic"])
def test_a_linear_classifier_predicts_the_class_of_greater_probability(loss: str) -> None:
    """A complementary log-log's half is at raw log(log 2), and not at 0."""
    X, y = tumours()
    model = LinearClassifier(loss, l2=1e-3).fit(X[:, :2], y)
    p = model.predict_proba(X[:, :2])[:, 1]
    np.testing.assert_array_equal(model.predict(X[:, :2]) == 1, p > 0.5)
    if loss == "cloglog":
        raw = model.decision_function(X[:, :2])
        assert ((raw < 0) & (p > 0.5)).sum() > 5  # rows that a cut at 0 gets wrong
        assert model.score(X[:, :2], y) == np.mean((p > 0.5) == y)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.title)
def test_rows_of_distributions_are_refused_by_name(host: Host) -> None:
    X, y = wines()
    shares = 0.1 + 0.7 * np.eye(3)[y]
    with pytest.raises(ValueError, match=r"y has shape \(178, 3\), and \w+ carries one label a row; .* use matchloss.xgboost.train"):
        host.classifier("cross_entropy", **host.quick).fit(X, shares)


def test_a_data_set_of_distributions_is_refused_too() -> None:
    X, y = wines()
    with pytest.raises(ValueError, match="LightGBM's Dataset carries one label a row"):
        mlgb.train({"num_class": 3, "verbosity": -1}, lgb.Dataset(X, np.eye(3)[y]), 3, loss="cross_entropy")


def test_shares_as_weights_of_repeated_rows_are_the_distributions() -> None:
    """What the refusal advises, against XGBoost, whose data set carries them."""
    import xgboost

    X, y = wines()
    shares = 0.1 + 0.7 * np.eye(3)[y]
    params = {"max_depth": 2, "nthread": 1, "tree_method": "exact", "min_child_weight": 0}
    carried = mx.train(params, xgboost.DMatrix(X, shares), 3, loss="cross_entropy").predict(xgboost.DMatrix(X))
    rows = xgboost.DMatrix(np.repeat(X, 3, axis=0), np.tile(np.arange(3), len(X)), weight=shares.ravel())
    repeated = mx.train(params | {"num_class": 3}, rows, 3, loss="cross_entropy").predict(xgboost.DMatrix(X))
    np.testing.assert_allclose(ml.CrossEntropy().predict(carried), repeated, rtol=1e-4)


def test_a_booster_that_keeps_its_data_has_its_start_score() -> None:
    X, y = tumours()
    X, y = X[:, :4], np.where(y == 1, 30.0, 50.0)
    params = {"num_leaves": 4, "num_threads": 1, "verbosity": -1}
    done = mlgb.train(params, lgb.Dataset(X, y), 6, loss="poisson")
    kept = mlgb.train(params, lgb.Dataset(X, y), 4, loss="poisson", keep_training_booster=True)
    shorter = done.predict(X, raw_score=True, num_iteration=4)
    np.testing.assert_array_equal(kept.predict(X, raw_score=True), shorter)
    for _ in range(2):  # and it goes on from where it stood
        kept.update(fobj=mlgb.objective("poisson"))
    np.testing.assert_array_equal(kept.predict(X, raw_score=True), done.predict(X, raw_score=True))
