"""What an audit finds, as data: the ground of the audit, which imports nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEVERITIES = ("error", "warning", "note")  # the worst first


@dataclass(frozen=True)
class Finding:
    """A promise that a function does not keep, with an input that shows it.

    severity is harm: "error", training or a reported number goes wrong for finite, allowed, ordinary input; "warning", what is likely to
    hurt in use and is not the framework's way; "note", something to know.
    """

    check: str  # its name in the table of checks
    severity: str
    message: str  # a sentence or two: what happens, and what it means for the person who trains with it
    counterexample: Mapping[str, Any] = field(default_factory=dict)  # names to numbers, strings and lists of them: input, got, expected
    snippet: str = ""  # Python that runs and shows it; it names the function `fn` where that cannot be imported
    touches: tuple[str, ...] = ()  # what else the same cause breaks: other dtypes, reductions, checks
    cause: str = ""  # what a change would mend, where that is not what the check is named after; `causes` says what explains what


@dataclass(frozen=True)
class CheckResult:
    """How one check went.

    status: "clean", "found", "skipped" (it does not apply, and `reason` says why), "stopped" (by a limit of time, or as the function ended
    the process), or "crashed": an error of the audit's own, which `reason` has as text to report.
    """

    check: str
    status: str
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)
