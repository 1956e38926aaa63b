"""The form of a loss as a function of its predictions: its curvature, and what leaves it as it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.subject import CLASSES, Subject
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._search import MATERIAL, Numbers, graded, rows_code, said
from matchloss.audit.finding import Finding


def convex(subject: Subject) -> Iterator[Finding]:
    """L((a + b) / 2, y) <= (L(a, y) + L(b, y)) / 2 for all predictions a, b, in the space that the function takes; d2L/dx2 >= 0.

    Then every way down leads to the best fit. A negative second derivative turns Newton's and the boosters' steps around, uphill.
    """
    low, high, y = _chords(subject)
    middle = (low + high) / 2
    n = len(y)
    f = subject.value(np.concatenate([low, middle, high]), np.concatenate([y, y, y])).reshape(3, n)
    own = _negative(subject, middle, y) if subject.callee.hessian is not None else None
    at = "raw" if subject.convention.input == "raw" else "a prediction of"
    if own is not None:
        severity, start = graded(subject.promises.convex, "warning")
        i, h = own
        yield subject.finding(
            severity, f"{start}at {at} {said(middle[i])} and target {said(y[i])} its second derivative is {h:.3g}: steps that "
            "divide by it, Newton's or a booster's, go uphill there.", x=middle[i : i + 1], y=y[i : i + 1], show="hessian", got=h,
        )  # fmt: skip
        return
    gap = f[1] - (f[0] + f[2]) / 2
    size = np.abs(f).sum(axis=0)
    scale = np.nanmedian(size[np.isfinite(size)]) if np.isfinite(size).any() else 0.0
    reach = np.abs(np.stack([low, high])).reshape(2, n, -1).max(axis=(0, 2)) * (1 + np.abs(y))
    above = np.isfinite(gap) & (gap > MATERIAL * size + 1e-9 * scale + 16 * np.finfo(float).eps * reach)
    if not above.any():
        return
    i = int(np.flatnonzero(above)[0])
    severity, start = graded(subject.promises.convex, "note")
    here, mean = float(f[1, i]), float(f[0, i] + f[2, i]) / 2
    shown = ["print(v[1], (v[0] + v[2]) / 2)", f"# {here!r} {mean!r}: in the middle, and the mean of the ends"]
    yield subject.finding(
        severity, f"{start}not convex: for target {said(y[i])} the loss at {at} {said(middle[i])} is {here:.4g}, above its mean {mean:.4g} "
        f"at {said(low[i])} and {said(high[i])}. Where training ends may depend on where it starts.",
        x=np.stack([low[i], middle[i], high[i]]), y=np.repeat(y[i], 3), code=rows_code(subject, shown), got=here, mean_of_ends=mean,
    )  # fmt: skip


def _chords(subject: Subject) -> tuple[Numbers, Numbers, NDArray[Any]]:
    """Ends of lines in own space, and targets: short and near first."""
    targets = subject.targets()
    if subject.classes:
        u = np.concatenate([np.zeros((1, CLASSES)), np.round(subject.rng.normal(size=(31, CLASSES)) * 16) / 8])
        v = np.concatenate([np.eye(CLASSES), np.round(subject.rng.normal(size=(29, CLASSES)) * 16) / 8])
        steps = np.concatenate([v, v[::-1] * 4])
        low, high = subject.at(np.concatenate([u, u]) - steps), subject.at(np.concatenate([u, u]) + steps)
    elif subject.convention.input == "raw":
        centre = np.array(sorted(np.arange(-48, 49) / 2, key=abs))
        pairs = [(c, h) for h in (0.5, 2.0, 8.0, 32.0) for c in centre if h < 8 or c == round(c)]
        c, h = np.array(pairs).T
        low, high = c - h, c + h
    elif subject.kind == "binary":
        p = np.array(sorted(np.arange(2, 63) / 64, key=lambda a: abs(a - 0.5)))
        h = np.concatenate([np.full(len(p), 1 / 64), np.minimum(p, 1 - p) / 2])
        low, high = np.concatenate([p, p]) - h, np.concatenate([p, p]) + h
    else:
        mean = np.array(sorted(2.0 ** (np.arange(-24, 25) / 2), key=lambda a: abs(np.log(a))))
        if subject.kind == "regression":
            mean = np.concatenate([[0.0], mean, -mean])
        h = np.maximum(np.abs(mean), 1.0 if subject.kind == "regression" else 0.0) / 4
        low, high = mean - h, mean + h
    n = len(low)
    return np.concatenate([low] * len(targets)), np.concatenate([high] * len(targets)), np.repeat(targets, n)


def _negative(subject: Subject, x: Numbers, y: NDArray[Any]) -> tuple[int, float] | None:
    """The first place where the function's own second derivative is negative beyond rounding."""
    h = subject.hessian(x, y)
    if subject.classes:
        h = (h if h.ndim == 2 else np.diagonal(h, axis1=1, axis2=2)).min(axis=1)
    finite = h[np.isfinite(h)]
    if not len(finite):
        return None
    below = np.flatnonzero(h < -MATERIAL * max(float(np.median(np.abs(finite))), MATERIAL))
    return (int(below[0]), float(h[below[0]])) if len(below) else None


def invariance(subject: Subject) -> Iterator[Finding]:
    """Classes: L(Px, Py) = L(x, y) for every permutation P, and L(x + c, y) = L(x, y) for logits x. Two labels: L(-x, 1 - y) = L(x, y).
    Numbers: L(x + c, y + c) = L(x, y).

    Which class is called 0, and where a scale starts, is arbitrary; a loss that depends on it treats classes, labels or places unequally.
    """
    if subject.classes:
        yield from _permuted(subject)
        if subject.convention.input == "raw":
            yield from _shifted(subject)
    elif subject.kind == "binary":
        yield from _exchanged(subject)
    elif subject.kind == "regression":
        yield from _translated(subject)
    else:
        raise Skip("of counts and positive numbers nothing is expected")


def _differ(a: Numbers, b: Numbers) -> NDArray[np.bool_]:
    """Whether they differ beyond what is material."""
    scale = max(float(np.nanmax(np.abs(np.where(np.isfinite(a), a, 0.0)))), MATERIAL)
    with np.errstate(invalid="ignore"):
        far = np.abs(a - b) > MATERIAL * (np.abs(a) + np.abs(b) + 1e-3 * scale)
    return np.atleast_1d(far.reshape(len(a), -1).any(axis=1))


def _pair(subject: Subject, severity: str, message: str, x: Any, y: Any, got: Any) -> Finding:
    return subject.finding(severity, message, x=np.stack(x), y=np.stack(y), got=[float(g) for g in got],
                           code=rows_code(subject, ["print(v)", f"# {[float(g) for g in got]!r}"]))  # fmt: skip


def _permuted(subject: Subject) -> Iterator[Finding]:
    u = np.concatenate([[[0.0, 1.0, 2.0]], np.round(subject.rng.normal(size=(11, CLASSES)) * 12) / 8])
    y = np.concatenate([np.arange(CLASSES), subject.rng.integers(0, CLASSES, 9)])
    u[:CLASSES] = u[0]
    x, orders = subject.at(u), [np.array(o) for o in list(itertools.permutations(range(CLASSES)))[1:]]
    moved_x = np.concatenate([x[:, o] for o in orders])
    moved_y = np.concatenate([np.argsort(o)[y] for o in orders])
    base, moved = subject.value(x, y), subject.value(moved_x, moved_y).reshape(len(orders), len(y))
    wrong = np.stack([_differ(base, m) for m in moved])
    if wrong.any():
        mirror = next(i for i, o in enumerate(orders) if (o == np.arange(CLASSES)[::-1]).all())
        i, j = (int(a) for a in np.argwhere(wrong)[0])
        ordinal = not wrong[mirror].any()
        message = ("the order of the classes counts, as in an ordinal loss: " if ordinal else "classes are treated unequally: ") + (
            f"with classes and label {int(y[j])} in the order {tuple(int(a) for a in orders[i])} the loss is {moved[i, j]:.4g} instead of "
            f"{base[j]:.4g}.")  # fmt: skip
        k = i * len(y) + j
        yield _pair(subject, "note" if ordinal else "warning", message, [x[j], moved_x[k]], [y[j], moved_y[k]], [base[j], moved[i, j]])
        return
    if not subject.differentiable:
        return
    g, turned = subject.gradient(x, y), subject.gradient(moved_x, moved_y).reshape(len(orders), *x.shape)
    for order, m in zip(orders, turned, strict=True):
        bad = np.flatnonzero(_differ(g[:, order], m))
        if len(bad):
            j = int(bad[0])
            yield subject.finding(
                "warning", f"the loss does not depend on the order of the classes, its gradient does: {said(m[j])} instead of "
                f"{said(g[j][order])} in the order {tuple(int(a) for a in order)}.", x=x[j][order][None], y=np.argsort(order)[y[j : j + 1]],
                show="gradient", got=m[j], expected=g[j][order],
            )  # fmt: skip
            return


def _shifted(subject: Subject) -> Iterator[Finding]:
    x = np.concatenate([[[0.0, 1.0, 2.0]], np.round(subject.rng.normal(size=(7, CLASSES)) * 12) / 8])
    y = np.arange(8) % CLASSES
    base = subject.value(x, y)
    for c in (1.0, -4.0, 32.0):
        moved = subject.value(x + c, y)
        bad = np.flatnonzero(_differ(base, moved))
        if len(bad):
            j = int(bad[0])
            yield _pair(
                subject, "note", f"{c:g} added to the outputs of all classes changes the loss from {base[j]:.4g} to {moved[j]:.4g}: each "
                "output is judged by itself, so softmax is not how its predictions are read.",
                [x[j], x[j] + c], [y[j], y[j]], [base[j], moved[j]],
            )  # fmt: skip
            return


def _exchanged(subject: Subject) -> Iterator[Finding]:
    if subject.convention.input == "log_prediction":
        raise Skip("log probabilities of one of two labels have no mirror image")
    u = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 4.0, -4.0])
    x = subject.at(u)
    mirrored = -x if subject.convention.input == "raw" else 1.0 - x
    ones, zeros = np.ones(len(u)), np.zeros(len(u))
    a, b = subject.value(x, ones), subject.value(mirrored, zeros)
    bad = np.flatnonzero(_differ(a, b))
    if not len(bad):
        return
    j = int(bad[0])
    yield _pair(
        subject, "note", f"labels are treated unequally: the loss of a 1 at {said(x[j])} is {a[j]:.4g}, of a 0 at {said(mirrored[j])} it "
        f"is {b[j]:.4g}. Which outcome is called 1 counts.", [x[j], mirrored[j]], [1.0, 0.0], [a[j], b[j]],
    )  # fmt: skip


def _translated(subject: Subject) -> Iterator[Finding]:
    y = np.repeat(subject.targets(), 4)
    x = y + np.tile([1.0, -1.0, 0.25, 3.0], len(y) // 4)
    base = subject.value(x, y)
    for c in (1.0, -8.0, 64.0):
        moved = subject.value(x + c, y + c)
        bad = np.flatnonzero(_differ(base, moved))
        if len(bad):
            j = int(bad[0])
            yield _pair(
                subject, "note", f"the same error costs {base[j]:.4g} at target {said(y[j])} and {moved[j]:.4g} at {said(y[j] + c)}: the "
                "loss depends on where the scale of the targets starts.",
                [x[j], x[j] + c], [y[j], y[j] + c], [base[j], moved[j]],
            )  # fmt: skip
            return
