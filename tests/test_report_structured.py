"""The page of a structured fit: its numbers are the model's own, and a real browser shows it at every width."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from command import matchloss
from matchloss.fit.structured import StructuredFit, fit_structured
from matchloss.linear import load
from matchloss.report import render_structured_page, structured_words, write_structured_page
from matchloss.report.pictures import Curve, survival_chart
from matchloss.report.pictures.structured import STEPS
from matchloss.report.structured_page import STRATA, structured_charts, survival
from pages import HOSTILE, LOOKS, Visit, assert_all_or_nothing, assert_refers_to_nothing, page_data
from sweeps import sweep

pytest.importorskip("jinja2")


def people(n: int = 240, age: str = "age", arm: str = "arm") -> pl.DataFrame:
    rng = np.random.default_rng(0)
    years, treated = rng.normal(50, 9, n).round(1), rng.choice(["a", f"b{HOSTILE if age == HOSTILE else ''}"], n)
    week = (rng.exponential(np.exp(-0.05 * (years - 50))) * 20).round(1) + 0.1
    grade = np.digitize(0.05 * (years - 50) + rng.logistic(size=n), [-1.0, 1.0])
    return pl.DataFrame(
        {age: years, arm: treated, "week": week, "died": (rng.uniform(size=n) < 0.7).astype(int), "grade": grade + 1}
        | {"trip": np.arange(n) // 3, "took": (np.arange(n) % 3 == rng.integers(0, 3, n // 3).repeat(3)).astype(int)}
    )


def fits(age: str = "age") -> dict[str, StructuredFit]:
    rows = people(age=age, arm=f"{age}2" if age == HOSTILE else "arm")
    return {
        "cox": fit_structured(rows, "cox", time="week", event="died", drop=["grade", "trip", "took"]),
        "strata": fit_structured(rows, "cox", time="week", event="died", strata="grade", drop=["trip", "took"]),
        "ordered": fit_structured(rows, "ordered", target="grade", drop=["week", "died", "trip", "took"]),
        "choice": fit_structured(rows, "clogit", target="took", group="trip", drop=["week", "died", "grade"]),
    }


@pytest.fixture(scope="module")
def made() -> dict[str, StructuredFit]:
    return fits()


def rows_of(chart: Any, key: str) -> list[dict[str, Any]]:
    """The data of a picture that have this field."""
    return [row for data in chart.to_dict()["datasets"].values() for row in data if key in row]


def test_the_pictures_are_of_the_model(made: dict[str, StructuredFit]) -> None:
    assert {name: list(structured_charts(fit)) for name, fit in made.items()} == {
        "cox": ["coefficients", "survival"], "strata": ["coefficients", "survival"],
        "ordered": ["coefficients", "labels"], "choice": ["coefficients"],
    }  # fmt: skip
    model: Any = made["cox"].model
    drawn = {row["name"]: row for row in rows_of(structured_charts(made["cox"])["coefficients"], "coef")}
    assert [drawn[name]["coef"] for name in model.coef_names_] == pytest.approx(model.coef_, rel=1e-4)
    assert [drawn[name]["low"] for name in model.coef_names_] == pytest.approx(made["cox"].inference.conf_int()[:, 0], rel=1e-4)

    ratios = np.sort(model.predict_partial_hazard(made["cox"].rows))
    for (ratio, curve), share in zip(survival(made["cox"]), (0.1, 0.5, 0.9), strict=True):
        assert np.mean(ratios < ratio) == pytest.approx(share, abs=0.01)
        mean = (
            model.predict_survival_function(made["cox"].rows, curve.times)
            ** (ratio / model.predict_partial_hazard(made["cox"].rows))[:, None]
        )
        assert np.allclose(mean, curve.alive)
    by_grade: Any = made["strata"].model
    curves = survival(made["strata"])
    assert [curve.name for _, curve in curves] == ["grade 1", "grade 2", "grade 3"]
    at_mean = np.exp(-np.cumsum(by_grade.baseline_hazard_[1]))
    assert np.allclose(curves[1][1].alive, at_mean)

    labels: Any = made["ordered"].model
    chart = structured_charts(made["ordered"])["labels"]
    cuts = rows_of(chart, "cut")
    assert [row["cut"] for row in cuts] == pytest.approx(labels.thresholds_, rel=1e-4)
    assert all(row["low"] < row["cut"] < row["high"] for row in cuts)
    areas = rows_of(chart, "p")
    assert sum(row["p"] for row in areas[:3]) == pytest.approx(1, abs=1e-4) and [row["label"] for row in areas[:3]] == ["1", "2", "3"]


def test_a_long_curve_is_drawn_by_some_of_its_steps() -> None:
    times = np.arange(1.0, 5001.0)
    rows = rows_of(survival_chart([Curve("all", times, np.exp(-times / 1e4)), Curve("none", times[:0], times[:0])], "day"), "alive")
    assert len(rows) == STEPS + 4 and rows[0] == {"time": 0.0, "alive": 1.0, "curve": "all"}
    assert rows[STEPS]["time"] == 5000 and rows[-1] == {"time": 5000.0, "alive": 1.0, "curve": "none"}


def test_the_numbers_of_the_page_are_those_of_the_inference(made: dict[str, StructuredFit]) -> None:
    for name, fit in made.items():
        page = render_structured_page(fit)
        table = page.partition('<table class="estimates">')[2].partition("</table>")[0]
        cells = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in table.split("<tr>")[2:]]
        assert [row[0] for row in cells] == list(fit.inference.names)
        z = [float(row[-2].replace("−", "-")) for row in cells]
        assert z == pytest.approx(fit.inference.tvalues, abs=0.00501)
        if name == "cox":
            assert [float(row[1]) for row in cells] == pytest.approx(np.exp(fit.inference.params), rel=0.006)
        assert ("χ²" in page) and (f"{len(fit.rows)} rows" in page)
    assert "tell something about died" in structured_words.verdict(made["cox"]) and "do not show" in structured_words.verdict(
        made["choice"]
    )
    assert "hazard ratio" not in render_structured_page(made["ordered"])


def test_many_strata_are_counted() -> None:
    rows = people(1200).with_columns(ward=pl.int_range(1200) % 12)
    page = render_structured_page(fit_structured(rows, "cox", time="week", event="died", strata="ward", drop=["grade", "trip", "took"]))
    assert f"The first {STRATA} of 12 strata are shown." in page and page.count('<th scope="row">ward ') == STRATA


def test_the_page_is_one_small_file_and_hostile_names_stay_text(made: dict[str, StructuredFit]) -> None:
    assert_refers_to_nothing(render_structured_page(made["cox"]))
    page = render_structured_page(fits(HOSTILE)["cox"])
    assert "<b>x</b>" not in page and page.count("</script>") == 5
    page_data(page)


def test_writing_is_all_or_nothing(made: dict[str, StructuredFit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_all_or_nothing(lambda path: write_structured_page(path, made["choice"]), tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def files(made: dict[str, StructuredFit], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("structured")
    each = made | {"hostile": fits(HOSTILE)["ordered"]}
    for name, fit in each.items():
        write_structured_page(folder / f"{name}.html", fit)
    return {name: folder / f"{name}.html" for name in each}


SEEN = [("cox", LOOKS[0]), ("strata", LOOKS[3]), ("hostile", LOOKS[3])]


@pytest.mark.parametrize(
    ("name", "look"),
    sweep(product(["cox", "strata", "ordered", "choice", "hostile"], LOOKS), lambda *shown: shown in SEEN),
)
def test_the_page_fits_and_is_quiet(browser: Any, files: dict[str, Path], name: str, look: tuple[int, str]) -> None:
    with Visit(browser, files[name], *look, drawn="html[data-drawn=yes]") as visit:
        visit.assert_fits()
        for details in visit.page.locator("details").all():
            details.evaluate("n => { n.open = true }")
        visit.assert_fits()


def test_the_command_writes_the_page_and_its_pictures(tmp_path: Path, capsys: Any) -> None:
    people().drop("grade", "trip", "took").write_csv(tmp_path / "people.csv")
    page, out = tmp_path / "page.html", tmp_path / "m.json"
    how = ("--loss", "cox", "--time", "week", "--event", "died", "--out", out, "--report", page, "--pictures", tmp_path / "drawn")
    code, said, err = matchloss(capsys, "fit", tmp_path / "people.csv", *how)
    assert (code, err) == (0, "") and f"The page: {page.resolve()}" in said and "The pictures: " in said
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == [
        "coefficients.png", "coefficients.svg", "survival.png", "survival.svg",
    ]  # fmt: skip
    text = page.read_text(encoding="utf-8")
    charts = re.search(r'<script type="application/json" id="pictures">(.*?)</script>', text, re.S)
    assert charts and list(json.loads(charts[1])["charts"]) == ["coefficients", "survival"]
    assert "people.csv" in text and load(out).n_steps_ > 0
    code, _, err = matchloss(capsys, "fit", tmp_path / "people.csv", *how[:6], "--report", tmp_path / "nowhere" / "page.html")
    assert code == 1 and "the page cannot be written" in err
