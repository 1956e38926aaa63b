"""Planted defects: losses with one thing wrong, of sizes from gross to .01, in NumPy, PyTorch and JAX, each with the checks that should
find it. Of size 0 they are sound: the twins. Written before any audit of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.audit_cases.case import names
from benchmarks.audit_cases.derivatives import DERIVATIVES, GROSS, Defect, cross_entropy, logistic, poisson, squared
from benchmarks.audit_cases.maths import Maths

# --- values -------------------------------------------------------------------------------------------------------------------------


def plain(rows: Callable[[Maths, Any, Any, float], Any]) -> Callable[[Maths, float], Any]:
    """A function of rows."""
    return lambda m, s: lambda raw, target: rows(m, raw, target, s)


def huber(m: Maths, raw: Any, target: Any, s: float) -> Any:
    d = raw - target
    return m.where(m.abs(d) <= 1, 0.5 * d * d, m.abs(d) - 0.5 + 0.5 * s)


def jumping(m: Maths, raw: Any, target: Any, s: float) -> Any:
    return squared(m, raw, target)[0] + s * (raw - target > 2)


def rounded(m: Maths, raw: Any, target: Any, s: float) -> Any:
    value = squared(m, raw, target)[0]
    return value + m.held(s * m.round(value / s) - value) if s else value


def wrong_branch(m: Maths, raw: Any, target: Any, s: float) -> Any:
    return m.where(raw > 20 * s, raw, logistic(m, raw, target)[0]) if s else logistic(m, raw, target)[0]


def unbounded(m: Maths, raw: Any, target: Any, s: float) -> Any:
    d = m.abs(raw - target)
    return m.where(d < 4, 0.5 * d * d, 8 - s * (d - 4)) if s else 0.5 * d * d


def capped(m: Maths, raw: Any, target: Any, s: float) -> Any:
    return m.exp(m.clip(raw, -1e9, 5.0) if s else raw) - target * raw


def gamma(m: Maths, raw: Any, target: Any, s: float) -> Any:
    return target * m.exp(-raw) + (1 + s) * raw


def log_cosh(m: Maths, raw: Any, target: Any, s: float) -> Any:
    d = raw - target
    return m.log(m.cosh(d)) if s else m.abs(d) + m.log1p(m.exp(-2 * m.abs(d))) - 0.6931471805599453


def nan_at_target(m: Maths, raw: Any, target: Any, s: float) -> Any:
    d = raw - target
    return m.abs(d) * d * d / (d * d) if s else m.abs(d)


def naive_softplus(m: Maths, raw: Any, target: Any, s: float) -> Any:
    return m.log(1 + m.exp(raw)) - target * raw if s else logistic(m, raw, target)[0]


def naive_logsumexp(m: Maths, logits: Any, labels: Any, s: float) -> Any:
    if not s:
        return cross_entropy(m, logits, labels)
    return m.log(m.total(m.exp(logits), 1)) - m.total(m.one_hot(labels, logits) * logits, 1)


def log_of_softmax(m: Maths, logits: Any, labels: Any, s: float) -> Any:
    if not s:
        return cross_entropy(m, logits, labels)
    return -m.log(m.total(m.one_hot(labels, logits) * m.softmax(logits), 1))


def clamped(m: Maths, raw: Any, target: Any, s: float) -> Any:
    if not s:
        return logistic(m, raw, target)[0]
    p = m.clip(m.sigmoid(raw), s, 1 - s)
    return -target * m.log(p) - (1 - target) * m.log(1 - p)


def inside_the_log(m: Maths, p: Any, target: Any, s: float) -> Any:
    if s:
        return -target * m.log(p + s) - (1 - target) * m.log(1 - p + s)
    one = m.ones_like(p)  # 0 log 0 is 0, and so is its derivative
    return -target * m.log(m.where(target > 0, p, one)) - (1 - target) * m.log1p(m.where(target < 1, -p, 0 * one))


def soft_power(m: Maths, logits: Any, distribution: Any, s: float) -> Any:
    rows = distribution ** (1 + s) * (m.logsumexp(logits)[:, None] - logits)
    return m.total(m.where(distribution != 0, rows, m.zeros_like(rows)), 1)  # of a masked logit 0 * inf is NaN


def short_normaliser(m: Maths, logits: Any, labels: Any, s: float) -> Any:
    less = m.log(1 - 0.99 * s * m.asarray(m.arange(logits.shape[1]) == 0))
    return m.logsumexp(logits + m.cast(less, str(logits.dtype).rpartition(".")[2])) - m.total(m.one_hot(labels, logits) * logits, 1)


def not_shifted(m: Maths, logits: Any, labels: Any, s: float) -> Any:
    return cross_entropy(m, logits, labels) + 0.1 * s * m.total(logits * logits, 1)


def half_inside(m: Maths, raw: Any, target: Any, s: float) -> Any:
    if not s:
        return squared(m, raw, target)[0]
    dtype = str(raw.dtype).rpartition(".")[2]
    return m.cast(squared(m, m.cast(raw, "float16"), m.cast(target, "float16"))[0], dtype)


VALUES = (
    Defect("jumps: a step", "regression", names("jumps"), plain(jumping)),
    Defect("jumps: Huber's constant", "regression", names("jumps"), plain(huber)),
    Defect("jumps: rounded", "regression", names("jumps, gradient, accuracy"), plain(rounded), (1.0, 0.1, 0.01)),
    Defect("jumps: the wrong branch in a tail", "binary", names("jumps, minimum"), plain(wrong_branch), (1.0, 0.25)),
    Defect("minimum: shifted", "regression", names("minimum"), plain(lambda m, r, y, s: squared(m, r, y + s)[0])),
    Defect("minimum: scaled", "regression", names("minimum"), plain(lambda m, r, y, s: squared(m, r, y * (1 + s))[0])),
    Defect("minimum: unbounded below", "regression", names("minimum"), plain(unbounded)),
    Defect("minimum: a power of a count", "count", names("minimum"), plain(lambda m, r, y, s: poisson(m, r, y ** (1 + s))[0])),
    Defect("minimum: a factor of a term", "positive", names("minimum"), plain(gamma)),
    Defect("minimum: the mean is capped", "count", names("minimum, jumps, gradient"), plain(capped), GROSS),
    Defect("finite: exp of a logit", "binary", names("finite"), plain(naive_softplus), GROSS),
    Defect("finite: exp of logits", "multiclass", names("finite"), plain(naive_logsumexp), GROSS),
    Defect("finite: log of a softmax", "multiclass", names("finite"), plain(log_of_softmax), GROSS),
    Defect("finite: cosh", "regression", names("finite"), plain(log_cosh), GROSS),
    Defect("finite: 0 over 0 at the target", "regression", names("finite"), plain(nan_at_target), GROSS),
    Defect(
        "accuracy: a probability clamped", "binary", names("accuracy, jumps, gradient, minimum, finite"), plain(clamped), (0.1, 0.01, 1e-7),
    ),
    Defect("proper: something inside the log", "binary", names("proper, minimum"), plain(inside_the_log), (0.1, 0.01)),
    Defect("proper: a power of the distribution", "multiclass", names("proper, minimum"), plain(soft_power)),
    Defect("proper: a class counts less in the normaliser", "multiclass", names("proper, minimum, invariance"), plain(short_normaliser)),
    Defect("invariance: a shift matters", "multiclass", names("invariance, proper, minimum"), plain(not_shifted)),
    Defect("dtype: half precision inside", "regression", names("dtype, accuracy, jumps, finite"), plain(half_inside), GROSS),
)  # fmt: skip


# --- reductions, weights, state -----------------------------------------------------------------------------------------------------


def reduced(m: Maths, rows: Any, reduction: str, mean: float = 1.0, total: float = 1.0) -> Any:
    if reduction == "none":
        return rows
    return m.mean(rows) * mean if reduction == "mean" else m.total(rows) * total


def scaled_mean(m: Maths, s: float) -> Any:
    def loss(raw: Any, target: Any, reduction: str = "mean") -> Any:
        return reduced(m, squared(m, raw, target)[0], reduction, mean=1 + s)

    return loss


def scaled_sum(m: Maths, s: float) -> Any:
    def loss(raw: Any, target: Any, reduction: str = "mean") -> Any:
        return reduced(m, squared(m, raw, target)[0], reduction, total=1 + s)

    return loss


def sum_first(m: Maths, s: float) -> Any:
    def loss(raw: Any, target: Any, reduction: str = "mean") -> Any:
        rows = squared(m, raw, target)[0]
        if s and reduction == "mean":
            return m.total(rows) / len(rows)
        return reduced(m, rows, reduction)

    return loss


def weighted(weigh: Callable[[Maths, Any, Any, float], Any]) -> Callable[[Maths, float], Any]:
    """A weighted mean; `weigh` makes it of rows and weights."""

    def make(m: Maths, s: float) -> Any:
        def loss(raw: Any, target: Any, sample_weight: Any = None) -> Any:
            rows = squared(m, raw, target)[0]
            if sample_weight is None:
                return m.mean(rows)
            return weigh(m, rows, sample_weight, s) if s else m.total(sample_weight * rows) / m.total(sample_weight)

        return loss

    return make


def ignoring(share: Callable[[float], float], count: Callable[[float], bool]) -> Callable[[Maths, float], Any]:
    """Cross entropy that ignores a label; share: what an ignored row still gives; count: whether it counts in the mean."""

    def make(m: Maths, s: float) -> Any:
        def loss(logits: Any, labels: Any, ignore_index: int = -100, reduction: str = "mean") -> Any:
            kept = m.asarray(labels != ignore_index)
            rows = cross_entropy(m, logits, m.where(kept, labels, m.zeros_like(labels)))
            rows = m.where(kept, rows, share(s) * rows)
            if reduction == "mean":
                return m.mean(rows) if count(s) else m.mean(rows) * (len(rows) / m.total(kept))  # a sum would overflow in float16
            return reduced(m, rows, reduction)

        return loss

    return make


class Drifting:
    """A loss that counts its calls."""

    def __init__(self, m: Maths, s: float) -> None:
        self.m, self.s, self.calls = m, s, 0

    def __call__(self, raw: Any, target: Any) -> Any:
        self.calls += 1
        return squared(self.m, raw, target)[0] * (1 + self.s * min(self.calls, 1000))


def noisy(m: Maths, s: float) -> Any:
    import numpy as np

    chance = np.random.default_rng()

    def loss(raw: Any, target: Any) -> Any:
        value = squared(m, raw, target)[0]
        return value * (1 + s * float(chance.random()))

    return loss


def in_place(m: Maths, s: float) -> Any:
    def loss(raw: Any, target: Any) -> Any:
        value = squared(m, raw, target)[0]
        if s:
            target -= s
        return value

    return loss


def coupled(m: Maths, s: float) -> Any:
    return lambda raw, target: squared(m, raw, target)[0] + s * m.mean(squared(m, raw, target)[0]) * (len(raw) > 1)


def memory_order(m: Maths, s: float) -> Any:
    """Reads its arrays' memory as if they were contiguous."""

    def dense(x: Any) -> Any:
        if m.name == "torch":
            return x if x.is_contiguous() else m.as_strided(x, x.shape, (1,) * x.ndim)
        return x if x.flags.c_contiguous or x.base is None else x.base.reshape(-1)[: x.size].reshape(x.shape)

    def loss(raw: Any, target: Any) -> Any:
        return squared(m, dense(raw) if s else raw, dense(target) if s else target)[0]

    return loss


def all_pairs(m: Maths, s: float) -> Any:
    def loss(raw: Any, target: Any) -> Any:
        if not s:
            return squared(m, raw, target)[0]
        return m.diagonal(squared(m, raw[:, None], target[None, :])[0])

    return loss


WHOLES = (
    Defect("reductions: the mean's factor", "regression", names("reductions"), scaled_mean),
    Defect("reductions: the sum's factor", "regression", names("reductions"), scaled_sum),
    Defect("reductions: the sum before the mean", "regression", names("reductions, finite, accuracy"), sum_first, GROSS),
    Defect("weights: ignored", "regression", names("weights"), weighted(lambda m, rows, w, s: m.mean(rows)), GROSS),
    Defect(
        "weights: a power", "regression", names("weights"),
        weighted(lambda m, rows, w, s: m.total(w ** (1 + s) * rows) / m.total(w ** (1 + s))),
    ),
    Defect(
        "weights: a row too far", "regression", names("weights"),
        weighted(lambda m, rows, w, s: m.total(m.rolled(w) * rows) / m.total(w)), GROSS,
    ),
    Defect(
        "weights: in the denominator alone", "regression", names("weights"),
        weighted(lambda m, rows, w, s: m.total(rows) / m.total(w)), GROSS,
    ),
    Defect(
        "weights: an ignored row counts in the mean", "multiclass", names("weights, reductions"),
        ignoring(lambda s: 0.0, lambda s: s > 0), GROSS,
    ),
    Defect("weights: an ignored row's share", "multiclass", names("weights, reductions"), ignoring(lambda s: s, lambda s: False)),
    Defect("purity: drift", "regression", names("purity"), Drifting, sound=lambda m: lambda raw, target: squared(m, raw, target)[0]),
    Defect(
        "purity: noise", "regression", names("purity"), noisy, frameworks=("numpy", "torch"),
        sound=lambda m: lambda raw, target: squared(m, raw, target)[0],
    ),
    Defect("purity: the target is written to", "regression", names("purity"), in_place, frameworks=("numpy", "torch")),
    Defect("purity: other rows matter", "regression", names("purity, reductions, layout"), coupled),
    Defect("layout: memory is read in order", "regression", names("layout"), memory_order, GROSS, ("numpy", "torch")),
    Defect("cost: all pairs", "regression", names("cost"), all_pairs, GROSS),
)  # fmt: skip

DEFECTS: tuple[Defect, ...] = (*DERIVATIVES, *VALUES, *WHOLES)
