"""Losses of a number: functions of d = raw - target with the identity link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi, sqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.namespaces import Namespace
from matchloss.losses._domain import POSITIVE, Interval
from matchloss.losses._loss import PointwiseLoss
from matchloss.losses._solve import root_of_mean_gradient, weighted_quantile
from matchloss.losses._terms import Numbers, Pieces, Triple, constant

__all__ = ["AbsoluteError", "Expectile", "Huber", "LogCosh", "Pinball", "Quartic", "SineSquared", "SquaredError"]

OPEN_UNIT = Interval(0, 1)
LOG_2 = 0.6931471805599453
MAD_TO_SD = 1.4826  # turns the median absolute deviation of a normal distribution into its standard deviation
REACH = 32768.0  # half the length of the longest interval searched for the best constant of SineSquared


class LocationLoss(PointwiseLoss):
    """A loss of d = raw - target that is 0 only at d = 0, so that every target's minimum is 0, at raw = target."""

    family = "regression"
    zero_iff_right = True

    def _least_value(self, target: NDArray[Any], raw: NDArray[Any]) -> Any:
        return 0.0


@dataclass(frozen=True)
class SquaredError(LocationLoss):
    """Half the squared error: the loss of a number whose error signal is output minus wanted.

    value = (z - y)^2 / 2, gradient = z - y, hessian = 1, for any real target y; predict(z) = z. Elicits the mean.
    Source: Gauss (1809); as a matching loss, Auer, Herbster and Warmuth (1996).

    >>> import matchloss as ml
    >>> ml.SquaredError().evaluate(3.0, 1.0)
    Evaluation(value=np.float64(2.0), gradient=np.float64(2.0), hessian=None)
    """

    name = "squared_error"
    aliases = (
        "mse",
        "l2",
        "mean_squared_error",
        "mse_loss",
        "half_squared_error",
        "reg:squarederror",
        "regression",
        "gaussian",
    )
    factors: ClassVar[dict[str, float]] = {"mse": 2.0, "mean_squared_error": 2.0, "mse_loss": 2.0}
    title = "Squared error"
    equation = "(z - y)^2 / 2"
    error_signal = "z - y"
    sources = ("Gauss 1809", "Auer, Herbster & Warmuth 1996")
    usual_for = ("number", "positive", "share", "count", "argument")
    score = "squared error"
    convex = True
    matching = True
    proper = True
    linear_in_target = True
    curvature_rate = 0.0

    likelihood = "scaled"
    constant_variance = True

    def law(self, mean: Any, dispersion: float = 1.0) -> Any:
        from scipy.stats import norm

        return norm(mean, sqrt(dispersion))

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        return -0.5 * np.log(2 * pi * dispersion) + np.zeros(np.shape(target))

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        d = raw - target
        return 0.5 * d * d, d, constant(m, 1.0, d)

    @staticmethod
    def majorizer_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        return constant(m, 1.0, raw - target)


@dataclass(frozen=True)
class AbsoluteError(LocationLoss):
    """Absolute error: differentiable everywhere but at the right answer.

    value = |z - y|, gradient = sgn(z - y), 0 at 0; hessian = 0; any real y; predict(z) = z. Elicits the median.
    Source: Laplace (1774); Koenker and Bassett (1978).

    >>> import matchloss as ml
    >>> ml.AbsoluteError().gradient([3.0, 1.0, -2.0], [1.0, 1.0, 1.0])
    array([ 1.,  0., -1.])
    """

    name = "absolute_error"
    aliases = ("mae", "l1", "l1_loss", "mean_absolute_error", "reg:absoluteerror", "MAE", "regression_l1")
    title = "Absolute error"
    equation = "|z - y|"
    error_signal = "sgn(z - y)"
    sources = ("Laplace 1774", "Koenker & Bassett 1978")
    usual_for = ("number", "positive", "share", "argument")
    score = "absolute error"
    advice = "Absolute error knows on which side the model is wrong, not how far: it seeks the median."
    stand_in = "none"
    convex = True
    functional = "median"
    smooth = False

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        d = raw - target
        return m.abs(d), m.where(d > 0, 1.0, m.where(d < 0, -1.0, d)), constant(m, 0.0, d)

    @staticmethod
    def pieces_formula(m: Namespace, target: Numbers) -> Pieces:
        return ((target, -1.0, 1.0),)

    def _best_constant(self, y: NDArray[Any], w: NDArray[Any]) -> float:
        return weighted_quantile(y, w, 0.5)


@dataclass(frozen=True)
class Pinball(LocationLoss):
    """Pinball (quantile) loss: over- and under-prediction cost differently.

    value = (1 - alpha) d for d = z - y >= 0, else -alpha d; gradient 1 - alpha (also at 0) or -alpha; hessian = 0; any real y;
    predict(z) = z. Elicits the alpha-quantile. Source: Koenker and Bassett (1978).

    >>> import matchloss as ml
    >>> ml.Pinball(alpha=0.9).value([2.0, 0.0], [1.0, 1.0])
    array([0.1, 0.9])
    """

    alpha: float = 0.5

    name = "pinball"
    aliases = ("quantile", "quantile_loss", "reg:quantileerror", "Quantile", "check")
    title = "Pinball"
    equation = "(1 - alpha) (z - y)+ + alpha (y - z)+"
    error_signal = "[z >= y] - alpha"
    sources = ("Koenker & Bassett 1978",)
    stand_in = "none"
    convex = True
    parameter_domains: ClassVar[dict[str, Interval]] = {"alpha": OPEN_UNIT}
    functional = "quantile"
    smooth = False

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers, alpha: float) -> Triple:
        d = raw - target
        over = d >= 0
        value = m.where(over, (1 - alpha) * d, -alpha * d)
        return value, m.where(over, 1 - alpha, constant(m, -alpha, d)), constant(m, 0.0, d)

    @staticmethod
    def pieces_formula(m: Namespace, target: Numbers, alpha: float) -> Pieces:
        return ((target, -alpha, 1 - alpha),)

    def _best_constant(self, y: NDArray[Any], w: NDArray[Any]) -> float:
        return weighted_quantile(y, w, self.alpha)


@dataclass(frozen=True)
class Expectile(LocationLoss):
    """Asymmetric squared error: to the pinball loss what squared error is to absolute error.

    value = |[z >= y] - alpha| (z - y)^2, gradient = 2 |[z >= y] - alpha| (z - y); any real y; predict(z) = z.
    Elicits the alpha-expectile; alpha = 1/2 is squared error. Source: Newey and Powell (1987).

    >>> import matchloss as ml
    >>> ml.Expectile(alpha=0.9).gradient([2.0, 0.0], [1.0, 1.0])
    array([ 0.2, -1.8])
    """

    alpha: float = 0.5

    name = "expectile"
    aliases = ("asymmetric_squared_error", "reg:expectileerror", "Expectile")
    title = "Expectile"
    equation = "|[z >= y] - alpha| (z - y)^2"
    error_signal = "2 |[z >= y] - alpha| (z - y)"
    sources = ("Newey & Powell 1987",)
    convex = True
    parameter_domains: ClassVar[dict[str, Interval]] = {"alpha": OPEN_UNIT}
    functional = "expectile"

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers, alpha: float) -> Triple:
        d = raw - target
        weight = m.where(d >= 0, 1 - alpha, constant(m, alpha, d))
        return weight * d * d, 2 * weight * d, 2 * weight


@dataclass(frozen=True)
class Huber(LocationLoss):
    """Huber's loss: squared error near the target, absolute error beyond delta.

    value = (z - y)^2 / 2 for |z - y| <= delta, else delta (|z - y| - delta / 2); gradient = clip(z - y, -delta, delta);
    any real y; predict(z) = z. Elicits the Huber functional, between median and mean. Source: Huber (1964).

    >>> import matchloss as ml
    >>> ml.Huber(delta=1.0).gradient([0.5, 9.0, -9.0], [0.0, 0.0, 0.0])
    array([ 0.5,  1. , -1. ])
    """

    delta: float = 1.0

    name = "huber"
    aliases = ("huber_loss", "Huber")
    title = "Huber"
    equation = "d^2/2 if |d| <= delta else delta (|d| - delta/2), d = z - y"
    error_signal = "clip(z - y, -delta, delta)"
    sources = ("Huber 1964",)
    usual_for = ("number", "positive")
    advice = "Huber is straight near the answer and level beyond: an outlier is heard, but no louder than that."
    stand_in = "majorizer"
    convex = True
    parameter_domains: ClassVar[dict[str, Interval]] = {"delta": POSITIVE}
    functional = "Huber functional"

    def tuned_to(self, target: NDArray[Any]) -> tuple[Huber, str]:
        """Chooses delta = 1.345 standard deviations, by the median absolute deviation: 95 % efficient under normality (Huber 1964)."""
        y = np.asarray(target, dtype=np.float64)
        mad = float(np.median(np.abs(y - np.median(y))))
        scale, what = MAD_TO_SD * mad, f"1.345 x {MAD_TO_SD} x the median absolute deviation {mad:.5g}"
        if scale == 0:  # more than half of the targets are equal
            scale = float(y.std()) or 1.0
            what = "1.345 x the standard deviation (the median absolute deviation is 0)"
        delta = float(f"{1.345 * scale:.6g}")
        return replace(self, delta=delta), f"delta = {delta:g}: {what}"

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers, delta: float) -> Triple:
        d = raw - target
        a = m.abs(d)
        inside = a <= delta
        value = m.where(inside, 0.5 * d * d, delta * (a - 0.5 * delta))
        gradient = m.where(d > delta, delta, m.where(d < -delta, -delta, d))
        return value, gradient, m.where(inside, 1.0, m.where(a > delta, 0.0, a))

    @staticmethod
    def majorizer_formula(m: Namespace, raw: Numbers, target: Numbers, delta: float) -> Numbers:
        a = m.abs(raw - target)
        return m.where(a <= delta, 1.0, delta / a)


@dataclass(frozen=True)
class LogCosh(LocationLoss):
    """Log-cosh: squared error near the target, absolute error far from it, and smooth throughout.

    value = log cosh(z - y), gradient = tanh(z - y), hessian = 1 / cosh(z - y)^2; any real y; predict(z) = z.
    Elicits its own M-functional, near the median. Source: Green (1990).

    >>> import matchloss as ml
    >>> ml.LogCosh().evaluate([1e-200, 1000.0], [0.0, 0.0])
    Evaluation(value=array([  0.        , 999.30685282]), gradient=array([1.e-200, 1.e+000]), hessian=None)
    """

    name = "log_cosh"
    aliases = ("logcosh", "log_cosh_loss", "LogCosh")
    title = "Log-cosh"
    equation = "log cosh(z - y)"
    error_signal = "tanh(z - y)"
    sources = ("Green 1990",)
    usual_for = ("number",)
    advice = "Log-cosh rounds off the same idea: straight close up, level far away."
    stand_in = "majorizer"
    convex = True
    functional = "log-cosh functional"

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        d = raw - target
        a = m.abs(d)
        e, f = m.exp(-a), m.expm1(-a)
        s = e * e
        near = a < 1
        x = m.where(near, 0.5 * f * f / m.where(near, e, 1.0), s)  # cosh(d) - 1, without cancellation near 0
        value = m.log1p_unit(x) + m.where(near, 0.0, a - LOG_2)
        t = -f * (2 + f) / (1 + s)
        return value, m.where(d < 0, -t, t), 4 * s / ((1 + s) * (1 + s))

    @staticmethod
    def majorizer_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        """tanh(d) / d, 1 at 0: the curvature of the quadratic that touches the loss at d and -d."""
        a = m.abs(raw - target)
        f = m.expm1(-2 * a)
        return m.where(a < 1e-8, 1.0, -f / (2 + f) / a)


@dataclass(frozen=True)
class Quartic(LocationLoss):
    """The fourth power: differentiable, zero only at the right answer, and yet no rival of squared error.

    value = (z - y)^4, gradient = 4 (z - y)^3, hessian = 12 (z - y)^2; any real y; predict(z) = z.
    Elicits the root of the third-moment equation E (z - y)^3 = 0, which outliers drag far more than the mean.
    Source: Gonin and Money, Nonlinear Lp-Norm Estimation (1989), with p = 4; as an alternative to squared error, the essay
    "Why do we use cross entropy and mean squared error?" (2020).

    >>> import matchloss as ml
    >>> ml.Quartic().evaluate(3.0, 1.0, hessian=True)
    Evaluation(value=np.float64(16.0), gradient=np.float64(32.0), hessian=np.float64(48.0))
    """

    name = "quartic"
    title = "Quartic"
    equation = "(z - y)^4"
    error_signal = "4 (z - y)^3"
    sources = ("Why do we use cross entropy and mean squared error? 2020",)
    usual_for = ("argument",)
    advice = "The quartic hardly speaks near the answer and shouts far from it."
    convex = True
    functional = "third-moment root"

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        d = raw - target
        s = d * d
        return s * s, 4 * d * s, 12 * s


@dataclass(frozen=True)
class SineSquared(LocationLoss):
    """Two sines: differentiable, zero only at the right answer, and useless, since minima are everywhere.

    value = sin^2(z - y) + sin^2(pi (z - y)), gradient = sin 2(z - y) + pi sin 2 pi (z - y); any real y; predict(z) = z.
    It is zero only where z - y is both an integer and a multiple of pi, that is at z = y. Accurate for |z - y| <= 1e5. Source: an
    example from the essay "Why do we use cross entropy and mean squared error?" (2020).

    >>> import matchloss as ml
    >>> ml.SineSquared().value([0.0, 22.0], 2 * [0.0]).round(5)
    array([0.e+00, 8.e-05])
    """

    name = "sine_squared"
    title = "Sine squared"
    equation = "sin^2(z - y) + sin^2(pi (z - y))"
    error_signal = "sin 2(z - y) + pi sin 2 pi(z - y)"
    sources = ("Why do we use cross entropy and mean squared error? 2020",)
    usual_for = ("argument",)
    advice = "The sines are zero only at the right answer, yet send the model the wrong way in one place after another."
    functional = "none"
    convex = False

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        d = raw - target
        r = d - m.floor(d + 0.5)  # sin(pi d) and sin(pi r) differ at most in sign
        s, c = m.sin(d), m.cos(d)
        u, v = m.sin(pi * r), m.sin(pi * (0.5 - m.abs(r)))  # v = cos(pi r), accurate near its zeros too
        return s * s + u * u, 2 * s * c + 2 * pi * u * v, 2 * (c * c - s * s) + 2 * pi * pi * (v * v - u * u)

    def _best_constant(self, y: NDArray[Any], w: NDArray[Any]) -> float:
        """The best constant within half a unit of the targets. Farther away the mean approaches its infimum and may never reach it.

        The mean loss is 1 - (Re a e^(-2iz) + Re b e^(-2 pi i z)) / 2 with a and b the means of e^(2iy) and e^(2 pi i y), so these two
        numbers are all it depends on. Its local minima are about half a unit apart, so a grid of 1/32 finds them all.
        """
        share = w / w.sum()
        a, b = np.dot(share, np.exp(2j * y)), np.dot(share, np.exp(2j * pi * (y - np.floor(y))))

        def waves(z: NDArray[Any], power: int) -> NDArray[Any]:
            """The derivative of this order of twice the mean loss, without the constant."""
            return -((-2j) ** power * a * np.exp(-2j * z) + (-2j * pi) ** power * b * np.exp(-2j * pi * z)).real

        middle = 0.5 * float(y.min()) + 0.5 * float(y.max())
        half = min(0.5 * float(y.max() - y.min()) + 0.5, REACH)
        grid = middle + np.linspace(-half, half, int(64 * half) + 1)
        height = waves(grid, 0)
        z = grid[np.concatenate([[True], height[1:] <= height[:-1]]) & np.concatenate([height[:-1] <= height[1:], [True]])]
        for _ in range(6):
            slope, bend = waves(z, 1), waves(z, 2)
            z = z - np.clip(slope / np.where(bend > 0, bend, np.inf), -1 / 32, 1 / 32)
        best = float(z[int(np.argmin(waves(z, 0)))])
        return root_of_mean_gradient(self, y, w, best - 1e-3, best + 1e-3)
