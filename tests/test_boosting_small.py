"""The smallest tables under every host of trees: ours fits what the host fits, predicts what it predicts, and refuses what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tree_hosts import HOSTS, Host

ROWS = (1, 2, 5, 39, 40)
COLUMNS = ("numbers", "constant", "missing")
THEIRS: dict[str, dict[str, dict[str, Any]]] = {
    "XGBoost": {
        "squared_error": {"objective": "reg:squarederror"},
        "poisson": {"objective": "count:poisson"},
        "logistic": {"objective": "binary:logistic"},
    },
    "LightGBM": {
        "squared_error": {"objective": "regression"},
        "poisson": {"objective": "poisson"},
        "logistic": {"objective": "binary"},
    },
    "CatBoost": {
        "squared_error": {"loss_function": "RMSE"},
        "poisson": {"loss_function": "Poisson"},
        "logistic": {"loss_function": "Logloss"},
    },
    "scikit-learn": {"squared_error": {"loss": "squared_error"}, "poisson": {"loss": "poisson"}, "logistic": {"loss": "log_loss"}},
}


def table(columns: str, rows: int, labels: bool) -> tuple[Any, Any]:
    X = {"numbers": np.arange(rows, dtype=float), "constant": np.ones(rows), "missing": np.full(rows, np.nan)}[columns][:, None]
    return X, np.arange(rows) % 3 == 0 if labels else 1.0 + np.arange(rows) % 3


def outcome(make: Any, X: Any, y: Any, labels: bool) -> Any:
    """The predictions, or that the host refuses the table."""
    try:
        model = make().fit(X, y)
    except Exception as error:  # any host's own: what matters is that both sides refuse
        return error
    return np.asarray(model.predict_proba(X)[:, 1] if labels else model.predict(X), float)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "logistic"])
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.title)
def test_a_small_table_does_under_us_what_it_does_under_the_host(host: Host, loss: str, columns: str, rows: int) -> None:
    labels = loss == "logistic"
    X, y = table(columns, rows, labels)
    y = y.astype(int) if labels else y
    cls = host.classifier if labels else host.regressor
    theirs = getattr(cls, "_host", None) or next(c for c in cls.__mro__ if not c.__module__.startswith("matchloss"))
    told = host.quick | ({"verbose": 0} if host.title == "CatBoost" else {})
    ours = outcome(lambda: cls(loss=loss, **told), X, y, labels)
    own = outcome(lambda: theirs(**(told | THEIRS[host.title][loss])), X, y, labels)
    if isinstance(own, Exception):
        assert isinstance(ours, Exception), f"{host.title} raises {own!r}, ours predicts {ours}"
        return
    if labels and len(np.unique(y)) == 1:  # ours says that there is nothing to tell apart
        assert isinstance(ours, ValueError) and "two classes" in str(ours)
        return
    assert not isinstance(ours, Exception), f"{host.title} predicts {own}, ours raises {ours!r}"
    if host.title == "CatBoost" and loss != "squared_error":  # it starts these at 0, and ours at the best constant
        assert (ours > 0).all() and ours.mean() == pytest.approx(y.mean(), rel=0.2)
        return
    np.testing.assert_allclose(ours, own, rtol=2e-5)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("loss", ["gamma", "huber", "cross_entropy"])
def test_lightgbm_without_a_column_to_split_predicts_the_best_constant_and_keeps_it_in_its_file(loss: str, columns: str) -> None:
    import lightgbm

    import matchloss as ml
    import matchloss.lightgbm as mx

    X, y = table(columns, 9, False)
    quiet = {"verbose": -1, "min_data_in_leaf": 20}
    if loss == "cross_entropy":
        model = mx.train(quiet | {"num_class": 3}, lightgbm.Dataset(X, y - 1), 4, loss=loss, valid_sets=[lightgbm.Dataset(X, y - 1)])
        expected: Any = np.full((9, 3), 1 / 3)
    else:
        model = mx.train(quiet, lightgbm.Dataset(X, y), 4, loss=loss, valid_sets=[lightgbm.Dataset(X, y)])
        one = ml.get(loss)
        expected = np.full(9, one.predict(one.best_constant(y)))
    np.testing.assert_allclose(np.asarray(model.predict(X)), expected, rtol=1e-6)
    again = lightgbm.Booster(model_str=model.model_to_string())
    np.testing.assert_allclose(np.asarray(again.predict(X)), expected, rtol=1e-6)
