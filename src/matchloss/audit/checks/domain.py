"""Targets, predictions, weights and labels that cannot be: what a function makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.frameworks import literal
from matchloss.audit.calling.recognise import tried
from matchloss.audit.calling.subject import CLASSES, PAD, Subject
from matchloss.audit.checks._same import differ, ordinary
from matchloss.audit.finding import Finding

AT = 40  # the row, of 64, that is made impossible: what reads a few rows before or behind it reads rows that we know
OUTSIDE = {  # targets that cannot be, and why
    "binary": ((2.0, -1.0), "a target is 0 or 1"), "count": ((-1.0,), "a count is not negative"),
    "positive": ((-1.0,), "a target is positive"), "regression": ((), ""),
}  # fmt: skip
OFF_SIMPLEX = (
    ([0.5, 0.5, 0.5], "does not sum to 1 and returns {}: the loss and its gradient grow with the sum, as a hidden weight of the row"),
    ([1.5, -0.5, 0.0], "has a negative share and returns {}: it sums to 1, but no class can be wanted less than never"),
)


def domain(subject: Subject) -> Iterator[Finding]:
    """l(x, y) for an impossible target y, or a prediction x outside its space, is an error or NaN, never a plausible number: labels
    outside 0..K-1, shares that are negative or do not sum to 1, a target of the wrong coding, NaN.

    Otherwise models train without a word on mistakes in the data, such as labels that count from 1, or targets 0 and 1 for a loss of -1 and
    1.
    """
    s = subject
    if s.classes:
        if s.hard:
            yield from _labels(s)
        x = s.at(np.zeros(CLASSES))
        for y, does in OFF_SIMPLEX if s.soft else ():
            if (got := _answer(s, x, np.array(y), "distribution")) is not None:
                message = f"It takes a target distribution that {does.format(f'{got:.4g}')}."
                yield _taken(s, "note", message, x, np.array([y]), got)
    else:
        yield from _numbers_outside(s)
    if s.convention.input != "raw" and s.kind != "regression":
        yield from _predictions_outside(s)
    yield from _not_a_number(s)
    if s.convention.weight_argument:
        yield from _negative_weight(s, s.convention.weight_argument)
    argument, x, y = s.convention.ignore_argument, s.at(np.zeros((2, CLASSES))), np.array([1, 0])
    if argument and s.classes and tried(lambda: s.call(x, y, options={argument: 1})) is not None:
        message = "The label to ignore may be that of a class: then no row of this class is trained, and nothing says so."
        yield s.finding("note", message, x=x, y=y, options={argument: 1})


def _answer(s: Subject, x: Any, y: Any, words: str = "target") -> float | None:
    """The value of one impossible row among ordinary ones, where it is plausible: None where the function raises or gives no number."""
    rows, targets = ordinary(s, PAD)
    if np.ndim(y) == 1:
        targets = np.eye(CLASSES)[targets]
    targets = targets.astype(np.result_type(targets.dtype, np.asarray(y).dtype))
    rows[AT], targets[AT] = x, y
    s.journal(f"{s.quote()} with the {words} {literal(np.asarray(y))}")
    given = slice(0, PAD) if s.per_row else slice(AT, AT + 1)
    out = tried(s.value, rows[given], targets[given])
    return float(out[AT - given.start]) if out is not None and np.isfinite(out[AT - given.start]) else None


def _taken(s: Subject, severity: str, message: str, x: Any, y: Any, got: Any = None, **more: Any) -> Finding:
    """A finding whose code prints what should have been refused."""
    return s.finding(severity, message, x=x, y=y, got=got, code=[f"print({s.quote()})", "# right: an error, or NaN"], **more)


def _labels(s: Subject) -> Iterator[Finding]:
    ignore = s.convention.ignore_argument
    ignored = s.callee.options.get(ignore or "")
    x = s.at(np.arange(1.0, CLASSES + 1.0))  # no class has the loss that none has, where its output is read as 0
    cases: list[Any] = [k for k in (-1, CLASSES, CLASSES + 4, -100) if k != ignored and not (k == -100 and ignore)]
    cases += [0.5] if s.label_dtype.startswith("float") else []
    taken = {k: v for k in cases if (v := _answer(s, x, k, "label")) is not None}
    if not taken:
        return
    label, value = next(iter(taken.items()))
    alike = next((k for k in range(CLASSES) if label != 0.5 and not differ(value, s.value(x[None], np.array([k]))[0])), None)
    severity, does = "note", "the row counts like any other"
    rows, labels = x[None], np.array([label])
    if alike is not None:
        severity, does = "warning", f"{label} is taken for class {alike}"
    if beyond := [k for k in taken if k != 0.5 and _reads_elsewhere(s, x, k)]:
        severity, does = "warning", "it reads numbers outside the row, which may end the process"
        rows, labels = np.array([x + 7.0, x, x + 7.0]), np.array([0, beyond[0], 0])
    said = f"label{'s' if len(taken) > 1 else ''} {', '.join(map(str, taken))}: {does}. Mislabelled data train without a word."
    yield _taken(s, severity, f"Of {CLASSES} classes, 0 to {CLASSES - 1}, it takes the {said}", rows, labels)


def _reads_elsewhere(s: Subject, x: Any, label: Any) -> bool:
    """Whether the value changes with other rows."""
    if not s.per_row:
        return False
    rows, targets = ordinary(s, PAD)
    rows[AT], targets[AT] = x, label
    other = rows + (np.arange(PAD) != AT)[:, None]
    a, b = tried(s.value, rows, targets), tried(s.value, other, targets)
    return a is not None and b is not None and bool(differ(a[AT], b[AT]))


def _numbers_outside(s: Subject) -> Iterator[Finding]:
    x, signs = float(s.at(np.array([0.5]))[0]), s.convention.target == "signs"
    if s.kind == "binary" and signs and (got := _answer(s, x, 0.5)) is not None:
        same = _answer(s, float(s.at(np.array([-1.5]))[0]), 0.5)
        constant = same is not None and not differ(got, same)
        means = "of a 0 every prediction has the same loss, and no gradient" if constant else "0 is neither"
        message = f"Targets are -1 and 1, but it takes 0 and returns {got:.4g}: {means}."
        yield _taken(s, "note", f"{message} With targets 0 and 1 half of the data train nothing.", x, 0.5, got)
    outside, allowed = OUTSIDE[s.kind]
    taken = {y: v for y in outside if (v := _answer(s, x, y)) is not None}
    if taken:
        y, got = next(iter(taken.items()))
        allowed = allowed.replace("0", "-1") if signs else allowed
        shown = f"target{'s' if len(taken) > 1 else ''} {' and '.join(f'{float(s.encode(t)):g}' for t in taken)} ({allowed})"
        yield _taken(s, "note", f"It takes the {shown} and returns {got:.4g}: wrongly coded data train without a word.", x, y, got)


def _predictions_outside(s: Subject) -> Iterator[Finding]:
    ending = "raw outputs given by mistake are not noticed."
    if s.classes:
        k = int(s.targets()[-1])
        x, y = np.full(CLASSES, 0.5), k if s.hard else np.eye(CLASSES)[k]
        x = x if s.convention.input == "prediction" else np.log(x)
        if (got := _answer(s, x, y)) is not None:
            message = f"It takes predictions that do not sum to 1 (0.5, 0.5, 0.5): {ending}"
            yield s.finding("note", message, x=x, y=y if s.hard else np.asarray(y)[None], got=got)
    elif s.convention.input == "prediction":
        cases = [(x, t) for x in ((1.5, -0.5) if s.kind == "binary" else (-0.5,)) for t in s.targets()[[-1, 0]]]
        taken = [(x, t, v) for x, t in cases if (v := _answer(s, x, t)) is not None]
        if taken:
            x, t, got = taken[0]
            several = list(dict.fromkeys(x for x, _, _ in taken))
            what = "a probability" if s.kind == "binary" else "a mean, which is positive"
            said = f"prediction{'s' if len(several) > 1 else ''} {' and '.join(f'{p:g}' for p in several)} as {what}"
            yield _taken(s, "note", f"It takes the {said}: {ending}", x, t, got)


def _not_a_number(s: Subject) -> Iterator[Finding]:
    x, y = ordinary(s, 1)
    good: Any = y[0] if not s.classes else int(y[0]) if s.hard else np.eye(CLASSES)[y[0]]
    bad: Any = np.full(CLASSES, np.nan) if s.classes else np.nan
    missing: Any = np.array([np.nan, 0.5, 0.5]) if s.classes else np.nan
    cases = [("prediction", bad, good, "a model that has broken down is not noticed")]
    if (not s.classes or s.soft) and not s.label_dtype.startswith("int"):
        cases.append(("target", x[0], missing, "missing targets train without a word"))
    for what, z, t, so in cases:
        if (got := _answer(s, z, t)) is not None:
            message = f"A {what} that is NaN has the loss {got:.4g}: {so}."
            yield s.finding("warning", message, x=np.array([z]), y=np.array([t]), got=got, expected=np.nan)


def _negative_weight(s: Subject, argument: str) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    w = np.where(np.arange(PAD) == 0, -1.0, 1.0)
    keywords = s.keywords("none" if s.per_row else None, weight=w)
    out = tried(lambda: s.framework.numbers(s.run(s.arrays(x, y, "float64"), keywords)).ravel()[0])
    if out is not None and np.isfinite(out):
        message = "It takes a negative weight: such a row is trained to be as wrong as can be."
        yield s.finding("note", message, x=x[:3], y=y[:3], options={argument: w[:3]})
