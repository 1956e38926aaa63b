"""Predictions to try, from the smallest to the largest that a dtype has, and which of them shows a defect most simply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.subject import FAILS, Subject, silence
from matchloss.audit.finding import SEVERITIES, Finding

Numbers = NDArray[np.float64]
Told = tuple[Finding, str, str]  # a finding of a part, such as the gradient, in a dtype
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
MAX = {"float64": 1.797e308, "float32": 3.402e38, "bfloat16": 3.389e38, "float16": 65504.0}
TINY = {"float64": 2.0**-1022, "float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-14}
ORDINARY = {"float64": 1e4, "float32": 100.0, "bfloat16": 50.0, "float16": 50.0}  # sizes of raw outputs that trainings meet
ROOM = 64.0  # a result within this factor of the dtype's largest number may overflow in a term of the formula
NEAR = (0.0, 1.0, 0.5, 2.0, 20.0, 5.0, 10.0, 0.25, 1.5, 3.0, 40.0, 15.0, 30.0, 7.0, 4.0, 0.75, 12.0, 17.0, 25.0, 35.0, 37.5, 8.0, 6.0, 50.0)
FAR = (
       100.0, 1e3, 1e4, 750.0, 75.0, 89.0, 104.0, 150.0, 350.0, 500.0, 700.0, 710.0, 1e5, 1e6, 1e8, 1e10, 1e13, 1e16, 1e19, 1e20, 1e25,
       1e30,
       8e37, 3e38, 1e50, 1e77, 1e100, 1e150, 1e155, 1e200, 1e300, 4e307, 1.7e308,
)  # fmt: skip
SMALL = (0.1, 0.01, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 1e-16, 1e-20, 1e-30, 1e-45, 1e-100, 1e-200, 1e-300, 5e-324)


@dataclass(frozen=True)
class Rows:
    """Predictions in the function's own space, with a target each."""

    x: Numbers
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, chosen: Any) -> Rows:
        """Some of them."""
        return Rows(self.x[chosen], self.y[chosen])

    def simplest(self, chosen: Any) -> int:
        """Of the chosen rows the one with the shortest numbers, then the smallest."""

        def order(i: Any) -> tuple[bool, int, float]:
            size = np.abs(self.x[i])
            return bool(0 < size.max() < TINY["float64"]), _digits(self.x[i]) + _digits(self.y[i]), float(size.sum())

        return int(min(np.flatnonzero(chosen), key=order))


def _digits(x: Any) -> int:
    return sum(len(repr(float(v)).removesuffix(".0")) + 8 * (abs(v) >= 1e16 or 0 < abs(v) < 1e-4) for v in np.ravel(x))


def slow(s: Subject) -> bool:
    """Whether a row is a call of its own that costs a millisecond."""
    return s.framework.pads and not s.per_row


def magnitudes(s: Subject) -> Numbers:
    """Sizes of predictions, the most telling first."""
    if slow(s):
        return np.array([*NEAR[:7], *FAR[:3], 1e30, *SMALL[2:4]])
    if s.framework.pads or not s.per_row:
        return np.array([*NEAR[:12], *FAR[:4], *FAR[5:7], 710.0, 1e6, 1e19, 1e30, 8e37, 1e155, 4e307, *SMALL[1:5], 1e-10, 1e-45])
    return np.array([*NEAR, *FAR, *SMALL])


def wide(s: Subject, dtype: str) -> Rows:
    """Predictions over the whole range of the dtype, within the open domain where x is a prediction, for each ordinary target."""
    size, input = magnitudes(s), s.convention.input
    if s.classes:
        return _wide_classes(s, size, dtype)
    if s.kind == "regression" or input == "raw":
        line = np.concatenate([size, -size])
    elif input == "log_prediction":
        line = -size[size > 0] if s.kind == "binary" else np.concatenate([size, -size])
    elif s.kind == "binary":
        small = np.concatenate([size[(size < 1) & (size > 0)], [2.0**-24, 2.0**-53]])
        line = np.concatenate([small, 1.0 - small])
    else:
        line = size[size > 0]
    line = s.round(line, dtype)
    keep = np.isfinite(line)
    if s.kind == "binary" and input == "prediction":
        keep &= (line > 0) & (line < 1)
    elif input != "raw" and s.kind != "regression":
        keep &= line != 0
    return pairs(_unique(line[keep]), s.targets())


def pairs(x: Numbers, y: NDArray[Any]) -> Rows:
    """Every prediction with every target."""
    return Rows(np.repeat(x, len(y), axis=0), np.tile(y, (len(x), *[1] * (y.ndim - 1))))


def _unique(x: Numbers) -> Numbers:
    """Without repetition, the order kept."""
    return x[np.sort(np.unique(x, axis=0, return_index=True)[1])]


def _wide_classes(s: Subject, size: Numbers, dtype: str) -> Rows:
    """One far entry, two, spread, shifted and tied rows; far ones by a quarter of the range, so that differences are within it."""
    size = size[size <= MAX[dtype] / 4]
    if s.convention.input != "raw":
        size = size[size <= 300]
    one, two, spread, tied = np.array([1.0, 0, 0]), np.array([1.0, 1, 0]), np.array([1.0, -1, 0]), np.array([1.0, 1, 1])
    patterns = [one, -one, two, spread, *([] if slow(s) else [tied, -tied])]
    rows = np.concatenate([m * np.array(patterns) for m in size])
    shifts = size[(size >= 10) & (size <= 1 / EPS[dtype])]
    rows = np.concatenate([rows, shifts[:, None] + np.arange(3.0), -shifts[:, None] + np.arange(3.0)])
    if s.convention.input != "raw":
        rows = s.at(rows)
    rows = s.round(rows, dtype)
    keep = np.isfinite(rows).all(axis=1)
    if s.convention.input == "prediction":
        keep &= (rows > 0).all(axis=1) & (rows < 1).all(axis=1)
    return pairs(_unique(rows[keep]), s.targets())


def ordinary(s: Subject, n: int = 64) -> Rows:
    """Ordinary rows, those of each target in turn."""
    return Rows(*s.ordinary(16 if slow(s) else n))


def unit(s: Subject) -> float:
    """The size of an ordinary row's loss: what 1 is in the formula."""
    x, y = s.fresh().ordinary(24)
    value = np.abs(s.value(x, y))
    value = value[np.isfinite(value)]
    return float(np.median(value)) if value.size and np.median(value) > 0 else 1.0


def few(function: Callable[..., Numbers], rows: Rows, *rest: Any) -> Numbers:
    """What it gives for the rows, so few at a time that a library which compiles loops for long arrays does not."""
    size = 960 // (rows.x.shape[1] if rows.x.ndim > 1 else 1)
    return np.concatenate([function(rows.x[i : i + size], rows.y[i : i + size], *rest) for i in range(0, len(rows), size)])


def is_ordinary(s: Subject, rows: Rows, dtype: str) -> NDArray[np.bool_]:
    """Which rows a training may meet: beyond them a defect is something to know, and no error."""
    size = np.abs(rows.x).reshape(len(rows), -1)
    least = EPS[dtype] if s.convention.input != "raw" and s.kind != "regression" else TINY[dtype]
    return (size.max(axis=1) <= ORDINARY[dtype]) & ((size == 0) | (size >= least)).all(axis=1)


def attempt(function: Callable[..., Numbers], rows: Rows, *rest: Any) -> Numbers | None:
    """What it gives for the rows; row by row, with NaN for those that it refuses, where it refuses all at once; None if it can do none."""
    try:
        return few(function, rows, *rest)
    except FAILS:
        found: list[Any] = []
        for i in range(len(rows)):
            try:
                found.append(function(rows.x[i : i + 1], rows.y[i : i + 1], *rest)[0])
            except FAILS:
                found.append(None)
        like = next((f for f in found if f is not None), None)
        return None if like is None else np.array([np.full_like(like, np.nan) if f is None else f for f in found])


def one_of(found: list[Told]) -> Iterator[Finding]:
    """Of findings of one cause, each of a part and a dtype, the worst that comes first, with what else is touched."""
    if found:
        finding, what, dtype = min(found, key=lambda f: SEVERITIES.index(f[0].severity))
        parts = [w for _, w, d in found if d == dtype and w != what]
        dtypes = [d for d in dict.fromkeys(d for _, _, d in found) if d != dtype]
        said = "".join(f" So is the {part}." for part in parts) + (f" Also in {', '.join(dtypes)}." if dtypes else "")
        yield replace(finding, message=finding.message + said)


def sizes(s: Subject, rows: Rows, value: Numbers, one: float) -> Numbers:
    """Of the terms that formulas of such a loss have: 1, x, y, x y in units of an ordinary loss, and the value itself."""
    x = np.abs(rows.x).max(axis=1) if s.classes else np.abs(rows.x)
    y = np.ones(len(rows)) if s.classes else np.abs(rows.y)
    if s.convention.input == "prediction" and s.kind != "regression":
        x = x + np.abs(np.log(np.maximum(x, 5e-324)))
    with silence():
        return one * (1 + x + y + x * y) + np.abs(value)


def spread(function: Callable[..., Numbers], rows: Rows, center: Numbers, eps: float) -> Numbers:
    """How far a result moves when predictions move by 2 eps of their size: what no algorithm in this precision can be blamed for."""
    size = np.abs(rows.x)
    if rows.x.ndim > 1:
        by = size.max(axis=1, keepdims=True) * np.where(np.arange(rows.x.shape[1]) % 2, -1.0, 1.0)
    else:
        by = np.maximum(size, np.abs(rows.y)) if (rows.x < 0).any() else size
    with silence():
        moved = [attempt(function, Rows(rows.x + k * eps * by + k * 1e-30 * (by == 0), rows.y)) for k in (2, -2)]
        away = [np.full(center.shape, np.inf) if m is None else np.nan_to_num(np.abs(m - center), nan=0.0, posinf=np.inf) for m in moved]
        worst = np.maximum(away[0], away[1])
    return worst.max(axis=1) if worst.ndim > 1 else worst


def text(v: Any) -> str:
    """A number, or a row, for a sentence."""
    if np.ndim(v):
        return "[" + ", ".join(text(i) for i in np.ravel(v)) + "]"
    v = float(v)
    return f"{v:.0f}" if abs(v) < 1e6 and v == round(v) else f"{v:.4g}".replace("e+", "e").replace("nan", "NaN")


def at(s: Subject, rows: Rows, i: int, dtype: str = "float64") -> str:
    """As `place`, at the start of a sentence."""
    where = place(s, rows, i, dtype)
    return where[0].upper() + where[1:]


def row(
    s: Subject, severity: str, said: str, rows: Rows, i: int, show: str = "value", got: Any = None, right: Any = None,
    dtype: str = "float64", **more: Any,
) -> Finding:  # fmt: skip
    """A finding about row i of all: `said` names the place as {at}, what is shown as {what}, and its numbers as {got} and {right}."""
    got, right = (None if v is None else v[i] for v in (got, right))
    message = said.format(at=at(s, rows, i, dtype), what=show, got=_or_none(got), right=_or_none(right))
    return s.finding(
        severity, message, x=rows.x[i : i + 1], y=rows.y[i : i + 1], dtype=dtype, show=show, got=got, expected=right, **more,
    )  # fmt: skip


def _or_none(v: Any) -> str:
    return "" if v is None else text(v)


def largest(v: Numbers) -> Numbers:
    """Of each row the largest entry."""
    return v.max(axis=1) if v.ndim > 1 else v


def place(s: Subject, rows: Rows, i: int, dtype: str = "float64") -> str:
    """Where: 'at raw = 20, target 0'."""
    name = {"raw": "raw", "prediction": "prediction", "log_prediction": "log prediction"}[s.convention.input]
    return f"at {name} {text(rows.x[i])}, target {text(s.encode(rows.y[i : i + 1])[0])}{'' if dtype == 'float64' else f' in {dtype}'}"
