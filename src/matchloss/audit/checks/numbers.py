"""Checks of numbers: finite where they can be, right in the limit, and accurate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks._exact import known_gradient, known_value
from matchloss.audit.checks._rows import (
    FAILS,
    MAX,
    ROOM,
    Numbers,
    Rows,
    at,
    attempt,
    is_ordinary,
    one_of,
    pairs,
    text,
    wide,
)  # fmt: skip
from matchloss.audit.finding import Finding

GROWN = 1e100  # a result on the way to inf that was larger than this was growing to what no float64 holds
HARM = "One such row makes its batch's loss {bad}, and then every weight NaN."


def finite(subject: Subject) -> Iterator[Finding]:
    """For every dtype and every finite x of it, within the open domain where x is a prediction: value(x, y) and gradient(x, y) are finite
    wherever the exact ones are within the dtype's range.

    What is exact: the member of the catalogue where the function is one, else the function itself in float64; where that is not finite, the
    path from an ordinary x is bisected to see whether the value had grown towards the largest number.

    A value or a gradient of inf or NaN ends a training run: one far row turns all weights into NaN.
    """
    found: list[tuple[Finding, str, str]] = []
    for dtype in subject.dtypes:
        rows = wide(subject, dtype)
        value = attempt(subject.value, rows, dtype)
        if value is None:
            continue
        wanted, on_way = _wanted(subject.value, known_value(subject, rows), rows, value, dtype)
        bad = ~np.isfinite(value) & np.isfinite(wanted) & _refused(subject, rows, value, dtype)
        parts = [("value", value, wanted, bad, on_way)]
        gradient = attempt(subject.gradient, rows, dtype) if subject.differentiable else None
        if gradient is not None:
            goal, on_way = _wanted(subject.gradient, known_gradient(subject, rows), rows, gradient, dtype)
            inside = np.isfinite(wanted) & np.isfinite(goal if goal.ndim == 1 else goal.sum(axis=1)) & ~bad
            broken = ~np.isfinite(gradient if gradient.ndim == 1 else gradient.sum(axis=1))
            parts.append(("gradient", gradient, goal, broken & inside & _refused(subject, rows, gradient, dtype), on_way))
        usual = is_ordinary(subject, rows, dtype)
        for what, got, right, failed, on_way in parts:
            if failed.any():
                harm = bool((failed & usual).any())
                i = rows.simplest(failed & usual if harm else failed)
                found.append((_unfinite(subject, what, rows, i, dtype, got[i], right[i], on_way.get(i), harm), what, dtype))
    yield from one_of(found)


def _unfinite(s: Subject, what: str, rows: Rows, i: int, dtype: str, got: Any, right: Any, last: Any, harm: bool) -> Finding:
    bad = "NaN" if np.isnan(got).any() else "inf"
    so = f"where {text(right)} is right" if last is None else f"though at {text(last)} it was no more than {text(right)}"
    message = f"{at(s, rows, i, dtype)} the {what} is {text(got)}, {so}. {HARM.format(bad=bad)}"
    severity = "error" if harm else "note"  # so far out no training gets, or it is subnormal, and some machines make it 0
    known: dict[str, Any] = {"expected": right} if last is None else {"last_finite": right, "last_finite_at": last}
    return s.finding(severity, message, x=rows.x[i : i + 1], y=rows.y[i : i + 1], dtype=dtype, show=what, got=got, **known)


def _refused(s: Subject, rows: Rows, got: Numbers, dtype: str) -> Any:
    """True where the function answered: a row that it refuses to compute is not one that it gets wrong."""
    answered = np.ones(len(rows), dtype=bool)
    for i in np.flatnonzero(np.isnan(got if got.ndim == 1 else got.sum(axis=1)))[:16]:
        try:
            s.value(rows.x[i : i + 1], rows.y[i : i + 1], dtype)
        except FAILS:
            answered[i] = False
    return answered


def _wanted(function: Any, known: Numbers | None, rows: Rows, got: Numbers, dtype: str) -> tuple[Numbers, dict[int, Any]]:
    """What is right where it is within the dtype's range, else NaN; and the prediction that it is of, where not the row's own."""
    right, on_way = known, {}
    if right is None or right.shape != got.shape:
        right = got.copy() if dtype == "float64" else attempt(function, rows)
        if right is None:
            return np.full_like(got, np.nan), on_way
        for i in np.flatnonzero(~np.isfinite(right if right.ndim == 1 else right.sum(axis=1))):
            last, on_way[int(i)] = _last_finite(function, rows, i)
            right[i] = np.nan if last is None or np.abs(last).max() > GROWN else last
    size = np.abs(right) if right.ndim == 1 else np.abs(right).max(axis=1)
    out = right.copy()
    out[~(size <= MAX[dtype] / ROOM)] = np.nan
    return out, on_way


def _last_finite(function: Any, rows: Rows, i: Any) -> tuple[Any, Any]:
    """The function's last finite result on the way from an ordinary x of the same target to row i (None if none is), and that x."""
    near = np.abs(rows.x - 1).max(axis=1) if rows.x.ndim > 1 else np.abs(rows.x - 0.5)
    same = (rows.y == rows.y[i]) if rows.y.ndim == 1 else (rows.y == rows.y[i]).all(axis=1)
    start, end = rows.x[np.flatnonzero(same)[np.argmin(near[same])]], rows.x[i]
    low, high, last, where = 0.0, 1.0, None, start
    for _ in range(4):
        t = np.concatenate([low + (high - low) * np.arange(1, 32) / 32, low + (high - low) * 2.0 ** -np.arange(1, 33)])
        t = np.sort(np.append(t, high))
        path = start + t.reshape(-1, *[1] * (rows.x.ndim - 1)) * (end - start)
        with silence():
            found = attempt(function, Rows(np.asarray(path), np.repeat(rows.y[i : i + 1], 64, axis=0)))
        if found is None:
            break
        broken = ~np.isfinite(found if found.ndim == 1 else found.sum(axis=1))
        k = int(np.argmax(broken)) if broken.any() else len(t) - 1
        if k:
            low, last, where = float(t[k - 1]), found[k - 1], path[k - 1]
        high = float(t[k])
    return last, where


def limits(subject: Subject) -> Iterator[Finding]:
    """value(a, y) = lim value(x, y) as x -> a, for a = inf and -inf, a class at -inf, and the ends of a prediction's domain; NaN where
    there is no such limit.

    A masked class, a logit that overflowed, a probability that was rounded to 0 or 1 do occur: a NaN spreads from them to all
    weights, and a plausible number where the loss is infinite hides that the model was certain and wrong.
    """
    seen: set[str] = set()
    for name, row, path, y in _ends(subject):
        rows = pairs(row[None] if subject.classes else np.array([row]), y)
        at = attempt(subject.value, rows)
        if at is None:
            continue
        known = known_value(subject, rows)
        for i in range(len(rows)):
            try:
                subject.value(rows.x[i : i + 1], rows.y[i : i + 1])
                towards = subject.value(path, np.repeat(rows.y[i : i + 1], len(path), axis=0))
            except FAILS:
                continue  # it refuses: that is clear
            if known is not None and np.isnan(known[i]) and subject.convention.input == "raw":
                continue  # the catalogue gives the limit where there is one
            limit = _limit(towards) if known is None or np.isnan(known[i]) else float(known[i])
            yield from _limit_findings(subject, name, rows, i, float(at[i]), limit, seen)


def _ends(s: Subject) -> Iterator[tuple[str, Any, Numbers, Any]]:
    """A name, x at an end, x on the way there, and targets."""
    far = 2.0 ** np.minimum(2.0 ** np.arange(2, 11), 1023)
    if s.classes:
        if s.convention.input == "prediction":
            return
        for name, sign, label in (("masked", -1.0, False), ("masked", -1.0, True), ("certain", 1.0, True), ("certain", 1.0, False)):
            if s.convention.input != "raw" and sign > 0:
                continue
            row = np.array([0.0, 0.5, 1.0]) if s.convention.input == "raw" else np.log([0.5, 0.25, 0.75])
            path = np.repeat(row[None], len(far), axis=0)
            path[:, 0], row[0] = sign * far, sign * np.inf
            yield name, row, path, np.array([0] if label else [1, 2])
        return
    if s.convention.input == "log_prediction":
        yield "inf", -np.inf, -far, s.targets()
    elif s.convention.input == "raw" or s.kind == "regression":
        yield "inf", np.inf, far, s.targets()
        yield "inf", -np.inf, -far, s.targets()
    else:
        close = np.array([0.125, 2.0**-6, 2.0**-13, 2.0**-26, 2.0**-52])
        yield "end", 0.0, np.append(close, [2.0**-104, 2.0**-208, 2.0**-416, 2.0**-832]), s.targets()
        if s.kind == "binary":
            yield "end", 1.0, 1.0 - close, s.targets()
        else:
            yield "inf", np.inf, far, s.targets()


def _limit(v: Numbers) -> float:
    """Of a sequence at points each of which is twice as far in the exponent as the one before; NaN where it has none."""
    if np.isnan(v).any():
        return np.nan
    if np.isinf(v[-1]):
        return float(v[-1])
    steps = np.diff(v[-4:])
    if abs(steps[-1]) <= 1e-9 * max(1.0, abs(v[-1])):
        return float(v[-1])
    if (np.sign(steps) == np.sign(steps[-1])).all() and (np.diff(np.abs(steps)) > 0).all():
        return float(np.sign(steps[-1]) * np.inf)
    return np.nan


def _limit_findings(s: Subject, name: str, rows: Rows, i: int, got: float, limit: float, seen: set[str]) -> Iterator[Finding]:
    """What is wrong at one end."""
    if np.isnan(limit):
        return
    x, y = rows.x[i : i + 1], rows.y[i : i + 1]
    where = at(s, rows, i)
    right = text(limit)
    near = got == limit or abs(got - limit) <= 1e-6 * max(1.0, abs(limit))
    if np.isnan(got):
        what, message = (
            f"nan {name}",
            f"{where} the value is NaN, though it tends to {right} there: one such row makes the batch's loss NaN.",
        )
    elif np.isfinite(got) and np.isinf(limit):
        what, message = f"finite {name}", f"{where} the value is {text(got)}, though it tends to {right} there: {_hidden(s, x, y)}"
    elif not near:
        what, message = f"other {name}", f"{where} the value is {text(got)}, though it tends to {right} there."
    else:
        gradient = attempt(s.gradient, Rows(x, y)) if s.differentiable else None
        if gradient is None or not np.isnan(gradient).any() or not np.isfinite(limit):
            return
        if f"gradient {name}" not in seen:
            seen.add(f"gradient {name}")
            message = (
                f"{where} the gradient is {text(gradient[0])}, though the value, {right}, is right: one such row makes every weight NaN."
            )
            severity = "warning" if name == "masked" else "note"
            yield s.finding(severity, message, x=x, y=y, show="gradient", got=gradient[0])
        return
    if what not in seen:
        seen.add(what)
        yield s.finding("warning" if name == "masked" and np.isnan(got) else "note", message, x=x, y=y, got=got, expected=limit)


def _hidden(s: Subject, x: Any, y: Any) -> str:
    gradient = attempt(s.gradient, Rows(x, y)) if s.differentiable else None
    if gradient is not None and not gradient.any():
        return "its gradient is 0 there, so that a certain and wrong prediction is never mended."
    return "a certain and wrong prediction looks like a bad one among others."
