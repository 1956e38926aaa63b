"""What one process does for an audit: load the function, find out how to call it, run the checks, tell what happens as it happens."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from matchloss.audit.calling.frameworks import CLASSES
from matchloss.audit.calling.probe import Unprobable, subject_of
from matchloss.audit.calling.subject import Subject
from matchloss.audit.checks import CHECKS, Skip
from matchloss.audit.finding import Finding, Outcome
from matchloss.audit.running.failures import FAILURES, failure, said
from matchloss.audit.running.messages import Begun, Call, Event, Probed, Task, Unreached
from matchloss.names import resolve

FRAMEWORKS = tuple(CLASSES)  # besides NumPy
ALL = "there was no time left: a higher time_limit gives more"
PROBE_LIMIT = 30.0  # seconds to find out how the function is called, where there are limits; a compiler may take most of them
TICK = 0.2  # seconds between two signs of life
PATIENCE = 3.0  # how many times slower than alone the process may run before that counts


class Slow(BaseException):
    """What runs has had its time; raised at a call of the function. No Exception: checks expect those."""


class Clock:
    """Seconds since it was made, of work rather than of waiting for a machine that does other things too: what is found depends on them."""

    def __init__(self) -> None:
        self.wall, self.work = time.monotonic(), time.process_time()

    def __call__(self) -> float:
        """How many."""
        wall, work = time.monotonic() - self.wall, time.process_time() - self.work
        return max(min(work, wall), wall / PATIENCE)


class Journal:
    """What the subject tells of its calls, passed on where one may not return, and else now and then. Ends what takes too long."""

    def __init__(self, tell: Callable[[Call], None]) -> None:
        self.tell, self.last, self.clock, self.limit = tell, 0.0, Clock(), math.inf

    def within(self, limit: float) -> None:
        """Starts the clock: what follows has so many seconds."""
        self.clock, self.limit = Clock(), limit

    def __call__(self, text: str) -> None:
        """Before a call, with it as Python where it may not return; Slow where the time is over."""
        if self.clock() > self.limit:
            raise Slow
        now = time.monotonic()
        if text or now > self.last + TICK:
            self.last = now
            self.tell(Call(text))


def perform(task: Task, tell: Callable[[Call], None], guarded: bool) -> Iterator[Event]:
    """All of it. UnknownName for a name that leads nowhere. guarded: a defect of ours ends one check, not the audit."""
    target = resolve(task.target) if isinstance(task.target, str) else task.target
    loaded = tuple(f for f in FRAMEWORKS if f in task.frameworks or f in sys.modules)
    for name in loaded:
        importlib.import_module(name)
    yield Begun()
    journal = Journal(tell)
    journal.within(math.inf if task.check_limit == math.inf else PROBE_LIMIT)
    try:
        subject = subject_of(target, seed=task.seed, journal=journal, frameworks=loaded, **task.options)
    except (Unprobable, *FAILURES, SystemExit) as error:
        yield Finding("shapes", "error", str(error) if isinstance(error, Unprobable) else said(error))
        yield Unreached("skipped", "no way was found to call it")
        return
    except Slow:
        yield Unreached("stopped", f"it takes more than {PROBE_LIMIT:g} s to find out how it is called")
        return
    except Exception as error:
        if not guarded:
            raise
        yield Unreached("stopped", defect(error))
        return
    m = subject.member
    yield Probed(subject.convention, "" if m is None else f"{m.factor:.6g} * {m.loss!r}" if m.factor != 1 else repr(m.loss))
    yield from _checks(task, subject, journal, guarded)


def run_checks(subject: Subject, names: tuple[str, ...]) -> Iterator[Event]:
    """The checks of those names, one after another: that it starts, what it finds, how it went.

    What one finds does not depend on which ran before. The function's own errors are findings.
    """
    return _checks(Task(None, names), subject, Journal(lambda call: None), guarded=False)


def _checks(task: Task, subject: Subject, journal: Journal, guarded: bool) -> Iterator[Event]:
    table = {check.name: check for check in (CHECKS if task.table is None else task.table)}
    left = task.time_limit
    for name in task.names:
        yield Begun(name)
        status, reason = "clean", ""
        journal.within(min(task.check_limit, left))
        try:
            if left <= 0:
                raise Slow
            for finding in _findings(table[name], subject.fresh(), guarded):
                status = "found"
                yield tidy(replace(finding, check=finding.check or name))
        except Skip as skip:
            if status == "clean":
                status, reason = "skipped", str(skip)
        except Slow:
            status, reason = "stopped", f"it takes more than {task.check_limit:g} s" if journal.limit < left else ALL
        except Exception as error:
            if not guarded:
                raise
            status, reason = "stopped", defect(error)
        seconds = journal.clock()
        left -= seconds
        yield Outcome(name, status, reason, seconds)


def _findings(check: Any, subject: Subject, guarded: bool) -> Iterator[Finding]:
    try:
        yield from check.run(subject)
    except (*FAILURES, SystemExit) as error:
        yield failure(subject, error)
    except KeyboardInterrupt as error:  # a worker is never sent one: the function raised it
        if not guarded:
            raise
        yield failure(subject, error)


def defect(error: Exception) -> str:
    """An error of the audit's own, for a person who may report it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})" if trace else ""
    return f"a defect of the audit itself: {type(error).__name__}: {error}{where}"


def tidy(finding: Finding) -> Finding:
    """Its counterexample as text, numbers and lists, so that it travels and can be compared."""
    return replace(finding, counterexample={str(k): _plain(v) for k, v in finding.counterexample.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return math.nan if math.isnan(value) else float(value)  # the one NaN that equals itself inside a list
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
