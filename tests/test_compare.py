"""Comparisons on small tables: the kind of the target, the candidates, their parameters, the scores, what is said."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from rich.console import Console

import matchloss as ml
import sweeps
from matchloss.comparison import compare
from matchloss.comparison.candidates import choose
from matchloss.comparison.text import comparison_markdown, comparison_text
from matchloss.losses import CATALOGUE
from matchloss.tables.errors import DataError
from matchloss.tables.losses import CANDIDATES, values_of
from matchloss.tables.scores import Judge
from matchloss.tables.target import Target
from matchloss.terminal import CODE, alert, console, rendered
from small_tables import ROWS, count, label, number, price, share, table_of, three

EVERY = [("number", number), ("positive", price), ("share", share), ("binary", label), ("multiclass", three), ("count", count)]


def shown(found):
    with console() as out, out.capture() as captured:
        out.print(comparison_text(found), crop=False)
    return captured.get()


@pytest.mark.parametrize(("kind", "make"), EVERY)
def test_each_kind_of_target_gets_its_candidates_and_a_verdict(kind, make, monkeypatch):
    if kind == "multiclass" and not sweeps.everything:
        sweeps.spare_loops(monkeypatch)
    found = compare(table_of(y=make), "y", counts=kind == "count" or None)
    assert found.kind == {"positive": "number", "share": "number"}.get(kind, kind)
    assert tuple(fit.name for fit in found.fits) == CANDIDATES[kind]
    assert (found.rows, found.scored, found.features) == (ROWS, ROWS, 2)
    for fit in found.fits:
        assert all(np.isfinite(score.value) or score.infinite for score in fit.scores.values())
        assert 1 <= fit.passes <= 300 and fit.seconds > 0 and len(fit.prediction) == ROWS
    for verdict in found.verdicts:
        assert verdict.best is not None and verdict.best in verdict.sentence
    if kind in ("binary", "multiclass"):
        assert np.isclose(sum(found.frequencies), 1) and len(found.frequencies) == len(found.classes)
        assert [verdict.functional for verdict in found.verdicts] == ["label"]
    else:
        assert found.verdicts[0].functional == "mean" and found.target_range[0] < found.target_range[1]
    text = shown(found)
    assert max(map(len, text.splitlines())) <= 80 and text.isascii()


def test_the_candidates_follow_from_the_classes_in_this_order():
    assert CANDIDATES == {
        "number": ("squared_error", "absolute_error", "huber", "log_cosh"),
        "positive": ("gamma", "tweedie", "poisson", "squared_error", "absolute_error", "huber"),
        "share": ("logistic", "squared_error", "absolute_error"),
        "count": ("poisson", "negative_binomial", "squared_error"),
        "binary": ("logistic", "sigmoid_brier", "binary_brier", "binary_spherical", "hinge"),
        "multiclass": ("cross_entropy", "softmax_brier", "softmax_spherical", "sparsemax", "spherical"),
        "argument": ("quartic", "sine_squared", "absolute_error", "squared_error"),
    }


@pytest.mark.parametrize("loss", [cls() for cls in CATALOGUE.values()], ids=lambda loss: loss.name)
def test_what_a_class_says_of_targets_and_scores_agrees_with_the_rest(loss):
    labels = {"binary", "multiclass"} if loss.family == "simplex" else {"binary"} if loss.family == "binary" else set()
    assert {"binary", "multiclass"} & set(loss.suits) == labels
    assert {"binary", "multiclass"} & set(loss.usual_for) <= labels
    if loss.score:  # half or twice the score, whatever the prediction
        raw, target = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 3.0, 0.5])
        score = Judge(loss.score).rows(target, np.asarray(loss.predict(raw)))
        ratio = score / loss.divergence(raw, target)
        assert np.allclose(ratio, ratio[0])


def test_a_zero_among_positive_numbers_leaves_gamma_out():
    target = Target("y", "number", np.array([0.0, 1.5, 2.5]), (), "")
    assert values_of(target) == "positive"
    assert [c.name for c in choose(target, None)] == ["tweedie", "poisson", "squared_error", "absolute_error", "huber"]


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["a", "b"], "binary", ("a", "b")),
        ([False, True], "binary", ("False", "True")),
        ([3, 7], "binary", ("3", "7")),
        ([0.0, 1.0], "binary", ("0", "1")),
        ([1, 2, 3], "number", ()),
        (["u", "v", "w"], "multiclass", ("u", "v", "w")),
        (pl.Series(["u", "v", "w"], dtype=pl.Categorical), "multiclass", ("u", "v", "w")),
        (pl.Series(["v", "u"], dtype=pl.Enum(["v", "u"])), "binary", ("u", "v")),
        (pl.Series(["0.5", "1.5", "2.5"]).cast(pl.Decimal(4, 2)), "number", ()),
    ],
)
def test_the_kind_of_the_target_is_found_and_said(values, kind, classes, monkeypatch):
    sweeps.spare_loops(monkeypatch)
    column = pl.concat([pl.Series("y", values)] * 30)
    found = compare(pl.DataFrame({"y": column, "x": np.arange(len(column)) % 13}), "y")
    assert (found.kind, found.classes) == (kind, classes)
    assert any(note.startswith(f"The target y {'holds numbers' if kind == 'number' else 'is a label'}") for note in found.notes)


def test_numbers_named_categorical_are_labels(monkeypatch):
    sweeps.spare_loops(monkeypatch)
    found = compare(pl.DataFrame({"y": [1, 2, 3] * 30, "x": [i % 13 for i in range(90)]}), "y", categorical=["y"])
    assert (found.kind, found.classes) == ("multiclass", ("1", "2", "3"))


def test_the_same_seed_is_the_same_comparison_whatever_the_order_of_rows():
    table = table_of(y=number)
    first, again, other = (compare(table, "y", losses="squared_error", seed=seed) for seed in (0, 0, 1))
    assert first.fits[0].scores == again.fits[0].scores != other.fits[0].scores
    turned = compare(table.reverse(), "y", losses="squared_error")
    assert turned.fits[0].scores["squared error"].value == pytest.approx(first.fits[0].scores["squared error"].value, rel=1e-9)


def test_pandas_polars_arrow_and_files_are_the_same_table(tmp_path):
    table = table_of(y=number)
    table.write_csv(tmp_path / "t.csv")
    given = {"pandas": table.to_pandas(), "polars": table, "pyarrow": table.to_arrow(), "file": tmp_path / "t.csv"}
    found = {name: compare(data, "y", losses="squared_error") for name, data in given.items()}
    scores = [one.fits[0].scores["squared error"].value for one in found.values()]
    assert scores == pytest.approx([scores[0]] * 4, rel=1e-6)
    assert isinstance(found["pandas"].columns, pd.DataFrame) and isinstance(found["pandas"].table, pd.DataFrame)
    assert isinstance(found["pyarrow"].columns, pa.Table) and isinstance(found["file"].table, pl.DataFrame)
    assert found["polars"].columns["role"].to_list() == ["number", "category", "target"]
    assert found["pandas"].table["relative"][0] == 1.0


def test_rows_without_target_are_dropped_and_counted():
    table = table_of(y=number).with_row_index()
    table = table.with_columns(pl.when(pl.col("index") < 5).then(None).when(pl.col("index") < 9).then(np.nan).otherwise("y").alias("y"))
    found = compare(table, "y", drop=["index"], rows=100, losses=["squared_error"])
    assert "9 rows without a value of y dropped: 391 rows left." in found.notes
    assert (found.rows, found.scored) == (100, 100)


def test_huber_and_negative_binomial_are_tuned_to_the_target():
    table = table_of(y=number, n=count)
    huber = compare(table, "y", losses=["huber"]).fits[0]
    assert huber.loss.parameters["delta"] == pytest.approx(1.345 * 3.2, rel=0.2)  # the target's law is nearly normal
    assert "median absolute deviation" in huber.note
    binomial = compare(table, "n", counts=True, losses=["negative_binomial"]).fits[0]
    assert binomial.note.startswith(f"size = {binomial.loss.parameters['size']:g}")


def test_losses_are_named_with_parameters_and_told_apart():
    found = compare(table_of(y=number), "y", losses="mse,squared_error,huber(delta=2),huber(delta=3),pinball(alpha=0.9)")
    assert [fit.name for fit in found.fits] == ["squared_error", "huber(delta=2)", "huber(delta=3)", "pinball(alpha=0.9)"]
    assert [(v.functional, v.level) for v in found.verdicts] == [("mean", None), ("quantile", 0.9)]
    assert set(found.verdicts[0].not_ranked) == {"huber(delta=2)", "huber(delta=3)"}
    assert compare(table_of(y=number), "y", losses=[ml.Huber(delta=2.0), ml.SquaredError()]).fits[0].name == "huber(delta=2)"


def test_two_labels_may_be_scored_under_a_loss_for_many():
    found = compare(table_of(y=label), "y", losses=["logistic", "cross_entropy"])
    pointwise, simplex = (fit.scores["log"].value for fit in found.fits)
    assert pointwise == pytest.approx(simplex, abs=1e-4)
    assert len(found.verdicts[0].as_good) == 1  # what their ridge leaves is no difference


def test_fits_of_all_rows_are_those_of_the_command_fit():
    from matchloss.fit.run import fit

    table = table_of(y=number)
    own = {one.name: one.model for one in compare(table, "y").fits}
    for name in ("squared_error", "absolute_error"):
        model = fit(table, "y", loss=name).model
        np.testing.assert_allclose(own[name].coef, model.coef, rtol=1e-7)
        assert own[name].design.names == model.design.names


def test_an_infinite_score_is_counted_and_not_ranked():
    x = np.linspace(-3, 3, ROWS)
    y = (x > 0).astype(int)
    y[::40] = 1 - y[::40]  # a few rows where certainty is punished
    found = compare(pl.DataFrame({"x": x, "y": y}), "y", losses=["logistic", "binary_brier", "sigmoid_brier", "hinge"])
    brier, verdict = found.fits[1].scores["log"], found.verdicts[0]
    assert brier.value == np.inf and brier.infinite > 0
    assert f"probability 0 to what happened in {brier.infinite} row" in verdict.not_ranked["binary_brier"]
    assert verdict.not_ranked["hinge"] == "it predicts a label and no probability"
    assert set(found.fits[3].scores) == {"error rate"}
    text = " ".join(shown(found).split())
    assert f"inf ({brier.infinite} row" in text and "there is no such score" in text
    assert found.to_dict()["losses"][1]["scores"]["log"] is None and json.dumps(found.to_dict(), allow_nan=False)


def test_a_negative_mean_has_no_finite_deviance_and_squared_error_says_otherwise():
    x = np.linspace(-3, 3, ROWS)
    found = compare(pl.DataFrame({"x": x, "y": np.round(np.exp(2 * x))}), "y", counts=True)
    fit = next(fit for fit in found.fits if fit.name == "squared_error")
    assert fit.scores["Poisson deviance"].infinite > 0 and "below 0" in found.verdicts[0].sentence
    assert "predicts y at or below 0" in found.verdicts[0].not_ranked["squared_error"]


def test_a_score_decides_where_it_is_consistent():
    table = table_of(y=price)
    assert compare(table, "y", score="poisson_deviance").verdicts[0].score == "Poisson deviance"
    assert compare(table, "y", score="absolute error").verdicts[1].score == "absolute error"
    with pytest.raises(DataError, match="--score is log, which ranks none of these losses; scores that do: squared error, "):
        compare(table, "y", score="log")


def test_quantiles_are_judged_level_by_level():
    found = compare(table_of(1500, y=number), "y", quantile="0.1,0.5,0.9")
    assert [(v.functional, v.level, v.best) for v in found.verdicts] == [
        ("median", None, "pinball(alpha=0.5)"),
        ("quantile", 0.1, "pinball(alpha=0.1)"),
        ("quantile", 0.9, "pinball(alpha=0.9)"),
    ]
    assert "cover" in found.verdicts[1].sentence and "10 % are asked for" in found.verdicts[1].sentence
    assert "The quantiles 0.1, 0.5, 0.9 cross in " in found.verdicts[-1].sentence
    for bad, says in (("1.5", "a level lies between 0 and 1"), ("high", "it takes levels between 0 and 1")):
        with pytest.raises(DataError, match=says):
            compare(table_of(y=number), "y", quantile=bad)
    with pytest.raises(DataError, match="both say what to compare"):
        compare(table_of(y=number), "y", quantile=0.5, losses="huber")
    with pytest.raises(DataError, match="y is a label"):
        compare(table_of(y=label), "y", quantile=[0.5])


def test_weights_count_rows():
    table = table_of(y=number)
    weight = np.random.default_rng(3).integers(0, 3, ROWS)
    found = compare(table.with_columns(pl.Series("w", weight)), "y", losses="squared_error", sample_weight="w")
    again = compare(table, "y", losses="squared_error", sample_weight=weight)
    assert found.verdicts[0].best == again.verdicts[0].best == "squared_error"
    rows = compare(table[np.repeat(np.arange(ROWS), weight)], "y", losses="squared_error")
    np.testing.assert_allclose(found.fits[0].model.coef, rows.fits[0].model.coef, rtol=1e-7)
    with pytest.raises(DataError, match=r"sample_weight has the shape \(3,\)"):
        compare(table, "y", sample_weight=[1, 2, 3])


def test_an_exposure_makes_a_rate_and_ranks_poisson_alone():
    rng = np.random.default_rng(4)
    x, years = rng.normal(size=ROWS), rng.uniform(0.5, 3, ROWS)
    table = pl.DataFrame({"x": x, "years": years, "claims": rng.poisson(years * np.exp(0.5 * x))})
    found = compare(table, "claims", exposure="years")
    verdict = found.verdicts[0]
    assert verdict.best == "poisson" and set(verdict.not_ranked) == {"negative_binomial", "squared_error"}
    assert "exact for poisson alone" in verdict.not_ranked["squared_error"]


def test_groups_and_times_split_rows_and_are_no_features():
    rng = np.random.default_rng(5)
    table = table_of(y=number).with_columns(pl.Series("who", rng.integers(0, 40, ROWS)), pl.Series("day", rng.integers(0, 60, ROWS)))
    for split in ("group:who", "time:day"):
        found = compare(table, "y", losses="squared_error", split=split)
        assert split.partition(":")[2] not in found.fits[0].model.design.names
        assert found.verdicts[0].best == "squared_error"
    with pytest.raises(DataError, match="no column whom; did you mean who"):
        compare(table, "y", split="group:whom")
    with pytest.raises(DataError, match="y is the target"):
        compare(table, "y", split="time:y")


def test_the_argument_brings_the_losses_that_nobody_would_choose():
    found = compare(table_of(y=number), "y", losses="squared_error,argument")
    assert {"quartic", "sine_squared"} <= set(found.verdicts[0].not_ranked)
    assert found.verdicts[0].best == "squared_error"


def test_the_code_of_an_alert_is_a_link_where_the_terminal_has_links():
    said = "y gives z away and is left out: R^2 is 1.0000. If it is known beforehand: --keep y [leak]"
    out = io.StringIO()
    Console(file=out, force_terminal=True, width=80).print(alert(said))
    assert "https://matchloss.readthedocs.io/en/latest/tables/#leak" in out.getvalue() and "\x1b]8;" in out.getvalue()
    assert rendered(alert(said)).split() == ["!", *said.split()]
    headings = set(re.findall("^### (.*)$", (Path(__file__).parent.parent / "docs" / "tables.md").read_text(), re.MULTILINE))
    assert headings == set(re.findall(r"\w+", CODE.pattern))


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_tables_are_never_cut_whatever_the_width(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    found = compare(table_of(y=price), "y")
    text = shown(found)
    for fit in found.fits:
        for name in found.answers[0].standings:
            if np.isfinite(fit.scores[name].value) and fit.name in found.answers[0].standing.means:
                assert f"{fit.scores[name].value:.5g}" in text
    if columns >= 40:
        assert max(map(len, text.splitlines())) <= min(columns, 80)


def test_long_names_and_markdown_and_html_and_a_page(tmp_path):
    found = compare(table_of(**{"y|" + "y" * 90: label}), "y|" + "y" * 90, source="s" * 90 + ".csv", losses="logistic,probit")
    assert "y" * 90 in shown(found).replace("\n", "").replace(" ", "")
    marked = comparison_markdown(found)
    assert marked.startswith("## ") and "\n| logistic |" in marked and "| --- | ---: |" in marked
    html = found._repr_html_()
    assert "<table>" in html and "logistic" in html and found.verdicts[0].sentence.split(",")[0] in html
    found.save(tmp_path / "page.html")
    assert "logistic" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_handful_of_rows_is_enough_and_constant_columns_do_no_harm():
    found = compare(pl.DataFrame({"x": [1, 1, 1], "y": [2.5, 3.5, 4.5]}), "y", losses=["squared_error", "sine_squared"])
    assert (found.rows, found.scored, found.features) == (3, 3, 0)
    assert found.verdicts[0].best is None and "no loss does better than the best constant" in found.verdicts[0].sentence
