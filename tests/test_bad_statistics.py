"""Tables that have no single best model, and options that cannot be: what fits, penalties and standard errors say of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold

from matchloss.errors import DomainError
from matchloss.linear import LinearClassifier, LinearRegressor, LinearRegressorCV

R = np.random.default_rng(0)
N = 60
X = R.normal(size=(N, 3))
COUNT = R.poisson(np.exp(0.3 * X[:, 0])).astype(float)
SIDE = (X[:, 0] > 0).astype(float)
TWICE = np.column_stack([X, X[:, 0] + X[:, 1]])
FRAME = pd.DataFrame({"a": X[:, 0], "one": ["u"] * N, "city": list("pqr") * (N // 3)})
NOT_FINITE = np.where(np.arange(N) == 3, np.inf, 0.0)


def found(model: Any, x: Any, y: Any) -> tuple[Any, list[str]]:
    """The inference of a fit, and what the fit warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitted = model.fit(x, y)
    return fitted.inference(x, y), [str(one.message) for one in said]


def test_collinear_columns_are_named_and_left_without_an_error() -> None:
    made, said = found(LinearRegressor("poisson"), TWICE, COUNT)
    (gone,) = np.flatnonzero(np.isnan(made.bse))
    assert made.names[gone] in ("x0", "x1", "x3")
    assert said == [f"Collinear columns, whose coefficients stay at 0: {made.names[gone]}. An l2 above 0 shares among them."]
    assert made.notes == (f"Collinear columns have no standard error: {made.names[gone]}.",)
    kept = np.delete(np.arange(4), gone - 1)
    same = LinearRegressor("poisson").fit(TWICE[:, kept], COUNT).inference(TWICE[:, kept], COUNT)
    np.testing.assert_allclose(np.delete(made.bse, gone), same.bse, rtol=1e-8)  # those of the model without it
    ridge, said = found(LinearRegressor("poisson", l2=0.1), TWICE, COUNT)
    assert not said and np.isfinite(ridge.bse).all()
    constant, said = found(LinearRegressor("poisson"), np.column_stack([X, np.ones(N)]), COUNT)
    assert constant.notes == ("Collinear columns have no standard error: x3.",)
    assert LinearRegressor("poisson", l1=1e-3).fit(np.column_stack([X, np.ones(N)]), COUNT).coef_[3] == 0
    held = LinearRegressor("poisson", bounds={"x0": (0, None), "x3": (None, 0)}).fit(TWICE, COUNT)
    assert held.kkt_residual_ <= 1e-8


def test_separated_classes_have_no_errors_and_bounds_do_not_hide_that() -> None:
    for model, y in ((LinearRegressor("logistic"), SIDE), (LinearClassifier(), np.digitize(X[:, 0], [-0.5, 0.5]))):
        made, said = found(model, X, y)
        assert np.isnan(made.bse).all() and "The coefficients diverge" in said[0] and "Still growing: x0" in said[0]
        assert made.notes[0].startswith("No finite best coefficient, and so no standard error (separated classes")
    with pytest.warns(ConvergenceWarning, match="The coefficients diverge.*Still growing: x0"):
        LinearRegressor("logistic", bounds={"x0": (0, None)}).fit(X, SIDE)
    for bounds in ({"x0": (0, 3)}, {"x0": (None, 0)}):  # these hold
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            LinearRegressor("logistic", bounds=bounds).fit(X, SIDE)


def test_more_columns_than_rows() -> None:
    x, y = R.normal(size=(5, 9)), np.array([1.0, 2, 0, 3, 1])
    made, said = found(LinearRegressor(), x, y)
    assert said[0].startswith("Collinear columns") and said[0].count("x") == 5
    assert made.notes[-1] == "There are 5 observations and 5 coefficients: nothing is left to tell how sure they are."
    assert LinearRegressor("poisson", l1=0.1).fit(x, y).kkt_residual_ <= 1e-8
    one, said = found(LinearRegressor("poisson"), X[:1], np.ones(1))
    assert np.isnan(one.bse[1:]).all() and "nothing is left" in one.notes[-1]


def test_one_level_has_no_coefficient() -> None:
    made, said = found(LinearRegressor("poisson"), FRAME, COUNT)
    assert not said and made.names == ("intercept", "a", "city = q", "city = r")
    alone = LinearRegressor("poisson", l1=0.01, groups={"g": ["a"], "c": ["city"]}).fit(FRAME, COUNT)
    for groups in ({"g": ["a", "one"], "c": ["city"]}, {"g": ["a"], "c": ["city"], "none": ["one"]}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = LinearRegressor("poisson", l1=0.01, groups=groups).fit(FRAME, COUNT)
        np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-9)
    bounded = LinearRegressor("poisson", bounds={"one": (0, None)}).fit(FRAME, COUNT)
    np.testing.assert_allclose(bounded.coef_, LinearRegressor("poisson").fit(FRAME, COUNT).coef_, atol=1e-7)


@pytest.mark.parametrize(("loss", "value"), [("poisson", 0.0), ("logistic", 0.0), ("logistic", 1.0)])
def test_a_constant_target_at_the_end_of_its_range(loss: str, value: float) -> None:
    y = np.full(N, value)
    made, said = found(LinearRegressor(loss), X, y)
    assert said[0] == f"The intercept diverges: all targets are {value:g}." and np.isnan(made.bse).all()
    assert made.notes[0].startswith("No finite best coefficient") and made.notes[0].endswith("intercept, x0, x1, x2.")
    penalties: list[dict[str, Any]] = [{"l1": 0.1}, {"bounds": {"x0": (0, None)}}]
    for options in penalties:
        with pytest.warns(ConvergenceWarning, match=f"The intercept diverges: all targets are {value:g}"):
            LinearRegressor(loss, **options).fit(X, y)


def test_a_constant_target_elsewhere_is_fitted_without_error() -> None:
    made, said = found(LinearRegressor(), X, np.ones(N))
    assert not said and np.allclose(made.bse, 0)
    with pytest.raises(ValueError, match=r"no penalty makes a difference\. Is the target constant"):
        LinearRegressorCV().fit(X, np.ones(N))


@pytest.mark.parametrize("model", [LinearRegressor("poisson"), LinearRegressor("poisson", l1=0.1), LinearRegressorCV("poisson")])
def test_offsets_that_are_not_finite_are_named_by_row(model: Any) -> None:
    for offset, what in ((NOT_FINITE, "inf"), (-NOT_FINITE, "-inf"), (np.where(NOT_FINITE > 0, np.nan, 0.0), "nan")):
        with pytest.raises(ValueError, match=f"offset, row 3: {what}; every offset must be known and finite"):
            model.fit(X, COUNT, offset=offset)
    fitted = LinearRegressor("poisson").fit(X, COUNT)
    for call in (lambda: fitted.predict(X, offset=NOT_FINITE), lambda: fitted.inference(X, COUNT, offset=NOT_FINITE)):
        with pytest.raises(ValueError, match="offset, row 3: inf"):
            call()


def test_a_formula_with_an_unknown_column() -> None:
    table = FRAME.assign(y=COUNT)
    for formula, name in (("y ~ a + nothere", "nothere"), ("y ~ A", "A"), ("z ~ a", "z")):
        with pytest.raises(ValueError, match=f"`{name}` is not present.*The table has the columns a, one, city, y"):
            LinearRegressor.from_formula(formula, table)


def test_bounds_that_exclude_every_solution_and_bounds_of_one_point() -> None:
    for bound in ((1, 0), (np.inf, None), (None, -np.inf), (np.nan, 1)):
        with pytest.raises(ValueError, match=r"bounds of 'x0' are .*: no value lies between them"):
            LinearRegressor("poisson", bounds={"x0": bound}).fit(X, COUNT)
    assert LinearRegressor("poisson", bounds={"x0": (1, 1)}).fit(X, COUNT).coef_[0] == 1
    with pytest.raises(DomainError, match="with bounds or penalty factors the usual standard errors do not hold"):
        LinearRegressor("poisson", bounds={"x0": (0, 1)}).fit(X, COUNT).inference(X, COUNT)


def test_a_fold_without_weight_is_named() -> None:
    for kept, said in ((np.arange(N) >= 12, "fold 0: all rows left out have"), (np.arange(N) < 12, "fold 0: all rows learned from have")):
        with pytest.raises(ValueError, match=f"{said} the weight 0: take another cv"):
            LinearRegressorCV("poisson", cv=KFold(5), n_alphas=3).fit(X, COUNT, kept.astype(float))


def test_groups_that_overlap_under_whatever_name() -> None:
    cases: list[tuple[Any, Any, str]] = [
        (FRAME, {"g": ["a", "one"], "h": ["one"]}, "column 'one' stands in 'g' and in 'h'"),
        (FRAME, {"g": ["a", "a"]}, "column 'a' stands twice in 'g'"),
        (X, {"g": ["x0"], "h": [0]}, "column 0 stands in 'g' and in 'h'"),
    ]
    for x, groups, said in cases:
        with pytest.raises(ValueError, match=f"groups overlap: {said}"):
            LinearRegressor("poisson", l1=0.1, groups=groups).fit(x, COUNT)
    with pytest.raises(ValueError, match="bounds and groups of the same column are not there: x0"):
        LinearRegressor("poisson", l1=0.1, groups={"g": ["x0"]}, bounds={0: (0, None)}).fit(X, COUNT)
