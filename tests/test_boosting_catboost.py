"""CatBoost under our losses: the built-in objectives' numbers, its own files, all losses, weights, early stopping, bad input."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import catboost as cb
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import matchloss as ml
import matchloss.catboost as mc
import sweeps
from boosted import diabetes, tumours, weights, wines, without_us
from matchloss.boosting.start import start_scores

QUICK: dict[str, Any] = {
    "iterations": 8,
    "depth": 3,
    "learning_rate": 0.2,
    "thread_count": 1,
    "verbose": False,
    "allow_writing_files": False,
}
PLAIN = QUICK | {"random_seed": 0, "bootstrap_type": "No", "random_strength": 0}


@pytest.fixture(autouse=True)
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps.spare_loops(monkeypatch)


TWINS = [  # CatBoost starts the first at the average, all others at 0
    ("squared_error", "RMSE", diabetes),
    ("poisson", "Poisson", diabetes),
    ("tweedie(power=1.3)", "Tweedie:variance_power=1.3", diabetes),
    ("expectile(alpha=0.9)", "Expectile:alpha=0.9", diabetes),
    ("logistic", "Logloss", tumours),
    ("cross_entropy", "MultiClass", wines),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "built_in", "rows"), TWINS, ids=[t[0] for t in TWINS])
def test_our_objective_gives_the_numbers_of_the_built_in_one(loss: str, built_in: str, rows: Any, weighted: bool) -> None:
    X, y = rows()
    y = y / 100 if built_in.startswith("Tweedie") else y
    w = weights(len(y)) if weighted else None
    labels = rows is not diabetes
    few = PLAIN | ({"iterations": 3} if built_in == "MultiClass" else {})
    theirs = (cb.CatBoostClassifier if labels else cb.CatBoostRegressor)(loss_function=built_in, **few).fit(X, y, sample_weight=w)
    settings: dict[str, Any] = {"curvature": "exact", "boost_from_average": None if loss == "squared_error" else False}
    ours = (mc.CatBoostClassifier if labels else mc.CatBoostRegressor)(loss, **few, **settings).fit(X, y, sample_weight=w)
    one, other = (model.predict(X, prediction_type="RawFormulaVal") for model in (ours, theirs))
    kept_in_float32 = loss in ("squared_error", "expectile(alpha=0.9)")  # the mean, and alpha
    np.testing.assert_allclose(one, other, rtol=1e-7 if kept_in_float32 else 1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "built_in", "rows"), [*TWINS, ("pinball(alpha=0.9)", "Quantile:alpha=0.9", diabetes)], ids=lambda x: str(x)[:9]
)
def test_by_default_the_built_in_objective_trains_from_the_start_score(loss: str, built_in: str, rows: Any) -> None:
    X, y = rows()
    y = y / 100 if built_in.startswith("Tweedie") else y
    labels = rows is not diabetes
    host, mine = (cb.CatBoostClassifier, mc.CatBoostClassifier) if labels else (cb.CatBoostRegressor, mc.CatBoostRegressor)
    averages = built_in.startswith(("RMSE", "Quantile"))
    found = ml.get(loss).of_classes(len(np.unique(y)) if labels else 1)
    start = None if averages else np.tile(start_scores(found, y if labels else y.astype(np.float32)), (len(y), 1))
    theirs = host(loss_function=built_in, **PLAIN).fit(X, y, baseline=start).predict(X, prediction_type="RawFormulaVal")
    ours = mine(loss, **PLAIN).fit(X, y, eval_set=(X, y)).predict(X, prediction_type="RawFormulaVal")
    np.testing.assert_allclose(ours, theirs if start is None else theirs + np.squeeze(start[0]), rtol=1e-12, atol=1e-12)
    from_pool = mine(loss, **PLAIN).fit(cb.Pool(X, y)).predict(X, prediction_type="RawFormulaVal")  # whose baseline is not ours to set
    np.testing.assert_array_equal(from_pool, host(loss_function=built_in, **PLAIN).fit(X, y).predict(X, prediction_type="RawFormulaVal"))


def test_the_hosts_own_file_predicts_right_without_us(tmp_path: Path) -> None:
    X, y = diabetes()
    for name, loss in {"counts": "negative_binomial(size=2)", "huber": "huber"}.items():
        model = mc.CatBoostRegressor(loss, **QUICK).fit(X, y)
        model.save_model(str(tmp_path / f"{name}.cbm"))
        np.savez(tmp_path / f"{name}.npz", X=X, raw=model.predict(X, prediction_type="RawFormulaVal"), prediction=model.predict(X))
    X, y = wines()
    model = mc.CatBoostClassifier("sparsemax", **QUICK | {"iterations": 3}).fit(X, y)
    model.save_model(str(tmp_path / "sparsemax.cbm"))
    np.savez(tmp_path / "sparsemax.npz", X=X, raw=model.predict(X, prediction_type="RawFormulaVal"))
    code = """
import numpy as np, catboost
for name in ("counts", "huber", "sparsemax"):
    told, model = np.load(f"{name}.npz"), catboost.CatBoost().load_model(f"{name}.cbm")
    np.testing.assert_array_equal(model.predict(told["X"], prediction_type="RawFormulaVal"), told["raw"])
    if name == "counts":
        np.testing.assert_allclose(model.predict(told["X"], prediction_type="Exponent"), told["prediction"], rtol=1e-14)
"""
    without_us(code, tmp_path)


def test_early_stopping_watches_the_same_loss() -> None:
    X, y = diabetes()
    model = mc.CatBoostRegressor("gamma", **PLAIN | {"iterations": 300, "early_stopping_rounds": 3})
    model.fit(X[:300], y[:300], eval_set=(X[300:], y[300:]), use_best_model=True)
    [told] = model.get_evals_result()["validation"].values()
    best = int(np.argmin(told))
    assert model.tree_count_ == best + 1 < 290
    np.testing.assert_allclose(ml.Gamma()(model.predict(X[300:], prediction_type="RawFormulaVal"), y[300:]), told[best], rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"CatBoost would compute 'MAE' from raw predictions without the start score; pass matchloss\.catboost\."
    ):
        mc.CatBoostRegressor("gamma", eval_metric="MAE", **QUICK).fit(X, y)
    other = mc.CatBoostRegressor("huber", eval_metric=mc.metric("absolute_error"), **QUICK).fit(X, y, eval_set=(X, y))
    [told] = other.get_evals_result()["validation"].values()
    np.testing.assert_allclose(told[-1], np.abs(other.predict(X) - y).mean(), rtol=1e-6)


def test_a_weight_is_a_row_repeated() -> None:
    X, y = diabetes()
    w, again = weights(len(y)), np.repeat(np.arange(len(y)), weights(len(y)).astype(int))
    X = X.round(2)  # fewer values than borders
    for loss in ("negative_binomial(size=2)", "huber(delta=20)"):
        one = mc.CatBoostRegressor(loss, **PLAIN, l2_leaf_reg=0).fit(X, y, sample_weight=w)
        other = mc.CatBoostRegressor(loss, **PLAIN, l2_leaf_reg=0).fit(X[again], y[again])
        np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-3)


def test_weights_of_classes_and_words_for_labels() -> None:
    X, y = tumours()
    names = np.array(["no", "yes"])[y]
    three = mc.CatBoostClassifier("probit", **PLAIN).fit(X, names, sample_weight=np.where(y == 1, 3.0, 1.0))
    for balance in ({"class_weights": {"no": 1.0, "yes": 3.0}}, {"class_weights": [1, 3]}, {"scale_pos_weight": 3.0}):
        by_class = mc.CatBoostClassifier("probit", **PLAIN, **balance).fit(X, names)
        np.testing.assert_array_equal(by_class.predict_proba(X), three.predict_proba(X))
    np.testing.assert_array_equal(three.predict(X) == "yes", three.predict_proba(X)[:, 1] > 0.5)
    back = pickle.loads(pickle.dumps(three))
    assert back.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(back.predict(X), three.predict(X))


def test_pools_baselines_and_categories() -> None:
    X, y = diabetes()
    from_pool = mc.CatBoostRegressor("gamma", **PLAIN).fit(cb.Pool(X, y))
    np.testing.assert_array_equal(from_pool.predict(X), mc.CatBoostRegressor("gamma", **PLAIN).fit(X, y).predict(X))
    offset = np.log(y.mean()) + X[:, 2]
    ours = mc.CatBoostRegressor("poisson", **PLAIN).fit(X, y, baseline=offset)
    theirs = cb.CatBoostRegressor(loss_function="Poisson", **PLAIN).fit(X, y, baseline=offset)
    np.testing.assert_allclose(
        ours.predict(X, prediction_type="RawFormulaVal"), theirs.predict(X, prediction_type="RawFormulaVal"), rtol=1e-12
    )
    frame = pd.DataFrame(X[:, 1:]).assign(age=np.where(X[:, 0] > 0, "old", "young"))
    by_level = mc.CatBoostRegressor("poisson", curvature="exact", boost_from_average=False, **PLAIN).fit(frame, y, cat_features=["age"])
    built_in = cb.CatBoostRegressor(loss_function="Poisson", **PLAIN).fit(frame, y, cat_features=["age"])
    np.testing.assert_allclose(by_level.predict(frame), built_in.predict(frame), rtol=1e-10)


def test_what_only_catboost_refuses() -> None:
    X, y = diabetes()
    with pytest.raises(ValueError, match=r"the model has the loss_function 'RMSE' beside the loss Poisson\(\)"):
        mc.CatBoostRegressor("poisson", loss_function="RMSE").fit(X, y)
    with pytest.raises(ValueError, match="there are 3 class_weights for 2 classes"):
        mc.CatBoostClassifier(class_weights=[1, 2, 3], **QUICK).fit(*tumours())
    with pytest.raises(ml.DomainError, match=r"target\[7\] is nan; allowed: \[0, inf\)"):
        mc.CatBoostRegressor("poisson", **QUICK).fit(cb.Pool(X, np.where(np.arange(len(y)) == 7, np.nan, y)))
    hinge = mc.CatBoostClassifier("hinge", **QUICK).fit(*tumours())
    with pytest.raises(AttributeError, match="hinge predicts a side and no probability"):
        hinge.predict_proba(tumours()[0])
    model = mc.CatBoostRegressor("poisson", **QUICK)
    for method in (model.grid_search, model.randomized_search, model.select_features):
        with pytest.raises(NotImplementedError, match=r"trains without matchloss's loss; .* of scikit-learn trains with it"):
            method({"depth": [2, 3]}, X, y)


def test_a_loaded_estimator_has_the_loss_and_the_labels_of_the_file(tmp_path: Path) -> None:
    X, y = tumours()
    fitted = mc.CatBoostClassifier("probit", **QUICK).fit(X, np.array(["no", "yes"])[y])
    fitted.save_model(tmp_path / "trees.cbm")
    back = mc.CatBoostClassifier().load_model(tmp_path / "trees.cbm")
    assert back.get_params()["loss"] == ml.Probit() and back.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(back.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(back.predict_proba(X), fitted.predict_proba(X))
    again = back.fit(X, y)
    assert again.classes_.tolist() == [0, 1]
    X, y = diabetes()
    number = mc.CatBoostRegressor("negative_binomial(size=2)", **QUICK).fit(X, y)
    number.save_model(tmp_path / "number.cbm")
    np.testing.assert_array_equal(mc.CatBoostRegressor("huber").load_model(tmp_path / "number.cbm").predict(X), number.predict(X))


def test_staged_predictions_end_at_the_prediction() -> None:
    X, y = diabetes()
    model = mc.CatBoostRegressor("gamma", **QUICK).fit(X, y)
    stages = list(model.staged_predict(X))
    assert len(stages) == QUICK["iterations"]
    np.testing.assert_allclose(stages[-1], model.predict(X), rtol=1e-13)  # CatBoost adds the trees up in another order
    X, y = tumours()
    labels = mc.CatBoostClassifier("probit", **QUICK).fit(X, y)
    np.testing.assert_allclose(list(labels.staged_predict_proba(X))[-1], labels.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(list(labels.staged_predict(X))[-1], labels.predict(X))
    np.testing.assert_allclose(np.exp(labels.predict_log_proba(X)), labels.predict_proba(X), rtol=1e-14)
    np.testing.assert_array_equal(labels.decision_function(X), labels.predict(X, prediction_type="RawFormulaVal"))


def test_clones_pickles_pipelines_and_searches() -> None:
    X, y = diabetes()
    model = mc.CatBoostRegressor(ml.Tweedie(1.2), l2_leaf_reg=2.0, **QUICK)
    again = clone(model).fit(X, y)
    assert again.get_params()["loss"] == ml.Tweedie(1.2) and again.get_params()["l2_leaf_reg"] == 2.0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).predict(X), again.predict(X))
    pipe = make_pipeline(StandardScaler(), mc.CatBoostRegressor(**QUICK))
    search = GridSearchCV(pipe, {"catboostregressor__loss": ["poisson", ml.Gamma(), "pinball(alpha=0.99)"]}, cv=2)
    assert search.fit(X, y).best_params_["catboostregressor__loss"] in ("poisson", ml.Gamma())
