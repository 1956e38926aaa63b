"""A loss along lines of predictions, and its derivatives by differences with an estimate of their error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.subject import Subject, silence
from matchloss.audit.checks._rows import Numbers, Rows, few, slow

STEPS = 8  # halvings of the step
TOLERANCE = 1e-5  # relative: what differences can tell, with room for a loss that is computed in float32
POINTS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 1.5, 3.0, 0.25, 15.0, 30.0, 0.1, 0.75, 1.345, 4.0, 7.0, 12.0, 17.0, 25.0, 35.0, 50.0, 1e-3,
          0.01, 75.0, 100.0, 250.0, 500.0, 1000.0)  # fmt: skip


@dataclass(frozen=True)
class Lines:
    """Points base + t direction with a target each; pointwise base is 0 and direction 1, so that t is the prediction."""

    s: Subject
    base: Numbers
    direction: Numbers
    y: NDArray[Any]

    def __len__(self) -> int:
        return len(self.base)

    def take(self, chosen: Any) -> Lines:
        """Some of them."""
        return Lines(self.s, self.base[chosen], self.direction[chosen], self.y[chosen])

    def x(self, t: Numbers) -> Numbers:
        """Predictions; t: (..., n), one column a line."""
        return self.base + t[..., None] * self.direction if self.s.classes else self.base + t * self.direction

    def rows(self, t: Numbers) -> Rows:
        """Predictions and targets at t, all in one list."""
        x, many = self.x(t), int(np.prod(t.shape[:-1]))
        return Rows(x.reshape(-1, *self.base.shape[1:]), np.concatenate([self.y] * many))

    def value(self, t: Numbers) -> Numbers:
        """Like t."""
        rows = self.rows(t)
        return few(self.s.value, rows).reshape(t.shape)

    def slope(self, t: Numbers, dtype: str = "float64") -> Numbers:
        """The gradient that is offered, along the line."""
        rows = self.rows(t)
        found = few(self.s.gradient, rows, dtype).reshape(*t.shape, *self.base.shape[1:])
        if not self.s.classes:
            return found * self.direction
        with silence():
            return np.where(self.direction != 0, found * self.direction, 0.0).sum(axis=-1)

    def bend(self, t: Numbers) -> Numbers:
        """The second derivative that is offered, along the line; of a diagonal along axes only."""
        rows, many = self.rows(t), int(np.prod(t.shape[:-1]))
        found = few(self.s.hessian, rows)
        if not self.s.classes:
            return found.reshape(t.shape) * self.direction**2
        d = np.concatenate([self.direction] * many)
        with silence():
            if found.ndim == 2:
                return np.where(d != 0, found * d**2, 0.0).sum(axis=1).reshape(t.shape)
            product = np.where(d[:, :, None] * d[:, None, :] != 0, d[:, :, None] * found * d[:, None, :], 0.0)
            return product.sum(axis=(1, 2)).reshape(t.shape)


@dataclass(frozen=True)
class Slopes:
    """Derivatives at t by differences to the left, on both sides and to the right, with estimates of their errors."""

    left: Numbers
    center: Numbers
    right: Numbers
    left_error: Numbers
    center_error: Numbers
    right_error: Numbers

    def agrees(self, found: Numbers, tolerance: Numbers) -> NDArray[np.bool_]:
        """Whether `found` is the derivative, or at a kink between the two."""
        with silence():
            near = np.abs(found - self.center) <= tolerance + 8 * self.center_error
            low = np.minimum(self.left - 8 * self.left_error, self.right - 8 * self.right_error) - tolerance
            high = np.maximum(self.left + 8 * self.left_error, self.right + 8 * self.right_error) + tolerance
            kink = np.abs(self.left - self.right) > 8 * (self.left_error + self.right_error) + tolerance
            return near | (kink & (found >= low) & (found <= high)) | ~np.isfinite(self.center + self.center_error)

    @property
    def kinks(self) -> NDArray[np.bool_]:
        """Where left and right clearly differ."""
        error = self.left_error + self.right_error + self.center_error
        with silence():
            return np.abs(self.left - self.right) > 16 * error + 1e-6 * (np.abs(self.left) + np.abs(self.right))


def slopes(function: Callable[[Numbers], Numbers], t: Numbers, h: Numbers, scale: float = 1.0, eps: float = 2.0**-52) -> Slopes:
    """By Richardson's extrapolation of differences with steps h, h / 2, ... (Ridders 1982); function: of an array of columns like t.

    scale: of the loss's own lengths, in steps of 8 h. eps: of the numbers that the function computes in, at least.
    """
    step = h * 0.5 ** np.arange(STEPS)[:, None]
    up, down, little = t + step, t - step, 2.0**-20 * np.maximum(1.0, np.abs(t)) * np.minimum(1.0, 8 * scale * h)
    found = function(np.concatenate([t[None], up, down, (t + little)[None], (t - little)[None]]))
    at, above, below = found[0], found[1 : STEPS + 1], found[STEPS + 1 : -2]
    with silence():  # a loss that is computed in less than float64 shows by what neighbours differ
        rough = np.abs(found[-2] - 2 * at + found[-1])
        known = np.isfinite(rough) & (at != 0) & (np.abs(t) <= 32)
        common = max(eps, float(np.quantile(rough[known] / np.abs(at[known]), 0.75)) if known.any() else 0.0)
        usual = float(np.median(np.abs(at[np.isfinite(at)]))) if np.isfinite(at).any() else 0.0
        noise = 4 * (common * np.maximum(np.maximum(np.abs(above), np.abs(below)), usual if common > 1e-8 else 0.0) + np.nan_to_num(rough))
        center = _extrapolated((above - below) / (up - down), 4.0, noise / step)
        right = _extrapolated((above - at) / (up - t), 2.0, noise / step)
        left = _extrapolated((at - below) / (t - down), 2.0, noise / step)
    return Slopes(left[0], center[0], right[0], left[1], center[1], right[1])


def _extrapolated(rough: Numbers, power: float, noise: Numbers) -> tuple[Numbers, Numbers]:
    """The best of the table, and the estimate of its error; rough: (steps, n), of steps that halve."""
    best, error = rough[-1].copy(), np.full(rough.shape[1], np.inf)
    row = rough
    for k in range(1, len(rough)):
        finer = (power**k * row[1:] - row[:-1]) / (power**k - 1)
        e = np.maximum(np.abs(finer - row[1:]), np.abs(finer - row[:-1])) + noise[k:]
        e = np.where(np.isfinite(finer), e, np.inf)
        which = e.argmin(axis=0)
        least, there = e[which, np.arange(e.shape[1])], finer[which, np.arange(e.shape[1])]
        better = least < error
        best, error = np.where(better, there, best), np.where(better, least, error)
        row = finer
    return best, error


def lines(s: Subject) -> tuple[Lines, Numbers, Numbers]:
    """Lines, places on them and first steps of differences."""
    if s.classes:
        return _class_lines(s)
    some = np.array(POINTS[:6] if slow(s) else POINTS)
    y = np.append(s.targets(), 0.375) if s.soft else s.targets()
    if s.convention.input == "raw" or s.kind == "regression":
        t = np.unique(np.concatenate([some, -some]))
        t, y = np.repeat(t, len(y)), np.tile(y, len(t))
        if s.kind == "regression" and not slow(s):
            near = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.345, -1.345, 2.0, -2.0, 0.05])
            t, y = np.append(t, np.repeat(s.targets(), len(near)) + np.tile(near, 3)), np.append(y, np.repeat(s.targets(), len(near)))
        h = np.maximum(1.0, np.abs(t) / 16) / 8
    else:
        small = 10.0 ** -np.arange(1.0, 5 if slow(s) else 13)
        if s.kind == "binary" and s.convention.input == "prediction":
            t = np.concatenate([[0.5, 0.25, 0.75, 0.375], small, 1 - small[:6]])
            room = np.minimum(t, 1 - t)
        else:
            t = np.concatenate([[0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0, 100.0, 1e3, 1e6], small])
            t = -t if s.convention.input == "log_prediction" else t
            room = np.abs(t)
        h, t, y = np.repeat(room / 4, len(y)), np.repeat(t, len(y)), np.tile(y, len(t))
    return Lines(s, np.zeros(len(t)), np.ones(len(t)), y), t, h


def _class_lines(s: Subject) -> tuple[Lines, Numbers, Numbers]:
    """Through ordinary rows, tied ones and certain ones along each class; probabilities are moved so that they add up to 1."""
    raw = np.array(
        [[0.0, 0, 0], [1, 0, 0], [0, 1, 1], [2, -1, 0.5], [0.25, 0.75, -0.5], [5, 0, -5], [0, 20, 1], [40, 0, 0], [1000, 1001, 1002]]
    )
    raw = raw[:4] if slow(s) else raw
    base = s.at(raw if s.convention.input == "raw" else raw[:7])
    y: Any = s.targets()
    if s.soft and not slow(s):
        y = np.concatenate([np.eye(3), [[0.5, 0.25, 0.25]]])
    axes = np.eye(3)
    if s.convention.input == "prediction":
        axes = np.array([[1.0, -1, 0], [0, 1, -1]])
    n, m, k = len(base), len(y), len(axes)
    b, d = np.repeat(base, m * k, axis=0), np.tile(axes, (n * m, 1))
    h = np.full(len(b), 0.125)
    if s.convention.input == "prediction":
        h = np.where(d != 0, b, 1).min(axis=1) / 4
    return Lines(s, b, d, np.tile(np.repeat(y, k, axis=0), (n, *[1] * (y.ndim - 1)))), np.zeros(len(b)), h


def compared(
    along: Lines, of: str, t: Numbers, h: Numbers, found: Numbers, relative: float, absolute: float
) -> tuple[NDArray[np.bool_], Slopes]:  # fmt: skip
    """Where what is offered is not the derivative of "value" or "slope", also not by smaller steps; and the derivatives."""

    def agrees(seen: Slopes, got: Numbers) -> NDArray[np.bool_]:
        return seen.agrees(got, relative * (np.abs(got) + np.abs(seen.center)) + absolute)

    eps = 2.0**-23 if along.s.narrow else 2.0**-52
    seen = slopes(getattr(along, of), t, h, eps=eps)
    bad = np.isfinite(found) & ~agrees(seen, found)
    if bad.any():
        bad[bad] = ~agrees(slopes(getattr(along.take(bad), of), t[bad], h[bad] / 256, 256.0, eps), found[bad])
    return bad, seen
