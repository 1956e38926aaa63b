"""What a fit says when the data are odd, and how it refuses those that are wrong."""

from __future__ import annotations

import _thread
import threading
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.optimize
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import matchloss as ml
from cases import label
from fits import CROSS, LOGISTIC, POISSON, SQUARED, model_of, off_optimum, problem, table, theta_of
from frames import FRAMES
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.rows import of_array
from matchloss.linear.solve import solve
from sweeps import examples

SEVERAL = [SQUARED, LOGISTIC, POISSON, ml.Huber(), ml.InverseGaussian(), ml.Pinball(0.3), ml.Hinge(), CROSS, ml.Spherical()]
GROWING = [LOGISTIC, ml.Probit(), ml.CLogLog(), ml.Exponential(), ml.Focal(0.0), CROSS]
FINITE = [ml.SquaredHinge(), ml.Hinge(), ml.BinaryBrier(), ml.BinarySpherical(), ml.Sparsemax(), ml.Entmax(1.5), ml.Spherical()]


def messages(model: Any, *data: Any) -> list[str]:
    """What it warns of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(*data)
    assert all(issubclass(w.category, ConvergenceWarning) for w in told)
    return [str(w.message) for w in told]


# --- coefficients without a finite best -----------------------------------------------------------------------------------------


def separated(kind: str, classes: int) -> tuple[pl.DataFrame, Any]:
    """Classes that "x" tells apart in all rows, or that the level "c" tells apart in its own; "z" is noise."""
    r = np.random.default_rng(0)
    level = np.repeat(["a", "b", "c"], [14, 14, 12])
    y = np.where(level == "c", classes - 1, np.arange(40) % 2)
    if kind == "complete":
        y = np.arange(40) * classes // 40
    x = r.normal(size=40) if kind == "quasi" else np.linspace(-1, 1, 40)
    return pl.DataFrame({"level": level, "x": x, "z": r.normal(size=40)}), y


@pytest.mark.parametrize("method", ["newton", "lbfgs"])
@pytest.mark.parametrize("kind", ["complete", "quasi"])
@pytest.mark.parametrize("loss", GROWING, ids=label)
def test_separable_classes_are_told_by_name(loss: Any, kind: str, method: str) -> None:
    for classes in (2, 3) if loss is CROSS else (2,):
        frame, y = separated(kind, classes)
        frame = frame if kind == "quasi" else frame.drop("level")
        said = messages(LinearClassifier(loss, method=method, max_passes=500), frame, y)
        assert len(said) == 1 and said[0].startswith("The coefficients diverge: classes are perfectly separated"), said
        assert f"Still growing: {'x' if kind == 'complete' else 'level = c'}." in said[0]
        assert messages(LinearClassifier(loss, method=method, l2=1e-3), frame, y) == []


@pytest.mark.parametrize("kind", ["complete", "quasi"])
@pytest.mark.parametrize("loss", FINITE, ids=label)
def test_losses_with_a_margin_have_a_finite_best(loss: Any, kind: str) -> None:
    frame, y = separated(kind, 2 + (loss.family == "simplex"))
    assert messages(LinearClassifier(loss), frame if kind == "quasi" else frame.drop("level"), y) == []


@settings(max_examples=examples(150), deadline=None, derandomize=True)
@given(st.integers(4, 14), st.integers(1, 3), st.integers(0, 10**6), st.sampled_from([2, 3]), st.booleans(), st.sampled_from([1.0, 1e3]))
def test_separability_is_told_if_and_only_if_a_linear_program_finds_it(
    n: int, p: int, seed: int, classes: int, intercept: bool, far: float
) -> None:
    r = np.random.default_rng(seed)
    x = r.integers(-2, 3, size=(n, p)).astype(float)
    x[0] *= far
    y = r.permutation(np.r_[np.arange(classes), r.integers(0, classes, size=n - classes)])
    design = np.column_stack([x, np.ones(n)]) if intercept else x
    design = design / np.maximum(np.linalg.norm(design, axis=1, keepdims=True), 1e-9)
    rows = []  # of each row and each other class: how far a step along d takes its own class ahead of that one
    for i in range(n):
        for k in range(classes):
            if k != y[i]:
                ahead = np.zeros((classes, design.shape[1]))
                ahead[y[i]], ahead[k] = design[i], -design[i]
                rows.append(ahead.ravel())
    apart = np.array(rows)
    found = scipy.optimize.linprog(-apart.sum(axis=0), A_ub=-apart, b_ub=np.zeros(len(apart)), bounds=(-1, 1), method="highs")
    said = messages(LinearClassifier(fit_intercept=intercept, max_passes=300), x, y)
    assert (-found.fun > 1e-9) == any("The coefficients diverge" in s for s in said), said
    assert not any("Not converged" in s for s in said)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize(("loss", "at"), [(LOGISTIC, 0), (LOGISTIC, 1), (ml.CLogLog(), 1), (POISSON, 0), (ml.Tweedie(1.5), 0)])
def test_one_target_at_the_end_of_its_domain(loss: Any, at: float, l2: float) -> None:
    x, _ = problem(SQUARED, 20, 2)
    assert messages(LinearRegressor(loss, l2=l2), x, np.full(20, at)) == [f"The intercept diverges: all targets are {at}."]


# --- collinear columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "lbfgs"])
@pytest.mark.parametrize("loss", SEVERAL, ids=label)
def test_collinear_and_constant_columns_stay_at_zero_and_are_named(loss: Any, method: str) -> None:
    if method == "lbfgs" and not loss.smooth:
        return
    for p in (3, 11):  # numbers that kernels multiply, and that BLAS does
        x, y = problem(loss, 90, p)
        wide = np.column_stack([x, x[:, 0] - 2 * x[:, 2], np.full(90, 7.0), x[:, 1]])
        model = model_of(loss, method=method, max_passes=500)
        said = messages(model, wide, y)
        assert len(said) == 1 and said[0].startswith("Collinear columns, whose coefficients stay at 0: "), said
        named = said[0].split(": ")[1].split(". ")[0].split(", ")
        zero = [f"x{j}" for j in np.flatnonzero((np.atleast_2d(model.coef_) == 0).all(axis=0))]
        assert len(named) == 3 and set(named) <= set(zero)
        assert f"x{p + 1}" in named and {f"x{p + 2}", "x1"} & set(named) and {f"x{p}", "x0", "x2"} & set(named)
        alone = model_of(loss, method=method, max_passes=500).fit(x, y)
        assert model.objective_ == pytest.approx(alone.objective_, rel=1e-9)
        assert messages(model_of(loss, method=method, l2=0.1), wide, y) == []


def test_collinear_levels_are_named() -> None:
    columns, y = table(SQUARED, 100)
    frame = FRAMES["polars"](columns).with_columns(again=pl.col("text 0").replace({"a": "A"}))
    model = LinearRegressor()
    (said,) = messages(model, frame, y)
    assert said.count("text 0 = ") + said.count("again = ") == 3
    np.testing.assert_allclose(model.predict(frame), LinearRegressor().fit(frame.drop("again"), y).predict(frame), rtol=1e-9)


@pytest.mark.parametrize("loss", SEVERAL, ids=label)
def test_fewer_rows_than_columns(loss: Any) -> None:
    x, y = problem(loss, 4, 9, classes=3)
    model = model_of(loss, max_passes=500)
    assert any(s.startswith("Collinear columns") for s in messages(model, x, y))
    entered = np.flatnonzero(np.abs(np.atleast_2d(model.coef_)).max(axis=0))
    assert np.isfinite(model.coef_).all() and len(entered) <= 3
    model.coef_ = model.coef_[..., entered]
    norm, rounding = off_optimum(model, x[:, entered], y)
    assert norm <= max(1e-8, rounding)
    assert messages(model_of(loss, l2=0.1, max_passes=500), x, y) == []


@pytest.mark.parametrize("loss", [loss for loss in SEVERAL if loss.family != "simplex"], ids=label)
def test_one_row_and_rows_that_are_all_the_same(loss: Any) -> None:
    y = {"binary": 1.0}.get(loss.family, 2.0)
    for n in (1, 6):
        model = LinearRegressor(loss)
        messages(model, np.tile([3.0, -1.0], (n, 1)), np.full(n, y))
        assert (model.coef_ == 0).all() and model.converged_
        np.testing.assert_allclose(model.predict([[3.0, -1.0]]), loss.predict(np.clip(loss.best_constant(np.full(n, y)), -30, 30)))


# --- size, and passes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e12, 1e-12, 1e140])
@pytest.mark.parametrize("loss", SEVERAL, ids=label)
def test_columns_of_any_size(loss: Any, scale: float) -> None:
    """Unpenalised coefficients are in a column's unit, and nothing else depends on it."""
    x, y = problem(loss, 80, 3)
    units = np.array([scale, 1, 1 / scale])
    for method in ("auto", "lbfgs") if loss.smooth else ("auto",):
        plain, scaled = (model_of(loss, tol=1e-10, method=method) for _ in range(2))
        assert messages(plain, x, y) == messages(scaled, x * units, y) == []
        # the others go to rounding, which is each BLAS's own: tol is in the objective's unit
        assert scaled.converged_ and scaled.n_passes_ <= plain.n_passes_ + 40
        np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=1e-6)
        assert scaled.objective_ == pytest.approx(plain.objective_, rel=1e-12)


@pytest.mark.parametrize("loss", [*SEVERAL, ml.SineSquared(), ml.SoftmaxSpherical()], ids=label)
def test_too_few_passes_are_told(loss: Any) -> None:
    x, y = problem(loss, 80, 3)
    enough = model_of(loss, max_passes=500).fit(x, y)
    for passes in range(1, min(enough.n_passes_ - 1, 6)):
        model = model_of(loss, max_passes=passes)
        (said,) = messages(model, x, y)
        assert said.startswith("Not converged: the gradient's largest entry is") and "tol = 1e-08" in said
        assert not model.converged_ and model.n_passes_ <= passes and model.gradient_norm_ > 1e-8
        assert (np.isfinite(theta_of(model)).all() and model.objective_ >= enough.objective_ * (1 - 1e-12)) or not loss.convex


# --- refusals -------------------------------------------------------------------------------------------------------------------

X, Y = problem(SQUARED, 30, 3)


def with_value(value: float) -> Any:
    x = X.copy()
    x[7, 2] = value
    return x


WRONG: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no rows": (SQUARED, (X[:0], Y[:0]), "0 sample"),
    "no columns": (SQUARED, (X[:, :0], Y), "0 feature"),
    "no rows in a frame": (SQUARED, (pl.DataFrame(X[:0]), Y[:0]), "0 rows"),
    "NaN": (SQUARED, (with_value(np.nan), Y), "NaN: row 7, column 2"),
    "infinity": (SQUARED, (with_value(np.inf), Y), "infinity: row 7, column 2"),
    "NaN in a frame": (SQUARED, (pd.DataFrame(with_value(np.nan), columns=list("abc")), Y), '"c", row 7: NaN'),
    "infinity in a frame": (SQUARED, (pl.DataFrame(with_value(-np.inf), ["a", "b", "c"]), Y), '"c", row 7: -infinity'),
    "one dimension": (SQUARED, (X[:, 0], Y), "Expected 2D array"),
    "three dimensions": (SQUARED, (X[None], Y), "dim 3"),
    "text": (SQUARED, (X.astype(str).astype(object) + "a", Y), "could not convert"),
    "complex": (SQUARED, (X.astype(complex), Y), "Complex data"),
    "dates": (SQUARED, (pd.DataFrame({"day": pd.date_range("2020", periods=30)}), Y), 'column "day"'),
    "one name twice": (SQUARED, (pd.DataFrame(X, columns=list("aab")), Y), "'a' 2 times"),
    "targets short": (SQUARED, (X, Y[:9]), "inconsistent"),
    "targets short in a frame": (SQUARED, (pl.DataFrame(X), Y[:9]), "inconsistent"),
    "targets wide": (SQUARED, (X, np.column_stack([Y, Y])), "1d array"),
    "targets NaN": (SQUARED, (X, with_value(np.nan)[:, 2]), "y contains NaN"),
    "targets none": (SQUARED, (X, None), "y is None"),
    "targets outside": (POISSON, (X, Y - 50), r"target\[0\] is .*allowed: \[0, inf\)"),
    "weights short": (SQUARED, (X, Y, np.ones(9)), r"shape \(9,\)"),
    "weights negative": (SQUARED, (X, Y, -np.ones(30)), r"sample_weight\[0\] is -1.0"),
    "weights NaN": (SQUARED, (X, Y, np.full(30, np.nan)), "sample_weight contains NaN"),
    "weights infinite": (SQUARED, (X, Y, np.full(30, np.inf)), "sample_weight contains infinity"),
    "weights all zero": (SQUARED, (X, Y, np.zeros(30)), "every sample_weight is zero"),
    "one class": (CROSS, (X, np.ones(30, int)), "1 class"),
    "one class of positive weight": (CROSS, (X, Y > 0, (Y > 0) * 1.0), "1 class"),
    "label None": (CROSS, (X, np.array(["a", None, "b"] * 10, object)), "missing label: row 1"),
    "label NA": (CROSS, (X, pd.Series(["a", "b", pd.NA] * 10)), "missing label: row 2|NaN"),
    "label NaN": (CROSS, (X, np.where(Y > 0, 1, np.nan)), "y contains NaN"),
    "labels that are numbers": (CROSS, (X, Y), "continuous"),
    "labels mixed in a list": (CROSS, (X, ["a", 1, 1] * 10), r"text \('a' in row 0\) and number \(1 in row 1\); allowed: "),
    "labels mixed": (CROSS, (X, np.array([2, 3, "b"] * 10, object)), r"number \(2 in row 0\) and text \('b' in row 2\)"),
    "labels mixed in a column": (CROSS, (X, pd.Series(["a", True, "b"] * 10)), r"y mixes labels of several types, text \('a' in row 0\)"),
    "a frame without columns": (SQUARED, (pl.DataFrame(), Y), "X is a data frame without columns"),
    "a frame of an index alone": (SQUARED, (pd.DataFrame(index=range(30)), Y), "X is a data frame without columns"),
    "distributions that do not sum to 1": (CROSS, (X, np.full((30, 3), 0.3)), r"target\[0\] sums to 0\.(9|8999)"),
    "a distribution below 0": (CROSS, (X, np.tile([-0.1, 0.6, 0.5], (30, 1))), r"target\[0, 0\] is -0.1"),
    "a distribution with NaN": (CROSS, (X, np.tile([np.nan, 0.5, 0.5], (30, 1))), r"target\[0, 0\] is nan"),
    "distributions for two classes": (LOGISTIC, (X, np.full((30, 2), 0.4)), "1d array"),
    "distributions of text": (CROSS, (X, np.full((30, 3), "a")), "column of probabilities a class"),
    "distributions of text in a frame": (CROSS, (X, pl.DataFrame({"a": [0.5] * 30, "b": ["c"] * 30})), 'column "b" has the type String'),
    "distributions short": (CROSS, (X, np.full((9, 2), 0.5)), "inconsistent"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_data_are_refused(name: str) -> None:
    loss, data, match = WRONG[name]
    with pytest.raises(ValueError, match=match):
        model_of(loss).fit(*data)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"l2": -1.0}, "l2 is -1.0"),
        ({"l2": np.nan}, "l2 is nan"),
        ({"l2": "a"}, "l2 is 'a'"),
        ({"l2": None}, "l2 is None"),
        ({"tol": -1e-9}, "tol is -1e-09"),
        ({"max_passes": 0}, "max_passes is 0"),
        ({"max_passes": 2.5}, "max_passes is 2.5"),
        ({"fit_intercept": None}, "fit_intercept is None; it must be True or False"),
        ({"fit_intercept": "no"}, "fit_intercept is 'no'"),
        ({"method": "sgd"}, "method is 'sgd'; allowed: auto, newton, lbfgs, interior_point"),
        ({"loss": "no such"}, "no loss is called 'no such'"),
        ({"loss": "cross_entropy"}, "LinearClassifier takes it"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        LinearRegressor(**options).fit(X, Y)


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight"])
def test_a_dict_is_refused_by_the_name_of_its_argument(argument: str) -> None:
    data = {"X": X, "y": Y, "sample_weight": None} | {argument: {"a": [1.0] * 30}}
    with pytest.raises(TypeError, match=f"{argument} is a dict; allowed: "):
        LinearRegressor().fit(**data)


def test_a_loss_of_a_number_takes_no_labels_and_of_two_classes_no_third() -> None:
    with pytest.raises(ValueError, match="LinearRegressor takes it"):
        LinearClassifier("poisson").fit(X, Y > 0)
    with pytest.raises(ValueError, match="Only binary classification is supported by logistic; there are 3 classes"):
        LinearClassifier("logistic").fit(X, np.arange(30) % 3)


# --- prediction -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["polars", "pandas", "pyarrow"])
def test_prediction_finds_columns_by_name(library: str) -> None:
    columns, y = table(SQUARED, 60)
    make = FRAMES[library]
    model = LinearRegressor().fit(make(columns), y)
    expected = model.predict(make(columns))
    turned = {name: columns[name] for name in reversed(columns)} | {"text extra": ["x"] * 60}
    np.testing.assert_array_equal(model.predict(make(turned)), expected)
    for lost in (["float 1"], ["bool 2", "int 3"]):
        with pytest.raises(ValueError, match=" and ".join(f'"{name}"' for name in lost)):
            model.predict(make({name: values for name, values in columns.items() if name not in lost}))
    other = FRAMES["polars"](columns)
    with pytest.raises(ValueError, match=r'column "float 1" has the type String; the model was trained on numbers'):
        model.predict(other.with_columns(pl.lit("much").alias("float 1")))
    with pytest.raises(ValueError, match=r'column "text 0" has the type .*; the model was trained on text'):
        model.predict(other.with_columns(pl.lit(1).alias("text 0")))
    with pytest.raises(ValueError, match=r'column "float 1", row 0: NaN'):
        model.predict(other.with_columns(pl.lit(None, pl.Float64).alias("float 1")))
    reference = model.predict(other.with_columns(pl.lit("a").alias("text 0")))
    with pytest.warns(UserWarning, match="60 rows have a level of text 0 that was not in training"):
        np.testing.assert_array_equal(model.predict(other.with_columns(pl.lit("new").alias("text 0"))), reference)
    with pytest.raises(TypeError, match="fitted to a data frame with categories"):
        model.predict(X)


def test_prediction_from_an_array_has_the_fits_width() -> None:
    model = LinearRegressor().fit(X, Y)
    with pytest.raises(ValueError, match="X has 2 features, but LinearRegressor is expecting 3"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="infinity: row 7, column 2"):
        model.predict(with_value(np.inf))


# --- Ctrl-C ---------------------------------------------------------------------------------------------------------------------


def test_an_interrupted_fit_leaves_nothing_behind() -> None:
    x, y = problem(POISSON, 60_000, 12)
    first = LinearRegressor("poisson").fit(x, y)
    limits, threads = threadpoolctl.threadpool_info(), threading.active_count()
    for _ in range(5):  # an interrupt that comes during a callback of the garbage collector, of which JAX has one, is lost
        timer = threading.Timer(0.05, _thread.interrupt_main)
        end = time.monotonic() + 5.0
        try:
            timer.start()
            while time.monotonic() < end:
                LinearRegressor("poisson", tol=0).fit(x, y)
        except KeyboardInterrupt:
            break
    else:
        pytest.fail("no interrupt came through")
    timer.join()
    assert threadpoolctl.threadpool_info() == limits
    assert threading.active_count() <= threads
    np.testing.assert_array_equal(LinearRegressor("poisson").fit(x, y).coef_, first.coef_)


def test_progress_is_told_of_every_pass_and_may_interrupt() -> None:
    told: list[int] = []
    found = solve(LOGISTIC, of_array(X), (Y > 0).astype(float), progress=told.append)
    assert told == list(range(1, found.passes + 1)) and len(found.trace) == found.passes
    limits = threadpoolctl.threadpool_info()

    def stop(passes: int) -> None:
        if passes == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(LOGISTIC, of_array(X), (Y > 0).astype(float), progress=stop)
    assert threadpoolctl.threadpool_info() == limits
