"""Checks of derivatives: the gradient and the hessian are those of the value, and nothing jumps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Subject
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._exact import lower
from matchloss.audit.checks._lines import TOLERANCE, compared, lines
from matchloss.audit.checks._rows import FAILS, Numbers, Rows, Told, at, attempt, largest, one_of, ordinary, row, text, unit
from matchloss.audit.finding import Finding


def gradient(subject: Subject) -> Iterator[Finding]:
    """gradient(x, y) = d value(x, y) / dx, at a kink any number between the slopes on its two sides; in every dtype and in forward mode;
    likewise in a further positive input, such as a variance.

    The derivative is taken by differences of the value in float64 with Richardson's extrapolation; what differs by more than 8 of its
    estimated errors and 1e-5 of itself is wrong. A lower dtype is held against float64 within 16 eps of the terms.

    Training follows the gradient, and reports the value: where the two disagree, it heads for something other than what is reported.
    """
    if not subject.differentiable:
        raise Skip("it has no gradient: NumPy functions have none, unless gradient= is given")
    one = unit(subject)
    yield from _against_differences(subject, one)
    yield from _in_lower_dtypes(subject, one)
    yield from _forward(subject, one)
    for i, what in enumerate(subject.convention.others):
        if what == "positive" and subject.framework.differentiable and subject.callee.gradient is None:
            yield from _in_other(subject, i)


def _against_differences(s: Subject, one: float) -> Iterator[Finding]:
    """float64, along lines."""
    along, t, h = lines(s)
    try:
        found = along.slope(t)
        bad, seen = compared(along, "value", t, h, found, TOLERANCE, 1e-7 * one)
    except FAILS as error:
        raise Skip(f"it refuses a prediction: {error}") from error
    if not bad.any():
        return
    rows = along.rows(t)
    i = rows.simplest(bad & ~seen.kinks) if (bad & ~seen.kinks).any() else rows.simplest(bad)
    steady = bad & (np.abs(seen.center) > 1e-3 * one)
    ratio = found[steady] / seen.center[steady] if steady.any() else np.array([])
    share = bad.sum() / max(1, (np.abs(found) + np.abs(seen.center) > 1e-3 * one).sum())
    how = "training does not follow the value that it reports"
    if ratio.size > 3 and share > 0.5 and np.ptp(ratio) < 1e-4 * np.abs(ratio).max():
        times = text(ratio.mean())
        how = f"it is {times} times the slope everywhere" if ratio.mean() > 0 else f"it has the wrong sign ({times} times)"
    elif found[i] == 0:
        how = "it is 0 where the value changes, so that nothing is learned there"
    axis = f" along {text(along.direction[i])}" if s.classes else ""
    message = f"{{at}} the gradient{axis} is {{got}}, but the value's slope is {{right}}: {how}."
    yield row(s, "error", message, rows, i, "gradient", found, seen.center)


def _in_lower_dtypes(s: Subject, one: float) -> Iterator[Finding]:
    """The gradient of each lower dtype against float64's at the same stored x."""
    along, t, _ = lines(s)
    raw = along.rows(t)

    def rows_of(dtype: str) -> Rows:
        rows = Rows(s.round(raw.x, dtype), raw.y if raw.y.ndim == 1 or not s.soft else s.round(raw.y, dtype))
        if s.convention.input == "raw" or s.kind == "regression":
            return rows
        inside = (rows.x != 0) & ((rows.x < 1) | (s.kind in ("count", "positive")))
        return rows.take(inside.reshape(len(rows), -1).all(axis=1))

    def terms(rows: Rows, right: Numbers) -> Numbers:
        return one * (1 + (np.ones(len(rows)) if s.classes else np.abs(rows.y))) + largest(np.abs(right))

    told: list[Told] = []
    for a in lower(s, "gradient", rows_of, terms):
        if a.wrong.any():
            i = a.rows.simplest(a.wrong)
            dead = f"beyond what {a.dtype} can be blamed for" if a.got[i].any() else "it is 0, so that nothing is learned there"
            message = f"{{at}} the gradient is {{got}}, in float64 {{right}}: {dead}."
            told.append((row(s, "error", message, a.rows, i, "gradient", a.got, a.right, a.dtype), "gradient", a.dtype))
    yield from one_of(told)


def _forward(s: Subject, one: float) -> Iterator[Finding]:
    """Forward mode against reverse mode at ordinary rows; of the mean or the sum where the function gives no more."""
    if s.callee.gradient is not None or not s.framework.differentiable or s.scalar:
        return
    rows = ordinary(s) if s.per_row else Rows(*s.ordinary(4))
    v = s.round(s.rng.normal(size=rows.x.shape), "float16" if "float16" in s.dtypes else "float32")
    found = _both_modes(s, rows, v)
    if found is None:
        return
    forward, reverse = found
    yield from _forward_at_mask(s)
    wrong = ~(np.abs(forward - reverse) <= TOLERANCE * (np.abs(reverse) + one))
    if not wrong.any():
        return
    i = rows.simplest(wrong) if s.per_row else 0
    some, v = (rows.take(slice(i, i + 1)), v[i : i + 1]) if s.per_row else (rows, v)
    where, along = (at(s, rows, i), f" along {text(v[0])}") if s.per_row else (f"Over {len(rows)} ordinary rows", "")
    message = (
        f"{where} the forward-mode derivative (jvp){along} is {text(forward[i])}, by reverse mode {text(reverse[i])}: whatever uses "
        "tangents (Hessian products, sensitivity) is silently wrong."
    )
    code = _tangent_code(s, v, forward[i], reverse[i])
    yield s.finding("error", message, x=some.x, y=some.y, got=forward[i], expected=reverse[i], code=code)


def _both_modes(s: Subject, rows: Rows, v: Numbers) -> tuple[Numbers, Numbers] | None:
    """The derivative along v in forward and in reverse mode; None where it has no forward mode."""
    try:
        if s.per_row:
            reverse = s.gradient(rows.x, rows.y) * v
            forward = s.tangent(rows.x, rows.y, v)
            reverse = reverse if reverse.ndim == 1 else reverse.sum(axis=1)
        else:
            slope = s.framework.numbers(s.derived("gradient", "whole", rows.x, rows.y, "float64", s.keywords()))
            tangent = s.derived("tangent", "whole", rows.x, rows.y, "float64", s.keywords(), s.framework.array(v, "float64"))
            reverse, forward = np.atleast_1d((slope * v).sum()), np.atleast_1d(s.framework.numbers(tangent))
    except FAILS:
        return None
    return (forward, reverse) if forward.shape == reverse.shape else None


def _forward_at_mask(s: Subject) -> Iterator[Finding]:
    """A forward derivative that is NaN where the gradient is a number: a class at -inf."""
    if not s.classes or s.convention.input != "raw" or not s.per_row:
        return
    rows, v = Rows(np.array([[-np.inf, 0.0, 1.0]]), np.array([1])), np.array([[0.0, 1.0, 0.0]])
    reverse, forward = attempt(s.gradient, rows), attempt(lambda x, y: s.tangent(x, y, v), rows)
    if reverse is not None and forward is not None and np.isfinite(reverse).all() and not np.isfinite(forward).all():
        code = _tangent_code(s, v, forward[0], reverse[0, 1])
        message = "{at} the forward-mode derivative (jvp) is {got}, by reverse mode {right}."
        yield row(s, "warning", message, rows, 0, "value", forward, reverse[:, 1], code=code)


def _tangent_code(s: Subject, v: Numbers, got: Any, right: Any) -> list[str]:
    shown = s.framework.tangent_code.format(s.quote(reduction="none" if s.per_row else None))
    return [f"v = {s.framework.code(v, 'float64')}", shown, f"# {float(got)!r}; right: {float(right)!r}"]


def _in_other(s: Subject, i: int) -> Iterator[Finding]:
    """In a further positive input, as a loss of that input alone."""
    x0 = 0.0 if s.convention.input == "raw" else 1.0
    c = s.convention

    def call(z: Any, y: Any, **options: Any) -> Any:
        x = s.framework.array(np.full(np.shape(y), x0), s.framework.dtype_of(y))
        others = [s.framework.array(np.ones(np.shape(y)), s.framework.dtype_of(y)) for _ in c.others]
        others[i] = z
        return s.callee.call(*s.place(x, y, others), **options)

    own = replace(c, kind="positive", input="prediction", order="prediction, target", others=())
    inner = replace(s, callee=replace(s.callee, call=call), member=None, convention=own)
    for f in _against_differences(inner, unit(inner)):
        z, y, got, right = (np.ravel(f.counterexample[k])[0] for k in ("prediction", "target", "got", "right"))
        message = (
            f"At further input {i + 1} = {text(z)}, prediction {text(x0)}, target {text(y)} the derivative in that input is {text(got)}, "
            f"but the value's slope is {text(right)}: a model that learns it is sent the wrong way."
        )
        names = ["x" if k == i else f"z{k}" for k in range(len(c.others))]
        options = {c.reduction_argument: "'none'"} if c.reduction_argument else {}
        quoted = s.callee.quote(s.place("prediction", "y", names), options)
        slope = [line.format(quoted) for line in s.framework.gradient_code]
        code = [
            "prediction = x",
            f"x = {s.framework.code(np.array([z]), 'float64', True)}",
            *slope,
            f"# {float(got)!r}; right: {float(right)!r}",
        ]
        yield s.finding("error", message, x=np.array([x0]), y=np.array([y]), further=z, got=got, expected=right, code=code)
