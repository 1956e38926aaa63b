"""Reports as text: at most 80 columns but for code, which stays as it is, in ASCII where names and messages are."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

try:
    from rich.console import Group, RenderableType
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise ImportError('reports as text need rich: pip install "matchloss[audit]"') from error

from matchloss.audit import words
from matchloss.audit.finding import SEVERITIES, Finding
from matchloss.tables.words import plural
from matchloss.terminal import WIDTH, facts, plain, rendered, ruled, sentence

if TYPE_CHECKING:
    from matchloss.audit.report import Report

MOST = 1_200  # characters of a message, beyond which it is cut
SHORT = 1_500  # characters of code that anybody reads
LONGEST = 4_000  # and beyond which none is shown
NAME = 44  # columns for a function's name: the rest of the table has what is left of 80
LABEL = 24  # of a counterexample's value; longer ones are cut
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}
UNDER = "    "  # what belongs to a finding stands below its name


def report_text(report: Report) -> str:
    """One report, without colours: how the function is called, its findings by severity, and code that shows the worst."""
    return rendered(report_group(report))


def report_group(report: Report) -> Group:
    """One report, for a console."""
    parts: list[RenderableType] = [Text(), Text(plain(_cut(report.subject)), style="bold"), facts(_about(report))]
    for severity in SEVERITIES:
        last = ""
        for finding in report.of(severity):
            if not last:
                head = f"{severity.capitalize()}{'s' if len(report.of(severity)) > 1 else ''}"
                parts += [Text(), Text.assemble((head, STYLES[severity])), sentence(words.SEVERITY[severity], "dim", hanging=0)]
            parts += [Text(), *_finding(finding, named=finding.check != last, promise=words.promise(report.convention, finding.check))]
            last = finding.check
    parts += _code(report)
    if not report.findings and report.convention:
        parts += [Text(), sentence(f"No finding. {_kept(report)}")]
    checks = facts(_checks(report))
    return Group(*parts, *([Text(), checks] if checks else []))


def reports_table(reports: Sequence[Report]) -> Table:
    """Several reports for a console, by the modules of their functions."""
    modules: defaultdict[str, list[Report]] = defaultdict(list)
    for report in reports:
        module, colon, _ = report.subject.partition(":")
        modules[module if colon else ""].append(report)
    table = ruled("function", *SEVERITIES, "found by")
    longest = max((len(part) + 2 for r in reports for part in r.subject.split(":")), default=0)
    table.columns[0].no_wrap, table.columns[0].overflow, table.columns[0].width = False, "fold", min(max(longest, 12), NAME)
    for column in table.columns[1:4]:
        column.justify, column.no_wrap = "right", True
    for module, mine in modules.items():
        if module:
            table.add_row(Text(plain(_cut(module)), style="dim"))
        for report in mine:
            name = plain(_cut(report.subject.removeprefix(f"{module}:")))
            counts = [Text(f"{n or '-'}", style=STYLES[s] if n else "dim") for s in SEVERITIES for n in [len(report.of(s))]]
            checks = dict.fromkeys(f.check for f in words.ordered(report) if f.severity != "note")
            by = plain(_cut(", ".join(checks))) if report.outcome != "not judged" else report.outcome
            table.add_row(Padding(Text(name), (0, 0, 0, 2 if module else 0)), *counts, by)
    return table


def closing(reports: Sequence[Report], without_page: bool, fail_on: str) -> list[str]:
    """What a person may do next, and why the run failed if it did."""
    lines: list[str] = []
    if any(report.convention for report in reports):
        lines.append("How a function is called was found by trying; --kind, --framework and --set say it where that went wrong.")
    if without_page and any(len(report.findings) > 1 for report in reports):
        lines.append("Code that shows every other finding is on a page: --report page.html")
    bad = sum(bool(report.failed(fail_on)) for report in reports)
    if bad:
        lines.append(f"Failed, since --fail-on is {fail_on}{f': {bad} of {len(reports)} functions' if len(reports) > 1 else ''}.")
    if unjudged := sum(report.outcome == "not judged" for report in reports):
        lines.append(f"{plural(unjudged, 'function')} could not be judged: that is no finding against {'it' if unjudged == 1 else 'them'}.")
    return lines


def _about(report: Report) -> dict[str, str]:
    if report.convention is None:
        return {"outcome": _cut(words.verdict(report), MOST)}
    return {
        "outcome": words.verdict(report),
        "kind": words.KINDS[report.convention.kind],
        "call": _cut(words.called(report.convention), MOST),
        "what it is": f"{_cut(report.member)} of matchloss's catalogue" if report.member else "",
        "found": f"{words.found(report)}; {words.tally(report)}, in {report.seconds:.1f} seconds",
        "with": ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    }


def _finding(finding: Finding, named: bool, promise: str) -> list[RenderableType]:
    """What was found, and the input that shows it; the check is not named again for the next finding of its own."""
    head = Text.assemble(("  " + plain(finding.check), "bold"), (f" (promise: {promise})" if promise else "", "dim"))
    touches = [f"It also touches {', '.join(finding.touches)}."] if finding.touches else []
    said = [plain(line) for line in (*_cut(words.message(finding), MOST).splitlines(), *touches)]
    lines: list[RenderableType] = [head] if named else []
    lines += [Text(textwrap.fill(line, WIDTH, initial_indent=UNDER, subsequent_indent=UNDER)) for line in said]
    pairs = {_cut(plain(name), LABEL): value for _, name, value in words.rows(finding.counterexample)}
    return [*lines, facts(pairs, margin=6)] if pairs else lines


def _code(report: Report) -> list[RenderableType]:
    """The snippet of the worst finding that has a short one, at the margin and whole, so that it can be copied and run."""
    coded = [f for f in words.ordered(report) if f.snippet.strip()]
    if not coded:
        return []
    finding = next((f for f in coded if len(f.snippet) <= SHORT), min(coded, key=lambda f: len(f.snippet)))
    if len(finding.snippet) > LONGEST:
        return [Text(), sentence(f"The code that shows it has {len(finding.snippet):,} characters: it is on the page.", "dim")]
    same = [f for f in report.of(finding.severity) if f.check == finding.check]
    which = f"the {finding.severity} of {plain(finding.check)}"
    if len(same) > 1:
        which += f', "{plain(_cut(words.message(finding), 30))}"' if same[0] is not finding else ", the first of them"
    lines = [plain(line.expandtabs(4)) for line in finding.snippet.strip("\n").splitlines()]
    return [Text(), sentence(f"This code shows {which}:", "dim"), Text(), Text("\n".join(lines), no_wrap=True, overflow="ignore")]


def _kept(report: Report) -> str:
    clean = sum(words.state(report, o.check) == "clean" for o in words.checked(report))
    return f"Every promise that was tried is kept, {clean} in all." if clean else "No check was of use here."


def _checks(report: Report) -> dict[str, str]:
    """Names of the checks that found nothing, and why some did not run."""
    whys: defaultdict[tuple[str, str], list[str]] = defaultdict(list)  # checks that did not run for one reason stand together
    for outcome in words.checked(report):
        state = words.state(report, outcome.check)
        whys[state, "" if state == "clean" else _cut(outcome.reason)].append(outcome.check)
    said: defaultdict[str, list[str]] = defaultdict(list)
    for (state, reason), names in whys.items():
        said[state].append(f"{', '.join(names)}{f' ({reason})' if reason else ''}")
    return {
        "clean": "; ".join(said["clean"]),
        "does not apply": "; ".join(said["skipped"]),
        "did not end": "; ".join(said["stopped"]),
        "audit's fault": "; ".join(said["crashed"]),
        "remark": "; ".join(map(_cut, report.remarks)),
    }


def _cut(text: str, most: int = words.LONG) -> str:
    return text if len(text) <= most else f"{text[:most]}... {len(text) - most:,} characters more"
