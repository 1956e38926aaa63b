"""One check of a function, every snippet of what it finds run."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from matchloss.audit import Finding
from matchloss.audit.calling.probe import subject_of
from matchloss.audit.calling.subject import silence
from matchloss.audit.table import CHECKS

TABLE = {check.name: check for check in CHECKS}


def ran(check: str, fn: Any, kind: str | None = None, frameworks: tuple[str, ...] = (), **given: Any) -> list[Finding]:
    """What the check finds."""
    subject = subject_of(fn, kind, frameworks=frameworks, **given)
    findings = list(TABLE[check].run(subject.fresh()))
    again = list(TABLE[check].run(subject.fresh()))
    assert [f.message for f in again] == [f.message for f in findings]
    return findings


def found(
    check: str, fn: Any, kind: str | None = None, frameworks: tuple[str, ...] = (), *, prints: bool = False, **given: Any
) -> list[Finding]:
    """The same; at most one finding of a kind, each short and with a snippet that runs."""
    findings = ran(check, fn, kind, frameworks, **given)
    assert len({f.message for f in findings}) == len(findings)
    for finding in findings:
        assert len(finding.message) <= 250 and finding.severity in ("error", "warning", "note")
        assert finding.snippet
        with contextlib.redirect_stdout(io.StringIO()) as out, silence():
            exec(finding.snippet, {"fn": fn})
        assert out.getvalue() or not prints
    return findings
