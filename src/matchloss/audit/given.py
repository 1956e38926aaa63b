"""What a person gives an audit on the command line, checked before any function is called: options are words there, values here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from matchloss.audit.calling.convention import CHOICES, Convention
from matchloss.audit.finding import SEVERITIES, Report
from matchloss.errors import UsageError
from matchloss.tables.words import suggest

NEVER = "never"


def convention_given(kind: str | None, framework: str | None, parts: Sequence[str]) -> dict[str, Any]:
    """Parts of a convention from --kind, --framework and --set NAME=VALUE; those that were not given are left to be found.

    >>> convention_given("count", None, ["order=target, prediction", "others=positive", "sign=-1"])
    {'kind': 'count', 'order': 'target, prediction', 'others': ('positive',), 'sign': -1}
    """
    given: dict[str, Any] = {name: value for name, value in (("kind", kind), ("framework", framework)) if value}
    known = [f.name for f in fields(Convention)]
    for part in parts:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise UsageError(f"--set is {part}; write a part of how the function is called and its value, such as input=raw")
        if name not in known:
            raise UsageError(f"--set {part}: there is no {name}{_near(name, known)}")
        if name in given:
            raise UsageError(f"{name} is given twice")
        given[name] = _value(name, value)
    for name, value in given.items():
        if value not in CHOICES.get(name, (value,)):
            choices = ", ".join(f'"{choice}"' if "," in str(choice) else str(choice) for choice in CHOICES[name])
            raise UsageError(f"{name} is {value}; allowed: {choices}")
    return given


def _value(name: str, value: str) -> Any:
    if name == "others":
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if name == "sign" and value in ("1", "+1", "-1"):
        return int(value)
    return None if name.endswith("_argument") and value in ("", "none", "None") else value


def checks_given(names: Sequence[str]) -> Sequence[str] | None:
    """Names of checks from --only; None, for all of them, if there is none."""
    from matchloss.audit.checks import CHECKS

    known = [check.name for check in CHECKS]
    for name in names:
        if name not in known:
            raise UsageError(f"--only: there is no check {name}{_near(name, known)}")
    return names or None


def _near(name: str, known: Sequence[str]) -> str:
    return suggest(name, known) or f"; there are {', '.join(known)}"


def severities_given(fail_on: str) -> tuple[str, ...]:
    """The severities that fail a run."""
    if fail_on == NEVER:
        return ()
    if fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on is {fail_on}; allowed: {', '.join((*SEVERITIES, NEVER))}")
    return SEVERITIES[: SEVERITIES.index(fail_on) + 1]


def failed(report: Report, severities: Sequence[str]) -> bool:
    """Whether a report fails a run: by a finding, or since nothing of it came to an end."""
    ended = not report.outcomes or any(outcome.status != "stopped" for outcome in report.outcomes)
    return bool(severities) and (not ended or any(report.of(severity) for severity in severities))
