"""What is made of all rows, a mean or a sum, and that each row is for itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from matchloss.audit.calling.recognise import tried
from matchloss.audit.calling.subject import CLASSES, PAD, Subject
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._same import differ, first, named, of, ordinary, roles
from matchloss.audit.finding import Finding


def reductions(subject: Subject) -> Iterator[Finding]:
    """sum = l_1 + ... + l_n, mean = sum / n, for values and gradients; l_i depends on row i alone, so that parts add up to the whole;
    a plain call is the documented default.

    A different reduction means a different learning rate; a row that depends on its batch means a different loss.
    """
    s = subject
    if s.scalar:
        raise Skip("it takes one row at a time")
    made = roles(s)
    yield from _alone(s)
    x, y = ordinary(s, PAD)
    for role in ("sum", "mean"):
        if role in made:
            yield from _reduced(s, role, made[role], x, y)
    yield from _default(s, made, x, y)


def _alone(s: Subject) -> Iterator[Finding]:
    """A row's value is the same in any company."""
    if not s.per_row:
        return
    x, y = ordinary(s, PAD)
    together, order = s.value(x, y), s.rng.permutation(PAD)
    mixed = np.empty(PAD)
    mixed[order] = s.value(x[order], y[order])
    single = np.concatenate([s.value(x[i : i + 1], y[i : i + 1]) for i in range(4)])
    for what, got, right in (("in another order", mixed, together), ("alone", single, together[:4])):
        if row := first(differ(got, right)):
            message = (
                f"A row's loss is {right[row][0]:.4g} among {PAD} rows and {got[row][0]:.4g} {what}: it depends on the other rows, and the "
                "size and order of batches change what is trained."
            )
            rows = np.r_[row.start, np.delete(np.arange(PAD), row.start)]
            one, sizes = s.value(x[row], y[row]), (2, 4, 8, PAD)
            m = next(m for m in sizes if m == PAD or differ(s.value(x[rows[:m]], y[rows[:m]])[:1], one)[0])
            code = [f"print({s.quote()}[0])", "x, y = x[:1], y[:1]", f"print({s.quote()})  # right: the same"]
            shown = {"got": got[row][0], "expected": right[row][0], "code": code, "cause": "coupled"}
            yield s.finding("error", message, x=x[rows[:m]], y=y[rows[:m]], **shown)
            return


def _reduced(s: Subject, role: str, name: str | None, x: Any, y: Any) -> Iterator[Finding]:
    v = s.value(x, y)

    def both(m: int) -> tuple[Any, Any]:
        return np.float64(s.total(x[:m], y[:m], name)), of(role, v[:m])

    got, right = both(PAD)
    if not differ(got, right):
        if s.framework.differentiable and s.callee.gradient is None and s.differentiable:
            yield from _reduced_gradient(s, role, name, x, y)
        return
    few = next(m for m in (2, 3, 4, 8, PAD) if m == PAD or differ(*both(m)))
    severity, ending = "error", "batches of another size train with another step."
    what = f"is {got / right:.4g} times that of the rows' own values" if right else "is not that of the rows"
    if role == "sum" and not differ(got, v.mean()):
        what = "is the mean"
    elif role == "mean" and s.classes and not differ(got, right / CLASSES):
        severity, what = "warning", f"is over all {CLASSES} entries of each row, 1/{CLASSES} of the mean over rows"
        ending = "the mean is not the divergence that a row has, and the step size depends on the number of classes."
    shown = {"options": named(s, name), "got": both(few)[0], "expected": both(few)[1]}
    yield s.finding(severity, f"The {role} over {PAD} rows {what}: {ending}", x=x[:few], y=y[:few], **shown)


def _reduced_gradient(s: Subject, role: str, name: str | None, x: Any, y: Any) -> Iterator[Finding]:
    got = s.signed(s.derived("gradient", "whole", x, y, "float64", s.keywords(name)))
    right = s.gradient(x, y) / (PAD if role == "mean" else 1)
    if row := first(differ(got, right)):
        message = f"The gradient of the {role} is not the {role} of the rows' gradients: reducing inside or outside trains two models."
        shown = {"options": named(s, name), "got": got[row][0], "expected": right[row][0]}
        yield s.finding("error", message, x=x[row], y=y[row], show="gradient", **shown)


def _default(s: Subject, made: dict[str, str | None], x: Any, y: Any) -> Iterator[Finding]:
    argument = s.convention.reduction_argument
    default = s.callee.options.get(argument) if argument else None
    if argument is None or not isinstance(default, str):
        return
    plain, called = s.framework.numbers(s.call(x, y)), s.framework.numbers(s.call(x, y, reduction=default))
    if plain.shape != called.shape or differ(plain, called).any():
        yield s.finding("error", f"A plain call is not that with {argument}={default!r}, its documented default.", x=x[:2], y=y[:2])
    for role in (r for r in ("mean", "sum") if r not in made):
        out = tried(s.call, x, y, "float64", role)
        if out is not None and np.size(s.framework.numbers(out)) > 1:
            message = f"{argument}={role!r} is taken without a word and returns a value a row: a misspelt reduction is no error."
            yield s.finding("warning", message, x=x[:2], y=y[:2], options={argument: role})
