"""`compare` with an offset: a known part of the raw predictions of every linear model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matchloss.cli import main
from matchloss.comparison import compare
from matchloss.linear import LinearRegressorCV
from matchloss.linear.model import Model
from matchloss.tables.errors import DataError
from small_tables import label, number, table_of, three

LOSSES = "poisson,negative_binomial(size=2)"


@pytest.fixture(scope="module")
def stops() -> pl.DataFrame:
    """Counts over hours that differ between rows."""
    r = np.random.default_rng(4)
    hours, load, kind = r.uniform(0.2, 20, 400), r.normal(size=400), r.integers(0, 3, 400)
    count = r.poisson(hours * np.exp(0.4 * load - 0.3 * kind))
    city = pl.Series(kind).replace_strict({0: "Oslo", 1: "Rome", 2: "Bonn"}, return_dtype=pl.String)
    return pl.DataFrame({"stops": count, "load": load, "city": city, "log_hours": np.log(hours)})


def test_an_offset_is_added_where_models_learn_and_where_they_predict(stops):
    """Half of a column as offset moves its coefficient by a half, so that predictions stay as they were."""
    plain = compare(stops.drop("log_hours"), "stops", LOSSES)
    moved = compare(stops.with_columns(log_hours=0.5 * pl.col("load")), "stops", LOSSES, offset="log_hours")
    for one, other in zip(plain.fits, moved.fits, strict=True):
        np.testing.assert_allclose([s.value for s in one.scores.values()], [s.value for s in other.scores.values()], rtol=1e-5)
        np.testing.assert_allclose(one.raw, other.raw, rtol=1e-4, atol=1e-5)


def test_the_exposure_that_an_offset_tells_of_explains_the_counts(stops):
    found = compare(stops, "stops", LOSSES, offset="log_hours")
    without = compare(stops, "stops", LOSSES, drop=["log_hours"])
    assert found.verdicts[0].best == "poisson"  # from which the counts were drawn; both losses are ranked, as --exposure allows for one
    assert not found.verdicts[0].not_ranked
    ours, theirs = (fit.fits[0].scores["Poisson deviance"].value for fit in (found, without))
    assert ours < 0.5 * theirs
    assert "log_hours" not in [c.name for c in found.roles if c.role == "number"]
    assert any("log_hours is added to the raw predictions" in note for note in found.notes)
    model = found.fits[0].model
    assert isinstance(model, Model) and model.offset == "log_hours"


def test_a_penalty_is_chosen_on_the_folds_of_a_comparison(stops):
    gone = stops.with_columns(stops=pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("stops"))  # rows that are not compared
    found = compare(gone, "stops", LOSSES, drop=["log_hours"], folds=3)
    x, y = stops.select("load", "city"), stops["stops"].to_numpy()
    model = LinearRegressorCV("poisson", cv=found.folds, n_alphas=3).fit(x, y)
    assert model.loss_path_.shape == (3, len(found.folds))
    per_repeat = len(np.concatenate([test for _, test in found.folds[:3]]))
    assert per_repeat == found.scored == 397 and min(test.min() for _, test in found.folds) == 3
    assert all(not np.intersect1d(train, test).size for train, test in found.folds)


def test_links_that_differ_are_told(stops):
    found = compare(stops, "stops", "poisson,squared_error", offset="log_hours")
    assert any("log (poisson); identity (squared_error)" in note for note in found.notes)


def test_labels_take_an_offset_too():
    table = table_of(y=label).with_columns(o=pl.Series(np.linspace(-1, 1, 400)))
    assert compare(table, "y", "logistic", offset="o").fits[0].scores
    with pytest.raises(DataError, match="an offset is one number a row, and cross_entropy has a raw prediction for each label"):
        compare(table_of(y=three).with_columns(o=pl.lit(0.5)), "y", offset="o")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"offset": "log_hour"}, "log_hour"),
        ({"offset": "y"}, "--offset is y, which is the target"),
        ({"offset": "o", "model": "linear,trees"}, "--offset is for the raw predictions of linear models; --model trees has none"),
        ({"offset": "gap"}, "the offset gap is missing in row 3; an offset is finite"),
    ],
)
def test_what_an_offset_cannot_be(options, says):
    gap = pl.Series([0.5, 0.5, None, *[0.5] * 397])
    with pytest.raises(DataError, match=says):
        compare(table_of(y=number).with_columns(o=pl.lit(1.0), gap=gap), "y", **options)


def test_the_command_takes_it(stops, tmp_path: Path, capsys):
    path = tmp_path / "stops.csv"
    stops.write_csv(path)
    assert main(["compare", str(path), "--target", "stops", "--losses", LOSSES, "--offset", "log_hours"]) == 0
    assert "log_hours is added to the raw predictions" in " ".join(capsys.readouterr().out.split())
