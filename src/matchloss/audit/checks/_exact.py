"""What is right: a member's exact values and gradients, else the function's own in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks._rows import Numbers, Rows, attempt, few


def known_value(s: Subject, rows: Rows, normalised: bool = True) -> Numbers | None:
    """The member's value plus its term without the prediction, NaN where that is not known; None where no member is recognised.

    normalised: rows of probabilities may sum to 1 but for rounding, which the member corrects and the function need not.
    """
    if s.member is None or (s.classes and s.convention.input != "raw" and not normalised):
        return None
    found = _safely(s.member.value, rows)
    if found is None or s.member.exact:
        return found
    x0 = s.at(np.zeros((1, 3)) if s.classes else np.zeros(1))
    anchor = Rows(np.repeat(x0, len(rows), axis=0), rows.y)
    base, own = _safely(s.member.value, anchor), attempt(s.value, anchor)
    return None if base is None or own is None else found + (own - base)


def member_parts(s: Subject, what: str) -> Any:
    """The member's value or gradient as a function of predictions and targets, NaN where it has none."""

    def function(x: Any, y: Any) -> Numbers:
        found = _safely(getattr(s.member, what), Rows(x, y))
        return np.full(np.shape(x) if what == "gradient" else len(x), np.nan) if found is None else found

    return function


def known_gradient(s: Subject, rows: Rows) -> Numbers | None:
    """The member's gradient; None where that is not known."""
    if s.member is None or s.convention.input != "raw":
        return None
    return _safely(s.member.gradient, rows)


def _safely(function: Any, rows: Rows) -> Numbers | None:
    with silence():
        try:
            return np.asarray(few(function, rows), dtype=np.float64)
        except (ValueError, TypeError, NotImplementedError, ArithmeticError):
            return None
