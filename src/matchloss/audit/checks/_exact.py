"""What is right: a member's exact values and gradients, else the function's own in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks._rows import EPS, MAX, ROOM, TINY, Numbers, Rows, attempt, few, is_ordinary, largest, spread

K = 16  # rounding errors of an ordinary formula, each of eps of its terms


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
    return None if s.member is None or s.convention.input != "raw" else _safely(s.member.gradient, rows)


def _safely(function: Any, rows: Rows) -> Numbers | None:
    with silence():
        try:
            return np.asarray(few(function, rows), dtype=np.float64)
        except (ValueError, TypeError, NotImplementedError, ArithmeticError):
            return None


@dataclass(frozen=True)
class Lower:
    """Results in a lower dtype, and float64's at the same stored predictions."""

    dtype: str
    rows: Rows
    got: Numbers
    right: Numbers
    moved: Numbers  # how far the right one moves within rounding of the predictions
    known: Any  # where the two can be compared
    wrong: Any  # ordinary rows where they differ by more than the dtype can be blamed for


def lower(s: Subject, what: str, rows_of: Callable[[str], Rows], terms: Callable[[Rows, Numbers], Numbers]) -> Iterator[Lower]:
    """Value or gradient in each lower dtype, at rows of the dtype; terms: the size of the formula's terms."""
    function = getattr(s, what)
    for dtype in s.dtypes if "float64" in s.dtypes else ():
        if dtype == "float64":
            continue
        rows = rows_of(dtype)
        got, right = attempt(function, rows, dtype), attempt(function, rows)
        if got is None or right is None:
            continue
        with silence():
            error, moved = largest(np.abs(got - right)), spread(function, rows, right, EPS[dtype])
            allowed = K * EPS[dtype] * terms(rows, right) + 4 * moved + TINY[dtype]
            known = np.isfinite(error) & np.isfinite(allowed) & (largest(np.abs(right)) < MAX[dtype] / ROOM)
            yield Lower(dtype, rows, got, right, moved, known, known & (error > allowed) & is_ordinary(s, rows, dtype))
