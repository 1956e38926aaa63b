"""Exponential families with the log link, mu = e^z. The value is the part of the negative log likelihood that depends on mu."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from math import inf
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.namespaces import Namespace
from matchloss.errors import DomainError
from matchloss.losses._domain import NON_NEGATIVE, POSITIVE, Interval
from matchloss.losses._loss import Loss, PointwiseLoss
from matchloss.losses._terms import Numbers, Triple, exp_of_product, split_factor, times, times_exp_of_product

__all__ = ["Gamma", "InverseGaussian", "NegativeBinomial", "Poisson", "Tweedie"]


POISSON_LIKE = 1e6  # a negative binomial of this size is practically a Poisson distribution


class LogLinkLoss(PointwiseLoss):
    """A loss of a positive mean."""

    family = "positive"
    link_name = "log"
    target_domain = POSITIVE
    proper = True
    linear_in_target = True
    zero_iff_right = True

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers, *constants: float) -> Numbers:
        return m.exp(raw)

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers, *constants: float) -> Numbers:
        return m.log(prediction)


@dataclass(frozen=True)
class Poisson(LogLinkLoss):
    """Poisson loss, the matching loss of the exponential function.

    value = e^z - y z, gradient = mu - y, hessian = mu, with mu = e^z; y >= 0; log y! is left out.
    Source: McCullagh and Nelder (1989).

    >>> import matchloss as ml
    >>> ml.Poisson().gradient([0.0, -40.0], [3.0, 0.0])
    array([-2.00000000e+00,  4.24835426e-18])
    """

    name = "poisson"
    aliases = ("poisson_nll", "poisson_nll_loss", "poisson_loss", "count:poisson", "Poisson", "half_poisson")
    title = "Poisson"
    equation = "e^z - y z"
    error_signal = "mu - y"
    sources = ("McCullagh & Nelder 1989",)
    usual_for = ("count", "positive")
    score = "Poisson deviance"
    advice = "Poisson’s mean is an exponential, and its signal is the straight line as soon as it is drawn against that mean."
    convex = True
    target_domain = NON_NEGATIVE
    matching = True
    curvature_rate = 1.0

    likelihood = "whole"
    discrete = True

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        from scipy.special import gammaln

        return -gammaln(target + 1) / dispersion

    def law(self, mean: Any, dispersion: float = 1.0) -> Any:
        from scipy.stats import poisson

        return poisson(mean)

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        mu = m.exp(raw)
        return m.where(mu == inf, mu, mu - times(m, target, raw)), mu - target, mu


@dataclass(frozen=True)
class Gamma(LogLinkLoss):
    """Gamma loss: errors in proportion to the mean.

    value = z + y / mu, gradient = 1 - y / mu, hessian = y / mu, with mu = e^z; y > 0 (at y = 0 it is unbounded below).
    Source: McCullagh and Nelder (1989).

    >>> import matchloss as ml
    >>> ml.Gamma().gradient([0.0, 1.0], [1.0, 1.0])
    array([0.        , 0.63212056])
    """

    name = "gamma"
    aliases = ("gamma_loss", "reg:gamma", "half_gamma")
    title = "Gamma"
    equation = "z + y / e^z"
    error_signal = "(mu - y) / mu"
    sources = ("McCullagh & Nelder 1989",)
    usual_for = ("positive",)
    advice = "Gamma’s signal is the error in proportion to the mean: a large amount is heard no louder than a small one."
    convex = True
    curvature_rate = -1.0

    likelihood = "scaled"

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        from scipy.special import gammaln

        shape = 1 / np.asarray(dispersion, np.float64)
        return shape * np.log(shape * target) - np.log(target) - gammaln(shape)

    def law(self, mean: Any, dispersion: float = 1.0) -> Any:
        from scipy.stats import gamma

        return gamma(1 / dispersion, scale=mean * dispersion)

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        e = m.exp(-0.5 * raw)
        r = target * e * e  # two factors, so that e^2 cannot overflow before a tiny target scales it down
        return m.where(r == inf, r, r + raw), 1 - r, r

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        return m.where(raw == raw, 1.0, raw)


@dataclass(frozen=True)
class InverseGaussian(LogLinkLoss):
    """Inverse Gaussian loss: a variance that grows with the cube of the mean.

    value = y / (2 mu^2) - 1 / mu, gradient = (mu - y) / mu^2, hessian = (2 y - mu) / mu^2, with mu = e^z; y > 0.
    Not convex in z; its Fisher curvature is 1 / mu. Source: Tweedie (1957); McCullagh and Nelder (1989).

    >>> import matchloss as ml
    >>> ml.InverseGaussian().evaluate(0.0, 3.0, hessian=True)
    Evaluation(value=np.float64(0.5), gradient=np.float64(-2.0), hessian=np.float64(5.0))
    """

    name = "inverse_gaussian"
    aliases = ("inverse_gaussian_loss", "wald")
    title = "Inverse Gaussian"
    equation = "y / (2 mu^2) - 1 / mu, mu = e^z"
    error_signal = "(mu - y) / mu^2"
    sources = ("Tweedie 1957", "McCullagh & Nelder 1989")
    convex = False

    likelihood = "scaled"

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        return -0.5 * (1 / (target * dispersion) + np.log(2 * math.pi * dispersion * target**3))

    def law(self, mean: Any, dispersion: float = 1.0) -> Any:
        from scipy.stats import invgauss

        return invgauss(mean * dispersion, scale=1 / dispersion)

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        e = m.exp(-raw)
        h = m.exp(-0.5 * raw)
        t = target * h * h
        return e * (0.5 * t - 1), e * (1 - t), e * (2 * t - 1)

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        return m.exp(-raw)


@dataclass(frozen=True)
class Tweedie(LogLinkLoss):
    """Tweedie loss: the variance is a power of the mean; between 1 and 2 a sum of a Poisson number of gamma amounts.

    value = mu^(2-power) / (2-power) - y mu^(1-power) / (1-power), gradient = (mu - y) mu^(1-power), with mu = e^z; power >= 1;
    powers 1, 2 and 3 are computed as Poisson, Gamma and InverseGaussian. y >= 0 for power < 2, y > 0 otherwise.
    Convex in z for power <= 2; otherwise use the Fisher curvature mu^(2-power). Source: Jorgensen (1987).

    >>> import matchloss as ml
    >>> ml.Tweedie(power=1.5).evaluate(0.0, 2.0, hessian=True)
    Evaluation(value=np.float64(6.0), gradient=np.float64(-1.0), hessian=np.float64(1.5))
    """

    power: float = 1.5

    name = "tweedie"
    aliases = ("reg:tweedie", "Tweedie", "half_tweedie", "tweedie_loss")
    title = "Tweedie"
    equation = "mu^(2-power)/(2-power) - y mu^(1-power)/(1-power), mu = e^z"
    error_signal = "(mu - y) mu^(1-power)"
    sources = ("Jorgensen 1987",)
    usual_for = ("positive",)
    advice = "Tweedie lies between Poisson and gamma: the larger the mean, the less an error of one unit counts."
    parameter_domains: ClassVar[dict[str, Interval]] = {"power": Interval(1, math.inf, "left")}

    estimable = ("power",)

    @property
    def target_domain(self) -> Interval:
        return NON_NEGATIVE if self.estimates or self.power < 2 else POSITIVE

    @property
    def convex(self) -> bool:
        return bool(self.estimates) or self.power <= 2

    @property
    def likelihood(self) -> str:
        return "scaled" if not self.estimates and self.power < 2 else ""

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        from matchloss.losses._tweedie import log_base

        return log_base(target, self.power, dispersion)

    @property
    def matching(self) -> bool:
        return self.power == 1

    @property
    def simplified(self) -> Loss:
        return {1.0: Poisson(), 2.0: Gamma(), 3.0: InverseGaussian()}.get(self.power, self)

    @property
    def constants(self) -> tuple[float, ...]:
        if self.estimates:
            raise DomainError(f"{self!r} has no values: LinearRegressor estimates the power in fit; elsewhere it is a number")
        return (*split_factor(2 - self.power), *split_factor(1 - self.power))

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers, ah: float, al: float, ag: float, bh: float, bl: float, bg: float) -> Triple:
        a, b = ah + al, bh + bl  # 2 - power and 1 - power
        over_a, over_b = 1 / a, 1 / b
        s = exp_of_product(m, ah, al, ag, raw)
        t = times_exp_of_product(m, target, bh, bl, bg, raw)
        # If mu is so small that both terms overflow (power > 2), the target's term is the larger one.
        return m.where(t == inf, t, s * over_a - t * over_b), m.where(t == inf, -t, s - t), m.where(t == inf, t, a * s - b * t)

    @staticmethod
    def fisher_formula(
        m: Namespace, raw: Numbers, target: Numbers, ah: float, al: float, ag: float, bh: float, bl: float, bg: float
    ) -> Numbers:
        return exp_of_product(m, ah, al, ag, raw)


@dataclass(frozen=True)
class NegativeBinomial(LogLinkLoss):
    """Negative binomial loss: counts that vary more than Poisson's, with variance mu + mu^2 / size.

    value = (size + y) log(size + mu) - y z - size log(size), computed as size softplus(t) + y softplus(-t) with t = z - log(size), which
    differs by terms without z; gradient = (mu - y) size / (size + mu), with mu = e^z; y >= 0; size > 0.
    Source: McCullagh and Nelder (1989).

    >>> import matchloss as ml
    >>> ml.NegativeBinomial(size=2.0).gradient([0.0, 1.0], [3.0, 0.0])
    array([-1.33333333,  1.15223377])
    """

    size: float = 1.0

    name = "negative_binomial"
    aliases = ("negbin", "nb2", "negative_binomial_loss")
    title = "Negative binomial"
    equation = "size softplus(t) + y softplus(-t), t = z - log(size)"
    error_signal = "(mu - y) size / (size + mu)"
    sources = ("McCullagh & Nelder 1989",)
    usual_for = ("count",)
    advice = "The negative binomial trusts large counts less: its signal levels off."
    convex = True
    parameter_domains: ClassVar[dict[str, Interval]] = {"size": POSITIVE}
    estimable = ("size",)
    target_domain = NON_NEGATIVE

    @property
    def constants(self) -> tuple[float, ...]:
        if self.estimates:
            raise DomainError(f"{self!r} has no values: LinearRegressor estimates the size in fit; elsewhere it is a number")
        return self.size, math.log(self.size)

    def tuned_to(self, target: NDArray[Any]) -> tuple[NegativeBinomial, str]:
        """Chooses the size by the method of moments: variance = mean + mean^2 / size over all targets."""
        y = np.asarray(target, dtype=np.float64)
        mean, excess = float(y.mean()), float(y.var() - y.mean())
        if excess <= mean**2 / POISSON_LIKE:
            return replace(self, size=POISSON_LIKE), f"size = {POISSON_LIKE:g}: the variance does not exceed the mean"
        size = float(f"{mean**2 / excess:.6g}")
        return replace(self, size=size), f"size = {size:g}: mean^2 / (variance - mean)"

    likelihood = "whole"
    discrete = True

    def law(self, mean: Any, dispersion: float = 1.0) -> Any:
        from scipy.stats import nbinom

        return nbinom(self.size, 1 / (1 + mean / self.size))

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        from scipy.special import gammaln

        return (gammaln(target + self.size) - gammaln(self.size) - gammaln(target + 1)) / dispersion

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers, size: float, log_size: float) -> Triple:
        t = raw - log_size
        over = t >= 0
        k = m.exp(m.where(over, -raw, raw))
        e = m.where(over, k * size, k / size)  # exp(-|t|), from raw because t is rounded
        p = 1 / (1 + e)
        q = e * p
        a = m.abs(t)
        value = (size + target) * m.log1p_unit(e) + m.where(over, size * a, times(m, target, a))
        gradient = m.where(over, size * p - target * q, size * q - target * p)
        return value, gradient, (size + target) * (p * q)

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers, size: float, log_size: float) -> Numbers:
        t = raw - log_size
        over = t >= 0
        k = m.exp(m.where(over, -raw, raw))
        e = m.where(over, k * size, k / size)
        return size * m.where(over, 1, e) / (1 + e)
