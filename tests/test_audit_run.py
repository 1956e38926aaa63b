"""The run of an audit: functions that hang, end the interpreter or return nonsense become findings, and nothing else is disturbed."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest

from audit_runs import TABLE, after, audited, deep, fails, gone, on_nan, posix, rows, spin, square
from audit_runs import brief as brief
from matchloss.audit import CheckResult, Finding, Report, assert_sound, audit
from matchloss.audit.calling.subject import Subject
from matchloss.audit.checks._check import Check, Skip
from matchloss.audit.running import perform, run
from matchloss.audit.running import worker as processes

# --- what is sound -----------------------------------------------------------------------------------------------------------------


def test_the_same_report_in_another_process_in_this_one_and_again() -> None:
    square = on_nan(lambda: None)
    here = audited(square, isolate=False)
    assert [o.status for o in here.checks] == ["found", "clean", "clean"]
    assert here.convention is not None and here.convention.kind == "regression"
    assert audited(square) == audited(square) == here  # NaN in the counterexample is no difference


def test_two_audits_in_one_worker() -> None:
    audited(square)
    assert len(processes._kept) == 1
    first = processes._kept[0].process.pid
    audited(on_nan(fails))
    assert processes._kept[0].process.pid == first


def test_the_seed_decides_what_is_tried() -> None:
    tried = [audited(square, seed=s).findings[0].counterexample["prediction"] for s in (0, 1, 0)]
    assert tried[0] == tried[2] != tried[1]


def noisy(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2 + random.random() * 1e-3 + np.random.uniform(0, 1e-3, size=np.shape(raw))  # noqa: NPY002


def shows_value(subject: Subject) -> Iterator[Finding]:
    """What it returns."""
    yield subject.finding("note", "value", got=subject.value(*subject.ordinary(2)))


def dropped(raw: Any, target: Any) -> Any:
    import torch

    return torch.nn.functional.dropout(1 + (raw - target) ** 2, 0.01)


@pytest.mark.parametrize(("fn", "framework"), [(noisy, "numpy"), (dropped, "torch")])
def test_a_function_that_draws_numbers_draws_the_same(fn: Any, framework: str) -> None:
    pytest.importorskip(framework)
    known = {"framework": framework, "order": "prediction, target"}
    first = audited(fn, table=[Check(shows_value)] * 2, **known)
    assert first == audited(fn, table=[Check(shows_value)] * 2, **known) and first.findings


def test_one_check_does_not_disturb_another() -> None:
    assert audited(square, table=TABLE[2:] + TABLE[:1]).findings == audited(square).findings


@pytest.mark.parametrize("isolate", [True, False])
def test_no_checks_at_all_tell_how_it_is_called(isolate: bool) -> None:
    report = audited(square, table=(), isolate=isolate)
    assert report.convention and report.convention.kind == "regression" and report.checks == report.findings == ()


def test_progress() -> None:
    told: list[str] = []
    audited(square, tell=told.append)
    assert told == ["square: how it is called", "square: rows (1 of 3)", "square: bad (2 of 3)", "square: after (3 of 3)"]


# --- what breaks in one check ------------------------------------------------------------------------------------------------------

BROKEN = {
    "hang": (spin, "did not return within 0.6 s"),
    "sleep": (lambda: time.sleep(600), "did not return within 0.6 s"),
    "lock": (lambda: ctypes.PyDLL(None).sleep(600), "did not return within 0.6 s"),  # holds the interpreter's own lock
    "exit": (lambda: os._exit(3), "ended the interpreter (exit code 3)"),
    "segfault": (lambda: ctypes.string_at(0), "ended the interpreter (SIGSEGV)"),
    "abort": (os.abort, "ended the interpreter (SIGABRT)"),
}
RAISES = {
    "sys.exit": (lambda: sys.exit(3), "called sys.exit(3), which ends the interpreter"),
    "raise": (fails, "raised ValueError: no way"),
    "recursion": (deep, "raised RecursionError"),
    "interrupt": (lambda: signal.raise_signal(signal.SIGINT), "raised KeyboardInterrupt"),
    "complex": (lambda: np.ones(4, complex), "complex"),
    "string": (lambda: "four", "str"),
    "shape": (lambda: np.ones((4, 4)), "(4, 4)"),
    "nothing": (dict, "dict"),
}


@posix
@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(("act", "message"), BROKEN.values(), ids=BROKEN)
def test_a_check_that_does_not_come_back(act: Callable[[], Any], message: str) -> None:
    report = audited(on_nan(act))
    (note, error) = report.findings
    assert (note.check, error.check, error.severity, error.message) == ("rows", "bad", "error", message)
    assert error.counterexample == {"call": "fn(nan)"}
    assert [(o.check, o.status) for o in report.checks] == [("rows", "found"), ("bad", "stopped"), ("after", "clean")]


@pytest.mark.parametrize(("act", "message"), RAISES.values(), ids=RAISES)
def test_a_check_in_which_it_fails(act: Callable[[], Any], message: str) -> None:
    report = audited(on_nan(act))
    error = report.findings[1]
    assert (error.check, error.severity) == ("bad", "error") and message in error.message
    assert [(o.check, o.status) for o in report.checks] == [("rows", "found"), ("bad", "found"), ("after", "clean")]
    if act is fails:
        assert np.isnan(error.counterexample["prediction"]).all() and len(error.counterexample["prediction"]) == 1  # the row that does it
        assert "print(fn(x, y))" in error.snippet


@posix
@pytest.mark.usefixtures("brief")
def test_the_processes_that_a_function_starts_end_with_it(tmp_path: Path) -> None:
    def forks() -> None:
        child = os.fork()
        if child:
            (tmp_path / "pid").write_text(str(child))
        spin()

    report = audited(on_nan(forks))
    assert report.findings[1].message == "did not return within 0.6 s"
    assert gone(int((tmp_path / "pid").read_text()))


def hangs_first(subject: Subject) -> Iterator[Finding]:
    """Does not return."""
    time.sleep(600)
    yield from ()


def hangs_second(subject: Subject) -> Iterator[Finding]:
    """Does not return."""
    yield from hangs_first(subject)


def hangs_third(subject: Subject) -> Iterator[Finding]:
    """Does not return."""
    yield from hangs_first(subject)


HANGS = [*map(Check, (rows, hangs_first, hangs_second, hangs_third, after))]


@pytest.mark.usefixtures("brief")
def test_a_worker_is_replaced_twice_at_most() -> None:
    report = audited(square, table=HANGS)
    assert [(o.check, o.status) for o in report.checks] == [("rows", "found"), *((c.name, "stopped") for c in HANGS[1:])]
    assert [f.check for f in report.findings] == ["rows", "hangs_first", "hangs_second", "hangs_third"]
    assert "replaced 2 times" in report.checks[-1].reason


def test_the_limit_of_all_checks() -> None:
    report = audited(square, table=HANGS, limit=1.2)
    assert [f.message for f in report.findings[1:]] == ["did not return within 1.8 s"]
    assert "budget" in report.checks[-1].reason and report.checks[-1].status == "stopped"


def slow_calls(subject: Subject) -> Iterator[Finding]:
    """Many calls that return."""
    for _ in range(1000):
        subject.value(*subject.ordinary(1))
    yield from ()


def waits(raw: Any, target: Any) -> Any:
    if len(raw) == 1:
        time.sleep(0.01)
    return (raw - target) ** 2


@pytest.mark.usefixtures("brief")
def test_slow_calls_that_return_are_no_error() -> None:
    report = audited(waits, table=[Check(slow_calls), Check(after)], order="prediction, target")
    assert not report.findings
    assert [(o.status, o.reason) for o in report.checks] == [("stopped", "it takes more than 0.2 s"), ("clean", "")]


def test_an_audit_ends_however_little_of_the_time_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CALLED", 1.0)
    report = audited(waits, table=[Check(slow_calls), Check(after)], limit=1.5, order="prediction, target")
    assert not report.findings and [o.status for o in report.checks] == ["stopped", "stopped"]
    assert "budget" in report.checks[0].reason and report.checks[0].seconds == 0


def defective(subject: Subject) -> Iterator[Finding]:
    """A check that is wrong."""
    yield from [Finding("", "note", "before")] if subject.seed else []
    raise ZeroDivisionError("ours")


def skips(subject: Subject) -> Iterator[Finding]:
    """Does not apply."""
    raise Skip("it has no hessian")
    yield


def test_a_defect_of_a_check_is_not_the_functions() -> None:
    table = [Check(defective), Check(skips), Check(after)]
    assert audited(square, isolate=False, table=table).checks[0].status == "crashed"
    report = audited(square, table=table)
    assert not report.findings and report.outcome == "sound"
    assert [o.status for o in report.checks] == ["crashed", "skipped", "clean"]
    assert "a fault of the audit, not of the function; please report it: ZeroDivisionError: ours" in report.checks[0].reason
    assert audited(square, table=table[:2]).outcome == "not judged"
    assert report.checks[1].reason == "it has no hessian"


# --- what cannot be called ---------------------------------------------------------------------------------------------------------

NEVER = {
    "hang": (lambda raw, target: spin(), "did not return within 1.2 s"),
    "exit": (lambda raw, target: os._exit(0), "ended the interpreter (exit code 0)"),
    "segfault": (lambda raw, target: ctypes.string_at(0), "ended the interpreter (SIGSEGV)"),
    "sys.exit": (lambda raw, target: sys.exit("bye"), "SystemExit: bye"),
    "raise": (lambda raw, target: fails(), "ValueError: no"),
    "none": (lambda raw, target: None, "None"),
    "string": (lambda raw, target: "four", "str"),
    "complex": (lambda raw, target: (raw - target) ** 2 + 0j, "complex"),
    "shape": (lambda raw, target: np.ones((2, 2)), "shape (2, 2)"),
    "arguments": (lambda: 0, "takes 0 positional arguments"),
    "object": (object(), "is no function"),
}


@posix
@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(("fn", "message"), NEVER.values(), ids=NEVER)
def test_a_function_that_is_no_loss_is_not_judged(fn: Any, message: str) -> None:
    report = audited(fn)
    assert report.convention is None and not report.findings and report.outcome == "not judged"
    assert message in report.reason
    assert [o.check for o in report.checks] == ["rows", "bad", "after"]
    assert {o.status for o in report.checks} == {"skipped"} and all(o.reason for o in report.checks)
    str(report)


# --- arguments -----------------------------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_the_callers() -> None:
    with pytest.raises(ValueError, match="kind is 'regresion'"):
        audit(square, "regresion")
    with pytest.raises(TypeError, match="audit takes no 'ordr'; did you mean order"):
        audit(square, ordr="target, prediction")
    with pytest.raises(ValueError, match="no check 'gradiant'; did you mean gradient"):
        audit(square, checks=["gradiant"])
    with pytest.raises(ValueError, match="budget is 0"):
        audit(square, budget=0)
    with pytest.raises(ValueError, match="fail_on is 'warn'"):
        assert_sound(square, fail_on="warn")
    with pytest.raises(ValueError, match="no check 'finit'; did you mean finite"):
        assert_sound(square, allow=["finit"])
    with pytest.raises(ValueError, match="promises name"):
        audit(square, promises={"smoothe": True})


def finds(severity: str) -> Callable[[Subject], Iterator[Finding]]:
    def check(subject: Subject) -> Iterator[Finding]:
        """Finds something."""
        yield subject.finding(severity, f"{severity} for a test")

    check.__name__ = f"{severity}_check"
    return check


def test_assert_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tuple(Check(finds(severity)) for severity in ("error", "warning", "note"))
    for module in (run, perform):
        monkeypatch.setattr(module, "CHECKS", table)
    with pytest.raises(AssertionError) as caught:
        assert_sound(square, isolate=False)
    assert "Error for a test" in str(caught.value) and "Warning for a test" not in str(caught.value)
    report = assert_sound(square, isolate=False, allow=["error_check"])
    assert len(report.findings) == 3
    with pytest.raises(AssertionError, match="Warning for a test"):
        assert_sound(square, isolate=False, allow=["error_check"], fail_on="warning")
    assert_sound(square, isolate=False, allow=["error_check", "warning_check"], fail_on="warning")
    with pytest.raises(AssertionError, match="Note for a test"):
        assert_sound(square, isolate=False, checks=["note_check"], fail_on="note")


def test_one_test_a_check() -> None:
    assert assert_sound(square, checks=["minimum"], isolate=False).checks[0].status == "clean"
    with pytest.raises(SkipTest, match="weights does not apply: it takes no weights"):
        assert_sound(square, checks=["weights"], isolate=False)


def test_what_cannot_be_called_is_not_sound() -> None:
    with pytest.raises(AssertionError, match="returned None"):
        assert_sound(lambda raw, target: None, allow=["shapes"], isolate=False)


def test_what_was_not_audited_is_not_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "audit", lambda *a, **o: Report("square", None, checks=(CheckResult("rows", "stopped", "our own defect"),)))
    with pytest.raises(AssertionError, match="square was not judged: our own defect"):
        assert_sound(square)
