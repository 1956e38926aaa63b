"""`matchloss fit` of structured losses, and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from command import matchloss
from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor, load
from matchloss.losses.structured import STRUCTURED, catalogue, get_structured


def ran(capsys: Any, *arguments: Any) -> str:
    code, out, err = matchloss(capsys, *arguments)
    assert (code, err) == (0, "")
    return out


@pytest.fixture
def people(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    age = rng.normal(50, 9, 60).round(1)
    week = (rng.exponential(np.exp(-0.03 * (age - 50))) * 20).round(2) + 0.01
    rows = pl.DataFrame({"week": week, "died": (rng.uniform(size=60) < 0.7).astype(int), "age": age, "trip": np.repeat(range(20), 3)})
    rows = rows.with_columns(
        took=(pl.int_range(60) % 3 == 0).cast(int), grade=pl.Series(rng.integers(1, 4, 60)), n=pl.Series(["a", None] * 30)
    )
    rows.write_csv(tmp_path / "people.csv")
    return tmp_path / "people.csv"


def test_fits_of_structured_losses(people: Path, tmp_path: Path, capsys: Any) -> None:
    out, rows = tmp_path / "model.json", pl.read_csv(people)
    said = ran(capsys, "fit", people, "--loss", "cox", "--time", "week", "--event", "died", "--drop", "trip,took,grade,n", "--out", out)
    same = CoxRegression().fit(rows.select("week", "died", "age"), "week", "died")
    assert (load(out).coef_ == same.coef_).all() and "Cox(ties='efron')" in said and "60 rows" in said
    dropped = ("--drop", "week,died,grade,n")
    ran(capsys, "fit", people, "--loss", "clogit", "--target", "took", "--group", "trip", *dropped, "--out", out)
    assert (load(out).coef_ == ConditionalLogit().fit(rows.select("took", "trip", "age"), "took", "trip").coef_).all()
    said = ran(capsys, "fit", people, "--loss", "ordered_probit", "--target", "grade", "--drop", "week,died,trip,took", "--out", out)
    kept = rows.drop_nulls().select("grade", "age", "n")
    assert "30 rows with a missing value left out" in said
    with pytest.raises(ValueError, match="constant, so that no coefficient can be found: n"):  # one level is left: nothing to learn from n
        OrderedRegressor("probit").fit(kept.with_columns(n=pl.lit(1.0)), "grade")
    assert np.allclose(load(out).coef_, OrderedRegressor("probit").fit(kept.drop("n"), "grade").coef_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--loss", "cox", "--time", "week"), "--loss cox needs --event, a column"),
        (("--loss", "cox", "--time", "weak", "--event", "died"), "did you mean week?"),
        (("--loss", "cox", "--time", "week", "--event", "died", "--target", "age"), "--loss cox takes no --target"),
        (("--loss", "cox", "--time", "week", "--event", "died", "--l2", "1"), "--l2 is not for --loss cox"),
        (("--loss", "cox", "--time", "week", "--event", "died", "--folds", "3"), "--folds is not for --loss cox"),
        (("--loss", "cox", "--time", "week", "--event", "died", "--order", "a,b"), "--order is for the labels of ordered_logit"),
        (("--loss", "ordered", "--target", "grade", "--param", "ties=efron"), "--param is for the ties of --loss cox"),
        (("--loss", "ordered", "--target", "n"), "n is text without an order: --order says it, from lowest to highest, of a"),
        (("--loss", "ordered", "--target", "grade", "--keep", "aged"), "--keep aged: there is no such column; did you mean age?"),
        (("--target", "age", "--order", "a,b"), "--order is for --loss cox, conditional_logit or ordered_logit"),
        (("--target", "age", "--time", "week"), "--time is for --loss cox"),
        ((), "--target is missing"),
    ],
)
def test_what_does_not_go_together_is_said(options: tuple[str, ...], message: str, people: Path, capsys: Any) -> None:
    code, out, err = matchloss(capsys, "fit", people, *options)
    assert code in (1, 2) and out == "" and message in err and err.count("\n") == 1


def test_cards(capsys: Any) -> None:
    said = ran(capsys, "losses")
    assert all(f"\n{name} " in said for name in STRUCTURED) and max(map(len, said.splitlines())) <= 80
    for row in catalogue():
        assert (
            row["kind"] == "structured" and row["equation"] and row["partition"] and row["error_signal"] and row["sources"] and row["group"]
        )
        assert type(get_structured(row["name"])) is row["class"]
    card = ran(capsys, "losses", "clogit")
    assert "Conditional logit (conditional_logit)" in card and "Z sums over" in card


def test_predictions_of_the_files_that_fit_wrote(people: Path, tmp_path: Path, capsys: Any) -> None:
    out, to, rows = tmp_path / "model.json", tmp_path / "out.parquet", pl.read_csv(people)
    cox = ("--loss", "cox", "--time", "week", "--event", "died", "--strata", "took", "--drop", "trip,grade,n", "--out", out)
    ran(capsys, "fit", people, *cox)
    fresh = rows.with_columns(age=pl.when(pl.int_range(60) == 7).then(None).otherwise("age"))
    fresh.write_csv(tmp_path / "fresh.csv")
    said = ran(capsys, "predict", out, tmp_path / "fresh.csv", "--out", to, "--times", "5,20.5", "--key", "trip")
    assert "60 rows predicted" in said and "1 row without a prediction" in said
    found, model = pl.read_parquet(to), load(out)
    assert (
        found.columns == ["trip", "prediction", "hazard_ratio", "survival_5", "survival_20.5"]
        and found[7].drop("trip").null_count().sum_horizontal().item() == 4
    )
    whole = rows.filter(pl.int_range(60) != 7)
    alive = model.predict_survival_function(whole.select("age"), [5, 20.5], whole["took"].to_numpy())
    assert np.array_equal(found.drop_nulls().select("survival_5", "survival_20.5").to_numpy(), alive)
    assert np.allclose(np.log(found["hazard_ratio"].drop_nulls()), found["prediction"].drop_nulls() - model.centre_ @ model.coef_)
    card = ran(capsys, "show", out)
    assert all(part in card for part in ("week", "strata", "took", "age", "events")) and max(map(len, card.splitlines())) <= 80

    ran(capsys, "fit", people, "--loss", "clogit", "--target", "took", "--group", "trip", "--drop", "week,died,grade,n", "--out", out)
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=1)  # the rows of a set need not be together
    mixed.rename({"trip": "journey"}).write_parquet(tmp_path / "fresh.parquet")
    ran(capsys, "predict", out, tmp_path / "fresh.parquet", "--out", to, "--group", "journey", "--key", "journey")
    found = pl.read_parquet(to)
    sums = found.group_by("journey").agg(pl.col("prediction", "probability").sum())
    assert (sums["prediction"] == 1).all() and np.allclose(sums["probability"], 1)
    assert np.array_equal(found["probability"], load(out).predict_proba(mixed.select("age"), mixed["trip"].to_numpy()))
    assert "sets" in ran(capsys, "show", out)

    ran(capsys, "fit", people, "--loss", "ordered_logit", "--target", "grade", "--drop", "week,died,trip,took,n", "--out", out)
    ran(capsys, "predict", out, people, "--out", tmp_path / "out.csv")
    found = pl.read_csv(tmp_path / "out.csv")
    assert found.columns == ["prediction", "probability_1", "probability_2", "probability_3"]
    assert np.allclose(found.drop("prediction").to_numpy(), load(out).predict_proba(rows.select("age")), rtol=1e-14)
    assert found["prediction"].to_list() == load(out).predict(rows.select("age")).tolist() and "1|2" in ran(capsys, "show", out)
    for options, message in (
        (("--times", "5"), "--times is not for a model of OrderedRegressor"),
        (("--times", "soon"), "--times is soon; write numbers"),
        (("--key", "aged"), "people.csv has no column aged; did you mean age?"),
        (("--key", "prediction"), "people.csv has no column prediction"),
    ):
        code, _, err = matchloss(capsys, "predict", out, people, "--out", to, *options)
        assert code in (1, 2) and message in err and err.count("\n") == 1, err


def test_a_fit_without_a_maximum_is_one_message(people: Path, capsys: Any) -> None:
    rows = pl.read_csv(people).with_columns(rank=pl.col("week").rank() / 4)
    rows.write_csv(people)
    code, out, err = matchloss(capsys, "fit", people, "--loss", "cox", "--time", "week", "--event", "died", "--drop", "n")
    assert code == 1 and out == "" and "the likelihood has no maximum" in err and err.count("\n") == 1


def widest(said: str, folder: Path) -> int:
    """Columns of the widest line that names no file."""
    return max(len(line) for line in said.splitlines() if str(folder) not in line)


def test_real_choices_and_labels_from_a_file_to_predictions(tmp_path: Path, capsys: Any) -> None:
    from statsmodels.datasets import anes96, modechoice

    modes: Any = modechoice.load_pandas().data
    voters: Any = anes96.load_pandas().data
    pl.from_pandas(modes).write_csv(tmp_path / "modes.csv")
    out, to = tmp_path / "model.json", tmp_path / "out.csv"
    how = ("--loss", "clogit", "--target", "choice", "--group", "individual", "--categorical", "mode")
    code, _, err = matchloss(capsys, "fit", tmp_path / "modes.csv", *how)
    assert code == 1 and "constant within every set, so that no coefficient can be found: hinc, psize" in err
    said = ran(capsys, "fit", tmp_path / "modes.csv", *how, "--drop", "hinc,psize", "--summary", "--out", out)
    assert widest(said, tmp_path) <= 80 and "Sets:" in said and "mode = 4" in said
    model: Any = load(out)
    assert model.coef_[3] == pytest.approx(-0.10365, abs=5e-6)  # Greene's published coefficient of the terminal time
    ran(capsys, "predict", out, tmp_path / "modes.csv", "--out", to)
    assert pl.read_csv(to)["prediction"].sum() == 210
    weighed = pl.from_pandas(modes).with_columns(w=pl.col("individual") % 3 + 1)
    weighed.write_csv(tmp_path / "weighed.csv")
    ran(capsys, "fit", tmp_path / "weighed.csv", *how, "--drop", "hinc,psize", "--weight", "w", "--out", out)
    by_hand: Any = ConditionalLogit(["mode"]).fit(weighed.drop("hinc", "psize"), "choice", "individual", "w")
    assert np.allclose(load(out).coef_, by_hand.coef_, rtol=1e-12)

    table = pl.from_pandas(voters).with_row_index("row_id")
    table = table.with_columns(party=pl.col("PID").cast(pl.Int64).replace_strict(dict(enumerate("abcdefg")))).drop("PID", "vote")
    table.write_csv(tmp_path / "voters.csv")
    how = ("--loss", "ordered", "--target", "party", "--order", "a,b,c,d,e,f,g")
    said = ran(capsys, "fit", tmp_path / "voters.csv", *how, "--out", out)
    assert "row_id is left out: whole numbers that count the rows; --keep row_id takes it all the same." in " ".join(said.split())
    assert "a|b" in said and widest(said, tmp_path) <= 80 and "1452.65" in said  # statsmodels' log likelihood
    ran(capsys, "predict", out, tmp_path / "voters.csv", "--out", to, "--key", "row_id")
    assert pl.read_csv(to).columns == ["row_id", "prediction", *(f"probability_{label}" for label in "abcdefg")]


def test_ties_and_numbers_that_are_names(people: Path, tmp_path: Path, capsys: Any) -> None:
    out, rows = tmp_path / "model.json", pl.read_csv(people)
    pl.read_csv(people).with_columns(pl.col("week").ceil()).write_csv(people)
    how = ("--loss", "cox", "--time", "week", "--event", "died", "--drop", "trip,took,n", "--categorical", "grade", "--out", out)
    ran(capsys, "fit", people, *how, "--param", "ties=breslow")
    kept = rows.select(pl.col("week").ceil(), "died", "age", "grade")
    assert (load(out).coef_ == CoxRegression("breslow", ["grade"]).fit(kept, "week", "died").coef_).all()
    assert load(out).coef_names_.tolist() == ["age", "grade = 2", "grade = 3"]
