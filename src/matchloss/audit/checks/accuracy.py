"""Accuracy: float64 against the catalogue, lower dtypes against float64, and the mean of many rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.member import member_of
from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks import _rows as of
from matchloss.audit.checks._exact import K, known_gradient, known_value, lower, member_parts
from matchloss.audit.checks._rows import EPS, FAILS, MAX, ROOM, TINY, Numbers, Rows, Told, attempt, is_ordinary, largest, row, text
from matchloss.audit.finding import Finding

WRONG = 2.0**-30  # of the terms in float64: more is what float32 makes of it, less is a tail or a cutoff
TAIL = 0.01  # relative error that is told
FAR = 30.0  # from where on an exponential overflows, or vanishes, in some dtype
LOST = "so that relative accuracy is lost in this tail."


def accuracy(subject: Subject) -> Iterator[Finding]:
    """|value in dtype - exact value at the same x| <= 16 eps (1 + |x| + |y| + |x y| + |value|) + the change of the value as x moves by
    2 eps |x|; likewise the mean over rows against the mean of the rows' values, within 4 eps.

    What is exact: the catalogue's member where the function is one, else the function itself in float64. Within these bounds a relative
    error of more than 1 % is told as a note, and so is a value below 0 of a loss that has none.

    A wrong value misleads early stopping and the choice between models; a gradient of exactly 0 in the tail stops the learning of rows that
    are nearly right.
    """
    one = of.unit(subject)
    told = [*_against_member(subject, one), *_against_float64(subject, one)]
    yield from of.one_of([f for f in told if f[0].severity == "error"])
    yield from (finding for finding, _, _ in told if finding.severity == "note")
    yield from _cut_off(subject)
    yield from _negative(subject)
    yield from list(_means(subject)) or _overflow(subject)


def _moderate(s: Subject, dtype: str) -> Rows:
    rows = of.wide(s, dtype)
    size = largest(np.abs(rows.x))
    return rows.take((size <= min(1e4, MAX[dtype] / 1e3)) & ((size == 0) | (size >= TINY[dtype])))


def _against_member(s: Subject, one: float) -> Iterator[Told]:
    """float64 against the exact values of the catalogue."""
    if s.narrow:
        return
    rows = _moderate(s, "float64")
    exact = known_value(s, rows, normalised=False)
    if exact is None or s.member is None:
        return
    found = [("value", attempt(s.value, rows), exact)]
    if s.differentiable and (right := known_gradient(s, rows)) is not None:
        found.append(("gradient", attempt(s.gradient, rows), right))
    raw = s.convention.input == "raw"
    for what, got, goal in found:
        if got is None or got.shape != goal.shape:
            continue
        terms = of.sizes(s, rows, largest(goal), one)
        with silence():
            error = largest(np.abs(got - goal))
        allowed = K * EPS["float64"] * terms + of.spread(member_parts(s, what), rows, goal, 2.0**-52)
        known = np.isfinite(error) & np.isfinite(allowed)
        wrong = known & (error > WRONG * terms + allowed) & is_ordinary(s, rows, "float64")
        tail = known & _relative(rows, got, goal, "float64") & raw & (what == "gradient" or s.member.exact)
        loose = known & (error > allowed) & raw
        severity, bad, why = "error", wrong, f"as for {s.member}; the error is far beyond the rounding of float64."
        if not wrong.any():
            severity, bad, why = ("note", tail, LOST) if tail.any() else ("note", loose, "which is more than float64's rounding.")
        if bad.any():
            yield _inexact(s, severity, rows, bad, "float64", what, got, goal, why), what, "float64"


def _cut_off(s: Subject) -> Iterator[Finding]:
    """A function that is a smooth, proper loss of the catalogue for outputs about 1, and another beyond: a clamp, or a wrong branch."""
    c = s.convention
    if s.member is not None or c.input != "raw" or s.kind == "regression" or c.others or s.narrow:
        return
    y = np.repeat(s.targets(), 60 // len(s.targets()))
    x = 2.0 * s.rng.random((len(y), 3)) - 1.0 if s.classes else 4.0 * s.rng.random(len(y)) - 2.0
    if attempt(s.value, Rows(x, y)) is None:
        return
    inner = member_of(s.kind, "raw", lambda x, y: of.few(s.value, Rows(x, y)), x, y)
    if inner is None or not (inner.loss.smooth and inner.loss.proper):
        return
    line = np.array([3.0, 5.0, 10.0, 20.0, 30.0, 50.0, 100.0, -3.0, -5.0, -10.0, -20.0, -30.0, -50.0, -100.0])
    rows = of.pairs(line[:, None] * np.array([1.0, 0, 0]) if s.classes else line, s.targets())
    same = Rows(np.zeros_like(rows.x), rows.y)
    got, at_0 = attempt(s.value, rows), attempt(s.value, same)
    if got is None or at_0 is None:
        return
    right = inner.value(rows.x, rows.y) - inner.value(same.x, same.y) + at_0
    with silence():
        wrong = np.isfinite(got) & np.isfinite(right) & (np.abs(got - right) > TAIL * (1 + np.abs(right)))
    if wrong.any():
        why = f"if it is {inner} as it is for outputs up to 2: a clamp, or a wrong branch, changes what far rows teach."
        yield _inexact(s, "error", rows, wrong, "float64", "value", got, right, why, cause="cut-off")


def _relative(rows: Rows, got: Numbers, goal: Numbers, dtype: str) -> Any:
    """Where more than 1 % of a result is lost that the dtype could tell."""
    if goal.ndim > 1:  # the entry of the label, or of the largest
        k = np.abs(goal).argmax(axis=1)
        got, goal = got[np.arange(len(got)), k], goal[np.arange(len(goal)), k]
    with silence():
        size = np.abs(rows.x).reshape(len(rows), -1)
        plain = ((size == 0) | (size >= 1e-12)).all(axis=1)
        return plain & (np.abs(got - goal) > TAIL * np.abs(goal)) & (np.abs(goal) > TINY[dtype] / EPS[dtype])


def _inexact(
    s: Subject, severity: str, rows: Rows, bad: Any, dtype: str, what: str, got: Numbers, goal: Numbers, why: str, cause: str = ""
) -> Finding:  # fmt: skip
    i = rows.simplest(bad)
    same = np.ndim(got[i]) == 0 and text(got[i]) == text(goal[i])
    digits = f"{float(got[i])!r} where {float(goal[i])!r}" if same else "{got} where {right}"
    return row(s, severity, f"{{at}} the {{what}} is {digits} is right, {why}", rows, i, what, got, goal, dtype, cause=cause)


def _against_float64(s: Subject, one: float) -> Iterator[Told]:
    """Lower dtypes against float64 at the same stored x."""
    for a in lower(s, "value", lambda dtype: _moderate(s, dtype), lambda rows, right: of.sizes(s, rows, right, one)):
        tail = a.known & _relative(a.rows, a.got, a.right, a.dtype) & (a.moved < TAIL / 4 * np.abs(a.right)) & (a.dtype == "float32")
        severity, bad, why = ("error", a.wrong, f"beyond what {a.dtype} can be blamed for.") if a.wrong.any() else ("note", tail, LOST)
        if bad.any():
            cause = "overflow" if largest(np.abs(a.rows.x))[bad].min() >= FAR else ""
            yield _inexact(s, severity, a.rows, bad, a.dtype, "value", a.got, a.right, why, cause), "value", a.dtype


def _lowest(s: Subject) -> list[str]:
    """The dtypes below float64, the coarsest first."""
    return sorted(set(s.dtypes) - {"float64"}, key=lambda d: -EPS[d])


def _negative(s: Subject) -> Iterator[Finding]:
    """Values below 0 in a lower dtype of a loss that has none in float64."""
    for dtype in _lowest(s):
        rows = _near_right(s, dtype)
        got, right = attempt(s.value, rows, dtype), attempt(s.value, rows)
        if got is not None and right is not None and (right >= -1e-12).all() and (got < 0).any():
            said = "{at} the value is {got}, though the loss is never below 0 (here {right}): rounding in "
            said += f"{dtype}, and nothing to compare small losses by."
            yield row(s, "note", said, rows, int(np.argmin(got)), "value", got, right, dtype)
            return


def _near_right(s: Subject, dtype: str) -> Rows:
    """Rows whose prediction is near the target."""
    n = 16 if of.slow(s) else 64 if s.framework.pads or not s.per_row else 512
    if s.classes:
        x = s.round(s.at(3.0 * s.rng.normal(size=(n, 3))), dtype)
        return Rows(x, x.argmax(axis=1))
    y, noise = np.resize(s.targets(), n), s.rng.normal(size=n)
    if s.kind == "binary":
        raw = np.where(y > 0.5, 4, -4) * np.abs(noise)
    else:
        raw = y + 0.01 * noise if s.kind == "regression" else np.log(np.where(y > 0, y, 0.01)) + 0.01 * noise
    return Rows(s.round(s.at(raw), dtype), y)


def _overflow(s: Subject) -> Iterator[Finding]:
    """The mean of rows whose sum no float16 holds, though their mean is an ordinary one."""
    c, n = s.convention, 4096
    if s.scalar or not (c.reduction_argument or c.reduction == "mean"):
        return
    if s.kind in ("count", "positive") or (c.input != "raw" and s.kind != "regression"):
        return
    how = "mean" if c.reduction_argument else None
    for targets, step in ((s.targets(), 8.0), (s.targets()[1:], 24.0)):  # without a 0, by which a relative error would divide
        y = np.resize(targets, n)
        if s.classes or s.kind == "binary":
            far = -30.0 * (2.0 * np.eye(3)[y.astype(int)] - 1.0) if s.classes else np.where(y > 0.5, -30.0, 30.0)
        else:
            far = y + step
        x, m = s.round(far, "float16"), len(targets)
        try:
            few, whole, right = (s.total(x[:k], y[:k], how, d) for k, d in ((m, "float16"), (n, "float16"), (n, "float64")))
        except FAILS:
            return
        if np.isfinite([few, right]).all() and abs(right) < MAX["float16"] / ROOM and not np.isfinite(whole):
            message = (
                f"In float16 the mean of {n} rows is {text(whole)} where {text(right)} is right: on the way they are summed up, and their "
                "sum is more than float16 holds."
            )
            module, times = s.framework.module, -(-n // m)
            made = f"x, y = {module}.concatenate([x] * {times}), {module}.concatenate([y] * {times})"
            code = [made, f"print({s.quote(dtype='float16', reduction='mean')})", f"# right: {right!r}"]
            yield s.finding("error", message, x=x[:m], y=y[:m], dtype="float16", got=whole, expected=right, code=code, cause="sums")
            return


def _means(s: Subject) -> Iterator[Finding]:
    """The function's own mean or sum of many rows in a lower dtype."""
    c, n = s.convention, 256 if s.framework.pads else 2048
    how = "mean" if c.reduction_argument else c.reduction
    for dtype in _lowest(s) if how != "none" and not s.scalar else ():
        x, y = s.ordinary(n)
        x = s.round(x, dtype)
        try:
            whole, right = (s.total(x, y, how if c.reduction_argument else None, d) for d in (dtype, "float64"))
        except FAILS:
            continue
        allowed = (4 if EPS[dtype] > 1e-4 else 32) * EPS[dtype]
        if np.isfinite([whole, right]).all() and abs(right) < MAX[dtype] / ROOM and abs(whole - right) > allowed * abs(right):
            message = (
                f"The {how} of {n} ordinary rows in {dtype} is {text(whole)} where {text(right)} is right, {abs(whole / right - 1):.0%} "
                "off: terms are added up in the low precision, and the batch size changes what is reported."
            )
            code = [f"print({s.quote(dtype=dtype, reduction=how)})", f"# {whole!r}; right: {right!r}"]
            yield s.finding("error", message, x=x, y=y, dtype=dtype, got=whole, expected=right, code=code, cause="sums")
            return
