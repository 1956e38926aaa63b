"""An audit from its start to its report: the checks run in a worker process, which may hang or die, or in this one."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

from matchloss.audit.calling.adapt import Promises, callee_of, import_text
from matchloss.audit.calling.convention import Convention
from matchloss.audit.calling.subject import silence
from matchloss.audit.checks import CHECKS
from matchloss.audit.finding import SEVERITIES, Outcome, Report
from matchloss.audit.running.isolated import isolated
from matchloss.audit.running.messages import Task, Unloadable
from matchloss.audit.running.perform import FRAMEWORKS, perform, run_checks
from matchloss.audit.running.record import Record
from matchloss.names import nearest

__all__ = ["assert_sound", "audit", "run_checks"]


def audit(
    fn: Any,
    kind: str | None = None,
    *,
    isolate: bool = True,
    time_limit: float = 10.0,
    seed: int = 0,
    checks: Iterable[str] | None = None,
    gradient: Callable[..., Any] | None = None,
    hessian: Callable[..., Any] | None = None,
    promises: Any = None,
    progress: Callable[[str], None] | None = None,
    **convention: Any,
) -> Report:
    """Whether a loss keeps its promises, each that it does not with a counterexample.

    fn: a function of predictions and targets in NumPy, PyTorch or JAX, a Module, a loss object of scikit-learn, statsmodels or this
    library, or the name of one: "module:attribute". kind: "regression", "binary", "multiclass", "count" or "positive". How the function
    wants to be called is found by calling it; parts that are known are given by their names in `Convention`.

    gradient, hessian: functions called as `fn` is, for one that has its own. promises: what the loss says of itself, a mapping such as
    {"smooth": False}, or a loss of the catalogue. checks: names of those to run; all by default.

    The checks run in a second process, which the function may hang or end; only frameworks that are loaded here, or by importing the
    name, are tried there. time_limit: seconds for all checks together. isolate=False: in this process, without limits of time.
    progress: called with a line of text as each check starts. The same input gives the same findings.

    >>> def loss(raw, target):
    ...     return (raw - target) ** 2
    >>> report = audit(loss, "regression", checks=["minimum"], isolate=False)
    >>> report.convention.order, report.findings
    ('prediction, target', ())
    """
    start = time.perf_counter()
    names = _chosen(checks)
    _validate(kind, convention)
    if not time_limit > 0:
        raise ValueError(f"time_limit is {time_limit!r}; it must be more than 0")
    options = {"kind": kind, "gradient": gradient, "hessian": hessian, "promises": None if promises is None else Promises.of(promises)}
    loaded = tuple(f for f in FRAMEWORKS if f in sys.modules)
    record = Record(_name(fn), names, progress or (lambda text: None))
    run(Task(fn, names, {**options, **convention}, loaded, seed), record, time_limit if isolate else None)
    return record.report(time.perf_counter() - start)


def assert_sound(fn: Any, kind: str | None = None, *, allow: Iterable[str] = (), fail_on: str = "error", **options: Any) -> Report:
    """For a test: AssertionError if `audit` finds anything as bad as `fail_on` by a check that is not in `allow`.

    fail_on: "error", "warning" or "note". options: those of `audit`, which makes the report that is returned.

    >>> import matchloss as ml
    >>> report = assert_sound(ml.SquaredError(), checks=["minimum"], isolate=False)
    """
    if fail_on not in SEVERITIES:
        raise ValueError(f"fail_on is {fail_on!r}; allowed: {', '.join(map(repr, SEVERITIES))}")
    allowed = _chosen(allow)
    report = audit(fn, kind, **options)
    bad = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    called = report.convention is not None  # or its only finding says why it was not
    found = tuple(f for f in report.findings if f.severity in bad and not (called and f.check in allowed))
    if found:
        raise AssertionError(str(replace(report, findings=found)))
    if report.outcomes and all(o.status == "stopped" for o in report.outcomes):
        raise AssertionError(f"{report.subject} was not audited: {report.outcomes[0].reason}")
    return report


def _chosen(checks: Iterable[str] | None) -> tuple[str, ...]:
    """Names of checks, in the order of the table."""
    known = tuple(check.name for check in CHECKS)
    if checks is None:
        return known
    asked = (checks,) if isinstance(checks, str) else tuple(checks)
    for name in asked:
        if name not in known:
            raise ValueError(f"there is no check {name!r}{nearest(str(name), known) or '; there are ' + ', '.join(known)}")
    return tuple(name for name in known if name in asked)


def _validate(kind: str | None, convention: dict[str, Any]) -> None:
    known = [f.name for f in fields(Convention)]
    for name in convention:
        if name not in known:
            raise TypeError(f"audit takes no {name!r}{nearest(name, known)}")
    Convention(**{"kind": "regression" if kind is None else kind, **convention})


def _name(fn: Any) -> str:
    """As it may be imported where it may."""
    if isinstance(fn, str):
        return fn
    imported = re.match(r"from (\S+) import (\w+) as fn$", import_text(fn))
    if imported:
        return ":".join(imported.groups())
    try:
        return fn.__qualname__ if isinstance(fn, type) else callee_of(fn).name
    except Exception:  # of an object that answers no question
        return type(fn).__name__


def run(task: Task, record: Record, time_limit: float | None) -> None:
    """Do the task; without a time limit in this process."""
    if time_limit is None:
        _here(task, record)
        return
    by_value: tuple[str, ...] = ()
    why = ""
    for _ in range(2):
        try:
            isolated(task, record, time_limit, by_value)
            return
        except Unloadable as failed:
            why, missing = failed.args
            by_value = tuple(m for m in sys.modules if missing and m.split(".")[0] == missing.split(".")[0])
            if not by_value:
                break
    record.take(Outcome("isolation", "skipped", f"it ran in this process, without limits of time, since it does not travel: {why}"))
    _here(task, record)


def _here(task: Task, record: Record) -> None:
    events = perform(task, lambda call: None, guarded=False)
    while True:
        with _quiet():
            event = next(events, None)
        if event is None:
            return
        record.take(event)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with silence(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
