"""Columns far from 0 for their spread: the coefficients of centred columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.exceptions import ConvergenceWarning

import matchloss as ml
from fits import CROSS, LOGISTIC, POISSON, SQUARED, model_of, problem
from matchloss.linear import LinearRegressor
from matchloss.linear.rows import FAR, of_array

FITS = [
    (SQUARED, "auto"),
    (POISSON, "newton"),
    (LOGISTIC, "lbfgs"),
    (ml.Pinball(0.3), "interior_point"),
    (CROSS, "newton"),
    (CROSS, "lbfgs"),
]
IDS = [f"{loss.name} {method}" for loss, method in FITS]


def offset(loss: Any, n: int, far: float, p: int = 3) -> tuple[Any, Any, Any]:
    """Columns with an offset, rounded as they are stored; the same centred, without further rounding; targets."""
    x, y = problem(loss, n, p)
    shift = np.zeros(p)
    shift[1:] = [far, -far / 2, *[far] * (p - 3)]
    x = x + shift
    return x, x - shift, y


@pytest.mark.parametrize("far", [1e4, 1e6, 1e9])
@pytest.mark.parametrize(("loss", "method"), FITS, ids=IDS)
def test_coefficients_are_those_of_centred_columns(loss: Any, method: str, far: float) -> None:
    weight = np.random.default_rng(1).uniform(size=300)
    weight[::9] = 0
    x, centred, y = offset(loss, 300, far)
    want = model_of(loss, method=method, tol=1e-12, l2=0.01).fit(centred, y, weight)
    for given in (x, np.asfortranarray(x), pl.DataFrame(x, ["a", "b", "c"])):
        model = model_of(loss, method=method, tol=1e-12, l2=0.01).fit(given, y, weight)
        assert model.converged_
        np.testing.assert_allclose(model.coef_, want.coef_, rtol=1e-10, atol=1e-13)
        middle = want.intercept_ - want.coef_ @ (x[0] - centred[0])
        np.testing.assert_allclose(model.intercept_, middle, rtol=1e-12)
        raw, wanted = (
            m.decision_function(g) if loss is CROSS else m.loss_.link(m.predict(g)) for m, g in ((model, given), (want, centred))
        )
        np.testing.assert_allclose(raw, wanted, rtol=1e-9, atol=4e-16 * far * np.abs(want.coef_).sum())


def test_subsamples_and_blas_see_the_same_columns() -> None:
    x, centred, y = offset(POISSON, 45_000, 1e6, p=17)
    model, want = (LinearRegressor("poisson", tol=1e-12).fit(given, y) for given in (x, centred))
    assert model.converged_ and model.n_passes_ == want.n_passes_
    np.testing.assert_allclose(model.coef_, want.coef_, rtol=1e-10, atol=1e-13)


def test_float32_and_integers() -> None:
    r = np.random.default_rng(0)
    whole = r.integers(0, 50, size=(400, 2))
    y = whole @ [0.1, -0.2] + r.normal(size=400)
    want = LinearRegressor(tol=1e-13).fit(whole.astype(float), y)
    for dtype in (np.float32, np.int64, np.int32):
        x = (whole + 2**20).astype(dtype)
        for given in (x, pl.DataFrame(x, ["a", "b"])):
            np.testing.assert_allclose(LinearRegressor(tol=1e-13).fit(given, y).coef_, want.coef_, rtol=1e-10)


def test_nothing_is_copied_or_changed() -> None:
    x, _, y = offset(SQUARED, 3000, 1e9)
    before = x.copy()
    x.setflags(write=False)
    rows = of_array(x)
    rows = replace(rows, shift=rows.far_means())
    assert rows.numbers is x and rows.strided(3).shift is rows.shift is not None and rows.take(np.arange(5)).shift is rows.shift
    LinearRegressor().fit(x, y)
    np.testing.assert_array_equal(x, before)


def test_which_columns_are_far() -> None:
    r = np.random.default_rng(0)
    base = r.normal(size=5000)
    rare = np.zeros(5000)
    rare[3] = 1.0  # a row that is not looked at
    columns = [
        base,
        base + 0.9 * FAR,
        base + 1.1 * FAR,
        np.full(5000, 7.0),
        rare,
        1e9 + rare,
        50 + rare,
        np.full(5000, 1e308),
        base * np.inf,
    ]
    with np.errstate(all="ignore"):
        means = of_array(np.column_stack(columns)).far_means()
    assert np.flatnonzero(means).tolist() == [2, 5, 6]
    assert not of_array(base[:, None]).far_means().any()  # a table without such a column is as it was


def test_without_an_intercept_columns_are_not_centred_and_that_is_said() -> None:
    x, _, y = offset(SQUARED, 300, 1e9)
    with pytest.warns(ConvergenceWarning) as told:
        LinearRegressor(fit_intercept=False).fit(x, y)
    said = [str(w.message) for w in told]
    assert any(s.startswith("Collinear columns") for s in said)
    assert any(s.startswith("Far from 0 for their spread, and without an intercept not centred: x1, x2. An intercept") for s in said), said
