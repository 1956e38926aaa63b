"""What every fit of every loss promises: stationary, the same however the data come, and honest about what it found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matchloss as ml
from cases import INSTANCES, label
from fits import CROSS, LOGISTIC, POISSON, SQUARED, model_of, objective, off_optimum, one_hot_by_hand, problem, table, theta_of
from frames import FRAMES
from matchloss.linear import LinearClassifier, LinearRegressor, methods
from matchloss.linear.kernels import BY_NUMPY, kernels
from matchloss.linear.rows import of_array
from matchloss.linear.solve import solve
from sweeps import examples

CONVEX = [loss for loss in INSTANCES if loss.convex]
STRICT = [loss for loss in CONVEX if loss.smooth]
SEVERAL = [SQUARED, LOGISTIC, POISSON, ml.Gamma(), ml.Huber(), ml.InverseGaussian(), ml.Pinball(0.3), ml.Hinge(), CROSS, ml.Sparsemax()]


# --- stationarity ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
@settings(max_examples=examples(12), deadline=None, derandomize=True)
@given(data=st.data())
def test_every_fit_is_stationary(loss: Any, data: Any) -> None:
    """The gradient, recomputed from a dense design, is at most tol, or rounding; of a loss with kinks, some subgradient is."""
    l2 = data.draw(st.sampled_from([0.0, 1e-3, 0.5]), "l2")
    n, p = data.draw(st.integers(60, 150) if l2 == 0 else st.integers(4, 60), "rows"), data.draw(st.integers(1, 5), "columns")
    x, y = problem(loss, n, p, data.draw(st.integers(0, 999), "seed"), classes=data.draw(st.integers(2, 4), "classes"))
    weight = data.draw(st.sampled_from([None, np.random.default_rng(n).uniform(0.1, 3, size=n)]), "weight")
    tol = data.draw(st.sampled_from([1e-5, 1e-8, 1e-11]), "tol")
    model = model_of(loss, l2=l2, tol=tol, fit_intercept=data.draw(st.booleans(), "intercept"), max_passes=500).fit(x, y, weight)
    norm, rounding = off_optimum(model, x, y, weight)
    assert model.converged_ and model.n_passes_ <= 500
    assert norm <= max(tol, rounding)
    assert model.objective_ == pytest.approx(objective(model, x, y, weight), rel=1e-12, abs=1e-13)
    if loss.smooth:
        assert model.gradient_norm_ == pytest.approx(norm, rel=1e-6, abs=rounding)


@pytest.mark.parametrize("loss", [POISSON, ml.Gamma(), CROSS, ml.Pinball(0.7), ml.InverseGaussian()], ids=label)
def test_many_rows_are_started_from_a_subsample(loss: Any, monkeypatch: Any) -> None:
    """Sorted by the target, as files are; the same optimum as without the start, in fewer passes over all rows."""
    monkeypatch.setattr(methods, "SUBSAMPLE_FROM", 4000)
    monkeypatch.setattr(methods, "SUBSAMPLE", 1000)
    monkeypatch.setattr(methods, "SHORT_SUBSAMPLE", 1000)
    method = "lbfgs" if loss.family == "simplex" else "auto"  # which it is for many more rows than these
    x, y = problem(loss, 8001, 4, classes=6)
    order = np.argsort(y, kind="stable")
    x, y = x[order], y[order]
    model = model_of(loss, tol=1e-10, method=method).fit(x, y)
    norm, rounding = off_optimum(model, x, y)
    assert norm <= max(1e-10, rounding)
    if loss.smooth and loss.convex:
        assert "subsample" in model.method_
        monkeypatch.setattr(methods, "SUBSAMPLE_FROM", 10**9)
        plain = model_of(loss, tol=1e-10, method=method).fit(x, y)
        assert loss.family == "simplex" or model.n_passes_ < plain.n_passes_
        np.testing.assert_allclose(theta_of(model), theta_of(plain), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("loss", STRICT, ids=label)
def test_every_method_finds_the_optimum(loss: Any) -> None:
    x, y = problem(loss, 120, 3)
    thetas = [theta_of(model_of(loss, l2=0.01, tol=1e-11, method=method, max_passes=1000).fit(x, y)) for method in ("newton", "lbfgs")]
    np.testing.assert_allclose(*thetas, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("loss", [loss for loss in INSTANCES if loss.smooth], ids=label)
def test_the_interior_point_method_takes_kinks_alone(loss: Any) -> None:
    x, y = problem(loss, 12, 2)
    with pytest.raises(ValueError, match="interior_point"):
        model_of(loss, method="interior_point").fit(x, y)


def raw(model: Any, x: Any) -> Any:
    """What it says of each row."""
    return model.decision_function(x) if isinstance(model, LinearClassifier) else model.predict(x)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, np.float32, np.float16, ">f8"])
def test_rows_of_any_type_are_read_as_their_numbers(dtype: Any) -> None:
    whole = np.round(5 * problem(SQUARED, 1500, 4)[0][:, [0, 2, 3]]).clip(0, 99)
    y = np.random.default_rng(0).normal(size=1500)
    for layout in (whole, np.tile(whole, (1, 4)) + np.arange(12)):
        expected = solve(SQUARED, of_array(layout), y, l2=0.1)
        for given_rows in (layout.astype(dtype), np.asfortranarray(layout, dtype)):
            np.testing.assert_allclose(solve(SQUARED, of_array(given_rows), y, l2=0.1).coef, expected.coef, rtol=1e-9, atol=1e-12)


# --- rows and weights -----------------------------------------------------------------------------------------------------------


def same(a: Any, b: Any, x: Any, y: Any, weight: Any = None) -> None:
    """Two fits of one problem: coefficients where they are unique, else objectives."""
    if a.loss_ in STRICT:
        np.testing.assert_allclose(theta_of(a), theta_of(b), rtol=1e-7, atol=1e-9)
    assert objective(a, x, y, weight) == pytest.approx(objective(b, x, y, weight), rel=1e-11)


@pytest.mark.parametrize("loss", CONVEX, ids=label)
def test_a_weight_is_that_many_rows_and_zero_is_none(loss: Any) -> None:
    x, y = problem(loss, 80, 3, seed=3)
    w = np.random.default_rng(1).integers(0, 4, size=80)
    options: dict[str, Any] = {"l2": 0.02, "tol": 1e-11}
    weighted = model_of(loss, **options).fit(x, y, w)
    repeated = model_of(loss, **options).fit(np.repeat(x, w, axis=0), np.repeat(y, w))
    same(weighted, repeated, x, y, w)
    scaled = model_of(loss, **options).fit(x, y, 1e3 * w)
    same(weighted, scaled, x, y, w)
    x[w == 0] = 1e300  # which no pass may read
    absent = model_of(loss, **options).fit(x[w > 0], y[w > 0], w[w > 0])
    np.testing.assert_array_equal(theta_of(model_of(loss, **options).fit(x, y, w)), theta_of(absent))


@pytest.mark.parametrize("loss", SEVERAL, ids=label)
@pytest.mark.parametrize("n", [60, 2500], ids=["by NumPy", "compiled"])
def test_layouts_of_an_array_are_alike_and_left_alone(loss: Any, n: int) -> None:
    for p in (4, 12):  # numbers that kernels multiply, and that BLAS does
        x, y = problem(loss, n, p)
        x = x.astype(np.float32).astype(float)
        model = model_of(loss, l2=0.1, tol=1e-11).fit(x, y)
        wide = np.full((2 * n, 2 * p), np.nan)
        wide[::2, ::2] = x
        locked = x.copy()
        locked.flags.writeable = False
        reverse = x[::-1].copy()[::-1]
        for given_x in (
            np.asfortranarray(x),
            x.astype(np.float32),
            np.asfortranarray(x, np.float32),
            locked,
            wide[::2, ::2],
            reverse,
        ):
            before = given_x.copy()
            other = model_of(loss, l2=0.1, tol=1e-11).fit(given_x, y)
            np.testing.assert_array_equal(given_x, before)
            same(model, other, x, y)
            np.testing.assert_allclose(raw(other, given_x), raw(other, x), rtol=1e-12, atol=1e-12)
        whole = np.round(10 * x).astype(int)
        same(model_of(loss, l2=0.1, tol=1e-11).fit(whole, y), model_of(loss, l2=0.1, tol=1e-11).fit(whole.astype(float), y), whole, y)


# --- categories and frames ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", SEVERAL, ids=label)
@pytest.mark.parametrize("n", [150, 2000], ids=["by NumPy", "compiled"])
def test_categories_are_one_hot_by_hand(loss: Any, n: int) -> None:
    columns, y = table(loss, n)
    frame, dense = FRAMES["polars"](columns), one_hot_by_hand(columns)
    w = np.random.default_rng(5).uniform(0.5, 2, size=n)
    for l2, weight in ((0.0, None), (0.05, w)):
        coded = model_of(loss, l2=l2, tol=1e-11).fit(frame, y, weight)
        by_hand = model_of(loss, l2=l2, tol=1e-11).fit(dense, y, weight)
        same(coded, by_hand, dense, y, weight)
        norm, rounding = off_optimum(coded, dense, y, weight)
        assert norm <= max(1e-11, rounding)
    assert coded.coef_names_.tolist()[:5] == ["text 0 = b", "text 0 = c", "text 0 = é", "float 1", "bool 2 = True"]


@pytest.mark.parametrize("loss", [LOGISTIC, CROSS, ml.AbsoluteError()], ids=label)
def test_frames_of_every_library_give_the_same_bits(loss: Any) -> None:
    columns, y = table(loss, 300)
    found = set()
    for make in FRAMES.values():
        model = model_of(loss, l2=1e-3).fit(make(columns), y)
        raw = model.predict_proba(make(columns)) if loss.family == "simplex" else model.predict(make(columns))
        found.add((theta_of(model).tobytes(), raw.tobytes(), tuple(model.coef_names_), model.objective_))
    assert len(found) == 1


@pytest.mark.parametrize("loss", [POISSON, ml.Pinball(0.4), CROSS], ids=label)
@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_the_number_of_threads_changes_no_bit(loss: Any, kind: str, monkeypatch: Any) -> None:
    n = 40_000  # three slabs, which threads share
    x, y = problem(loss, n, 12)
    given_x: Any = x
    if kind == "categories":
        columns, y = table(loss, n)
        given_x = FRAMES["polars Enum"](columns)
    found = set()
    for threads in ("1", "2"):
        monkeypatch.setenv("MATCHLOSS_THREADS", threads)
        model = model_of(loss, max_passes=60, tol=1e-7).fit(given_x, y)
        found.add((theta_of(model).tobytes(), model.objective_, model.gradient_norm_))
    assert len(found) == 1


@settings(max_examples=examples(40), deadline=None, derandomize=True)
@given(st.integers(0, 4), st.integers(0, 3), st.integers(0, 40), st.integers(1, 4), st.booleans(), st.integers(0, 999))
def test_kernels_by_numpy_are_the_compiled_ones(q: int, c: int, n: int, k: int, whole: bool, seed: int) -> None:
    r, compiled = np.random.default_rng(seed), kernels(10_000, np.dtype(np.int32))
    levels = r.integers(1, 5, size=c)
    codes = np.stack([r.integers(0, m, size=n) for m in levels], axis=1).astype(np.int32) if c else np.zeros((n, 0), np.int32)
    first = (1 + q + np.concatenate([[0], np.cumsum(levels)[:-1]])[:c]).astype(np.int64)
    width = 1 + q + int(levels.sum())
    x = np.asfortranarray(r.normal(size=(n, q))) if seed % 2 else r.normal(size=(n, q))
    w, wide, line = r.normal(size=n), r.normal(size=width), r.normal(size=n)
    many, lines, gram = r.normal(size=(width, k)), r.normal(size=(n, k)), r.normal(size=(width, width))
    calls: list[tuple[str, list[Any]]] = [
        ("gather", [codes, first, x, wide, line]),
        ("scatter", [codes, first, x, w, wide]),
        ("gather_rows", [codes, first, many, lines]),
        ("scatter_rows", [codes, first, lines, many]),
        ("gram", [codes, first, x, w, w, whole, np.empty(c, np.int64), gram]),
    ]
    for name, arguments in calls:
        results = []
        for group in (BY_NUMPY, compiled):
            out = arguments[-1].copy()
            getattr(group, name)(*arguments[:-1], out)
            results.append(np.tril(out) if name == "gram" else out)  # above the diagonal anything may stand
        np.testing.assert_allclose(*results, rtol=1e-13, atol=1e-13)


# --- two classes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "lbfgs"])
def test_cross_entropy_of_two_classes_is_the_logistic_loss(method: str) -> None:
    x, y = problem(LOGISTIC, 90, 3)
    named = np.where(y == 1, "yes", "no")
    cross, logistic = (LinearClassifier(loss, l2=0.01, method=method).fit(x, named) for loss in ("cross_entropy", "logistic"))
    regressor = LinearRegressor("logistic", l2=0.01, method=method).fit(x, y)
    assert cross.loss_ == logistic.loss_ == LOGISTIC
    for model in (cross, logistic):
        np.testing.assert_array_equal(model.coef_, regressor.coef_[None, :])
        np.testing.assert_array_equal(model.intercept_, [regressor.intercept_])
        np.testing.assert_allclose(model.predict_proba(x), np.column_stack([1 - regressor.predict(x), regressor.predict(x)]), rtol=1e-15)
        np.testing.assert_array_equal(model.predict(x), np.where(regressor.predict(x) > 0.5, "yes", "no"))
        np.testing.assert_allclose(model.decision_function(x), x @ regressor.coef_ + regressor.intercept_, rtol=1e-12, atol=1e-12)


def test_a_rare_label_is_not_left_to_a_subsample() -> None:
    """Fourteen of a hundred thousand: few rows have none, and would start the intercept at minus infinity."""
    r = np.random.default_rng(0)
    x = r.normal(size=(100_000, 3))
    y = np.zeros(len(x))
    y[r.choice(len(x), 14, replace=False)] = 1.0
    for model in (LinearClassifier("logistic"), LinearRegressor("poisson")):
        model.fit(x, y)
        assert model.converged_ and model.n_passes_ <= 8
