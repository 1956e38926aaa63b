"""What an audit finds, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matchloss.audit.calling.convention import Convention

SEVERITIES = ("error", "warning", "note")  # the worst first


@dataclass(frozen=True)
class Finding:
    """One promise that a function does not keep, with an input that shows it.

    severity: "error", a wrong or non-finite result for valid finite input, beyond the rounding of the formula's terms; "warning", invalid
    or infinite input gives a plausible number or NaN, or a property that the kind expects fails; "note", relative accuracy lost in a
    tail, a factor, or a property that the loss itself declares not to have.
    """

    check: str  # its name in the table of checks
    severity: str
    message: str  # a sentence or two: what happens, and what it means for the person who trains with it
    counterexample: Mapping[str, Any] = field(default_factory=dict)  # names to numbers, strings and lists of them: input, got, expected
    snippet: str = ""  # Python that runs and shows it; it names the function `fn` where that cannot be imported


@dataclass(frozen=True)
class Outcome:
    """How one check went: "clean", "found", "skipped" (it does not apply, and `reason` says why), or "stopped" by the time limit."""

    check: str
    status: str
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Report:
    """What `audit` returns. `print(report)` shows a table, `report.write("page.html")` a page."""

    subject: str  # the function's name, as it may be imported where it may
    convention: Convention | None  # None where no way was found to call the function
    findings: tuple[Finding, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    member: str = ""  # the loss of the catalogue that the function is, such as "2 * Huber(delta=1.0)"; empty if none was recognised
    seconds: float = field(default=0.0, compare=False)

    def worst(self) -> str:
        """The worst severity found, or "" where there is no finding."""
        return next((s for s in SEVERITIES if any(f.severity == s for f in self.findings)), "")

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(f for f in self.findings if f.severity == severity)

    def __str__(self) -> str:
        from matchloss.audit.text import report_text

        return report_text(self)

    def write(self, path: Any) -> None:
        """Write a page about it."""
        from pathlib import Path

        from matchloss.report import write_audit_page

        write_audit_page(Path(path), [self])
