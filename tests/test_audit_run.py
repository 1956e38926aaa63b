"""The run of an audit: functions that hang, end the interpreter or return nonsense become findings, and nothing else is disturbed."""

from __future__ import annotations

import ctypes
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matchloss.audit import Finding, Outcome, Report, UnknownName, assert_sound, audit
from matchloss.audit.calling.subject import Subject
from matchloss.audit.checks import Check, Skip
from matchloss.audit.names import resolve
from matchloss.audit.running import isolated, perform, run
from matchloss.audit.running import worker as processes
from matchloss.audit.running.messages import Task
from matchloss.audit.running.record import Record

posix = pytest.mark.skipif(os.name != "posix", reason="signals and process groups are POSIX")


def rows(subject: Subject) -> Iterator[Finding]:
    """Ordinary rows."""
    x, y = subject.ordinary(4)
    subject.value(x, y)
    yield subject.finding("note", "of the seed", x=x[:1], y=y[:1], got=math.nan)


def bad(subject: Subject) -> Iterator[Finding]:
    """A row that some of these functions do not survive."""
    subject.journal("fn(nan)")
    x, y = subject.ordinary(4)
    subject.value(np.where(np.arange(4) == 2, np.nan, x), y)
    yield from ()


def after(subject: Subject) -> Iterator[Finding]:
    """It goes on."""
    subject.value(*subject.ordinary(4))
    yield from ()


TABLE = (Check(rows), Check(bad), Check(after))


def audited(
    fn: Any, *, isolate: bool = True, limit: float = 10.0, seed: int = 0, table: Any = TABLE, tell: Any = None, **known: Any
) -> Report:
    """As `audit` does, but with the checks above."""
    record = Record(run._name(fn), tuple(check.name for check in table), tell or (lambda text: None))
    options = {"kind": "regression", **known}
    loaded = tuple(f for f in perform.FRAMEWORKS if f in sys.modules and f in known.get("framework", ""))
    run.run(Task(fn, record.names, options, loaded, seed, table=table), record, limit if isolate else None)
    return record.report(0.0)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second a check."""
    monkeypatch.setattr(isolated, "CHECK_SHARE", 0.05)


def square(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2


def on_nan(act: Callable[[], Any]) -> Callable[[Any, Any], Any]:
    """A squared error that does something else where a prediction is NaN."""

    def loss(raw: Any, target: Any) -> Any:
        if np.isnan(raw).any() and (out := act()) is not None:
            return out
        return (raw - target) ** 2

    return loss


def spin() -> None:
    while True:
        pass


def deep() -> None:
    deep()


def fails() -> None:
    raise ValueError("no\nway")


# --- what is sound -----------------------------------------------------------------------------------------------------------------


def test_the_same_report_in_another_process_in_this_one_and_again() -> None:
    square = on_nan(lambda: None)
    here = audited(square, isolate=False)
    assert [o.status for o in here.outcomes] == ["found", "clean", "clean"]
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
    assert report.convention and report.convention.kind == "regression" and report.outcomes == report.findings == ()


def test_progress() -> None:
    told: list[str] = []
    audited(square, tell=told.append)
    assert told == ["square: how it is called", "square: rows (1 of 3)", "square: bad (2 of 3)", "square: after (3 of 3)"]


# --- what breaks in one check ------------------------------------------------------------------------------------------------------

BROKEN = {
    "hang": (spin, "did not return within 0.5 s"),
    "sleep": (lambda: time.sleep(600), "did not return within 0.5 s"),
    "lock": (lambda: ctypes.PyDLL(None).sleep(600), "did not return within 0.5 s"),  # holds the interpreter's own lock
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
    assert [(o.check, o.status) for o in report.outcomes] == [("rows", "found"), ("bad", "stopped"), ("after", "clean")]


@pytest.mark.parametrize(("act", "message"), RAISES.values(), ids=RAISES)
def test_a_check_in_which_it_fails(act: Callable[[], Any], message: str) -> None:
    report = audited(on_nan(act))
    error = report.findings[1]
    assert (error.check, error.severity) == ("bad", "error") and message in error.message
    assert [(o.check, o.status) for o in report.outcomes] == [("rows", "found"), ("bad", "found"), ("after", "clean")]
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
    assert report.findings[1].message == "did not return within 0.5 s"
    assert gone(int((tmp_path / "pid").read_text()))


def hangs_first(subject: Subject) -> Iterator[Finding]:
    """Does not return."""
    spin()
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
    assert [(o.check, o.status) for o in report.outcomes] == [("rows", "found"), *((c.name, "stopped") for c in HANGS[1:])]
    assert [f.check for f in report.findings] == ["rows", "hangs_first", "hangs_second", "hangs_third"]
    assert "replaced 2 times" in report.outcomes[-1].reason


def test_the_limit_of_all_checks() -> None:
    start = time.monotonic()
    report = audited(square, table=HANGS, limit=0.7)
    assert time.monotonic() - start < 7
    assert report.findings[1].message == "did not return within 0.35 s"
    assert "time_limit" in report.outcomes[-1].reason and report.outcomes[-1].status == "stopped"


def slow_calls(subject: Subject) -> Iterator[Finding]:
    """Many calls that return."""
    for _ in range(200):
        subject.value(*subject.ordinary(1))
    yield from ()


@pytest.mark.usefixtures("brief")
def test_slow_calls_that_return_are_no_error() -> None:
    def slow(raw: Any, target: Any) -> Any:
        time.sleep(0.01)
        return (raw - target) ** 2

    report = audited(slow, table=[Check(slow_calls), Check(after)], order="prediction, target")
    assert not report.findings
    assert [(o.status, o.reason) for o in report.outcomes] == [("stopped", "it takes more than 0.5 s"), ("clean", "")]


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
    with pytest.raises(ZeroDivisionError, match="ours"):
        audited(square, isolate=False, table=table)
    report = audited(square, table=table)
    assert not report.findings
    assert [o.status for o in report.outcomes] == ["stopped", "skipped", "clean"]
    assert "a defect of the audit itself: ZeroDivisionError: ours" in report.outcomes[0].reason
    assert report.outcomes[1].reason == "it has no hessian"


# --- what cannot be called ---------------------------------------------------------------------------------------------------------

NEVER = {
    "hang": (lambda raw, target: spin(), "did not return within 1 s"),
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
def test_a_function_that_is_no_loss_is_one_finding(fn: Any, message: str) -> None:
    report = audited(fn)
    assert report.convention is None and [(f.check, f.severity) for f in report.findings] == [("shapes", "error")]
    assert message in report.findings[0].message
    assert [o.check for o in report.outcomes] == ["rows", "bad", "after"]
    assert {o.status for o in report.outcomes} <= {"skipped", "stopped"} and all(o.reason for o in report.outcomes)
    str(report)


# --- what travels ------------------------------------------------------------------------------------------------------------------


def test_what_does_not_travel_is_audited_here() -> None:
    lock = threading.Lock()

    def locked(raw: Any, target: Any) -> Any:
        with lock:
            return (raw - target) ** 2

    report = audited(locked)
    assert [f.check for f in report.findings] == ["rows"]
    assert (report.outcomes[-1].check, report.outcomes[-1].status) == ("isolation", "skipped")
    assert "cannot pickle '_thread.lock' object" in report.outcomes[-1].reason and "_thread.lock" in str(report)


@pytest.mark.parametrize("isolate", [True, False])
def test_prints_and_warnings_disturb_nobody(capfd: pytest.CaptureFixture[str], isolate: bool) -> None:
    def loud(raw: Any, target: Any) -> Any:
        print("out")
        print("err", file=sys.stderr)
        if isolate:
            os.write(1, b"1")
            os.write(2, b"2")
            assert sys.stdin.read() == ""
        return (raw - target) ** 2 + 0 * np.log(np.zeros(1)).clip(0)

    assert [f.check for f in audited(loud, isolate=isolate).findings] == ["rows"]
    assert capfd.readouterr() == ("", "")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ImportError, match=r'pip install "matchloss\[audit\]"'):
        audited(square)
    audited(square, isolate=False)


def test_a_worker_that_was_ended_meanwhile_is_replaced() -> None:
    expected = audited(square)
    processes._kept[0].process.kill()
    assert audited(square) == expected
    processes._kept[0].process.kill()
    processes._kept[0].process.wait()
    assert audited(square) == expected


def test_two_threads_at_once() -> None:
    found: list[Report] = []
    threads = [threading.Thread(target=lambda: found.append(audited(square))) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found[0] == found[1] and found[0].findings and len(processes._kept) == 1


def test_an_edited_module_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_losses.py"
    module.write_text("def loss(raw, target):\n    return (raw - target) ** 2\n")
    assert len(audited("edited_losses:loss").findings) == 1
    assert audited("edited_losses.loss").subject == "edited_losses.loss"
    module.write_text("def loss(raw, target):\n    return None\n")
    os.utime(module, (1, 1))
    assert "None" in audited("edited_losses:loss").findings[0].message


def test_a_module_that_ends_or_breaks_its_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "ends_at_import.py").write_text("import os\nos._exit(4)\n")
    (tmp_path / "exits_at_import.py").write_text("raise SystemExit(4)\n")
    (tmp_path / "needs_more.py").write_text("import not_installed_here\n")
    report = audited("ends_at_import:loss")
    assert report.findings[0].message == "ended the interpreter when it was imported (exit code 4)"
    assert report.convention is None and {o.status for o in report.outcomes} == {"stopped"}
    with pytest.raises(UnknownName, match="importing exits_at_import failed: SystemExit: 4"):
        audited("exits_at_import:loss")
    with pytest.raises(UnknownName, match="importing needs_more failed: ModuleNotFoundError: No module named 'not_installed_here'"):
        audited("needs_more:loss")


# --- names -------------------------------------------------------------------------------------------------------------------------

WRONG = {
    "statistics:fmeen": r"statistics has no fmeen; did you mean fmean or mean\?",
    "statistics:NormalDist.pfd": r"statistics.NormalDist has no pfd; did you mean pdf\?",
    "numpy.linalgg:norm": r"numpy has no module linalgg; did you mean linalg\?",
    "numpy.linalg.nrom": r"numpy.linalg has no nrom; did you mean norm\?",
    "statistic.fmean": r"no module is called statistic, for 'statistic.fmean'; did you mean statistics",
    "optax:SigmoidBinaryCrossEntropy": r"did you mean sigmoid_binary_cross_entropy",
    "xml:etre": r"xml has no etre",
    "json": r"json is a module; name a function in it, as json:function",
    "statistics.fmean:x": r"statistics.fmean is no module; the function is named statistics:fmean",
    "crossentropie": r"no module is called crossentropie; name a function as module:function",
    "a b": r"'a b' is no name",
    "json:": r"'json:' is no name",
}


@pytest.mark.parametrize(("name", "message"), WRONG.items())
def test_a_name_that_leads_nowhere(name: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        resolve(name)


def test_names_of_functions_classes_and_methods() -> None:
    import statistics
    import xml.etree.ElementTree

    assert resolve("statistics:fmean") is resolve("statistics.fmean") is statistics.fmean
    assert resolve("statistics:NormalDist.pdf") is resolve("statistics.NormalDist.pdf") is statistics.NormalDist.pdf
    assert resolve("xml.etree.ElementTree.Element") is xml.etree.ElementTree.Element
    with pytest.raises(UnknownName, match="did you mean fmean or mean"):
        audit("statistics:fmeen")


# --- processes -----------------------------------------------------------------------------------------------------------------------

LOSSES = """
import sys, time
from pathlib import Path
def square(raw, target):
    if {"torch", "jax"} & set(sys.modules):
        raise ImportError("nobody named these")
    return (raw - target) ** 2
def hang(raw, target):
    import os
    Path("pid").write_text(str(os.getpid()))
    while True:
        pass
"""


def script(text: str, directory: Path, **options: Any) -> subprocess.Popen[str]:
    """A process of its own that audits in a directory of its own."""
    (directory / "losses_here.py").write_text(LOSSES)
    (directory / "script.py").write_text(textwrap.dedent(text))
    command = [sys.executable, "-W", "error", "script.py"]
    return subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(path: Path) -> int:
    end = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.02)
    return int(path.read_text())


def gone(pid: int) -> bool:
    """Whether the process ends within 10 s."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True  # its new parent has not asked yet
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_nothing_is_imported_that_nobody_named(tmp_path: Path) -> None:
    text = """
    import sys
    import matchloss
    assert "matchloss.audit" not in sys.modules
    from matchloss.audit import audit
    report = audit("losses_here:square", checks=["finite", "minimum"])
    assert report.convention and report.convention.framework == "numpy", report.findings
    assert report.subject == "losses_here:square"
    assert not {"torch", "jax", "losses_here"} & set(sys.modules)
    """
    process = script(text, tmp_path)
    assert process.communicate(timeout=60) == ("", "") and process.returncode == 0


HANGS_IN_A_SCRIPT = """
    from matchloss.audit import audit
    if __name__ == "__main__":
        audit("losses_here:hang")
"""


@posix
def test_interrupted_at_the_terminal(tmp_path: Path) -> None:
    process = script(HANGS_IN_A_SCRIPT, tmp_path, start_new_session=True)
    worker = wait_for(tmp_path / "pid")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err.count("Traceback") == 1 and err.rstrip().endswith("KeyboardInterrupt") and "_child" not in err
    assert gone(worker)


@posix
def test_a_killed_parent_leaves_no_worker(tmp_path: Path) -> None:
    process = script(HANGS_IN_A_SCRIPT, tmp_path)
    worker = wait_for(tmp_path / "pid")
    process.kill()
    process.communicate(timeout=60)
    assert gone(worker)


@posix
def test_a_forked_child_has_a_worker_of_its_own(tmp_path: Path) -> None:
    text = """
    import os
    from matchloss.audit import audit
    from matchloss.audit.running import worker as processes
    def pid_and_report():
        report = audit("losses_here:square", checks=["finite"])
        return processes._kept[0].process.pid, report
    first = pid_and_report()
    child = os.fork()
    again = pid_and_report()
    assert again[1] == first[1] and (again[0] == first[0]) == bool(child)
    if child:
        assert os.waitpid(child, 0)[1] == 0
    """
    process = script(text, tmp_path)
    assert process.communicate(timeout=60) == ("", "") and process.returncode == 0


# --- arguments -----------------------------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_the_callers() -> None:
    with pytest.raises(ValueError, match="kind is 'regresion'"):
        audit(square, "regresion")
    with pytest.raises(TypeError, match="audit takes no 'ordr'; did you mean order"):
        audit(square, ordr="target, prediction")
    with pytest.raises(ValueError, match="no check 'gradiant'; did you mean gradient"):
        audit(square, checks=["gradiant"])
    with pytest.raises(ValueError, match="time_limit is 0"):
        audit(square, time_limit=0)
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


def test_what_cannot_be_called_is_not_sound() -> None:
    with pytest.raises(AssertionError, match="returned None"):
        assert_sound(lambda raw, target: None, allow=["shapes"], isolate=False)


def test_what_was_not_audited_is_not_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "audit", lambda *a, **o: Report("square", None, outcomes=(Outcome("rows", "stopped", "our own defect"),)))
    with pytest.raises(AssertionError, match="square was not audited: our own defect"):
        assert_sound(square)
