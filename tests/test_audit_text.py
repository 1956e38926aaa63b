"""What an audit prints: everything that was found, in 80 columns, whatever names and messages hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import audit_reports as made
from matchloss.audit import words
from matchloss.audit.calling.convention import CHOICES, KINDS, Convention
from matchloss.audit.finding import SEVERITIES, Finding
from matchloss.audit.report import Report
from matchloss.audit.table import CHECKS

pytest.importorskip("rich")
from matchloss.audit.text import report_text, reports_table
from matchloss.terminal import rendered


def flat(text):
    return " ".join(text.split())


def lines_apart_from_code(text):
    return re.sub(r"This code shows.*?(\n\n  \w|\Z)", r"\1", text, flags=re.DOTALL).splitlines()


@pytest.mark.parametrize("report", made.all_of_them(), ids=lambda report: report.subject[:20])
def test_a_report_is_80_columns_and_has_no_control_character(report):
    text = report_text(report)
    assert max(map(len, lines_apart_from_code(text))) <= 80
    assert all(c.isprintable() or c == "\n" for c in text)
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert len(text) < 40_000
    assert str(report) == text


def test_a_report_says_all_that_was_found():
    report = made.probabilities()
    said = flat(report_text(report))
    for finding in report.findings:
        assert flat(finding.message) in said
        assert f"{finding.check} (promise: {words.PROMISES[finding.check]})" in said
        for _, name, value in words.rows(finding.counterexample):
            assert f"{name} {value}" in said
    assert "takes (probabilities, targets from 0 to 1), returns the mean over rows; reduction=..., weight=... (PyTorch)" in said
    assert "2 errors, 1 warning, 1 note; 14 of 20 checks clean, 2 do not apply" in said
    assert "Logistic() of matchloss's catalogue" in said
    assert "hessian (no second derivative is given); invariance (it has no classes)" in said
    places = [said.index(head) for head in ("Errors training or", "Warning likely to", "Note something to")]
    assert places == sorted(places)


def test_the_snippet_is_whole_and_at_the_margin():
    text = report_text(made.probabilities())
    assert f"This code shows the error of accuracy:\n\n{made.BCE}\n" in text
    assert "where an error, or NaN, would be right: -1 is no class')\n" in report_text(made.classes())  # longer than 80 columns


def test_nothing_found_is_said():
    said = report_text(made.clean())
    assert "No finding. Every promise that was tried is kept, 19 in all." in said
    assert "This code" not in said and "Error" not in said
    uncalled = report_text(made.uncallable())
    assert "not judged: It cannot be called" in uncalled and "1 positional argument" in uncalled
    assert "did not end  cost (10 s were over)" in report_text(made.stopped())


def test_a_table_of_several_has_a_line_each():
    reports = made.all_of_them()
    text = rendered(reports_table(reports))
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^  binary_cross_entropy +2 +1 +1 +accuracy,", text, re.MULTILINE)
    assert re.search(r"^  cross_entropy +- +- +-$", text, re.MULTILINE)
    assert re.search(r"^  f +- +- +- +not judged$", text, re.MULTILINE)
    assert [line for line in text.splitlines() if line in ("torch.nn.functional", "optax", "matchloss.torch", "mymodule")]
    assert text.count("mymodule") == 1  # two functions of one module
    assert rendered(reports_table([])).startswith("function")


def test_every_convention_can_be_said():
    for kind in KINDS:
        for name, choices in CHOICES.items():
            for choice in choices if name != "kind" else ():
                said = words.called(Convention(kind, **{name: choice}))
                assert said.startswith("takes (") and "  " not in said
    assert "of which more is better" in words.called(Convention("binary", sign=-1))
    spread = Convention("regression", order="target, prediction", others=("positive",))
    assert "takes (targets, predictions, a positive number a row)" in words.called(spread)
    layer = Convention("multiclass", others=("identity",), target="labels", ignore_argument="ignore_index")
    assert "takes (logits, the weight of a layer, labels 0..K-1)" in words.called(layer) and "ignore_index=..." in words.called(layer)


def test_states_are_those_of_the_outcomes():
    report = made.probabilities()
    states = {check: words.state(report, check) for check in made.NAMES}
    assert [c for c, s in states.items() if s in SEVERITIES] == ["gradient", "accuracy", "matching", "domain"]
    assert (states["domain"], states["hessian"], states["cost"]) == ("warning", "skipped", "clean")
    two = Report("f", Convention("binary"), (Finding("finite", "note", ""), Finding("finite", "error", "")), made.outcomes({"finite": ""}))
    assert words.state(two, "finite") == "error"


def test_a_remark_on_the_audit_is_no_check():
    report = replace(made.probabilities(), remarks=("it ran in this process",))
    said = flat(report_text(report))
    assert "14 of 20 checks clean" in said and "remark it ran in this process" in said


def test_code_that_is_short_is_shown_and_code_that_nobody_reads_is_not():
    long, short = (Finding(check, "error", check, {}, "x = 1\n" * n) for check, n in (("finite", 300), ("gradient", 3)))
    report = Report("m:f", Convention("binary"), (long, short), made.outcomes({"finite": "", "gradient": ""}))
    assert "This code shows the error of gradient:\n\nx = 1\nx = 1\nx = 1\n" in report_text(report)
    assert "This code shows the error of finite:" in report_text(replace(report, findings=(long,)))
    longest = replace(long, snippet="x = 1\n" * 1000)
    assert "The code that shows it has 6,000 characters: it is on the page." in report_text(replace(report, findings=(longest,)))


def test_a_check_is_named_once_for_its_findings():
    findings = tuple(Finding("weights", "error", f"finding {i}") for i in range(3))
    text = report_text(Report("m:f", Convention("binary"), findings, made.outcomes({"weights": ""})))
    assert text.count("weights (promise") == 1 and all(f"    Finding {i}.\n" in text for i in range(3))


def test_the_promises_are_those_of_the_checks():
    assert list(words.PROMISES) == made.NAMES
    assert [check.name for check in CHECKS] == made.NAMES
