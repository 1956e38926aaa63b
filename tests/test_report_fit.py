"""The page of fits: its numbers are the fit's own, and a real browser shows all of them, whatever the fit was."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import matchloss as ml
from made_up_fits import CARRIERS, classes, diagram, effects, fit, label, number, quantile
from matchloss.fit.result import Effect, Step
from matchloss.report import fit_page, fit_words, render_fit_page, words, write_fit_page
from matchloss.tables.scores import Score
from pages import HOSTILE, LOOKS, Visit, assert_all_or_nothing, assert_refers_to_nothing, page_data
from sweeps import sweep

pytest.importorskip("jinja2")
LONG = "a_column_whose_name_has_no_space_in_it_" * 5
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")
KINDS = {
    "regression": ("number", ()),
    "positive": ("count", ()),
    "binary": ("binary", ("a", "b")),
    "simplex": ("multiclass", ("a", "b", "c")),
}


def value_of(text):
    """The number that a text shows."""
    plain = re.sub(r" × 10(.*)", lambda m: f"e{m[1]}", text.translate(RAISED)) if "×" in text else text.translate(RAISED)
    return float(plain.replace(",", ""))


def hostile():
    names = (HOSTILE, f"{HOSTILE}2", "c")
    said = f"{HOSTILE} was dropped"
    found = classes(names, source=HOSTILE, why=HOSTILE, method=HOSTILE, messages=(said,), warnings=(said,))
    found.model.target = HOSTILE
    return replace(
        found,
        scores={HOSTILE: Score(0.1)},
        effects=tuple(replace(e, name=HOSTILE + e.name) for e in found.effects),
        reliability=(diagram(0.1, 0.9, of=HOSTILE),),
    )


def nothing_to_show():
    """A constant model, one row, an infinite score, a gradient that is no number, and no pass."""
    scores = {"log": Score(math.inf, 29), "Brier": Score(math.nan), "error rate": Score(0.2)}
    gone = {"effects": (), "reliability": (diagram(0.3, 0.3, 1, of="late"),), "trace": (), "scores": scores, "constant": {}}
    return label(converged=False, gradient_norm=math.nan, objective=math.inf, source=LONG, method=LONG, **gone)


def numbers_that_are_none():
    wild = (Step(math.nan, math.nan, 500), Step(math.inf, 1e300, 4000), Step(0.45, 0.0, 4000))
    odd = (Effect(LONG, math.nan, math.nan, "", 1.0), Effect("x", math.inf, math.inf, "", 0.5), Effect("y", -1e-9, 1e-12, "", 1e-6))
    return fit(
        ml.Focal(gamma=2.5),
        "binary",
        LONG,
        (LONG, LONG + "b"),
        trace=wild,
        effects=odd,
        reliability=(diagram(0.93, 0.99, of=LONG),),
        why=LONG,
        warnings=(LONG,),
    )


def edges():
    return [
        nothing_to_show(),
        numbers_that_are_none(),
        number(scored=0, scores={}, constant={}, reliability=(), effects=effects(200)),
        classes(tuple(f"{LONG}{i}" for i in range(4)), 3),
        classes(("a", "b", "c"), 30),
        fit(ml.Poisson(), "count", "visits", scores={"Poisson deviance": Score(1.2)}, constant={"Poisson deviance": Score(1.1)}),
        fit(ml.Hinge(), "binary", "late", ("on time", "late"), reliability=()),
    ]


# ---- the numbers ----


def charts_of(page):
    """The descriptions of a page's pictures."""
    found = re.search(r'<script type="application/json" id="pictures">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])["charts"]


def test_the_pictures_are_of_the_fit():
    fits = [label(), number(), quantile(), classes()]
    drawn = charts_of(render_fit_page(fits))
    assert set(drawn) == {f"fit-{i}-reliability-{j}" for i, f in enumerate(fits) for j in range(len(f.reliability))} | {
        f"fit-{i}-convergence" for i in (0, 2, 3)
    }
    for i, found in enumerate(fits):
        for j, reliability in enumerate(found.reliability):
            rows = [row for data in drawn[f"fit-{i}-reliability-{j}"]["datasets"].values() for row in data if "low" in row]
            assert [row["value"] for row in rows] == pytest.approx(reliability.value, rel=1e-4)
    steps = [row for data in drawn["fit-0-convergence"]["datasets"].values() for row in data]
    assert [row["size"] for row in steps if row["what"] == "greatest gradient"] == pytest.approx(
        [s.gradient_norm for s in fits[0].trace], rel=1e-4
    )
    assert sum(row["rows"] == "a subsample" for row in steps) == 2 * 3
    assert [row["size"] for row in steps][:3] == [None] * 3  # the objective on a subsample is that of other rows


@given(st.floats(-1e308, 1e308), st.integers(2, 9), st.booleans())
def test_a_number_in_words_is_the_number(x, digits, signed):
    text = words.number(x, digits, signed)
    assert value_of(text) == pytest.approx(x, rel=0.5001 * 10 ** (1 - digits), abs=1e-323)
    assert text.startswith("+") == (signed and x > 0)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.integers(2, 6))
def test_a_column_of_numbers_is_right_to_the_digits_of_its_largest(values, digits):
    largest = max(map(abs, values))
    for text, x in zip(words.column(values, digits), values, strict=True):
        assert abs(value_of(text) - x) <= 0.5001 * 10 ** (1 - digits) * max(largest, 1e-323) + 1e-323


@given(st.floats(0, 1))
def test_a_percentage_is_0_or_100_only_where_it_is(share):
    text = words.percent(share)
    assert (text == "0.0 %") == (share == 0)
    assert (text == "100.0 %") == (share == 1)
    assert text.startswith(("<", ">")) or abs(value_of(text[:-2]) - 100 * share) <= 0.0501


@given(st.floats(0, 1e6), st.floats(1e-6, 1e6))
def test_an_improvement_is_what_the_score_is_below_the_constant_s(score, constant):
    better = fit_words.improvement(Score(score), Score(constant))
    assert better is not None
    assert constant * (1 - better) == pytest.approx(score, rel=1e-9, abs=1e-9 * constant)
    said = fit_words.verdict(label(scores={"log": Score(score)}, constant={"log": Score(constant)}))
    assert (" below " in said) == (better >= 0.0005)
    assert (" above " in said) == (better <= -0.0005)


def test_scores_that_cannot_be_compared_are_not():
    for score, constant in ((math.inf, 1.0), (1.0, math.inf), (math.nan, 1.0), (1.0, 0.0)):
        assert fit_words.improvement(Score(score), Score(constant)) is None
    page = render_fit_page([nothing_to_show()])
    assert "inf (29 rows had probability 0)" in page
    assert "Nothing but a constant" in page
    assert "not a number" in page
    with pytest.raises(ValueError, match="at least one"):
        render_fit_page([])


def test_only_matching_losses_are_output_minus_wanted():
    for row in ml.losses():
        loss = ml.get(row["name"])
        kind, names = KINDS[loss.family]
        page = render_fit_page([fit(loss, kind, "y", names, effects=effects(3, names if kind == "multiclass" else ("",)))])
        assert ('<p class="matching">output minus wanted</p>' in page) == bool(loss.matching), loss
        assert f"elicits</dt><dd>{loss.functional}<" in page


def test_one_fit_is_spoken_of_as_one_and_never_judged_by_what_it_saw():
    one, more = render_fit_page([label()]), render_fit_page([label(), number()])
    assert "What the model learned" in one and "At a glance" not in one and re.search(r"rows that\s+it has not seen", one)
    assert "What the models learned" in more and "At a glance" in more and re.search(r"rows that\s+they have not seen", more)


# ---- the file ----


def test_the_page_is_one_small_file_that_refers_to_nothing():
    assert_refers_to_nothing(render_fit_page([label(), number(), quantile(), classes(coefficients=200)]))


def test_hostile_names_stay_text():
    page = render_fit_page([hostile()])
    assert "<b>x</b>" not in page
    assert page.count("</script>") == 5
    page_data(page)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    assert_all_or_nothing(lambda path: write_fit_page(path, [number()]), tmp_path, monkeypatch)


def test_more_coefficients_than_anybody_reads_are_counted():
    page = render_fit_page([classes(coefficients=300)])
    assert f"The {fit_page.LISTED:,} greatest of {300 * len(CARRIERS):,} coefficients" in page
    assert page.count("data-width") == fit_page.LISTED


# ---- the browser ----


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits")
    pages = {"usual": [label(), number(), quantile(), classes()], "edges": edges(), "hostile": [hostile()], "one": [label()]}
    for name, fits in pages.items():
        write_fit_page(folder / f"{name}.html", fits)
    return {name: folder / f"{name}.html" for name in pages}


def open_page(browser, file, *look, **options):
    return Visit(browser, file, *look, drawn="html[data-drawn=yes]", **options)


def shown(visit, selector):
    return visit.page.eval_on_selector_all(
        f"{selector} tbody tr", "ns => ns.filter(n => !n.hidden).map(n => [...n.children].map(c => c.textContent))"
    )


@pytest.mark.parametrize(("width", "scheme"), sweep(LOOKS, lambda *look: look in (LOOKS[0], LOOKS[3])))
@pytest.mark.parametrize("name", ["usual", "edges", "hostile", "one"])
def test_the_page_fits_and_is_quiet(browser, files, name, width, scheme):
    with open_page(browser, files[name], width, scheme) as visit:
        visit.assert_fits()
        warnings = visit.page.locator(".warnings")
        assert all(warnings.nth(i).is_visible() for i in range(warnings.count()))
        for details in visit.page.locator("details").all():
            details.evaluate("n => { n.open = true }")
        visit.assert_fits()


def test_twenty_coefficients_first_and_the_rest_on_demand(browser, files):
    found = label()
    with open_page(browser, files["one"]) as visit:
        assert len(shown(visit, "#fit-0-effects")) == fit_page.SHOWN
        more = visit.page.locator("#fit-0-effects .more")
        assert more.text_content() == f"Show the other {len(found.effects) - fit_page.SHOWN}"
        more.focus()
        visit.page.keyboard.press("Enter")
        assert more.get_attribute("aria-expanded") == "true"
        rows = shown(visit, "#fit-0-effects")
        for (name, _, effect, coef), expected in zip(rows, found.effects, strict=True):
            assert name.startswith(expected.name)
            assert value_of(effect) == pytest.approx(expected.effect, rel=0.006)
            assert value_of(coef) == pytest.approx(expected.coef, rel=0.0006)
        box = "const [a, b] = [n, n.firstChild].map(e => e.getBoundingClientRect())"
        measured = f"ns => ns.map(n => {{ {box}; return [b.left + b.right - a.left - a.right, b.width] }})"
        bars = visit.page.eval_on_selector_all("#fit-0-effects td.bar", measured)
        widest = max(width for _, width in bars)
        for (side, width), expected in zip(bars, found.effects, strict=True):
            assert width == pytest.approx(widest * expected.effect / found.effects[0].effect, abs=1)
            assert width < 1 or (side > 0) == (expected.coef > 0)


@pytest.mark.parametrize("number_of_classes", [3, 16])
def test_a_class_can_be_chosen_from_the_keyboard(browser, tmp_path, number_of_classes):
    names = CARRIERS[:number_of_classes]
    found = classes(names)
    write_fit_page(tmp_path / "page.html", [found])
    with open_page(browser, tmp_path / "page.html") as visit:
        assert len(shown(visit, "#fit-0-effects")) == fit_page.SHOWN
        if number_of_classes == 3:
            visit.page.locator("#fit-0-effects input[type=radio]").first.focus()
        else:
            visit.page.locator("#fit-0-class").focus()
        visit.page.keyboard.press("ArrowDown")
        visit.page.keyboard.press("ArrowDown")
        visit.page.locator("#fit-0-effects .more").click()
        expected = [e for e in found.effects if e.toward == names[1]]
        rows = shown(visit, "#fit-0-effects")
        assert len(rows) == len(expected)
        assert all(row[0].startswith(f"{e.name}class {names[1]}") for row, e in zip(rows, expected, strict=True))


def test_without_scripts_every_number_is_there(browser, files):
    found = label()
    with open_page(browser, files["one"], scripts=False) as visit:
        assert len(shown(visit, "#fit-0-effects")) == len(found.effects)
        assert len(shown(visit, "#fit-0-convergence")) == len(found.trace)
        assert visit.page.locator("noscript").count() == 1


def test_a_long_path_of_passes_is_cut_in_the_middle():
    steps = tuple(Step(1 + 1 / (i + 1), 1 / (i + 1), 10) for i in range(1000))
    page = render_fit_page([number(trace=steps)])
    assert page.count('<td colspan="4">…</td>') == 1
