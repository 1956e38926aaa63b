"""Checks of numbers: finite where they can be, and right in the limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks import _rows as of
from matchloss.audit.checks._exact import known_gradient, known_value
from matchloss.audit.checks._rows import FAILS, Numbers, Rows, Told, attempt, largest, pairs, row, text
from matchloss.audit.finding import Finding

GROWN = 1e100  # a result on the way to inf that was larger than this was growing to what no float64 holds


def finite(subject: Subject) -> Iterator[Finding]:
    """For every dtype and every finite x of it, within the open domain where x is a prediction: value(x, y) and gradient(x, y) are finite
    wherever the exact ones are within the dtype's range.

    What is exact: the member of the catalogue where the function is one, else the function itself in float64; where that is not finite, the
    path from an ordinary x is bisected to see whether the value had grown towards the largest number.

    A value or a gradient of inf or NaN ends a training run: one far row turns all weights into NaN.
    """
    found: list[Told] = []
    for dtype in subject.dtypes:
        rows = of.wide(subject, dtype)
        value = attempt(subject.value, rows, dtype)
        if value is None:
            continue
        wanted, on_way = _wanted(subject.value, known_value(subject, rows), rows, value, dtype)
        bad = ~np.isfinite(value) & np.isfinite(wanted) & _answered(subject, rows, value, dtype)
        parts = [("value", value, wanted, bad, on_way)]
        gradient = attempt(subject.gradient, rows, dtype) if subject.differentiable else None
        if gradient is not None:
            goal, on_way = _wanted(subject.gradient, known_gradient(subject, rows), rows, gradient, dtype)
            broken = ~_all_finite(gradient) & _all_finite(goal) & np.isfinite(wanted) & ~bad
            parts.append(("gradient", gradient, goal, broken & _answered(subject, rows, gradient, dtype), on_way))
        usual = of.is_ordinary(subject, rows, dtype)
        for what, got, right, failed, on_way in parts:
            if failed.any():
                harm = bool((failed & usual).any())  # else so far out that no training gets there, or subnormal: some machines make it 0
                i = rows.simplest(failed & usual if harm else failed)
                so, known = "where {right} is right", {"right": right}
                if i in on_way:
                    so = f"though at {text(on_way[i])} it was no more than {text(right[i])}"
                    known = {"last_finite": right[i], "last_finite_at": on_way[i]}
                so += f". One such row makes its batch's loss {'NaN' if np.isnan(got[i]).any() else 'inf'}, and then every weight NaN."
                severity, said = "error" if harm else "note", "{at} the {what} is {got}, " + so
                found.append((row(subject, severity, said, rows, i, what, got, dtype=dtype, **known), what, dtype))
    yield from of.one_of(found)


def _all_finite(v: Numbers) -> Any:
    return np.isfinite(v if v.ndim == 1 else v.sum(axis=1))


def _answered(s: Subject, rows: Rows, got: Numbers, dtype: str) -> Any:
    """Where the function answered: a row that it refuses to compute is not one that it gets wrong."""
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
        for i in np.flatnonzero(~_all_finite(right)):
            last, on_way[int(i)] = _last_finite(function, rows, i)
            right[i] = np.nan if last is None or np.abs(last).max() > GROWN else last
    within = largest(np.abs(right)) <= of.MAX[dtype] / of.ROOM
    return np.where(within if right.ndim == 1 else within[:, None], right, np.nan), on_way


def _last_finite(function: Any, rows: Rows, i: Any) -> tuple[Any, Any]:
    """The function's last finite result on the way from an ordinary x of the same target to row i (None if none is), and that x."""
    near = largest(np.abs(rows.x - (1 if rows.x.ndim > 1 else 0.5)))
    same = (rows.y == rows.y[i]).reshape(len(rows), -1).all(axis=1)
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
        broken = ~_all_finite(found)
        k = int(np.argmax(broken)) if broken.any() else len(t) - 1
        if k:
            low, last, where = float(t[k - 1]), found[k - 1], path[k - 1]
        high = float(t[k])
    return last, where


def limits(subject: Subject) -> Iterator[Finding]:
    """value(a, y) = lim value(x, y) as x -> a, for a = inf and -inf, a class at -inf, and the ends of a prediction's domain; NaN where
    there is no such limit.

    A masked class, a logit that overflowed, a probability that was rounded to 0 or 1 do occur. A NaN spreads from them to all
    weights, and a plausible number where the loss is infinite hides that the model was certain and wrong.
    """
    seen: set[str] = set()
    for name, end, path, y in _ends(subject):
        rows = pairs(end[None] if subject.classes else np.array([end]), y)
        got = attempt(subject.value, rows)
        if got is None:
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
            what, finding = (None, None) if np.isnan(limit) else _at_end(subject, name, rows, i, got, np.full(len(rows), limit))
            if finding is not None and f"{what} {name}" not in seen:
                seen.add(f"{what} {name}")
                yield finding


def _ends(s: Subject) -> Iterator[tuple[str, Any, Numbers, Any]]:
    """A name, x at an end, x on the way there, and targets."""
    far, input = 2.0 ** np.minimum(2.0 ** np.arange(2, 11), 1023), s.convention.input
    if s.classes:
        for name, sign, y in (("masked", -1, [1, 2]), ("masked", -1, [0]), ("certain", 1, [0]), ("certain", 1, [1, 2])):
            if input == "raw" or (input == "log_prediction" and sign < 0):
                row = np.array([0.0, 0.5, 1.0]) if input == "raw" else np.log([0.5, 0.25, 0.75])
                path = np.repeat(row[None], len(far), axis=0)
                path[:, 0], row[0] = sign * far, sign * np.inf
                yield name, row, path, np.array(y)
        return
    if input == "raw" or s.kind == "regression" or (input == "prediction" and s.kind != "binary"):
        yield "inf", np.inf, far, s.targets()
    if input != "prediction" or s.kind == "regression":
        yield "inf", -np.inf, -far, s.targets()
    else:
        close = np.array([0.125, 2.0**-6, 2.0**-13, 2.0**-26, 2.0**-52])
        yield "end", 0.0, np.append(close, [2.0**-104, 2.0**-208, 2.0**-416, 2.0**-832]), s.targets()
        if s.kind == "binary":
            yield "end", 1.0, 1.0 - close, s.targets()


def _limit(v: Numbers) -> float:
    """Of a sequence at points each of which is twice as far in the exponent as the one before; NaN where it has none."""
    if np.isnan(v).any():
        return np.nan
    if np.isinf(v[-1]):
        return float(v[-1])
    steps = np.diff(v[-4:])
    if abs(steps[-1]) <= 1e-9 * max(1.0, abs(v[-1])):
        return float(v[-1])
    grows = (np.sign(steps) == np.sign(steps[-1])).all() and (np.diff(np.abs(steps)) > 0).all()
    return float(np.sign(steps[-1]) * np.inf) if grows else np.nan


def _at_end(s: Subject, name: str, rows: Rows, i: int, got: Numbers, limit: Numbers) -> tuple[str, Finding | None]:
    """What is wrong at one end, by its kind."""
    gradient = attempt(s.gradient, rows.take(slice(i, i + 1))) if s.differentiable else None
    severity, masked = "note", "warning" if name == "masked" else "note"
    if np.isnan(got[i]):
        what, severity, so = "nan", masked, ": one such row makes the batch's loss NaN."
    elif np.isfinite(got[i]) and np.isinf(limit[i]):
        what, so = "finite", ": a certain and wrong prediction looks like a bad one among others."
        if gradient is not None and not gradient.any():
            so = ": its gradient is 0 there, so that a certain and wrong prediction is never mended."
    elif got[i] != limit[i] and not abs(got[i] - limit[i]) <= 1e-6 * max(1.0, abs(limit[i])):
        what, so = "other", "."
    elif gradient is None or not np.isnan(gradient).any() or not np.isfinite(limit[i]):
        return "", None
    else:
        so = f", though the value, {text(limit[i])}, is right: one such row makes every weight NaN."
        return "gradient", row(s, masked, "{at} the {what} is {got}" + so, rows, i, "gradient", {i: gradient[0]})
    return what, row(s, severity, "{at} the value is {got}, though it tends to {right} there" + so, rows, i, "value", got, limit)
