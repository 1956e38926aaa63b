"""Whether a function behaves as a loss that is called so: least where predictions are right, and made of its rows, on fresh inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import CLASSES, FAILS, Subject, usual

CLOSE = 1e-4  # relative: a function may compute in float32


def tried(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call of the function gives; None where it fails."""
    try:
        with np.errstate(all="ignore"):
            return call(*arguments)
    except FAILS:
        return None


def is_that(s: Subject, value: Any, known: dict[str, Any], late: bool) -> bool:
    """Whether it is least where predictions are right, as far as the kind can tell."""
    if not np.isfinite(value).all() or np.ptp(value) == 0:
        return False
    if {"kind", "input", "sign", "target"} <= set(known) or (s.kind == "regression" and {"kind", "sign"} <= set(known)):
        return True
    return bool(tried(RECOGNISED[s.kind], s, {**known, "kind": s.kind} if late and s.kind != "multiclass" else known))


def _least_at(s: Subject, grid: Any, y: float) -> int:
    """Where along the grid the loss of the target is least."""
    return int(np.argmin(np.nan_to_num(s.value(grid, np.full(len(grid), y)), nan=np.inf, posinf=np.inf)))


def _is_regression(s: Subject, known: dict[str, Any]) -> bool:
    grid = np.arange(-64, 65) / 16
    if known.get("kind") == "regression":  # only the sign is to be found
        y = np.array([-2.0, 2.0])
        return bool((s.value(y, y) < s.value(y + 3.0, y)).all() and (s.value(y, y) < s.value(y - 3.0, y)).all())
    return all(abs(grid[_least_at(s, grid, y)] - y) <= 0.25 for y in (-1.5, 0.5, 2.0))


def _is_binary(s: Subject, known: dict[str, Any]) -> bool:
    p, raw = np.arange(1, 32) / 32, np.array([-3.0, -0.5, 0.5, 3.0])
    if s.convention.input == "prediction":
        ones, zeros = s.value(p, np.ones(31)), s.value(p, np.zeros(31))
        proper = all(abs(p[int(np.argmin(y * ones + (1 - y) * zeros))] - y) <= 0.05 for y in (0.25, 0.75))
        if not proper and not ((np.diff(ones) < 0).all() and (np.diff(zeros) > 0).all()):
            return False
        if "kind" in known and "input" not in known and answers(s, raw, np.ones(4)):
            return not (np.diff(s.value(raw, np.ones(4))) < 0).all()  # what goes on falling beyond 0 and 1 is no loss of probabilities
        return "kind" in known or not answers(s, np.array([1.5, 1.5]), np.array([0.0, 1.0]))
    if s.convention.input == "log_prediction":
        return "input" in known
    ones, zeros = s.value(raw, np.ones(4)), s.value(raw, np.zeros(4))
    falls = ones[0] > ones[1] > ones[2] >= ones[3] and zeros[3] > zeros[2] > zeros[1] >= zeros[0]
    if "input" in known or "kind" in known:
        return bool(falls)
    far = s.value(np.array([-9.0, 9.0]), np.array([0.0, 1.0]))  # a squared error would have grown again
    return bool(falls and far[0] <= zeros[0] and far[1] <= ones[3])


def answers(s: Subject, x: Any, y: Any) -> bool:
    """Whether it gives numbers for these."""
    value = tried(s.value, x, y)
    return value is not None and bool(np.isfinite(value).all())


def _is_positive(s: Subject, known: dict[str, Any]) -> bool:
    mean = 2.0 ** (np.arange(-32, 33) / 8)
    if s.kind == "count" and "kind" not in known:  # a target of 0 has a loss, and the least of them is not -inf
        low = s.at(np.array([-8.0, -16.0]))
        if not answers(s, low, np.zeros(2)) or s.value(low, np.zeros(2))[1] < s.value(low, np.zeros(2))[0] - 1.0:
            return False
    x = s.at(np.log(mean)) if s.convention.input == "prediction" else np.log(mean)
    return all(abs(np.log(mean[_least_at(s, x, y)]) - np.log(y)) <= 0.2 for y in (0.5, 3.0))


def _is_multiclass(s: Subject, known: dict[str, Any]) -> bool:
    r = np.random.default_rng(7)
    z = r.normal(size=(8, CLASSES))
    labels = np.arange(8) % CLASSES
    if not s.hard and "kind" not in known:
        rows = np.array([[0.2, 0.4, 0.7], [-1.0, -0.5, -2.0]])
        if tried(_of_vectors, s) or any(tried(_of_entries, s, x) for x in rows):
            return False
    if s.convention.input == "raw":
        base, moved = s.value(z, labels), s.value(z + r.normal(size=(8, 1)), labels)
        better = s.value(z + 2.0 * np.eye(CLASSES)[labels], labels)
        free = np.allclose(base, moved, rtol=1e-4, atol=1e-4) or (known.get("input", "") != "raw" and _scores(s, z, labels))
        if not free and "kind" in known and _beyond(s):
            return bool(better.mean() < base.mean())
        return bool(free and (better <= base).all() and (better < base).any())
    if "input" not in known and s.convention.input == "prediction" and (_scores(s, z, labels) or ("kind" in known and _beyond(s))):
        return False  # what is below 0 is no probability
    t, q = usual("multiclass", z), usual("multiclass", r.normal(size=(8, CLASSES)))

    def expected(p: Any) -> Any:
        x = p if s.convention.input == "prediction" else np.log(p)
        return sum(t[:, k] * s.value(x, np.full(8, k)) for k in range(CLASSES))

    return bool((expected(t) <= expected(q) + 1e-6).all() and (expected(t) < expected(q)).any())


def _scores(s: Subject, z: Any, labels: Any) -> bool:
    """Whether outputs are scores that are judged each by itself: one of the label falls in its own output, and in no other's rises."""
    own = np.eye(CLASSES)[labels]
    steps = [s.value(z + k * own, labels) for k in (0.0, 1.0, 8.0)]
    other = s.value(z + 8.0 * np.roll(own, 1, axis=1), labels)
    levels = len(np.unique(np.round(steps[0], 9)))
    return bool(levels > 3 and (np.diff(steps, axis=0) <= 0).all() and (other >= steps[0]).all() and (other > steps[0]).any())


def _beyond(s: Subject) -> bool:
    """Whether outputs below 0 are taken as they are, and make a certain prediction better still."""
    certain, labels = np.eye(CLASSES), np.arange(CLASSES)
    lower = certain - 0.5 * (1 - certain)
    if not answers(s, np.array([[-1.0, -0.5, -2.0]] * CLASSES), labels) or not answers(s, lower, labels):
        return False
    return bool((s.value(lower, labels) < s.value(certain, labels)).all())


def _of_vectors(s: Subject) -> bool:
    """Whether it is least where predictions are the target whatever numbers that has: then a target is no distribution."""
    y = np.array([[1.5, -2.0, 0.25], [-0.5, 3.0, -1.0]])
    steps = np.concatenate([np.eye(CLASSES), -np.eye(CLASSES)]) * 0.5
    x = np.concatenate([y[:1] + steps, y[1:] + steps])
    near, far = s.value(y, y), s.value(x, np.repeat(y, len(steps), axis=0)).reshape(2, -1)
    return bool(np.isfinite(near).all() and np.isfinite(far).all() and (far > near[:, None]).all())


def _of_entries(s: Subject, x: Any) -> bool:
    """Whether it is a sum over the entries of a row, each judged against its own target of 0 or 1: a loss of several yes-or-no labels."""
    first, second = np.array([0.1, 0, 0]), np.array([0, 0.15, 0])
    rows = np.stack([x, x + first, x + second, x + first + second])
    for y in (np.zeros(3), np.array([1.0, 1.0, 0.0])):
        v = s.value(rows, np.stack([y] * 4))
        if not np.isfinite(v).all() or not _close(v[3] - v[2] - v[1] + v[0] + 1.0, 1.0) or _close(v[1], v[0]):
            return False
    return True


RECOGNISED = {
    "regression": _is_regression, "binary": _is_binary, "count": _is_positive, "positive": _is_positive, "multiclass": _is_multiclass,
}  # fmt: skip


# --- predictions of the reading, on inputs that it was not found by -----------------------------------------------------------------


def contradicted(s: Subject) -> str:
    """What the reading predicts of fresh rows and does not hold: the text of it, or "" where all holds.

    A value a row does not change with the order of rows, nor with the others; the value of a batch is the mean or the sum of its rows', or
    that times what depends on their number alone, or of every prediction with every target. A function that gives two values for one call
    is let through: that is a defect, and the check of purity tells of it.
    """
    fresh = replace(s, seed=s.seed + 1)
    x, y = fresh.ordinary(7)
    try:
        v = fresh.value(x, y)
        if not np.allclose(v, fresh.value(x, y), rtol=CLOSE, atol=CLOSE):
            return ""
        if fresh.scalar:
            refused = tried(replace(fresh, scalar=False).call, x, y) is None  # as a function of single numbers does
            return "" if refused else "it takes arrays, and the value of a batch is not made of those of single rows"
        said = _of_rows(fresh, x, y, v) if fresh.per_row and fresh.anchor is None else _of_a_batch(fresh, x, y, v)
        return said or _of_places(fresh, x, y, v)
    except FAILS as error:
        return f"on fresh rows it {error}"


def _of_rows(s: Subject, x: Any, y: Any, v: Any) -> str:
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    if not _close(s.value(x[order], y[order]), v[order]):
        return "its values change when rows are put in another order"
    other, _ = s.ordinary(7)
    other[0] = x[0]
    if not _close(s.value(other, y)[:1], v[:1]):
        return "the value of a row changes with the predictions of other rows"
    return ""


def _of_a_batch(s: Subject, x: Any, y: Any, v: Any) -> str:
    whole = s.total(x, y)
    if _close(whole, v.mean()) or _close(whole, v.sum()):
        return ""
    z, t = s.ordinary(7)
    other = s.value(z, t)
    if v.sum() and other.sum() and _close(whole / v.sum(), s.total(z, t) / other.sum()):
        return ""
    pairs = s.value(np.repeat(x, 7, axis=0), np.concatenate([y] * 7))
    if _close(whole, pairs.mean()) or _close(whole, pairs.sum()):
        return ""
    return f"the value of 7 rows, {whole:.4g}, is neither the mean ({v.mean():.4g}) nor the sum ({v.sum():.4g}) of what it gives for each"


def _of_places(s: Subject, x: Any, y: Any, v: Any) -> str:
    """Where there are axes of places, such as pixels: an image is made of its places as a batch is of its rows."""
    if s.convention.layout in ("rows", "N,1"):
        return ""
    whole = s.signed(replace(s, together=True).call(x, y, reduction="none"))
    whole = whole.reshape(len(x), -1).sum(axis=1) if s.elementwise and whole.size == len(x) * CLASSES else whole
    if whole.size == len(x):
        return "" if _close(whole.ravel(), v) else "the value at a place changes with other places"
    whole = float(whole.sum())
    places = f"the value of {len(x)} places of one example, {whole:.4g}, is neither the mean nor the sum of what it gives for each"
    return "" if any(_close(whole, w) for w in (v.mean(), v.sum())) else places


def _close(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=CLOSE, atol=CLOSE * (1e-3 + float(np.max(np.abs(b))))))
