"""Pictures of forecasts: valid descriptions of few points, files, and a page that draws them without a request."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from matchloss import scoring
from pages import HOSTILE, Visit, assert_refers_to_nothing, browser  # noqa: F401  (a fixture)

pytest.importorskip("altair")
pytest.importorskip("vl_convert")
from matchloss.report import pictures
from matchloss.report.pictures.models import Signal


def charts():
    rng = np.random.default_rng(0)
    n = 2000
    p = rng.uniform(size=n) ** 2
    y = (rng.uniform(size=n) < p).astype(float)
    mu = np.exp(rng.normal(size=n))
    cost = mu * rng.gamma(2.0, 0.5, size=n)
    forecasts = {HOSTILE: mu, "constant": np.full(n, cost.mean()), "half": mu / 2}
    murphy = scoring.murphy(cost, forecasts, reference="constant")
    x = np.linspace(0.01, 0.99, 50)
    return {
        "reliability": pictures.reliability_chart(scoring.reliability(y, p, "probability", label=HOSTILE, draws=20)),
        "quantile": pictures.reliability_chart(scoring.reliability(cost, mu, "quantile", level=0.6, draws=20), "a title", "cost"),
        "pit": pictures.histogram_chart(scoring.pit_histogram(p)),
        "ranks": pictures.histogram_chart(scoring.rank_histogram(y, rng.normal(size=(n, 5)))),
        "murphy": pictures.murphy_chart(murphy),
        "difference": pictures.murphy_difference_chart(murphy, "half"),
        "sharpness": pictures.sharpness_chart(scoring.sharpness({"model": (0 * mu, mu), "constant": (0 * mu, 0 * mu + 3)})),
        "comparison": pictures.comparison_chart(scoring.compare_forecasts("squared_error", cost, forecasts)),
        "parts": pictures.decomposition_chart({name: scoring.decompose("squared_error", cost, f) for name, f in forecasts.items()}),
        "signals": pictures.signals_chart([Signal("a", True, x, x - 1), Signal("b", False, x, x**2 - 1)], 1.0, "prediction", (0, 1)),
        "convergence": pictures.convergence_chart(
            np.array([3.0, 1.5, 1.0]), np.array([1.0, np.nan, 0.0]), 1.0, np.array([True, False, False])
        ),
    }


@pytest.fixture(scope="module")
def made():
    return charts()


def test_descriptions_are_valid_and_small(made):
    for name, chart in made.items():
        spec = json.dumps(chart.to_dict(), allow_nan=False)  # Altair holds it to Vega-Lite's schema
        assert len(spec) < 120_000, name
        assert chart.to_dict()["description"]


def test_extreme_forecasts_can_be_drawn():
    one = scoring.reliability([1.0], [1.0], draws=2)
    far = scoring.reliability([0.0, 1.0, 2.0], [-1e200, 0.0, 1e200], draws=2)
    for found in (one, far):
        assert json.dumps(pictures.reliability_chart(found).to_dict(), allow_nan=False)
    nothing = scoring.compare_forecasts("squared_error", [0.0, 1.0], {"a": [0.0, 1.0], "b": [0.0, 1.0]})
    pictures.comparison_chart(nothing).to_dict()
    pictures.murphy_chart(scoring.murphy([1.0], [1.0])).to_dict()


def test_files_are_whole_or_not_there(made, tmp_path, monkeypatch):
    paths = pictures.write({"pit": made["pit"], "signals": made["signals"]}, tmp_path / "new")
    assert [p.name for p in paths] == ["pit.png", "pit.svg", "signals.png", "signals.svg"]
    assert paths[0].read_bytes()[:4] == b"\x89PNG" and b"output minus wanted" in paths[3].read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        pictures.write({"pit": made["pit"]}, tmp_path / "other", formats=("svg",))
    assert list((tmp_path / "other").iterdir()) == []


def test_a_page_draws_all_and_asks_for_nothing(browser, made, tmp_path):  # noqa: F811
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    head = f'<!doctype html><html data-ready="yes"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
    page = head + pictures.embed(made)
    assert_refers_to_nothing(page)
    assert page.count('id="vega"') == 1 and "<b>x</b>" not in page
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    with Visit(browser, file, drawn="html[data-drawn=yes]") as visit:
        assert visit.page.locator("[data-picture] svg").count() == len(made)
        assert not visit.page.locator("b").count()


def test_altair_is_imported_with_the_first_picture_only():
    code = "import sys, matchloss.report.pictures; sys.exit('altair' in sys.modules or 'vl_convert' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
