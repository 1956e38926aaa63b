"""Accuracy: float64 against the catalogue, lower dtypes against float64, and the mean of many rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.member import member_of
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
    few,
    is_ordinary,
    one_of,
    pairs,
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
    yield from _cut_off(subject)
    yield from _against_float64(subject, one)
    yield from _negative(subject)
    yield from list(_means(subject)) or _overflow(subject)


def _moderate(s: Subject, dtype: str) -> Rows:
    rows = wide(s, dtype)
    size = np.abs(rows.x).max(axis=1) if s.classes else np.abs(rows.x)
    return rows.take((size <= min(1e4, MAX[dtype] / 1e3)) & ((size == 0) | (size >= TINY[dtype])))


def _against_member(s: Subject, one: float) -> Iterator[Finding]:
    """float64 against the exact values of the catalogue."""
    if s.narrow:
        return
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
        wrong = known & (error > WRONG * wide_x + allowed) & is_ordinary(s, rows, "float64")
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


def _cut_off(s: Subject) -> Iterator[Finding]:
    """A function that is a smooth, proper loss of the catalogue for outputs about 1, and another beyond: a clamp, or a wrong branch."""
    c = s.convention
    if s.member is not None or c.input != "raw" or s.kind == "regression" or c.others or s.narrow:
        return
    many = 60 // len(s.targets())
    x = 2.0 * s.rng.random((many * len(s.targets()), 3) if s.classes else many * len(s.targets())) - (1.0 if s.classes else 0.0)
    x = x if s.classes else 2.0 * x - 2.0
    near = Rows(x, np.repeat(s.targets(), many))
    inner = None if attempt(s.value, near) is None else member_of(s.kind, "raw", lambda x, y: few(s.value, Rows(x, y)), near.x, near.y)
    if inner is None or not (inner.loss.smooth and inner.loss.proper):
        return
    size = np.array([3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0])
    line = np.concatenate([size, -size])
    rows = pairs(line[:, None] * np.array([1.0, 0, 0]) if s.classes else line, s.targets())
    same = Rows(np.zeros_like(rows.x), rows.y)
    got, at_0 = attempt(s.value, rows), attempt(s.value, same)
    if got is None or at_0 is None:
        return
    right = inner.value(rows.x, rows.y) - inner.value(same.x, same.y) + at_0
    with silence():
        wrong = np.isfinite(got) & np.isfinite(right) & (np.abs(got - right) > TAIL * (1 + np.abs(right)))
    if wrong.any():
        why = f"if it is {inner} as it is for outputs up to 2: a clamp, or a wrong branch, changes what far rows teach."
        yield _inexact(s, "error", rows, rows.simplest(wrong), "float64", "value", got, right, why)


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


def _against_float64(s: Subject, one: float) -> Iterator[Finding]:
    """Lower dtypes against float64 at the same stored x."""
    wrongs: list[tuple[Finding, str, str]] = []
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
        wrong = known & (error > allowed + TINY[dtype]) & is_ordinary(s, rows, dtype)
        if wrong.any():
            i = rows.simplest(wrong)
            wrongs.append(
                (_inexact(s, "error", rows, i, dtype, "value", got, goal, f"beyond what {dtype} can be blamed for."), "value", dtype)
            )
        tail = known & ~wrong & _relative(s, rows, got, goal, dtype) & (moved < TAIL / 4 * np.abs(goal))
        if dtype == "float32" and tail.any() and not wrong.any():
            why = "so that relative accuracy is lost in this tail."
            tails.append(_inexact(s, "note", rows, rows.simplest(tail), dtype, "value", got, goal, why))
    yield from one_of(wrongs)
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


def _overflow(s: Subject) -> Iterator[Finding]:
    """The mean of rows whose sum no float16 holds, though their mean is an ordinary one."""
    c = s.convention
    if ("float16" not in s.dtypes and s.framework.name != "numpy") or s.scalar or not (c.reduction_argument or c.reduction == "mean"):
        return
    y = np.resize(s.targets(), 4096)
    far = -30.0 * (2.0 * np.eye(3)[y.astype(int)] - 1.0) if s.classes else np.where(y > 0.5, -30.0, 30.0) if s.kind == "binary" else y + 8.0
    if s.kind in ("count", "positive") or (c.input != "raw" and s.kind != "regression"):
        return
    x, how = s.round(far, "float16"), "mean" if c.reduction_argument else None
    try:
        whole, right = s.total(x, y, how, "float16"), s.total(x, y, how)
    except FAILS:
        return
    if np.isfinite(right) and abs(right) < MAX["float16"] / ROOM and not np.isfinite(whole):
        message = (
            f"In float16 the mean of {len(y)} rows is {text(whole)} where {text(right)} is right: on the way they are summed up, and their "
            "sum is more than float16 holds."
        )
        made = [f"x, y = x[:3].repeat({(-(-len(y) // 3), *[1] * (x.ndim - 1))!r}), y[:3].repeat({-(-len(y) // 3)})"]
        if s.framework.name != "torch":
            made = [f"x, y = {s.framework.module}.concatenate([x] * 1366), {s.framework.module}.concatenate([y] * 1366)"]
        code = [*made, f"print({s.quote(dtype='float16', reduction='mean')})", f"# right: {right!r}"]
        yield s.finding("error", message, x=x[:3], y=y[:3], dtype="float16", got=whole, expected=right, code=code)


def _means(s: Subject) -> Iterator[Finding]:
    """The function's own mean or sum of many rows in a lower dtype."""
    c = s.convention
    how = "mean" if c.reduction_argument else c.reduction
    if how not in ("mean", "sum") or s.scalar:
        return
    n = 256 if s.framework.pads else 2048
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
