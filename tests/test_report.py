"""The page: opened in a real browser, moved, and caught if it complains or reaches for the network."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest

import matchloss as ml
import sweeps
from made_up_comparisons import ROWS, comparison
from matchloss.comparison.result import Score
from matchloss.report import compare_pictures, curves, render_page, words, write_page
from pages import HOSTILE, LOOKS, Visit, assert_all_or_nothing, assert_refers_to_nothing, page_data
from sweeps import sweep

pytest.importorskip("jinja2")
DRAWN = "#signals-0 path[data-loss][d*=L]"


def made_up(kind, losses, score_names, target="late", classes=(), frequencies=(), target_range=(0.0, 1.0), **changes):
    """A comparison whose losses are real and whose scores are not."""
    changes = {"observed": np.zeros(ROWS) if classes else np.full(ROWS, sum(target_range) / 2)} | changes
    return comparison(
        kind, losses, score_names, target=target, classes=classes, frequencies=frequencies, target_range=target_range, **changes
    )


def label():
    losses = [ml.Logistic(), ml.SigmoidBrier(), ml.BinaryBrier(), ml.BinarySpherical(), ml.Hinge()]
    return made_up("binary", losses, ("log", "Brier"), classes=("on time", "late"), frequencies=(0.764, 0.236))


def number():
    losses = [ml.SquaredError(), ml.AbsoluteError(), ml.Huber(delta=27.0), ml.Expectile(alpha=0.8), ml.Quartic(), ml.SineSquared()]
    return made_up("number", losses, ("squared error", "absolute error"), target="delay", target_range=(-42.0, 91.0))


def count():
    losses = [ml.Poisson(), ml.NegativeBinomial(size=2.0), ml.SquaredError()]
    return made_up("count", losses, ("Poisson deviance",), target="visits", target_range=(0.0, 9.0))


def classes(**changes):
    losses = [ml.CrossEntropy(), ml.SoftmaxBrier(), ml.SoftmaxSpherical(), ml.Sparsemax(), ml.Spherical()]
    more = {"target": "species", "classes": ("a", "b", "c"), "frequencies": (0.5, 0.3, 0.2)} | changes
    return made_up("multiclass", losses, ("log",), **more)


# ---- the numbers ----


@pytest.mark.parametrize("make", [label, classes])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_S4_matching_losses_are_one_straight_line_in_the_picture(make, target):
    picture = curves.signals(make())
    for loss, curve in zip(picture["losses"], picture["sets"][0], strict=True):
        signal = np.array(curve["g"]) + target * np.array(curve["gt"])
        off = np.abs(signal - (np.array(curve["p"]) - target)).max()
        assert (off < 2e-5) if loss["matching"] else (off > 0.1), loss["name"]


def test_S4_squared_error_alone_is_the_straight_line_for_a_number():
    picture = curves.signals(number())
    for view in picture["views"]:
        for loss, curve in zip(picture["losses"], picture["sets"][view["set"]], strict=True):
            off = np.abs(np.array(curve["g"]) - np.array(curve["gx"])).max()
            straight = loss["name"] == "squared_error" or (loss["name"] == "huber" and view["label"] == "close up")  # within its delta
            assert (off < 1e-4 * curve["gx"][-1]) == straight, (loss["name"], off)


def test_count_curves_are_those_of_the_loss_at_other_targets():
    curve = curves.signals(count())["sets"][0][1]
    raw, target = np.array(curve["r"]), 3.0
    expected = ml.NegativeBinomial(size=2.0).evaluate(raw, np.full(raw.size, target))
    np.testing.assert_allclose(np.array(curve["g"]) + target * np.array(curve["gt"]), expected.gradient, rtol=1e-3, atol=1e-3)
    shift = np.array(curve["v"]) + target * np.array(curve["vt"]) - expected.value
    assert np.ptp(shift) < 1e-2  # the value up to a constant: the page measures it from its least


def test_S9_softmax_is_the_slope_of_log_sum_exp():
    data = curves.log_sum_exp()
    slope = np.gradient(np.array(data["lse"]), np.array(data["z"]))
    np.testing.assert_allclose(slope[1:-1], np.array(data["softmax"])[1:-1], atol=1e-4)
    np.testing.assert_allclose(data["lse"][120], math.log(3), rtol=1e-6)


def test_S6_the_mean_of_one_label_gradients_converges_as_theory_says():
    data = curves.one_label((0.5, 0.3, 0.2))
    ratio = np.array(data["typical"]) / np.array(data["theory"])
    assert np.all(np.abs(ratio - 1) < 0.2)
    assert data["typical"][-1] < 0.01 * data["biased"][-1]  # not linear in the target: the mean of its signals goes elsewhere


def test_a_page_on_a_number_does_not_lecture_on_labels():
    page = render_page([number()])
    assert "softmax" not in page.lower().split("<main>")[1].split("</main>")[0].replace("softmax_", "") and page_data(page)["slope"] is None
    assert "Softmax is the slope" in render_page([label(), number()])


def test_a_label_that_never_varies_still_makes_a_page():
    assert "an example distribution" in render_page([classes(frequencies=(1.0, 0.0, 0.0))])
    with pytest.raises(ValueError, match="at least one"):
        render_page([])


def test_matching_losses_share_the_straight_line_of_the_first_screen():
    for found in (label(), number(), count(), classes()):
        target = 1.0 if found.classes else 2.0
        window = (0.0, 1.0) if found.classes else found.target_range
        for fit in found.fits:
            made = compare_pictures.signal(fit, window, target, len(found.classes))
            if fit.loss.name == "hinge":
                assert made is None
                continue
            off = np.nanmax(np.abs(made.signal - (made.prediction - target)))
            assert (off < 1e-9) == bool(fit.loss.matching), fit.name


# ---- the words ----


def test_infinite_scores_are_said_and_not_best():
    found = made_up("binary", [ml.Logistic(), ml.BinaryBrier(), ml.SigmoidBrier()], ("log",), classes=("0", "1"), frequencies=(0.7, 0.3))
    scores = [Score(0.41234), Score(math.inf, 29), Score(0.42)]
    fits = [replace(fit, scores={"log": score}, converged=i < 2) for i, (fit, score) in enumerate(zip(found.fits, scores, strict=True))]
    page = render_page([replace(found, fits=tuple(fits))])
    assert "inf (29 rows had probability 0)" in page
    assert re.search(r'best">0\.41234<', page)
    assert ">22+<" in page  # did not converge


def test_formulas_are_set_with_their_signs():
    assert words.formula("4 (z - y)^3") == "4 (z − y)³"
    assert words.formula("clip(z - y, -delta, delta)") == "clip(z − y, −δ, δ)"
    assert words.formula("mu^(2-power)") == "μ^(2−power)"
    assert words.formula("y (1 - z)+^2 + e^-z") == "y (1 − z)₊² + e⁻ᶻ"


# ---- the file ----


def test_the_page_is_one_small_file_that_refers_to_nothing():
    page = render_page([label(), number(), count(), classes()])
    assert_refers_to_nothing(page)


def test_hostile_names_stay_text():
    message = f"{HOSTILE} was dropped"
    page = render_page([classes(target=HOSTILE, source=HOSTILE, classes=(HOSTILE, "b", "c"), notes=(message,))])
    assert "<b>x</b>" not in page
    assert page.count("</script>") == 5
    page_data(page)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    assert_all_or_nothing(lambda path: write_page(path, [number()]), tmp_path, monkeypatch)


# ---- the browser ----


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, [label(), number(), count(), classes(target=HOSTILE, classes=(HOSTILE, "b", "c"))])
    return path


def curves_of(visit, figure):
    return visit.page.eval_on_selector_all(f"#{figure} path[data-loss]", "nodes => nodes.map(n => n.getAttribute('d'))")


@pytest.mark.parametrize(("width", "scheme"), sweep(LOOKS, lambda *look: look in (LOOKS[0], LOOKS[3])))
def test_the_page_fits_and_is_quiet(browser, file, width, scheme):
    with Visit(browser, file, width, scheme, DRAWN) as visit:
        visit.page.wait_for_selector("html[data-drawn=yes]")
        visit.assert_fits()
        assert visit.page.locator("#picture-2 path").first.is_visible()
        tables = visit.page.locator(".table-box").all()
        assert all(
            t.evaluate("n => n.nextElementSibling.hidden === (n.scrollWidth <= n.clientWidth + 1)") for t in tables
        )  # a table that scrolls says so


def test_the_verdict_and_two_pictures_are_on_the_first_screen(browser, tmp_path):
    rng = np.random.default_rng(0)
    late, raw = rng.integers(0, 2, 50), rng.normal(size=50)
    found = replace(label(), observed=late, alerts=("rownames is left out: an id.",))
    found = replace(found, fits=tuple(replace(fit, raw=raw) for fit in found.fits))
    write_page(tmp_path / "page.html", [found])
    with Visit(browser, tmp_path / "page.html", drawn="html[data-drawn=yes]") as visit:
        shown = visit.page.locator(".verdict li, .warnings li, .own h4, .own [data-picture] svg")
        assert shown.count() == 1 + 1 + 2 + 4 + 1  # the hinge loss has no reliability diagram
        assert all(node.bounding_box()["y"] + node.bounding_box()["height"] < 800 for node in shown.all())


def test_sliders_toggles_and_legend_move_the_curves(browser, file):
    with Visit(browser, file, drawn=DRAWN) as visit:
        for i in range(4):
            figure = f"signals-{i}"
            seen = [curves_of(visit, figure)]
            assert sum(bool(d) for d in seen[0]) >= 6
            visit.page.locator(f"#{figure}-target").press("ArrowRight")
            seen.append(curves_of(visit, figure))
            visit.page.locator(f"#{figure} input[type=radio]").nth(1).check(force=True)
            seen.append(curves_of(visit, figure))
            visit.slide(f"{figure}-target", visit.page.locator(f"#{figure}-target").get_attribute("max"))
            seen.append(curves_of(visit, figure))
            for before, after in itertools.pairwise(seen):
                assert any(a != b for a, b in zip(before, after, strict=True) if a and b)
            button = visit.page.locator(f"#{figure} .legend-item").last
            button.click()
            assert button.get_attribute("aria-pressed") == "false"
            assert button.locator(".legend-value").text_content() == "hidden"


def test_every_matching_loss_reads_the_same_difference(browser, file):
    with Visit(browser, file, drawn=DRAWN) as visit:
        visit.slide("signals-0-target", 0.3)
        visit.slide("signals-0-cursor", 0.8)
        read = visit.page.eval_on_selector_all(
            "#signals-0 .legend-item", "ns => ns.map(n => [...n.querySelectorAll('span')].map(s => s.textContent))"
        )
        values = [value for _, value in read]
        assert values == ["+0.50", "+0.50", "+0.16", "+0.50", "+0.50", "raw only"]


def test_the_tangent_and_the_average_follow_their_sliders(browser, file):
    with Visit(browser, file, drawn=DRAWN) as visit:
        visit.slide("slope-z", 2)
        visit.slide("slope-y", 0.25)
        softmax = math.exp(2) / (math.exp(2) + 2)
        assert visit.page.locator("[data-read=p]").text_content() == f"{softmax:.3f}"
        assert visit.page.locator("[data-read=slope]").text_content() == f"+{softmax - 0.25:.3f}"
        early = visit.page.locator("[data-mean='0']").text_content()
        visit.slide("labels-m", 14)
        assert visit.page.locator("[data-m]").first.text_content() == "16,384"
        late = float(visit.page.locator("[data-mean='0']").text_content().replace("−", "-"))
        assert visit.page.locator("[data-mean='0']").text_content() != early
        assert abs(late - (0.5 - 0.764)) < 0.02


# ---- any loss, any range ----


RANGES = [(0.0, 1.0), (3.0, 3.0), (-7.0, -2.0), (1e5, 9e5), (1e-9, 4e-9), (2.0, 40.0)]


@pytest.mark.parametrize(("low", "high"), sweeps.sweep(RANGES, lambda low, high: low in (3.0, -7.0)))
def test_every_loss_of_the_catalogue_has_its_picture(low, high, monkeypatch):
    sweeps.spare_loops(monkeypatch)
    catalogue = [ml.get(row["name"] if isinstance(row, dict) else row.name) for row in ml.losses()]
    numbers = [loss for loss in catalogue if loss.family == "regression" or (loss.family == "positive" and low > 0)]
    binary = [loss for loss in catalogue if loss.family == "binary"]
    simplex = [loss for loss in catalogue if loss.family == "simplex"]
    found = [
        made_up("number", numbers, ("squared error",), target_range=(low, high)),
        made_up("count", numbers, ("squared error",), target_range=(0.0, max(high, 0.0))),
        made_up("binary", binary, ("log",), classes=("a", "b"), frequencies=(0.5, 0.5)),
        made_up("multiclass", simplex, ("log",), classes=("a", "b", "c"), frequencies=(0.5, 0.3, 0.2)),
    ]
    for comparison_of in found:
        assert compare_pictures.signal_chart(comparison_of) is not None
        picture = curves.signals(comparison_of)
        assert all(curve is not None for curves_of_set in picture["sets"] for curve in curves_of_set)
        for curve in picture["sets"][0]:
            assert len([g for g in curve["g"] if g is not None]) > 1
        for view in picture["views"]:
            assert view["x"][0] < view["x"][1]
            assert view["target"][0] < view["target"][1]


@pytest.mark.exhaustive
def test_readings_far_from_the_target_are_those_of_the_library(browser, file):
    with Visit(browser, file, drawn=DRAWN) as visit:
        visit.page.locator("#signals-1 input[type=radio]").nth(1).check(force=True)
        visit.slide("signals-1-target", 11)
        visit.slide("signals-1-cursor", 70)
        texts = visit.page.locator("#signals-1 .legend-value").all_text_contents()
        shown = [float(text.replace("−", "-").replace(",", "")) for text in texts]
        expected = [fit.loss.gradient(70.0, 11.0) for fit in number().fits]
        assert shown == [float(f"{g:.3g}") if abs(g) >= 1000 else round(g, 2) for g in expected]
