"""Classifiers fitted to distributions over classes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.exceptions import ConvergenceWarning

import matchloss as ml
from cases import label
from fits import CROSS, LOGISTIC, off_optimum, problem
from matchloss.errors import DomainError, ShapeError
from matchloss.linear import LinearClassifier
from matchloss.linear.rows import of_array
from matchloss.linear.solve import solve
from sweeps import few, sweep

SIMPLEX = [CROSS, ml.Sparsemax(), ml.Entmax(), ml.Spherical(), ml.SoftmaxSpherical()]


def soft(n: int, p: int, classes: int) -> tuple[Any, Any]:
    """Numbers, and distributions that depend on them, some of them corners."""
    r = np.random.default_rng(0)
    x, _ = problem(CROSS, n, p)
    z = np.exp(x / x.std(axis=0) @ r.normal(size=(p, classes)) / 2)
    share = r.gamma(z) + 1e-3
    share[::5] = np.eye(classes)[share[::5].argmax(axis=1)]
    return x, share / share.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("loss", "method"),
    sweep(itertools.product(SIMPLEX, ["auto", "newton", "lbfgs"]), lambda loss, method: method == "auto" and few(loss)),
    ids=label,
)
def test_the_gradient_is_zero(loss: Any, method: str) -> None:
    if method == "newton" and not loss.convex:
        return
    for n in (60, 45_000 if method == "auto" else 3000):  # the largest from a subsample's optimum
        x, share = soft(n, 3, 4)
        weight = np.random.default_rng(1).uniform(size=n)
        weight[::7] = 0
        model = LinearClassifier(loss, l2=1e-3, method=method, max_passes=500).fit(x, share, weight)
        norm, rounding = off_optimum(model, x, share, weight)
        assert model.converged_ and norm <= 1e-8 + rounding
        assert model.classes_.tolist() == [0, 1, 2, 3] and model.coef_.shape == (4, 3)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_distribution_is_a_row_of_each_label_with_its_share_as_weight(classes: int) -> None:
    x, share = soft(200, 2, classes)
    labels = np.tile(np.arange(classes), 200)
    for loss in (CROSS, LOGISTIC, ml.Probit()) if classes == 2 else (CROSS,):
        model, repeated = (LinearClassifier(loss, l2=0.01, tol=1e-11) for _ in range(2))
        model.fit(x, share)
        repeated.fit(np.repeat(x, classes, axis=0), labels, share.ravel())
        np.testing.assert_allclose(model.coef_, repeated.coef_, rtol=1e-8)
        np.testing.assert_allclose(model.predict_proba(x), repeated.predict_proba(x), rtol=1e-8)
        assert model.score(x, share) == pytest.approx(repeated.score(np.repeat(x, classes, axis=0), labels, share.ravel()), rel=1e-12)


@pytest.mark.parametrize("kind", [bool, np.int8, np.float32, np.float64, list])
def test_corners_are_labels(kind: Any) -> None:
    x, y = problem(CROSS, 90, 3)
    corners = np.eye(3)[y]
    given = corners.tolist() if kind is list else corners.astype(kind)
    model, plain = LinearClassifier(l2=0.1).fit(x, given), LinearClassifier(l2=0.1).fit(x, y)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-9)
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))
    assert model.score(x, corners) == plain.score(x, y)


@pytest.mark.parametrize("make", [pd.DataFrame, lambda d: pl.DataFrame(d), lambda d: pa.table(d)], ids=["pandas", "polars", "pyarrow"])
def test_a_frame_names_the_classes(make: Any) -> None:
    x, share = soft(80, 2, 3)
    names = ["red", "green", "blue"]
    frame = make({name: share[:, k] for k, name in enumerate(names)})
    model = LinearClassifier(l2=0.01).fit(x, frame)
    assert model.classes_.tolist() == names
    assert set(model.predict(x)) <= set(names)
    np.testing.assert_array_equal(model.predict(x), np.array(names)[model.predict_proba(x).argmax(axis=1)])
    assert model.score(x, frame) == model.score(x, share) > 0.4
    assert model.score(x, model.predict(x)) == 1.0
    with pytest.raises(ValueError, match="y has 2 columns; the model has 3 classes"):
        model.score(x, share[:, :2])


def test_float32_sums_are_judged_as_float32() -> None:
    x, share = soft(500, 2, 3)
    near = share.astype(np.float32) * np.float32(1 + 2e-5)
    LinearClassifier(l2=0.01).fit(x, near)
    with pytest.raises(DomainError, match=r"target\[0.* 1\.0000.*; allowed: probabilities"):
        LinearClassifier(l2=0.01).fit(x, near.astype(np.float64))
    two = np.tile([0.5, 0.6], (500, 1))
    two[0] = 0.5
    with pytest.raises(DomainError, match=r"target\[1\] sums to 1\.1"):
        LinearClassifier("logistic").fit(x, two)
    LinearClassifier("logistic", l2=0.1).fit(x, two, np.eye(500)[0])  # a row of weight 0 is not looked at


def test_targets_are_not_changed_and_may_be_read_only() -> None:
    x, share = soft(2000, 2, 3)
    share.setflags(write=False)
    before = share.copy()
    model = LinearClassifier(l2=0.01).fit(x, share)
    strided = LinearClassifier(l2=0.01).fit(x, np.repeat(share, 2, axis=0)[::2])
    np.testing.assert_array_equal(share, before)
    np.testing.assert_array_equal(model.coef_, strided.coef_)


def test_a_class_without_mass_has_no_finite_best() -> None:
    x, share = soft(100, 2, 3)
    share[:, 0] += share[:, 2]
    share[:, 2] = 0
    with pytest.warns(ConvergenceWarning, match="The coefficients diverge"):
        LinearClassifier().fit(x, share)


def test_solve_says_which_shapes_it_takes() -> None:
    x, share = soft(20, 2, 3)
    with pytest.raises(ShapeError, match=r"target has shape \(20, 3\); 20 rows ask for \(20,\) or \(20, 4\)"):
        solve(CROSS, of_array(x), share, outputs=4)
    with pytest.raises(ShapeError, match=r"20 rows ask for \(20,\)$"):
        solve(LOGISTIC, of_array(x), share)
