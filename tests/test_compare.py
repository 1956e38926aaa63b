"""Comparisons on small tables: the kind of the target, the candidates, their parameters, the scores, what is said."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from matchloss.comparison.candidates import CANDIDATES
from matchloss.comparison.result import Comparison, Fit, Score
from matchloss.comparison.run import compare
from matchloss.comparison.text import comparison_text
from matchloss.losses import CATALOGUE
from matchloss.tables.errors import DataError
from matchloss.tables.scores import RULES
from matchloss.terminal import console

ROWS = 400


def table_of(**targets):
    rng = np.random.default_rng(1)
    x = rng.normal(size=ROWS)
    return pl.DataFrame({"x": x, "c": rng.choice(["a", "b"], ROWS), **{name: make(x, rng) for name, make in targets.items()}})


def number(x, rng):
    return 3 * x + rng.normal(size=len(x))


def label(x, rng):
    return np.where(x + rng.logistic(size=len(x)) > 0, "yes", "no")


def three(x, rng):
    return np.array(["low", "mid", "high"])[np.digitize(x + rng.logistic(size=len(x)), [-1, 1])]


def count(x, rng):
    return rng.poisson(np.exp(0.5 * x) * rng.gamma(2.0, 0.5, len(x)))


def shown(found):
    with console() as out, out.capture() as captured:
        out.print(comparison_text(found))
    return captured.get()


@pytest.mark.parametrize(("kind", "make"), [("number", number), ("binary", label), ("multiclass", three), ("count", count)])
def test_each_kind_of_target_gets_its_candidates_and_scores_that_beat_a_constant(kind, make):
    found = compare(table_of(y=make), "y", counts=kind == "count")
    assert found.kind == kind
    assert tuple(fit.loss.name for fit in found.fits) == CANDIDATES[kind]
    assert (found.rows_train, found.rows_test, found.features) == (320, 80, 2)
    for fit in found.fits:
        assert all(np.isfinite(score.value) or score.infinite for score in fit.scores.values())
        assert 1 <= fit.passes <= 230 and fit.seconds > 0
        if fit.loss.convex and fit.loss.smooth:
            assert fit.converged, fit.loss.name
    if kind in ("binary", "multiclass"):
        assert np.isclose(sum(found.frequencies), 1) and len(found.frequencies) == len(found.classes)
        constant = -sum(p * np.log(p) for p in found.frequencies)
        assert found.fits[0].scores["log"].value < constant
        assert found.target_range == (0.0, 1.0)
    else:
        assert found.target_range[0] < found.target_range[1]


def test_the_candidates_follow_from_the_classes_in_this_order():
    assert CANDIDATES == {
        "number": ("squared_error", "absolute_error", "huber", "log_cosh", "quartic", "sine_squared"),
        "binary": ("logistic", "sigmoid_brier", "binary_brier", "binary_spherical", "hinge"),
        "multiclass": ("cross_entropy", "softmax_brier", "softmax_spherical", "sparsemax", "spherical"),
        "count": ("poisson", "negative_binomial", "squared_error"),
    }


@pytest.mark.parametrize("loss", [cls() for cls in CATALOGUE.values()], ids=lambda loss: loss.name)
def test_what_a_class_says_of_targets_and_scores_agrees_with_the_rest(loss):
    assert set(loss.usual_for) <= set(loss.suits)
    labels = {"binary", "multiclass"} if loss.family == "simplex" else {"binary"} if loss.family == "binary" else set()
    assert {"binary", "multiclass"} & set(loss.suits) == labels
    if loss.score:  # half or twice the score, whatever the prediction
        raw, target = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 3.0, 0.5])
        kind = next(kind for kind in RULES if loss.score in RULES[kind])
        score = RULES[kind][loss.score](target, loss.predict(raw))
        ratio = score / loss.divergence(raw, target)
        assert np.allclose(ratio, ratio[0])


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["a", "b"], "binary", ("a", "b")),
        ([False, True], "binary", ("False", "True")),
        ([3, 7], "binary", ("3", "7")),
        ([0.0, 1.0], "binary", ("0", "1")),
        ([1, 2, 3], "number", ()),
        (["1", "2", "3"], "multiclass", ("1", "2", "3")),
        (pl.Series(["u", "v", "w"], dtype=pl.Categorical), "multiclass", ("u", "v", "w")),
        (pl.Series(["v", "u"], dtype=pl.Enum(["v", "u"])), "binary", ("u", "v")),
        (pl.Series(["0.5", "1.5", "2.5"]).cast(pl.Decimal(4, 2)), "number", ()),
    ],
)
def test_the_kind_of_the_target_is_found_and_said(values, kind, classes):
    column = pl.concat([pl.Series("y", values)] * 30)
    found = compare(pl.DataFrame({"y": column, "x": np.arange(len(column)) % 13}), "y")
    assert (found.kind, found.classes) == (kind, classes)
    assert any(message.startswith(f"The target y {'holds numbers' if kind == 'number' else 'is a label'}") for message in found.messages)


def test_numbers_named_categorical_are_labels():
    found = compare(pl.DataFrame({"y": [1, 2, 3] * 30, "x": [i % 13 for i in range(90)]}), "y", categorical=["y"])
    assert (found.kind, found.classes) == ("multiclass", ("1", "2", "3"))


def test_the_same_seed_is_the_same_comparison():
    table = table_of(y=number)
    first, again, other = (compare(table, "y", losses=["squared_error"], seed=seed) for seed in (0, 0, 1))
    assert first.fits[0].scores == again.fits[0].scores != other.fits[0].scores


def test_rows_without_target_are_dropped_and_counted():
    table = table_of(y=number).with_row_index()
    table = table.with_columns(pl.when(pl.col("index") < 5).then(None).when(pl.col("index") < 9).then(np.nan).otherwise("y").alias("y"))
    found = compare(table, "y", drop=["index"], rows=100, losses=["squared_error"])
    assert "9 rows without a value of y dropped: 391 rows left." in found.messages
    assert (found.rows_train, found.rows_test) == (80, 20)


def test_huber_and_negative_binomial_are_tuned_on_the_training_target():
    table = table_of(y=number, n=count)
    huber = compare(table, "y", losses=["huber"]).fits[0]
    assert huber.loss.parameters["delta"] == pytest.approx(1.345 * 3.2, rel=0.2)  # the target's law is nearly normal
    assert "median absolute deviation" in huber.note
    binomial = compare(table, "n", counts=True, losses=["negative_binomial"]).fits[0]
    assert binomial.note.startswith(f"size = {binomial.loss.parameters['size']:g}")
    calm = compare(
        pl.DataFrame({"y": [3, 3, 4, 4, 5] * 20, "x": [i % 13 for i in range(100)]}), "y", counts=True, losses=["negative_binomial"]
    ).fits[0]
    assert "does not exceed" in calm.note
    flat = compare(pl.DataFrame({"y": [0] * 80 + [1, 2] * 10, "x": [i % 13 for i in range(100)]}), "y", losses=["huber"]).fits[0]
    assert "deviation is 0" in flat.note


def test_losses_may_be_named_as_peers_name_them_and_once_is_enough():
    found = compare(table_of(y=number), "y", losses=["mse", "squared_error", "quantile"])
    assert [fit.loss.name for fit in found.fits] == ["squared_error", "pinball"]


def test_two_labels_may_be_scored_under_a_loss_for_many():
    found = compare(table_of(y=label), "y", losses=["logistic", "cross_entropy"])
    pointwise, simplex = (fit.scores["log"].value for fit in found.fits)
    assert pointwise == pytest.approx(simplex, abs=1e-4)


def result(**scores):
    """A comparison of losses named a, b, ... with functional and score as given."""
    fits = tuple(
        Fit(SimpleNamespace(name=name, functional=functional), "", 1, 0.1, True, 0.0, {"log": Score(value)})  # pyright: ignore[reportArgumentType]
        for name, (functional, value) in scores.items()
    )
    return Comparison("t", "y", "binary", ("0", "1"), (0.5, 0.5), (0, 1), 2, 1, 1, (), ("log",), fits)


def test_best_is_marked_among_losses_of_the_same_functional_only():
    found = result(a=("mean", 0.5), b=("mean", 0.4), c=("median", 0.1), d=("mean", np.inf))
    assert found.best("log") == {"b"}  # c has no rival
    assert result(a=("mean", np.inf), b=("mean", np.inf)).best("log") == set()
    assert result(a=("none", 0.1), b=("none", 0.2)).best("log") == set()
    assert result(a=("mean", 0.1), b=("mean", 0.1)).best("log") == {"a", "b"}


def test_an_infinite_log_score_is_counted_and_not_ranked():
    x = np.linspace(-3, 3, ROWS)
    y = (x > 0).astype(int)
    y[::40] = 1 - y[::40]  # a few rows where certainty is punished
    found = compare(pl.DataFrame({"x": x, "y": y}), "y", losses=["logistic", "binary_brier", "sigmoid_brier", "hinge"])
    brier = found.fits[1].scores["log"]
    assert brier.value == np.inf and brier.infinite > 0
    text = " ".join(shown(found).split())
    assert f"inf ({brier.infinite} row" in text and "probability 0)" in text
    assert "binary_brier" not in found.best("log")
    assert set(found.fits[3].scores) == {"error rate"}
    assert "no such score" in text


def test_a_negative_mean_has_no_finite_deviance():
    x = np.linspace(-3, 3, ROWS)
    found = compare(pl.DataFrame({"x": x, "y": np.round(np.exp(2 * x))}), "y", counts=True)
    deviance = found.fits[-1].scores["Poisson deviance"]
    assert deviance.infinite > 0 and "mean <= 0" in " ".join(shown(found).split())


@pytest.mark.parametrize(("kind", "make"), [("number", number), ("binary", label), ("multiclass", three), ("count", count)])
def test_tables_fit_80_columns_and_never_cut_a_name(kind, make):
    found = compare(table_of(**{"y" * 90: make}), "y" * 90, counts=kind == "count", source="s" * 90 + ".csv")
    text = shown(found)
    lines = text.splitlines()
    table_lines = lines[next(i for i, line in enumerate(lines) if line.startswith("loss")) :]
    assert max(map(len, table_lines)) <= 80
    for fit in found.fits:
        assert sum(line.startswith(fit.loss.name + " ") for line in table_lines) == 2
    assert text.isascii()


@pytest.mark.parametrize(
    ("losses", "counts", "says"),
    [
        (["logistic"], False, r"logistic is for targets in \[0, 1\]; y goes from"),
        (["cross_entropy"], False, "the target y has 400 different values, too many for labels"),
        (["cross_entropy", "squared_error"], False, "cross_entropy is for labels"),
        (["squared_eror"], False, "there is no loss squared_eror; did you mean squared_error"),
        (["poisson"], False, r"poisson is for targets in \[0, inf\)"),
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
        (["a", "b"], "hold one class of y only"),
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
        ({"test_fraction": 0.0}, "--test-fraction is 0"),
        ({"test_fraction": 1.0}, "--test-fraction is 1"),
        ({"losses": []}, "names no loss"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(DataError, match=says):
        compare(table_of(y=number), "y", **options)


def test_a_handful_of_rows_is_enough_and_constant_columns_do_no_harm():
    found = compare(pl.DataFrame({"x": [1, 1, 1], "y": [2.5, 3.5, 4.5]}), "y", losses=["squared_error", "sine_squared"])
    assert (found.rows_train, found.rows_test, found.features) == (2, 1, 0)
