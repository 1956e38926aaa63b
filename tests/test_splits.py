"""Splits: equal folds by a key of the row, labels spread evenly, groups whole, times in order; models see no row that they predict."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from matchloss.linear.plan import learn_rows
from matchloss.tables.crossfit import cross_fit
from matchloss.tables.errors import DataError
from matchloss.tables.splits import NEVER, Split, asked_split, describe, plan

N = 1000
r = np.random.default_rng(5)
TABLE = pl.DataFrame({"x": r.normal(size=N), "c": r.choice(list("uvw"), N), "k": r.integers(0, 3, N)})
Y = pl.Series("y", r.normal(size=N))
LABELS = r.choice(3, N, p=[0.9, 0.08, 0.02])


def labelled(table: pl.DataFrame = TABLE, labels: np.ndarray = LABELS, **options: object) -> Split:
    classes = tuple("abc"[: labels.max() + 1])
    return plan(table, pl.Series("y", labels), asked_split("auto"), classes=classes, labels=labels, **options)  # type: ignore[arg-type]


def test_folds_are_equal_and_every_row_is_predicted_once_in_each_repeat() -> None:
    split = plan(TABLE, Y, asked_split("auto"))
    assert (split.how, split.folds.shape) == ("random", (5, N))
    for folds in split.folds:
        assert np.bincount(folds).tolist() == [200] * 5
    for repeat, train, test in split.parts():
        assert not set(train) & set(test) and len(train) + len(test) == N
        assert (split.folds[repeat][test] == split.folds[repeat][test[0]]).all()
    assert len({folds.tobytes() for folds in split.folds}) == 5  # repeats differ
    assert (plan(TABLE, Y, asked_split("auto"), seed=1).folds != split.folds).any()


def test_labels_are_spread_evenly() -> None:
    split = labelled()
    assert split.how == "stratified"
    for folds in split.folds:
        for label in range(3):
            count = np.bincount(folds[label == LABELS], minlength=5)
            assert count.max() - count.min() <= 1


def test_the_order_of_rows_and_columns_and_the_type_of_numbers_do_not_matter() -> None:
    order = r.permutation(N)
    other = TABLE[order].select("k", "x", "c").with_columns(pl.col("x").cast(pl.Float32), pl.col("k").cast(pl.Float64))
    folds = plan(other, Y[order].cast(pl.Float32), asked_split("auto")).folds
    assert (folds == plan(TABLE, Y, asked_split("auto")).folds[:, order]).all()


def test_dropping_a_few_rows_moves_few_others() -> None:
    kept = r.random(N) > 0.01
    folds = plan(TABLE.filter(kept), Y.filter(pl.Series(kept)), asked_split("auto")).folds
    assert (folds != plan(TABLE, Y, asked_split("auto")).folds[:, kept]).mean() < 0.02


def test_equal_rows_are_spread_over_the_folds() -> None:
    folds = plan(pl.DataFrame({"a": [1, 2] * 500}), pl.Series("y", [0.0, 1.0] * 500), asked_split("auto")).folds
    assert all(np.bincount(f).tolist() == [200] * 5 for f in folds)


@pytest.mark.parametrize(("rows", "repeats"), [(3_000, 5), (3_001, 3), (30_001, 1), (100_000, 1), (100_001, 1)])
def test_repeats_by_size_and_one_fifth_held_out_of_many(rows: int, repeats: int) -> None:
    split = plan(pl.DataFrame({"x": np.arange(rows)}), pl.Series("y", np.zeros(rows)), asked_split("auto"))
    assert split.folds.shape == (repeats, rows)
    if rows > 100_000:
        assert set(np.unique(split.folds)) == {NEVER, 4}  # the last of five folds: the variance takes the factor 5/4
        assert abs(len(split.scored) - rows / 5) <= 500 and len(list(split.parts())) == 1  # four standard deviations


@pytest.mark.parametrize("rows", [2, 3, 4, 9])
def test_a_handful_of_rows_is_enough(rows: int) -> None:
    split = plan(pl.DataFrame({"x": np.arange(rows)}), pl.Series("y", np.arange(rows)), asked_split("auto"))
    assert all(len(train) and len(test) for _, train, test in split.parts())


def test_groups_stay_whole() -> None:
    groups = pl.Series("g", [f"patient {i}" for i in r.integers(0, 40, N)])
    split = plan(TABLE, Y, asked_split("group:g"), by=groups)
    assert split.groups is not None and split.groups.max() == 39
    for _, train, test in split.parts():
        assert not set(groups[train]) & set(groups[test])
    two = plan(TABLE, Y, asked_split("group:g"), by=pl.Series("g", ["a", "b"] * 500))
    assert all(np.bincount(folds).tolist() == [500, 500] for folds in two.folds)


def test_a_time_is_predicted_from_earlier_times_alone() -> None:
    day = pl.Series("day", r.integers(0, 50, N))
    split = plan(TABLE, Y, asked_split("time:day"), by=day)
    for _, train, test in split.parts():
        assert day.to_numpy()[train].max() < day.to_numpy()[test].min()
    assert describe(split, asked_split("time:day"), 0).endswith("by a model of the rows that are earlier by day.")
    text = pl.Series("day", ["2020-01-01", "2020-02-01"] * 500)
    assert set(np.unique(plan(TABLE, Y, asked_split("time:day"), by=text).folds)) == {NEVER, 4}


@pytest.mark.parametrize(
    ("split", "by", "says"),
    [
        ("by hand", None, "must be auto, random, stratified, group:COLUMN or time:COLUMN"),
        ("group:", None, "--split is group:"),
        ("stratified", None, "the target is a number"),
        ("group:g", pl.Series("g", ["only"] * N), "every row has g = only"),
        ("time:g", pl.Series("g", [3] * N), "every row has g = 3"),
        ("time:g", pl.Series("g", ["soon"] * N), "text that is no date, such as 'soon'"),
        ("time:g", pl.Series("g", [None, *range(N - 1)]), "1 row of g have none"),
    ],
)
def test_splits_that_cannot_be_made_are_refused(split: str, by: pl.Series | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        plan(TABLE, Y, asked_split(split), by=by)
    with pytest.raises(DataError, match="--folds is 1"):
        plan(TABLE, Y, asked_split("auto"), folds=1)


def test_folds_that_leave_a_label_out_are_refused() -> None:
    rare = np.where(np.arange(N) < 1, 1, 0)
    with pytest.raises(DataError, match="y = b stands in 1 row, all held out together"):
        labelled(labels=rare)
    groups = pl.Series("g", ["x"] * 500 + ["y"] * 500)
    with pytest.raises(DataError, match="y = b stands in 1 row, all of them in groups of g that are held out together"):
        plan(TABLE, Y, asked_split("group:g"), classes=("a", "b"), labels=rare, by=groups)


def test_held_out_predictions_are_those_of_models_that_did_not_see_the_rows() -> None:
    design, rows = learn_rows(TABLE, missing="indicate")
    y, loss = Y.to_numpy(), ml.SquaredError()
    split = plan(TABLE, Y, asked_split("auto"))
    found = cross_fit(loss, rows, y, split, names=design.names)
    assert (found.models, found.failed, found.raw.shape) == (26, 0, (5, N))
    full = TABLE.with_columns(pl.lit(1.0).alias("one")).to_dummies("c", drop_first=True).cast(pl.Float64).to_numpy()
    for repeat, train, test in split.parts():
        coef = np.linalg.lstsq(full[train], y[train], rcond=None)[0]
        np.testing.assert_allclose(found.raw[repeat, test], full[test] @ coef, rtol=0, atol=1e-8)
