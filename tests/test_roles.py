"""What each column of a table is, and what is said of it."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from matchloss.tables.design import describe, describe_unseen, learn, rows_of
from matchloss.tables.errors import DataError
from matchloss.tables.prepare import prepare
from matchloss.tables.roles import is_named_id, role_of
from matchloss.tables.words import listed


def of(values, name="c", **options):
    """The role of a column of these values."""
    return role_of(pl.Series(name, values), **options).role


def ready(table, **options):
    """The table prepared for a target that none of its columns has to do with."""
    y = np.random.default_rng(0).normal(size=table.height)
    return prepare(table.with_columns(y=pl.Series(y)), "y", **options)


def roles(prepared):
    return {column.name: column.role for column in prepared.columns if column.role != "target"}


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
    made = ready(table)
    assert describe(learn(made)[0], made) == [
        "Numbers: n, wild.",
        'Categories: flag (2 levels, False the reference), text (2 levels, missing one of them, "a" the reference).',
        "Missing numbers get the mean and an indicator column: n (1 row), wild (1 row).",
        "Infinite numbers are taken as missing: wild.",
        "Left out: same (one value in every row), empty (no values), nothing (no values), list (List(Int64) is not used).",
    ]
    assert [alert.split()[0] for alert in made.alerts] == ["when"]
    same = ready(pl.DataFrame({"same": [1, 1]}))
    assert describe(learn(same)[0], same)[-1] == "No column is left to learn from: every model is a constant."


def test_text_that_names_rows_or_has_many_levels_is_left_out_unless_asked_for():
    ids = pl.Series("key", [f"row {i}" for i in range(500)])
    many = pl.Series("key", [f"kind {i % 201}" for i in range(500)])
    assert (role_of(ids).role, role_of(ids).why) == ("id", "text, all different in 500 rows")
    assert (role_of(many).role, role_of(many).why) == ("text", "201 levels, more than 200")
    for column in (ids, many, many.cast(pl.Categorical)):
        assert role_of(column, as_levels=True).role == "category"
        frame = pl.DataFrame({"key": column, "x": range(500)}).with_columns(pl.col("x") % 7)
        kept = ready(frame, keep=["key"])
        assert kept.features.columns == ["key", "x"] and kept.alerts == ()
        assert kept.columns[0].done == "enters as levels, as --keep says"
    assert of([f"kind {i % 200}" for i in range(500)]) == "category"
    assert of(["Oslo", "Rome", "Bonn"]) == "category"  # of three rows, different values say nothing


@pytest.mark.parametrize(
    "text", ["2013-07-{:02d}", "2013-7-{} 12:30:00", "{:02d}/07/2013", "{}.7.13", "2013-07-{:02d}T05:00:00Z", "{}-Jul-2013", "Jul {}, 2013"]
)
def test_dates_written_as_text_are_times(text):
    found = role_of(pl.Series([text.format(1 + i % 28) for i in range(300)]))
    assert (found.role, found.why) == ("time", "dates, written as text")


@pytest.mark.parametrize("text", ["route-{}", "10.{}", "{}-77-99x", "1-{}", "May be {}"])
def test_other_text_with_digits_is_not(text):
    assert of([text.format(i % 28) for i in range(300)]) == "category"


def test_constants_are_constants_up_to_rounding_and_gaps_are_information():
    assert of([0.1 + 0.2, 0.3, 0.3]) == "constant"
    assert of([7, None, 7, 7]) == "number"
    assert of([1e300, -1e300, 0.5e300]) == "number"
    assert of([1.0, 1.0 + 1e-12]) == "number"
    assert of([np.inf, -np.inf, np.nan]) == of([np.inf, -np.inf, np.nan], as_levels=True) == of([None, None]) == "empty"
    assert of([3, 3, 3], as_levels=True) == "constant"


N = 300
RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("rownames", np.arange(1, N + 1), "id"),
        ("x", np.arange(N)[::-1], "id"),
        ("x", 1000 + 10 * RNG.permutation(N), "id"),  # evenly spaced, whatever their order
        ("x", np.cumsum(RNG.integers(1, 9, N)), "id"),  # in the order of the file
        ("x", np.arange(N).astype(float), "id"),  # pandas makes floats of whole numbers
        ("customer_id", RNG.choice(10**6, N, replace=False), "id"),
        ("CustomerID", RNG.choice(10**6, N, replace=False), "id"),
        ("", RNG.choice(10**6, N, replace=False), "id"),  # R writes row names under no name
        ("id", RNG.integers(0, 40, N), "number"),  # a name alone makes none
        ("grams", RNG.choice(10**6, N, replace=False), "number"),  # a measure may be unique
        ("year", 1700 + np.arange(N), "number"),
        ("x", np.arange(N) + 0.5, "number"),
        ("x", np.sort(RNG.normal(size=N)), "number"),
    ],
)
def test_whole_numbers_that_count_the_rows_are_ids_and_measures_are_not(name, values, role):
    assert of(values, name) == role


def test_names_of_ids_are_words_of_their_own():
    assert all(map(is_named_id, ["id", "ID", "user_id", "userId", "Row Number", "rownames", "Unnamed: 0", "index", "", "key"]))
    assert not any(map(is_named_id, ["paid", "idle", "width", "monkey", "area", "Id rather", "number"]))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (1_700_000_000 + RNG.integers(0, 10**7, N), "seconds since 1970"),
        (1_700_000_000_000 + RNG.integers(0, 10**10, N), "milliseconds since 1970"),
        (20200101 + RNG.integers(0, 28, N), "days written as whole numbers, such as 20200101"),
        (20200101.0 + np.arange(N) % 28, "days written as whole numbers, such as 20200101"),
        (1_700_000_000 + 60 * np.arange(N), "seconds since 1970"),  # in the order of the file, and no id for it
    ],
)
def test_times_written_as_numbers_are_times_and_never_ids(values, why):
    assert role_of(pl.Series("x", values)) == role_of(pl.Series("id", values))
    assert (role_of(pl.Series("x", values)).role, role_of(pl.Series("x", values)).why) == ("time", why)


def test_other_numbers_of_that_size_are_no_times():
    assert of(20200101 + RNG.integers(0, 99, N)) == "number"  # there is no 20200132
    assert of(RNG.integers(10**8, 10**10, N)) == "number"


def test_a_table_whose_columns_are_all_left_out_says_which_and_how_to_keep_them():
    with pytest.raises(DataError, match=r"no column is left to learn from. Left out: row \(id: whole numbers.*; --keep row takes it"):
        ready(pl.DataFrame({"row": range(50)}))


def test_levels_that_were_not_learned_are_said():
    table = pl.DataFrame({"c": ["b", "a", "a", "z", "y", "a"], "d": [None, "u", "u", "v", "u", "u"]})
    design, _ = learn(ready(table[:3]))
    assert describe_unseen(design, rows_of(design, table[3:], 3).unseen) == [
        'c: in 2 rows a level not seen in training, or none, counts as "a".',
        'd: in 1 row a level not seen in training, or none, counts as "u".',
    ]


def test_a_column_with_one_value_in_the_rows_learned_from_does_not_enter():
    table = pl.DataFrame({"x": [1, 1, 1, 2], "c": ["a", "a", "a", "b"], "z": [1, 2, 4, 3]})
    assert learn(ready(table[:3]))[0].names == ("z",) and learn(ready(table))[0].names == ("x", "c = b", "z")


def test_long_lists_are_cut():
    assert listed(map(str, range(12))).endswith("10, 11")
    assert listed(map(str, range(1012))).endswith("10, 11 and 1,000 more")
