"""Fits against numbers that other people published: R, Stata, glmnet, and data whose solution is known by construction.

The tables stay where they are, in statsmodels and scikit-learn's test suites. Each published solution is met to its last printed digit,
or as near as its author's solver came, which its deviance shows; and each fit is met to 10 digits by an optimum of our own: Fisher scoring
in extended precision by QR, of the textbook's three functions of a family, which shares nothing with the trainer.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import statsmodels.api as sm

import matchloss as ml
from golden import CASES, Array, Published, arrays, glmnet_small, optimum
from matchloss.linear import LinearClassifier, LinearRegressor


@cache
def case_and_fit(name: str) -> tuple[Published, LinearRegressor]:
    case = CASES[name]()
    model = LinearRegressor(case.loss, l2=case.l2, fit_intercept=case.intercept, tol=1e-14)
    return case, model.fit(case.x, case.y, case.weight)


def solution(model: LinearRegressor) -> Array:
    return np.append(model.coef_, model.intercept_) if model.fit_intercept else model.coef_


@pytest.mark.parametrize("name", CASES)
def test_published_digits(name: str) -> None:
    case, model = case_and_fit(name)
    last = 10.0 ** (np.floor(np.log10(np.abs(case.coef))) + 1 - case.digits)
    assert (np.abs(solution(model) - case.coef) <= 0.501 * last).all(), (solution(model) / case.coef - 1, case.digits)


@pytest.mark.parametrize("name", CASES)
def test_our_own_optimum(name: str) -> None:
    case, model = case_and_fit(name)
    exact = optimum(case, solution(model))
    np.testing.assert_allclose(solution(model), exact, rtol=1e-11)
    assert model.converged_


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not np.isnan(case().deviance)])
def test_published_deviance(name: str) -> None:
    """Met in its digits, and never above it: the optimum is the least that there is."""
    case, model = case_and_fit(name)
    w = 1.0 if case.weight is None else case.weight
    deviance = 2 * float(np.sum(w * case.loss.divergence(case.x @ model.coef_ + model.intercept_, case.y)))
    printed = len(f"{case.deviance:.15g}".replace(".", "").lstrip("0"))
    unit = 10.0 ** (np.floor(np.log10(case.deviance)) + 1 - printed)
    assert -max(1e-8 * deviance, unit / 2) <= deviance - case.deviance <= unit / 2 + 2e-12 * deviance


# --- classes --------------------------------------------------------------------------------------------------------------------


def multinomial_score(model: LinearClassifier, x: Array, codes: Array, l2: float) -> Array:
    """The gradient in extended precision: (K, p + 1), the intercepts last."""
    z = x.astype(np.longdouble) @ model.coef_.T + model.intercept_
    p = np.exp(z - z.max(axis=1, keepdims=True))
    error = p / p.sum(axis=1, keepdims=True) - (codes[:, None] == np.arange(z.shape[1]))
    return np.column_stack([error.T @ x / len(x) + l2 * model.coef_, error.mean(axis=0)])


@pytest.mark.parametrize("method", ["newton", "lbfgs"])
def test_multinomial_of_the_election_study(method: str) -> None:
    """Stata's mlogit, whose coefficients are differences from those of the first class; as float32, which Stata keeps data in."""
    from statsmodels.discrete.tests.results.results_discrete import Anes

    x, y = (a.astype(np.float32).astype(float) for a in arrays(sm.datasets.anes96.load()))
    model = LinearClassifier(tol=1e-12, method=method).fit(x, y.astype(int))
    found = np.column_stack([model.coef_, model.intercept_])
    published = Anes.mnlogit_basezero
    np.testing.assert_allclose((found[1:] - found[0]).T, published.params, rtol=2e-7, atol=5e-9)  # 8 decimals, at most 8 digits
    np.testing.assert_allclose(-len(y) * model.objective_, published.llf, rtol=0, atol=5.1e-10)
    np.testing.assert_allclose(model.predict_proba(x), published.phat, atol=5e-8)
    assert np.abs(multinomial_score(model, x, y, 0.0)).max() <= 1e-11


@pytest.mark.parametrize("method", ["newton", "lbfgs"])
def test_multinomial_ridge_of_glmnet(method: str) -> None:
    """The call and its 10 digits are in scikit-learn's test_logistic_glmnet; the intercepts are compared without their mean."""
    x = np.column_stack([np.arange(-4.0, 5), [0, 0, 1, 0, 1, 1, 1, 0, 0]])
    y = np.repeat(["a", "b", "c"], 3)
    model = LinearClassifier(l2=1.0, tol=1e-14, method=method).fit(x, y)
    intercept = np.array([-0.12004759652, 2.251747383e-01, -0.1051271418])
    coef = [[-0.38023389305, -0.01226499932], [-8.164030176e-05, 4.734548012e-02], [0.3803155334, -0.0350804808]]
    np.testing.assert_allclose(model.intercept_ - model.intercept_.mean(), intercept, rtol=2e-6)
    np.testing.assert_allclose(model.coef_, coef, rtol=2e-6, atol=1e-8)
    assert np.abs(multinomial_score(model, x, np.repeat([0, 1, 2], 3), 1.0)).max() <= 1e-14


def test_two_classes_of_glmnet() -> None:
    case = glmnet_small(ml.Logistic())
    for loss in ("cross_entropy", "logistic"):
        model = LinearClassifier(loss, l2=1.0, tol=1e-12).fit(case.x, case.y.astype(int))
        np.testing.assert_allclose(np.append(model.coef_, model.intercept_), case.coef, rtol=2e-8)


# --- losses with kinks, and Huber's ---------------------------------------------------------------------------------------------


def engel() -> tuple[Array, Array]:
    """Engel's food expenditures, as float32, which Stata keeps data in."""
    data = sm.datasets.engel.load_pandas().data.astype(np.float32).astype(float)
    return data[["income"]].to_numpy(), data["foodexp"].to_numpy()


@pytest.mark.parametrize(("alpha", "table"), [(0.75, "epanechnikov_hsheather_q75"), (0.5, "biweight_bofinger")])
def test_quantiles_of_stata(alpha: float, table: str) -> None:
    from statsmodels.regression.tests.results import results_quantile_regression as results

    (x, y), published = engel(), getattr(results, table)
    model = LinearRegressor(ml.Pinball(alpha)).fit(x, y)
    np.testing.assert_allclose([*model.coef_, model.intercept_], published.table[:, 0], rtol=1.2e-7)  # 7 digits
    np.testing.assert_allclose(2 * len(y) * model.objective_, published.sum_adev, rtol=1e-8)


def test_quantiles_of_quantreg() -> None:
    from statsmodels.regression.tests.results.results_quantile_regression import Rquantreg

    data = sm.datasets.engel.load_pandas().data
    model = LinearRegressor(ml.Pinball(0.1)).fit(data[["income"]], data["foodexp"])
    np.testing.assert_allclose(model.predict(data[["income"]]), Rquantreg.fittedvalues, rtol=1e-14)
    np.testing.assert_allclose(data["foodexp"] - model.predict(data[["income"]]), Rquantreg.residuals, rtol=0, atol=1e-11)


def test_medians_of_pinball_and_absolute_error_are_one() -> None:
    x, y = engel()
    half, whole = (LinearRegressor(loss).fit(x, y) for loss in (ml.Pinball(0.5), ml.AbsoluteError()))
    np.testing.assert_allclose(half.coef_, whole.coef_, rtol=1e-14)
    np.testing.assert_allclose(2 * half.objective_, whole.objective_, rtol=1e-14)


def test_huber_at_the_scale_of_rlm() -> None:
    """R's rlm ends where the scale is the residuals' MAD: at that scale its coefficients are Huber's; it stops at a change of 1e-4."""
    from statsmodels.robust.tests.results.results_rlm import Huber

    published, (x, y) = Huber(), arrays(sm.datasets.stackloss.load())
    model = LinearRegressor(ml.Huber(1.345 * published.scale), tol=1e-12).fit(x, y)
    np.testing.assert_allclose(solution(model), published.params, rtol=3e-5)
    np.testing.assert_allclose(y - model.predict(x), published.resid, atol=1e-4)
    np.testing.assert_allclose(np.median(np.abs(y - model.predict(x))) / 0.6745, published.scale, rtol=1e-4)


# --- data whose solution is known by construction -------------------------------------------------------------------------------

EXACT = [ml.SquaredError(), ml.Logistic(), ml.Probit(), ml.CLogLog(), ml.Poisson(), ml.Gamma(), ml.Tweedie(1.5), ml.NegativeBinomial(2.0)]


def known(loss: ml.Loss, seed: int, n: int, p: int) -> tuple[Array, Array, Array, float]:
    """Well conditioned columns, coefficients of size 1 to 3, an intercept, and targets that these predict without error.

    As scikit-learn's glm_dataset: the best fit to y = predict(raw) is raw itself, whatever the (proper) loss.
    """
    r = np.random.default_rng(seed)
    u, _, v = np.linalg.svd(r.normal(size=(n, p)), full_matrices=False)
    x = (u * np.geomspace(1, 0.1, len(v))) @ v
    coef, intercept = r.uniform(1, 3, size=p) * r.choice([-1, 1], size=p), float(r.uniform(-1, 1))
    return x, np.asarray(loss.predict(x @ coef + intercept)), coef, intercept


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", EXACT, ids=lambda loss: loss.name)
def test_long_data_give_their_coefficients_back(loss: ml.Loss, seed: int) -> None:
    x, y, coef, intercept = known(loss, seed, 12, 4)
    for twice in (1, 2):  # the same rows twice are the same problem
        model = LinearRegressor(loss, tol=1e-12).fit(np.tile(x, (twice, 1)), np.tile(y, twice))
        np.testing.assert_allclose([*model.coef_, model.intercept_], [*coef, intercept], rtol=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("shape", [(12, 4), (4, 12)], ids=["long", "wide"])
@pytest.mark.parametrize("loss", EXACT, ids=lambda loss: loss.name)
def test_ridge_on_long_and_wide_data(loss: ml.Loss, shape: tuple[int, int], intercept: bool) -> None:
    x, y, _, _ = known(loss, 5, *shape)
    model = LinearRegressor(loss, l2=0.1, fit_intercept=intercept, tol=1e-13).fit(x, y)
    case = Published(loss, x, y, np.array([]), 0, l2=0.1, intercept=intercept)
    np.testing.assert_allclose(solution(model), optimum(case, solution(model)), rtol=1e-10, atol=1e-12)
    beside = LinearRegressor(loss, l2=0.05, fit_intercept=intercept, tol=1e-13).fit(0.5 * np.hstack([x, x]), y)
    np.testing.assert_allclose(beside.coef_, np.tile(model.coef_, 2), rtol=1e-9, atol=1e-12)  # a column and its copy share


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", EXACT, ids=lambda loss: loss.name)
def test_wide_data_are_fitted_exactly(loss: ml.Loss, seed: int) -> None:
    """More columns than rows: many solutions, of which each predicts every target; the columns left out are named."""
    x, y, _, _ = known(loss, seed, 4, 12)
    with pytest.warns(UserWarning, match="Collinear columns") as told:
        model = LinearRegressor(loss, tol=1e-12).fit(x, y)
    assert len(told) == 1
    assert np.count_nonzero(model.coef_) <= 3
    np.testing.assert_allclose(model.predict(x), y, rtol=1e-9, atol=1e-11)
