"""Weights of rows and of classes, and a label to ignore."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from matchloss.audit.calling.recognise import tried
from matchloss.audit.calling.subject import CLASSES, PAD, Raised, Subject
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._same import differ, first, named, ordinary, raising, roles
from matchloss.audit.finding import Finding

Roles = dict[str, str | None]
FEW = slice(0, 4)  # rows that a finding about all of them shows


def weights(subject: Subject) -> Iterator[Finding]:
    """A weight w counts a row w times: sum w_i l_i, and sum w_i l_i / sum w_i as the mean; w = 0 is a row that is not there, as is a label
    to be ignored. A weight a class is the weight of each of its rows, whether they are given as labels or as distributions.

    Where this fails, equal data given in two ways train two different models, and a batch of padding ends a training in NaN.
    """
    c = subject.convention
    if subject.scalar or not (c.weight_argument or c.class_weight_argument or c.ignore_argument):
        raise Skip("it takes no weights, and no label to ignore")
    made = roles(subject)
    if c.weight_argument:
        yield from _rows(subject, made, c.weight_argument)
        yield from _absent(subject, made, c.weight_argument)
    if c.class_weight_argument and subject.hard:
        yield from _classes(subject, made, c.class_weight_argument)
    if c.ignore_argument:
        yield from _ignored(subject, made, c.ignore_argument)


# --- a weight a row ---------------------------------------------------------------------------------------------------------------


def _rows(s: Subject, made: Roles, argument: str) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    w = np.resize([1.0, 2.0, 0.0, 3.0], PAD)
    v = s.value(x, y)
    if "none" in made and (row := first(differ(got := s.value(x, y, weight=w), w * v))):
        message = f"A row of weight {w[row][0]:g} has the loss {got[row][0]:.4g}, not {w[row][0]:g} times its loss {v[row][0]:.4g}."
        yield s.finding("error", message, x=x[row], y=y[row], options={argument: w[row]}, got=got[row], expected=w[row] * v[row])
    for role, name in made.items():
        if role != "none":
            yield from _weighted(s, role, name, x, y, w, v, argument)
    yield from _weighted_gradient(s, x, y, w, argument)


def _weighted(s: Subject, role: str, name: str | None, x: Any, y: Any, w: Any, v: Any, argument: str) -> Iterator[Finding]:
    """The weighted mean or sum."""

    def both(rows: slice) -> tuple[Any, Any]:
        right = w[rows] @ v[rows] / (w[rows].sum() if role == "mean" else 1.0)
        return np.float64(s.total(x[rows], y[rows], name, weight=w[rows])), right

    got, right = both(slice(None))
    if not differ(got, right):
        return
    severity, what = "error", "is not that of rows repeated as often as their weight says"
    so = "another objective is trained than the one asked for."
    if role == "mean" and not differ(got, w @ v / PAD):
        severity, what = "note", "is divided by the number of rows, not by the sum of weights"
        so = "a weight of 2 is not the row twice, and weights of another mean scale loss and gradient, as another learning rate would."
    elif not differ(got, v.mean() if role == "mean" else v.sum()):
        what = "is that without weights"
    few, of_few = both(FEW)
    options = {argument: w[FEW]} | named(s, name)
    yield s.finding(severity, f"The weighted {role} {what}: {so}", x=x[FEW], y=y[FEW], options=options, got=few, expected=of_few)


def _weighted_gradient(s: Subject, x: Any, y: Any, w: Any, argument: str) -> Iterator[Finding]:
    if not s.differentiable or not s.per_row:
        return
    try:
        got = s.gradient(x, y, weight=w)
    except Raised:  # an object's gradient need not take them
        return
    right = (w[:, None] if s.classes else w) * s.gradient(x, y)
    if row := first(differ(got, right)):
        message = f"The gradient of a row of weight {w[row][0]:g} is not that many times the gradient of the row."
        shown = {"options": {argument: w[row]}, "got": got[row], "expected": right[row]}
        yield s.finding("error", message, x=x[row], y=y[row], show="gradient", **shown)


def _absent(s: Subject, made: Roles, argument: str) -> Iterator[Finding]:
    """A row of weight 0 that could not be judged: not a number, or an impossible target."""
    x, y = ordinary(s, PAD)
    out = np.arange(PAD) == 1
    w, name = np.where(out, 0.0, 1.0), next(iter(made.values()))
    cases = [("prediction", np.where(out[:, None] if s.classes else out, np.nan, x), y)]
    cases += [] if s.classes else [("target", x, np.where(out, np.nan, y))]
    for what, z, t in cases:
        found = tried(lambda z=z, t=t: s.value(z, t, weight=w).sum() if s.per_row else s.total(z, t, name, weight=w))
        if found is None or not np.isfinite(found):
            does = "makes the function raise" if found is None else "makes the result NaN"
            call = s.quote({argument: w[:3]}, reduction=name)
            message = f"A row of weight 0 whose {what} is NaN {does}: a weight of 0 is no mask for missing {what}s."
            yield s.finding("note", message, x=z[:3], y=t[:3], code=raising(call) if found is None else [f"print({call})"], weights=w[:3])
            return


# --- a weight a class ------------------------------------------------------------------------------------------------------------


def _classes(s: Subject, made: Roles, argument: str) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    w = np.arange(1.0, CLASSES + 1.0)
    given = {argument: s.framework.array(w, "float64")}
    if "none" in made or s.convention.reduction == "none":
        right, got = w[y] * s.value(x, y), s.value(x, y, options=given)
        if row := first(differ(got, right)):
            message = f"A row whose class has the weight {w[y[row]][0]:g} does not have that many times its loss."
            yield s.finding("warning", message, x=x[row], y=y[row], options={argument: w}, got=got[row], expected=right[row])
    if not s.soft:
        return
    few, hot = np.array([0, 2]), np.eye(CLASSES)[y]
    for role, name in made.items():
        both = [s.value(x, t, options=given) if role == "none" else s.total(x, t, name, options=given) for t in (y, hot)]
        if differ(both[0], both[1]).any():
            one, other = (s.total(x[few], t[few], name, options=given) for t in (y, hot))
            quoted = s.quote({argument: w}, reduction=name)
            message = (
                f"With class weights the {role if role != 'none' else 'value'} of labels is {one:.4g}, of the same targets as one-hot "
                f"distributions {other:.4g}: smoothed or mixed labels train with another step size than plain ones."
            )
            code = [f"one_hot = {s.framework.code(hot[few], 'float64')}", f"print({quoted})", "y = one_hot", f"print({quoted})"]
            yield s.finding("warning", message, x=x[few], y=y[few], code=code, weights=w, labels=one, one_hot=other)


# --- a label to ignore -----------------------------------------------------------------------------------------------------------


def _ignored(s: Subject, made: Roles, argument: str) -> Iterator[Finding]:
    s = replace(s, together=True)  # places of an example are ignored, not examples
    default = s.callee.options.get(argument)
    own = isinstance(default, int) and not isinstance(default, bool)
    label, options = (int(default), {}) if own else (-100, {argument: -100})  # type: ignore[arg-type]
    x = _four(s)
    y, name = np.array([0, label, 1, 2 if s.classes else 0]), next(iter(made.values()))
    try:
        s.call(x, y, reduction=name, options=options)
    except Raised as failed:
        message = (
            f"A row with the label to ignore, {label}, raises {type(failed.original).__name__}: padding with this label ends the training."
        )
        yield s.finding("warning", message, x=x, y=y, code=raising(s.quote({argument: label}, reduction=name)))
        label, options = CLASSES - 1, {argument: CLASSES - 1}
        if tried(lambda: s.call(x, np.where(y < 0, label, y), reduction=name, options=options)) is None:
            return
    wrong = [*_ignored_rows(s, made, label, options), *_ignored_wholes(s, made, label, options)]
    if wrong:  # of one cause
        yield replace(wrong[0][1], touches=tuple(what for what, _ in wrong[1:]))
    if "mean" in made:
        if "mean" not in dict(wrong):
            yield from _accumulated(s, made["mean"], label, options)
        nothing, none = 0 * x[:2] + s.at(np.zeros(CLASSES))[0], np.full(2, label)
        if not np.isfinite(empty := s.total(nothing, none, made["mean"], options=options)):
            message = "The mean is NaN where every row is ignored (0 / 0): one batch of padding, and every parameter is NaN."
            yield s.finding("note", message, x=nothing, y=none, options=options | named(s, made["mean"]), got=empty, expected=0.0)


def _four(s: Subject) -> Any:
    return s.at(2.0 * np.eye(CLASSES + 1)[:, :CLASSES] if s.classes else np.array([-2.0, 1.0, 2.0, 0.5]))


def _with_ignored(s: Subject, label: int) -> tuple[Any, Any, Any]:
    """Rows of which many of the first half and few of the second are to be ignored, and which are kept."""
    x, y = ordinary(s, PAD)
    i = np.arange(PAD)
    kept = np.where(i < PAD // 2, i % 4 == 0, i % 8 != 0)
    return x, np.where(kept, np.where(y == label, 0, y), label), kept


def _ignored_rows(s: Subject, made: Roles, label: int, options: dict[str, Any]) -> Iterator[tuple[str, Finding]]:
    """An ignored row has no loss and no gradient, and changes none of another row."""
    if "none" not in made:
        return
    x, y, kept = _with_ignored(s, label)
    plain = np.where(kept, y, (label + 1) % CLASSES if 0 <= label < CLASSES else 0)
    wanted = [("value", np.where(kept, s.value(x, plain), 0.0), s.value(x, y, options=options))]
    if s.differentiable and s.callee.gradient is None:
        mask = kept[:, None] if s.classes else kept
        wanted.append(("gradient", np.where(mask, s.gradient(x, plain), 0.0), s.gradient(x, y, options=options)))
    for show, right, got in wanted:
        if row := first(differ(got, right)):
            which = "kept" if kept[row][0] else "ignored"
            message = f"The {show} of a row that is {which} is not what it is without ignored rows: ignoring changes what is learned."
            shown = {"options": options, "got": got[row], "expected": right[row]}
            yield show, s.finding("error", message, x=x[row], y=y[row], show=show, **shown)


def _ignored_wholes(s: Subject, made: Roles, label: int, options: dict[str, Any]) -> Iterator[tuple[str, Finding]]:
    """The sum and the mean are those over the rows that are kept."""
    x, y, kept = _with_ignored(s, label)
    v = np.zeros(PAD)
    v[kept] = s.value(x[kept], y[kept])
    for role in ("sum", "mean"):
        if role not in made:
            continue

        def both(rows: slice, role: str = role) -> tuple[Any, Any]:
            right = v[rows].sum() / (kept[rows].sum() if role == "mean" else 1)
            return np.float64(s.total(x[rows], y[rows], made[role], options=options)), right

        got, right = both(slice(None))
        if differ(got, right):
            what = "is not that over the others"
            if role == "mean" and not differ(got, v.sum() / PAD):
                what = "counts the ignored ones, as losses of 0"
            few, of_few = both(FEW)
            message = f"The {role} over rows of which some are ignored {what}: padding changes the step of a training."
            shown = {"options": options | named(s, made[role]), "got": few, "expected": of_few}
            yield role, s.finding("error", message, x=x[FEW], y=y[FEW], **shown)


def _accumulated(s: Subject, name: str | None, label: int, options: dict[str, Any]) -> Iterator[Finding]:
    """Each part's mean has its own number of kept rows below: the mean of means is not the mean."""
    x, classes = _four(s), [k for k in range(CLASSES) if k != label]
    y = np.array([classes[0], label, classes[1], classes[0]])
    whole, first, second = (s.total(x[rows], y[rows], name, options=options) for rows in (FEW, slice(0, 2), slice(2, 4)))
    together, call = (first + second) / 2, s.quote(options, reduction=name)
    if not differ(whole, together):
        return
    message = (
        f"Mean under accumulation with ignored labels: the mean of two micro-batches' means is {together:.4g}, the mean of the whole batch "
        f"{whole:.4g} ({abs(together / whole - 1):.0%} off). Rows beside ignored ones count more; sum, and divide once."
    )
    code = [f"whole = {call}", "rows, labels = x, y", "x, y = rows[:2], labels[:2]", f"first = {call}", "x, y = rows[2:], labels[2:]"]
    yield s.finding("note", message, x=x, y=y, code=[*code, f"print(whole, (first + {call}) / 2)"], got=together, expected=whole)
