"""docs/ledger.md: what the audit found, as a table and function by function."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from ledger.subjects import LIBRARIES, THREADS, Entry
from matchloss.audit import Finding, Report
from matchloss.audit.finding import SEVERITIES

HEAD = """# Ledger

What `matchloss audit` finds in the loss functions of other libraries. Every row is a fact about the versions below: a property that the
audit tests, and an input on which the function does not have it. Several of these properties are documented choices of a library, and a
loss may be useful without them; [the audit's page](audit.md) states each property and what it means for a model that is trained.

An **error** is a wrong or non-finite result for valid finite input, a **warning** a property that the kind of loss is expected to have or
invalid input that gives a plausible number, a **note** accuracy lost in a tail, a factor, or a property that a loss need not have.

`make ledger` wrote this page on {date} with Python {python} on {system}: {versions}. The same versions give the same findings.
"""
OVER_ALL = (
    "{functions} functions: {clean} without a finding, {errors} with errors, {warnings} more with warnings, {notes} with notes alone."
)
COLUMNS = "| function | kind | errors | warnings | notes | found by |\n|---|---|--:|--:|--:|---|"


def page(reports: Mapping[Entry, Report], date: str, python: str, system: str) -> str:
    """The whole page."""
    versions = ", ".join(f"{name} {version(name)}" for name in (*LIBRARIES, "jax", "numpy"))
    worst = [report.worst() for report in reports.values()]
    counts = OVER_ALL.format(
        functions=len(worst), clean=worst.count(""), errors=worst.count("error"), warnings=worst.count("warning"), notes=worst.count("note")
    )
    parts = [HEAD.format(date=date, python=python, system=system, versions=versions), counts]
    audited = {name: mine for name, entries in LIBRARIES.items() if (mine := [entry for entry in entries if entry in reports])}
    for name, entries in audited.items():
        parts += [f"## {name}", COLUMNS + "\n" + "\n".join(row(entry, reports[entry]) for entry in entries)]
    parts.append("## Each finding, with code that shows it")
    for name, entries in audited.items():
        parts.append(f"### {name} {{ #findings-{name} }}")
        if name in THREADS:
            parts.append(threads(THREADS[name]))
        parts += [section(entry, reports[entry]) for entry in entries if reports[entry].findings]
    return "\n\n".join(parts) + "\n"


def row(entry: Entry, report: Report) -> str:
    """A line of the table."""
    name = f"[`{entry.call}`](#{anchor(entry)})" if report.findings else f"`{entry.call}`"
    counts = [str(len(report.of(severity)) or "") for severity in SEVERITIES]
    if not report.convention:
        return f"| {name} | {entry.kind} | | | | it could not be called |"
    return f"| {name} | {entry.kind} | {' | '.join(counts)} | {', '.join(found_by(report)) or 'clean'} |"


def found_by(report: Report) -> list[str]:
    """The checks that found something, those with the worst findings first."""
    return list(dict.fromkeys(f.check for severity in SEVERITIES for f in report.of(severity)))


def anchor(entry: Entry) -> str:
    """Of its section."""
    return re.sub(r"[^a-z0-9]+", "-", f"{entry.module}-{entry.call}".lower()).strip("-")


def section(entry: Entry, report: Report) -> str:
    """A function's findings."""
    member = f", found to be `{report.member}` of the catalogue" if report.member else ""
    lines = [f"#### {entry.call} {{ #{anchor(entry)} }}", f"`{entry.name}`, {entry.kind}{member}."]
    if entry.threads:
        lines.append(threads(entry.threads))
    lines += [shown(finding) for severity in SEVERITIES for finding in report.of(severity)]
    if stopped := [f"{outcome.check} ({outcome.reason})" for outcome in report.checks if outcome.status == "stopped"]:
        lines.append(f"Not tested to the end: {plain('; '.join(stopped))}.")
    return "\n\n".join(lines)


def shown(finding: Finding) -> str:
    """One finding: what it says, and the code behind a click."""
    if not finding.snippet.strip():
        return said(finding)
    # Not ```python: the tests of the docs run those, and this code is run by the audit's own.
    return f'{said(finding)}\n\n<details markdown="1"><summary>code</summary>\n\n```py\n{finding.snippet.rstrip()}\n```\n\n</details>'


def said(finding: Finding) -> str:
    """A finding's severity, check and message on one line."""
    return f"**{finding.severity}, {finding.check}:** {plain(finding.message)}"


def threads(addresses: Sequence[str]) -> str:
    """Links to a project's own threads."""
    named = (f"[{short(address)}]({address})" for address in addresses)
    return f"The project's own threads about it: {', '.join(named)}."


def short(address: str) -> str:
    """A thread as people write it: pytorch/pytorch#2259."""
    return re.sub(r"^https://github.com/(.*)/(?:issues|pull)/", r"\1#", address)


def plain(text: str) -> str:
    """Text that Markdown leaves as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;"))
