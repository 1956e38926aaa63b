"""Where the expected loss is least: at the truth, for a proper loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.subject import CLASSES, Subject, usual
from matchloss.audit.checks import _search as find
from matchloss.audit.checks._search import LEVEL, MATERIAL, NEAR, Numbers, Reading, compared, crossed, graded, mixed, reading, said
from matchloss.audit.finding import Finding

TRUTHS = np.array([0.1, 0.25, 0.4, 0.6, 0.75, 0.9])
ROWS = np.array([[0.1, 0.3, 0.6], [0.7, 0.2, 0.1], [0.2, 0.6, 0.2]])
# Of 0, 1, 4: mean 1.5, median 1; and of 0, 4, 16.
WEIGHTS = np.array([[0.28, 0.46, 0.26, 0.0], [0.28, 0.0, 0.46, 0.26]])


def proper(subject: Subject) -> Iterator[Finding]:
    """argmin over x of sum over k of t_k L(x, k) is where predict(x) = t, for every distribution t of the labels; for numbers, where
    predict(x) is their mean.

    Otherwise the predictions of a model that fits perfectly are not the frequencies, or means, of the data, however much data there are.
    """
    read = reading(subject)
    yield from (_labels if subject.classes or subject.kind == "binary" else _numbers)(subject, read)


def _labels(subject: Subject, read: Reading) -> Iterator[Finding]:
    why = "Probabilities read from it are not those of the data."
    if subject.classes:
        quick = subject.per_row and not subject.framework.pads
        y, truths = np.arange(CLASSES), ROWS if quick else ROWS[:2]
        w, near = truths, 2 * NEAR
        u, value = find.least_row(lambda z: _of_labels(subject, z, y, truths), len(truths), find.shift_free(subject), quick)
    else:
        y, truths, near = np.array([0.0, 1.0]), TRUTHS, NEAR
        w = np.stack([1 - TRUTHS, TRUTHS], axis=1)
        u, value = find.least(subject, y, w)
    p = read.predict(subject.at(u))
    off = np.abs(p - truths).reshape(len(u), -1).max(axis=1) > near
    if not off.any():
        yield from _other_link(subject, u, usual(subject.kind, u), truths, y)
        return
    truth = _link(subject, truths) if subject.classes else _inverse(subject, read, truths)
    at_truth = mixed(w, crossed(subject, truth, y)).diagonal()
    worse = off & ~(at_truth - value <= LEVEL * (1 + np.abs(value)))
    if not worse.any():  # flat there: the truth is among the best
        return
    i, severity = int(np.argmax(worse)), "note" if subject.convention.input == "raw" else "warning"
    if not subject.classes:
        severity, why = "error" if severity == "warning" and _sharper(subject, u, p) else severity, _why(subject, u, p)
    message = (
        f"where {_law(truths[i])}, the expected loss is least at a predicted {said(p[i])}: {value[i]:.4g}, and {at_truth[i]:.4g} at the "
        f"truth. {why}"
    )
    x, example = subject.at(np.stack([truth[i], u[i]])), ({} if subject.classes else {"truth": truths[i]}) | {"least": p[i]}
    yield graded(subject.promises.proper, compared(subject, severity, message, x[0], x[1], y, w[i], **example))


def _law(truth: Any) -> str:
    return f"classes come as {said(truth)}" if np.ndim(truth) else f"{truth * 100:g} of 100 are positive"


def _sharper(subject: Subject, u: Numbers, p: Numbers) -> bool:
    """Whether a loss of what are said to be probabilities wants them more certain than the data are, though it tells them apart: smoothing
    and focal losses want less certain ones, absolute errors only the likelier label."""
    return {"kind", "input"} <= subject.given and bool((np.abs(p - 0.5) > np.abs(TRUTHS - 0.5)).all() and np.diff(u).min() > NEAR)


def _why(subject: Subject, u: Numbers, p: Numbers) -> str:
    """What one can still read from such a loss."""
    if np.diff(u).min() <= NEAR:
        return "Different frequencies have the same best prediction: nothing read from it is a probability."
    if not ((p > 0) & (p < 1)).all():
        return "What is predicted is no probability."
    logit, q = np.log(TRUTHS / (1 - TRUTHS)), np.log(p / (1 - p))
    a, b = np.polyfit(q, logit, 1)
    if np.abs(a * q + b - logit).max() <= 10 * MATERIAL:
        if abs(a - 1) <= NEAR:
            return f"As if positive rows counted {np.exp(-b):.3g} times."
        if abs(b) <= NEAR and subject.convention.input == "raw":
            return f"The probability is sigmoid({a:.3g} raw)."
    return "What is predicted is in the right order, but is no probability."


def _other_link(subject: Subject, u: Numbers, read: Numbers, truths: Numbers, y: NDArray[Any]) -> Iterator[Finding]:
    """Proper, but not for who reads probabilities by the usual link."""
    if subject.convention.input != "raw" or subject.callee.predict is not None or np.abs(read - truths).max() <= 2 * NEAR:
        return
    i, link = len(u) - 1, "softmax" if subject.classes else "sigmoid"
    message = (
        f"proper, but not with the {link}: where {_law(truths[i])} the expected loss is least at raw {said(u[i])}, and {link} makes that "
        f"{said(read[i])}. Probabilities are read by the loss's own link."
    )
    yield subject.finding("note", message, x=np.stack([u[i]] * len(y)), y=y, truth=truths[i], least=u[i])


def _inverse(subject: Subject, read: Reading, p: Numbers) -> Numbers:
    """The raw predictions read as p, the nearest there are."""
    low, high = np.full(len(p), find.line(subject)[0]), np.full(len(p), find.line(subject)[-1])
    for _ in range(60 if read.how != "matching" else 30):
        middle = (low + high) / 2
        above = read.predict(subject.at(middle)) >= p
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def _of_labels(subject: Subject, u: Numbers, labels: NDArray[Any], truths: Numbers) -> Numbers:
    """Expected losses (laws, n) of rows (laws, n, K), row i under the law truths[i]."""
    if all(np.array_equal(a, u[0]) for a in u[1:]):  # the first grid is the same for all
        return mixed(truths, crossed(subject, u[0], labels))
    values = crossed(subject, u, labels)
    return np.stack([mixed(truths[i : i + 1], values[:, i])[0] for i in range(len(u))])


def _link(subject: Subject, p: Numbers) -> Numbers:
    """Raw rows, by the usual link, read as p."""
    member = subject.member
    if subject.convention.input == "raw" and member is not None:
        return np.asarray(member.loss.link(p), dtype=np.float64)
    return np.log(p)


def _numbers(subject: Subject, read: Reading) -> Iterator[Finding]:
    y = np.array([0.5 if subject.kind == "positive" else 0.0, 1.0, 4.0, 16.0])
    u, _ = find.least(subject, y, WEIGHTS)
    p, means = read.predict(subject.at(u)), WEIGHTS @ y
    off = np.abs(p - means) > NEAR * means
    if not off.any():
        return
    i = int(np.flatnonzero(off)[0])
    used = np.flatnonzero(WEIGHTS[i])
    law = ", ".join(said(a) for a in y[used]) + " (" + ", ".join(f"{100 * a:g}" for a in WEIGHTS[i, used]) + " of 100)"
    message = f"where targets are {law} the expected loss is least at {said(p[i])}, and their mean is {said(means[i])}"
    message = f"{message}: {_elicited(subject, read, y, p)}."
    x = subject.at(np.array([_inverse(subject, read, means[i : i + 1])[0], u[i]]))
    shown = compared(subject, "note", message, x[0], x[1], y, WEIGHTS[i], mean=float(means[i]), least=float(p[i]))
    yield graded(subject.promises.proper, shown)


def _elicited(subject: Subject, read: Reading, y: Numbers, p: Numbers) -> str:
    """Median, quantile, expectile, or what it is not: p is best for the laws WEIGHTS of y."""
    values = crossed(subject, _inverse(subject, read, np.array([1.0, 2.0])), np.array([1.0, 2.0]))
    low, high = float(values[1, 0] - values[1, 1]), float(values[0, 1] - values[0, 0])  # predicted 1 where 2 is right, 2 where 1 is
    level = low / (low + high) if low + high > 0 and np.isfinite(low + high) else 0.5
    level = min(max(level, 0.0), 1.0)  # outside of it where the loss is least elsewhere
    inverse = [y[min(int(np.searchsorted(np.cumsum(w), level - MATERIAL)), len(y) - 1)] for w in WEIGHTS]
    if np.allclose(p, inverse, rtol=NEAR, atol=NEAR):
        return "it elicits the median" if abs(level - 0.5) < NEAR else f"it elicits the quantile of level {said(level)}"
    levels = [float(w @ np.maximum(m - y, 0) / (w @ np.abs(m - y))) for w, m in zip(WEIGHTS, p, strict=True)]
    if abs(levels[0] - levels[1]) < NEAR:
        return f"it elicits the expectile of level {said(levels[0])}"
    return "it elicits neither the mean nor the median"
