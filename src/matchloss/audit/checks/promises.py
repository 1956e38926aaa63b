"""What a loss promises about mixed targets and its error signal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.subject import CLASSES, Subject
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks._search import MATERIAL, Numbers, graded, reading, said, slope, sloping
from matchloss.audit.finding import Finding

MIXED = np.array([[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0.875, 0.125]])  # of two labels


def linear(subject: Subject) -> Iterator[Finding]:
    """L(x, t) = sum over k of t_k L(x, k) + a term without x, for every mixed target t: the gradient is affine in the target.

    Then one label drawn from t gives an unbiased gradient of the loss at t: sampled labels, soft labels and label smoothing agree.
    """
    promise = subject.promises.linear_in_target
    if subject.soft:
        weights = subject.distributions(8) if subject.classes else MIXED
        labels, t = subject.targets(), weights if subject.classes else weights[:, 1]
    elif promise and subject.kind in ("regression", "count", "positive"):
        whole = subject.label_dtype.startswith("int") or subject.kind == "count"
        weights, labels = MIXED, np.array([0.0, 8.0] if whole else [0.5, 4.5])
        t = weights @ labels
    else:
        raise Skip("it takes no mixed targets" if subject.kind in ("binary", "multiclass") else "its targets are numbers, not mixtures")
    pure = np.eye(CLASSES) if subject.classes else labels
    worst = _bias(subject, weights, pure, t)
    if worst is None:
        return
    x, i, mean, got = worst
    message = (
        f"at a target of {said(t[i])} the gradient is {said(got)}, and {said(mean)} on average over labels drawn from it: mixed targets "
        "and sampled labels train different models."
    )
    severity = "error" if _is_not_itself(subject, t[i]) else "note"
    x, y = np.stack([x] * (1 + len(pure))), np.concatenate([t[i : i + 1], pure])
    yield graded(promise, sloping(subject, severity, message, x, y, got, mean))


def _is_not_itself(subject: Subject, t: Any) -> bool:
    """Whether a function of distributions is a proper loss of the catalogue at certain ones, and neither that loss at mixed ones nor one
    of the likeliest class, which is least where that is certain."""
    member = subject.member
    if member is None or not member.loss.proper or not member.loss.linear_in_target or subject.convention.target != "distributions":
        return False
    true, certain = subject.value(subject.at(np.stack([np.log(t + 1e-9), 30.0 * np.eye(CLASSES)[int(np.argmax(t))]])), np.stack([t, t]))
    return bool(true < certain)


def _bias(subject: Subject, weights: Numbers, pure: NDArray[Any], t: Numbers) -> tuple[Any, int, Any, Any] | None:
    """Where the mean of the gradients at labels is furthest from that at the mixture: x, the mixture's place, both; None if it is not."""
    u = np.array([0.0, 1.0, -1.0, 2.5, -2.5, 4.0, -4.0, 0.5])
    if subject.classes:
        u = np.round(subject.rng.normal(size=(8, CLASSES)) * 12) / 8
    x, targets = subject.at(u), np.concatenate([pure, t])
    g = slope(subject, np.concatenate([x] * len(targets)), np.repeat(targets, len(u), axis=0)).reshape(len(targets), *x.shape)
    at_labels, at_mixtures = g[: len(pure)], g[len(pure) :]
    worst, far = None, 10 * MATERIAL
    for i, (w, got) in enumerate(zip(weights, at_mixtures, strict=True)):
        mean = np.tensordot(w, at_labels, axes=1)
        gap = np.nan_to_num(np.abs(got - mean) / (np.tensordot(w, np.abs(at_labels), axes=1) + np.abs(got) + MATERIAL))
        gap = gap.reshape(len(u), -1).max(axis=1)
        j = int(gap.argmax())
        if gap[j] > far:
            far, worst = 2 * gap[j], (x[j], i, mean[j], got[j])
    return worst


def matching(subject: Subject) -> Iterator[Finding]:
    """dL/dx = predict(x) - y for raw predictions x.

    Then the error signal is the plain difference: a row that is badly wrong teaches much, and only a row that is right teaches nothing.
    """
    if subject.convention.input != "raw":
        raise Skip("it takes predictions, and the error signal is of raw ones")
    x, y = _crossed_rows(subject)
    difference = reading(subject).predict(x) - (np.eye(CLASSES)[y.astype(int)] if subject.classes else y)
    g = slope(subject, x, y)
    size = np.abs(g) + np.abs(difference) + 1e-3
    if (np.abs(g - difference) <= 10 * MATERIAL * size).all():
        return
    factor = float((g * difference).sum() / (difference * difference).sum())
    scaled = np.abs(g - factor * difference) <= 10 * MATERIAL * (np.abs(g) + abs(factor) * (np.abs(difference) + 1e-3))
    off = np.abs(difference) / (1.0 if subject.classes else 1 + np.abs(y))
    gap = np.nan_to_num(np.abs(g - difference) / size * (off > 0.1)).reshape(len(x), -1).max(axis=1)
    i = int(np.flatnonzero(gap >= gap.max() / 2)[0])
    message = (
        f"the error signal is {factor:.4g} times prediction - target, and so are steps at a learning rate tuned for the plain difference."
    )
    if factor <= 0 or not scaled.all():
        message = (
            f"not a matching loss: at raw {said(x[i])} and target {said(y[i])} the gradient is {said(g[i])}, where prediction - target is "
            f"{said(difference[i])}{_dying(subject, g, difference)}."
        )
    shown = sloping(subject, "note", message, x[i : i + 1], y[i : i + 1], g[i], difference[i])
    yield graded(subject.promises.matching, shown)


def _crossed_rows(subject: Subject) -> tuple[Numbers, NDArray[Any]]:
    u = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -4.0, 4.0, -6.0, 6.0])
    if subject.classes:
        u = np.concatenate([np.zeros((1, CLASSES)), 4 * np.eye(CLASSES), np.round(subject.rng.normal(size=(12, CLASSES)) * 12) / 8])
    y = subject.targets()
    return subject.at(np.concatenate([u] * len(y))), np.repeat(y, len(u))


def _dying(subject: Subject, g: Numbers, difference: Numbers) -> str:
    """Whether rows that are surely wrong hardly pull."""
    wrong = np.abs(difference) > 0.99
    dies = subject.kind == "binary" and wrong.any() and np.abs(g[wrong]).max() < 0.1
    return "; rows that are surely wrong hardly pull" if dies else ""
