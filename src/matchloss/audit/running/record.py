"""What has happened in an audit so far, from which its report is made."""

from __future__ import annotations

import re
from collections.abc import Callable

from matchloss.audit.calling.convention import Convention
from matchloss.audit.finding import Finding, Outcome, Report
from matchloss.audit.running.messages import Begun, Event, Probed, Unreached
from matchloss.audit.running.perform import tidy


class Record:
    """What has happened so far, from which the report is made."""

    def __init__(self, subject: str, names: tuple[str, ...], progress: Callable[[str], None]) -> None:
        self.subject, self.names, self.progress = subject, names, progress
        self.short = re.split(r"[:.]", subject)[-1] if re.fullmatch(r"[\w.:]+", subject) else subject
        self.convention: Convention | None = None
        self.member = ""
        self.findings: list[Finding] = []
        self.outcomes: dict[str, Outcome] = {}

    @property
    def left(self) -> tuple[str, ...]:
        """Checks that have not run."""
        return tuple(name for name in self.names if name not in self.outcomes)

    def take(self, event: Event) -> None:
        """Note it, and tell of a check that starts."""
        match event:
            case Begun(""):
                if self.convention is None:
                    self.progress(f"{self.short}: how it is called")
            case Begun(check):
                self.progress(f"{self.short}: {check} ({self.names.index(check) + 1} of {len(self.names)})")
            case Probed():
                self.convention, self.member = event.convention, event.member
            case Finding():
                self.findings.append(tidy(event))
            case Outcome():
                self.outcomes[event.check] = event
            case Unreached():
                self.rest(event.status, event.reason)

    def broke(self, check: str, message: str, journal: str = "", seconds: float = 0.0) -> None:
        """The function did not come back from a check; the empty name is before any."""
        where = check or "shapes"
        self.take(Finding(where, "error", message, {"call": journal} if journal else {}))
        if check:
            self.take(Outcome(check, "stopped", message, seconds))

    def rest(self, status: str, reason: str) -> None:
        """How the checks went that have not run."""
        for name in self.left:
            found = any(f.check == name for f in self.findings)
            self.outcomes[name] = Outcome(name, "found" if found else status, "" if found else reason)

    def report(self, seconds: float) -> Report:
        """All of it, in the order of the checks."""
        order = {name: i for i, name in enumerate(self.names)}
        findings = sorted(self.findings, key=lambda f: order.get(f.check, -1))
        extra = [o for name, o in self.outcomes.items() if name not in order]
        outcomes = (*(self.outcomes[name] for name in self.names), *extra)
        return Report(self.subject, self.convention, tuple(findings), outcomes, self.member, seconds)
