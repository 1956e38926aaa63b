"""The audit in CI: settings of a project, baselines, formats, and what a function does besides."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from jsonschema import Draft4Validator

from command import matchloss
from matchloss.audit import Finding, Report, audit
from matchloss.audit.baseline import read_baseline, without_known, write_baseline
from matchloss.audit.causes import merged
from matchloss.audit.snippets import verified
from matchloss.errors import UsageError
from sweeps import sweep

pytest.importorskip("typer")
pytest.importorskip("cloudpickle")
LOSSES = """
import numpy as np

def sound(raw, target):
    return (raw - target) ** 2 / 2

def broken(raw, target):
    return np.log(1 + np.exp(raw)) - target * raw

def nothing(raw, target):
    return None
"""
# The parts of OASIS's schema that are used here, without descriptions; what is left out is refused.
SARIF = Path(__file__).parent / "sarif-2.1.0.json"
ROOT = Path(__file__).parent.parent
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
    sarif = json.loads(str(matchloss(capsys, "audit", "ci_losses:nothing", "ci_losses:broken", "--format", "sarif")[1]))
    Draft4Validator(json.loads(SARIF.read_text())).validate(sarif)
    run = sarif["runs"][0]
    (unjudged,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "ci_losses:nothing was not judged" in unjudged["message"]["text"]
    (result,) = [r for r in run["results"] if r["level"] == "error"]
    assert result["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "ci_losses.py"}, "region": {"startLine": 7}}
    assert (
        result["ruleId"] == "finite"
        and result["level"] == "error"
        and result["ruleId"] in {r["id"] for r in run["tool"]["driver"]["rules"]}
    )
    said = str(matchloss(capsys, "audit", "--format", "github")[1])
    assert said.startswith("::error file=ci_losses.py,line=7,title=finite of ci_losses%3Abroken::At raw 710")
    assert matchloss(capsys, "audit", "--format", "xml")[0] == 2


@pytest.mark.exhaustive  # test_audit_run has the same of `audit`
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
    (naive,) = merged([Finding("finite", "error", "inf"), Finding("hessian", "error", "far off", cause="overflow")])
    assert (naive.check, naive.touches) == ("finite", ("hessian",))
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


def changes_torch(pred, target):  # type: ignore[no-untyped-def]
    import torch

    torch.set_default_dtype(torch.float16)
    torch.manual_seed(1)
    return ((pred - target) ** 2).to(pred.dtype)


def test_the_default_dtype_and_the_seed_of_torch_are_put_back() -> None:
    torch = pytest.importorskip("torch")
    dtype, state = torch.get_default_dtype(), torch.get_rng_state()
    found = audit(changes_torch, "regression", framework="torch", isolate=False, checks=["purity"])
    assert torch.get_default_dtype() == dtype and torch.equal(torch.get_rng_state(), state)
    said = " ".join(f.message for f in found.findings)
    assert "torch's default dtype" in said and "the random numbers of torch" in said


def opens_a_window(raw, target):  # type: ignore[no-untyped-def]
    import matplotlib.pyplot as plt

    plt.figure()
    return (raw - target) ** 2


def test_windows_are_closed_and_said() -> None:
    pytest.importorskip("matplotlib")
    found = audit(opens_a_window, "regression", checks=["minimum"])
    assert any("it draws with matplotlib: its windows were closed" in remark for remark in found.remarks)


def needs_a_gpu(pred, target):  # type: ignore[no-untyped-def]
    return ((pred.cuda() - target.cuda()) ** 2).cpu()


def test_what_needs_a_gpu_is_not_judged_without_one() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    found = audit(needs_a_gpu, framework="torch", isolate=False)
    assert found.outcome == "not judged" and not found.findings and re.search("CUDA|NVIDIA", found.why)


COMMANDS = [
    command
    for block in re.findall(r"```yaml.*?```", (ROOT / "docs" / "audit.md").read_text(encoding="utf-8"), re.S)
    for command in re.findall(r"(?:run|entry): (matchloss [^\n,}]*)", block)
]


@pytest.mark.parametrize("command", sweep(COMMANDS, lambda command: "github" in command))
def test_the_ci_of_the_docs_is_green_on_sound_code_and_red_on_a_wrong_sign(
    here: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert {c.split()[1] for c in COMMANDS} == {"audit"} and any("github" in c for c in COMMANDS) and len(COMMANDS) == 2
    sound = PROJECT.replace("broken", "sound_too").replace('"binary"', '"regression"')
    (here / "ci_losses.py").write_text(LOSSES + "\n\ndef sound_too(raw, target):\n    return abs(raw - target)\n")
    (here / "pyproject.toml").write_text(sound)
    assert matchloss(capsys, *command.split()[1:])[0] == 0
    wrong = "\n\ndef sound_too(raw, target):\n    return -abs(raw - target)\n"
    (here / "ci_losses.py").write_text(LOSSES + wrong)
    code, said, _ = matchloss(capsys, *command.split()[1:])
    assert code == 1 and "minimum" in said


def test_what_a_function_changes_is_put_back_and_said() -> None:
    before = random.getstate()
    found = audit(rude, "regression", isolate=False, checks=["purity", "minimum"])
    assert random.getstate() == before
    assert any("the random numbers of Python" in f.message for f in found.findings)
    assert any("it prints, such as 'computing'" in remark for remark in found.remarks)
