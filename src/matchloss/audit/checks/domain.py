"""Targets, predictions, weights and labels that cannot be: what a function makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.frameworks import literal
from matchloss.audit.calling.subject import CLASSES, PAD, Subject
from matchloss.audit.checks._same import differ, ordinary, refused, tolerant
from matchloss.audit.finding import Finding

AT = 40  # the row, of 64, that is made impossible: what reads a few rows before or behind it reads rows that we know


def domain(subject: Subject) -> Iterator[Finding]:
    """l(x, y) for a target y that cannot be, or a prediction x outside its space, is an error or NaN, never a plausible number: labels
    outside 0..K-1, shares that are negative or do not sum to 1, a target of the wrong coding, NaN.

    Mistakes in the data, such as a label that counts from 1 or targets 0 and 1 for a loss of -1 and 1, otherwise train without a word.
    """
    s = subject
    if s.classes:
        if s.hard:
            yield from _labels(s)
        if s.soft:
            yield from _off_simplex(s)
    else:
        yield from _numbers_outside(s)
    yield from _predictions_outside(s)
    yield from _not_a_number(s)
    if s.convention.weight_argument:
        yield from _negative_weight(s)
    if s.convention.ignore_argument:
        yield from _class_ignored(s)


def _bad_row(s: Subject, x: Any, y: Any, options: Any = None, words: str = "") -> float | None:
    """The value of one impossible row among ordinary ones: None where the function raises."""
    rows, targets = ordinary(s, PAD)
    if np.ndim(y) == 1:
        targets = np.eye(CLASSES)[targets]
    targets = targets.astype(np.result_type(targets.dtype, np.asarray(y).dtype))
    rows[AT], targets[AT] = x, y
    s.journal(f"{s.quote()} with the {words} {literal(np.asarray(y))}")
    given = slice(0, PAD) if s.per_row else slice(AT, AT + 1)
    out = tolerant(lambda: s.value(rows[given], targets[given], options=options))
    return None if out is None else float(out[AT - given.start])


def _plausible(value: float | None) -> bool:
    return value is not None and np.isfinite(value)


def _labels(s: Subject) -> Iterator[Finding]:
    ignored = s.callee.options.get(s.convention.ignore_argument or "")
    x = s.at(np.arange(1.0, CLASSES + 1.0))  # no class has the loss that none has, where its output is read as 0
    tried: list[Any] = [k for k in (-1, CLASSES, CLASSES + 4, -100) if k != ignored and not (k == -100 and s.convention.ignore_argument)]
    taken = {k: v for k in tried if _plausible(v := _bad_row(s, x, k, words="label"))}
    if s.label_dtype.startswith("float") and _plausible(_bad_row(s, x, 0.5, words="label")):
        taken[0.5] = None
    if not taken:
        return
    label, many = next(iter(taken)), "s" if len(taken) > 1 else ""
    alike = (
        next((k for k in range(CLASSES) if not differ(taken[label], s.value(x[None], np.array([k]))[0])), None) if label != 0.5 else None
    )
    does = "the row counts like any other" if alike is None else f"{label} is taken for class {alike}"
    rows, labels = x[None], np.array([label])
    if beyond := [k for k in taken if k != 0.5 and _reads_elsewhere(s, x, k)]:
        does = "it reads numbers outside the row, which may end the process"
        rows, labels = np.array([x + 7.0, x, x + 7.0]), np.array([0, beyond[0], 0])
    message = (
        f"Of {CLASSES} classes, 0 to {CLASSES - 1}, it takes the label{many} {', '.join(map(str, taken))}: {does}. Mislabelled data train "
    )
    severity = "note" if alike is None and not beyond else "warning"
    yield s.finding(severity, f"{message}without a word.", x=rows, y=labels, code=refused(s.quote()))


def _reads_elsewhere(s: Subject, x: Any, label: Any) -> bool:
    """Whether the value changes with other rows."""
    if not s.per_row:
        return False
    rows, targets = ordinary(s, PAD)
    targets[AT] = label
    rows[AT] = x
    other = rows.copy()
    other[AT + 1 :] += 1.0
    other[:AT] += 1.0
    a, b = (tolerant(lambda r=r: s.value(r, targets)) for r in (rows, other))
    return a is not None and b is not None and bool(differ(a[AT], b[AT]))


def _off_simplex(s: Subject) -> Iterator[Finding]:
    x = s.at(np.zeros(CLASSES))
    cases = (
        ([0.5, 0.5, 0.5], "does not sum to 1", "the loss and its gradient grow with the sum, as a hidden weight of the row"),
        ([1.5, -0.5, 0.0], "has a negative share", "it sums to 1, but no class can be wanted less than never"),
    )
    for y, words, means in cases:
        got = _bad_row(s, x, np.array(y), words="distribution")
        if _plausible(got):
            yield s.finding(
                "note", f"It takes a target distribution that {words} and returns {got:.4g}: {means}.", x=x, y=np.array([y]), got=got,
                code=refused(s.quote()),
            )  # fmt: skip


def _numbers_outside(s: Subject) -> Iterator[Finding]:
    x = float(s.at(np.array([0.5]))[0])
    if s.kind == "binary" and s.convention.target == "signs":
        got, same = _bad_row(s, x, 0.5, words="target"), _bad_row(s, float(s.at(np.array([-1.5]))[0]), 0.5, words="target")
        if _plausible(got):
            constant = same is not None and not differ(got, same)
            means = "of a 0 every prediction has the same loss, and no gradient" if constant else "0 is neither"
            yield s.finding(
                "note", f"Targets are -1 and 1, but it takes 0 and returns {got:.4g}: {means}. With targets 0 and 1 half of the data "
                "train nothing.", x=x, y=0.5, got=got, code=refused(s.quote()),
            )  # fmt: skip
    outside: list[tuple[float, str]] = {
        "binary": [(2.0, "a target is 0 or 1"), (-1.0, "a target is 0 or 1")],
        "count": [(-1.0, "a count is not negative")],
        "positive": [(-1.0, "a target is positive")],
        "regression": [],
    }[s.kind]
    taken = {y: v for y, _ in outside if _plausible(v := _bad_row(s, x, y, words="target"))}
    if taken:
        y, got = next(iter(taken.items()))
        shown = [float(s.encode(t)) for t in taken]
        allowed = "a target is -1 or 1" if s.convention.target == "signs" else outside[0][1]
        yield s.finding(
            "note", f"It takes the target{'s' if len(taken) > 1 else ''} {' and '.join(f'{t:g}' for t in shown)} ({allowed}) and returns "
            f"{got:.4g}: wrongly coded data train without a word.", x=x, y=y, got=got, code=refused(s.quote()),
        )  # fmt: skip


def _predictions_outside(s: Subject) -> Iterator[Finding]:
    if s.convention.input == "raw" or s.kind == "regression":
        return
    y: Any = s.targets()[-1]
    if s.classes:
        y = int(y) if s.hard else np.eye(CLASSES)[int(y)]
        bad = np.array([0.5, 0.5, 0.5])
        got = _bad_row(s, bad if s.convention.input == "prediction" else np.log(bad), y, words="target")
        if _plausible(got):
            yield s.finding(
                "note", "It takes predictions that do not sum to 1 (0.5, 0.5, 0.5): raw outputs given by mistake are not noticed.",
                x=bad if s.convention.input == "prediction" else np.log(bad), y=y if s.hard else y[None], got=got,
            )  # fmt: skip
        return
    tried = (1.5, -0.5) if s.kind == "binary" else (-0.5,)
    taken = {x: v for x in tried for t in s.targets()[[-1, 0]] if _plausible(v := _bad_row(s, x, t, words="target"))}
    if taken and s.convention.input == "prediction":
        x = next(iter(taken))
        t = next(t for t in s.targets()[[-1, 0]] if _plausible(_bad_row(s, x, t, words="target")))
        what = "a probability" if s.kind == "binary" else "a mean, which is positive"
        yield s.finding(
            "note",
            f"It takes the prediction{'s' if len(taken) > 1 else ''} {' and '.join(f'{p:g}' for p in taken)} as {what}: raw outputs "
            "given by mistake are not noticed.", x=x, y=t, got=_bad_row(s, x, t, words="target"), code=refused(s.quote()),
        )  # fmt: skip


def _not_a_number(s: Subject) -> Iterator[Finding]:
    x, y = ordinary(s, 1)
    good: Any = y[0]
    if s.classes:
        good = int(y[0]) if s.hard else np.eye(CLASSES)[y[0]]
    bad_x = np.full(CLASSES, np.nan) if s.classes else np.nan
    if _plausible(got := _bad_row(s, bad_x, good, words="target")):
        yield s.finding(
            "warning", f"A prediction that is NaN has the loss {got:.4g}: a model that has broken down is not noticed.",
            x=np.array([bad_x]), y=np.array([good]), got=got, expected=np.nan,
        )  # fmt: skip
    if s.classes and not s.soft:
        return
    bad_y: Any = np.array([np.nan, 0.5, 0.5]) if s.classes else np.nan
    if not s.label_dtype.startswith("int") and _plausible(got := _bad_row(s, x[0], bad_y, words="target")):
        yield s.finding(
            "warning", f"A target that is NaN has the loss {got:.4g}: missing targets train without a word.", x=x[:1], y=np.array([bad_y]),
            got=got, expected=np.nan,
        )  # fmt: skip


def _negative_weight(s: Subject) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    w = np.ones(PAD)
    w[0] = -1.0
    reduction = "none" if s.per_row else None
    out = tolerant(lambda: s.framework.numbers(s.run(s.arrays(x, y, "float64"), s.keywords(reduction, weight=w))).ravel()[0])
    if _plausible(out):
        yield s.finding(
            "note", "It takes a negative weight: such a row is trained to be as wrong as can be.", x=x[:3], y=y[:3],
            options={s.convention.weight_argument or "": w[:3]},
        )  # fmt: skip


def _class_ignored(s: Subject) -> Iterator[Finding]:
    x, y = s.at(np.zeros((2, CLASSES))), np.array([1, 0])
    options = {s.convention.ignore_argument or "": 1}
    if tolerant(lambda: s.call(x, y, options=options)) is not None:
        yield s.finding(
            "note", "The label to ignore may be that of a class: then no row of this class is trained, and nothing says so.", x=x, y=y,
            options=options,
        )  # fmt: skip
