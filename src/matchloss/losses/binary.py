"""Losses of a probability. Targets lie in [0, 1], and every loss is linear in the target: y f(z, 1) + (1 - y) f(z, 0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.namespaces import Namespace
from matchloss.engine.special import LOG_SQRT_2PI, inverse_mills_excess, normal_density, normal_tail
from matchloss.losses._domain import NON_NEGATIVE, UNIT, Interval
from matchloss.losses._loss import Loss, PointwiseLoss
from matchloss.losses._solve import crossing
from matchloss.losses._terms import Numbers, Triple, at_labels, constant, exp_of_product, sigmoids, split_factor, times, times_square

__all__ = ["CLogLog", "Focal", "Logistic", "Probit"]


class BinaryLoss(PointwiseLoss):
    """A loss of P(1)."""

    family = "binary"
    target_domain = UNIT
    proper = True
    linear_in_target = True
    zero_iff_right = True


class BinaryLikelihood(BinaryLoss):
    """A loss that is the log score of P(1)."""

    likelihood = "whole"
    discrete = True

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        return np.zeros(np.shape(target))

    def law(self, mean: Any, dispersion: float = 1.0) -> Any:
        from scipy.stats import bernoulli

        return bernoulli(mean)


class SigmoidLoss(BinaryLoss):
    """A loss whose prediction is the sigmoid of raw."""

    link_name = "logit"

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers, *constants: float) -> Numbers:
        return sigmoids(m, raw)[1]

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers, *constants: float) -> Numbers:
        return m.log(prediction) - m.log1p(-prediction)


@dataclass(frozen=True)
class Logistic(SigmoidLoss, BinaryLikelihood):
    """Logistic loss: the log score behind a sigmoid, whose error signal is probability minus target.

    value = log(1 + e^z) - y z, gradient = p - y, hessian = p (1 - p), with p = 1 / (1 + e^-z); y in [0, 1]; z = logit p.
    It never overflows and keeps its relative accuracy near certainty. Source: Cox (1958); Gneiting and Raftery (2007).

    >>> import matchloss as ml
    >>> float(ml.Logistic().gradient(40.0, 1.0))
    -4.248354255291589e-18
    """

    name = "logistic"
    aliases = (
        "log_loss", "binary_crossentropy", "binary_cross_entropy", "binary_cross_entropy_with_logits", "bce", "bce_with_logits",
        "sigmoid_binary_cross_entropy", "binary:logistic", "binary", "Logloss", "binomial", "half_binomial",
    )  # fmt: skip
    title = "Logistic"
    equation = "log(1 + e^z) - y z"
    error_signal = "p - y"
    sources = ("Cox 1958", "Gneiting & Raftery 2007")
    usual_for = ("binary", "share")
    advice = (
        "The logistic loss is cross entropy for two classes. Against raw output its signal is a curve; against its own prediction "
        "it is the line of squared error."
    )
    convex = True
    matching = True

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        a = m.abs(raw)
        e, p, q = sigmoids(m, raw)
        value = m.log1p_unit(e) + times(m, m.where(raw >= 0, 1 - target, target), a)
        return value, (1 - target) * p - target * q, p * q

    @staticmethod
    def majorizer_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        """The curvature of Jaakkola and Jordan's (2000) tangent quadratic: tanh(z / 2) / (2 z), 1/4 at 0."""
        a = m.abs(raw)
        f = m.expm1(-a)
        return m.where(a < 1e-8, 0.25, -f / (2 + f) / (2 * a))


def probit_sides(m: Namespace, raw: Numbers) -> tuple[Numbers, ...]:
    """|raw| clipped, phi/Phi(-|raw|), its excess over |raw|, Phi(-|raw|), phi/Phi(|raw|)."""
    a = m.abs(raw)
    x = m.where(a > 1e30, 1e30, a)
    excess = inverse_mills_excess(m, x)
    density = normal_density(m, x)
    tail = density / (a + excess)
    return a, x, excess, tail, density / (1 - tail)


@dataclass(frozen=True)
class Probit(BinaryLikelihood):
    """Log score with the normal distribution function as its inverse link.

    value = -y log Phi(z) - (1 - y) log Phi(-z); gradient = -phi/Phi(z) at y = 1, phi/Phi(-z) at y = 0; y in [0, 1]; p = Phi(z).
    Both tails keep their relative accuracy, because the inverse Mills ratio is a polynomial and not a quotient that underflows.
    Source: Bliss (1934); McCullagh and Nelder (1989).

    >>> import matchloss as ml
    >>> ml.Probit().gradient([-40.0, 0.0, 8.0], 3 * [1.0])
    array([-4.00249688e+01, -7.97884561e-01, -5.05227108e-15])
    """

    name = "probit"
    aliases = ("probit_loss", "binomial_probit")
    title = "Probit"
    equation = "-y log Phi(z) - (1 - y) log Phi(-z)"
    error_signal = "(p - y) phi(z) / (p (1 - p))"
    link_name = "probit"
    sources = ("Bliss 1934", "McCullagh & Nelder 1989")
    convex = True

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        a, x, excess, tail, right = probit_sides(m, raw)
        wrong = a + excess
        v_right, h_right = -m.log1p(-tail), right * (x + right)
        v_wrong, h_wrong = m.log(wrong) + LOG_SQRT_2PI, (x + excess) * excess  # v_wrong lacks a^2 / 2, which is added at the end
        positive = raw >= 0
        v1, v0 = m.where(positive, v_right, v_wrong), m.where(positive, v_wrong, v_right)
        g1, g0 = m.where(positive, right, wrong), m.where(positive, wrong, right)
        h1, h0 = m.where(positive, h_right, h_wrong), m.where(positive, h_wrong, h_right)
        value = at_labels(m, target, v1, v0) + 0.5 * times_square(m, m.where(positive, 1 - target, target), a)
        return value, times(m, 1 - target, g0) - times(m, target, g1), target * h1 + (1 - target) * h0

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        """phi^2 / (Phi(z) Phi(-z)), the mean squared gradient over labels drawn from the prediction."""
        _, x, excess, _, right = probit_sides(m, raw)
        return (x + excess) * right

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers) -> Numbers:
        tail = normal_tail(m, m.abs(raw))
        return m.where(raw >= 0, 1 - tail, tail)

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers) -> Numbers:
        """Newton's method on log Phi(-x) = log p, which is concave, so that it converges monotonically from the left of the root."""
        p = m.where(prediction > 0.5, 1 - prediction, prediction)
        goal = m.log(p)
        x = m.sqrt(m.where(p > 0, -2 * m.log(2 * p), 1.0))
        for _ in range(8):
            rate = x + inverse_mills_excess(m, x)
            x = m.abs(x + (-0.5 * x * x - m.log(rate) - LOG_SQRT_2PI - goal) / rate)
        x = m.where(p == 0.5, 0.0, m.where(p > 0, x, float("inf")))
        return constant(m, 0.0, prediction) + m.where(prediction > 0.5, x, -x)


# x / (e^x - 1) = 1 - x/2 + sum of B_2n x^2n / (2n)!, from n = 11 down to 1.
BERNOULLI = (
    5.5090028283602295e-18, -2.174868698558062e-16, 8.586062056277845e-15, -3.3896802963225827e-13, 1.3382536530684679e-11,
    -5.284190138687493e-10, 2.08767569878681e-08, -8.267195767195768e-07, 3.306878306878307e-05, -0.001388888888888889,
    0.08333333333333333,
)  # fmt: skip


def cloglog_at_one(m: Namespace, raw: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """mu, mu clipped, r = mu / (e^mu - 1), and r + mu - 1."""
    mu = m.exp(raw)
    x = m.where(mu > 800, 800.0, mu)
    small = x < 1
    e = m.exp(-x)
    tiny = x < 1e-30
    r = m.where(tiny, 1.0, x * e / -m.expm1(-m.where(tiny, 1.0, x)))
    # x / (e^x - 1) + x - 1 = x/2 + sum B_2n x^2n / (2n)!, summed where the closed form would cancel.
    s = x * x
    series = BERNOULLI[0]
    for c in BERNOULLI[1:]:
        series = series * s + c
    return mu, x, r, m.where(small, x * (0.5 + x * series), r + (x - 1))


@dataclass(frozen=True)
class CLogLog(BinaryLikelihood):
    """Log score with the complementary log-log link: the probability that a Poisson count of mean e^z is not 0.

    value = -y log(1 - exp(-mu)) + (1 - y) mu with mu = e^z; gradient = mu at y = 0, -mu / (e^mu - 1) at y = 1; y in [0, 1];
    p = 1 - exp(-mu), z = log(-log(1 - p)). Source: Fisher (1922); McCullagh and Nelder (1989).

    >>> import matchloss as ml
    >>> ml.CLogLog().gradient([-50.0, 0.0, 5.0], 3 * [1.0])
    array([-1.00000000e+00, -5.81976707e-01, -5.20542711e-63])
    """

    name = "cloglog"
    aliases = ("complementary_log_log", "binomial_cloglog")
    title = "Complementary log-log"
    equation = "-y log(1 - exp(-e^z)) + (1 - y) e^z"
    error_signal = "(p - y) e^z / p"
    link_name = "complementary log-log"
    sources = ("Fisher 1922", "McCullagh & Nelder 1989")
    convex = True

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        _, x, r, slope = cloglog_at_one(m, raw)
        near = x < 0.6931471805599453
        ratio = m.where(x < 1e-30, 1.0, -m.expm1(-x) / m.where(x < 1e-30, 1.0, x))  # p / mu, in (0.72, 1] where it is used
        low = m.where(raw < 0, -raw, 0.0) + m.where(raw < 0, 0.0, constant(m, 0.0, raw))
        v1 = m.where(near, low - m.log(ratio), -m.log1p(-m.exp(-m.where(near, 1.0, x))))
        at_zero = times_square(m, 1 - target, m.exp(0.5 * raw))
        return times(m, target, v1) + at_zero, at_zero - target * r, at_zero + target * (r * slope)

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        """mu^2 / (e^mu - 1)."""
        _, x, r, _ = cloglog_at_one(m, raw)
        return x * r

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers) -> Numbers:
        return -m.expm1(-m.exp(raw))

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers) -> Numbers:
        return m.log(-m.log1p(-prediction))


@dataclass(frozen=True)
class Focal(SigmoidLoss):
    """Focal loss: the log score, turned down where the model is already right; no proper score, so its sigmoid is no probability.

    value = -y q^gamma log p - (1 - y) p^gamma log q, p = sigmoid(z), q = 1 - p; y in [0, 1]; gamma >= 0, 0 is the logistic loss.
    Source: Lin, Goyal, Girshick, He and Dollar (2017).

    >>> import matchloss as ml
    >>> ml.Focal(gamma=2.0).value([-2.0, 0.0, 2.0], 3 * [1.0])
    array([1.65007818, 0.1732868 , 0.00180356])
    """

    gamma: float = 2.0

    name = "focal"
    aliases = ("focal_loss", "sigmoid_focal_loss", "Focal")
    title = "Focal"
    equation = "-y q^gamma log p - (1 - y) p^gamma log q"
    error_signal = "(1 - y) p^gamma (p - gamma q log q) - y q^gamma (q - gamma p log p)"
    sources = ("Lin et al. 2017",)
    parameter_domains: ClassVar[dict[str, Interval]] = {"gamma": NON_NEGATIVE}

    @property
    def proper(self) -> bool:
        return self.gamma == 0

    @property
    def convex(self) -> bool:
        return self.gamma == 0

    @property
    def matching(self) -> bool:
        return self.gamma == 0

    @property
    def zero_iff_right(self) -> bool:
        return self.gamma == 0

    @property
    def functional(self) -> str:
        return "mean" if self.gamma == 0 else "distorted probability"

    @property
    def simplified(self) -> Loss:
        return Logistic() if self.gamma == 0 else self

    @property
    def constants(self) -> tuple[float, ...]:
        return (self.gamma, *split_factor(self.gamma))

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers, k: float, high: float, low: float, grid: float) -> Triple:
        a = m.abs(raw)
        e = m.exp(-a)
        l = m.log1p_unit(e)
        p = 1 / (1 + e)  # of the likelier label
        q = e * p
        # right: the target is the likelier label, with the factor q^k; wrong: it is the other label, with the factor p^k
        wrong_power = m.exp(-k * l)
        right_power = wrong_power * exp_of_product(m, high, low, grid, -a)
        v_right, v_wrong = right_power * l, wrong_power * (l + a)
        g_right, h_right = right_power * (k * p * l + q), right_power * p * ((2 * k + 1) * q + k * l * (k * p - q))
        ql = times(m, q, l + a)
        g_wrong, h_wrong = wrong_power * (k * ql + p), wrong_power * ((2 * k + 1) * q * p + k * ql * (k * q - p))
        positive = raw >= 0
        v1, v0 = m.where(positive, v_right, v_wrong), m.where(positive, v_wrong, v_right)
        g1, g0 = m.where(positive, g_right, g_wrong), m.where(positive, g_wrong, g_right)
        h1, h0 = m.where(positive, h_right, h_wrong), m.where(positive, h_wrong, h_right)
        return at_labels(m, target, v1, v0), (1 - target) * g0 - target * g1, target * h1 + (1 - target) * h0

    def minimiser(self, target: NDArray[Any]) -> Any:
        y = np.asarray(target, dtype=np.float64)
        inner = crossing(self.gradient, np.where((y > 0) & (y < 1), y, 0.5), -1000.0, 1000.0)
        return np.where(y <= 0, -np.inf, np.where(y >= 1, np.inf, inner))
