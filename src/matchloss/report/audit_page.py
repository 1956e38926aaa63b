"""The page of audits: which promises each function keeps, and an input for each one that it does not; words from `audit_words`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matchloss.audit import words
from matchloss.audit.finding import SEVERITIES
from matchloss.report import audit_words
from matchloss.report.page import assemble, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matchloss.audit.finding import Finding
    from matchloss.audit.report import Report


def _checks(report: Report, function: str) -> list[dict[str, str]]:
    """A mark for each check, in their order; those that found something lead to it."""
    ordered = words.ordered(report)
    first = {f.check: f"{function}-{i}" for i, f in reversed(list(enumerate(ordered)))}
    made: list[dict[str, str]] = []
    for outcome in words.checked(report):
        state = words.state(report, outcome.check)
        glyph, said = audit_words.MARKS[state]
        made.append(
            {
                "name": audit_words.short(outcome.check),
                "state": state,
                "glyph": glyph,
                "said": said,
                "promise": words.promise(report.convention, outcome.check),
                "reason": audit_words.short(outcome.reason, 400),
                "to": first.get(outcome.check, ""),
            }
        )
    return made


def _finding(finding: Finding, place: str, promise: str) -> dict[str, Any]:
    return {
        "id": place,
        "check": audit_words.short(finding.check),
        "severity": finding.severity,
        "promise": promise,
        "message": audit_words.clean_text(words.message(finding)),
        "shown": [
            {"role": role, "name": audit_words.short(name), "value": audit_words.clean_text(value)}
            for role, name, value in words.rows(finding.counterexample)
        ],
        "snippet": audit_words.clean_text(finding.snippet.strip("\n")),
    }


def _function(report: Report, number: int) -> dict[str, Any]:
    place = f"function-{number}"
    module, name = audit_words.name(report)
    ordered = [_finding(f, f"{place}-{i}", words.promise(report.convention, f.check)) for i, f in enumerate(words.ordered(report))]
    checks = _checks(report, place)
    worst, rest = audit_words.verdict(report)
    return {
        "id": place,
        "module": module,
        "name": name,
        "facts": audit_words.facts(report),
        "call": audit_words.call(report.convention) if report.convention else {},
        "member": audit_words.short(report.member),
        "worst": report.worst() or ("clean" if worst == "clean" else "skipped"),
        "verdict": worst,
        "rest": rest,
        "counts": [{"severity": s, "n": len(report.of(s))} for s in SEVERITIES],
        "checks": checks,
        "remarks": [audit_words.short(said, 400) for said in report.remarks],
        "skipped": [c for c in checks if c["state"] in ("skipped", "stopped", "crashed")],
        "groups": [(s, mine) for s in SEVERITIES if (mine := [f for f in ordered if f["severity"] == s])],
    }


def render_audit_page(reports: Sequence[Report]) -> str:
    """The page as text; ValueError where there is no report."""
    if not reports:
        raise ValueError("there is no report to show: a page needs at least one")
    from matchloss.audit.table import CHECKS  # for this page alone

    functions = [_function(report, i) for i, report in enumerate(reports)]
    return assemble(
        "audit",
        {"functions": len(functions)},
        title="matchloss: audit of " + ", ".join(f["name"] for f in functions[:5]) + (", …" if len(functions) > 5 else ""),
        functions=functions,
        summary=audit_words.summary(reports),
        meaning=words.SEVERITY,
        promises=[(check.name, words.PROMISES[check.name], check.meaning) for check in CHECKS],
        legend=[(state, *audit_words.MARKS[state]) for state in audit_words.LEGEND],
        checks=max(len(f["checks"]) for f in functions),
        sources=[],
    )


def write_audit_page(path: Path, reports: Sequence[Report]) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    write(path, render_audit_page(reports))
