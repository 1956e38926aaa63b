"""Comparisons that are refused: losses that do not fit the target, targets that no model could learn, options that make no sense."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matchloss.comparison import compare
from matchloss.tables.errors import DataError
from small_tables import label, number, table_of, three


@pytest.mark.parametrize(
    ("losses", "counts", "says"),
    [
        (["logistic"], None, r"logistic is for targets in \[0, 1\]; y goes from"),
        (["cross_entropy"], None, "the target y has 400 different values, too many for labels"),
        (["cross_entropy", "squared_error"], None, "cross_entropy is for labels"),
        (["squared_eror"], None, "there is no loss squared_eror; did you mean squared_error"),
        (["poisson"], None, r"poisson is for targets in \[0, inf\)"),
        ("huber(delta=x)", None, "cannot be read; a parameter is written NAME=NUMBER"),
        ("huber(delta=-1)", None, "delta is -1.0; allowed"),
        (None, True, "a count is 0 or more"),
    ],
)
def test_losses_that_do_not_fit_a_number_are_refused(losses, counts, says):
    with pytest.raises(DataError, match=says):
        compare(table_of(y=number), "y", losses=losses, counts=counts)


def test_losses_that_do_not_fit_labels_are_refused():
    with pytest.raises(DataError, match=r"squared_error is no loss for 2 labels; logistic, .* are"):
        compare(table_of(y=label), "y", losses=["squared_error"])
    with pytest.raises(DataError, match=r"logistic is no loss for 3 labels; cross_entropy, .* are"):
        compare(table_of(y=three), "y", losses=["logistic"])
    with pytest.raises(DataError, match="counts are numbers"):
        compare(table_of(y=label), "y", counts=True)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        ([5.0] * 9, "the target y is 5 in every row"),
        (["only"] * 9, "the target y is only in every row"),
        ([None] * 8 + [1.0], "1 row has a value of y"),
        ([1.0, 2.0, np.inf], "the target y is inf in row 3; it must be finite"),
        ([None, 1.0, -np.inf, 2.0], "the target y is -inf in row 3"),
        ([np.nan] * 5, "no row has a value of y"),
        (["a"] * 30 + ["b"], "y = b stands in 1 row, all held out together"),
        ([[1], [2]], "holds List"),
        ([f"text {i}" for i in range(100_000)], "100,000 different values, too many"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(y, says):
    column = pl.Series("y", y, strict=False)
    with pytest.raises(DataError, match=says):
        compare(pl.DataFrame({"y": column, "x": np.arange(len(y)) % 13}), "y")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"drop": ["y"]}, "y is the target"),
        ({"drop": ["z"]}, "has no column z"),
        ({"categorical": ["z"]}, "has no column z"),
        ({"rows": 1}, "--rows is 1"),
        ({"folds": 1}, "--folds is 1"),
        ({"split": "half"}, "--split is half; it must be auto"),
        ({"losses": []}, "names no loss"),
        ({"model": "forest!"}, "allowed: linear, trees"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(DataError, match=says):
        compare(table_of(y=number), "y", **options)
