"""Checks of what boosters call: an objective's gradient and hessian, weights and memory order, and whether a metric is of the same loss.

They bear the names of the checks of losses: what each promises is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.calls import silence
from matchloss.audit.calling.metrics import Metric
from matchloss.audit.calling.objective_code import snippet
from matchloss.audit.calling.objectives import CATBOOST, KINDS, LIGHTGBM, NAMES, START, Boosted
from matchloss.audit.checks._check import Skip
from matchloss.audit.finding import Finding

Array = NDArray[Any]
STEP = 1e-3  # of differences: a function may compute in float32
CLOSE = 2e-3
ROWS = 8


@dataclass(frozen=True)
class Tried:
    """An objective on a grid of raw predictions for each target; (targets, grid). Of several classes: on rows that vary in one logit."""

    b: Boosted

    @cached_property
    def grid(self) -> Array:
        """Raw predictions, at no target."""
        return np.linspace(-4.0, 4.0, 41) + 0.0137

    @cached_property
    def targets(self) -> Array:
        """What is allowed."""
        return np.arange(self.b.classes) * 1.0 if self.b.classes else np.array(KINDS[self.b.kind])

    def ask(self, raw: Array, target: float) -> tuple[Array, Array]:
        """Gradient and hessian in one raw output: the only one, or that of the target's class."""
        y = np.full(len(raw), target)
        if not self.b.classes:
            return self.b.slopes(raw, y)
        k = int(target)
        logits = np.zeros((len(raw), self.b.classes)) + 0.3 * np.arange(self.b.classes)
        logits[:, k] = raw
        gradient, hessian = self.b.slopes(logits, y)
        return gradient[:, k], hessian[:, k, k] if hessian.ndim == 3 else hessian[:, k]

    @cached_property
    def both(self) -> tuple[Array, Array]:
        """Gradients and hessians."""
        found = [self.ask(self.grid, t) for t in self.targets]
        return np.array([g for g, _ in found]), np.array([h for _, h in found])

    @cached_property
    def slope(self) -> Array:
        """Of the gradient, by differences; NaN where it has a kink."""
        sides = []
        for t in self.targets:
            down, here, up = (self.ask(self.grid + s, t)[0] for s in (-STEP, 0.0, STEP))
            left, right = (here - down) / STEP, (up - here) / STEP
            size = np.abs(left) + np.abs(right)
            sides.append(np.where(np.abs(left - right) <= 0.02 * size + 1e-3 * np.abs(here) + 1e-9, (left + right) / 2, np.nan))
        return np.array(sides)

    @cached_property
    def sign(self) -> int:
        """-1 where the gradient has the sign of a gain: of a higher target it must be lower; of several classes lowest in the target's."""
        if self.b.classes:
            return -1 if (self.both[0] >= -1e-12).all() and (self.both[0] > 1e-9).any() else 1
        apart = self.both[0][:-1] - self.both[0][1:]
        size = 1e-9 * np.abs(self.both[0]).max()
        return -1 if (apart <= size).all() and (apart < -size).any() else 1

    def at(self, where: tuple[Any, ...]) -> tuple[float, float]:
        """The raw prediction and the target of an entry."""
        return float(self.grid[where[1]]), float(self.targets[where[0]])


def finite(tried: Tried) -> Iterator[Finding]:
    """Gradient and hessian are finite numbers for raw predictions up to 50, in float32 as well."""
    b = tried.b
    for dtype, far, t in product(("float64", "float32"), (-50.0, -20.0, 0.0, 20.0, 50.0), tried.targets):
        raw = np.zeros((2, b.classes) if b.classes else 2, dtype=dtype)
        raw[..., int(t) if b.classes else slice(None)] = far
        for what, got in zip(("gradient", "hessian"), b.slopes(raw, np.full(2, t)), strict=True):
            if not np.isfinite(got).all():
                bad = got[~np.isfinite(got)][0]
                message = f"at raw {far:g}, target {t:g} in {dtype} the {what} is {bad}: the host goes on in silence, to trees of NaN or 0"
                yield found(b, "error", message, far, float(t), bad)
                return


def gradient(tried: Tried) -> Iterator[Finding]:
    """The gradient is that of a loss in the raw prediction: trees go down it."""
    b, (g, h) = tried.b, tried.both
    if not np.isfinite(g).all():
        raise Skip("it is not finite")
    if tried.sign < 0:
        i = np.unravel_index(int(np.argmax(np.abs(g))), g.shape)
        raw, t = tried.at(i)
        got = -g[i] if b.host == CATBOOST else g[i]
        right = "der1 is minus the gradient, such as target - prediction" if b.host == CATBOOST else "such as prediction - target"
        where = "the first derivative" if b.host == CATBOOST else "the gradient"
        message = f"at raw {raw:.4g}, target {t:g} {where} is {got:.4g}, with the wrong sign ({right}): each tree makes the loss greater"
        yield found(b, "error", message, raw, t, got, -got)
        return
    p = 1 / (1 + np.exp(-tried.grid))
    fits = np.isfinite(tried.slope) & (np.abs(tried.slope) > 1e-9) & (h > 0)
    if b.kind == "binary" and fits.sum() >= 20 and not b.classes:
        with silence():
            ratio = np.log(np.abs(h / tried.slope)) + np.log(p * (1 - p))
        if np.abs(ratio[fits]).max() < 0.02:
            i = (len(g) - 1, int(np.argmin(tried.grid)))
            raw, t = tried.at(i)
            got, right = g[i], g[i] * p[i[1]] * (1 - p[i[1]])
            message = (
                f"at raw {raw:.4g}, target {t:g} the gradient is {got:.4g}: it is the derivative in the probability p, and lacks the "
                f"chain's factor p (1 - p), with which it is {right:.4g}; the hessian is one in p too"
            )
            yield found(b, "error", message, raw, t, got, right)


def minimum(tried: Tried) -> Iterator[Finding]:
    """The gradient changes its sign at the best prediction; what the trees start from is not far off."""
    b, g = tried.b, tried.sign * tried.both[0]
    if b.classes or not np.isfinite(g).all():
        raise Skip("it has several outputs a row" if b.classes else "its gradient is not finite")
    inside = [j for j, t in enumerate(tried.targets) if t > 0]
    one_sided = (g > 0).all() or (g < 0).all() if b.kind == "binary" else all((g[j] >= 0).all() or (g[j] <= 0).all() for j in inside)
    if one_sided and g.any():
        j = len(tried.targets) - 1
        raw, t = tried.at((j, 0))
        message = (
            f"at raw {raw:.4g}, target {t:g} the gradient is {g[j, 0]:.4g}, and it has the same sign on the other side of the target: its "
            "sign is lost (by a square, say), so that trees push every prediction the same way without end"
        )
        yield found(b, "error", message, raw, t, g[j, 0])
        return
    best, start = _best_constant(tried), START[b.host]
    if b.host and best is not None and abs(best - start) > 0.25:
        option = {"xgboost": "base_score", "lightgbm": "init_score", "catboost": "baseline"}[b.host]
        message = (
            f"trees of a custom objective start at {start:g} in {NAMES[b.host]}; for the targets "
            f"{', '.join(f'{t:g}' for t in tried.targets)} the best constant is {round(best, 4) + 0.0:g}: give it as {option}"
        )
        yield found(b, "note", message)


def _best_constant(tried: Tried) -> float | None:
    """Where the mean gradient over the targets is 0."""

    def mean(z: float) -> float:
        return float(np.mean([tried.sign * tried.ask(np.array([z]), t)[0][0] for t in tried.targets]))

    low, high = -10.0, 10.0
    if not mean(low) < 0 < mean(high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < 0 else (low, middle)
    return (low + high) / 2


def hessian(tried: Tried) -> Iterator[Finding]:
    """The hessian is >= 0, and the slope of the gradient, times a number that is said; or it stands in for it from above."""
    b, (g, h), slope = tried.b, tried.both, tried.sign * tried.slope
    name = "der2" if b.host == CATBOOST else "the hessian"
    if b.form == "multi" and b.slopes(np.zeros((2, b.classes)), np.zeros(2))[1].ndim != 3:
        message = (
            f"calc_ders_multi returns der2 as a vector of {b.classes} numbers, where CatBoost takes a matrix of {b.classes} x {b.classes}"
        )
        yield found(b, "error", message, rows=(np.zeros((1, b.classes)), np.zeros(1)))
        return
    if not np.isfinite(h).all():
        raise Skip("it is not finite")
    size = np.abs(h).max()
    if size == 0 or (np.abs(h) <= 1e-12).all():
        yield found(b, "error", f"{name} is 0 everywhere: trees divide by it, and min_child_weight lets no leaf be made", got=0.0)
        return
    low = h < -1e-9 * size
    if low.any():
        i = np.unravel_index(int(np.argmin(h)), h.shape)
        raw, t = tried.at(i)
        got, allowed = (-h[i], "<= 0") if b.host == CATBOOST else (h[i], ">= 0")
        message = f"at raw {raw:.4g}, target {t:g} {name} is {got:.4g}; allowed: {allowed}. Leaves divide by its sum, and go the wrong way"
        yield found(b, "error", message, raw, t, got)
        return
    empty = (h <= 1e-12 * size) & (np.abs(g) > 1e-3 * np.abs(g).max())
    if empty.any():
        raw, t = tried.at(np.unravel_index(int(np.argmax(empty)), h.shape))
        message = (
            f"at raw {raw:.4g}, target {t:g} {name} is 0 and the gradient is not: a leaf of such rows divides by the regularisation alone, "
            "and min_child_weight refuses it; 1 would do"
        )
        yield found(b, "warning", message, raw, t, 0.0)
        return
    yield from _against_slope(tried, h, slope, name)


def _against_slope(tried: Tried, h: Array, slope: Array, name: str) -> Iterator[Finding]:
    """How the hessian compares with the slope of the gradient."""
    fits = np.isfinite(slope) & (slope > 1e-2 * np.nanmax(np.abs(slope), initial=1e-300))  # the rest is rounding of float32
    if not fits.any():
        return
    ratio = h[fits] / slope[fits]
    if np.ptp(ratio) <= CLOSE * np.abs(ratio).max():
        factor = float(np.median(ratio))
        if abs(factor - 1) > CLOSE:
            message = (
                f"{name} is {factor:.6g} times the slope of the gradient, so that steps are {1 / factor:.3g} times as long; lambda and "
                "min_child_weight are in its units"
            )
            yield found(tried.b, "note", message)
        return
    if np.ptp(h) <= 1e-9 * np.abs(h).max() or np.ptp(h, axis=0).max() <= CLOSE * np.abs(h).max() or ratio.min() >= 1 - 10 * CLOSE:
        yield found(
            tried.b, "note", f"{name} stands in for the slope of the gradient: it is {ratio.min():.4g} to {ratio.max():.4g} times it"
        )
        return
    places = np.argwhere(fits)
    i = tuple(int(v) for v in places[int(np.argmin(ratio))])
    raw, t = tried.at(i)
    message = (
        f"at raw {raw:.4g}, target {t:g} {name} is {h[i]:.4g}, where the gradient's slope is {slope[i]:.4g}: it is neither the slope nor "
        "above it, and steps are too long there"
    )
    yield found(tried.b, "warning", message, raw, t, h[i], slope[i])


def weights(tried: Tried) -> Iterator[Finding]:
    """Gradient and hessian of a row are multiplied by its weight: the hosts leave that to the objective."""
    b = tried.b
    if not b.weighted:
        raise Skip("it is given no weights")
    raw, y = _ordinary(tried)
    w = np.resize([1.0, 2.0, 0.5, 3.0], ROWS)
    plain, weighted = b.slopes(raw, y), b.slopes(raw, y, w)
    asked = [w.reshape(-1, *[1] * (part.ndim - 1)) * part for part in plain]
    right = [np.allclose(got, want, rtol=1e-5, atol=1e-9 * np.abs(want).max()) for got, want in zip(weighted, asked, strict=True)]
    same = [np.allclose(got, part, rtol=1e-9, atol=0) for got, part in zip(weighted, plain, strict=True)]
    if all(right):
        return
    if all(same):
        yield found(
            b,
            "warning",
            "weights have no effect: the hosts leave it to the objective to multiply both the gradient and the hessian by them",
        )
        return
    what = "gradient" if not right[0] else "hessian"
    k = 0 if not right[0] else 1
    i = int(np.argmax(np.abs(weighted[k] - asked[k]).reshape(ROWS, -1).max(axis=1)))
    got, want = weighted[k][i].ravel()[0], asked[k][i].ravel()[0]
    message = f"with a weight of {w[i]:g} a row's {what} is {got:.4g}, where {want:.4g} is right"
    yield found(b, "error", message, got=got, right=want, rows=(raw[i : i + 1], y[i : i + 1], w[i : i + 1]))


def layout(tried: Tried) -> Iterator[Finding]:
    """Of several classes: a row's numbers stand where the host looks for that row; inputs are left as they are."""
    b = tried.b
    raw, y = _ordinary(tried)
    if not b.form.startswith(("range", "multi")):
        kept = (np.array(raw), np.array(y))
        given = b.arrays(kept[0], kept[1], None)
        with silence():
            b.fn(*given)
        if not (np.array_equal(kept[0], raw) and np.array_equal(kept[1], y)):
            yield found(b, "error", "it writes to the predictions or the targets that it is given: the host uses them again")
    if not b.classes or b.form == "multi":
        return
    out = b.returned(raw, y)
    own = _own_rows(b, raw, y, b.host)
    if own < 0.99:
        other = LIGHTGBM if b.host != LIGHTGBM else "xgboost"
        flat = np.ndim(out[0]) == 1
        order = ("class after class (order F)", "row after row (order C)")
        here, there = order if b.host == LIGHTGBM else order[::-1]
        why = f"{NAMES[b.host]} reads them {here}"
        if flat and _own_rows(b, raw, y, other) > 0.99:
            why += f", and they stand {there}"
        message = f"when a row's prediction moves, {1 - own:.0%} of what changes stands in other rows' places: {why}"
        yield found(b, "error", message, rows=(raw[: b.classes].round(3), y[: b.classes]))
    elif b.host == LIGHTGBM and np.ndim(out[0]) == 1 and not _reads_as_it_writes(b, raw, y, out):
        message = (
            "given the predictions class after class in one row of numbers, as LightGBM before 4.0 does, it reads them row after row, and "
            "writes the gradient class after class: there each row trains on other rows' errors"
        )
        yield found(b, "warning", message)


def _reads_as_it_writes(b: Boosted, raw: Array, y: Array, out: Any) -> bool:
    """Whether predictions in one row of numbers, class after class, give what they give as an array; or are refused."""
    try:
        with silence():
            flat = np.asarray(b.fn(*b.arrays(raw.ravel("F"), y, None))[0]).ravel()
        return flat.shape != np.shape(out[0]) or bool(np.allclose(flat, out[0], rtol=1e-5, atol=1e-9))
    except Exception:
        return True


def _own_rows(b: Boosted, raw: Array, y: Array, host: str) -> float:
    """The share of a row's change, when its prediction changes, that is found in its own row; 0 where a row's own class is not lowest."""
    first = b.read(b.returned(raw, y), len(raw), host)[0]
    share = []
    for i in range(len(raw)):
        moved = raw.copy()
        moved[i] += np.linspace(-1.0, 1.5, b.classes)
        change = np.abs(b.read(b.returned(moved, y), len(raw), host)[0] - first).sum(axis=1)
        share.append(change[i] / change.sum() if change.sum() else 0.0)
    return float(np.mean(share))


def _ordinary(tried: Tried) -> tuple[Array, Array]:
    """A few ordinary rows."""
    rng = np.random.default_rng(tried.b.seed)
    raw = rng.normal(size=(ROWS, tried.b.classes) if tried.b.classes else ROWS)
    return raw, np.resize(tried.targets, ROWS)


def metric(tried: Tried, measured: Metric) -> Iterator[Finding]:
    """The metric's slope in each prediction is the gradient of the objective, times one number: early stopping watches what is trained."""
    raw, y = _ordinary(tried)
    g = tried.sign * tried.b.slopes(raw, y)[0]
    slope = measured.slopes(raw, y)
    if not np.abs(slope).max() > 0:
        message = "the metric does not move with small changes of the predictions: it counts, and is of no loss that could be compared"
        yield found(tried.b, "note", message)
        return
    factor = float((slope * g).sum() / (g * g).sum())
    apart = np.abs(slope - factor * g).max() / np.abs(slope).max()
    if factor < 0 and apart < 0.5:
        yield found(tried.b, "error", "the metric grows as the objective's loss falls: early stopping keeps the worst round")
    elif apart > 0.02:
        i = int(np.argmax(np.abs(slope - factor * g).reshape(ROWS, -1).max(axis=1)))
        at, got, want = np.round(raw[i], 3).tolist(), np.ravel(slope[i])[0] / factor, np.ravel(g[i])[0]
        message = (
            f"objective and metric are not of the same loss: at raw {at}, target {y[i]:g} the metric's slope is {got:.4g} where the "
            f"gradient is {want:.4g}, in the same units; early stopping watches another loss"
        )
        yield found(tried.b, "warning", message)


CHECKS: dict[str, Callable[[Tried], Iterator[Finding]]] = {
    "finite": finite,
    "gradient": gradient,
    "hessian": hessian,
    "minimum": minimum,
    "weights": weights,
    "layout": layout,
}


def found(
    b: Boosted, severity: str, message: str, raw: float | None = None, target: float = 0.0, got: Any = None, right: Any = None,
    rows: tuple[Any, ...] = (),
) -> Finding:  # fmt: skip
    """A finding, with code that shows it; rows: raw predictions, targets and perhaps weights, where it is not of one row."""
    example: dict[str, Any] = {} if raw is None else {"prediction": raw, "target": target}
    example |= {name: float(v) for name, v in (("got", got), ("right", right)) if v is not None}
    if raw is not None and not b.classes:
        rows = (np.array([raw]), np.array([target]))
    return Finding("", severity, message, example, snippet(b, *rows) if rows else "")
