"""What one process does for an audit: load the function, find out how to call it, run the checks, tell what happens as it happens."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from matchloss.audit.calling.batches import Batch, batch_of
from matchloss.audit.calling.convention import Convention
from matchloss.audit.calling.frameworks import CLASSES, framework
from matchloss.audit.calling.metrics import Metric
from matchloss.audit.calling.objectives import Boosted, NotOne, boosted_of
from matchloss.audit.calling.probe import Undecided, Unprobable, subject_of
from matchloss.audit.calling.structures import Structure, structure_of
from matchloss.audit.calling.subject import Malformed, Raised, Subject
from matchloss.audit.checks import batches, objectives, structures
from matchloss.audit.checks._check import Skip
from matchloss.audit.finding import CheckResult, Finding
from matchloss.audit.table import CHECKS
from matchloss.names import resolve

FRAMEWORKS = tuple(CLASSES)  # besides NumPy
FAILURES = (Raised, Malformed, MemoryError)
ALL = "there was no time left: a higher budget gives more"
PROBE_LIMIT = 15.0  # seconds at least to find out how the function is called; a compiler may take most of them
TICK = 0.2  # seconds between two signs of life
PATIENCE = 3.0  # how many times slower than alone the process may run before that counts
ROWS = 64  # that are tried one by one to find the one that fails

# --- what happens, as the two processes tell each other ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What to audit."""

    target: Any  # the function, or its name
    names: tuple[str, ...]  # of checks
    options: Mapping[str, Any] = field(default_factory=dict)  # of subject_of
    frameworks: tuple[str, ...] = ()  # to be tried besides those that importing the name loads
    seed: int = 0
    check_limit: float = math.inf  # seconds of a check whose calls return
    time_limit: float = math.inf  # of all checks
    table: tuple[Any, ...] | None = None  # checks; None: CHECKS


class Order(NamedTuple):
    """What a worker is sent: where it works, and a pickled Task, which may need that to be loaded."""

    path: tuple[str, ...]
    directory: str
    task: bytes
    start_limit: float
    call_limit: float


class Begun(NamedTuple):
    """A check starts; the empty name is finding out how the function is called."""

    check: str = ""


class Call(NamedTuple):
    """A call of the function starts. `text` is not empty where it may not return."""

    text: str = ""


class Probed(NamedTuple):
    """How the function is called."""

    convention: Convention
    member: str
    versions: Mapping[str, str]


class Unjudged(NamedTuple):
    """No check can run, and why."""

    reason: str


class Remark(NamedTuple):
    """Something to say of the audit as a whole."""

    text: str


class State(NamedTuple):
    """Of a worker: "ready" to start, "stale" (a file that it loaded has changed; it ends), or "done", waiting for another task."""

    name: str


class Failed(NamedTuple):
    """The worker could not do its task at all, and waits for another."""

    reason: Exception


Event = Begun | Call | Probed | Unjudged | Remark | Finding | CheckResult


class Unloadable(Exception):
    """Arguments: why a pickle could not be loaded, and the module that was not found, if it was that."""


# --- doing it -----------------------------------------------------------------------------------------------------------------------


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
    """All of it. UnknownName for a name that leads nowhere. guarded: nobody but the function raises KeyboardInterrupt here."""
    target = resolve(task.target) if isinstance(task.target, str) else task.target
    loaded = tuple(f for f in FRAMEWORKS if f in task.frameworks or f in sys.modules)
    for name in loaded:
        importlib.import_module(name)
    yield Begun()
    before = [(f, f.state()) for f in map(framework, ("numpy", *loaded))]
    journal, limit = Journal(tell), max(PROBE_LIMIT, PATIENCE * task.check_limit)
    read: Subject | Structure | Boosted | Unjudged
    try:
        journal.within(limit)
        read = _read(task, target, loaded, journal)
    except (NotOne, Unprobable) as error:
        read = Unjudged(str(error))
    except (*FAILURES, SystemExit) as error:
        read = Unjudged(f"it {said(error)}")
    except Slow:
        read = Unjudged(f"it takes more than {limit:g} s to find out how it is called: --set says it, --budget gives more")
    except Exception as error:
        read = Unjudged(fault(error))
    finally:
        for f, state in before:
            f.restore(state)
    if isinstance(read, Unjudged):
        yield read
        return
    convention, checks = _checks_of(task, read)
    member = "" if not isinstance(read, Subject) or read.member is None else str(read.member)
    yield Probed(convention, member, _versions(target, convention.host or convention.framework))
    if isinstance(read, Subject) and read.note:
        yield Remark(read.note)
    left, own = task.time_limit, framework(convention.framework)
    for name in task.names:
        yield Begun(name)
        status, reason = "clean", ""
        journal.within(min(task.check_limit, left))
        state = own.state()
        try:
            if left <= 0:
                raise Slow
            for finding in _findings(partial(checks, name), read, guarded):
                status = "found"
                yield replace(finding, check=finding.check or name)
        except (Skip, NotOne) as skip:
            status, reason = ("skipped", str(skip)) if status == "clean" else (status, "")
        except Slow:
            status, reason = "stopped", f"it takes more than {task.check_limit:g} s" if journal.limit < left else ALL
        except Exception as error:
            status, reason = "crashed", fault(error)
        finally:
            own.restore(state)  # whatever the function did to it
        seconds = journal.clock()
        left -= seconds
        yield CheckResult(name, status, reason, seconds)


def _read(task: Task, target: Any, loaded: tuple[str, ...], journal: Journal) -> Subject | Structure | Boosted:
    """The loss of structures, the objective of trees or the loss of rows that it is, in this order."""
    kind, form = task.options.get("kind"), task.options.get("structure", "")
    structured = kind == "structured" or bool(form)
    find = batch_of if form == "batch" else partial(structure_of, form=form)
    if (structured or kind is None) and (structure := find(target, loaded=loaded, seed=task.seed)):
        return structure
    if structured:
        names = "its arguments have not the names of a loss of structures, or a call with such arguments fails"
        raise NotOne("it is no loss of a whole batch: its rows do not depend on each other" if form == "batch" else names)
    if boosted := boosted_of(target, kind, task.options.get("host"), task.seed):
        return boosted
    try:
        options = {name: value for name, value in task.options.items() if name not in ("metric", "host")}
        return subject_of(target, seed=task.seed, journal=journal, frameworks=loaded, **options)
    except Unprobable as error:
        batch = None if isinstance(error, Undecided) or kind else batch_of(target, loaded, task.seed)
        if batch is None:
            raise
        return batch


def _checks_of(task: Task, read: Subject | Structure | Boosted) -> tuple[Convention, Callable[[str], Iterator[Finding]]]:
    """How it is called, and its checks by name."""
    if isinstance(read, Subject):
        table = {check.name: check for check in (CHECKS if task.table is None else task.table)}
        return read.convention, lambda name: table[name].run(read.fresh())
    if isinstance(read, Structure):
        convention = Convention("structured", read.framework.name, sign=read.sign, structure=read.form)
        own: Any = batches.CHECKS if isinstance(read, Batch) else structures.CHECKS
        return convention, lambda name: own.get(name, _of_rows)(read)
    targets = "labels" if read.kind in ("binary", "multiclass") else "numbers"
    tried, metric = objectives.Tried(read), task.options.get("metric")
    metric = resolve(metric) if isinstance(metric, str) else metric

    def of_booster(name: str) -> Iterator[Finding]:
        if name not in objectives.CHECKS:
            raise Skip("it is of losses, not of a booster's objective")
        yield from objectives.CHECKS[name](tried)
        if name == "gradient" and metric is not None:
            yield from objectives.metric(tried, Metric(metric, read.host))

    return Convention(read.kind, target=targets, host=read.host, objective=read.form), of_booster


def _of_rows(read: Structure) -> Iterator[Finding]:
    raise Skip("it is of losses of rows")


def _versions(target: Any, framework: str) -> dict[str, str]:
    """Of Python, NumPy, the framework and the function's own library."""
    own = getattr(target, "__module__", None) or type(target).__module__
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in dict.fromkeys(("matchloss", "numpy", framework, str(own).split(".")[0])):
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def _findings(check: Callable[[], Iterator[Finding]], subject: Any, guarded: bool) -> Iterator[Finding]:
    try:
        yield from check()
    except (*FAILURES, SystemExit, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and not guarded:  # a worker is never sent one: the function raised it
            raise
        yield failure(subject, error)


def fault(error: BaseException) -> str:
    """An error of the audit's own, as text that a person may report."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})" if trace else ""
    return f"a fault of the audit, not of the function; please report it: {type(error).__name__}: {error}{where}"


# --- a function that raises, or returns what is no loss, in the middle of a check ---------------------------------------------------

RETRIES = {"_values": "value", "_gradients": "gradient", "_hessians": "hessian"}  # where it was called, and how a check calls it


def failure(subject: Any, error: BaseException) -> Finding:
    """The finding of an error, with a single row where one is enough."""
    message, where = said(error), _where(error.__traceback__)
    if where is None:
        call = getattr(error, "call", "")
        return Finding("", "error", message, {"call": call} if call else {})
    name, x, y, dtype = where
    how = RETRIES.get(name, "value")
    if name in RETRIES and np.ndim(x) and isinstance(error, FAILURES):
        for i in range(min(len(x), ROWS)):
            try:
                getattr(subject, how)(x[i : i + 1], y[i : i + 1], dtype)
            except FAILURES as one:
                if said(one) == message or len(x) == 1:
                    x, y = x[i : i + 1], y[i : i + 1]
                    break
    return subject.finding("error", message, x=x, y=y, dtype=dtype, show=how)


def said(error: BaseException) -> str:
    """What happened, for a person."""
    if isinstance(error, Malformed):
        return str(error)
    original = error.original if isinstance(error, Raised) else error
    if isinstance(original, SystemExit):
        return f"called sys.exit({'' if original.code is None else repr(original.code)}), which ends the interpreter"
    if isinstance(original, MemoryError):
        return "ran out of memory"
    text = " ".join(str(original).split())
    return f"raised {type(original).__name__}{f': {text[:300]}' if text else ''}"


def _where(trace: TracebackType | None) -> tuple[str, Any, Any, str] | None:
    """The innermost call of the subject in a traceback that had a prediction and a target."""
    found = None
    while trace is not None:
        frame, own = trace.tb_frame, trace.tb_frame.f_locals
        if isinstance(own.get("self"), Subject) and own.get("x") is not None and own.get("y") is not None:
            found = frame.f_code.co_name, own["x"], own["y"], own.get("dtype", "float64")
        trace = trace.tb_next
    return found
