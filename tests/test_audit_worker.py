"""The process of an audit: what travels to it, what it imports, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit_runs import audited, gone, posix, square
from matchloss.audit import Report, UnknownName, audit
from matchloss.audit.running import worker as processes
from matchloss.names import resolve

# --- what travels ------------------------------------------------------------------------------------------------------------------


def test_what_does_not_travel_is_audited_here() -> None:
    lock = threading.Lock()

    def locked(raw: Any, target: Any) -> Any:
        with lock:
            return (raw - target) ** 2

    report = audited(locked)
    assert [f.check for f in report.findings] == ["rows"]
    assert "cannot pickle '_thread.lock' object" in report.remarks[0] and "_thread.lock" in str(report)


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

    report = audited(loud, isolate=isolate)
    assert [f.check for f in report.findings] == ["rows"] and "it prints, such as '" in report.remarks[0]
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
    assert "None" in audited("edited_losses:loss").reason


def test_a_module_that_ends_or_breaks_its_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "ends_at_import.py").write_text("import os\nos._exit(4)\n")
    (tmp_path / "exits_at_import.py").write_text("raise SystemExit(4)\n")
    (tmp_path / "needs_more.py").write_text("import not_installed_here\n")
    report = audited("ends_at_import:loss")
    assert report.reason == "it ended the interpreter when it was imported (exit code 4)"
    assert report.convention is None and not report.findings and {o.status for o in report.checks} == {"skipped"}
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
    end = time.monotonic() + 120
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.02)
    return int(path.read_text())


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
    assert process.communicate(timeout=300) == ("", "") and process.returncode == 0


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
    _, err = process.communicate(timeout=300)
    assert err.count("Traceback") == 1 and err.rstrip().endswith("KeyboardInterrupt")
    assert gone(worker)


@posix
def test_a_killed_parent_leaves_no_worker(tmp_path: Path) -> None:
    process = script(HANGS_IN_A_SCRIPT, tmp_path)
    worker = wait_for(tmp_path / "pid")
    process.kill()
    process.communicate(timeout=300)
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
    assert process.communicate(timeout=300) == ("", "") and process.returncode == 0
