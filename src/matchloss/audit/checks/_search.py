"""Where a loss is least, how predictions are read from raw outputs, and slopes: what the checks of promises share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.frameworks import literal
from matchloss.audit.calling.subject import CLASSES, Subject, usual
from matchloss.audit.finding import Finding

Numbers = NDArray[np.float64]

# A property fails where it fails by more than this, relative to the size of the terms: far above the rounding of any formula in float64,
# of an iteration that stopped early, or of an epsilon in a logarithm; far below what training would feel.
MATERIAL = 1e-6
# Predictions are the same within this: a minimum is found to the root of the rounding of its value, 1e-8; the rest is for epsilons.
NEAR = 1e-3
# Values are one where they differ by less than this, relative to how much the loss rises around its minimum: some thousand roundings.
LEVEL = 1e-12


def graded(promise: bool | None, finding: Finding) -> Finding:
    """A finding that a property fails, with the severity that it has where the loss says of itself that it has the property, or not."""
    if promise is None:
        return finding
    severity, start, cause = ("error", "against what is declared: ", "") if promise else ("note", "declared: ", "declared")
    return replace(finding, severity=severity, message=start + finding.message, cause=cause)


# --- least ----------------------------------------------------------------------------------------------------------------------


def line(subject: Subject) -> Numbers:
    """Raw predictions by the usual link, in order: dense where data are, and far out."""
    per_unit = 8 if subject.per_row else 2
    near = np.arange(-16 * per_unit, 16 * per_unit + 1) / per_unit
    if subject.kind == "regression":
        far = 2.0 ** np.arange(4.25, 20.25, 0.25 if subject.per_row else 1.0)
    else:
        far = np.arange(17.0, 33.0 if subject.convention.input == "prediction" else 65.0)
    return np.concatenate([-far[::-1], near, far])


def crossed(subject: Subject, u: Numbers, y: NDArray[Any]) -> Numbers:
    """The loss of each target at each raw prediction, (len(y), *u.shape without its classes); what is no number counts as infinite."""
    flat = u.reshape(-1, CLASSES) if subject.classes else u.reshape(-1)
    x = subject.at(flat)
    value = subject.value(np.concatenate([x] * len(y)), np.repeat(y, len(x), axis=0))
    shape = u.shape[:-1] if subject.classes else u.shape
    return np.nan_to_num(value, nan=np.inf, posinf=np.inf, neginf=np.inf).reshape(len(y), *shape)


def mixed(weights: Numbers, values: Numbers) -> Numbers:
    """Expected losses: row i is the weighted sum of the values' rows by weights[i]; a weight of 0 silences an infinite loss."""
    return np.stack([sum(w * v for w, v in zip(row, values, strict=True) if w) for row in weights])


def refined(subject: Subject, y: NDArray[Any], weights: Numbers, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
    """Where between low and high the expected loss of each law is least, and how little it is there, by ever closer grids."""
    rows = np.arange(len(low))
    at, value = low, np.full(len(low), np.inf)
    for _ in range(9 if subject.per_row else 6):
        u = np.linspace(low, high, 17, axis=1)
        values = crossed(subject, u, y)
        f = np.stack([mixed(weights[i : i + 1], values[:, i])[0] for i in rows])
        best = f.argmin(axis=1)
        at, value = u[rows, best], f[rows, best]
        low, high = u[rows, np.maximum(best - 1, 0)], u[rows, np.minimum(best + 1, 16)]
    return at, value


def least(subject: Subject, y: NDArray[Any], weights: Numbers) -> tuple[Numbers, Numbers]:
    """The raw prediction, by the usual link, at which each law's expected loss is least over a wide range, and that loss."""
    u = line(subject)
    u = u[np.abs(u) <= 256.0]
    f = mixed(weights, crossed(subject, u, y))
    best = f.argmin(axis=1)
    at, value = refined(subject, y, weights, u[np.maximum(best - 1, 0)], u[np.minimum(best + 1, len(u) - 1)])
    coarse = f[np.arange(len(f)), best]
    return np.where(value <= coarse, at, u[best]), np.minimum(value, coarse)


def least_row(loss: Callable[[Numbers], Numbers], laws: int, shifted: bool, quick: bool) -> tuple[Numbers, Numbers]:
    """As `least` for rows of classes: loss (laws, n, K) -> (laws, n). shifted: a number added to all classes changes nothing;
    quick: many rows cost one call."""
    free = CLASSES - 1 if shifted else CLASSES
    fine = shifted and quick
    cube = _cube(free, 13 if fine else 7) * 6.0
    u = np.broadcast_to(cube, (laws, *cube.shape))
    inner, half = _cube(free, 7 if fine else 5), 1.0 if fine else 2.0
    rows = np.arange(laws)
    f = loss(u)
    best = f.argmin(axis=1)
    centre, value = u[rows, best], f[rows, best]
    for _ in range(14 if quick else 12):
        u = centre[:, None] + half * inner
        f = loss(u)
        best = f.argmin(axis=1)
        centre, value, half = u[rows, best], f[rows, best], half / 2
    return centre, value


def _cube(free: int, points: int) -> Numbers:
    """Points of [-1, 1]^free behind zeros for the classes held."""
    axes = np.meshgrid(*[np.linspace(-1.0, 1.0, points)] * free, indexing="ij")
    inside = np.stack([a.ravel() for a in axes], axis=1)
    return np.concatenate([np.zeros((len(inside), CLASSES - free)), inside], axis=1)


def shift_free(subject: Subject) -> bool:
    """Whether a number added to all classes changes nothing."""
    if subject.convention.input != "raw":
        return True
    x, y = np.array([[0.5, -1.0, 2.0], [0.0, 0.25, -0.5]]), np.array([0, 2])
    return bool(np.allclose(subject.value(x, y), subject.value(x + 1.5, y), rtol=MATERIAL, atol=MATERIAL))


# --- what is read from raw predictions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """How predictions are read from what the function takes, and whence that is known."""

    predict: Callable[[Any], Numbers]  # x -> prediction
    how: str  # "usual", "known" (of the object or the member), "likelihood" or "matching": by what the loss itself says


def reading(subject: Subject) -> Reading:
    """The loss's own link where it is known or the loss tells it, else the kind's usual one."""
    if subject.convention.input != "raw" or subject.callee.predict is not None or subject.member is not None:
        if subject.kind != "binary":
            return Reading(subject.predict, "known")
        # Signs, where a loss without a link predicts those, as the labels that they stand for.
        return Reading(lambda x: np.maximum(subject.predict(x), 0.0), "known")
    x = subject.at(np.stack([line(subject)[::5]] * CLASSES, axis=1) * [1.0, 0.5, -0.5] if subject.classes else line(subject)[::5])
    x = x[np.abs(x).max(axis=-1) <= 8.0] if subject.classes else x[np.abs(x) <= 8.0]
    for how, told in (("likelihood", _by_likelihood), ("matching", _by_matching)):
        p = told(subject, x)
        if p is not None and np.isfinite(p).all() and (p >= -MATERIAL).all() and (subject.kind != "binary" or (p <= 1 + MATERIAL).all()):
            if np.allclose(p, usual(subject.kind, x), atol=MATERIAL, rtol=MATERIAL) or not _ordered(x, p):
                break
            return Reading(lambda z, told=told: np.asarray(told(subject, np.asarray(z, dtype=np.float64), trusted=True)), how)
    return Reading(subject.predict, "usual")


def _ordered(x: Numbers, p: Numbers) -> bool:
    """Whether more raw means more of it: a greater prediction, or the greatest probability."""
    if x.ndim > 1:
        own = np.take_along_axis(p, x.argmax(axis=1)[:, None], axis=1)[:, 0]
        return bool((own >= p.max(axis=1) - MATERIAL).all())
    return bool((np.diff(p[np.argsort(x)]) >= -MATERIAL).all())


def _by_likelihood(subject: Subject, x: Numbers, trusted: bool = False) -> Numbers | None:
    """exp(-loss) where that is a distribution over the labels."""
    if subject.kind not in ("binary", "multiclass"):
        return None
    labels = subject.targets()
    p = np.exp(-np.stack([subject.value(x, np.full(len(x), k, dtype=labels.dtype)) for k in labels], axis=-1))
    if not trusted and not np.allclose(p.sum(axis=-1), 1.0, atol=MATERIAL):
        return None
    return p[:, 1] if subject.kind == "binary" else p


def _by_matching(subject: Subject, x: Numbers, trusted: bool = False) -> Numbers | None:
    """gradient + target where that does not depend on the target."""
    if subject.kind == "regression":
        return None
    found = []
    for y in subject.targets():
        t = np.eye(CLASSES)[int(y)] if subject.classes else y
        found.append(slope(subject, x, np.full(len(x), y)) + t)
        if trusted:
            return found[0]
    same = all(np.allclose(p, found[0], atol=1e-5 * (1 + np.abs(found[0]))) for p in found[1:])
    whole = not subject.classes or np.allclose(found[0].sum(axis=-1), 1.0, atol=1e-5)
    return found[0] if same and whole else None


def slope(subject: Subject, x: Numbers, y: NDArray[Any]) -> Numbers:
    """The gradient: the function's own, or by differences of five points, good to about 1e-10 of the value."""
    if subject.differentiable:
        return subject.gradient(x, y)
    h = 1e-3 if subject.convention.input == "raw" else 1e-3 * float(np.abs(x).min())
    along = [
        sum(c * subject.value(x + k * h * e, y) for k, c in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0))) / (12 * h)
        for e in (np.eye(CLASSES) if subject.classes else [1.0])
    ]
    return np.stack(along, axis=-1) if subject.classes else np.asarray(along[0])


# --- findings -----------------------------------------------------------------------------------------------------------------------


def rows_code(subject: Subject, shown: list[str]) -> list[str]:
    """Lines of a snippet: v, the loss of each row as a float, whatever the function reduces; then `shown`."""
    sign = "-" if subject.convention.sign < 0 else ""
    if subject.per_row:
        return [f"v = [{sign}float(a) for a in {subject.quote()}{'.sum(-1)' if subject.elementwise else ''}]", *shown]
    part = "[i]" if subject.scalar else "[i : i + 1]"
    others = [f"z{i}" if what == "identity" else f"z{i}{part}" for i, what in enumerate(subject.convention.others)]
    call = subject.callee.quote(subject.place("x" + part, "y" + part, others), {})
    return [f"v = [{sign}float({call}) for i in range(len(x))]", *shown]


def compared(
    subject: Subject, severity: str, message: str, right: Any, lower: Any, targets: NDArray[Any], weights: Any, **more: Any
) -> Finding:  # fmt: skip
    """A finding whose snippet prints the (expected) loss at the right prediction, and at another where it is no greater."""
    used = [k for k in range(len(targets)) if weights[k]]
    w, n = [round(float(weights[k]), 6) for k in used], len(used)
    x, y = np.stack([right] * n + [lower] * n), np.concatenate([targets[used]] * 2)
    got = (subject.value(x, y).reshape(2, n) @ w).tolist()
    if n > 1:
        more["weights"] = w
    sums = [f"w = {literal(w)}", *(f"print(sum(a * b for a, b in zip(w, v[{part}])))" for part in (f":{n}", f"{n}:"))]
    shown = sums if n > 1 else ["print(v)"]
    shown.append(f"# {literal(got)}: the second is no greater than the first, which is at the right prediction")
    return subject.finding(severity, message, x=x, y=y, code=rows_code(subject, shown), got=got, **more)


def sloping(subject: Subject, severity: str, message: str, x: Numbers, y: NDArray[Any], got: Any, right: Any) -> Finding:
    """A finding about the gradient at rows x, y (got and right: the first row's), whose snippet prints it or, without one, differences."""
    if subject.differentiable:
        return subject.finding(severity, message, x=x, y=y, show="gradient", got=got, expected=right)
    h, step = 2.0**-10, np.zeros(x.shape[1:])
    if subject.classes:
        step[int(np.abs(np.asarray(got) - right).argmax())] = h
    else:
        step = np.asarray(h if subject.convention.input == "raw" else h * x.min())
    n = len(x)
    shown = [f"print([(b - a) / {float(step.max())!r} for a, b in zip(v[:{n}], v[{n}:])])", f"# right: {literal(right)}"]
    return subject.finding(severity, message, x=np.concatenate([x, x + step]), y=np.concatenate([y, y]), code=rows_code(subject, shown),
                           got=got, expected=right)  # fmt: skip


def said(p: Any) -> str:
    """A prediction in a message."""
    if np.ndim(p):
        return "(" + ", ".join(said(a) for a in np.asarray(p)) + ")"
    return f"{float(p) + 0.0:.3g}" if abs(float(p)) >= 5e-4 else "0"
