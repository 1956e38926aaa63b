"""What the page of audits says in words: names that fit, the verdict, marks, values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchloss.audit import words
from matchloss.audit.finding import SEVERITIES
from matchloss.tables.words import plain, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matchloss.audit.calling.convention import Convention
    from matchloss.audit.report import Report

NAME = 80  # characters of a name where many stand together
MARKS = {
    "clean": ("✓", "clean"),
    "note": ("i", "a note"),
    "warning": ("!", "a warning"),
    "error": ("✕", "an error"),
    "skipped": ("–", "does not apply"),
    "stopped": ("…", "did not end"),
    "crashed": ("?", "failed by the audit's own fault"),
}
LEGEND = ("clean", *reversed(SEVERITIES), "skipped", "stopped", "crashed")


def clean_text(text: str) -> str:
    """Keeps line breaks and writes out other invisible characters, which could reverse the text or break the file."""
    return "\n".join(plain(line) for line in text.expandtabs(4).split("\n"))


def short(text: str, most: int = NAME) -> str:
    """A name whose middle is left out where it is long."""
    said = plain(text)
    return said if len(said) <= most else f"{said[: most // 2]}…{said[-most // 2 + 1 :]}"


def name(report: Report) -> tuple[str, str]:
    """The module and the name within it, which may be cut; the module may be empty."""
    module, colon, rest = report.subject.partition(":")
    return (short(module), short(rest)) if colon and rest else ("", short(report.subject))


def verdict(report: Report) -> tuple[str, str]:
    """The worst finding in two words, and the rest of the sentence."""
    if report.outcome == "not judged":
        return "not judged", short(report.why, 400)
    counts = {s: len(report.of(s)) for s in SEVERITIES}
    said = [plural(n, s) for s, n in counts.items() if n]
    if not said:
        return "clean", "no finding"
    return said[0], " and ".join(said[1:])


def facts(report: Report) -> list[str]:
    """A line of facts below the name."""
    made = [words.tally(report), f"{report.seconds:.1f} seconds"]
    if report.convention:
        made = [words.KINDS[report.convention.kind], words.FRAMEWORKS[report.convention.framework], *made]
    return made


def summary(reports: Sequence[Report]) -> str:
    """How many of the functions kept what they promise."""
    sound = sum(not report.of("error") and not report.of("warning") for report in reports)
    return f"{sound} of {plural(len(reports), 'function')} without an error or a warning."


def call(convention: Convention) -> dict[str, str]:
    """How a function is called, in a few short facts."""
    made = {
        "takes": words.takes(convention),
        "returns": words.returns(convention),
        "also takes": ", ".join(f"{name}=…" for name in words.keywords(convention)),
    }
    return {key: short(fact, 400) for key, fact in made.items() if fact}
