"""The page of audits: every finding is on it with its input and code, and a real browser shows it, whatever names hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import audit_reports as made
from matchloss.audit import words
from matchloss.audit.finding import SEVERITIES
from matchloss.report import audit_words, render_audit_page, write_audit_page
from pages import LOOKS, Visit, assert_all_or_nothing, assert_refers_to_nothing
from sweeps import sweep

pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audits")
    pages = {"usual": made.several(), "odd": [made.hostile(), made.long()], "one": [made.probabilities()], "clean": [made.clean()]}
    for name, reports in pages.items():
        write_audit_page(folder / f"{name}.html", reports)
    return {name: folder / f"{name}.html" for name in pages}


def open_page(browser, file, *look, **options):
    return Visit(browser, file, *look, drawn="main", **options)


# ---- the file ----


def test_the_page_is_one_small_file_that_refers_to_nothing():
    assert_refers_to_nothing(render_audit_page(made.several() * 4))
    assert_refers_to_nothing(render_audit_page([made.hostile(), made.long()]))
    with pytest.raises(ValueError, match="at least one"):
        render_audit_page([])


def test_hostile_names_stay_text():
    page = render_audit_page([made.hostile()])
    assert "<b>x</b>" not in page
    assert page.count("</script>") == 2
    assert all(c.isprintable() or c == "\n" for c in page)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    assert_all_or_nothing(lambda path: write_audit_page(path, [made.classes()]), tmp_path, monkeypatch)


def test_a_report_writes_its_own_page(tmp_path):
    made.probabilities().write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == render_audit_page([made.probabilities()])


# ---- the browser ----


@pytest.mark.parametrize(("width", "scheme"), sweep(LOOKS, lambda *look: look in (LOOKS[0], LOOKS[3])))
@pytest.mark.parametrize("name", ["usual", "odd", "one", "clean"])
def test_the_page_fits_and_is_quiet(browser, files, name, width, scheme):
    with open_page(browser, files[name], width, scheme) as visit:
        visit.assert_fits()
        for details in visit.page.locator("details").all():
            details.evaluate("n => { n.open = true }")
        visit.assert_fits()
        cut = "ns => ns.filter(n => n.scrollWidth > n.clientWidth && n.textContent.length < 11).map(n => n.textContent)"
        assert visit.page.eval_on_selector_all(".check-name", cut) == []


def test_every_finding_is_there_with_its_input_and_code(browser, files):
    with open_page(browser, files["usual"], scripts=False) as visit:
        for i, report in enumerate(made.several()):
            findings = words.ordered(report)
            assert visit.page.locator(f"#function-{i} .finding").count() == len(findings)
            for j, finding in enumerate(findings):
                place = visit.page.locator(f"#function-{i}-{j}")
                assert f"is-{finding.severity}" in place.get_attribute("class")
                assert place.locator("h4").text_content() == f"{finding.severity}: {finding.check}"
                assert place.locator(".message").text_content() == finding.message
                cells = place.locator("tr").evaluate_all("ns => ns.map(n => [n.className, ...[...n.children].map(c => c.textContent)])")
                assert [tuple(row) for row in cells] == words.rows(finding.counterexample)
                code = place.locator("pre")
                assert (code.text_content() if code.count() else "") == finding.snippet.strip("\n")
        assert visit.page.locator("button").count() == 0
        assert visit.page.locator("noscript").count() == 1


def test_the_summary_counts_and_the_marks_stand_in_order(browser, files):
    reports = made.several()
    with open_page(browser, files["usual"]) as visit:
        rows = visit.page.eval_on_selector_all(".glance tbody tr", "ns => ns.map(n => [...n.children].map(c => c.textContent.trim()))")
        for row, report in zip(rows, reports, strict=True):
            assert row[1:4] == [str(len(report.of(s)) or "–") for s in SEVERITIES]
        strip = visit.page.locator(".glance tbody tr").first.locator("i")
        assert [n.get_attribute("class") for n in strip.all()] == [f"is-{words.state(reports[0], c)}" for c in made.NAMES]
        for i, report in enumerate(reports):
            names = visit.page.locator(f"#function-{i} .check-name").all_text_contents()
            assert names == [o.check for o in report.checks]
            for mark, outcome in zip(visit.page.locator(f"#function-{i} .checks li").all(), report.checks, strict=True):
                state = words.state(report, outcome.check)
                assert mark.get_attribute("class") == f"is-{state}"
                assert audit_words.MARKS[state][1] in mark.text_content()


def test_a_mark_leads_to_its_first_finding_from_the_keyboard(browser, files):
    with open_page(browser, files["one"]) as visit:
        visit.page.locator(".checks a", has_text="domain").focus()
        visit.page.keyboard.press("Enter")
        target = visit.page.evaluate("document.querySelector(':target').querySelector('h4').textContent")
        assert target == "warning: domain"
        for link in visit.page.eval_on_selector_all("a[href^='#']", "ns => ns.map(n => n.getAttribute('href'))"):
            assert visit.page.locator(f"[id='{link[1:]}']").count() == 1


@pytest.mark.parametrize("clipboard", sweep([True, False], bool))
def test_code_can_be_copied(browser, files, clipboard):
    with open_page(browser, files["one"]) as visit:
        if clipboard:
            visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        else:
            visit.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('closed')) }")
        button = visit.page.locator(".copy").first
        button.focus()
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector(".copy >> text=/Copied|Selected/")
        if clipboard:
            assert visit.page.evaluate("navigator.clipboard.readText()") == made.BCE.strip("\n")
        else:
            assert visit.page.evaluate("getSelection().toString()").strip() == made.BCE.strip()
        visit.page.wait_for_selector(".copy >> text=/Copied|Selected/", state="detached")


def test_text_can_be_read_against_its_ground(browser, files):
    """Coloured text has a contrast of 4.5 at least, light and dark."""
    measure = """ns => ns.map(n => {
      const read = (c) => { const p = document.createElement('canvas').getContext('2d'); p.fillStyle = c; p.fillRect(0, 0, 1, 1);
        return [...p.getImageData(0, 0, 1, 1).data]; };
      let at = n, ground = [0, 0, 0, 0];
      while (at && ground[3] < 255) { ground = read(getComputedStyle(at).backgroundColor); at = at.parentElement; }
      const light = (c) => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
      const [a, b] = [light(read(getComputedStyle(n).color)), light(ground)].sort((x, y) => y - x);
      return [n.textContent.slice(0, 30), (a + 0.05) / (b + 0.05)]; })"""
    for scheme in ("light", "dark"):
        with open_page(browser, files["usual"], 1280, scheme) as visit:
            places = ".verdict strong, .verdict span, .finding h4, .finding header p, .said td, .group, td[class*=is-], .mark-dot, .copy"
            low = [found for found in visit.page.eval_on_selector_all(places, measure) if found[1] < 4.5]
            assert low == [], scheme


def test_a_remark_on_the_audit_is_no_check():
    report = replace(made.clean(), remarks=("it ran in this process",))
    page = render_audit_page([report])
    assert '<p class="under">it ran in this process</p>' in page and "isolation" not in page
    assert page.count('class="check-name"') == len(made.NAMES)


def test_long_text_is_held_in_its_place():
    page = render_audit_page([made.long()])
    assert re.search(r"<title>.{0,120}</title>", page)
    assert len(page) < 3_000_000
