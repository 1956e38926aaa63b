"""Linear programs of losses with kinks: the pieces of a loss, and an interior point method that proves what it found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

import matchloss as ml
import matchloss.linear.interior as interior_point
from cases import INSTANCES, POINTWISE, label, moderate
from kinks import EPS, KINKED, KINKS, SHAPES, WEIGHTS, Case, Dense, assert_certified, assert_solved, case, labelled
from matchloss.linear.interior import Interior, interior
from matchloss.linear.pieces import merged, pieces
from sweeps import examples


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_losses_with_kinks_and_they_alone_are_sums_of_pieces(loss: Any) -> None:
    if loss.smooth:
        assert getattr(loss, "pieces_formula", None) is None
        if loss in POINTWISE:
            with pytest.raises(NotImplementedError, match="not linear"):
                pieces(loss, np.zeros(3))
        return
    z, y = moderate(loss, 400)
    weight = np.random.default_rng(3).uniform(size=400)
    parts = pieces(loss, y, weight)

    def total(raw: NDArray[Any]) -> NDArray[Any]:
        return np.sum([np.where(raw > k, high, low) * (raw - k) for k, low, high in parts], axis=0)

    other = np.random.default_rng(4).normal(size=400) * 3
    share = weight / weight.sum()
    np.testing.assert_allclose(total(z) - total(other), share * (loss.value(z, y) - loss.value(other, y)), rtol=1e-12, atol=1e-15)
    slope = np.sum([np.where(z > k, high, low) for k, low, high in parts], axis=0)
    np.testing.assert_allclose(slope, share * loss.gradient(z, y), rtol=1e-12, atol=1e-18)
    assert all((low <= high).all() for _, low, high in parts)


@pytest.mark.parametrize("loss", KINKED, ids=label)
@pytest.mark.parametrize("soft", [False, True])
def test_merged_pieces_repeat_only_rows_that_have_two(loss: Any, soft: bool) -> None:
    r = np.random.default_rng(0)
    y = r.uniform(size=50) if soft else r.integers(0, 2, 50).astype(float)
    y[:5] = 0, 1, 0, 1, 0
    weight = np.where(np.arange(50) % 7 == 3, 0.0, 1.0)
    parts = pieces(loss, y, weight)
    index, kink, low, high = merged(parts)
    assert (index is None) == (not soft or loss.name != "hinge")
    if index is not None:
        assert len(index) == np.count_nonzero(weight) + np.count_nonzero((y > 0) & (y < 1) & (weight > 0))
    raw = r.normal(size=50) * 2
    z = raw if index is None else raw[index]
    expected = sum(float(np.sum(np.where(raw > k, b, a) * (raw - k))) for k, a, b in parts)
    assert float(np.sum(np.where(z > kink, high, low) * (z - kink))) == pytest.approx(expected, rel=1e-12)


# The method against others


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(SHAPES), st.sampled_from(KINKS), st.sampled_from(WEIGHTS))
def test_as_low_as_a_simplex_method(seed: int, shape: str, kinks: str, weights: str) -> None:
    problem = case(seed, shape, kinks, weights, ridged=False)
    found = problem.solve()
    assert_solved(problem, found)
    least = problem.linear_program()
    assert found.objective <= least + 1e-7 * abs(least) + 1e-12 * problem.terms(found.theta)


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(SHAPES), st.sampled_from(KINKS), st.sampled_from(WEIGHTS))
def test_a_certificate_bounds_every_other_theta(seed: int, shape: str, kinks: str, weights: str) -> None:
    """Weak duality: nothing is lower than the objective less the gap and what is left of the gradient."""
    problem = case(seed, shape, kinks, weights, ridged=True)
    solved = problem.solve()
    assert_solved(problem, solved)
    for found in (solved, problem.solve(max_passes=3)):
        assert_certified(problem, found)
        r = np.random.default_rng(seed)
        for size in (1e-8, 1e-4, 1e-2, 1.0):
            move = size * r.normal(size=len(found.theta)) * (np.abs(found.theta) + 1e-3)
            lower = found.objective - found.gap - found.gradient_norm * np.abs(move).sum()
            assert problem.value(found.theta + move) >= lower - 100 * EPS * problem.terms(found.theta)


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["normal", "integers", "levels", "repeated", "mostly 0"]), st.sampled_from(KINKS[:4]))
def test_with_a_ridge_as_low_as_the_dual_by_another_method(seed: int, shape: str, kinks: str) -> None:
    problem = case(seed, shape, kinks, "equal", ridged=True)
    problem.ridge[:] = problem.ridge.max() or 0.1  # the dual is then a box
    found = problem.solve()
    assert found.converged

    def negative(a: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        theta = -(problem.x.T @ a) / problem.ridge
        return float(np.dot(problem.kink, a) + 0.5 * np.dot(problem.ridge, theta**2)), problem.kink - problem.x @ theta

    middle = start = 0.5 * (problem.low + problem.high)
    box = np.column_stack([problem.low, problem.high])
    for _ in range(5):  # it stops at corners of the box where it need not: from a little inside it goes on
        other = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=box, options={"maxiter": 3000, "ftol": 1e-15, "gtol": 1e-10})
        start = 0.9 * other.x + 0.1 * middle
    assert -other.fun <= found.objective + 1e-12 * problem.terms(found.theta)  # a dual value: a lower bound
    slope = negative(other.x)[1]  # it may stop far from its end (seed 14299): at most so far, as its function is convex and the box bounded
    lacks = float(slope @ (other.x - np.where(slope > 0, problem.low, problem.high)))
    near = max(lacks, 1e-3 * abs(found.objective))
    assert found.objective <= -other.fun + near + 1e-9 * problem.terms(found.theta) + 1e-15


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("l2", [0.0, 1e-6, 1e-3, 1.0])
def test_hinge(soft: bool, l2: float) -> None:
    for seed in range(5):
        problem = labelled(seed, soft, l2)
        found = problem.solve()
        assert found.converged and found.iterations <= 25
        assert_certified(problem, found)
        if l2 == 0:
            assert found.objective <= problem.linear_program() + 1e-10


@pytest.mark.parametrize("l2", [0.0, 1e-4])
def test_hinge_on_separable_labels(l2: float) -> None:
    for seed in range(5):
        problem = labelled(seed, soft=False, l2=l2, noise=0.0)
        found = problem.solve()
        assert found.converged
        assert_certified(problem, found)
        assert (found.objective <= 1e-12) == (l2 == 0)
        if l2 == 0:
            assert ((problem.x @ found.theta) * problem.kink).min() >= 1 - 1e-12


def test_engel_against_stata_and_r() -> None:
    pytest.importorskip("statsmodels")
    import statsmodels.api as sm
    from statsmodels.regression.tests.results import results_quantile_regression as golden

    data = sm.datasets.engel.load_pandas().data
    x, y = np.column_stack([data.income, np.ones(len(data))]), data.foodexp.to_numpy()

    def fitted(alpha: float) -> Interior:
        _, kink, low, high = merged(pieces(ml.Pinball(alpha=alpha), y))
        return interior(Dense(x), kink, low, high, np.zeros(2))

    for stata in (golden.epanechnikov_hsheather_q75, golden.biweight_bofinger):
        found = fitted(stata.q)
        assert found.converged
        np.testing.assert_allclose(found.theta, stata.table[:, 0], rtol=2e-6)  # as many digits as it prints
        assert 2 * len(y) * found.objective == pytest.approx(stata.sum_adev, rel=1e-7)
    np.testing.assert_allclose(x @ fitted(0.1).theta, golden.Rquantreg.fittedvalues, atol=2e-5)


# What does not change it


@pytest.mark.parametrize("kinks", ["linear", "integers"])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_weights_are_repeated_rows(kinks: str, l2: float) -> None:
    r = np.random.default_rng(5)
    x = np.column_stack([np.ones(120), r.normal(size=(120, 3))])
    y = x @ np.ones(4) + r.normal(size=120)
    y = np.round(y) if kinks == "integers" else y
    w = r.integers(0, 4, 120)
    ridge = l2 * np.array([0.0, 1, 1, 1])
    _, kink, low, high = merged(pieces(ml.Pinball(alpha=0.3), y, w.astype(float)))
    found = interior(Dense(x), kink, low, high, ridge)
    _, kink, low, high = merged(pieces(ml.Pinball(alpha=0.3), np.repeat(y, w)))
    plain = interior(Dense(np.repeat(x, w, axis=0)), kink, low, high, ridge)
    assert found.converged and plain.converged
    assert found.objective == pytest.approx(plain.objective, rel=1e-12)
    if kinks == "linear":
        np.testing.assert_allclose(found.theta, plain.theta, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e6])
def test_units_of_kinks_and_columns_do_not_matter(unit: float) -> None:
    r = np.random.default_rng(6)
    x = np.column_stack([np.ones(500), r.normal(size=(500, 4))])
    y = x @ r.normal(size=5) + r.standard_t(3, size=500)
    w = np.full(500, 1 / 500)
    plain = Case(x, y, -0.7 * w, 0.3 * w, np.zeros(5)).solve()
    scaled = Case(x, unit * y, -0.7 * w, 0.3 * w, np.zeros(5)).solve()
    assert plain.converged and scaled.converged and plain.iterations == scaled.iterations
    np.testing.assert_allclose(scaled.theta, unit * plain.theta, rtol=1e-9)
    columns = np.array([1, unit, 1 / unit, 1, unit])
    scaled = Case(x * columns, y, -0.7 * w, 0.3 * w, np.zeros(5)).solve(tol=1e-8 * max(unit, 1 / unit, 1))
    assert scaled.converged
    np.testing.assert_allclose(scaled.theta * columns, plain.theta, rtol=1e-9)


def test_a_start_and_the_number_of_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    r = np.random.default_rng(7)
    x = np.column_stack([np.ones(30_000), r.normal(size=(30_000, 3))])  # several blocks
    y = x @ r.normal(size=4) + r.standard_cauchy(size=30_000)
    w = np.full(30_000, 1 / 30_000)
    problem = Case(x, y, -0.4 * w, 0.6 * w, np.zeros(4))
    plain = problem.solve()
    monkeypatch.setenv("MATCHLOSS_THREADS", "1")
    alone = problem.solve()
    np.testing.assert_array_equal(plain.theta, alone.theta)
    np.testing.assert_array_equal(plain.dual, alone.dual)
    near = problem.solve(start=plain.theta + 1e-3)
    assert plain.converged and near.converged
    np.testing.assert_allclose(near.theta, plain.theta, rtol=1e-9)


# Edges


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_ties_by_the_thousand(alpha: float) -> None:
    """Minutes of delay by categories: groups share their quantile with hundreds of rows, and some quantiles are not unique."""
    r = np.random.default_rng(8)
    n, levels = 20_000, 15
    group = r.integers(0, levels, n)
    y = np.floor(np.exp(r.normal(size=n) + 0.1 * group) * 3) - 5
    x = np.column_stack([np.ones(n), np.eye(levels)[group][:, 1:]])
    _, kink, low, high = merged(pieces(ml.Pinball(alpha=alpha), y))
    problem = Case(x, kink, low, high, np.zeros(levels))
    found = problem.solve()
    assert found.converged and found.iterations <= 20
    best = [ml.Pinball(alpha=alpha).best_constant(y[group == g]) for g in range(levels)]
    assert found.objective == pytest.approx(float(np.mean(ml.Pinball(alpha=alpha).value(np.array(best)[group], y))), rel=1e-12)


def test_a_row_that_is_missed_among_those_on_their_kinks_leaves_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 12 splits of the flights: slopes balance to 1e-8 without some rows, which rounding hides from the path."""
    r = np.random.default_rng(10)
    x = np.column_stack([np.ones(2_000), r.normal(size=(2_000, 3))])
    y = x @ r.normal(size=4) + r.standard_t(3, size=2_000)
    w = np.full(2_000, 1 / 2_000)
    problem = Case(x, y, -0.5 * w, 0.5 * w, np.zeros(4))
    best, vertex = problem.solve(), interior_point._vertex

    def one_missed(path: Any, settled: bool) -> Any:
        on = path.on.copy()
        path.on[np.flatnonzero(on)[:1]] = False
        found = vertex(path, settled)
        path.on = on
        return found

    monkeypatch.setattr(interior_point, "_vertex", one_missed)
    found = problem.solve()
    assert found.converged and found.gradient_norm <= 1e-8 and 0 <= found.gap <= 1e-8 * found.objective
    assert found.objective - found.gap <= best.objective + 1e-15 <= found.objective + 2e-15
    assert ((found.dual >= problem.low) & (found.dual <= problem.high)).all()
    np.testing.assert_allclose(x.T @ found.dual, 0, atol=1e-8)
    off = x @ found.theta - y
    assert found.gap == pytest.approx(problem.value(found.theta) - found.dual @ off, abs=1e-15)


def test_few_iterations_and_a_certificate_at_any_stop() -> None:
    r = np.random.default_rng(9)
    x = np.column_stack([np.ones(20_000), r.normal(size=(20_000, 11))])
    y = x @ r.normal(size=12) + r.standard_t(3, size=20_000)
    w = np.full(20_000, 1 / 20_000)
    for alpha in (0.01, 0.5, 0.9):
        problem, seen = Case(x, y, -alpha * w, (1 - alpha) * w, np.zeros(12)), []
        found = problem.solve(progress=lambda objective, gap, seen=seen: seen.append((objective, gap)))
        assert found.converged and found.iterations <= 22
        assert found.gradient_norm <= 1e-12 and found.gap <= 1e-12
        assert len(seen) == found.iterations and seen[-1][1] < 1e-3 * seen[0][1]
        assert problem.solve(start=found.theta).objective == pytest.approx(found.objective, rel=1e-13)
        early = problem.solve(max_passes=2)
        assert not early.converged and early.iterations == 2
        assert_certified(problem, early)


@pytest.mark.parametrize("loss", KINKED, ids=label)
def test_one_column_of_ones_finds_the_best_constant(loss: Any) -> None:
    _, y = moderate(loss, 301)
    _, kink, low, high = merged(pieces(loss, y))
    found = interior(Dense(np.ones((len(kink), 1))), kink, low, high, np.zeros(1))
    assert found.converged
    assert loss(np.full(301, found.theta[0]), y) == pytest.approx(loss(np.full(301, loss.best_constant(y)), y), rel=1e-12)


@pytest.mark.parametrize(("n", "p"), [(1, 1), (1, 5), (3, 8), (0, 2), (4, 0)])
def test_few_rows_or_columns(n: int, p: int) -> None:
    r = np.random.default_rng(n)
    problem = Case(r.normal(size=(n, p)), r.normal(size=n), np.full(n, -0.5), np.full(n, 0.5), np.zeros(p))
    found = problem.solve()
    assert found.converged and found.theta.shape == (p,) and found.dual.shape == (n,)
    if p:
        assert found.objective <= 1e-12


def test_rows_without_a_kink_are_a_linear_term() -> None:
    r = np.random.default_rng(2)
    problem = case(11, "normal", "linear", "equal", ridged=True)
    x, linear = np.vstack([problem.x, r.normal(size=(7, problem.x.shape[1]))]), 1e-2 * r.normal(size=7)
    more = Case(
        x,
        np.concatenate([problem.kink, r.normal(size=7)]),
        np.concatenate([problem.low, linear]),
        np.concatenate([problem.high, linear]),
        np.full(x.shape[1], 0.1),
    )
    found = more.solve()
    assert found.converged
    assert_certified(more, found)
    np.testing.assert_array_equal(found.dual[-7:], linear)
