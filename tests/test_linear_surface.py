"""Estimators from Python: losses with parameters in a search, model files and back, what a notebook shows."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import matchloss as ml
from matchloss.cli import main
from matchloss.linear import LinearClassifier, LinearRegressor, load
from matchloss.linear.model import read_model
from matchloss.losses._card import facts

R = np.random.default_rng(0)
X = pd.DataFrame({"x": R.normal(size=200), "c": R.choice(["a", "b", "c"], 200)})
NUMBER = 2 * X["x"].to_numpy() + R.normal(size=200)
THREE = np.array(["low", "mid", "high"])[np.digitize(NUMBER + R.normal(size=200), [-1, 1])]


def test_a_loss_is_named_with_its_parameters_and_searched_over():
    assert LinearRegressor(loss="huber(delta=2)").fit(X[["x"]], NUMBER).loss_ == ml.Huber(delta=2)
    model = LinearRegressor("pinball(alpha=0.3)")
    assert model.get_params()["loss__alpha"] == 0.3 and "loss__alpha" not in model.get_params(deep=False)
    given = ml.Pinball(alpha=0.3)
    changed = LinearRegressor(given).set_params(loss__alpha=0.9)
    assert changed.loss == ml.Pinball(alpha=0.9) and given.alpha == 0.3
    assert clone(changed).loss == changed.loss
    both = LinearRegressor().set_params(loss="huber", loss__delta=3.0, l2=1.0)
    assert both.loss == ml.Huber(delta=3.0) and both.l2 == 1.0
    with pytest.raises(ValueError, match=r"Invalid parameter 'loss__alpha'.* the parameters of squared_error are none"):
        LinearRegressor().set_params(loss__alpha=0.5)
    search = GridSearchCV(LinearRegressor(given), {"loss__alpha": [0.1, 0.5, 0.9]}, scoring="neg_mean_absolute_error", cv=3)
    assert search.fit(X[["x"]], NUMBER).best_params_ == {"loss__alpha": 0.5}


@pytest.mark.parametrize(
    ("model", "x", "y"),
    [
        (LinearRegressor("huber(delta=2)", l2=0.1), X, NUMBER),
        (LinearRegressor("poisson"), X[["x"]].to_numpy(), np.round(np.exp(NUMBER / 3))),
        (LinearClassifier(l2=0.01), X, THREE),
        (LinearClassifier("logistic"), X[["x"]].to_numpy(), NUMBER > 0),
        (LinearClassifier("hinge", l2=0.1), X, np.where(NUMBER > 0, 7, 3)),
        (LinearClassifier("sparsemax", l2=0.1), X, np.digitize(NUMBER, [-1, 1])),
    ],
)
def test_a_saved_estimator_is_the_same_when_it_is_loaded(tmp_path, model, x, y):
    path = tmp_path / "m.json"
    model.fit(x, y).save(path)
    again = load(path)
    assert type(again) is type(model) and again.loss_ == model.loss_ and again.l2 == model.l2
    assert (again.coef_ == model.coef_).all() and np.all(again.intercept_ == model.intercept_)
    assert np.allclose(again.decision_function(x) if hasattr(again, "decision_function") else again.predict(x),
                       model.decision_function(x) if hasattr(model, "decision_function") else model.predict(x))  # fmt: skip
    assert (again.predict(x) == model.predict(x)).all() or isinstance(model, LinearRegressor)
    assert again.predict(x).dtype.kind == model.predict(x).dtype.kind
    assert again.converged_ == model.converged_ and again.n_passes_ == model.n_passes_
    assert str(again.summary_).splitlines()[1:] == str(model.summary_).splitlines()[1:]


def test_what_fit_writes_is_loaded_and_what_is_saved_is_shown_and_predicted(tmp_path, capsys):
    table, model = tmp_path / "t.csv", tmp_path / "m.json"
    X.assign(y=NUMBER, label=THREE).to_csv(table, index=False)
    for target, other in (("y", "label"), ("label", "y")):
        assert main(["fit", str(table), "--target", target, "--drop", other, "--l2", "0.01", "--out", str(model)]) == 0
        made, saved = load(model), read_model(model)
        prediction = made.predict_proba(X) if isinstance(made, LinearClassifier) else made.predict(X)
        assert np.allclose(prediction, saved.predict(X)[0])
    LinearRegressor("huber").fit(X, NUMBER).save(model, target="gain")
    assert json.loads(model.read_text())["target"]["name"] == "gain"
    assert main(["show", str(model)]) == main(["predict", str(model), str(table), "--out", str(tmp_path / "p.csv"), "--key", "c"]) == 0
    assert (tmp_path / "p.csv").read_text().startswith("c,prediction\n")
    assert "gain, by m.json" in capsys.readouterr().out


def test_notebooks_show_losses_with_their_curves_and_fitted_models_with_their_coefficients():
    for row in ml.losses():
        shown = row["class"]()._repr_html_()
        assert row["title"] in shown and shown.count("<polyline") == 2
        assert "nan" not in "".join(part.partition('"')[0] for part in shown.split('points="')[1:])
    model = LinearRegressor("huber")
    assert "coefficient" not in model._repr_mimebundle_()["text/html"]
    shown = model.fit(X, NUMBER)._repr_mimebundle_()["text/html"]
    assert "c = b" in shown and "converged" in shown
    assert "c = b" in str(model.summary_) and max(map(len, str(model.summary_).splitlines())) <= 80
    many = LinearRegressor(l2=1.0).fit(R.normal(size=(50, 40)), R.normal(size=50))
    assert "and 10 more in coef_" in str(many.summary_)


def test_borrowed_and_misspelt_names_say_what_to_write():
    for name, instead in (("MSE", "ml.SquaredError()"), ("cross_entropy", "ml.CrossEntropy()"), ("BCELoss", "ml.Logistic()"),
                          ("Possion", "ml.Poisson()"), ("LinearRegressor", "from matchloss.linear import")):  # fmt: skip
        with pytest.raises(AttributeError) as caught:
            getattr(ml, name)
        assert instead in str(caught.value)
    assert not hasattr(ml, "_nothing") and not hasattr(ml, "zzzzzzz")
    with pytest.raises(ValueError, match="'rmse' is no loss: the root of a mean is no mean over rows; squared_error has"):
        ml.get("rmse")
    assert "mse (2 times this)" in facts(ml.SquaredError())["also called"]
    z, y = np.array([1.0, 3.0]), np.array([0.5, -2.0])
    assert np.allclose((z - y) ** 2, ml.SquaredError.factors["mse"] * ml.SquaredError().value(z, y))
    assert {"LinearRegressor", "LinearClassifier", "load"} <= set(dir(__import__("matchloss.linear").linear))
