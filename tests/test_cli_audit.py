"""`matchloss audit` as a person and a CI job meet it: what is said, exit codes, the page, and every kind of bad input."""

from __future__ import annotations

import sys

import pytest

import audit_reports as made
import matchloss.audit as auditing
from command import matchloss
from matchloss.audit.report import exit_code

pytest.importorskip("typer")
BY_NAME = {report.subject: report for report in made.several()}
PROBABILITIES, CLEAN, CLASSES, UNCALLABLE, SLOW = BY_NAME
LOSS = """
import numpy as np

def squared(prediction, target):
    return (prediction - target) ** 2 / 2

def shout(prediction, target):
    print("called")
    return squared(prediction, target)
"""


@pytest.fixture
def asked(monkeypatch):
    """Reports made by hand in the place of audits; what was asked for each."""
    calls = {}

    def audit(name, progress, **options):
        calls[name] = options
        progress(f"{name}: how it is called")
        if name not in BY_NAME:
            raise auditing.UnknownName(f"{name} is not there; did you mean there?")
        return BY_NAME[name]

    monkeypatch.setattr(auditing, "audit", audit)
    return calls


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(LOSS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_losses", None)


def misused(capsys, *arguments):
    """The message of a run that must end with 2, one line on standard error and nothing else."""
    code, out, err = matchloss(capsys, "audit", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    return err.removeprefix("matchloss: ").strip()


@pytest.mark.usefixtures("asked")
def test_several_functions_are_printed_and_summed_up(capsys, tmp_path):
    page = tmp_path / "page.html"
    code, said, err = matchloss(capsys, "audit", *BY_NAME, "--report", page)
    assert (code, err) == (1, "")
    for report in BY_NAME.values():
        assert str(report).strip("\n") in said
    assert "function  " in said and said.index("function  ") > said.index(SLOW)
    assert f"The page: {page}" in said and "binary_cross_entropy" in page.read_text(encoding="utf-8")
    assert "Failed, since --fail-on is error: 2 of 5 functions." in said
    assert "page.html" not in matchloss(capsys, "audit", CLEAN)[1]
    assert "Code that shows every other finding is on a page: --report page.html" in matchloss(capsys, "audit", PROBABILITIES)[1]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("name", "fail_on", "code"),
    [
        (PROBABILITIES, "error", 1), (PROBABILITIES, "never", 0), (CLASSES, "error", 0), (CLASSES, "warning", 1), (CLASSES, "note", 1),
        (CLEAN, "note", 0), (UNCALLABLE, "error", 3), (UNCALLABLE, "never", 0), (SLOW, "error", 1),
    ],
)  # fmt: skip
def test_exit_code_is_1_where_something_as_bad_was_found_and_3_where_nothing_could_be(capsys, name, fail_on, code):
    ended, said, err = matchloss(capsys, "audit", name, "--fail-on", fail_on)
    assert (ended, err) == (code, "")
    assert (f"Failed, since --fail-on is {fail_on}." in said) == (code == 1)
    assert ("1 function could not be judged" in said) == (name == UNCALLABLE)


def test_nothing_that_came_to_an_end_is_no_success():
    stopped = auditing.Report("f", None, (), (auditing.CheckResult("finite", "stopped", "the time was over"),))
    assert exit_code([stopped]) == 3 and exit_code([stopped], "never") == 0
    broken = auditing.Report("g", auditing.Convention("regression"), (auditing.Finding("finite", "error", "inf"),))
    assert exit_code([stopped, broken]) == 1 and (stopped.outcome, broken.outcome) == ("not judged", "broken")


def test_options_reach_the_audit(capsys, asked):
    parts = ("--set", "order=target, prediction", "--set", "sign=-1", "--set", "others=positive,", "--set", "weight_argument=none")
    options = ("--kind", "binary", "--framework", "torch", "--only", "finite, gradient", "--seed", 3, "--budget", "2.5s")
    assert matchloss(capsys, "audit", CLEAN, CLEAN, *parts, *options)[0] == 0
    assert asked == {
        CLEAN: {
            "kind": "binary", "framework": "torch", "order": "target, prediction", "sign": -1, "others": ("positive",),
            "weight_argument": None, "checks": ["finite", "gradient"], "seed": 3, "budget": 2.5,
        }
    }  # fmt: skip
    matchloss(capsys, "audit", CLEAN)
    assert asked[CLEAN] == {"checks": None, "seed": 0, "budget": 10.0}


@pytest.mark.usefixtures("asked")
def test_a_name_that_leads_nowhere_does_not_keep_the_others_from_being_audited(capsys, tmp_path):
    page = tmp_path / "page.html"
    code, said, err = matchloss(capsys, "audit", "their", CLEAN, "--report", page)
    assert (code, err) == (2, "matchloss: their is not there; did you mean there?\n")
    assert "19 of 20 checks clean" in said and page.exists()
    assert misused(capsys, "their", "--report", tmp_path / "other.html") == "their is not there; did you mean there?"
    assert not (tmp_path / "other.html").exists()


def test_bad_options_are_one_line_before_any_audit(capsys, asked):
    assert misused(capsys, CLEAN, "--kind", "multi").startswith("kind is multi; allowed: regression, binary, multiclass")
    assert misused(capsys, CLEAN, "--framework", "keras") == "framework is keras; allowed: numpy, torch, jax"
    assert misused(capsys, CLEAN, "--set", "ordr=x") == "--set ordr=x: there is no ordr; did you mean order?"
    assert misused(capsys, CLEAN, "--set", "order=x") == 'order is x; allowed: "prediction, target", "target, prediction"'
    assert misused(capsys, CLEAN, "--set", "sign=2") == "sign is 2; allowed: 1, -1"
    assert misused(capsys, CLEAN, "--set", "input").startswith("--set is input; write a part of how the function is called and its value")
    assert misused(capsys, CLEAN, "--set", "kind=count", "--kind", "count") == "kind is given twice"
    assert misused(capsys, CLEAN, "--only", "gradeint") == "--only: there is no check gradeint; did you mean gradient?"
    assert misused(capsys, CLEAN, "--only", "qqq").endswith("there are " + ", ".join(made.NAMES))
    assert misused(capsys, CLEAN, "--fail-on", "all") == "--fail-on is all; allowed: error, warning, note, never"
    for limit in ("0", "-1s", "nan", "soon"):
        assert misused(capsys, CLEAN, f"--budget={limit}") == f"--budget is {limit}; write seconds, such as 5s"
    assert matchloss(capsys, "audit")[0] == matchloss(capsys, "audit", CLEAN, "--seed", "-1")[0] == 2
    assert asked == {}


def test_a_page_that_cannot_be_written_is_refused_before_any_audit(capsys, asked, tmp_path):
    for path, says in ((tmp_path, "is a folder"), (tmp_path / "no" / "page.html", "there is no folder")):
        code, out, err = matchloss(capsys, "audit", CLEAN, "--report", path)
        assert (code, out) == (1, "") and says in err
    assert asked == {}


def test_an_interrupted_audit_leaves_nothing(capsys, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(auditing, "audit", interrupt)
    code, out, err = matchloss(capsys, "audit", CLEAN, "--report", tmp_path / "page.html")
    assert (code, out) == (130, "") and "interrupted" in err
    assert list(tmp_path.iterdir()) == []


# ---- real audits ----


@pytest.mark.usefixtures("here")
def test_a_function_in_the_working_directory_is_found(capsys):
    pytest.importorskip("cloudpickle")
    before = sys.path[:]
    code, said, err = matchloss(capsys, "audit", "own_losses:squared", "--framework", "numpy", "--only", "finite,minimum")
    assert (code, err) == (0, "")
    assert "takes (predictions, targets), returns a value for each row (NumPy)" in " ".join(said.split())
    assert sys.path == before and "own_losses" not in sys.modules


@pytest.mark.usefixtures("here")
def test_what_a_function_prints_stays_out_of_the_report(capsys):
    pytest.importorskip("cloudpickle")
    code, said, _ = matchloss(capsys, "audit", "own_losses:shout", "--kind", "regression", "--only", "finite")
    assert code == 0 and "\ncalled" not in said and "it prints, such as 'called': that was not shown" in said


@pytest.mark.usefixtures("here")
def test_nearest_names_are_said(capsys):
    pytest.importorskip("cloudpickle")
    assert misused(capsys, "own_losses:squarred") == "own_losses has no squarred; did you mean squared?"
    assert "own_losses" in misused(capsys, "own_loses:squared")
    assert "no name" in misused(capsys, "what is this?")
