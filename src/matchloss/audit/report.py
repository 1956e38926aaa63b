"""What an audit comes to: broken, sound, or not judged."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matchloss.audit.calling.convention import Convention
from matchloss.audit.finding import SEVERITIES, CheckResult, Finding

NEVER = "never"  # for --fail-on
EXIT = {"broken": 1, "not judged": 3, "sound": 0}  # of several functions the first of these that occurs


@dataclass(frozen=True)
class Report:
    """What `audit` returns. `print(report)` shows a table, `report.write("page.html")` a page."""

    subject: str  # the function's name, as it may be imported where it may
    convention: Convention | None  # None where no one way was found to call the function
    findings: tuple[Finding, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    member: str = ""  # the loss of the catalogue that the function is, such as "2 * Huber(delta=1.0)"; empty if none was recognised
    seconds: float = field(default=0.0, compare=False)
    reason: str = ""  # why it was not judged: what was tried, or which two readings fit and what decides between them
    remarks: tuple[str, ...] = ()  # what else is to be said of the audit as a whole
    versions: Mapping[str, str] = field(default_factory=dict, compare=False)  # of matchloss, Python and the libraries that took part

    @property
    def outcome(self) -> str:
        """ "broken" where there is an error; "not judged" where it could not be called, or no check came to an end; else "sound"."""
        if self.of("error"):
            return "broken"
        tried = not self.checks or any(c.status in ("clean", "found") for c in self.checks)
        return "sound" if self.convention is not None and tried else "not judged"

    @property
    def why(self) -> str:
        """Why it was not judged."""
        return self.reason or next((c.reason for c in self.checks if c.reason), "no check applies")

    def worst(self) -> str:
        """The worst severity found, or "" where there is no finding."""
        return next((s for s in SEVERITIES if self.of(s)), "")

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(f for f in self.findings if f.severity == severity)

    def failed(self, fail_on: str = "error") -> tuple[Finding, ...]:
        """The findings as bad as `fail_on` or worse."""
        bad = () if fail_on == NEVER else SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        return tuple(f for f in self.findings if f.severity in bad)

    def __str__(self) -> str:
        from matchloss.audit.text import report_text

        return report_text(self)

    def write(self, path: Any) -> None:
        """Write a page about it."""
        importlib.import_module("matchloss.report").write_audit_page(Path(path), [self])


def exit_code(reports: Iterable[Report], fail_on: str = "error") -> int:
    """Of the command: 1 where a finding is as bad as `fail_on`, else 3 where a function was not judged, else 0."""
    reports = list(reports)
    if any(report.failed(fail_on) for report in reports):
        return EXIT["broken"]
    unjudged = fail_on != NEVER and any(report.outcome == "not judged" for report in reports)
    return EXIT["not judged" if unjudged else "sound"]
