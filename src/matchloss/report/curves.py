"""The numbers behind the three pictures, all computed by the library itself; nothing here knows HTML.

A curve travels as few points with few digits. The slider in the page still shows exact curves, because a loss is either
linear in its target (two columns, `a + target * b`) or a function of raw - target alone (one column, shifted).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import matchloss as ml
from matchloss.losses import Simplex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matchloss.comparison.result import Comparison
    from matchloss.losses import Loss

    Array = NDArray[np.float64]

LABEL_KINDS = ("binary", "multiclass")
MAX_LOGITS = 100  # a longer row looks the same
SMALL = 900  # elements at a time, too few for compiled loops, whose compilation would not pay for a page
READINGS = 240  # steps on either side of the target at which a signal can be read
RAW_REACH = 6.0  # half the width of the raw axis for labels
KINKS = [s * k * (1 + e) for k in (0.5, 1.0) for s in (-1, 1) for e in (-1e-6, 1e-6)]  # where margins and links have corners


def numbers(values: Any, digits: int = 5) -> list[float | None]:
    """A list for JSON: `digits` significant digits, null where there is no finite number."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in np.asarray(values, dtype=float).ravel()]


def nice(x: float) -> float:
    """The least of 1, 2, 3, 4, 5, 6, 8 times a power of ten that is not below x."""
    scale = 10.0 ** math.floor(math.log10(x))
    return next(s * scale for s in (1, 2, 3, 4, 5, 6, 8, 10) if s * scale >= x * (1 - 1e-12))


# ---- one number in, prediction, value and gradient out: a pointwise loss as it is, a simplex loss along its first logit ----


def _rows(loss: Loss, raw: Array, width: int) -> Array:
    if not isinstance(loss.target_domain, Simplex):
        return raw
    rows = np.zeros((raw.size, width))
    rows[:, 0] = raw
    return rows


def _blocks(raw: Array, width: int) -> list[Array]:
    step = max(SMALL // width, 1)
    return [raw[i : i + step] for i in range(0, raw.size, step)]


def _predict(loss: Loss, raw: Array, width: int) -> Array:
    parts = [np.asarray(loss.predict(_rows(loss, block, width))) for block in _blocks(raw, width)]
    return np.concatenate([part[:, 0] if part.ndim == 2 else part for part in parts])


def _evaluate(loss: Loss, raw: Array, target: float, width: int) -> tuple[Array, Array]:
    """Value and gradient; for a simplex loss the target 1 is the label of the logit that moves and 0 is another one."""
    simplex = isinstance(loss.target_domain, Simplex)
    values, gradients = [], []
    for block in _blocks(raw, width):
        targets = np.full(block.size, 1 - int(target)) if simplex else np.full(block.size, float(target))
        value, gradient, _ = loss.evaluate(_rows(loss, block, width), targets)
        values.append(np.asarray(value))
        gradients.append(np.asarray(gradient)[:, 0] if simplex else np.asarray(gradient))
    return np.concatenate(values), np.concatenate(gradients)


def _is_shift(loss: Loss) -> bool:
    """Whether the loss depends on raw - target alone (exact in binary for these numbers)."""
    raw = np.array([-2.5, -0.75, 0.5, 3.0])
    try:
        here, there = _evaluate(loss, raw, 1.0, 2), _evaluate(loss, raw + 0.5, 1.5, 2)
    except ValueError:
        return False
    return all(np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(here, there, strict=True))


# ---- picture 1 ----


def _mixed(loss: Loss, raw: Array, x: Array, width: int, low: float = 0.0, high: float = 1.0) -> dict[str, Any]:
    """A loss linear in its target, by two targets: gradient and value are a + target * b, the value up to a term without raw."""
    v0, g0 = _evaluate(loss, raw, low, width)
    v1, g1 = _evaluate(loss, raw, high, width)
    with np.errstate(invalid="ignore"):
        slope_v, slope_g = (v1 - v0) / (high - low), (g1 - g0) / (high - low)
    columns = {"p": x, "r": raw, "g": g0 - low * slope_g, "gt": slope_g, "v": v0 - low * slope_v, "vt": slope_v}
    return {"form": "mixed"} | {k: numbers(v) for k, v in columns.items()}


def _label_curve(loss: Loss, width: int) -> dict[str, Any] | None:
    """Points spread evenly over the predictions, and over raw; None where predictions are only a few steps (a sign)."""
    fine = np.linspace(-20, 20, 2001)
    prediction = _predict(loss, fine, width)
    rising = np.flatnonzero(np.diff(prediction, prepend=-np.inf) > 0)
    raw = np.union1d(np.linspace(-RAW_REACH, RAW_REACH, 121), KINKS)
    steps = rising.size < 9
    if not steps:
        tail = 10.0 ** -np.arange(3, 9)
        even = np.concatenate([tail, np.linspace(0.005, 0.995, 97), 1 - tail])
        raw = np.union1d(raw, np.interp(even, prediction[rising], fine[rising]))
    return _mixed(loss, raw, _predict(loss, raw, width), width) | {"steps": steps}


def _simplified(x: Array, y: Array, tolerance: float) -> NDArray[np.intp]:
    """Indices of the points that a polyline needs to stay within `tolerance` of y (Ramer, Douglas and Peucker)."""
    keep = np.zeros(x.size, dtype=bool)
    keep[[0, -1]] = True
    stack = [(0, x.size - 1)]
    while stack:
        a, b = stack.pop()
        if b - a < 2:
            continue
        line = y[a] + (y[b] - y[a]) * (x[a + 1 : b] - x[a]) / (x[b] - x[a])
        gap = np.abs(y[a + 1 : b] - line)
        k = int(gap.argmax())
        if gap[k] > tolerance:
            keep[a + 1 + k] = True
            stack += [(a, a + 1 + k), (a + 1 + k, b)]
    return np.flatnonzero(keep)


def _squeezed(y: Array, limit: float) -> Array:
    """y inside the picture and its logarithm outside, so that readings outside are accurate to 1 in 10,000."""
    return np.where(np.abs(y) <= limit, y, np.sign(y) * limit * (1 + 10 * np.log(np.maximum(np.abs(y), limit) / limit)))


def _shifted(loss: Loss, reach: float, signal: float, value: float, step: float) -> dict[str, Any]:
    """A loss of d = raw - target on [-reach, reach], thinned where it is straight; exact signals at whole steps, to be read."""
    d = np.union1d(np.linspace(-reach, reach, 4001), [-1e-9, 0.0, 1e-9])  # a kink at 0 stays one
    v, g = _evaluate(loss, d, 0.0, 2)
    at_g, at_v = _simplified(d, _squeezed(g, signal), 0.0007 * signal), _simplified(d, _squeezed(v, value), 0.0007 * value)
    return {"form": "shifted", "gx": numbers(d[at_g], 6), "g": numbers(g[at_g]), "vx": numbers(d[at_v], 6), "v": numbers(v[at_v])} | {
        "read": numbers(_evaluate(loss, step * np.arange(-READINGS, READINGS + 1, dtype=np.float64), 0.0, 2)[1]),
    }


def _losses(comparison: Comparison) -> list[tuple[Loss, str]]:
    """The candidates, each with its parameters; for labels squared error comes first, for reference, against the prediction itself."""
    candidates = [(fit.loss, ", ".join(f"{k} = {v:.4g}" for k, v in fit.loss.parameters.items())) for fit in comparison.of_each_loss]
    reference = [(ml.SquaredError(), "for reference")] if comparison.kind in LABEL_KINDS else []
    return reference + candidates


def _legend(comparison: Comparison) -> list[dict[str, Any]]:
    return [{"title": loss.title, "matching": bool(loss.matching), "note": note, "name": loss.name} for loss, note in _losses(comparison)]


def _label_picture(comparison: Comparison) -> dict[str, Any]:
    width = min(max(len(comparison.classes), 2), MAX_LOGITS)
    views = [
        {"label": "prediction", "x": [0, 1], "key": "p", "cursor": 0.75, "step": 0.01, "xlabel": "prediction: the probability"},
        {"label": "raw output", "x": [-RAW_REACH, RAW_REACH], "key": "r", "cursor": 1.0, "step": 0.05, "xlabel": "raw output"},
    ]
    shared = {"signal": [-1.1, 1.1], "value": [0, 1.6], "target": [0, 1, 0.01, 0.3], "set": 0}
    return {
        "views": [view | shared for view in views],
        "sets": [[_label_curve(loss, width) for loss, _ in _losses(comparison)]],
        "width": width,
    }


def _step(window: float) -> float:
    """The step of both sliders: 1, 2 or 5 times a power of ten, at least 50 to a window."""
    power = 10.0 ** math.floor(math.log10(window / 50) + 1e-12)
    return next(s * power for s in (5, 2, 1) if s * power <= window / 50 * (1 + 1e-9))


def _on_grid(x: float, window: float) -> float:
    """x to the nearest step, so that every difference of prediction and target is a whole number of steps."""
    return round(x / _step(window)) * _step(window)


def _number_views(comparison: Comparison) -> list[dict[str, Any]]:
    """Windows on the prediction: one unit close up, where small losses differ, and the range of the data, where large ones do."""
    low, high = comparison.target_range
    middle, half = (low + high) / 2, nice(0.6 * (high - low) or 1.0)
    grain = 10.0 ** math.floor(math.log10(half))
    centre = 0.0 if low <= 0 <= high else round(middle / grain) * grain
    wide = round(middle / grain) * grain
    windows = [("the range of the data", wide, half)]
    if half > 6:
        windows.insert(0, ("close up", centre, 3.0))
    if half < 1.5:
        windows.append(("further away", centre, 3.0))
    return [
        {
            "label": label if len(windows) > 1 else "prediction",
            "x": [c - w, c + w],
            "key": "p",
            "signal": [-1.5 * w, 1.5 * w],
            "value": [0, 0.6 * w * w],
            "target": [c - _on_grid(0.75 * w, w), c + _on_grid(0.75 * w, w), _step(w), c - _on_grid(0.25 * w, w)],
            "cursor": c + _on_grid(0.5 * w, w),
            "step": _step(w),
            "xlabel": "prediction",
            "set": i,
        }
        for i, (label, c, w) in enumerate(windows)
    ]


def _count_views(comparison: Comparison, logarithmic: bool) -> list[dict[str, Any]]:
    """Predictions from 0 up; raw outputs from below 0 where some candidate's link is a logarithm."""
    high = nice(max(1.2 * comparison.target_range[1], 2.0))
    shared = {
        "signal": [-0.85 * high, high],
        "value": [0, high * high / 4],
        "target": [_on_grid(0.05 * high, high), _on_grid(0.75 * high, high), _step(high), _on_grid(0.4 * high, high)],
        "set": 0,
    }
    cursor = _on_grid(0.7 * high, high)
    views = [shared | {"label": "prediction", "x": [0, high], "key": "p", "cursor": cursor, "step": _step(high), "xlabel": "prediction"}]
    if logarithmic:
        raw = {"label": "raw output", "x": [-4, max(high, 4)], "key": "r", "cursor": 1.0, "step": 0.05, "xlabel": "raw output"}
        views.append(shared | raw)
    return views


def _mean_curve(loss: Loss, view: dict[str, Any]) -> dict[str, Any]:
    """A loss of a mean that is not a function of the difference, over the predictions of the window and a stretch of raw."""
    low, high = view["x"]
    prediction = np.concatenate([low + (high - low) * np.array([1e-4, 1e-3, 0.004]), np.linspace(low, high, 151)[1:]])
    inside = np.array([mu for mu in prediction if mu > 0])
    raw = np.union1d(np.asarray(loss.link(inside)), np.linspace(-4, math.log(4 * max(high, 4)), 81))
    first, second = max(low, 0.0) + 0.25 * (high - max(low, 0.0)), high
    return _mixed(loss, raw, _predict(loss, raw, 2), 2, first, second)


def _number_curve(loss: Loss, shift: bool, view: dict[str, Any]) -> dict[str, Any] | None:
    """None for a loss of neither form: the page leaves it out of the picture."""
    if shift:
        return _shifted(loss, 2 * (view["x"][1] - view["x"][0]) + 4, view["signal"][1], view["value"][1], view["step"])
    return _mean_curve(loss, view) if loss.linear_in_target else None


def _number_picture(comparison: Comparison) -> dict[str, Any]:
    losses = [loss for loss, _ in _losses(comparison)]
    shifts = [_is_shift(loss) for loss in losses]
    views = _count_views(comparison, not all(shifts)) if comparison.kind == "count" else _number_views(comparison)
    sets: dict[int, list[dict[str, Any] | None]] = {}
    for view in views:
        if view["set"] in sets:
            continue
        sets[view["set"]] = [_number_curve(loss, shift, view) for loss, shift in zip(losses, shifts, strict=True)]
    return {"views": views, "sets": [sets[i] for i in sorted(sets)], "width": 1}


def signals(comparison: Comparison) -> dict[str, Any]:
    """Picture 1: loss and error signal of every candidate against the prediction, or against raw, for any target."""
    picture = _label_picture(comparison) if comparison.kind in LABEL_KINDS else _number_picture(comparison)
    return picture | {"labels": comparison.kind in LABEL_KINDS, "losses": _legend(comparison)}


# ---- picture 2 ----


def log_sum_exp(width: int = 3) -> dict[str, Any]:
    """LogSumExp(z, 0, 0) is cross entropy at the label of a logit that is 0; its slope in z is the softmax of z."""
    loss = ml.CrossEntropy()
    z = np.linspace(-6, 6, 241)
    value, _ = _evaluate(loss, z, 0.0, width)
    return {"z": numbers(z), "lse": numbers(value, 7), "softmax": numbers(_predict(loss, z, width), 7), "width": width}


# ---- picture 3 ----


def one_label(frequencies: Sequence[float], runs: int = 256, drawn: int = 12, doublings: int = 14) -> dict[str, Any]:
    """Picture 3: the mean of the gradients at m sampled labels against the gradient at the distribution they come from.

    The model is one that has learned nothing: all logits 0. Beside cross entropy stands the absolute error of the probabilities,
    which is not linear in the target: the mean of its signals goes elsewhere.
    """
    p = np.asarray(frequencies, dtype=float)
    p = p / p.sum()
    k = p.size
    entropy, absolute = ml.CrossEntropy(), ml.AbsoluteError()
    logits = np.zeros(k)
    q = np.asarray(entropy.predict(logits[None, :]))[0]
    eye = np.eye(k)
    # One gradient a label is enough: every sampled row is one of these k.
    single = np.asarray(entropy.gradient(np.zeros((k, k)), np.arange(k)))
    single_absolute = np.asarray(absolute.gradient(np.tile(q, (k, 1)), eye))
    whole = np.asarray(entropy.gradient(logits[None, :], p[None, :]))[0]
    whole_absolute = np.asarray(absolute.gradient(q, p))
    sizes = 2 ** np.arange(doublings + 1)
    errors, biased, means = np.empty((runs, sizes.size)), np.empty((runs, sizes.size)), np.empty((sizes.size, k))
    for run in range(runs):
        rng = np.random.default_rng(run)
        counts = np.zeros(k)
        for i, m in enumerate(sizes):
            counts = counts + rng.multinomial(m - counts.sum(), p)
            mean = counts @ single / m
            errors[run, i] = np.linalg.norm(mean - whole)
            biased[run, i] = np.linalg.norm(counts @ single_absolute / m - whole_absolute)
            if run == 0:
                means[i] = mean
    order = np.argsort(-p, kind="stable")[:6]
    return {
        "m": sizes.tolist(),
        "errors": [numbers(row, 3) for row in errors[:drawn]],
        "typical": numbers(np.sqrt((errors**2).mean(0))),
        "theory": numbers(np.sqrt((1 - (p**2).sum()) / sizes)),
        "biased": numbers(np.sqrt((biased**2).mean(0))),
        "shown": order.tolist(),
        "q": numbers(q[order]),
        "p": numbers(p[order]),
        "whole": numbers(whole[order]),
        "means": [numbers(row[order]) for row in means],
        "runs": runs,
        "hidden": int(k - order.size),
    }
