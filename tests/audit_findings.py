"""What one check finds in a function, for the tests of checks; each snippet is run, too."""

from __future__ import annotations

import contextlib
import io

from matchloss.audit.calling.probe import subject_of
from matchloss.audit.calling.subject import silence
from matchloss.audit.checks import CHECKS

RUN = {check.name: check for check in CHECKS}


def found(fn, name, kind, **known):
    """The findings of one check."""
    framework = known.get("framework", "numpy")
    subject = subject_of(fn, kind, frameworks=() if framework == "numpy" else (framework,), **known)
    findings = list(RUN[name].run(subject.fresh()))
    assert [f.message for f in RUN[name].run(subject.fresh())] == [f.message for f in findings]  # the same again
    for finding in findings:
        assert len(finding.message) <= 250, finding.message
        assert finding.counterexample
        with contextlib.redirect_stdout(io.StringIO()) as out, silence():
            exec(finding.snippet, {"fn": fn})
        assert out.getvalue()
    return findings


def worst(findings):
    """Severities and messages above a note."""
    return [(f.severity, f.message) for f in findings if f.severity != "note"]
