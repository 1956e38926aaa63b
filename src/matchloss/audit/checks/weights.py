"""Weights of rows and of classes, and a label to ignore."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import CLASSES, PAD, Raised, Subject
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._same import attempt, differ, named, ordinary, roles, tolerant
from matchloss.audit.finding import Finding


def weights(subject: Subject) -> Iterator[Finding]:
    """A weight w counts a row w times: sum w_i l_i, and sum w_i l_i / sum w_i as the mean; w = 0 is a row that is not there, as is a label
    to be ignored. A weight a class is the weight of each of its rows, whether they are given as labels or as distributions.

    Equal data given in two ways trains two models where this fails, and a batch of padding ends a training in NaN.
    """
    c = subject.convention
    if subject.scalar or not (c.weight_argument or c.class_weight_argument or c.ignore_argument):
        raise Skip("it takes no weights, and no label to ignore")
    made = roles(subject)
    if c.weight_argument:
        yield from _rows(subject, made)
        yield from _absent(subject, made)
    if c.class_weight_argument and subject.hard:
        yield from _classes(subject, made)
    if c.ignore_argument:
        yield from _ignored(subject, made)


# --- a weight a row ---------------------------------------------------------------------------------------------------------------


def _rows(s: Subject, made: dict[str, str | None]) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    w = np.resize([1.0, 2.0, 0.0, 3.0], PAD)
    v = s.value(x, y)
    few, argument = slice(0, 4), s.convention.weight_argument or ""
    for role, name in made.items():
        if role == "none":
            got = s.value(x, y, weight=w)
            if (bad := differ(got, w * v)).any():
                i = int(np.argmax(bad))
                row = slice(i, i + 1)
                yield s.finding(
                    "error", f"A row of weight {w[i]:g} has the loss {got[i]:.4g}, not {w[i]:g} times its loss {v[i]:.4g}: weighted rows "
                    "do not count as often as their weight says.", x=x[row], y=y[row], options={argument: w[row]}, got=got[row],
                    expected=w[row] * v[row],
                )  # fmt: skip
            continue
        got = np.float64(s.total(x, y, name, weight=w))
        right = w @ v / (w.sum() if role == "mean" else 1.0)
        if not differ(got, right):
            continue
        shown = {"x": x[few], "y": y[few], "options": {argument: w[few]} | named(s, name)}
        small, of_few = s.total(x[few], y[few], name, weight=w[few]), w[few] @ v[few] / (w[few].sum() if role == "mean" else 1.0)
        if role == "mean" and not differ(got, w @ v / PAD):
            message = (
                "The weighted mean is divided by the number of rows, not by the sum of weights: a weight of 2 is not the row twice, and "
                "weights of another mean scale loss and gradient, as another learning rate would."
            )
            yield s.finding("note", message, got=small, expected=of_few, **shown)
        else:
            ignored = not differ(got, v.mean() if role == "mean" else v.sum())
            what = "is that without weights" if ignored else "is not that of rows repeated as often as their weight says"
            message = f"The weighted {role} {what}: another objective is trained than the one asked for."
            yield s.finding("error", message, got=small, expected=of_few, **shown)
    yield from _weighted_gradient(s, x, y, w)


def _weighted_gradient(s: Subject, x: Any, y: Any, w: Any) -> Iterator[Finding]:
    if not s.differentiable or not s.per_row:
        return
    try:
        got = s.gradient(x, y, weight=w)
    except Raised:  # an object's gradient need not take them
        return
    right = (w[:, None] if s.classes else w) * s.gradient(x, y)
    bad = differ(got, right).reshape(len(x), -1).any(axis=1)
    if bad.any():
        row = slice(int(np.argmax(bad)), int(np.argmax(bad)) + 1)
        yield s.finding(
            "error", f"The gradient of a row of weight {w[row][0]:g} is not that many times the gradient of the row: rows do not pull as "
            "their weights say.", x=x[row], y=y[row], show="gradient", options={s.convention.weight_argument or "": w[row]}, got=got[row],
            expected=right[row],
        )  # fmt: skip


def _absent(s: Subject, made: dict[str, str | None]) -> Iterator[Finding]:
    """A row of weight 0 that could not be judged: not a number, or an impossible target."""
    x, y = ordinary(s, PAD)
    w = np.ones(PAD)
    w[1] = 0.0
    hurt = x.copy()
    hurt[1] = np.nan
    tried = [("prediction", hurt, y)]
    if not s.classes:
        tried.append(("target", x, np.where(np.arange(PAD) == 1, np.nan, y)))
    name = next(iter(made.values()))
    for what, z, t in tried:
        if s.per_row:
            found = tolerant(lambda z=z, t=t: s.value(z, t, weight=w).sum())
        else:
            found = tolerant(lambda z=z, t=t: s.total(z, t, name, weight=w))
        if found is not None and np.isfinite(found):
            continue
        does = "makes the function raise" if found is None else "makes the result NaN"
        call = s.quote({s.convention.weight_argument or "": w[:3]}, reduction=name)
        yield s.finding(
            "note", f"A row of weight 0 whose {what} is NaN {does}: a weight of 0 is no mask for missing {what}s.", x=z[:3], y=t[:3],
            code=attempt(call) if found is None else [f"print({call})"], weights=w[:3],
        )  # fmt: skip
        return


# --- a weight a class ------------------------------------------------------------------------------------------------------------


def _classes(s: Subject, made: dict[str, str | None]) -> Iterator[Finding]:
    x, y = ordinary(s, PAD)
    argument = s.convention.class_weight_argument or ""
    w = np.arange(1.0, CLASSES + 1.0)
    given = {argument: s.framework.array(w, "float64")}
    if "none" in made or s.convention.reduction == "none":
        v, got = s.value(x, y), s.value(x, y, options=given)
        if (bad := differ(got, w[y] * v)).any():
            row = slice(int(np.argmax(bad)), int(np.argmax(bad)) + 1)
            yield s.finding(
                "warning", f"A row whose class has the weight {w[y[row]][0]:g} does not have that many times its loss.", x=x[row], y=y[row],
                options={argument: w}, got=got[row], expected=(w[y] * v)[row],
            )  # fmt: skip
    if not s.soft:
        return
    few, hot = np.array([0, 2]), np.eye(CLASSES)[y]
    for role, name in made.items():
        labels = s.value(x, y, options=given) if role == "none" else np.float64(s.total(x, y, name, options=given))
        rows = s.value(x, hot, options=given) if role == "none" else np.float64(s.total(x, hot, name, options=given))
        if differ(labels, rows).any():
            one, other = s.total(x[few], y[few], name, options=given), s.total(x[few], hot[few], name, options=given)
            quoted = s.quote({argument: w}, reduction=name)
            code = [f"one_hot = {s.framework.code(hot[few], 'float64')}", f"print({quoted})", "y = one_hot", f"print({quoted})"]
            yield s.finding(
                "warning", f"With class weights the {role if role != 'none' else 'value'} of labels is {one:.4g}, of the same targets as "
                f"one-hot distributions {other:.4g}: smoothed or mixed labels train with another step size than plain ones.", x=x[few],
                y=y[few], code=code, weights=w, labels=one, one_hot=other,
            )  # fmt: skip


# --- a label to ignore -----------------------------------------------------------------------------------------------------------


def _ignored(s: Subject, made: dict[str, str | None]) -> Iterator[Finding]:
    s = replace(s, together=True)  # places of an example are ignored, not examples
    argument = s.convention.ignore_argument or ""
    default = s.callee.options.get(argument)
    own = isinstance(default, int) and not isinstance(default, bool)
    label, options = (int(default), {}) if own else (-100, {argument: -100})  # type: ignore[arg-type]
    x, y = s.at(np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [0, 0, 0]])), np.array([0, label, 1, 2])
    failed = _raised(s, x, y, made, options)
    if failed is not None:
        yield s.finding(
            "warning",
            f"A row with the label to ignore, {label}, raises {type(failed.original).__name__}: rows are not ignored, and padding "
            "with this label ends the training.", x=x, y=y, code=attempt(s.quote({argument: label}, reduction=next(iter(made.values())))),
        )  # fmt: skip
        label, options = CLASSES - 1, {argument: CLASSES - 1}
        if _raised(s, x, np.where(y < 0, label, y), made, options) is not None:
            return
    yield from _ignored_rows(s, made, label, options)
    yield from _ignored_means(s, made, label, options)


def _raised(s: Subject, x: Any, y: Any, made: dict[str, str | None], options: dict[str, Any]) -> Raised | None:
    try:
        s.call(x, y, reduction=next(iter(made.values())), options=options)
    except Raised as error:
        return error
    return None


def _with_ignored(s: Subject, label: int) -> tuple[Any, Any, Any]:
    """Rows of which many of the first half and few of the second are to be ignored, and which are kept."""
    x, y = ordinary(s, PAD)
    y = np.where(y == label, 0, y)
    i = np.arange(PAD)
    kept = np.where(i < PAD // 2, i % 4 == 0, i % 8 != 0)
    return x, np.where(kept, y, label), kept


def _ignored_rows(s: Subject, made: dict[str, str | None], label: int, options: dict[str, Any]) -> Iterator[Finding]:
    """An ignored row has no loss and no gradient, and changes none of another row."""
    if "none" not in made:
        return
    x, y, kept = _with_ignored(s, label)
    plain = np.where(kept, y, (label + 1) % CLASSES if 0 <= label < CLASSES else 0)
    wanted = [("value", np.where(kept, s.value(x, plain), 0.0), s.value(x, y, options=options))]
    if s.differentiable and s.callee.gradient is None:
        wanted.append(("gradient", np.where(kept[:, None], s.gradient(x, plain), 0.0), s.gradient(x, y, options=options)))
    for show, right, got in wanted:
        bad = differ(got, right).reshape(PAD, -1).any(axis=1)
        if bad.any():
            row = slice(int(np.argmax(bad)), int(np.argmax(bad)) + 1)
            which = "kept" if kept[row][0] else "ignored"
            yield s.finding(
                "error", f"The {show} of a row that is {which} is not what it is without ignored rows: ignoring changes what is learned.",
                x=x[row], y=y[row], show=show, options=options, got=got[row], expected=right[row],
            )  # fmt: skip


def _ignored_means(s: Subject, made: dict[str, str | None], label: int, options: dict[str, Any]) -> Iterator[Finding]:
    x, y, kept = _with_ignored(s, label)
    v = np.zeros(PAD)
    v[kept] = s.value(x[kept], y[kept])
    if "sum" in made and differ(got := np.float64(s.total(x, y, made["sum"], options=options)), v.sum()):
        few = slice(0, 4)
        yield s.finding(
            "error", "The sum over rows is not the sum over those that are not ignored.", x=x[few], y=y[few],
            options=options | named(s, made["sum"]), got=s.total(x[few], y[few], made["sum"], options=options), expected=v[few].sum(),
        )  # fmt: skip
    if "mean" not in made:
        return
    name = made["mean"]
    got = np.float64(s.total(x, y, name, options=options))
    if differ(got, v[kept].mean()):
        few = slice(0, 4)
        counted = not differ(got, v.sum() / PAD)
        what = "counts the ignored ones, as losses of 0" if counted else "is not that over the others"
        yield s.finding(
            "error", f"The mean over rows of which some are ignored {what}: padding changes the step of a training.", x=x[few], y=y[few],
            options=options | named(s, name), got=s.total(x[few], y[few], name, options=options), expected=v[few][kept[few]].mean(),
        )  # fmt: skip
    else:
        yield from _accumulated(s, name, label, options)
    empty = s.total(x[:2], np.full(2, label), name, options=options)
    if not np.isfinite(empty):
        yield s.finding(
            "note", "The mean is NaN where every row is ignored (0 / 0): one batch of padding, and every parameter is NaN.",
            x=s.at(np.zeros((2, CLASSES))), y=np.full(2, label), options=options | named(s, name), got=empty, expected=0.0,
        )  # fmt: skip


def _accumulated(s: Subject, name: str | None, label: int, options: dict[str, Any]) -> Iterator[Finding]:
    """Each part's mean has its own number of kept rows below: the mean of means is not the mean."""
    x = s.at(np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [0, 0, 0]]))
    classes = [k for k in range(CLASSES) if k != label]
    y = np.array([classes[0], label, classes[1], classes[0]])
    whole = s.total(x, y, name, options=options)
    parts = [s.total(x[i], y[i], name, options=options) for i in (slice(0, 2), slice(2, 4))]
    together = sum(parts) / 2
    if not differ(whole, together):
        return
    call = s.quote(options, reduction=name)
    code = [
        f"whole = {call}",
        "rows, labels = x, y",
        "x, y = rows[:2], labels[:2]",
        f"first = {call}",
        "x, y = rows[2:], labels[2:]",
        f"print(whole, (first + {call}) / 2)",
    ]
    yield s.finding(
        "note", f"Mean under accumulation with ignored labels: the mean of two micro-batches' means is {together:.4g}, the mean of the "
        f"whole batch {whole:.4g} ({abs(together / whole - 1):.0%} off). Rows beside ignored ones count more; sum, and divide once.", x=x,
        y=y, code=code, got=together, expected=whole,
    )  # fmt: skip
