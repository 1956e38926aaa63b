"""What the two processes of an audit tell each other: a task, and what happens while it is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matchloss.audit.calling.convention import Convention
from matchloss.audit.finding import Finding, Outcome


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


@dataclass(frozen=True)
class Begun:
    """A check starts; the empty name is finding out how the function is called."""

    check: str = ""


@dataclass(frozen=True)
class Call:
    """A call of the function starts. `text` is not empty where it may not return."""

    text: str = ""


@dataclass(frozen=True)
class Probed:
    """How the function is called."""

    convention: Convention
    member: str


@dataclass(frozen=True)
class Unreached:
    """No check can run."""

    status: str
    reason: str


Event = Begun | Call | Probed | Unreached | Finding | Outcome


@dataclass(frozen=True)
class Order:
    """What a worker is sent: where it works, and a pickled Task, which may need that to be loaded."""

    path: tuple[str, ...]
    directory: str
    task: bytes
    start_limit: float
    call_limit: float


class Ready:
    """A worker has started."""


class Stale:
    """A worker has loaded a file that has changed since; it ends."""


class Done:
    """A worker has done its task, and waits for another."""


@dataclass(frozen=True)
class Failed:
    """The worker could not do its task at all, and waits for another."""

    reason: Exception


class Unloadable(Exception):
    """Arguments: why a pickle could not be loaded, and the module that was not found, if it was that."""
