"""Where the loss of one target is least: at the right prediction, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.subject import CLASSES, Subject
from matchloss.audit.checks import _search as find
from matchloss.audit.checks._search import LEVEL, MATERIAL, NEAR, Numbers, compared, crossed, graded, reading, said
from matchloss.audit.finding import Finding

ALIKE = 0.03  # predictions this far from the target, for targets about 1, are not meant when we say "near"


def minimum(subject: Subject) -> Iterator[Finding]:
    """For every target y, L(x, y) over x is least exactly where predict(x) = y, for labels in the limit; and if min L(., y) = 0 for
    most y, then for all.

    A minimum elsewhere pulls the model to wrong predictions, however much data there are; a second one, or a flat stretch, lets it stop
    at them.
    """
    targets = subject.targets()
    more = {"regression": [10.0], "count": [10.0], "positive": [8.0]}.get(subject.kind, [])
    y = np.concatenate([targets, more]).astype(targets.dtype)
    valleys = list(_row_valleys(subject, y) if subject.classes else _valleys(subject, y))
    for reports in ((_off,), (_flat,), (_second, _higher)):
        found = next((f for report in reports for f in (report(subject, v) for v in valleys) if f is not None), None)
        if found is not None:
            yield found
    yield from _not_all_zero(subject, valleys)


class Valley:
    """The loss of one target at points in order: u (by the usual link), the predictions p there, the values f."""

    def __init__(self, y: Any, u: Numbers, p: Numbers, f: Numbers, ordered: bool) -> None:
        self.y, self.u, self.p, self.f, self.ordered = y, u, p, f, ordered
        if p.ndim > 1:  # how far from the label's own probability of 1
            self.off = 1.0 - p[:, int(y)]
        else:
            self.off = np.abs(p - y) / max(1.0, abs(float(y)))
        self.best = int(f.argmin())
        self.least = float(f[self.best])
        usable = np.flatnonzero(np.isfinite(f))  # how much it rises on the way to a prediction that is half wrong
        half = usable[np.abs(self.off[usable] - 0.5).argmin()] if len(usable) else self.best
        self.rise = float(f[half] - self.least)
        right = np.flatnonzero(self.off <= NEAR)
        self.right = int(right[f[right].argmin()]) if len(right) else None
        self.low = f <= self.least + LEVEL * self.rise + 8 * np.finfo(float).eps * abs(self.least)

    @property
    def is_off(self) -> bool:
        """The least value is elsewhere, and the right prediction has more."""
        if self.right is None or not np.isfinite(self.least) or self.rise == 0:
            return False
        return bool(self.off[self.best] > NEAR and self.f[self.right] - self.least > LEVEL * 1e3 * self.rise)

    def elsewhere(self, together: bool) -> int | None:
        """A point with the least value that is not near the target: on a stretch of such with a right one, or apart from it."""
        if self.is_off or self.right is None or self.rise == 0:
            return None
        away = np.flatnonzero(self.low & (self.off > ALIKE))
        if not self.ordered:
            return int(away[self.off[away].argmin()]) if len(away) and together else None
        gaps = np.concatenate([[0], np.cumsum(~self.low)])
        joined = [i for i in away if (gaps[max(i, self.right) + 1] == gaps[min(i, self.right)]) == together]
        return int(min(joined, key=lambda i: self.off[i])) if joined else None


def _valleys(subject: Subject, y: NDArray[Any]) -> Iterator[Valley]:
    read, u = reading(subject), find.line(subject)
    f, p = crossed(subject, u, y), read.predict(subject.at(u))
    for k, target in enumerate(y):
        dips = 1 + np.flatnonzero((f[k, 1:-1] <= f[k, :-2]) & (f[k, 1:-1] <= f[k, 2:]) & np.isfinite(f[k, 1:-1]))
        chosen = np.unique([f[k].argmin(), *dips[np.argsort(f[k, dips], kind="stable")][:4]])
        one = np.ones((len(chosen), 1))
        low, high = u[np.maximum(chosen - 1, 0)], u[np.minimum(chosen + 1, len(u) - 1)]
        at, value = find.refined(subject, y[k : k + 1], one, low, high)
        truth = _where(subject, read.predict, u, p, float(target))
        points = np.concatenate([u, at, truth])
        order = np.argsort(points, kind="stable")
        both = np.concatenate([f[k], value, crossed(subject, truth, y[k : k + 1])[0] if len(truth) else truth])
        ends = read.predict(subject.at(np.concatenate([at, truth])))
        yield Valley(target, points[order], np.concatenate([p, ends])[order], both[order], True)


def _where(subject: Subject, predict: Any, u: Numbers, p: Numbers, y: float) -> Numbers:
    """The raw prediction read as y, or none."""
    above = np.flatnonzero((p[:-1] <= y) & (p[1:] >= y) & (p[:-1] < p[1:]))
    if not len(above):
        return np.empty(0)
    low, high = float(u[above[0]]), float(u[above[0] + 1])
    for _ in range(10):
        inside = np.linspace(low, high, 65)
        i = int(np.searchsorted(predict(subject.at(inside)), y).clip(1, 64))
        low, high = float(inside[i - 1]), float(inside[i])
    return np.array([high])


def _row_valleys(subject: Subject, y: NDArray[Any]) -> Iterator[Valley]:
    sizes = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0] + ([64.0] if subject.convention.input == "raw" else [])
    corners = np.concatenate([s * c for s in sizes for c in (np.eye(CLASSES), 2 * np.eye(CLASSES) - 1, -np.eye(CLASSES))])
    u = np.concatenate([np.zeros((1, CLASSES)), corners, np.round(subject.rng.normal(size=(128 - len(corners) - 1, CLASSES)) * 16) / 8])
    f, p = crossed(subject, u, y), reading(subject).predict(subject.at(u))
    for k, label in enumerate(y):
        valley = Valley(label, u, p, f[k], False)
        if valley.is_off:
            quick = subject.per_row and not subject.framework.pads
            at, value = find.least_row(lambda z, k=k: crossed(subject, z, y[k : k + 1])[0], 1, find.shift_free(subject), quick)
            valley = Valley(label, np.concatenate([u, at]), np.concatenate([p, reading(subject).predict(subject.at(at))]),
                            np.concatenate([f[k], value]), False)  # fmt: skip
        yield valley


def _shown(subject: Subject, severity: str, message: str, v: Valley, at: int) -> Finding:
    assert v.right is not None
    x = subject.at(v.u[[v.right, at]])
    return graded(subject.promises.zero_iff_right, compared(subject, severity, message, x[0], x[1], np.array([v.y]), [1.0]))


def _target(subject: Subject, y: Any) -> str:
    return f"label {int(y)}" if subject.kind in ("binary", "multiclass") else f"target {said(y)}"


def _predicted(subject: Subject, v: Valley, at: int) -> str:
    if subject.classes and v.p[at].argmax() != int(v.y):
        return f"where class {int(v.p[at].argmax())} is predicted, {said(v.p[at])}"
    return f"at a predicted {said(v.p[at])}"


def _off(subject: Subject, v: Valley) -> Finding | None:
    if not v.is_off or v.right is None:
        return None
    wrong = subject.kind in ("regression", "count", "positive") or (subject.classes and v.p[v.best].argmax() != int(v.y))
    message = (
        f"the loss of {_target(subject, v.y)} is least {_predicted(subject, v, v.best)}: {v.least:.4g}, and {v.f[v.right]:.4g} where the "
        "prediction is right. A model that fits perfectly does not predict the targets."
    )
    return _shown(subject, "error" if wrong or _pulled(subject) else "note", message, v, v.best)


def _pulled(subject: Subject) -> bool:
    """Whether outputs that are said to be of classes have a best size, as with a penalty on them: a shift of all matters, though no output
    is judged by itself. A smoothed label leaves shifts alone."""
    if not subject.classes or subject.convention.input != "raw" or "kind" not in subject.given or find.shift_free(subject):
        return False
    corners = np.array([[0.0, 0, 0], [0.75, 0, 0], [0, -0.5, 0], [0.75, -0.5, 0]])
    v = subject.value(corners, np.full(4, 2))
    return bool(abs(v[3] - v[2] - v[1] + v[0]) > MATERIAL * np.abs(v).max())


def _flat(subject: Subject, v: Valley) -> Finding | None:
    if v.elsewhere(together=True) is None:
        return None
    edge = int(max(np.flatnonzero(v.low), key=lambda i: v.off[i]))
    how = "raw " + said(v.u[edge]) + ", " if subject.convention.input == "raw" and subject.kind != "regression" else ""
    message = f"the loss of {_target(subject, v.y)} is as small at {how}a predicted {said(v.p[edge])} as at the right one"
    return _shown(subject, "note", f"{message}: such rows teach nothing.", v, edge)


def _second(subject: Subject, v: Valley) -> Finding | None:
    if (at := v.elsewhere(together=False)) is None:
        return None
    message = f"the loss of {_target(subject, v.y)} has a second minimum, {_predicted(subject, v, at)}, as low as the right one"
    return _shown(subject, "warning", f"{message}: training may end there.", v, at)


def _higher(subject: Subject, v: Valley) -> Finding | None:
    if not v.ordered or v.right is None or v.rise == 0 or v.is_off:
        return None
    f, enough = v.f, LEVEL * 1e3 * v.rise
    dips = 1 + np.flatnonzero((f[1:-1] < f[:-2]) & (f[1:-1] < f[2:]) & np.isfinite(f[1:-1]) & (f[1:-1] > v.least + enough))
    wide = [i for i in dips if v.off[i] > ALIKE and f[max(0, i - 6) : i].max() > f[i] + enough < f[i + 1 : i + 7].max()]
    if not wide:
        return None
    at = int(min(wide, key=lambda i: v.off[i]))
    message = f"the loss of {_target(subject, v.y)} has further, higher minima, such as {_predicted(subject, v, at)}"
    x, y = subject.at(v.u[[v.right, at]]), np.array([v.y, v.y])
    return subject.finding("note", f"{message}: a model that starts there stays there.", x=x, y=y, got=f[[v.right, at]])


def _not_all_zero(subject: Subject, valleys: list[Valley]) -> Iterator[Finding]:
    usable = [v for v in valleys if v.right is not None and np.isfinite(v.least) and v.rise > 0 and not v.is_off]
    other = [v for v in usable if abs(v.least) > 10 * MATERIAL * v.rise]  # more than is left of a limit
    if other and len(usable) - len(other) > max(1, len(usable) // 2):
        v = min(other, key=lambda v: v.least)
        above = v.least < 0 and (subject.classes or subject.kind == "binary")
        why = " A label's loss below 0 is a probability above 1: the normaliser leaves something out." if above else ""
        message = (
            f"where the prediction is right the loss is 0 for most targets, but {v.least:.4g} for {_target(subject, v.y)}: as a divergence "
            f"it has a term too many or too few.{why}"
        )
        x, y = subject.at(v.u[[v.best]]), np.array([v.y])
        yield subject.finding("error" if above else "warning", message, x=x, y=y, got=v.least, expected=0.0)
