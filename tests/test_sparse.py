"""Sparse matrices as X: the fits and predictions of the same numbers in a dense array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse

import matchloss as ml
from matchloss.linear import LinearClassifier, LinearRegressor, LinearRegressorCV

Array = NDArray[Any]


def made(n: int = 400, p: int = 60, seed: int = 0) -> tuple[Any, Array, Array]:
    x = sparse.random_array((n, p), density=0.1, format="csr", rng=seed, data_sampler=np.random.default_rng(seed).standard_normal)
    z = x[:, [0, 3, 7]] @ np.array([2.0, -2.0, 1.0])
    r = np.random.default_rng(seed)
    return x, (z + r.logistic(size=n) > 0).astype(float), r.poisson(np.exp(0.5 * z)).astype(float)


@pytest.mark.parametrize("form", ["csr_array", "csc_array", "csr_matrix", "coo_array"])
@pytest.mark.parametrize(
    "options",
    [{"l1": 0.01}, {"l1": 0.004, "l2": 0.01, "bounds": {"x0": (0, 0.5)}}, {"l2": 0.01}, {"l1": 0.01, "fit_intercept": False}],
    ids=["l1", "elastic net", "ridge", "no intercept"],
)
def test_sparse_is_dense(form: str, options: dict[str, Any]) -> None:
    x, label, count = made()
    given = getattr(sparse, form)(x)
    before = given.copy()
    weight, offset = np.random.default_rng(1).integers(0, 3, len(label)).astype(float), np.linspace(-0.2, 0.2, len(label))
    for loss, y in ((ml.Logistic(), label), (ml.Poisson(), count)):
        thin = LinearRegressor(loss, max_passes=500, **options).fit(given, y, weight, offset=offset)
        full = LinearRegressor(loss, max_passes=500, **options).fit(x.toarray(), y, weight, offset=offset)
        assert thin.kkt_residual_ <= 1e-8
        np.testing.assert_allclose(thin.coef_, full.coef_, atol=3e-6)
        np.testing.assert_allclose(thin.predict(given, offset=offset), full.predict(x.toarray(), offset=offset), atol=1e-5)
    assert (before != given).nnz == 0


def test_many_sparse_columns() -> None:
    x, label, _ = made(2000, 3000)
    top = float(np.abs(x.T @ (label.mean() - label)).max()) / 2000
    for share in (0.999, 5, 30):
        model = LinearRegressor("logistic", l1=top / share, max_passes=1000).fit(x, label)
        assert model.kkt_residual_ <= 1e-8
        assert (np.count_nonzero(model.coef_) == 0) == (share < 1)


def test_labels_paths_and_weights() -> None:
    x, label, count = made()
    words = np.where(label > 0, "yes", "no")
    model = LinearClassifier(l1=0.01).fit(x, words)
    np.testing.assert_allclose(model.predict_proba(x)[:, 1], LinearRegressor("logistic", l1=0.01).fit(x, label).predict(x), atol=1e-7)
    assert set(model.predict(x)) == {"yes", "no"}
    thin, full = (LinearRegressorCV("poisson", n_alphas=8).fit(table, count) for table in (x, x.toarray()))
    np.testing.assert_allclose(thin.alphas_, full.alphas_, rtol=1e-8)
    np.testing.assert_allclose(thin.coef_path_, full.coef_path_, atol=1e-6)
    np.testing.assert_allclose(thin.mean_loss_path_, full.mean_loss_path_, rtol=1e-6)


def test_refusals() -> None:
    x, label, count = made(60, 9)
    with pytest.raises(ValueError, match="sparse columns are there for one raw prediction"):
        LinearClassifier().fit(x, np.arange(60) % 3)
    with pytest.raises(ValueError, match="sparse columns need a loss without kinks"):
        LinearRegressor(ml.Pinball(0.5)).fit(x, count)
    with pytest.raises(ValueError, match="pass X"):
        LinearRegressor("logistic", l2=0.1).fit(x, label).inference(x, label)
    bad = x.copy()
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match="contains NaN: row"):
        LinearRegressor().fit(bad, count)


def test_sparse_pandas_columns_beside_others() -> None:
    """They are taken as numbers, column by column, in training and in prediction; they gain no speed."""
    dense = pd.DataFrame({"a": [0.0, 0, 1, 0, 2], "b": [1.0, 2, 3, 4, 9], "c": list("xyxyx")})
    mixed = dense.assign(a=pd.arrays.SparseArray(dense["a"]))
    y = np.arange(5.0)
    ours, same = LinearRegressor(l2=0.1).fit(mixed, y), LinearRegressor(l2=0.1).fit(dense, y)
    np.testing.assert_array_equal(ours.coef_, same.coef_)
    np.testing.assert_array_equal(ours.predict(mixed), same.predict(dense))
    np.testing.assert_array_equal(ours.inference(mixed, y).bse, same.inference(dense, y).bse)
