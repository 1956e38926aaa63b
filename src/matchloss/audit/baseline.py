"""A baseline: findings that a project knows of. A run with one fails on new findings alone."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matchloss.audit.finding import Finding
from matchloss.audit.report import Report
from matchloss.errors import UsageError
from matchloss.files import replacing

FORMAT, SCHEMA = "matchloss audit baseline", 1
PARTS = ("function", "check", "severity", "message")


def key(report: Report, finding: Finding) -> tuple[str, ...]:
    """What makes a finding the same one: its numbers may move a little with a library's version."""
    return report.subject, finding.check, finding.severity, re.sub(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", "#", finding.message)


def write_baseline(path: Path, reports: Sequence[Report]) -> None:
    """All findings of the reports, in an order that makes small differences of files."""
    found = sorted({key(report, finding) for report in reports for finding in report.findings})
    entries = [dict(zip(PARTS, entry, strict=True)) for entry in found]
    with replacing(path) as partial:
        partial.write_text(
            json.dumps({"format": FORMAT, "schema": SCHEMA, "findings": entries}, indent=1) + "\n", encoding="utf-8", newline="\n"
        )


def read_baseline(path: Path) -> frozenset[tuple[str, ...]]:
    """The keys of its findings; UsageError for a file that is no baseline of this schema."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no baseline {path}; --update-baseline writes one") from None
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be read as a baseline: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UsageError(f"{path} is no baseline of matchloss audit")
    if data.get("schema") != SCHEMA:
        raise UsageError(
            f"{path} is a baseline of schema {data.get('schema')}, and this version reads {SCHEMA}; --update-baseline writes it anew"
        )
    try:
        return frozenset(tuple(str(entry[part]) for part in PARTS) for entry in data["findings"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} has a finding without {error}") from error


def without_known(report: Report, known: frozenset[tuple[str, ...]]) -> Report:
    """The report with its new findings alone."""
    new = tuple(f for f in report.findings if key(report, f) not in known)
    if len(new) == len(report.findings):
        return report
    return replace(report, findings=new, remarks=(*report.remarks, f"{len(report.findings) - len(new)} findings are in the baseline"))
