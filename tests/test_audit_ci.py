"""The audit in CI: settings of a project, baselines, formats, and what a function does besides."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from command import matchloss
from matchloss.audit import Finding, Report, audit
from matchloss.audit.baseline import read_baseline, without_known, write_baseline
from matchloss.audit.causes import merged
from matchloss.audit.snippets import verified
from matchloss.errors import UsageError

pytest.importorskip("typer")
pytest.importorskip("cloudpickle")
LOSSES = """
import numpy as np

def sound(raw, target):
    return (raw - target) ** 2 / 2

def broken(raw, target):
    return np.log(1 + np.exp(raw)) - target * raw
"""
PROJECT = """
[tool.matchloss.audit]
functions = [
    "ci_losses:sound",
    {name = "ci_losses:broken", kind = "binary"},
]
only = ["finite", "minimum"]
budget = "5s"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ci_losses.py").write_text(LOSSES)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_says_what_is_audited_and_a_baseline_what_is_known(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = matchloss(capsys, "audit")
    assert code == 1 and "ci_losses:sound" in said and "At raw 710, target 0 the value is inf" in said
    assert matchloss(capsys, "audit", "--baseline", "known.json", "--update-baseline")[0] == 0
    code, said, _ = matchloss(capsys, "audit", "--baseline", "known.json")
    assert code == 0 and "findings are in the baseline" in said
    assert matchloss(capsys, "audit", "ci_losses:sound")[0] == 0
    (here / "pyproject.toml").write_text(PROJECT.replace("ci_losses:sound", "ci_losses:sond"))
    code, _, err = matchloss(capsys, "audit")
    assert code == 2 and "pyproject.toml, line 4: ci_losses has no sond; did you mean sound?" in err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("kind = 3", "kind is 3; allowed"), ("knd = 3", "has no knd; did you mean kind?"), ("", "cannot be read"),
    ],
)  # fmt: skip
def test_a_project_that_is_wrong(here: Path, capsys: pytest.CaptureFixture[str], changed: str, message: str) -> None:
    (here / "pyproject.toml").write_text(PROJECT.replace('kind = "binary"', changed))
    code, _, err = matchloss(capsys, "audit")
    assert code == 2 and message in err


def report() -> Report:
    found = Finding("finite", "error", "At raw 710 the value is inf.", {"got": float("inf")}, "print(1)")
    return Report("m:f", None, (found,), reason="a test")


def test_baselines(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    write_baseline(path, [report()])
    known = read_baseline(path)
    moved = Report("m:f", None, (Finding("finite", "error", "At raw 709.5 the value is inf."), Finding("jumps", "error", "New.")))
    assert [f.check for f in without_known(moved, known).findings] == ["jumps"]
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(UsageError, match="of schema 2"):
        read_baseline(path)
    for text, says in (("{", "cannot be read"), ("{}", "is no baseline"), ("[]", "is no baseline")):
        path.write_text(text)
        with pytest.raises(UsageError, match=says):
            read_baseline(path)
    with pytest.raises(UsageError, match="--update-baseline writes one"):
        read_baseline(tmp_path / "none.json")


def test_formats(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = matchloss(capsys, "audit", "--format", "json")
    data = json.loads(str(said))
    assert code == 1 and [r["outcome"] for r in data] == ["sound", "broken"] and data[1]["findings"][0]["counterexample"]["got"] == "inf"
    assert data[0]["versions"]["numpy"] and data[0]["convention"]["kind"] == "regression"
    run = json.loads(str(matchloss(capsys, "audit", "--format", "sarif")[1]))["runs"][0]
    (result,) = run["results"]
    assert (
        result["ruleId"] == "finite"
        and result["level"] == "error"
        and result["ruleId"] in {r["id"] for r in run["tool"]["driver"]["rules"]}
    )
    said = str(matchloss(capsys, "audit", "--format", "github")[1])
    assert said.startswith("::error title=finite of ci_losses%3Abroken::At raw 710")
    assert matchloss(capsys, "audit", "--format", "xml")[0] == 2


def test_the_same_seed_gives_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (json.loads(str(matchloss(capsys, "audit", "--format", "json", "--seed", "3")[1])) for _ in range(2))
    assert [r["findings"] for r in first] == [r["findings"] for r in second]


def test_snippets_run_before_they_are_shown() -> None:
    right, wrong = Finding("finite", "error", "a", {}, "import math\nprint(math.pi)"), Finding("jumps", "note", "b", {}, "print(nothing)")
    findings, remarks = verified([right, wrong])
    assert findings[0] == right and findings[1].snippet == "" and "the code of jumps does not run: NameError" in remarks[0]


def test_one_cause_is_one_finding() -> None:
    found = [
        Finding("gradient", "error", "a"),
        Finding("matching", "note", "b"),
        Finding("hessian", "error", "c"),
        Finding("cost", "error", "d"),
    ]
    first, last = merged(found)
    assert sorted(first.touches) == ["hessian", "matching"]
    assert last.check == "cost"
    (drift,) = merged([Finding("reductions", "error", "rows matter", cause="coupled"), Finding("purity", "error", "it remembers")])
    assert (drift.check, drift.touches) == ("purity", ("reductions",))
    apart = [Finding("reductions", "error", "a"), Finding("accuracy", "error", "b", cause="sums"), Finding("accuracy", "error", "c")]
    first, sums = merged(apart)
    assert first.touches == ("accuracy",) and sums.message == "b"
    branch, declared = merged([*(Finding(c, "error", c, cause=w) for c, w in (("jumps", ""), ("accuracy", "cut-off"))),
                               Finding("convex", "note", "declared", cause="declared")])  # fmt: skip
    assert (branch.check, branch.touches, declared.check) == ("jumps", ("accuracy",), "convex")


def rude(raw, target):  # type: ignore[no-untyped-def]
    random.seed(0)
    print("computing")
    return (raw - target) ** 2


def test_what_a_function_changes_is_put_back_and_said() -> None:
    before = random.getstate()
    found = audit(rude, "regression", isolate=False, checks=["purity", "minimum"])
    assert random.getstate() == before
    assert any("the random numbers of Python" in f.message for f in found.findings)
    assert any("it prints, such as 'computing'" in remark for remark in found.remarks)
