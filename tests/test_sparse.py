"""Sparse matrices as X, and sparse columns of pandas beside others: the fits and predictions of the same numbers in dense columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import matchloss as ml
from matchloss.linear import LinearClassifier, LinearRegressor, LinearRegressorCV, load
from matchloss.linear.plan import learn_rows

Array = NDArray[Any]


def made(n: int = 400, p: int = 60, seed: int = 0) -> tuple[Any, Array, Array]:
    x = sparse.random_array((n, p), density=0.1, format="csr", rng=seed, data_sampler=np.random.default_rng(seed).standard_normal)
    z = x[:, [0, 3, 7]] @ np.array([2.0, -2.0, 1.0])
    r = np.random.default_rng(seed)
    return x, (z + r.logistic(size=n) > 0).astype(float), r.poisson(np.exp(0.5 * z)).astype(float)


OPTIONS: list[dict[str, Any]] = [
    {"l1": 0.01},
    {"l1": 0.004, "l2": 0.01, "bounds": {"x0": (0, 0.5)}},
    {"l2": 0.01},
    {"l1": 0.01, "fit_intercept": False},
]


@pytest.mark.parametrize(
    ("form", "options"),
    [*(("csr_array", o) for o in OPTIONS), ("csc_array", OPTIONS[0]), ("csr_matrix", OPTIONS[1]), ("coo_array", OPTIONS[2])],
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


def table(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Array]]:
    """Numbers, a category, numbers that are mostly 0 and booleans: as dense columns, as sparse ones; and targets."""
    r = np.random.default_rng(seed)
    x = sparse.random_array((n, 6), density=0.15, rng=r, data_sampler=r.standard_normal).toarray()
    frame: dict[str, Any] = {"a": r.normal(size=n) + 1e4, "city": r.choice(list("pqrs"), n), "b": r.normal(size=n)}
    frame |= {f"s{j}": x[:, j] for j in range(6)} | {"rare": r.random(n) < 0.1, "c": r.normal(size=n), "count": r.poisson(0.2, n)}
    dense = pd.DataFrame(frame)
    thin = {"rare": False, "count": 0} | {f"s{j}": 0.0 for j in range(6)}
    mixed = dense.assign(**{name: pd.arrays.SparseArray(dense[name], fill_value=filled) for name, filled in thin.items()})
    z = x @ r.normal(size=6) + frame["b"] + (frame["city"] == "q") + frame["rare"]
    noise = r.logistic(size=n)
    labels = {"label": (z + noise > 0).astype(float), "class": np.digitize(z + noise, [0, 1])}
    return dense, mixed, {"number": z + noise, "count": r.poisson(np.exp(0.3 * z)).astype(float)} | labels


def fresh(model: Any) -> Any:
    """An unfitted model of the same options."""
    return clone(model)


FITS = [
    (LinearRegressor(), "number"),
    (LinearRegressor("poisson", l2=0.01), "count"),
    (LinearRegressor("logistic", l1=0.01, groups={"g": ["city", "s1", "b"]}), "label"),
    (LinearRegressor("poisson", l1=0.005, l2=0.01, bounds={"s0": (0, None), "city": (0, None)}), "count"),
    (LinearRegressor(ml.Pinball(0.7)), "number"),
    (LinearRegressor("focal", l2=0.1), "label"),
    (LinearClassifier(l2=1e-3), "class"),
    (LinearClassifier("sparsemax", l2=0.01, method="lbfgs"), "class"),
]


@settings(max_examples=10, deadline=None)
@given(fit=st.sampled_from(FITS), n=st.sampled_from([200, 1100]), seed=st.integers(0, 1000), weighted=st.booleans(), offset=st.booleans())
def test_sparse_columns_beside_dense_ones_and_categories(fit: tuple[Any, str], n: int, seed: int, weighted: bool, offset: bool) -> None:
    model, target = fit
    dense, mixed, targets = table(n, seed)
    r, y = np.random.default_rng(seed), targets[target]
    weight = r.integers(0, 3, n).astype(float) if weighted else None
    along = 0.1 * r.normal(size=(n, 3) if target == "class" else n) if offset else None
    same = fresh(model).fit(dense, y, weight, along)
    ours = fresh(model).fit(mixed, y, weight, along)
    assert ours.coef_names_.tolist() == same.coef_names_.tolist()
    np.testing.assert_allclose(ours.coef_, same.coef_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours._raw_of(ours._rows(mixed), 0.0, np.ones(len(ours.coef_names_))), dense_raw(same, dense), rtol=1e-12)
    raw = getattr(ours, "decision_function", ours.predict)
    np.testing.assert_allclose(raw(dense, offset=along), raw(mixed, offset=along), rtol=1e-9, atol=1e-9)


def dense_raw(model: Any, frame: pd.DataFrame) -> Array:
    """The sum of every coefficient's column."""
    return model._raw_of(model._rows(frame), 0.0, np.ones(len(model.coef_names_)))


@pytest.mark.parametrize("n", [300, 1100])
def test_inference_of_sparse_columns(n: int) -> None:
    dense, mixed, targets = table(n, 3)
    groups, weight = np.arange(n) % 40, np.random.default_rng(0).integers(1, 3, n).astype(float)
    x = dense.drop(columns="city").astype(float)
    for model, y, full, thin in (
        (LinearRegressor("logistic"), targets["label"], dense, mixed),
        (LinearRegressor("poisson"), targets["count"], x.to_numpy(), sparse.csr_array(x.to_numpy())),
        (LinearClassifier(), targets["class"], x.to_numpy(), sparse.csc_array(x.to_numpy())),
    ):
        same, ours = (model.fit(table, y, weight).inference(table, y, weight) for table in (full, thin))
        for kind in ("fisher", "observed", "HC0", "HC1"):
            np.testing.assert_allclose(ours.covariance(kind), same.covariance(kind), rtol=1e-7, atol=1e-12)
        clustered = (found.covariance("cluster", groups=groups) for found in (ours, same))
        np.testing.assert_allclose(*clustered, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose([ours.llf, ours.deviance, ours.aic], [same.llf, same.deviance, same.aic], rtol=1e-10)
        if "Classifier" not in type(model).__name__:
            for name in ("mean", "mean_se"):
                np.testing.assert_allclose(ours.get_prediction(thin)[name], same.get_prediction(full)[name], rtol=1e-7)


def test_many_sparse_columns_of_several_classes_and_of_a_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matrix of columns by columns is made of them."""
    x, label, _ = made()
    classes = (label + np.arange(len(label)) % 2).astype(int)
    for model, y, how in ((LinearClassifier(l2=0.01), classes, "L-BFGS"), (LinearRegressor("logistic", l2=0.01), label, "working sets")):
        full = fresh(model).set_params(tol=1e-10).fit(x.toarray(), y)
        with monkeypatch.context() as few:
            few.setattr("matchloss.linear.methods.NEWTON_COLUMNS", 30)
            few.setattr("matchloss.linear.methods.FLOPS", 0)
            few.setattr("matchloss.linear.simplex.WIDE", 30)
            few.setattr("matchloss.linear.penalties.fit.GRAM_LIMIT", 30)
            thin = fresh(model).set_params(tol=1e-10, max_passes=1000).fit(x, y)
        assert thin.converged_ and how in thin.method_ and "blocks" not in thin.method_
        np.testing.assert_allclose(thin.coef_, full.coef_, atol=1e-7)


def test_model_files(tmp_path: Path) -> None:
    dense, mixed, targets = table(200, 1)
    model = LinearRegressor("poisson", l2=0.01).fit(mixed, targets["count"])
    model.save(tmp_path / "m.json")
    for frame in (dense, mixed, mixed[::-1]):
        np.testing.assert_allclose(load(tmp_path / "m.json").predict(frame), model.predict(frame), rtol=1e-12)


def test_which_columns_stay_sparse() -> None:
    def array(values: Any, **options: Any) -> Any:
        return pd.arrays.SparseArray(values, **options)

    n = 8
    frame = pd.DataFrame(
        {
            "few": array([0, 0, 5, 0, 0, 0, 0, 2], fill_value=0),
            "no gap": array([0.0, 0, 0, 0, 0, 1.5, 0, 0]),  # filled with NaN: every 0 is an entry
            "blocks": array([0, 0, 0, 0, 0, 0, 7, 7], fill_value=0, kind="block"),
            "many": array([1, 2, 3, 4, 5, 0, 0, 0], fill_value=0),
            "ones": array([1, 1, 1, 1, 1, 1, 3, 1], fill_value=1),
            "true": array([False] * 7 + [True]),
            "never": array([False] * n),
        }
    )
    design, rows = learn_rows(frame)
    assert rows.sparse is not None
    np.testing.assert_array_equal(rows.sparse.x.toarray().T, frame[["few", "no gap", "blocks", "true"]].to_numpy(float).T)
    assert (rows.q, rows.levels) == (2, (1,))
    assert design.names == ("few", "no gap", "blocks", "many", "ones", "true = True")
    weight = np.arange(n) < 6.0
    assert learn_rows(frame, sample_weight=weight)[0].names == ("few", "no gap", "blocks", "many", "ones")
    indicated, rows = learn_rows(frame, missing="indicate")
    assert indicated.names == design.names and rows.sparse is None
    assert indicated.rows(frame).sparse is not None


def test_refusals() -> None:
    x, _, count = made(60, 9)
    _, mixed, targets = table(60, 0)
    with pytest.raises(ValueError, match="one raw prediction a row"):
        LinearClassifier(l1=0.1).fit(x, np.arange(60) % 3)
    with pytest.raises(ValueError, match="need a loss without kinks"):
        LinearRegressor(ml.Pinball(0.5), l1=0.1).fit(x, count)
    with pytest.raises(ValueError, match="has 'rare', a sparse column of booleans"):
        LinearRegressor("logistic", l1=0.1, groups={"g": ["rare", "b"]}).fit(mixed, targets["label"])
    bad = x.copy()
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match="contains NaN: row"):
        LinearRegressor().fit(bad, count)
    for value, what in ((np.nan, "NaN, a missing value"), (-np.inf, "-infinity")):
        gap = pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 0, value, 0, 1.0], fill_value=0)})
        with pytest.raises(ValueError, match=f'column "a", row 3: {what}'):
            LinearRegressor().fit(gap, np.arange(6.0))
        with pytest.raises(ValueError, match='column "a", row 3'):
            LinearRegressor().fit(gap.fillna(0).clip(lower=0), np.arange(6.0)).predict(gap)
    words = pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1], fill_value=0)})
    with pytest.raises(ValueError, match="trained on numbers"):
        LinearRegressor(l2=0.1).fit(words, np.arange(3.0)).predict(pd.DataFrame({"a": pd.arrays.SparseArray([False, False, True])}))


def test_entries_that_stand_twice_or_out_of_order() -> None:
    data, rows, columns = np.array([1.0, 2, 3, 4, 5]), np.array([0, 0, 1, 3, 3]), np.array([1, 1, 0, 2, 0])
    x = sparse.coo_array((data, (rows, columns)), shape=(5, 3))
    messy = sparse.csr_array((np.array([1.0, 2, 3, 4, 5]), np.array([1, 1, 0, 2, 0]), np.array([0, 2, 3, 3, 5, 5])), shape=(5, 3))
    kept = messy.data.copy(), messy.indices.copy()
    y = np.arange(5.0)
    same = LinearRegressor(l2=0.1).fit(x.toarray(), y)
    np.testing.assert_allclose(LinearRegressor(l2=0.1).fit(messy, y).coef_, same.coef_, rtol=1e-12)
    np.testing.assert_array_equal(messy.data, kept[0])
    np.testing.assert_array_equal(messy.indices, kept[1])


def test_collinear_and_separated_sparse_columns_are_named() -> None:
    x = sparse.csr_array(np.array([[1.0, 2, 0], [0, 0, 1], [2, 4, 0], [0, 0, 3], [1, 2, 1], [0, 0, 0]]))
    with pytest.warns(ConvergenceWarning, match="Collinear columns, whose coefficients stay at 0: x[01]"):
        LinearRegressor().fit(x, np.arange(6.0))
    with pytest.warns(ConvergenceWarning, match="The coefficients diverge.*Still growing: .*x0"):
        LinearRegressor("logistic").fit(x[:, [2]], np.array([0.0, 1, 0, 1, 1, 0]))
