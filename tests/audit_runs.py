"""Audits by a few small checks, of functions that do not survive one of them."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matchloss.audit import Finding, Report
from matchloss.audit.calling.subject import Subject
from matchloss.audit.checks._check import Check
from matchloss.audit.running import perform, run
from matchloss.audit.running.perform import Task
from matchloss.audit.running.run import Record

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
    """A fifth of a second a check, three times that a call."""
    monkeypatch.setattr(run, "CHECK_SHARE", 0.02)


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


def gone(pid: int) -> bool:
    """Whether the process ends within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True  # its new parent has not asked yet
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False
