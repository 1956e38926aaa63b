"""Jumps: along a line of predictions, and between neighbouring values of a parameter."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks._lines import Lines, slopes
from matchloss.audit.checks._rows import FAILS, Numbers, Rows, at, ordinary, place, row, slow, text, unit
from matchloss.audit.finding import Finding

PARTS, CUTS = 8, 13  # an interval is cut into so many parts, so often
JUMP = 1e-5  # of an ordinary loss and the value: less is rounding, or a cutoff where both pieces agree to the eye


def jumps(subject: Subject) -> Iterator[Finding]:
    """value and gradient are continuous along raw, unless the loss declares smooth=False; gradient, or value less its own at another raw,
    is continuous in every numeric parameter, at 0, 1/2, 1, 2 and its default among others.

    Intervals are bisected towards what a straight line between their ends does not explain; what is left at a width of 1e-11 is a jump.

    A jump in value is a mistake in a cutoff or a branch; at a jump in the gradient, curvature is no guide; a jump between parameters makes
    a search over them compare different losses.
    """
    yield from _along_raw(subject)
    yield from _between_parameters(subject)


def _along_raw(s: Subject) -> Iterator[Finding]:
    """Jumps of value, and of gradient, from one prediction to the next."""
    along, edges = _intervals(s)
    one = unit(s)
    try:
        low, high, jump, size = _narrowed("value", along, edges)
    except FAILS:
        return
    broken = jump > JUMP * (one + size)
    if broken.any():
        broken[broken] = _stays(along.take(broken), low[broken], high[broken])
    if broken.any():
        rows = along.rows(np.round(low, 6))
        i = rows.simplest(broken)
        two = _sides(along, low, high, i)
        value = s.value(two.x, two.y)
        message = f"{at(s, rows, i)} the value jumps from {text(value[0])} to {text(value[1])}: its pieces do not meet there."
        yield s.finding("error", message, x=two.x, y=two.y, got=value)
    told_at = low[broken]
    bent = _by_gradient(s, along, edges, one) if s.differentiable else _by_differences(s, along, low, high, size, one)
    low, high, before, after, kinks = bent
    for a in told_at:  # a kink where a jump of the value has been told
        kinks &= np.abs(low - a) > 1e-3 * max(1.0, abs(a))
    if kinks.any():
        yield _kink(s, along, low, high, kinks, before, after)


Kinks = tuple[Numbers, Numbers, Numbers, Numbers, NDArray[np.bool_]]  # two sides, the slopes there, and where they differ


def _by_gradient(s: Subject, along: Lines, edges: Numbers, one: float) -> Kinks:
    """Where the gradient jumps; beside a single point, at which it may be any number."""
    low, high, jump, size = _narrowed("slope", along, edges)
    told, before, after = np.flatnonzero(jump > 1e-6 * (one + size)), np.zeros(len(low)), np.zeros(len(low))
    if told.size:
        aside = 1e-9 * (np.maximum(1.0, np.abs(low[told])) if s.convention.input == "raw" else np.abs(low[told]))
        before[told], after[told] = along.take(told).slope(np.array([low[told] - aside, high[told] + aside]))
    return low, high, before, after, np.abs(after - before) > 1e-6 * (one + size)


def _by_differences(s: Subject, along: Lines, low: Numbers, high: Numbers, size: Numbers, one: float) -> Kinks:
    """Where the slopes of the value differ on both sides of where it bends most."""
    told, before, after = np.flatnonzero(np.isfinite(size)), np.zeros(len(low)), np.zeros(len(low))
    some, whole = along.take(told), s.convention.input == "raw" or s.kind == "regression"
    shares = s.convention.input == "prediction" and (s.kind == "binary" or s.classes)
    room = np.minimum(low[told], 1 - high[told]) if shares else np.abs(low[told])
    h = np.maximum(1.0, np.abs(low[told])) / 256 if whole else np.abs(room) / 8
    left, right = slopes(some.value, low[told], h), slopes(some.value, high[told], h)
    before[told], after[told], kinks = left.left, right.right, np.zeros(len(low), dtype=bool)
    with silence():
        error = 16 * (left.left_error + right.right_error) + 1e-3 * (one + np.abs(left.left) + np.abs(right.right))
        kinks[told] = np.abs(left.left - right.right) > error
    return low, high, before, after, kinks


def _sides(along: Lines, low: Numbers, high: Numbers, i: int) -> Rows:
    """The two rows between which line i jumps."""
    return Rows(along.take([i]).x(np.array([[low[i]], [high[i]]])).reshape(2, *along.base.shape[1:]), along.y[[i, i]])


def _stays(some: Lines, low: Numbers, high: Numbers) -> NDArray[np.bool_]:
    """Whether a jump of the value stays as its interval shrinks: on a steep slope it halves with it."""
    before, after = some.value(np.array([low, high]))
    whole = np.abs(after - before)
    for _ in range(8):
        middle = (low + high) / 2
        value = some.value(middle[None])[0]
        left = np.abs(value - before) >= np.abs(after - value)
        low, high = np.where(left, low, middle), np.where(left, middle, high)
        before, after = np.where(left, before, value), np.where(left, value, after)
    return np.abs(after - before) > whole / 2


def _intervals(s: Subject) -> tuple[Lines, Numbers]:
    """Lines, and the ends (2, n) of an interval on each."""
    per = 1 if not s.per_row else 2 if s.framework.pads else 4
    if s.convention.input == "raw" or (s.kind == "regression" and not s.classes):
        size = 2.0 ** (np.arange(-3 * per if slow(s) else -12 * per, 6 * per if slow(s) else 10 * per + 1) / per)
        grid = np.concatenate([-size[::-1], size])
        if s.classes:
            grid = grid[np.abs(grid) < 64]
    elif s.kind == "binary" or s.classes:
        grid = np.concatenate([2.0 ** (np.arange(-20 * per, -per + 1) / per), 1 - 2.0 ** (np.arange(-20 * per, -per) / per)[::-1]])
        if s.convention.input == "log_prediction":
            grid = np.log(grid)
    else:
        grid = 2.0 ** (np.arange(-20 * per, 10 * per + 1) / per)
        grid = -grid[::-1] if s.convention.input == "log_prediction" else grid
    low, high = grid[:-1], grid[1:]
    if s.classes:
        return _class_intervals(s, low, high)
    y = np.append(s.targets(), 0.375) if s.soft else s.targets()
    n, m = len(low), len(y)
    shift = np.tile(y, n) if s.kind == "regression" else 0.0
    return Lines(s, np.zeros(n * m), np.ones(n * m), np.tile(y, n)), np.array([np.repeat(low, m) + shift, np.repeat(high, m) + shift])


def _class_intervals(s: Subject, low: Numbers, high: Numbers) -> tuple[Lines, Numbers]:
    """Through an ordinary row and a tied one, along one class; within the simplex where predictions are probabilities."""
    if s.convention.input == "raw":
        base, axes = np.array([[0.0, 0, 0], [0.0, 0.7, -0.3]]), np.array([[1.0, 0, 0], [0, 1.0, 0]])
    elif s.convention.input == "prediction":
        base, axes = np.array([[0.0, 0.5, 0.5], [0.0, 0.25, 0.75]]), np.array([[1.0, -0.5, -0.5], [1.0, -0.25, -0.75]])
    else:
        base, axes = np.log([[1.0, 0.5, 0.25], [1.0, 0.25, 0.75]]), np.array([[1.0, 0, 0], [1.0, 0, 0]])
    y = s.targets()
    n, m = len(low), 2 * len(y)
    bases, directions = np.repeat(base, len(y), axis=0), np.repeat(axes, len(y), axis=0)
    return (
        Lines(s, np.tile(bases, (n, 1)), np.tile(directions, (n, 1)), np.tile(np.tile(y, 2), n)),
        np.array([np.repeat(low, m), np.repeat(high, m)]),
    )


def _narrowed(of: str, along: Lines, edges: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """For each line the ends of a narrow interval, the jump of its "value" or "slope" across it and the size there; 0 where given up."""
    low, high = edges[0].copy(), edges[1].copy()
    n, chosen, some, s = len(low), np.arange(len(low)), along, along.s
    keep, first = (2, 0) if slow(s) else (5, 0) if not s.per_row else (5, 1) if s.framework.pads else (48, 1)
    for k in range(CUTS):
        a, w = low[chosen], (high - low)[chosen]
        which, telling = _section(getattr(some, of), a, w)
        low[chosen], high[chosen] = a + w * which / PARTS, a + w * (which + 1) / PARTS
        if k == first:
            chosen = chosen[np.sort(np.argsort(-telling, kind="stable")[:keep])]
            some = along.take(chosen)
    f = getattr(some, of)(np.array([low[chosen], high[chosen]]))
    jump, big = np.zeros(n), np.full(n, np.inf)
    with silence():
        jump[chosen] = np.nan_to_num(np.abs(f[1] - f[0]), nan=0.0, posinf=0.0)
        big[chosen] = np.nan_to_num(np.abs(f).max(axis=0), nan=np.inf)
    return low, high, jump, big


def _section(function: Callable[[Numbers], Numbers], a: Numbers, w: Numbers) -> tuple[Any, Numbers]:
    """Which of the parts of [a, a + w] changes least as the slopes outside of it say, and how much more so than the others."""
    t = np.concatenate([[a - w / 4], a + w * np.arange(PARTS + 1)[:, None] / PARTS, [a + 1.25 * w]])
    f = function(t)
    with silence():
        middles = ((np.arange(PARTS) + 0.5) / PARTS + 0.125)[:, None] / 1.25  # of parts, between those of the two outer steps
        slope = middles * (f[-1] - f[-2] - f[1] + f[0]) / (w / 4) + (f[1] - f[0]) / (w / 4)
        excess = np.nan_to_num(np.abs(np.diff(f[1:-1], axis=0) - slope * w / PARTS), nan=0.0, posinf=0.0)
        size = np.nan_to_num(np.abs(f).max(axis=0), nan=np.inf, posinf=np.inf)
        telling = excess.max(axis=0) / (np.median(excess, axis=0) + 1e-13 * size + 5e-324)
    return excess.argmax(axis=0), np.where(np.isfinite(size), telling, 0.0)


def _kink(s: Subject, along: Lines, low: Numbers, high: Numbers, kinks: Any, before: Numbers, after: Numbers) -> Finding:
    """A jump of the gradient: a kink where the value's slope jumps with it, else a gradient that is none."""
    rows, smooth = along.rows(np.round(low, 6)), s.promises.smooth
    wrong = _untrue(s, along, low, high, kinks)
    i = rows.simplest(wrong if wrong.any() else kinks)
    where = f"declared: {place(s, rows, i)}" if smooth is False else at(s, rows, i)
    severity, why = "note", "a kink, where steps may go back and forth."
    if smooth:
        severity, why = "warning", "though the loss declares to be smooth."
    if wrong.any():
        severity, why = "error", "but the value's slope does not: on one side it is not the derivative."
    two, got = _sides(along, low, high, i), np.array([before[i], after[i]]) if s.differentiable and not s.classes else None
    message = f"{where} the gradient jumps from {text(before[i])} to {text(after[i])}: {why}"
    cause = "" if wrong.any() or smooth is not False else "declared"
    show = "gradient" if s.differentiable else "value"
    finding = s.finding(severity, message, x=two.x, y=two.y, show=show, got=got, cause=cause)
    return replace(finding, check="gradient" if wrong.any() else "")


def _untrue(s: Subject, along: Lines, low: Numbers, high: Numbers, kinks: Any) -> NDArray[np.bool_]:
    """Where beside a jump of the gradient the value has another slope than the gradient says, on either side."""
    wrong = np.zeros(len(low), dtype=bool)
    told = np.flatnonzero(kinks)
    if not s.differentiable or not told.size:
        return wrong
    some = along.take(told)
    away = 1e-3 * np.maximum(1.0, np.abs(low[told])) if s.convention.input == "raw" or s.kind == "regression" else 1e-3 * np.abs(low[told])
    for t in (low[told] - away, high[told] + away):
        seen, found = slopes(some.value, t, away / 4, 1.0), some.slope(t)
        with silence():
            sure = np.isfinite(seen.center_error) & (seen.center_error < 1e-3 * (np.abs(seen.center) + np.abs(found) + 1e-9))
            wrong[told] |= sure & (np.abs(found - seen.center) > 1e-2 * (np.abs(found) + np.abs(seen.center)) + 1e-6)
    return wrong


SPECIAL = (0.0, 0.5, 1.0, 1.5, 2.0)
BESIDE = (1e-3, 1e-5, 1e-7)


def _between_parameters(s: Subject) -> Iterator[Finding]:
    """Jumps as a number among the options passes a special value."""
    c = s.convention
    roles = {c.weight_argument, c.class_weight_argument, c.ignore_argument, c.reduction_argument}
    for name, default in s.callee.options.items():
        if isinstance(default, float) and np.isfinite(default) and name not in roles:
            found = (_parameter_jump(s, name, p) for p in dict.fromkeys((float(default), *SPECIAL)))
            yield from itertools.islice((f for f in found if f is not None), 1)


def _parameter_jump(s: Subject, name: str, p: float) -> Finding | None:
    rows = ordinary(s, 64 if s.framework.pads else 24)
    here = _response(s, rows, {name: p})
    for side in (1, -1) if p else (1,):  # 0 is mostly an end
        beside = [b for d in BESIDE if (b := _response(s, rows, {name: p + side * d})) is not None]
        if here is None or len(beside) < len(BESIDE):
            continue
        far = [np.abs(b[0] - here[0]) for b in beside]
        noise = max(float(b[1].max()) for b in (here, *beside)) * 1e-13
        with silence():
            jump = (far[2] > np.maximum(1e-5 * (1 + np.abs(here[0])), 0.5 * far[0]) + noise) & (far[2] > 0.5 * far[1])
        if jump.any():
            message = (
                f"{{at}} the {here[2]} is {{got}} at {name} = {p:g} and {{right}} at {name} = {p + side * BESIDE[2]!r}: another loss at "
                "that one value."
            )
            i = rows.simplest(jump.reshape(len(rows), -1).any(axis=1))
            return row(s, "warning", message, rows, i, "value", here[0], beside[2][0], options={name: p})
    return None


def _response(s: Subject, rows: Rows, options: dict[str, Any]) -> tuple[Numbers, Numbers, str] | None:
    """The gradient, or the value less that of another prediction with the same target; and the size of the values. None: refused."""
    try:
        value = s.value(rows.x, rows.y, options=options)
        if not np.isfinite(value).all():
            return None
        if s.differentiable:
            found = s.gradient(rows.x, rows.y, options=options)
            return (found, np.abs(value), "gradient") if np.isfinite(found).all() else None
        base = s.value(np.repeat(rows.x[:1], len(rows), axis=0), rows.y, options=options)
    except FAILS:
        return None
    return value - base, np.abs(value) + np.abs(base), "value (less that of another prediction)"
