"""What one check finds in a function, for the tests of checks; each snippet is run, too."""

from __future__ import annotations

import audit_checking


def found(fn, name, kind, **known):
    """The findings of one check, by its framework."""
    framework = known.get("framework", "numpy")
    findings = audit_checking.found(name, fn, kind, () if framework == "numpy" else (framework,), prints=True, **known)
    assert all(f.counterexample for f in findings)
    return findings


def worst(findings):
    """Severities and messages above a note."""
    return [(f.severity, f.message) for f in findings if f.severity != "note"]
