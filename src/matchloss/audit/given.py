"""What a person gives an audit on the command line, checked before any function is called: options are words there, values here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from math import inf
from typing import Any

from matchloss.audit.calling.convention import CHOICES, Convention
from matchloss.audit.finding import SEVERITIES
from matchloss.audit.report import NEVER
from matchloss.errors import UsageError
from matchloss.tables.words import suggest


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
    from matchloss.audit.table import CHECKS

    known = [check.name for check in CHECKS]
    for name in names:
        if name not in known:
            raise UsageError(f"--only: there is no check {name}{_near(name, known)}")
    return names or None


def _near(name: str, known: Sequence[str]) -> str:
    return suggest(name, known) or f"; there are {', '.join(known)}"


def severity_given(fail_on: str) -> str:
    """The least severity that fails a run, or "never"."""
    if fail_on != NEVER and fail_on not in SEVERITIES:
        raise UsageError(f"--fail-on is {fail_on}; allowed: {', '.join((*SEVERITIES, NEVER))}")
    return fail_on


def seconds_given(budget: str) -> float:
    """Seconds from --budget.

    >>> seconds_given("5s"), seconds_given("0.5"), seconds_given("2min")
    (5.0, 0.5, 120.0)
    """
    number = budget.strip().removesuffix("min").removesuffix("s").strip()
    try:
        seconds = float(number) * (60 if budget.strip().endswith("min") else 1)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        raise UsageError(f"--budget is {budget}; write seconds, such as 5s")
    return seconds
