"""Planted defects of derivatives, and what all planted defects are made of: losses with one thing wrong, of sizes from gross to .01."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.audit_cases.case import Names, names
from benchmarks.audit_cases.maths import FRAMEWORKS, Maths, maths

Three = Callable[[Maths, Any, Any], tuple[Any, Any, Any]]  # (raw, target) -> value, gradient, hessian
Bend = Callable[[Maths, Any, Any, Any], Any]  # (raw, target, right) -> what stands in for it
SIZES = (1.0, 0.1, 0.01)
GROSS = (1.0,)


@dataclass(frozen=True)
class Defect:
    """A kind of defect. make: its function for a size; sound: the twin without it."""

    name: str
    kind: str  # of target
    checks: Names
    make: Callable[[Maths, float], Any]
    sizes: tuple[float, ...] = SIZES
    frameworks: tuple[str, ...] = FRAMEWORKS
    sound: Callable[[Maths], Any] | None = None  # by default that of size 0

    def of(self, framework: str, size: float) -> Any:
        """The function with the defect."""
        return self.make(maths(framework), size)

    def twin(self, framework: str) -> Any:
        """The function without it."""
        m = maths(framework)
        return self.make(m, 0.0) if self.sound is None else self.sound(m)


# --- sound losses -------------------------------------------------------------------------------------------------------------------


def squared(m: Maths, raw: Any, target: Any) -> tuple[Any, Any, Any]:
    d = raw - target
    return 0.5 * d * d, d, m.ones_like(d)


def logistic(m: Maths, raw: Any, target: Any) -> tuple[Any, Any, Any]:
    p = m.sigmoid(raw)
    return target * m.softplus(-raw) + (1 - target) * m.softplus(raw), p - target, p * m.sigmoid(-raw)


def poisson(m: Maths, raw: Any, target: Any) -> tuple[Any, Any, Any]:
    mu = m.exp(raw)
    return mu - target * raw, mu - target, mu


def cross_entropy(m: Maths, logits: Any, labels: Any) -> Any:
    return m.logsumexp(logits) - m.total(m.where(m.one_hot(labels, logits) > 0, logits, m.zeros_like(logits)), 1)


# --- derivatives --------------------------------------------------------------------------------------------------------------------


class Own:
    """A NumPy loss with derivatives of its own."""

    def __init__(self, three: Three, gradient: Bend | None, hessian: Bend | None) -> None:
        self.three, self.bent, self.m = three, (gradient, hessian), maths("numpy")

    def value(self, raw: Any, target: Any) -> Any:
        return self.three(self.m, raw, target)[0]

    def gradient(self, raw: Any, target: Any) -> Any:
        right, bend = self.three(self.m, raw, target)[1], self.bent[0]
        return right if bend is None else bend(self.m, raw, target, right)

    def hessian(self, raw: Any, target: Any) -> Any:
        right, bend = self.three(self.m, raw, target)[2], self.bent[1]
        return right if bend is None else bend(self.m, raw, target, right)


def bent(m: Maths, three: Three, gradient: Bend | None = None, hessian: Bend | None = None) -> Any:
    """A loss whose derivatives are others than its value's: a NumPy object with methods, or a function that differentiates so."""
    if m.name == "numpy":
        return Own(three, gradient, hessian)

    def loss(raw: Any, target: Any) -> Any:
        value, slope, curve = three(m, raw, target)
        step = m.where(m.isfinite(raw), raw - m.held(raw), 0.0 * m.held(raw))  # 0, with a derivative of 1
        step = m.where(m.isnan(step), m.zeros_like(step), step)
        out = value
        if gradient is not None:
            out = out + m.held(gradient(m, raw, target, slope) - slope) * step
        if hessian is not None:
            out = out + 0.5 * m.held(hessian(m, raw, target, curve) - curve) * step * step
        return out

    return loss


def slope_of(three: Three, bend: Callable[[float], Bend]) -> Callable[[Maths, float], Any]:
    """A wrong gradient, of each size."""
    return lambda m, s: bent(m, three, gradient=bend(s) if s else None)


def curve_of(three: Three, bend: Callable[[float], Bend]) -> Callable[[Maths, float], Any]:
    """A wrong hessian, of each size."""
    return lambda m, s: bent(m, three, hessian=bend(s) if s else None)


def nan_at_zero(m: Maths, s: float) -> Any:
    """|d| as the root of its square."""
    if m.name == "numpy":

        def absolute(m: Maths, raw: Any, target: Any) -> tuple[Any, Any, Any]:
            d = raw - target
            return m.sqrt(d * d), d / m.sqrt(d * d) if s else m.sign(d), m.zeros_like(d)

        return bent(m, absolute)
    return lambda raw, target: m.sqrt((raw - target) ** 2) if s else m.abs(raw - target)


def one_class(m: Maths, s: float) -> Any:
    """The gradient in the last logit is off."""

    def loss(logits: Any, labels: Any) -> Any:
        extra = s * (m.softmax(logits) - m.one_hot(labels, logits)) * (m.arange(logits.shape[1]) == logits.shape[1] - 1)
        step = m.where(m.isfinite(logits), logits - m.held(logits), 0.0 * m.held(logits))
        return cross_entropy(m, logits, labels) + m.total(m.held(extra) * m.where(m.isnan(step), m.zeros_like(step), step), 1)

    return loss


def detached_normaliser(m: Maths, s: float) -> Any:
    """What the softmax divides by is held constant."""

    def loss(logits: Any, labels: Any) -> Any:
        normaliser = m.logsumexp(logits)
        return (m.held(normaliser) if s else normaliser) - m.total(m.where(m.one_hot(labels, logits) > 0, logits, m.zeros_like(logits)), 1)

    return loss


DIFFERENTIABLE = ("torch", "jax")
DERIVATIVES = (
    Defect("gradient: the sign", "binary", names("gradient"), slope_of(logistic, lambda s: lambda m, r, y, g: -g), GROSS),
    Defect("gradient: a factor", "regression", names("gradient"), slope_of(squared, lambda s: lambda m, r, y, g: (1 + s) * g)),
    Defect("gradient: a constant more", "regression", names("gradient"), slope_of(squared, lambda s: lambda m, r, y, g: g + s)),
    Defect(
        "gradient: a factor on a band", "regression", names("gradient"),
        slope_of(squared, lambda s: lambda m, r, y, g: g * (1 + s * ((g > 0.5) & (g < 1.5)))),
    ),
    Defect(
        "gradient: a factor where the label is 1", "binary", names("gradient"),
        slope_of(logistic, lambda s: lambda m, r, y, g: g * (1 + s * y)),
    ),
    Defect(
        "gradient: 0 far off", "regression", names("gradient"),
        slope_of(squared, lambda s: lambda m, r, y, g: g * (abs(g) < 10 * s)), (1.0, 0.1),
    ),
    Defect(
        "gradient: clipped", "regression", names("gradient"),
        slope_of(squared, lambda s: lambda m, r, y, g: m.clip(g, -1 / s, 1 / s)), (1.0, 0.1),
    ),
    Defect(
        "gradient: the chain's factor is missing", "binary", names("gradient"),
        slope_of(logistic, lambda s: lambda m, r, y, g: g / (m.sigmoid(r) * m.sigmoid(-r) + 1e-3)), GROSS,
    ),
    Defect(
        "gradient: rounded", "regression", names("gradient"),
        slope_of(squared, lambda s: lambda m, r, y, g: s * m.round(g / s)), (0.1, 0.01),
    ),
    Defect(
        "gradient: of the mean, not its log", "count", names("gradient"),
        slope_of(poisson, lambda s: lambda m, r, y, g: g * m.exp(-r)), GROSS,
    ),
    Defect("gradient: NaN at 0", "regression", names("gradient, finite"), nan_at_zero, GROSS),
    Defect("gradient: one class", "multiclass", names("gradient"), one_class, frameworks=DIFFERENTIABLE),
    Defect("gradient: the normaliser is held", "multiclass", names("gradient"), detached_normaliser, GROSS, DIFFERENTIABLE),
    Defect("hessian: a factor", "binary", names("hessian"), curve_of(logistic, lambda s: lambda m, r, y, h: (1 + s) * h)),
    Defect("hessian: the sign", "count", names("hessian"), curve_of(poisson, lambda s: lambda m, r, y, h: -h), GROSS),
    Defect(
        "hessian: a factor where the target is 1", "count", names("hessian"),
        curve_of(poisson, lambda s: lambda m, r, y, h: h * (1 + s * (y == 1))),
    ),
)  # fmt: skip
