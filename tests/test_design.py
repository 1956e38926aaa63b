"""From a table to a design matrix, and the linear model fitted to it."""

from datetime import date

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from matchloss.linear.design import learn
from matchloss.linear.solver import minimise

rng = np.random.default_rng(0)


def dense(matrix):
    return np.hstack([np.ones((matrix.rows, 1)), (matrix.values.toarray() - matrix.center) / matrix.scale])


def mixed(rows=60):
    return pl.DataFrame(
        {
            "age": rng.normal(40, 10, rows),
            "city": rng.choice(["Oslo", "Rome", "Bonn"], rows, p=[0.2, 0.5, 0.3]),
            "late": rng.integers(0, 2, rows).astype(bool),
            "hour": rng.integers(0, 24, rows),
        }
    )


def test_every_column_is_standardised_by_its_training_values():
    table = mixed()
    columns = dense(learn(table, categorical=["hour"]).apply(table))[:, 1:]
    assert np.allclose(columns.mean(axis=0), 0, atol=1e-12)
    assert np.allclose(columns.std(axis=0), 1)


@pytest.mark.parametrize("outputs", [(), (3,)])
def test_products_are_those_of_the_dense_matrix(outputs):
    table = mixed()
    matrix = learn(table).apply(table)
    coef, error = rng.normal(size=(1 + matrix.columns, *outputs)), rng.normal(size=(matrix.rows, *outputs))
    assert np.allclose(matrix.times(coef), dense(matrix) @ coef)
    assert np.allclose(matrix.transposed_times(error), dense(matrix).T @ error)


def test_test_rows_get_what_training_rows_taught():
    design = learn(pl.DataFrame({"x": [0.0, 2.0, 4.0, None], "c": ["a", "a", "b", None]}))
    fresh = pl.DataFrame({"x": [None, 2.0, np.inf], "c": ["z", None, "b"]})
    values = design.apply(fresh).values.toarray()
    assert values[:, 0].tolist() == [0, 0, 0]  # missing and infinite: the mean, which is 2
    assert values[0, 1] == values[2, 1] > 0 > values[1, 1]
    assert values[:, 2:].sum(axis=1).tolist() == [0, 1, 1]  # an unseen level is the reference
    assert design.unseen(fresh) == ['c: in 1 held-out row a level not seen in training counts as "a".']


def test_every_decision_is_said():
    table = pl.DataFrame(
        {
            "n": [1.0, None, 3.0],
            "flag": [True, False, True],
            "same": [5, 5, 5],
            "empty": pl.Series([None, None, None], dtype=pl.Float64),
            "when": [date(2020, 1, 1)] * 3,
            "list": [[1], [2], [3]],
            "text": ["a", None, "a"],
            "wild": [1.0, np.inf, 2.0],
        }
    )
    assert learn(table).messages == (
        "Numbers: n, flag, wild.",
        "Categories: text (2 levels, missing one of them).",
        "Missing numbers get the mean and an indicator column: n (1 row), wild (1 row).",
        "Infinite numbers are taken as missing: wild.",
        "Left out: same (constant), empty (no values), when (dates and times are not used), list (List(Int64) is not used).",
    )


def test_text_of_many_levels_is_left_out_unless_asked_for():
    table = pl.DataFrame({"id": [f"row {i}" for i in range(201)]})
    assert learn(table).messages[0] == "Left out: id (201 levels, more than 200)."
    assert learn(table.head(200)).apply(table).columns == 199
    assert learn(table, categorical=["id"]).apply(table).columns == 200


def test_a_constant_column_with_gaps_leaves_its_indicator():
    table = pl.DataFrame({"x": [7, None, 7, 7]})
    assert learn(table).apply(table).columns == 1


def test_huge_numbers_do_not_overflow():
    table = pl.DataFrame({"x": [1e300, -1e300, 0.5e300]})
    assert np.isclose(learn(table).apply(table).values.toarray().std(), 1)


def test_no_column_at_all_leaves_the_intercept():
    table = pl.DataFrame({"same": [1, 1, 1, 1]})
    design = learn(table)
    assert design.messages[-1] == "No column is left to learn from: every model is a constant."
    found = minimise(ml.SquaredError(), design.apply(table), np.array([1.0, 2.0, 3.0, 6.0]))
    assert np.allclose(found.coef, [3.0])


def test_the_solver_finds_least_squares():
    table = mixed(200)
    matrix = learn(table).apply(table)
    y = rng.normal(size=200)
    found = minimise(ml.SquaredError(), matrix, y)
    best, *_ = np.linalg.lstsq(dense(matrix), y)
    assert found.converged
    assert np.allclose(found.coef, best, atol=1e-4)
    assert np.isclose(found.objective, np.mean((dense(matrix) @ best - y) ** 2) / 2)


def test_the_solver_survives_an_exponential_that_overflows_and_says_when_it_stops_short():
    table = pl.DataFrame({"x": [0.0, 0.0, 0.0, 1.0]})
    y = np.array([0.0, 1e8, 3.0, 1e12])
    found = minimise(ml.Poisson(), learn(table).apply(table), y)
    assert np.isfinite(found.objective)
    short = minimise(ml.SquaredError(), learn(mixed(300)).apply(mixed(300)), rng.normal(size=300), max_passes=2)
    assert not short.converged
    assert short.passes <= 30  # a line search may end what the limit cut into


def test_a_ridge_keeps_the_model_finite_where_a_level_decides_the_label():
    table = pl.DataFrame({"c": ["a"] * 10 + ["b"] * 10 + ["z"]})
    y = np.array([0.0, 1.0] * 10 + [1.0])
    matrix = learn(table).apply(table)
    found = minimise(ml.Logistic(), matrix, y, ridge=1e-4)
    assert found.converged
    raw = matrix.times(found.coef)
    assert 4 < raw[-1] < 9
    assert found.objective == pytest.approx(ml.Logistic()(raw, y))
