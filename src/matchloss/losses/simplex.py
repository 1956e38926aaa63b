"""Losses of a distribution over K classes: raw (..., K), targets labels (...,) or distributions (..., K)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.namespaces import Namespace, RowReductions
from matchloss.engine.row_targets import as_target, check_targets
from matchloss.engine.row_text import Parts, Threshold
from matchloss.losses._domain import Interval
from matchloss.losses._hosts import refuse_foreign
from matchloss.losses._loss import Loss
from matchloss.losses._simplex import SimplexLoss, difference
from matchloss.losses._terms import Numbers, Operand, Triple, times
from matchloss.losses.binary import Logistic

__all__ = ["CrossEntropy", "Entmax", "SoftmaxBrier", "SoftmaxSpherical", "Sparsemax", "Spherical"]


@dataclass(frozen=True)
class CrossEntropy(SimplexLoss):
    """Cross entropy behind softmax: LogSumExp(z) - sum t z, whose error signal is probability minus target.

    value = log sum exp z - <t, z> (at a distribution t; at a label -log p), gradient = p - t, hessian = diag p - p p',
    with p = softmax(z); z = log p up to a constant. Source: Bridle (1990); Gneiting and Raftery (2007).

    >>> import matchloss as ml
    >>> loss = ml.CrossEntropy()
    >>> loss.evaluate([[1000.0, 0.0, -1000.0]], [0])
    Evaluation(value=array([0.]), gradient=array([[0., 0., 0.]]), hessian=None)
    >>> loss.gradient([[0.0, 0.0]], [[0.25, 0.75]])
    array([[ 0.25, -0.25]])
    """

    name = "cross_entropy"
    aliases = (
        "softmax_cross_entropy", "sparse_categorical_crossentropy", "categorical_crossentropy", "multi:softprob", "multi:softmax",
        "multiclass", "MultiClass", "multinomial", "half_multinomial", "nll", "softmax_cross_entropy_with_integer_labels",
    )  # fmt: skip
    title = "Cross entropy"
    equation = "LogSumExp(z) - <y, z>"
    error_signal = "p - y"
    link_name = "log"
    sources = ("Bridle 1990", "Gneiting & Raftery 2007")
    usual_for = ("multiclass",)
    advice = "Against raw output, cross entropy’s signal is a curve; against its own prediction it is the line of squared error."
    convex = True
    matching = True

    likelihood = "whole"

    def of_classes(self, classes: int) -> Loss:
        return Logistic() if classes == 2 else self

    def log_base(self, target: NDArray[Any], dispersion: Any = 1.0) -> Any:
        return 0.0

    def hessian_columns(self, raw: Any, target: Any) -> Callable[..., NDArray[Any]]:
        refuse_foreign(raw, target)
        p = self.predict(raw)
        t, labels = as_target(target, p.shape)
        check_targets(t, labels, p.shape[-1], None)
        p = np.ascontiguousarray(np.moveaxis(p, -1, 0), np.float64)

        def column(k: int, first: int = 0) -> NDArray[Any]:
            made = p[first:] * -p[k]
            if k >= first:
                made[k - first] = p[k] * (1 - p[k])
            return made

        return column

    @staticmethod
    def terms(m: Namespace, u: Numbers, t: Numbers) -> Triple:
        return u, 0.0, 0.0

    @staticmethod
    def base(m: Namespace, gap: Numbers, d: Numbers, others: Triple) -> Numbers:
        return m.log1p(others[0]) + gap

    @staticmethod
    def entry(m: Namespace, p: Numbers, c: Numbers, t: Numbers, own: Triple, others: Triple, share: Numbers) -> Triple:
        return 0.0 * p, difference(m, p, c, t), p * c

    @staticmethod
    def majorizer(m: Namespace, p: Numbers) -> Numbers:
        """2 diag(p (1 - p)) bounds the row's hessian from above by Gershgorin (as a parabola it need not bound the loss everywhere)."""
        return 2 * p * (1 - p)

    @staticmethod
    def product(m: Namespace, r: RowReductions, x: Parts, t: Numbers, v: Numbers) -> Numbers:
        return x.p * (v - r.sum(x.p * v))


def on_support(m: Namespace, p: Numbers, c: Numbers, t: Numbers, own: Triple, others: Triple, share: Numbers, *constants: float) -> Triple:
    """The entry of every entmax. The hessian is diag w - w w' / sum w with w = p^(2 - alpha) on the support, the third term."""
    return 0.0 * p, difference(m, p, c, t), own[2] * others[2] / (own[2] + others[2])


@dataclass(frozen=True)
class Sparsemax(SimplexLoss):
    """Sparsemax: the Brier score with its own link, the projection onto the simplex; unlikely classes get exactly 0.

    value = F(z) - <t, z> at a label, F(z) = max over p of <z, p> - (|p|^2 - 1) / 2; gradient = p - t;
    hessian = diag s - s s' / |S|, s the indicator of the support S; z = p up to a constant. Source: Martins and Astudillo (2016).

    >>> import matchloss as ml
    >>> ml.Sparsemax().predict([1.0, 0.5, -1.0])
    array([0.75, 0.25, 0.  ])
    """

    name = "sparsemax"
    aliases = ("sparsemax_loss", "multiclass_sparsemax_loss")
    title = "Sparsemax"
    equation = "max_q <z, q> - (|q|^2 - 1)/2 - <y, z>"
    error_signal = "p - y"
    link_name = "identity"
    sources = ("Martins & Astudillo 2016",)
    usual_for = ("multiclass",)
    advice = "Sparsemax and the spherical score fall on that line too, each behind the link that suits it."
    stand_in = "unit"
    convex = True
    matching = True
    threshold = Threshold(power=1.0, scale=1.0)

    entry = staticmethod(on_support)

    @staticmethod
    def terms(m: Namespace, u: Numbers, t: Numbers) -> Triple:
        return u, u * u, m.where(u > 0, 1.0, u)

    @staticmethod
    def base(m: Namespace, gap: Numbers, d: Numbers, others: Triple) -> Numbers:
        return 0.5 * (d * d + others[1]) + gap

    @staticmethod
    def product(m: Namespace, r: RowReductions, x: Parts, t: Numbers, v: Numbers) -> Numbers:
        w = x.own[2]
        return w * (v - r.sum(w * v) / r.sum(w))

    def _link(self, p: NDArray[Any]) -> NDArray[Any]:
        return p


def power_of(m: Namespace, u: Numbers, power: float) -> Numbers:
    """u^power, 0 at 0."""
    return m.where(u > 0, m.exp(power * m.log(m.where(u > 0, u, 1.0))), 0.0)


def entmax_excess(m: Namespace, d: Numbers, rest: Operand, power: float) -> Numbers:
    """power d - (1 - d)(1 - (1 - d)^power), by a binomial series that starts at d^2 where the closed form would cancel."""
    term = 0.5 * (power + 1) * power * d * d
    series = term
    for k in range(2, 15):
        term = term * (-d) * (power + 1 - k) / (k + 1)
        series = series + term
    return m.where((power * d < 0.5) & (d < 0.1), series, power * d - (1 - d) * rest)


@dataclass(frozen=True)
class Entmax(SimplexLoss):
    """Entmax: the Tsallis entropies' matching losses, from softmax (alpha = 1) through 1.5 to sparsemax (alpha = 2).

    value = F(z) - <t, z> at a label, F(z) = max over p of <z, p> - (sum p^alpha - 1) / (alpha (alpha - 1)); gradient = p - t;
    hessian = diag w - w w' / sum w, w = p^(2 - alpha) on the support; z = p^(alpha - 1) / (alpha - 1) up to a constant; alpha >= 1.
    Source: Peters, Niculae and Martins (2019); Blondel, Martins and Niculae (2020).

    >>> import matchloss as ml
    >>> ml.Entmax(alpha=1.5).predict([1.0, 0.0, -1.0]).round(4)
    array([0.8307, 0.1693, 0.    ])
    """

    alpha: float = 1.5

    name = "entmax"
    aliases = ("entmax15", "entmax_loss", "entmax15_loss", "tsallis")
    title = "Entmax"
    equation = "max_q <z, q> - (sum q^alpha - 1)/(alpha (alpha - 1)) - <y, z>"
    error_signal = "p - y"
    link_name = "p^(alpha-1) / (alpha-1)"
    sources = ("Peters, Niculae & Martins 2019", "Blondel, Martins & Niculae 2020")
    stand_in = "unit"
    convex = True
    parameter_domains: ClassVar[dict[str, Interval]] = {"alpha": Interval(1, inf, "left")}
    matching = True

    @property
    def threshold(self) -> Threshold:
        return Threshold(power=1 / (self.alpha - 1), scale=self.alpha - 1)

    @property
    def simplified(self) -> Loss:
        return {1.0: CrossEntropy(), 1.5: _EntmaxHalf(), 2.0: Sparsemax()}.get(self.alpha, self)

    @property
    def constants(self) -> tuple[float, ...]:
        return self.alpha, 1 / (self.alpha - 1)

    entry = staticmethod(on_support)

    @staticmethod
    def terms(m: Namespace, u: Numbers, t: Numbers, alpha: float, power: float) -> Triple:
        weight = power_of(m, u, power)
        return weight, weight * u, m.where(u > 0, weight / m.where(u > 0, u, 1.0), 0.0)

    @staticmethod
    def base(m: Namespace, gap: Numbers, d: Numbers, others: Triple, alpha: float, power: float) -> Numbers:
        return (entmax_excess(m, d, others[0], power) + others[1]) / alpha + gap

    product = staticmethod(Sparsemax.product)

    def _link(self, p: NDArray[Any]) -> NDArray[Any]:
        return p ** (self.alpha - 1) / (self.alpha - 1)


class _EntmaxHalf(Entmax):
    """alpha = 1.5, whose power u^2 needs no logarithm."""

    @staticmethod
    def terms(m: Namespace, u: Numbers, t: Numbers, alpha: float, power: float) -> Triple:
        return u * u, u * u * u, u


@dataclass(frozen=True)
class Spherical(SimplexLoss):
    """Spherical score with its own link; like sparsemax it gives unlikely classes exactly 0.

    value = F(z) - <t, z> + 1 at a label, F(z) = tau with sum [z - tau]+^2 = 1; gradient = p - t, p = u / sum u, u = [z - tau]+;
    z = p / |p| up to a constant. Source: Gneiting and Raftery (2007); Blondel, Martins and Niculae (2020).

    >>> import matchloss as ml
    >>> ml.Spherical().predict([1.0, 0.6, -1.0]).round(4)
    array([0.6474, 0.3526, 0.    ])
    """

    name = "spherical"
    aliases = ("spherical_loss",)
    title = "Spherical"
    equation = "tau + 1 - <y, z>, sum (z - tau)+^2 = 1"
    error_signal = "p - y"
    link_name = "p / |p|"
    sources = ("Gneiting & Raftery 2007", "Blondel, Martins & Niculae 2020")
    usual_for = ("multiclass",)
    stand_in = "unit"
    convex = True
    matching = True
    threshold = Threshold(power=2.0, scale=1.0)

    @staticmethod
    def terms(m: Namespace, u: Numbers, t: Numbers) -> Triple:
        return u, m.where(u > 0, 1.0, u), 0.0

    @staticmethod
    def base(m: Namespace, gap: Numbers, d: Numbers, others: Triple) -> Numbers:
        return d + gap

    @staticmethod
    def entry(m: Namespace, p: Numbers, c: Numbers, t: Numbers, own: Triple, others: Triple, share: Numbers) -> Triple:
        # |u| = 1, so share = |p|; the hessian is |p| (I - p 1')(I - 1 p') on the support
        return 0.0 * p, difference(m, p, c, t), own[1] * share * (c * c + others[1] * p * p)

    @staticmethod
    def product(m: Namespace, r: RowReductions, x: Parts, t: Numbers, v: Numbers) -> Numbers:
        on = x.own[1]
        a = on * (v - r.sum(x.p * v))
        return x.share * (a - x.p * r.sum(a))

    def _link(self, p: NDArray[Any]) -> NDArray[Any]:
        return p / np.sqrt(np.sum(p * p, axis=-1, keepdims=True))


class SoftmaxScore(SimplexLoss):
    """A proper score of a softmax that does not match it; an entry sees the sums of p^2 and t p over the others."""

    link_name = "log"
    usual_for = ("multiclass",)
    convex = False

    @staticmethod
    def terms(m: Namespace, u: Numbers, t: Numbers) -> Triple:
        return u, u * u, times(m, t, u)

    @staticmethod
    def base(m: Namespace, gap: Numbers, d: Numbers, others: Triple) -> Numbers:
        return 0.0 * d


@dataclass(frozen=True)
class SoftmaxBrier(SoftmaxScore):
    """Brier score of a softmax: proper, but not matching; its signal dies where the model is surely wrong.

    value = |p - e|^2 / 2 at a label e, averaged over the target; gradient = p (r - <p, r>), r = p - t; p = softmax(z). Not convex in z.
    Source: Brier (1950).

    >>> import matchloss as ml
    >>> ml.SoftmaxBrier().gradient([[20.0, 0.0]], [1]).round(11)
    array([[ 4.12e-09, -4.12e-09]])
    """

    name = "softmax_brier"
    aliases = ("mse_of_softmax",)
    title = "Brier of a softmax"
    equation = "|p - y|^2 / 2 at a label y"
    error_signal = "p (r - <p, r>), r = p - y"
    sources = ("Brier 1950",)
    advice = (
        "The Brier score of softmax is also zero only at the right answer, but its signal fades just where the model is confidently wrong."
    )

    @staticmethod
    def entry(m: Namespace, p: Numbers, c: Numbers, t: Numbers, own: Triple, others: Triple, share: Numbers) -> Triple:
        squares, hits = others[1] * share * share, others[2] * share  # sums of p^2 and t p over the other entries
        r = difference(m, p, c, t)
        g = p * (c * r - (squares - hits))
        return 0.5 * (c * c + squares), g, c * g + p * p * (c * c - c * r + 2 * squares - hits)

    @staticmethod
    def product(m: Namespace, r: RowReductions, x: Parts, t: Numbers, v: Numbers) -> Numbers:
        p, error = x.p, difference(m, x.p, x.c, t)
        dp = p * (v - r.sum(p * v))
        return dp * (error - r.sum(p * error)) + p * (dp - r.sum(dp * error) - r.sum(p * dp))


@dataclass(frozen=True)
class SoftmaxSpherical(SoftmaxScore):
    """Spherical score of a softmax: proper, but not matching.

    value = 1 - p_y / |p| at a label y, averaged over the target; gradient = p (<t, p> p / |p|^3 - t / |p|); p = softmax(z).
    Not convex in z. Source: Gneiting and Raftery (2007).

    >>> import matchloss as ml
    >>> ml.SoftmaxSpherical().value([[20.0, 0.0], [0.0, 20.0]], [0, 0])
    array([2.12417713e-18, 9.99999998e-01])
    """

    name = "softmax_spherical"
    title = "Spherical of a softmax"
    equation = "1 - p_y / |p| at a label y"
    error_signal = "p (<y, p> p / |p|^3 - y / |p|)"
    sources = ("Gneiting & Raftery 2007",)
    advice = "The spherical score of softmax does the same."

    @staticmethod
    def entry(m: Namespace, p: Numbers, c: Numbers, t: Numbers, own: Triple, others: Triple, share: Numbers) -> Triple:
        squares, hits = others[1] * share * share, others[2] * share
        square = p * p + squares
        n = m.sqrt(square)
        cube = n * square
        g = p * (hits * p - times(m, t, squares)) / cube
        hessian = p * (times(m, t, squares) * (2 * p * p - squares) + hits * p * (2 * squares - p * p)) / (cube * square)
        return squares / (n * (n + p)), g, hessian

    @staticmethod
    def product(m: Namespace, r: RowReductions, x: Parts, t: Numbers, v: Numbers) -> Numbers:
        p = x.p
        n, a = m.sqrt(r.sum(p * p)), r.sum(t * p)
        dp = p * (v - r.sum(p * v))
        da, dn = r.sum(t * dp), r.sum(p * dp) / n
        return dp * (a * p / n**3 - t / n) + p * (t * dn / n**2 + da * p / n**3 + a * dp / n**3 - 3 * a * p * dn / n**4)
