"""What the checks of structure share: weights, reductions, shapes, layouts change which rows count, never their digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from matchloss.audit.calling.recognise import tried
from matchloss.audit.calling.subject import PAD, Subject
from matchloss.audit.checks._rows import EPS

# Two results are the same number if they differ by no more than this, relative to the largest of them. A defect of structure is a factor,
# a missing row, another row; sums in another order, other loops for other sizes and even a computation in float32 stay below it.
ROUGH = 2.0**-20


def differ(a: Any, b: Any, dtype: str = "float64") -> Any:
    """Where a and b are not the same, row by row. NaN is the same as NaN, inf as inf."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    largest = max((np.abs(v[np.isfinite(v)]).max(initial=0.0) for v in (a, b)), default=0.0)
    both = np.isfinite(a) & np.isfinite(b)
    with np.errstate(invalid="ignore"):
        far = np.abs(a - b) > max(ROUGH, 32 * EPS[dtype]) * largest
    return np.where(both, far, (a != b) & ~(np.isnan(a) & np.isnan(b)))


def first(bad: Any) -> slice | None:
    """The first row of which anything is bad, as a slice; None if there is none."""
    rows = np.asarray(bad).reshape(len(bad), -1).any(axis=1)
    return slice(i := int(np.argmax(rows)), i + 1) if rows.any() else None


def roles(s: Subject) -> dict[str, str | None]:
    """What the function can make of its rows, "none", "mean" or "sum", to the value of its keyword (None: it has no keyword)."""
    c = s.convention
    if c.reduction_argument is None:
        return {c.reduction: None}
    x, y = ordinary(s, PAD)
    names: dict[str, str | None] = {"none": "none", "mean": "mean", "sum": "sum"}
    default = s.callee.options.get(c.reduction_argument)
    if isinstance(default, str) and default not in names and c.reduction != "none":
        names[c.reduction] = default  # it calls its mean something else
    sizes = {role: tried(lambda name=name: np.size(s.framework.numbers(s.call(x, y, reduction=name)))) for role, name in names.items()}
    return {role: name for role, name in names.items() if sizes[role] is not None and (sizes[role] == 1) == (role != "none")}


def of(role: str, v: Any) -> Any:
    """What the rows' values come to."""
    return np.float64(v.mean() if role == "mean" else v.sum())


def named(s: Subject, name: str | None) -> dict[str, Any]:
    """The reduction as an option of a call, for a snippet."""
    return {} if name is None or s.convention.reduction_argument is None else {s.convention.reduction_argument: name}


def ordinary(s: Subject, n: int) -> tuple[Any, Any]:
    """Ordinary rows of which none has a label that the function ignores."""
    x, y = s.ordinary(n)
    ignored = s.callee.options.get(s.convention.ignore_argument or "")
    return x, np.where(y == ignored, 0, y) if isinstance(ignored, int) and s.classes else y


def raising(call: str) -> list[str]:
    """Python that shows that a call raises."""
    return ["try:", f"    print({call})", "except Exception as error:", "    print(type(error).__name__, error)"]
