"""Offsets: known parts of the raw prediction, in fits and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from statsmodels.genmod.tests.results import results_glm

import matchloss as ml
from fits import CROSS, LOGISTIC, POISSON, SQUARED, model_of, problem, theta_of
from matchloss.errors import ShapeError
from matchloss.linear import LinearClassifier, LinearRegressor

FITS = [
    (SQUARED, "auto"),
    (POISSON, "newton"),
    (POISSON, "lbfgs"),
    (LOGISTIC, "auto"),
    (ml.Gamma(), "auto"),
    (ml.Huber(1.0), "auto"),
    (ml.Pinball(0.3), "auto"),
    (ml.InverseGaussian(), "auto"),
    (CROSS, "newton"),
    (CROSS, "lbfgs"),
]
IDS = [f"{loss.name} {method}" for loss, method in FITS]


@pytest.mark.parametrize(("loss", "method"), FITS, ids=IDS)
def test_an_offset_along_a_column_moves_its_coefficient(loss: Any, method: str) -> None:
    x, y = problem(loss, 400, 3)
    offset = 0.5 * x[:, 0] - 0.25
    if loss.family == "simplex":
        offset = offset[:, None] * np.array([1.0, 0.0, -2.0])
    plain, moved = (model_of(loss, tol=1e-11, method=method).fit(x, y, offset=o) for o in (None, offset))
    by = np.array([0.5, 0, 0, -0.25]) if offset.ndim == 1 else np.outer([0.5, 0, 0, -0.25], [1 + 1 / 3, 1 / 3, -2 + 1 / 3])
    np.testing.assert_allclose(theta_of(moved), theta_of(plain) - by, atol=2e-7)
    predict = "predict_proba" if loss.family == "simplex" else "predict"
    np.testing.assert_allclose(getattr(moved, predict)(x, offset=offset), getattr(plain, predict)(x), rtol=1e-6)


def test_published_digits_of_r() -> None:
    """R's Poisson model of capital punishments with the logarithm of an exposure of 100 everywhere, in statsmodels' tests."""
    data, published = sm.datasets.cpunish.load(), results_glm.Cpunish_offset()
    x = np.asarray(data.exog, float)
    x[:, 3] = np.log(x[:, 3])
    model = LinearRegressor("poisson", tol=1e-12).fit(x, np.asarray(data.endog, float), offset=np.full(len(x), np.log(100)))
    np.testing.assert_allclose(np.append(model.intercept_, model.coef_), published.params, rtol=3e-7)


def test_weights_frames_and_many_levels() -> None:
    """An offset, weights of 0 and a category eliminated level by level: as statsmodels fits the rows that count."""
    r = np.random.default_rng(3)
    n = 3000
    x, city, hours = r.normal(size=n), r.integers(0, 4, n), r.uniform(0.1, 50, n)
    y = r.poisson(hours * np.exp(0.3 * x - 0.5 * city))
    weight = r.integers(0, 3, n).astype(float)
    frame = pl.DataFrame({"x": x, "city": pl.Series(city).cast(pl.String)})
    model = LinearRegressor("poisson", tol=1e-12).fit(frame, y, weight, offset=pl.Series(np.log(hours)))
    dense = np.column_stack([np.ones(n), x, *(city == k for k in (1, 2, 3))])
    peer = sm.GLM(y, dense, family=sm.families.Poisson(), offset=np.log(hours), freq_weights=weight).fit(tol=1e-13)
    np.testing.assert_allclose([model.intercept_, *model.coef_], peer.params, rtol=1e-8)


def test_eliminated_levels() -> None:
    r = np.random.default_rng(5)
    n, k = 12_000, 1600
    x, level, offset = r.normal(size=n), np.repeat(np.arange(k), n // k + 1)[:n], r.normal(size=n)
    y = r.poisson(np.exp(1 + offset + 0.3 * x + 0.2 * np.sin(level))) + 1.0
    frame = pl.DataFrame({"x": x, "level": pl.Series(level).cast(pl.String)})
    model = LinearRegressor("poisson").fit(frame, y, offset=offset)
    assert "eliminated" in model.method_
    error = model.predict(frame, offset=offset) - y
    assert np.abs([error.sum(), error @ x, *np.bincount(level, error)]).max() < 1e-6 * n


def test_bad_offsets() -> None:
    x, y = problem(POISSON, 20, 2)
    for bad, said in ((np.nan, "offset, row 3: nan"), (np.inf, "offset, row 3: inf"), (-np.inf, "offset, row 3: -inf")):
        offset = np.zeros(20)
        offset[3] = bad
        with pytest.raises(ValueError, match=said):
            LinearRegressor("poisson").fit(x, y, offset=offset)
    with pytest.raises(ShapeError, match="offset has shape"):
        LinearRegressor("poisson").fit(x, y, offset=np.zeros((20, 1)))
    with pytest.raises(TypeError, match="offset has the dtype"):
        LinearRegressor("poisson").fit(x, y, offset=["a"] * 20)
    with pytest.raises(ShapeError, match="one for each class"):
        LinearClassifier().fit(x, np.arange(20) % 3, offset=np.zeros(20))
    model = LinearRegressor("poisson").fit(x, y, offset=np.zeros(20))
    with pytest.raises(ShapeError, match="ask for"):
        model.predict(x[:5], offset=np.zeros(20))
