"""Reports for machines: JSON, SARIF 2.1.0 (what code scanning reads) and the commands of a GitHub workflow."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from matchloss.audit import words
from matchloss.audit.report import Report

FORMATS = ("text", "json", "sarif", "github")
SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def as_json(reports: Sequence[Report]) -> str:
    """A list of reports, each with its outcome."""
    return json.dumps([as_data(report) for report in reports], indent=1)


def as_data(report: Report) -> dict[str, Any]:
    """A report as plain data; NaN and infinities as text, which JSON does not have."""
    made: dict[str, Any] = asdict(report) | {"outcome": report.outcome, "reason": report.why if report.outcome == "not judged" else ""}
    for finding in made["findings"]:
        del finding["cause"]  # by which findings were merged
    return _plain(made)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value


def as_sarif(reports: Sequence[Report]) -> str:
    """One run: a rule a check, a result a finding, located at the function's name, and in its file where that is here."""
    rules = [{"id": name, "shortDescription": {"text": promise}} for name, promise in words.PROMISES.items()]
    results = [
        {
            "ruleId": finding.check,
            "level": finding.severity,
            "message": {"text": f"{report.subject}: {words.message(finding)}"},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": report.subject, "kind": "function"}], **_physical(report.subject)}],
            "properties": {"counterexample": _plain(dict(finding.counterexample)), "snippet": finding.snippet},
        }
        for report in reports
        for finding in words.ordered(report)
    ]
    unjudged = [(r.subject, r.why) for r in reports if r.outcome == "not judged"]
    notices = [{"level": "warning", "message": {"text": f"{name} was not judged: {why}"}} for name, why in unjudged]
    run = {
        "tool": {"driver": {"name": "matchloss audit", "version": version("matchloss"), "rules": rules}},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notices}],
        "results": results,
    }
    return json.dumps({"$schema": SARIF, "version": "2.1.0", "runs": [run]}, indent=1)


def as_github(reports: Sequence[Report]) -> str:
    """Workflow commands, which GitHub shows beside a run."""
    said = [(f.severity, r.subject, f"{f.check} of {r.subject}", words.message(f)) for r in reports for f in words.ordered(r)]
    said += [("warning", r.subject, r.subject, f"not judged: {r.why}") for r in reports if r.outcome == "not judged"]
    return "\n".join(f"::{COMMANDS[how]} {_beside(name)}title={_escaped(title, True)}::{_escaped(text)}" for how, name, title, text in said)


def place(name: str) -> tuple[str, int] | None:
    """The file and the line of a function's name, where its module lies here or in src; nothing is imported.

    >>> place("json:loads")
    """
    module, _, path = name.partition(":") if ":" in name else name.rpartition(".")
    for root, file in product((Path(), Path("src")), (f"{module.replace('.', '/')}{end}" for end in (".py", "/__init__.py"))):
        if module and (root / file).is_file():
            try:
                body = ast.parse((root / file).read_bytes()).body
            except (SyntaxError, ValueError):
                body = []
            named = {getattr(node, "name", ""): node.lineno for node in body if hasattr(node, "name")}
            return (root / file).as_posix(), named.get(path.partition(".")[0], 1)
    return None


def _physical(name: str) -> dict[str, Any]:
    found = place(name)
    return {} if found is None else {"physicalLocation": {"artifactLocation": {"uri": found[0]}, "region": {"startLine": found[1]}}}


def _beside(name: str) -> str:
    found = place(name)
    return "" if found is None else f"file={_escaped(found[0], True)},line={found[1]},"


def _escaped(text: str, inside: bool = False) -> str:
    """As GitHub's runner wants it."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if inside else text
