"""One cause, one finding: what a single change would mend stands once, with what else it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matchloss.audit.finding import SEVERITIES, Finding

# An error of a cause explains findings of others, at most as bad as what is said: mended, they are gone or were never there.
# Nothing explains what is "declared", nor how "sums" are made.
STATE = "gradient hessian accuracy cut-off reductions layout weights minimum jumps linear matching"
EXPLAINS = (
    ("purity", "error", f"{STATE} coupled dtype digits overflow"),
    ("coupled", "error", f"{STATE} finite overflow"),
    ("digits", "error", "finite gradient hessian accuracy jumps minimum convex matching proper"),
    ("gradient", "error", "gradient accuracy hessian jumps matching linear invariance"),
    ("reductions", "error", "weights layout accuracy cut-off"),
    ("jumps", "error", "cut-off"),
    ("jumps", "warning", "minimum convex matching proper"),
    ("minimum", "error", "cut-off"),
    ("minimum", "warning", "proper matching minimum"),
    ("dtype", "error", "accuracy gradient"),
    ("finite", "error", "overflow"),
    ("finite", "note", "limits accuracy hessian"),
)


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without those that another one explains, which has the names of their checks instead."""
    kept = list(findings)
    for cause, worst, effects in EXPLAINS:
        first = next((f for f in kept if _cause(f) == cause and f.severity == "error"), None)
        if first is None:
            continue
        bad = SEVERITIES[SEVERITIES.index(worst) :]
        gone = [f for f in kept if f is not first and _cause(f) in effects.split() and f.severity in bad]
        touches = dict.fromkeys((*first.touches, *(f.check for f in gone if f.check != first.check)))
        kept = [replace(f, touches=tuple(touches)) if f is first else f for f in kept if not any(f is g for g in gone)]
    return tuple(kept)


def _cause(finding: Finding) -> str:
    return finding.cause or finding.check
