"""One cause, one finding: what a single change would mend stands once, with what else it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matchloss.audit.finding import SEVERITIES, Finding

# An error of the first check explains findings of the others, at most as bad as what is said: mended, they are gone or were never there.
EXPLAINS = {
    "purity": ("error", "gradient hessian accuracy reductions layout weights minimum jumps linear matching dtype"),
    "gradient": ("error", "gradient accuracy hessian jumps matching linear invariance"),
    "reductions": ("error", "weights layout accuracy"),
    "jumps": ("warning", "minimum convex matching proper"),
    "minimum": ("warning", "proper matching minimum"),
    "dtype": ("error", "accuracy gradient"),
    "finite": ("note", "limits accuracy hessian"),
}
# What is declared, and how rows are added up, is a cause of its own.
APART = ("declared", "The mean of", "The sum of", "In float16 the mean of")


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without those that another one explains, which has the names of their checks instead."""
    kept = list(findings)
    for cause, (worst, effects) in EXPLAINS.items():
        first = next((f for f in kept if f.check == cause and f.severity == "error"), None)
        if first is None:
            continue
        gone = [f for f in kept if f is not first and f.check in effects.split() and _at_most(f, worst) and not f.message.startswith(APART)]
        touched = tuple(dict.fromkeys(f.check for f in gone if f.check != cause))
        kept = [replace(f, touches=(*f.touches, *touched)) if f is first else f for f in kept if not any(f is g for g in gone)]
    return tuple(kept)


def _at_most(finding: Finding, worst: str) -> bool:
    return SEVERITIES.index(finding.severity) >= SEVERITIES.index(worst)
