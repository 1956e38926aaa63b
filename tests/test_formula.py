"""Formulas: statsmodels' own fits by the same formula, new rows, and what cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.formula import FormulaError
from matchloss.linear.model import ModelError

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
    with pytest.raises(ModelError, match="cannot hold the formula"):
        LinearRegressor.from_formula("had ~ age", FAIR).save(tmp_path / "m.json")
