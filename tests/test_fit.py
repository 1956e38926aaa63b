"""A fit to a table: the loss and why, the rows, what is said and warned of, the scores, effects and reliability."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from matchloss.fit.run import fit
from matchloss.losses import CATALOGUE
from matchloss.tables.errors import DataError
from matchloss.tables.prepare import prepare
from matchloss.tables.splits import asked_split, split_of
from sweeps import FEW, sweep

ROWS = 600


def table_of(rows=ROWS, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    c = rng.choice(["a", "b", "c"], rows)
    mean = 0.8 * x + (c == "b")
    return pl.DataFrame(
        {
            "x": x,
            "c": c,
            "number": 3 * mean + rng.normal(size=rows),
            "label": np.where(mean + rng.logistic(size=rows) > 0, "yes", "no"),
            "three": np.array(["low", "mid", "high"])[np.digitize(mean + rng.logistic(size=rows), [-1, 1])],
            "count": rng.poisson(np.exp(0.5 * mean)),
            "positive": np.exp(0.5 * mean) * rng.gamma(2.0, 0.5, rows),
            "share": 1 / (1 + np.exp(-mean - rng.normal(size=rows))),
        }
    )


TABLE = table_of()
FEATURES = ["x", "c"]


def of(target, table=TABLE, **options):
    extra = [name for name in table.columns if name not in TABLE.columns]
    return fit(table.select(*FEATURES, *extra, target), target, **options)


@pytest.mark.parametrize(
    ("target", "options", "loss", "why"),
    [
        ("number", {}, ml.SquaredError(), "squared_error, since number is a number."),
        ("label", {}, ml.Logistic(), "logistic, since label has two classes."),
        ("three", {}, ml.CrossEntropy(), "cross_entropy, since three has 3 classes."),
        ("count", {"counts": True}, ml.Poisson(), "poisson, since count is a count."),
        ("count", {}, ml.Poisson(), "poisson, since count is a count."),
        ("positive", {"loss": "gamma"}, ml.Gamma(), "gamma, as --loss says."),
        (
            "positive",
            {"loss": "tweedie", "parameters": {"power": 1.2}},
            ml.Tweedie(power=1.2),
            "tweedie, as --loss says, with power = 1.2.",
        ),
        (
            "number",
            {"loss": "quantile"},
            ml.Pinball(alpha=0.5),
            "pinball, as --loss says, with alpha = 0.5, since --param does not say otherwise.",
        ),
        ("share", {"loss": "logistic"}, ml.Logistic(), "logistic, as --loss says."),
        ("label", {"loss": "cross_entropy"}, ml.CrossEntropy(), "cross_entropy, as --loss says."),
    ],
)
def test_each_target_gets_its_loss_and_the_reason_is_said(target, options, loss, why):
    found = of(target, **options)
    assert found.model.loss == loss and found.why.startswith(why)
    assert found.converged and found.gradient_norm <= 1e-8 and found.warnings == ()
    assert (found.rows, found.dropped, found.scored) == (ROWS, 0, ROWS)
    assert found.model.design.names == ("x", "c = b", "c = c")
    name = next(iter(found.scores))
    assert found.scores[name].value < found.constant[name].value
    assert list(found.scores) == list(found.constant)


def test_counts_are_told_from_other_whole_numbers():
    rng = np.random.default_rng(0)
    for y, name in (
        (rng.poisson(0.7, ROWS), "poisson"),
        (rng.integers(0, 24, ROWS), "squared_error"),  # hours
        (rng.integers(1950, 2020, ROWS), "squared_error"),  # years
        (rng.poisson(0.7, ROWS) - 1, "squared_error"),
        (rng.poisson(0.7, ROWS) + 0.5, "squared_error"),
    ):
        found = fit(pl.DataFrame({"x": TABLE["x"], "y": y}), "y")
        assert found.model.loss.name == name
        (said,) = (message for message in found.messages if message.startswith("The target y"))
        assert ("--counts" in said) == (name != "poisson" and y.min() >= 0 and bool((y == np.floor(y)).all()))
        assert ("--no-counts" in said) == (name == "poisson")
        assert found.kind == ("count" if name == "poisson" else "number")


def test_huber_is_tuned_and_two_numbers_may_be_a_number():
    found = of("number", loss="huber")
    assert "median absolute deviation" in found.why and found.model.loss.parameters["delta"] > 2
    two = TABLE.with_columns((TABLE["label"] == "yes").cast(pl.Int64).alias("two"))
    assert fit(two.select("x", "two"), "two").kind == "binary"
    assert fit(two.select("x", "two"), "two", loss="squared_error").kind == "number"


def test_the_model_is_the_least_squares_of_all_rows_and_the_scores_are_of_rows_that_a_model_did_not_see():
    weighted = TABLE.with_columns(w=pl.Series(np.random.default_rng(3).integers(0, 4, ROWS)))
    x = np.stack([np.ones(ROWS), weighted["x"], weighted["c"] == "b", weighted["c"] == "c"], axis=1)
    y, w = weighted["number"].to_numpy(), np.sqrt(weighted["w"].to_numpy())
    plain, heavy = of("number"), of("number", weighted, weight="w")
    for found, root in ((plain, np.ones(len(y))), (heavy, w)):
        best = np.linalg.lstsq(x * root[:, None], y * root)[0]
        assert np.allclose([found.model.intercept, *found.model.coef], best)
    prediction, unseen = plain.model.predict(weighted)
    assert np.allclose(prediction, x @ np.linalg.lstsq(x, y)[0]) and unseen == {}
    features = weighted.select(*FEATURES, "number")
    shares = split_of(prepare(features, "number"), features, asked_split("auto"), None, 0)
    for found, root in ((plain, np.ones(len(y))), (heavy, w)):
        error, level = np.empty((2, shares.repeats, len(y)))
        for repeat, train, test in shares.parts():
            other = x[test] @ np.linalg.lstsq((x * root[:, None])[train], (y * root)[train])[0]
            error[repeat, test] = (y[test] - other) ** 2
            level[repeat, test] = (y[test] - np.average(y[train], weights=root[train] ** 2)) ** 2
        assert found.scores["squared error"].value == pytest.approx(np.average(error.mean(axis=0), weights=root**2))
        assert found.constant["squared error"].value == pytest.approx(np.average(level.mean(axis=0), weights=root**2))


@pytest.mark.parametrize("name", sweep(sorted(CATALOGUE), (*FEW, "pinball").__contains__))
def test_every_loss_can_be_fitted_scored_and_described(name):
    family = CATALOGUE[name].family
    found = of({"regression": "number", "binary": "label", "positive": "positive", "simplex": "three"}[family], loss=name, l2=1e-3, folds=2)
    assert all(np.isfinite(score.value) or score.infinite for score in found.scores.values())
    assert np.isfinite(found.model.coef).all() and len(found.effects) == found.model.coef.size
    own = {"regression": name not in ("squared_error", "absolute_error"), "positive": True}.get(family, False)
    assert (next(iter(found.scores)) == f"{name} loss") == own
    assert bool(found.reliability) == (found.model.loss.functional in ("mean", "median", "quantile", "expectile"))


def test_effects_are_coefficients_times_deviations():
    gaps = TABLE.with_columns(pl.when(pl.arange(ROWS) % 5 == 0).then(None).otherwise("x").alias("x"))
    found = of("number", gaps)
    columns = {
        "x": gaps["x"].fill_null(gaps["x"].mean()),
        "x is missing": gaps["x"].is_null(),
        "c = b": gaps["c"] == "b",
        "c = c": gaps["c"] == "c",
    }
    assert [e.effect for e in found.effects] == sorted((e.effect for e in found.effects), reverse=True)
    for effect in found.effects:
        values = columns[effect.name].to_numpy().astype(float)
        assert effect.coef == found.model.coef[found.model.design.names.index(effect.name)]
        assert effect.effect == pytest.approx(abs(effect.coef) * values.std())
        assert effect.share == pytest.approx(np.mean(values != 0))
    many = of("three")
    assert {e.toward for e in many.effects} == set(many.model.classes) == {"low", "mid", "high"}
    for name in many.model.design.names:
        assert sum(e.coef for e in many.effects if e.name == name) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("target", ["number", "label", "three", "count"])
def test_reliability_is_of_rows_that_a_model_did_not_see(target):
    found = of(target)
    names = [r.label for r in found.reliability]
    assert names == {"number": [""], "count": [""], "label": ["yes"]}.get(target, names)
    assert len(found.reliability) == (3 if target == "three" else 1)
    for diagram in found.reliability:
        assert diagram.rows == ROWS
        assert (np.diff(diagram.value) >= 0).all()


def test_missing_values_are_refused_dropped_or_indicated():
    gaps = TABLE.with_columns(
        pl.when(pl.arange(ROWS) % 10 == 7).then(np.nan).otherwise("x").alias("x"),
        pl.when(pl.arange(ROWS) % 20 == 1).then(None).otherwise("c").alias("c"),
        pl.when(pl.arange(ROWS) < 4).then(None).otherwise("number").alias("number"),
        empty=pl.lit(None, pl.Float64),
    )
    with pytest.raises(DataError, match=r"x has no value in row 8; --missing drop leaves such rows out"):
        of("number", gaps, missing="error")
    dropped = of("number", gaps, missing="drop")
    gone = (gaps["number"].is_not_null() & (gaps["x"].is_nan() | gaps["c"].is_null())).sum()
    assert dropped.dropped == 4 + gone and dropped.scored == ROWS - 4 - gone
    assert any(m.startswith(f"{gone} rows with missing values dropped, as --missing drop says") for m in dropped.messages)
    assert dropped.model.design.names == ("x", "c = b", "c = c")
    indicated = of("number", gaps)
    assert indicated.model.design.names == ("x", "x is missing", "c = b", "c = c", "c is missing")
    assert indicated.dropped == 4
    assert of("number", missing="error").model.design == dropped.model.design


def test_infinite_values_are_missing_ones():
    wild = TABLE.with_columns(pl.when(pl.arange(ROWS) % 10 == 7).then(-np.inf).otherwise("x").alias("x"))
    gaps = TABLE.with_columns(pl.when(pl.arange(ROWS) % 10 == 7).then(None).otherwise("x").alias("x"))
    assert (of("number", wild).model.coef == of("number", gaps).model.coef).all()
    assert "Infinite numbers are taken as missing: x." in of("number", wild).messages
    with pytest.raises(DataError, match="x is -inf in row 8; --missing drop"):
        of("number", wild, missing="error")


def test_a_declared_level_that_is_in_no_row_has_no_coefficient():
    declared = pl.Enum(["z", "c", "a", "b"])
    table = TABLE.with_columns(pl.col("c").cast(declared))
    found = of("number", table)
    assert found.model.design.names == ("x", "c = a", "c = b") and found.warnings == ()
    fresh = table.head(3).with_columns(c=pl.Series(["z", "c", "z"], dtype=declared))
    prediction, unseen = found.model.predict(fresh)
    assert unseen == {"c": 2} and np.allclose(prediction, found.model.intercept + found.model.coef[0] * fresh["x"].to_numpy())


def test_a_class_that_no_model_could_learn_is_refused():
    labels = ["a"] * 30 + ["b"] * 30 + ["c"]
    table = pl.DataFrame({"y": labels, "x": np.random.default_rng(0).normal(size=61)})
    with pytest.raises(DataError, match="y = c stands in 1 row, all held out together, so that no model can learn it"):
        fit(table, "y")
    weighted = table.with_columns(y=pl.Series([*labels[:-1], "b"]), w=pl.Series([1.0] * 30 + [0.0] * 31))
    with pytest.raises(DataError, match="every row of y = b has the weight 0"):
        fit(weighted, "y", weight="w")
    assert all(fit(table[:60], "y", l2=0.1, seed=seed).converged for seed in range(3))


def test_ids_and_dates_are_left_out_and_said():
    table = TABLE.with_columns(
        flight=pl.Series([f"UA{i:05d}" for i in range(ROWS)]),
        row=pl.Series(range(ROWS)),
        shuffled=pl.Series(np.random.default_rng(0).permutation(ROWS)),
        when=pl.Series([date(2013, 1, 1) + timedelta(days=i // 3) for i in range(ROWS)]),
        day=pl.Series([f"2013-01-{1 + i % 28:02d}" for i in range(ROWS)]),
    )
    found = of("number", table)
    assert found.alerts == (
        "flight is left out: an id (text, all different in 600 rows). If it is a measure: --keep flight [id]",
        "row is left out: an id (whole numbers that count the rows). If it is a measure: --keep row [id]",
        "shuffled is left out: an id (whole numbers that count the rows). If it is a measure: --keep shuffled [id]",
        "when is left out: times (dates and times). --dates parts makes year, month, weekday and hour of it [time]",
        "day is left out: times (dates, written as text). --dates parts makes year, month, weekday and hour of it [time]",
    )
    assert set(found.model.design.names) == {"x", "c = b", "c = c"}
    assert set(of("number", table, keep=["row"]).model.design.names) == {"x", "c = b", "c = c", "row"}
    assert of("number", table, drop=["when", "row", "day", "flight", "shuffled"]).alerts == ()


@pytest.mark.parametrize("target", ["number", "label", "three", "count", "positive"])
def test_the_target_under_another_name_is_found(target):
    rng = np.random.default_rng(5)
    y = TABLE[target]
    text = y.dtype == pl.String
    codes = y.rank("dense").to_numpy().astype(float)
    leaks = {
        "copy": y,
        "code": pl.Series(codes / 2),
        "noisy": pl.Series(codes + rng.normal(size=ROWS) * 1e-3 * codes.std()),
        "backwards": pl.Series(-1.5 * codes + 7),
    }
    if text:
        leaks["letter"] = y.str.slice(0, 1)
    for name, leak in leaks.items():
        if name == "copy" and not text:
            leak = leak.cast(pl.Float64)
        found = of(target, TABLE.with_columns(leak.alias("leak")), l2=1e-3)
        assert [alert.split()[0] for alert in found.alerts] == ["leak"] and found.alerts[0].endswith("--keep leak [leak]"), name
        assert "leak" not in found.model.design.names


@pytest.mark.parametrize(
    ("target", "options", "says"),
    [
        ("number", {"loss": "logistic"}, r"logistic is for targets in \[0, 1\]; number goes from"),
        ("number", {"loss": "squared_eror"}, "there is no loss squared_eror; did you mean squared_error"),
        ("number", {"loss": "tweedie", "parameters": {"pwer": 1.5}}, "tweedie has no parameter pwer; did you mean power"),
        ("number", {"loss": "logistic", "parameters": {"power": 1.5}}, "logistic has no parameter power; it has none"),
        ("number", {"loss": "pinball", "parameters": {"alpha": 1.5}}, r"alpha is 1.5; allowed: \(0, 1\)"),
        ("number", {"parameters": {"alpha": 0.5}}, "--param alpha needs --loss"),
        ("number", {"loss": "poisson"}, r"poisson is for targets in \[0, inf\); number goes from"),
        ("number", {"loss": "gamma"}, r"gamma is for targets in \(0, inf\)"),
        ("label", {"loss": "squared_error"}, "squared_error is no loss for 2 labels"),
        ("three", {"loss": "logistic"}, "logistic is no loss for 3 labels; cross_entropy, .* are"),
        ("label", {"counts": True}, "the target label holds text; counts are numbers"),
        ("number", {"loss": "cross_entropy"}, "too many for labels"),
        ("number", {"l2": -1.0}, "--l2 is -1; it must be finite and at least 0"),
        ("number", {"l2": np.inf}, "--l2 is inf"),
        ("number", {"missing": "ignore"}, "--missing is ignore; it must be error, drop or indicate"),
        ("number", {"weight": "w"}, "the table has no column w"),
        ("number", {"weight": "number"}, "number is the target: it cannot be the weight too"),
        ("number", {"weight": "x", "drop": ["x"]}, "x is the weight: it is no column to drop"),
        ("number", {"weight": "c"}, "the weight c holds String: weights are numbers"),
        ("number", {"weight": "x"}, "the weight x is -.* in row .*; a weight is finite and at least 0"),
        ("number", {"drop": ["number"]}, "number is the target"),
        ("number", {"split": "half"}, "--split is half; it must be auto, random"),
        ("number", {"split": "group:z"}, "has no column z"),
        ("number", {"split": "time:number"}, "number is the target: rows cannot be split by it"),
        ("number", {"folds": 1}, "--folds is 1; it must be 2 or more"),
        ("number", {"categorical": ["z"]}, "has no column z"),
    ],
)
def test_what_makes_no_sense_is_refused(target, options, says):
    with pytest.raises(DataError, match=says):
        of(target, **options)


@pytest.mark.parametrize(("value", "shown"), [(None, "missing"), (np.nan, "missing"), (np.inf, "inf"), (-0.5, "-0.5")])
def test_bad_weights_are_refused_by_row_unless_their_row_has_no_target(value, shown):
    weight = pl.Series([1.0] * 10 + [value] + [2.0] * (ROWS - 11), strict=False)
    with pytest.raises(DataError, match=f"the weight w is {shown} in row 11; a weight is finite and at least 0"):
        of("number", TABLE.with_columns(w=weight), weight="w")
    blank = TABLE.with_columns(pl.when(pl.arange(ROWS) == 10).then(None).otherwise("number").alias("number"), w=weight)
    assert of("number", blank, weight="w").dropped == 1
    with pytest.raises(DataError, match="the weight w is 0 in every row"):
        of("number", TABLE.with_columns(w=pl.lit(0)), weight="w")


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_a_handful_of_rows_or_more_columns_than_rows_is_fitted_and_warned_of(rows):
    rng = np.random.default_rng(0)
    table = pl.DataFrame({f"x{i}": rng.normal(size=rows) for i in range(7)} | {"y": [1.5, 2.5, 0.5, 9.5, 3.5][:rows]})
    found = fit(table.with_columns((pl.col("y") * 2 + 1).alias("y")), "y", loss="squared_error")
    assert found.scored == rows and np.isfinite(found.model.coef).all()
    assert any("ollinear" in warning for warning in found.warnings)


def test_constant_and_collinear_columns_do_no_harm():
    table = TABLE.with_columns(same=pl.lit(3.0), twice=pl.col("x") * 2)
    found = of("number", table)
    assert "same" not in found.model.design.names and found.converged
    assert any("ollinear" in w and ("twice" in w or " x" in w) for w in found.warnings)
    prediction = found.model.predict(table)[0]
    assert np.allclose(prediction, of("number").model.predict(TABLE)[0], atol=1e-6)


def test_an_exponential_that_overflows_on_held_out_rows_is_an_infinite_score():
    x = np.r_[np.linspace(0, 1, 200), 1e4]
    table = pl.DataFrame({"x": x, "y": np.r_[np.round(np.exp(3 * x[:-1])), 5.0]})
    found = fit(table, "y", loss="poisson")
    assert all(score.infinite == 1 for score in found.scores.values()) and not any(s.infinite for s in found.constant.values())


def test_the_same_seed_is_the_same_fit_and_progress_is_told():
    told = []
    first, again, other = of("label", progress=told.append), of("label"), of("label", seed=1)
    assert first.scores == again.scores != other.scores
    assert (first.model.coef == again.model.coef).all()
    assert any(text.startswith("logistic: all rows, pass ") for text in told)


def test_a_model_remembers_how_it_came_about():
    found = of("label", l2=1e-3, source="flights.csv")
    about = found.model.about
    assert about["scores"]["log"] == {"model": found.scores["log"].value, "constant": found.constant["log"].value}
    assert (about["source"], about["l2"], about["scored"], about["converged"]) == ("flights.csv", 1e-3, ROWS, True)


@pytest.mark.parametrize(
    ("target", "loss", "options"),
    [
        ("number", "squared_error", {}),
        ("number", "huber", {"folds": 3, "seed": 4}),
        ("count", "poisson", {}),
        ("label", "logistic", {}),
        ("three", "cross_entropy", {"split": "group:g"}),
        ("number", "absolute_error", {"split": "time:g"}),
    ],
)
def test_fit_and_compare_agree_on_scores_and_coefficients(target, loss, options):
    random = np.random.default_rng(6)
    table = TABLE.select(*FEATURES, target).with_columns(
        w=pl.Series(random.integers(0, 4, ROWS)), g=pl.Series(random.integers(0, 40, ROWS))
    )
    weight = "w" if target == "count" else None
    own = fit(table, target, loss=loss, weight=weight, **options)
    compared = ml.compare(table, target=target, losses=loss, sample_weight=weight, **options)
    (theirs,) = compared.fits
    both = own.scores.keys() & theirs.scores.keys()
    assert len(both) == {"number": 1, "count": 2}.get(target, 4)
    for name in both:
        assert own.scores[name].value == pytest.approx(theirs.scores[name].value, rel=1e-9)
    np.testing.assert_allclose(own.model.coef, theirs.model.coef, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(own.model.intercept, theirs.model.intercept, rtol=1e-9, atol=1e-9)
    assert own.how in compared.notes and (own.kind, own.scored) == (compared.kind, compared.scored)
    if target != "number":
        assert any(note.startswith("A ridge of 0.000001") and note in compared.notes for note in own.messages)
        free = fit(table, target, loss=loss, l2=0.0, weight=weight, **options)
        assert not any(note.startswith("A ridge") for note in free.messages) and (free.model.coef != own.model.coef).any()
