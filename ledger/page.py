"""docs/ledger.md, from ledger/*.json: root causes by harm, each with an example, then the sound functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ledger.causes import CAUSES, Cause
from ledger.subjects import LIBRARIES

DATA = Path(__file__).parent
PAGE = DATA.parent / "docs" / "ledger.md"
LONG = 1_500  # characters of an example that anybody reads
HEAD = """# Ledger

What `matchloss audit` finds in {functions} loss functions of other libraries: {causes} root causes, ranked by the harm they do, each with
code that shows it. {sound} functions are sound, {broken} have an error. All else that the audit says of them, notes included, is in
`ledger/*.json`, which `make ledger` makes again.

Every line is a fact about the versions below and about a property that the audit tests; [the audit's page](audit.md) states each property.
Several are documented choices, and a loss may be useful in spite of them. Audited: {versions}.

<input type="search" id="ledger-search" placeholder="Search: a function, a library, a word" aria-label="Search the ledger">
<script>
addEventListener("input", event => {{
  if (event.target.id !== "ledger-search") return;
  const wanted = event.target.value.toLowerCase();
  for (const part of document.querySelectorAll(".ledger-cause, .ledger-sound tbody tr"))
    part.hidden = !part.textContent.toLowerCase().includes(wanted);
}});
</script>
"""


def reports() -> list[dict[str, Any]]:
    """What ledger/*.json holds, a library each, in the order of LIBRARIES."""
    return [json.loads((DATA / f"{name}.json").read_text()) for name in LIBRARIES if (DATA / f"{name}.json").exists()]


def page(libraries: Sequence[Mapping[str, Any]]) -> str:
    """The whole page."""
    functions = [{**report, "of": f"{library['library']} {library['version']}"} for library in libraries for report in library["reports"]]
    shown = [(cause, found) for cause in CAUSES if (found := occurrences(cause, functions))]
    outcomes = [report["outcome"] for report in functions]
    versions = ", ".join(f"{library['library']} {library['version']} ({library['date']})" for library in libraries)
    head = HEAD.format(
        functions=len(functions), causes=len(shown), sound=outcomes.count("sound"), broken=outcomes.count("broken"), versions=versions
    )  # fmt: skip
    parts = [head, *(section(i, cause, found) for i, (cause, found) in enumerate(shown, 1))]
    clean = [report for report in functions if report["outcome"] == "sound"]
    rows = [f"| `{report['function']}` | {report['kind']} | {described(report)} |" for report in clean]
    table = "\n".join(["| function | kind | what else the audit says |", "|---|---|---|", *rows])
    parts.append(f'## Sound functions\n\n<div class="ledger-sound" markdown="1">\n\n{table}\n\n</div>')
    if unjudged := [report for report in functions if report["outcome"] == "not judged"]:
        parts.append("## Not judged\n\n" + "\n".join(f"- `{report['function']}`: {plain(report['reason'])}" for report in unjudged))
    return "\n\n".join(parts) + "\n"


Found = tuple[Mapping[str, Any], Mapping[str, Any]]  # a report, and a finding of it


def occurrences(cause: Cause, functions: Sequence[Mapping[str, Any]]) -> list[Found]:
    """The findings of a cause that no cause before it has; errors first."""
    before = CAUSES[: CAUSES.index(cause)]
    found = [(r, f) for r in functions for f in r["findings"] if cause.has(f) and not any(other.has(f) for other in before)]
    return sorted(found, key=lambda pair: pair[1]["severity"] != "error")


def section(number: int, cause: Cause, found: Sequence[Found]) -> str:
    """A cause, with the shortest example that runs."""
    coded = [(r, f) for r, f in found if f["snippet"] and len(f["snippet"]) <= LONG]
    report, finding = min(coded or found, key=lambda pair: (pair[1]["severity"] != "error", len(pair[1]["snippet"])))
    names: dict[str, dict[str, None]] = {}  # by library and version
    for r, _ in found:
        names.setdefault(r["of"], {})[f"`{r['function']}`"] = None
    lines = [
        f'<div class="ledger-cause" markdown="1">\n\n## {number}. {cause.title} {{ #cause-{number} }}',
        f"{cause.said} Remedy: {cause.instead}.",
        f"**In `{report['function']}`:** {plain(finding['message'])}",
    ]
    if coded:  # not ```python: the tests of the docs run those, and this code is run by the audit's own
        lines.append(f"```py\n{finding['snippet'].rstrip()}\n```")
    lines.append("Functions: " + "; ".join(f"{of}: {', '.join(some)}" for of, some in names.items()) + ".")
    if cause.threads:
        lines.append(f"Discussed by the projects themselves: {', '.join(f'[{thread}]({address(thread)})' for thread in cause.threads)}.")
    return "\n\n".join([*lines, "</div>"])


def described(report: Mapping[str, Any]) -> str:
    """How many warnings and notes, and by which checks the warnings are."""
    warnings = [f["check"] for f in report["findings"] if f["severity"] == "warning"]
    notes = sum(f["severity"] == "note" for f in report["findings"])
    parts = [f"warnings: {', '.join(dict.fromkeys(warnings))}"] if warnings else []
    return "; ".join([*parts, *([f"{notes} note{'s' * (notes > 1)}"] if notes else [])]) or "nothing"


def address(thread: str) -> str:
    """Of a thread as people write it, pytorch/pytorch#2259; GitHub sends on what is a pull request."""
    return "https://github.com/" + thread.replace("#", "/issues/")


def plain(text: str) -> str:
    """Text that Markdown leaves as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;"))
