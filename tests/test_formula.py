"""Formulas: statsmodels' own fits by the same formula, new rows, and what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from command import matchloss, refusal
from matchloss.linear import LinearClassifier, LinearRegressor, load
from matchloss.linear.formula import FormulaError
from matchloss.linear.model import ModelError, read_model

FAIR: Any = sm.datasets.fair.load_pandas().data.assign(had=lambda t: (t["affairs"] > 0).astype(float))


@pytest.mark.parametrize(
    "right", ["age + C(occupation)", "age * C(religious) - 1", "np.log(yrs_married) + age:educ", "C(children) * age + bs(educ, df=4)"]
)
def test_statsmodels_formulas(right: str) -> None:
    peer = smf.glm(f"had ~ {right}", FAIR, family=sm.families.Binomial()).fit(tol=1e-13)
    model = LinearRegressor.from_formula(f"had ~ {right}", FAIR, loss="logistic", tol=1e-12)
    np.testing.assert_allclose(model.predict(FAIR), peer.predict(FAIR), rtol=1e-6)
    assert model.fit_intercept == ("- 1" not in right)
    np.testing.assert_allclose(model.predict(FAIR[40:50]), peer.predict(FAIR[40:50]), rtol=1e-6)  # levels and knots are kept
    found = model.inference(FAIR, FAIR["had"])
    np.testing.assert_allclose(sorted(found.bse), sorted(peer.bse), rtol=1e-4)


def test_polars_and_labels() -> None:
    table = pl.from_pandas(FAIR)
    model = LinearRegressor.from_formula("had ~ age + C(religious)", table, loss="logistic")
    assert model.predict(table[:5]).shape == (5,)
    words = FAIR.assign(word=np.where(FAIR["had"] > 0, "yes", "no"))
    labels = LinearClassifier.from_formula("word ~ age", words)
    assert labels.classes_.tolist() == ["no", "yes"] and labels.predict(words).shape == (len(words),)
    logs = LinearRegressor.from_formula("np.log1p(affairs) ~ age", FAIR)
    np.testing.assert_allclose(logs.predict(FAIR).mean(), np.log1p(FAIR["affairs"]).mean())


def test_refusals(tmp_path: Path) -> None:
    for formula, said in (
        ("had ~ agee", "agee"),
        ("had age", "is no formula"),
        ("~ age", "is no formula"),
        ("had ~ 1", "names no column beside"),
        ("had ~ age +", "had ~ age"),
        ("gone ~ age", "gone"),
    ):
        with pytest.raises(FormulaError, match=said):
            LinearRegressor.from_formula(formula, FAIR)
    with pytest.raises(FormulaError, match="The table has the columns"):
        LinearRegressor.from_formula("had ~ age", FAIR).predict(FAIR.drop(columns="age"))
    gaps = FAIR[["had", "age"]].copy()
    gaps.loc[3, "age"] = np.nan
    with pytest.raises(FormulaError):
        LinearRegressor.from_formula("had ~ age", gaps)
    with pytest.raises(TypeError, match="a formula is text"):
        LinearRegressor.from_formula(3, pd.DataFrame({"a": [1]}))  # pyright: ignore[reportArgumentType]
    for term, said in (
        ("hashed(religious, levels=3)", "hashed"),
        ("np.random.rand(len(age))", "rand"),
        ("{age.values}", "values"),
        ("{(lambda x: x)(age)}", "has more in it"),
    ):
        with pytest.raises(ModelError, match=f"cannot hold the formula.*{said}"):
            LinearRegressor.from_formula(f"had ~ educ + {term}", FAIR, l2=0.1).save(tmp_path / "m.json")


@pytest.mark.parametrize("frame", [FAIR, pl.from_pandas(FAIR)], ids=["pandas", "polars"])
def test_a_formula_is_kept_in_a_file(tmp_path: Path, frame: Any) -> None:
    path = tmp_path / "m.json"
    right = "C(religious) * age + bs(educ, df=4) + cr(yrs_married, df=3) + poly(age, 2) + scale(educ)"
    right += " + C(children, contr.sum):age + {age**2}"
    model = LinearRegressor.from_formula(f"had ~ {right}", frame, l2=1e-3)
    model.save(path)
    again = load(path)
    np.testing.assert_array_equal(again.predict(frame[3:20]), model.predict(frame[3:20]))
    np.testing.assert_array_equal(read_model(path).predict(frame[3:20])[0], model.predict(frame[3:20]))
    labels = LinearClassifier.from_formula("had ~ age - 1", frame)
    labels.save(path)
    np.testing.assert_array_equal(load(path).predict_proba(frame[:5]), labels.predict_proba(frame[:5]))


def test_a_file_runs_no_code(tmp_path: Path) -> None:
    path, mark = tmp_path / "m.json", tmp_path / "mark"
    LinearRegressor.from_formula("had ~ age + bs(educ, df=4)", FAIR).save(path)
    text = path.read_text()
    evil = f"__import__('pathlib').Path('{mark}').touch() or age"
    for right in (f"{{{evil}}}", f"age | {{{evil}}}", f"[{{{evil}}} ~ age]", "np.os.getpid() + age", "{9 ** age}"):
        new = f"had ~ {right}"
        path.write_text(text.replace(json.dumps("had ~ age + bs(educ, df=4)"), json.dumps(new)))
        with pytest.raises(ModelError, match="damaged"):
            load(path)
    assert not mark.exists()
    found = json.loads(text)
    for change in ({"columns": {"age": "code"}}, {"transforms": []}, {"factors": {"age": ["other", None]}}, {"text": 3}, {"more": 1}):
        path.write_text(json.dumps(found | {"formula": found["formula"] | change}))
        with pytest.raises(ModelError, match="damaged"):
            load(path)


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    n = 300
    table = pl.DataFrame(
        {
            "carrier": rng.choice(["AA", "B6", "DL"], n),
            "month": rng.integers(1, 4, n),
            "hour": rng.uniform(5, 23, n).round(2),
            "seats": rng.uniform(1, 9, n).round(2),
            "late": rng.poisson(3.0, n),
        }
    ).with_columns(log_seats=pl.col("seats").log())
    table.write_csv(tmp_path / "trips.csv")
    table.write_parquet(tmp_path / "trips.parquet")
    return tmp_path / "trips.csv"


def test_command_line(capsys: Any, tmp_path: Path, trips: Path) -> None:
    out, made = tmp_path / "m.json", tmp_path / "p.parquet"
    formula = "late ~ carrier * C(month) + bs(hour, df=6)"
    options = ("--formula", formula, "--offset", "log_seats", "--loss", "poisson", "--l2", 0, "--out", out, "--summary")
    code, said, err = matchloss(capsys, "fit", trips, *options)
    assert (code, err) == (0, ""), err
    assert "carrier[T.DL]" in said
    table = pd.read_csv(trips)
    peer = smf.glm(formula, table, family=sm.families.Poisson(), offset=table["log_seats"]).fit(tol=1e-13)
    for data in (trips, trips.with_suffix(".parquet")):
        assert matchloss(capsys, "predict", out, data, "--out", made)[0] == 0
        np.testing.assert_allclose(pl.read_parquet(made)["prediction"], peer.predict(), rtol=1e-6)
    shown = str(matchloss(capsys, "show", out)[1])
    assert "bs(hour, df=6)" in shown and "log_seats" in shown
    errors = json.loads(out.read_text())["about"]["inference"]["standard errors"]
    np.testing.assert_allclose(sorted(errors.values()), sorted(peer.bse), rtol=1e-5)


def test_l1_and_offset_on_the_command_line(capsys: Any, tmp_path: Path, trips: Path) -> None:
    out = tmp_path / "m.json"
    options = ("--loss", "poisson", "--l1", 0.05, "--offset", "log_seats", "--drop", "month", "--out", out)
    code, said, _ = matchloss(capsys, "fit", trips, "--target", "late", *options)
    assert code == 0 and "--l1 0.05 leaves" in said
    kept = read_model(out)
    table = pl.read_csv(trips)
    scaled = pd.DataFrame({"hour": table["hour"] / table["hour"].std(ddof=0), "seats": table["seats"] / table["seats"].std(ddof=0)})
    scaled.insert(0, "carrier", table["carrier"].to_list())
    lasso = LinearRegressor("poisson", l1=0.05).fit(scaled, table["late"], offset=table["log_seats"].to_numpy())
    np.testing.assert_allclose(kept.predict(table)[0], lasso.predict(scaled, table["log_seats"].to_numpy()), rtol=1e-6)


def test_two_targets(capsys: Any, trips: Path) -> None:
    code, _, err = matchloss(capsys, "fit", trips, "--formula", "late ~ hour", "--target", "month")
    assert code == 2 and "one of the two is enough" in str(err)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--formula", "late ~ hour", "--drop", "month"), "--drop and --formula do not go together"),
        (("--formula", "late ~ hour", "--model", "trees"), "--formula is for the columns of linear models"),
        (("--formula", "late ~ hour", "--memory", "1B"), "--formula is for tables that fit in memory"),
        (("--formula", "late ~ houur"), "houur"),
        (("--formula", "late hour"), "is no formula"),
        (("--formula", "gone ~ hour"), "there is no such column"),
        (("--formula", "late ~ hour - 1"), "has an intercept"),
        (("--target", "late", "--l1", -1), "--l1 is -1"),
        (("--target", "late", "--l1", 0.1, "--summary"), "do not go together"),
        (("--target", "carrier", "--l1", 0.1), "--l1 is for losses of one raw prediction"),
        (("--target", "late", "--offset", "gone"), "gone"),
        (("--target", "late", "--offset", "carrier"), "offsets are numbers"),
        (("--target", "late", "--offset", "late"), "is the target"),
        (("--target", "late", "--offset", "hour", "--model", "trees"), "--offset is for the raw predictions of linear models"),
    ],
)
def test_refusals_of_the_command_line(capsys: Any, trips: Path, options: tuple[Any, ...], said: str) -> None:
    assert said in " ".join(refusal(capsys, "fit", trips, *options).split())
