"""Which columns of a table enter a linear model, and what is said of the others."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from matchloss.linear.plan import learn
from matchloss.tables.columns import choose_columns, describe, describe_unseen, listed


def said(table, categorical=()):
    choice = choose_columns(table, categorical)
    training = table.select(choice.kept)
    return describe(learn(training, [c for c in categorical if c in choice.kept], missing="indicate"), choice, training)


def reasons(table, categorical=()):
    return {column.name: column.why for column in choose_columns(table, categorical).left_out}


def test_every_decision_is_said():
    table = pl.DataFrame(
        {
            "n": [1.0, None, 3.0],
            "flag": [True, False, True],
            "same": [5, 5, 5],
            "empty": pl.Series([None, None, None], dtype=pl.Float64),
            "nothing": pl.Series([None, None, None]),
            "when": [date(2020, 1, 1)] * 3,
            "list": [[1], [2], [3]],
            "text": ["a", None, "a"],
            "wild": [1.0, np.inf, 2.0],
        }
    )
    assert said(table) == [
        "Numbers: n, wild.",
        'Categories: flag (2 levels, False the reference), text (2 levels, missing one of them, "a" the reference).',
        "Missing numbers get the mean and an indicator column: n (1 row), wild (1 row).",
        "Infinite numbers are taken as missing: wild.",
        "Left out: same (constant), empty (no values), nothing (no values), when (dates and times are not used), "
        "list (List(Int64) is not used).",
    ]
    assert said(pl.DataFrame({"same": [1, 1]}))[-1] == "No column is left to learn from: every model is a constant."


def test_text_that_names_rows_or_has_many_levels_is_left_out_unless_asked_for():
    ids = pl.DataFrame({"id": [f"row {i}" for i in range(500)]})
    assert reasons(ids) == {"id": "looks like an id: 500 different values in 500 rows"}
    many = pl.DataFrame({"id": [f"kind {i % 201}" for i in range(500)]})
    assert reasons(many) == {"id": "201 levels, more than 200"}
    for table in (ids, many, many.cast(pl.Categorical)):
        assert reasons(table, ["id"]) == {}
    assert reasons(pl.DataFrame({"id": [f"kind {i % 200}" for i in range(500)]})) == {}
    assert reasons(pl.DataFrame({"city": ["Oslo", "Rome", "Bonn"]})) == {}  # of three rows, different values say nothing


@pytest.mark.parametrize("text", ["2013-07-{:02d}", "2013-7-{} 12:30:00", "{:02d}/07/2013", "{}.7.13", "2013-07-{:02d}T05:00:00Z"])
def test_dates_written_as_text_are_dates(text):
    table = pl.DataFrame({"when": [text.format(1 + i % 28) for i in range(300)]})
    (left,) = choose_columns(table).left_out
    assert left.suspect and left.why == "dates, written as text"


@pytest.mark.parametrize("text", ["route-{}", "10.{}", "{}-77-99x", "1-{}"])
def test_other_text_with_digits_is_not(text):
    assert reasons(pl.DataFrame({"c": [text.format(i % 28) for i in range(300)]})) == {}


def test_constants_are_constants_up_to_rounding_and_gaps_are_information():
    assert reasons(pl.DataFrame({"x": [0.1 + 0.2, 0.3, 0.3]})) == {"x": "constant"}
    assert reasons(pl.DataFrame({"x": [7, None, 7, 7]})) == {}
    assert reasons(pl.DataFrame({"x": [1e300, -1e300, 0.5e300]})) == {}
    assert reasons(pl.DataFrame({"x": [1.0, 1.0 + 1e-12]})) == {}
    assert reasons(pl.DataFrame({"x": [np.inf, -np.inf, np.nan]})) == {"x": "no values"}
    assert reasons(pl.DataFrame({"x": [np.inf, -np.inf, np.nan], "k": [3, 3, 3]}), ["x", "k"]) == {"x": "no values", "k": "constant"}


def test_levels_that_were_not_learned_are_said():
    train, test = pl.DataFrame({"c": ["b", "a", "a"], "d": [None, "u", "u"]}), pl.DataFrame({"c": ["z", "y", "a"], "d": ["v", "u", "u"]})
    design = learn(train, missing="indicate")
    assert describe_unseen(design, design.rows(test).unseen) == [
        'c: in 2 held-out rows a level not seen in training, or none, counts as "a".',
        'd: in 1 held-out row a level not seen in training, or none, counts as "u".',
    ]


def test_long_lists_are_cut():
    assert listed(map(str, range(12))).endswith("10, 11")
    assert listed(map(str, range(1012))).endswith("10, 11 and 1,000 more")
