"""Accuracy: float64 against the catalogue, lower dtypes against float64, and the mean of many rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks._exact import known_gradient, known_value, member_parts
from matchloss.audit.checks._rows import (
    EPS,
    FAILS,
    MAX,
    ROOM,
    TINY,
    Numbers,
    Rows,
    at,
    attempt,
    ordinary,
    sizes,
    slow,
    spread,
    text,
    unit,
    wide,
)
from matchloss.audit.finding import Finding

K = 16  # rounding errors of an ordinary formula, each of eps of its terms
WRONG = 2.0**-30  # of the terms in float64: more is what float32 makes of it, less is a tail or a cutoff
TAIL = 0.01  # relative error that is told


def accuracy(subject: Subject) -> Iterator[Finding]:
    """|value in dtype - exact value at the same x| <= 16 eps (1 + |x| + |y| + |x y| + |value|) + the change of the value as x moves by
    2 eps |x|; likewise the mean over rows against the mean of the rows' values, within 4 eps.

    What is exact: the catalogue's member where the function is one, else the function itself in float64. Within these bounds a relative
    error of more than 1 % is told as a note, and so is a value below 0 of a loss that has none.

    A wrong value misleads early stopping and the choice between models; a gradient of exactly 0 in the tail stops the learning of rows that
    are nearly right.
    """
    one = unit(subject)
    yield from _against_member(subject, one)
    yield from _rounded_inside(subject, one)
    yield from _against_float64(subject, one)
    yield from _negative(subject)
    yield from _means(subject)


def _moderate(s: Subject, dtype: str) -> Rows:
    rows = wide(s, dtype)
    size = np.abs(rows.x).max(axis=1) if s.classes else np.abs(rows.x)
    return rows.take((size <= min(1e4, MAX[dtype] / 1e3)) & ((size == 0) | (size >= TINY[dtype])))


def _against_member(s: Subject, one: float) -> Iterator[Finding]:
    """float64 against the exact values of the catalogue."""
    rows = _moderate(s, "float64")
    exact = known_value(s, rows, normalised=False)
    if exact is None or s.member is None:
        return
    found = [("value", attempt(s.value, rows), exact, member_parts(s, "value"))]
    right = known_gradient(s, rows)
    if right is not None and s.differentiable:
        found.append(("gradient", attempt(s.gradient, rows), right, member_parts(s, "gradient")))
    for what, got, goal, function in found:
        if got is None or got.shape != goal.shape:
            continue
        wide_x = sizes(s, rows, goal.max(axis=1) if goal.ndim > 1 else goal, one)
        with silence():
            error = np.abs(got - goal) if got.ndim == 1 else np.abs(got - goal).max(axis=1)
        allowed = K * EPS["float64"] * wide_x + spread(function, rows, goal, 2.0**-52)
        known = np.isfinite(error) & np.isfinite(allowed)
        wrong = known & (error > WRONG * wide_x + allowed)
        loose = known & (error > allowed) & ~wrong
        tail = (
            known
            & ~wrong
            & _relative(s, rows, got, goal, "float64")
            & (what == "gradient" or s.member.exact)
            & (s.convention.input == "raw")
        )
        if wrong.any():
            yield _inexact(s, "error", rows, rows.simplest(wrong), "float64", what, got, goal,
                           f"as for {s.member}; the error is far beyond the rounding of float64.")  # fmt: skip
        elif tail.any():
            yield _inexact(
                s, "note", rows, rows.simplest(tail), "float64", what, got, goal, "so that relative accuracy is lost in this tail."
            )
        elif loose.any() and s.convention.input == "raw":
            yield _inexact(s, "note", rows, rows.simplest(loose), "float64", what, got, goal, "which is more than float64's rounding.")


def _relative(s: Subject, rows: Rows, got: Numbers, goal: Numbers, dtype: str) -> Any:
    """Where more than 1 % of a result is lost that the dtype could tell."""
    if goal.ndim > 1:  # the entry of the label, or of the largest
        k = np.abs(goal).argmax(axis=1)
        got, goal = got[np.arange(len(got)), k], goal[np.arange(len(goal)), k]
    with silence():
        size = np.abs(rows.x).reshape(len(rows), -1)
        plain = ((size == 0) | (size >= 1e-12)).all(axis=1)
        return plain & (np.abs(got - goal) > TAIL * np.abs(goal)) & (np.abs(goal) > TINY[dtype] / EPS[dtype])


def _inexact(s: Subject, severity: str, rows: Rows, i: int, dtype: str, what: str, got: Any, goal: Any, why: str) -> Finding:
    g, r = got[i], goal[i]
    digits = f"{float(g)!r} where {float(r)!r}" if np.ndim(g) == 0 and text(g) == text(r) else f"{text(g)} where {text(r)}"
    message = f"{at(s, rows, i, dtype)} the {what} is {digits} is right, {why}"
    return s.finding(severity, message, x=rows.x[i : i + 1], y=rows.y[i : i + 1], dtype=dtype, show=what, got=g, expected=r)


def _rounded_inside(s: Subject, one: float) -> Iterator[Finding]:
    """Steps of the input that float64 can tell and float32 cannot: a value that does not follow them was computed in float32."""
    if s.classes and s.convention.input != "raw":
        return
    rows = ordinary(s)
    step = 2.0**-27
    x = rows.x * (1 + step * np.arange(1, 4).reshape(-1, *[1] * rows.x.ndim))
    moved = attempt(s.value, Rows(x.reshape(-1, *rows.x.shape[1:]), np.concatenate([rows.y] * 3)))
    still, far = attempt(s.value, rows), attempt(s.value, Rows(rows.x * (1 + 2.0**-10), rows.y))
    if moved is None or still is None or far is None:
        return
    told = np.abs(far - still) * 2.0**-17 > 2.0**-46 * sizes(s, rows, still, one)  # the change that a step should make
    same = (moved.reshape(3, -1) == still).all(axis=0)
    if told.sum() < 8 or (told & same).sum() < 0.5 * told.sum():
        return
    i = rows.simplest(told & same)
    message = (
        f"{at(s, rows, i)} the value does not change when x grows by 1e-8 of itself: float64 input is computed in float32, "
        "with 7 digits where 16 are expected."
    )
    near = rows.x[i] * (1 + step)
    both = Rows(np.array([rows.x[i], near]), rows.y[[i, i]])
    yield s.finding("error", message, x=both.x, y=both.y, got=np.array([still[i], moved[i]]))


def _against_float64(s: Subject, one: float) -> Iterator[Finding]:
    """Lower dtypes against float64 at the same stored x."""
    wrongs: list[tuple[Finding, str]] = []
    tails: list[Finding] = []
    for dtype in s.dtypes:
        if dtype == "float64" or "float64" not in s.dtypes:
            continue
        rows = _moderate(s, dtype)
        got, goal = attempt(s.value, rows, dtype), attempt(s.value, rows)
        if got is None or goal is None:
            continue
        with silence():
            error = np.abs(got - goal)
            moved = spread(s.value, rows, goal, EPS[dtype])
            allowed = K * EPS[dtype] * sizes(s, rows, goal, one) + 4 * moved
        known = np.isfinite(error) & np.isfinite(allowed) & (np.abs(goal) < MAX[dtype] / ROOM)
        wrong = known & (error > allowed + TINY[dtype])
        if wrong.any():
            i = rows.simplest(wrong)
            wrongs.append((_inexact(s, "error", rows, i, dtype, "value", got, goal, f"beyond what {dtype} can be blamed for."), dtype))
        tail = known & ~wrong & _relative(s, rows, got, goal, dtype) & (moved < TAIL / 4 * np.abs(goal))
        if dtype == "float32" and tail.any() and not wrong.any():
            why = "so that relative accuracy is lost in this tail."
            tails.append(_inexact(s, "note", rows, rows.simplest(tail), dtype, "value", got, goal, why))
    if wrongs:
        f, also = wrongs[0][0], ", ".join(d for _, d in wrongs[1:])
        yield Finding("", f.severity, f.message + (f" Also in {also}." if also else ""), f.counterexample, f.snippet)
    yield from tails


def _negative(s: Subject) -> Iterator[Finding]:
    """Values below 0 in a lower dtype of a loss that has none in float64."""
    for dtype in sorted(set(s.dtypes) - {"float64"}, key=lambda d: -EPS[d]):
        rows = _near_right(s, dtype)
        got, right = attempt(s.value, rows, dtype), attempt(s.value, rows)
        if got is None or right is None or not (right >= -1e-12).all():
            continue
        below = got < 0
        if below.any():
            i = int(np.argmin(got))
            message = (
                f"{at(s, rows, i, dtype)} the value is {text(got[i])}, though the loss is never below 0 (here "
                f"{text(right[i])}): rounding in {dtype}, and nothing to compare small losses by."
            )
            yield s.finding("note", message, x=rows.x[i : i + 1], y=rows.y[i : i + 1], dtype=dtype, got=got[i], expected=right[i])
            return


def _near_right(s: Subject, dtype: str) -> Rows:
    """Rows whose prediction is near the target."""
    n = 16 if slow(s) else 64 if s.framework.pads or not s.per_row else 512
    if s.classes:
        raw = 3.0 * s.rng.normal(size=(n, 3))
        x = s.round(s.at(raw), dtype)
        return Rows(x, x.argmax(axis=1))
    y = np.resize(s.targets(), n)
    raw = np.where(y > 0.5, 1, -1) * np.abs(s.rng.normal(size=n)) * 4 if s.kind == "binary" else None
    if raw is None:
        mean = np.where(y > 0, y, 0.01) * np.exp(0.01 * s.rng.normal(size=n)) if s.kind != "regression" else y + 0.01 * s.rng.normal(size=n)
        raw = mean if s.kind == "regression" else np.log(mean)
    return Rows(s.round(s.at(raw), dtype), y)


def _means(s: Subject) -> Iterator[Finding]:
    """The function's own mean or sum of many rows in a lower dtype."""
    c = s.convention
    how = "mean" if c.reduction_argument else c.reduction
    if how not in ("mean", "sum") or s.scalar:
        return
    n = 256 if s.framework.pads else 512
    for dtype in sorted(set(s.dtypes) - {"float64"}, key=lambda d: -EPS[d]):
        x, y = s.ordinary(n)
        x = s.round(x, dtype)
        try:
            whole, right = s.total(x, y, how if c.reduction_argument else None, dtype), s.total(x, y, how if c.reduction_argument else None)
        except FAILS:
            continue
        allowed = (4 if EPS[dtype] > 1e-4 else 32) * EPS[dtype]
        if np.isfinite([whole, right]).all() and abs(right) < MAX[dtype] / ROOM and abs(whole - right) > allowed * abs(right):
            message = (
                f"The {how} of {n} ordinary rows in {dtype} is {text(whole)} where {text(right)} is right, "
                f"{abs(whole / right - 1):.0%} off: terms are added up in the low precision, and the batch size changes what is reported."
            )
            yield s.finding("error", message, x=x, y=y, dtype=dtype, got=whole, expected=right, code=[
                f"print({s.quote(dtype=dtype, reduction=how)})", f"# {whole!r}; right: {right!r}"])  # fmt: skip
            return
