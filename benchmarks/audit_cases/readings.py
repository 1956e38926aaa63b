"""How losses of a kind are called, for the cases of `functions`."""

from __future__ import annotations

from typing import Any

from benchmarks.audit_cases.case import Reading, names

LABELS = names("labels, numbers, labels or distributions")


def number(order: str = "prediction, target", reduction: str = "mean", **more: Any) -> Reading:
    """A loss of any number."""
    return Reading(names("regression"), names("numbers"), names("raw, prediction"), order, names(reduction), **more)


def positive(order: str = "prediction, target", reduction: str = "mean", **more: Any) -> Reading:
    """A loss of a positive number or a count, of its mean."""
    return Reading(names("positive, count"), names("numbers"), names("prediction"), order, names(reduction), **more)


def label(order: str = "prediction, target", reduction: str = "mean", input: str = "raw", **more: Any) -> Reading:
    """A loss of one of two labels."""
    return Reading(names("binary"), LABELS, names(input), order, names(reduction), **more)


def classes(
    target: str, order: str = "prediction, target", reduction: str = "mean", input: str = "raw", shapes: str = "(N, C) and (N,)"
) -> Reading:
    """A loss of one of C labels."""
    return Reading(names("multiclass"), names(target), names(input), order, names(reduction), shapes=shapes)
