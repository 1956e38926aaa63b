"""The second derivative: that of the gradient, an object's own or by differentiating twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._lines import TOLERANCE, Lines, Slopes, compared, lines, slopes
from matchloss.audit.checks._rows import FAILS, Numbers, Rows, attempt, row, text, unit
from matchloss.audit.finding import Finding


def hessian(subject: Subject) -> Iterator[Finding]:
    """hessian(x, y) = d gradient(x, y) / dx, at a kink of the gradient any number between its slopes on the two sides, for finite x and
    at a masked class.

    The derivative is taken by differences of the gradient, as in the check of the gradient. An object's own hessian that stands in for the
    second derivative (positive, the same for every target, or where the second derivative is 0 or negative) is told as a note.

    Newton steps, boosted trees and Laplace approximations divide by it: if it is too small they overshoot, and if it is NaN they end.
    """
    if not subject.has_hessian:
        raise Skip("it has no second derivative")
    one = unit(subject)
    along, t, h = lines(subject)
    if subject.has_hessian == "diagonal":
        axis = (np.abs(along.direction).sum(axis=1) == 1) & (np.abs(along.direction).max(axis=1) == 1)
        along, t, h = along.take(axis), t[axis], h[axis]
    try:
        along.slope(t)  # one that keeps what its gradient was called with is right now; purity tells of it
        found = along.bend(t)
        bad, seen = compared(along, "slope", t, h, found, 10 * TOLERANCE, 1e-5 * one)
    except FAILS as error:
        raise Skip(f"it refuses a prediction: {error}") from error
    rows = along.rows(t)
    missing = ~np.isfinite(found) & np.isfinite(seen.center) & (seen.center_error < 1e-3 * (np.abs(seen.center) + one))
    if missing.any():
        i = rows.simplest(missing)
        severity, ending = ("note", " if predictions get there.") if np.abs(rows.x[i]).max() >= 100 else ("error", ".")
        message = "{at} the second derivative is {got}, where {right} is right: methods that use curvature end in NaN" + ending
        yield row(subject, severity, message, rows, i, "hessian", found, seen.center, cause="overflow")
    if bad.any():
        i = rows.simplest(bad & ~seen.kinks) if (bad & ~seen.kinks).any() else rows.simplest(bad)
        severity, why = _wrong(subject, along, t, h, rows, found, seen, bad)
        message = "{at} the hessian is {got}, where the gradient's slope is {right}: " + why
        cause = "overflow" if np.abs(rows.x[i]).max() >= 100 else ""
        yield row(subject, severity, message, rows, i, "hessian", found, seen.center, cause=cause)
    yield from _masked(subject)


def _wrong(s: Subject, along: Lines, t: Numbers, h: Numbers, rows: Rows, found: Numbers, seen: Slopes, bad: Any) -> tuple[str, str]:
    """The severity of a hessian that is not the second derivative, and what it is."""
    some, beside = along.take(bad), np.ones(int(bad.sum()), dtype=bool)
    for side in (2.0**-10, -(2.0**-10)):
        near = t[bad] * (1 + side) + (side if s.convention.input == "raw" else 0)
        again = slopes(some.slope, near, h[bad] * 2.0**-9)
        beside &= again.agrees(some.bend(near), 1e-4 * np.abs(again.center) + 1e-7)
    if beside.all():
        return "note", "at this single point; beside it the two agree."
    if s.callee.hessian is not None:
        if (factor := _factor(found, seen)) is not None:
            return "error", f"it is {factor:.4g} times that everywhere, and steps are 1 / {factor:.4g} as long."
        if (found >= 0).all() and (found[bad] > 0).all():
            if (seen.center[bad] <= 1e-9).all() or (seen.center < -1e-9).any():
                return "note", "a positive number stands in where the second derivative is 0 or negative."
            if _same_for_targets(s, rows, found) and not _same_for_targets(s, rows, seen.center):
                return "note", "it is the same for every target, as an expected (Fisher) curvature is."
            if (found >= seen.center - 8 * seen.center_error - 1e-6).all():
                return "warning", "it is an upper bound, or was meant to be exact and is too large: steps are shorter than Newton's."
    return "error", "Newton steps and boosted trees go the wrong length."


def _factor(found: Numbers, seen: Slopes) -> float | None:
    """By what the hessian differs from the gradient's slope, where that is one number everywhere."""
    with silence():
        size = np.abs(seen.center)
        sure = np.isfinite(found) & (seen.center_error < 1e-5 * size) & (size > 1e-3 * float(size[np.isfinite(size)].max(initial=0)))
        ratio = found[sure] / seen.center[sure]
    usual = float(np.median(ratio)) if len(ratio) >= 8 else 0.0
    return usual if usual and float(np.ptp(ratio)) <= 1e-3 * abs(usual) else None


def _same_for_targets(s: Subject, rows: Rows, v: Numbers) -> bool:
    """Whether it depends on the predictions alone."""
    _, group = np.unique(rows.x, axis=0, return_inverse=True)
    group = np.ravel(group)
    low, high = np.full(group.max() + 1, np.inf), np.full(group.max() + 1, -np.inf)
    if s.classes:
        return False
    np.minimum.at(low, group, v)
    np.maximum.at(high, group, v)
    return bool((high - low <= 1e-6 * np.abs(high) + 1e-9).all())


def _masked(s: Subject) -> Iterator[Finding]:
    """NaN in the second derivative of a row in which a class that is not the label is at -inf."""
    if not s.classes or s.convention.input != "raw":
        return
    rows = Rows(np.array([[-np.inf, 0.0, 1.0]]), np.array([1]))
    value, found = attempt(s.value, rows), attempt(s.hessian, rows)
    if value is not None and found is not None and np.isfinite(value).all() and np.isnan(found).any():
        message = f"{{at}} the value is {text(value[0])}, which is right, but the second derivative is NaN."
        yield row(s, "warning", message, rows, 0, "hessian", found)
