"""A category of more levels than a whole hessian allows: they are eliminated."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.exceptions import ConvergenceWarning

import matchloss as ml
from cases import POINTWISE, label
from matchloss.linear import LinearRegressor, methods
from matchloss.linear.metric import of_arrow, of_matrix
from matchloss.linear.objective import Objective
from matchloss.linear.passes import Matrix
from matchloss.linear.plan import learn_rows
from matchloss.linear.rows import TableRows
from matchloss.linear.sources.memory import Memory

LEVELS = 60


def levelled(n: int, q: int = 2, big_first: bool = True) -> tuple[pl.DataFrame, Any]:
    """Numbers, a category of 60 levels and one of 3, and the log of a mean."""
    r = np.random.default_rng(0)
    big, small, x = r.permutation(np.arange(n) % LEVELS), r.integers(0, 3, n), r.normal(size=(n, q))
    z = x @ r.normal(size=q) / 4 + r.normal(size=LEVELS)[big] + 0.3 * small
    numbers = pl.DataFrame(x, [f"x{j}" for j in range(q)])
    levels = [pl.Series("big", big).cast(pl.String), pl.Series("small", small).cast(pl.String)]
    return numbers.with_columns(*levels if big_first else levels[::-1]), z


@pytest.fixture
def few_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newton's hessian whole up to 20 columns."""
    monkeypatch.setattr(methods, "NEWTON_COLUMNS", 20)


@pytest.mark.parametrize("big_first", [True, False])
@pytest.mark.parametrize("n", [600, 2000])
@pytest.mark.parametrize("q", [2, 12])
def test_an_arrow_is_the_gram_matrix(n: int, q: int, big_first: bool) -> None:
    rows = learn_rows(levelled(n, q, big_first)[0])[1]
    moved, weight = rows.largest_last(), np.random.default_rng(1).uniform(size=n)
    assert moved.levels[-1] == LEVELS and (moved is rows) == (not big_first)
    whole, arrow = (Matrix(moved, arrow=arrow).gram(weight) for arrow in (False, True))
    others = moved.width - LEVELS
    np.testing.assert_allclose(arrow[:, :others], whole[:, :others], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(arrow[others:, -1], np.diagonal(whole)[others:], rtol=1e-12)
    coef = np.random.default_rng(2).normal(size=len(rows.slots))

    def raw(rows: TableRows) -> Any:
        wide = np.zeros(rows.width)
        wide[rows.slots] = coef
        return Matrix(rows).times(wide)

    np.testing.assert_allclose(raw(moved), raw(rows), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_an_arrow_is_solved_as_the_matrix(l2: float) -> None:
    table, z = levelled(600)
    rows = learn_rows(table.with_columns(within=table["big"].cast(pl.Int64) % 7))[1].largest_last()  # constant within levels
    f, g = (Objective(ml.Poisson(), Memory(rows, np.exp(z)), l2, None, True, arrow=arrow) for arrow in (False, True))
    whole, arrow = (h.penalised(h.matrix.gram(np.exp(z))) for h in (f, g))
    one, other = of_matrix(whole, 1), of_arrow(arrow, g.levels, 1)
    assert len(one.dependent) == len(other.dependent) == (l2 == 0)
    if l2:
        gradient = np.random.default_rng(0).normal(size=f.size)
        np.testing.assert_allclose(other.solve(gradient), one.solve(gradient), rtol=1e-9)


@pytest.mark.parametrize("loss", [ml.Poisson(), ml.Gamma(), ml.Tweedie(1.5), ml.NegativeBinomial()], ids=label)
@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_the_same_fit_in_few_passes(loss: Any, l2: float, few_columns: None, monkeypatch: pytest.MonkeyPatch) -> None:
    table, z = levelled(3000)
    r = np.random.default_rng(3)
    y, weight = r.poisson(np.exp(z)) + 0.5, r.uniform(0.5, 2, 3000)
    model = LinearRegressor(loss, l2=l2, tol=1e-10).fit(table, y, weight)
    assert model.method_ == "Newton's method, levels eliminated" and model.converged_ and model.n_passes_ <= 9
    monkeypatch.setattr(methods, "NEWTON_COLUMNS", 1500)
    whole = LinearRegressor(loss, l2=l2, tol=1e-10).fit(table, y, weight)
    assert whole.method_ == "Newton's method"
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-6, atol=1e-8)
    assert model.objective_ == pytest.approx(whole.objective_, rel=1e-12)


def test_without_an_intercept(few_columns: None, monkeypatch: pytest.MonkeyPatch) -> None:
    table, z = levelled(2000)
    model = LinearRegressor("poisson", fit_intercept=False, tol=1e-10).fit(table, np.exp(z))
    monkeypatch.setattr(methods, "NEWTON_COLUMNS", 1500)
    np.testing.assert_allclose(
        model.coef_, LinearRegressor("poisson", fit_intercept=False, tol=1e-10).fit(table, np.exp(z)).coef_, rtol=1e-6
    )


def test_levels_of_zero_counts_and_collinear_columns_are_named(few_columns: None) -> None:
    table, z = levelled(3000)
    y = np.random.default_rng(0).poisson(np.exp(z)).astype(float)
    y[(table["big"] == "7") | (table["big"] == "31")] = 0
    with pytest.warns(ConvergenceWarning, match=r"The coefficients diverge.*Still growing: big = 31, big = 7\. An l2"):
        LinearRegressor("poisson").fit(table, y)
    within = table.with_columns(within=table["big"].cast(pl.Float64) % 7)
    with pytest.warns(ConvergenceWarning, match=r"Collinear columns, whose coefficients stay at 0: within\."):
        LinearRegressor("poisson").fit(within, np.exp(z))


@pytest.mark.parametrize("loss", POINTWISE, ids=label)
def test_the_rate_of_curvature_is_what_its_class_says(loss: Any) -> None:
    """hessian(z + t) = e^(c t) hessian(z): the losses whose classes name a c, and of those whose levels are eliminated no others."""
    low, high = loss.target_domain.low, loss.target_domain.high
    target = np.full(40, 0.5 if high == 1 else 1.5 if low == 0 else 0.3)
    z = np.linspace(-2, 2, 40)
    before, after = loss.hessian(z, target), loss.hessian(z + 0.5, target)
    rate = loss.simplified.curvature_rate
    if rate is not None:
        np.testing.assert_allclose(after, np.exp(0.5 * rate) * before, rtol=1e-12)
    elif loss.family == "positive":
        assert np.ptp(after / before) > 1e-3
