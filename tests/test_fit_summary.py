"""`matchloss fit --summary`: standard errors in the text, the model's file, `matchloss show` and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from matchloss.fit.run import fit
from matchloss.fit.text import fit_text, model_text
from matchloss.linear import LinearRegressor
from matchloss.linear.model import read_model, write_model
from matchloss.report.fit_page import fit_charts, render_fit_page
from matchloss.tables.errors import DataError
from matchloss.terminal import console


def rides(n: int = 300) -> pl.DataFrame:
    r = np.random.default_rng(0)
    x, city = r.normal(size=n) * 30, r.choice(["Bonn", "Oslo", "Rome"], n)
    count = r.poisson(np.exp(0.01 * x + 0.4 * (city == "Rome")))
    return pl.DataFrame({"x": x, "city": city, "hours": r.uniform(1, 3, n), "count": count})


def printed(what: object) -> str:
    screen = console()
    with screen.capture() as caught:
        screen.print(what)
    return caught.get()


def test_errors_are_printed_kept_and_shown(tmp_path: Path) -> None:
    table = rides().drop("hours")
    found = fit(table, "count", summary=True)
    features, y = table.drop("count"), table["count"].to_numpy()
    plain = LinearRegressor("poisson", tol=1e-12).fit(features, y).inference(features, y)
    assert found.summary is not None
    ours = dict(zip(found.summary["name"], found.summary["se"], strict=True))
    for name, error in zip(plain.names, plain.bse, strict=True):
        assert ours[name] == pytest.approx(error, rel=1e-4)  # the ridge of 1e-6 moves the coefficients a little
    text = printed(fit_text(found))
    assert "Poisson regression" in text and "std err" in text and max(map(len, text.splitlines())) <= 80
    write_model(tmp_path / "m.json", found.model)  # pyright: ignore[reportArgumentType]
    again = read_model(tmp_path / "m.json")
    kept = again.about["inference"]["standard errors"]
    assert kept == pytest.approx(ours)
    assert f"{kept['city = Rome']:.4g}" in printed(model_text(again, "m.json"))
    assert "fit-0-coefficients" in fit_charts([found])
    assert "How sure is it?" in render_fit_page([found])


def test_a_ridge_and_exposures() -> None:
    table = rides()
    strong = fit(table.drop("hours"), "count", summary=True, l2=0.05)
    weak = fit(table.drop("hours"), "count", summary=True)
    assert strong.summary is not None and weak.summary is not None
    assert (strong.summary["se"][1:] < weak.summary["se"][1:]).all()
    assert abs(strong.summary["coef"][1:]).sum() < abs(weak.summary["coef"][1:]).sum()
    features, y, hours = table.select("x", "city"), table["count"].to_numpy(), np.log(table["hours"].to_numpy())
    plain = LinearRegressor("poisson", tol=1e-12).fit(features, y, offset=hours).inference(features, y, offset=hours)
    rates = fit(table, "count", exposure="hours", summary=True).summary
    assert rates is not None and [name for name, _ in rates.facts if name in ("AIC:", "Log-likelihood:")] == []
    assert dict(zip(rates["name"], rates["se"], strict=True)) == pytest.approx(dict(zip(plain.names, plain.bse, strict=True)), rel=1e-4)


def test_refusals() -> None:
    with pytest.raises(DataError, match="has kinks"):
        fit(rides(), "x", loss="absolute_error", summary=True)
    with pytest.raises(DataError, match="coefficients of linear models"):
        fit(rides(), "x", model="trees", summary=True)
