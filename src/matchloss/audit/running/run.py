"""An audit from its start to its report: the checks run in a worker process, which may hang or die, or in this one."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn
from unittest import SkipTest

from matchloss.audit.calling.adapt import Promises, callee_of, import_text
from matchloss.audit.calling.convention import Convention
from matchloss.audit.calling.subject import plain, silence
from matchloss.audit.causes import merged
from matchloss.audit.finding import SEVERITIES, CheckResult, Finding
from matchloss.audit.report import Report
from matchloss.audit.running import perform as job
from matchloss.audit.running import worker as processes
from matchloss.audit.running.perform import Begun, Call, Event, Failed, Order, Probed, Remark, State, Task, Unjudged, Unloadable
from matchloss.audit.snippets import verified
from matchloss.audit.table import CHECKS
from matchloss.names import nearest

START_LIMIT = 180.0  # seconds in which a worker must have started and imported what is audited
CHECK_SHARE = 0.5  # of the time for all, in which a check must return; a call has PATIENCE times that, since what does not return is broken
GRACE = 0.5  # seconds in which a worker may itself end what takes too long
RESTARTS = 2  # workers after the first
WHOLE = 3.0  # times the budget, in which all is over however busy the machine is, but for imports;
CALLED = 2.5  # and the checks


def audit(
    fn: Any, kind: str | None = None, *, isolate: bool = True, budget: float = 10.0, seed: int = 0, checks: Iterable[str] | None = None,
    gradient: Callable[..., Any] | None = None, hessian: Callable[..., Any] | None = None, promises: Any = None, metric: Any = None,
    progress: Callable[[str], None] | None = None, **convention: Any,
) -> Report:  # fmt: skip
    """Whether a loss keeps its promises: `report.outcome` is "broken", "sound" or "not judged", each finding with a counterexample.

    fn: a function of predictions and targets in NumPy, PyTorch or JAX, a Module, a loss object of scikit-learn, statsmodels or this
    library, or the name of one: "module:attribute". kind: "regression", "binary", "multiclass", "count" or "positive". How the function
    wants to be called is found by calling it; parts that are known are given by their names in `Convention`.

    gradient, hessian: functions called as `fn` is, for one that has its own. promises: what the loss says of itself, a mapping such as
    {"smooth": False}, or a loss of the catalogue. checks: names of those to run; all by default.

    An objective of XGBoost, LightGBM or CatBoost, which gives gradient and hessian, is called as they do and checked for what they need;
    metric: of the same host, or its name: whether it is of the same loss. Where several classes leave the host open, host= decides.

    The checks run in a second process, which the function may hang or end; only frameworks that are loaded here, or by importing the
    name, are tried there. budget: seconds for all checks together. isolate=False: in this process, without limits of time.
    progress: called with a line of text as each check starts. The same input and the same seed give the same findings.

    >>> def loss(raw, target):
    ...     return (raw - target) ** 2
    >>> report = audit(loss, "regression", checks=["minimum"], isolate=False)
    >>> report.outcome, report.convention.order, report.findings
    ('sound', 'prediction, target', ())
    """
    start = time.perf_counter()
    names = _chosen(checks)
    _validate(kind, convention)
    if not budget > 0:
        raise ValueError(f"budget is {budget!r} seconds; it must be more than 0")
    options = {"kind": kind, "gradient": gradient, "hessian": hessian, "promises": None if promises is None else Promises.of(promises)}
    options |= {} if metric is None else {"metric": metric}
    loaded = tuple(f for f in job.FRAMEWORKS if f in sys.modules)
    record = Record(_name(fn), names, progress or (lambda text: None))
    run(Task(fn, names, {**options, **convention}, loaded, seed), record, budget if isolate else None)
    report = record.report(0.0)
    findings, faults = report.findings, []
    if isolate:
        findings, faults = verified(findings, max((WHOLE - CALLED) * budget, WHOLE * budget - (time.perf_counter() - start)))
    return replace(report, findings=findings, remarks=(*report.remarks, *faults), seconds=time.perf_counter() - start)


def assert_sound(fn: Any, kind: str | None = None, *, allow: Iterable[str] = (), fail_on: str = "error", **options: Any) -> Report:
    """For a test: AssertionError if `audit` finds anything as bad as `fail_on` by a check that is not in `allow`, or cannot judge.

    fail_on: "error", "warning" or "note". options: those of `audit`, which makes the report that is returned. Where none of the checks
    applies, the test is skipped (by unittest.SkipTest, which pytest knows), so that there may be one test for each check.

    >>> import matchloss as ml
    >>> report = assert_sound(ml.SquaredError(), checks=["minimum"], isolate=False)
    """
    if fail_on not in SEVERITIES:
        raise ValueError(f"fail_on is {fail_on!r}; allowed: {', '.join(map(repr, SEVERITIES))}")
    allowed = _chosen(allow)
    report = audit(fn, kind, **options)
    found = tuple(f for f in report.failed(fail_on) if f.check not in allowed)
    if found:
        raise AssertionError(str(replace(report, findings=found)))
    if report.checks and report.convention is not None and all(c.status == "skipped" for c in report.checks):
        raise SkipTest(f"{report.checks[0].check} does not apply: {report.checks[0].reason}")
    if report.outcome == "not judged":
        raise AssertionError(f"{report.subject} was not judged: {report.why}")
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


# --- what has happened --------------------------------------------------------------------------------------------------------------


class Record:
    """What has happened so far, from which the report is made."""

    def __init__(self, subject: str, names: tuple[str, ...], progress: Callable[[str], None]) -> None:
        self.subject, self.names, self.progress = subject, names, progress
        self.short = re.split(r"[:.]", subject)[-1] if re.fullmatch(r"[\w.:]+", subject) else subject
        self.probed: Probed | None = None
        self.reason = ""
        self.remarks: list[str] = []
        self.findings: list[Finding] = []
        self.results: dict[str, CheckResult] = {}

    @property
    def left(self) -> tuple[str, ...]:
        """Checks that have not run."""
        return tuple(name for name in self.names if name not in self.results)

    def take(self, event: Event) -> None:
        """Note it, and tell of a check that starts."""
        match event:
            case Begun(""):
                if self.probed is None:
                    self.progress(f"{self.short}: how it is called")
            case Begun(check):
                self.progress(f"{self.short}: {check} ({self.names.index(check) + 1} of {len(self.names)})")
            case Probed():
                self.probed = event
            case Finding():
                example = {str(k): plain(v) for k, v in event.counterexample.items()}  # NaN that has travelled is another one
                self.findings.append(replace(event, counterexample=example))
            case CheckResult():
                self.results[event.check] = event
            case Remark(text):
                self.remarks += [text] if text not in self.remarks else []
            case Unjudged(reason):
                self.unjudged(reason)

    def unjudged(self, reason: str) -> None:
        """No check can run."""
        self.reason = reason
        self.rest("skipped", "it could not be called")

    def rest(self, status: str, reason: str) -> None:
        """How the checks went that have not run."""
        for name in self.left:
            found = any(f.check == name for f in self.findings)
            self.results[name] = CheckResult(name, "found" if found else status, "" if found else reason)

    def report(self, seconds: float) -> Report:
        """All of it, in the order of the checks."""
        order = {name: i for i, name in enumerate(self.names)}
        findings = merged(sorted(self.findings, key=lambda f: order.get(f.check, -1)))
        results = tuple(self.results[name] for name in self.names)
        report = Report(self.subject, None, findings, results, "", seconds, self.reason, tuple(self.remarks))
        p = self.probed
        return report if p is None else replace(report, convention=p.convention, member=p.member, versions=p.versions)


# --- in this process, or in another -------------------------------------------------------------------------------------------------


def run(task: Task, record: Record, time_limit: float | None) -> None:
    """Do the task; without a time limit in this process."""
    why, by_value = "", ()
    for _ in range(0 if time_limit is None else 2):
        try:
            isolated(task, record, time_limit or 0.0, by_value)
            return
        except Unloadable as failed:
            why, missing = failed.args
            by_value = tuple(m for m in sys.modules if missing and m.split(".")[0] == missing.split(".")[0])
            if not by_value:
                break
    if why:
        record.take(Remark(f"it ran in this process, without limits of time, since it does not travel: {why}"))
    events = job.perform(task, lambda call: None, guarded=False)
    event: Event | None = Remark("")
    while event is not None:
        with silence(), contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()):
            event = next(events, None)
        if line := printed.getvalue().strip():
            record.take(Remark(f"it prints, such as {line.splitlines()[0][:60]!r}: that was not shown"))
        if event is not None:
            record.take(event)


class _Restart(Exception):
    """This worker has ended; the checks that are left go to another. Argument: whether through no fault of the function."""


def isolated(task: Task, record: Record, time_limit: float, by_value: tuple[str, ...] = ()) -> None:
    """In one worker after another, until every check has a result. Unloadable for what does not travel.

    by_value: modules whose functions travel with their code, since a worker does not find those modules.
    """
    named = isinstance(task.target, str)
    module = task.target.rpartition(":" if ":" in task.target else ".")[0] if named else ""
    clock, restarts = _Clock(time_limit, time.monotonic() + CALLED * time_limit), 0
    while restarts <= RESTARTS:
        left = replace(task, names=record.left, check_limit=clock.check_limit, time_limit=clock.left)
        order = Order(tuple(sys.path), os.getcwd(), processes.packed(left, by_value), START_LIMIT, 2 * clock.call_limit)
        worker = processes.take((order.path, module, task.frameworks))
        try:
            failed = _Watch(worker, record, clock).follow(order)
        except _Restart as restart:
            worker.kill()
            (free,) = restart.args
            restarts += not free
            if not (free or record.left):
                return
        except BaseException:
            worker.kill()
            raise
        else:
            processes.give_back(worker)
            if failed:
                raise failed
            return
    record.rest("stopped", f"the process had been replaced {RESTARTS} times before")


@dataclass
class _Clock:
    limit: float  # of all checks together, in seconds of work
    ends: float  # when they must be over, by time.monotonic
    spent: float = 0.0

    @property
    def check_limit(self) -> float:
        return CHECK_SHARE * self.limit  # so that a function that hangs is found before all time is spent

    @property
    def call_limit(self) -> float:
        return job.PATIENCE * self.check_limit

    @property
    def left(self) -> float:
        return self.limit - self.spent


class _Watch:
    """One worker at one task, its messages and its silences."""

    def __init__(self, worker: processes.Worker, record: Record, clock: _Clock) -> None:
        self.worker, self.record, self.clock = worker, record, clock
        self.at: str | None = None  # the check that runs; "" while the way to call it is looked for, None before
        self.journal = ""  # the call that may not return
        self.since = self.sign = time.monotonic()  # when it began, and the last sign of life
        self.ready = worker.warm

    def follow(self, order: Order) -> Exception | None:
        """Until the task is done, or why it could not be; _Restart if the worker is of no more use."""
        try:
            self.worker.send(order)
            while True:
                message = self.worker.receive(self._end() - time.monotonic())
                match message:
                    case State("done"):
                        return None
                    case State("stale"):
                        raise _Restart(True)
                    case State():
                        self.ready = True
                    case Failed():
                        return message.reason
                    case Call():
                        self.sign, self.journal = time.monotonic(), message.text or self.journal
                    case _:
                        self._note(message, time.monotonic())
        except processes.Overrun:
            self._hung()
        except processes.Died as death:
            self._died(str(death))

    def _note(self, message: Event, now: float) -> None:
        match message:
            case CheckResult():
                self.clock.spent += message.seconds
            case Begun():
                if self.at is None:
                    self.clock.ends += now - self.since  # imports do not count
                self.at, self.journal = message.check, ""
        if isinstance(message, Begun | Probed | CheckResult):
            self.since = self.sign = now
        self.record.take(message)

    @property
    def _call_limit(self) -> float:
        return self.clock.call_limit * (1 if self.at else 2)  # the first calls may import or compile

    def _end(self) -> float:
        """When the worker must have been heard of."""
        if self.at is None:
            return self.since + START_LIMIT
        end = min(self.sign + self._call_limit, self.clock.ends)
        return min(end, self.since + job.PATIENCE * self.clock.left + GRACE) if self.at else end

    def _hung(self) -> NoReturn:
        if self.at is None:
            self.record.unjudged(f"it was not imported within {START_LIMIT:g} s")
        elif time.monotonic() >= self.sign + self._call_limit:
            self._broke(f"did not return within {self._call_limit:g} s")
        elif not self.at:
            self.record.unjudged("there was no time to find out how it is called: --set says it, --budget gives more")
        self.record.rest("stopped", job.ALL)
        raise _Restart(False)

    def _died(self, how: str) -> NoReturn:
        if not self.ready:
            raise RuntimeError(f"the process for an audit could not start ({how}); isolate=False does without")
        if self.at is not None:
            self._broke(f"ended the interpreter ({how})")
        if not self.worker.warm:  # a warm one may have been ended before it read the task
            self.record.unjudged(f"it ended the interpreter when it was imported ({how})")
        raise _Restart(self.worker.warm)

    def _broke(self, message: str) -> NoReturn:
        """An error of what runs; the rest goes on in another worker, unless the way to call it was not found."""
        if self.at:
            seconds = time.monotonic() - self.since
            self.clock.spent += seconds
            self.record.take(Finding(self.at, "error", message, {"call": self.journal} if self.journal else {}))
            self.record.take(CheckResult(self.at, "stopped", message, seconds))
        else:
            self.record.unjudged(f"a call by which it was tried {message}")
        raise _Restart(False)
