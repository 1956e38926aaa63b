"""Binary losses that are not log scores: quadratic, spherical, exponential and margin losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.namespaces import Namespace
from matchloss.losses._terms import Numbers, Pieces, Triple, at_labels, constant, sigmoids, times, times_square
from matchloss.losses.binary import BinaryLoss, SigmoidLoss

__all__ = ["BinaryBrier", "BinarySpherical", "Exponential", "Hinge", "SigmoidBrier", "SquaredHinge"]


def clipped(m: Namespace, raw: Numbers) -> Numbers:
    """(1 + raw) / 2, within [0, 1]."""
    return m.where(raw < -1, 0.0, m.where(raw > 1, 1.0, 0.5 * (1 + raw)))


@dataclass(frozen=True)
class BinaryBrier(BinaryLoss):
    """Brier score with its own link: the identity, scaled to [-1, 1] and clipped.

    value = y q^2 + (1 - y) p^2 for |z| <= 1, continued linearly; gradient = p - y; hessian = 1/2 inside;
    y in [0, 1]; p = clip((1 + z) / 2, 0, 1). The sparsemax of two classes. Source: Brier (1950); Blondel, Martins and Niculae (2020).

    >>> import matchloss as ml
    >>> ml.BinaryBrier().gradient([-3.0, 0.0, 0.5, 3.0], 4 * [1.0])
    array([-1.  , -0.5 , -0.25,  0.  ])
    """

    name = "binary_brier"
    aliases = ("brier", "binary_sparsemax")
    title = "Binary Brier"
    equation = "y q^2 + (1 - y) p^2, linear beyond |z| = 1"
    error_signal = "p - y"
    link_name = "2p - 1"
    sources = ("Brier 1950", "Blondel, Martins & Niculae 2020")
    usual_for = ("binary",)
    advice = "Brier and spherical scores fall on that line too, each behind the link that suits it."
    stand_in = ("unit", 0.5)
    convex = True
    matching = True

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        p, q = 0.5 * (1 + raw), 0.5 * (1 - raw)
        high, low = raw > 1, raw < -1
        v0 = m.where(low, 0.0, m.where(high, raw, p * p))
        v1 = m.where(high, 0.0, m.where(low, -raw, q * q))
        p = m.where(low, 0.0, m.where(high, 1.0, p))
        q = m.where(high, 0.0, m.where(low, 1.0, q))
        return at_labels(m, target, v1, v0), (1 - target) * p - target * q, m.where(high | low, 0.0, constant(m, 0.5, raw))

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers) -> Numbers:
        return clipped(m, raw)

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers) -> Numbers:
        return 2 * prediction - 1


def spherical_sides(m: Namespace, raw: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers, Numbers]:
    """|raw|, x = min(|raw|, 1), s = sqrt(2 - x^2), 1 / s, and the smaller and larger probability, neither as 1 minus the other."""
    a = m.abs(raw)
    x = m.where(a >= 1, 1.0, a)
    w = (1 - x) * (1 + x)
    s = m.sqrt(1 + w)
    i = 1 / s
    return a, x, s, i, w / (s + x) * i, 0.5 + 0.5 * x * i


@dataclass(frozen=True)
class BinarySpherical(BinaryLoss):
    """Spherical score with its own link.

    value = 1 - p_y / |p|, written in z and continued linearly beyond |z| = 1; gradient = p - y; y in [0, 1];
    p = (1 + z / sqrt(2 - z^2)) / 2 for |z| <= 1, clipped beyond; z = (2p - 1) / sqrt(p^2 + (1 - p)^2).
    Source: Gneiting and Raftery (2007); the link: Buja, Stuetzle and Shen (2005).

    >>> import matchloss as ml
    >>> loss = ml.BinarySpherical()
    >>> float(loss.predict(loss.link(0.25))), loss.gradient([-3.0, 0.0, 1.0], 3 * [1.0])
    (0.25, array([-1. , -0.5,  0. ]))
    """

    name = "binary_spherical"
    title = "Binary spherical"
    equation = "1 - (z + sqrt(2 - z^2)) / 2 at y = 1, linear beyond"
    error_signal = "p - y"
    link_name = "(2p - 1) / |p|"
    sources = ("Gneiting & Raftery 2007", "Buja, Stuetzle & Shen 2005")
    usual_for = ("binary",)
    stand_in = "unit"
    convex = True
    matching = True

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        a, x, s, i, small, big = spherical_sides(m, raw)
        v_right = (1 - x) * (1 - x) / ((2 - x) + s)
        v_wrong = m.where(a >= 1, a, x + v_right)
        positive = raw >= 0
        p, q = m.where(positive, big, small), m.where(positive, small, big)
        v0, v1 = m.where(positive, v_wrong, v_right), m.where(positive, v_right, v_wrong)
        hessian = constant(m, 1.0, raw) * m.where(a > 1, 0.0, i * i * i)
        return at_labels(m, target, v1, v0), (1 - target) * p - target * q, hessian

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers) -> Numbers:
        *_, small, big = spherical_sides(m, raw)
        return constant(m, 0.0, raw) + m.where(raw >= 0, big, small)

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers) -> Numbers:
        p, q = prediction, 1 - prediction
        return (p - q) / m.sqrt(p * p + q * q)


@dataclass(frozen=True)
class SigmoidBrier(SigmoidLoss):
    """Brier score of a sigmoid: proper, but not matching; its signal dies where the model is surely wrong.

    value = y q^2 + (1 - y) p^2, p = sigmoid(z), q = 1 - p; gradient = 2 p q (p - y) at a label; y in [0, 1]. Not convex in z.
    Source: Brier (1950).

    >>> import matchloss as ml
    >>> ml.SigmoidBrier().gradient([-20.0, 0.0], 2 * [1.0])
    array([-4.12230722e-09, -2.50000000e-01])
    """

    name = "sigmoid_brier"
    aliases = ("mse_of_sigmoid",)
    title = "Brier of a sigmoid"
    equation = "y q^2 + (1 - y) p^2"
    error_signal = "2 p (1 - p) (p - y)"
    sources = ("Brier 1950",)
    usual_for = ("binary",)
    advice = (
        "The Brier score of a sigmoid is also zero only at the right answer, but its signal fades just where the model is "
        "confidently wrong."
    )
    convex = False

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        _, p, q = sigmoids(m, raw)
        g0, g1 = 2 * p * p * q, 2 * p * q * q
        hessian = (1 - target) * (g0 * (2 * q - p)) + target * (g1 * (2 * p - q))
        return target * (q * q) + (1 - target) * (p * p), (1 - target) * g0 - target * g1, hessian

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        """2 p^2 q^2, the mean hessian over labels drawn from the prediction."""
        _, p, q = sigmoids(m, raw)
        return 2 * (p * q) * (p * q)


@dataclass(frozen=True)
class Exponential(BinaryLoss):
    """Exponential loss of the margin, AdaBoost's.

    value = y e^-z + (1 - y) e^z, gradient = (1 - y) e^z - y e^-z, hessian = value; y in [0, 1]; p = sigmoid(2z).
    Source: Freund and Schapire (1997); Friedman, Hastie and Tibshirani (2000).

    >>> import matchloss as ml
    >>> ml.Exponential().value([-1.0, 0.0, 1.0], 3 * [1.0])
    array([2.71828183, 1.        , 0.36787944])
    """

    name = "exponential"
    aliases = ("exponential_loss", "adaboost", "half_exponential")
    title = "Exponential"
    equation = "y e^-z + (1 - y) e^z"
    error_signal = "(1 - y) e^z - y e^-z"
    link_name = "logit / 2"
    sources = ("Freund & Schapire 1997", "Friedman, Hastie & Tibshirani 2000")
    convex = True

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        e = m.exp(0.5 * raw)
        u, v = times_square(m, 1 - target, e), times_square(m, target, 1 / e)
        return u + v, u - v, u + v

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        """2 / (e^z + e^-z)."""
        e = m.exp(-m.abs(raw))
        return 2 * e / (1 + e * e)

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers) -> Numbers:
        return sigmoids(m, 2 * raw)[1]

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers) -> Numbers:
        return 0.5 * (m.log(prediction) - m.log1p(-prediction))


@dataclass(frozen=True)
class Hinge(BinaryLoss):
    """Hinge loss of the margin: it finds the likelier label and no probability.

    value = y max(0, 1 - z) + (1 - y) max(0, 1 + z); gradient = -y [z < 1] + (1 - y) [z > -1]; hessian = 0; y in [0, 1];
    predict(z) = sgn z; there is no link. Elicits the mode. Source: Cortes and Vapnik (1995).

    >>> import matchloss as ml
    >>> ml.Hinge().value([-1.0, 0.0, 2.0], 3 * [1.0])
    array([2., 1., 0.])
    """

    name = "hinge"
    aliases = ("hinge_loss", "binary:hinge", "svm")
    title = "Hinge"
    equation = "y (1 - z)+ + (1 - y) (1 + z)+"
    error_signal = "(1 - y) [z > -1] - y [z < 1]"
    link_name = "none"
    sources = ("Cortes & Vapnik 1995",)
    usual_for = ("binary",)
    advice = "Hinge has no link: its prediction is only a side, so it is drawn against raw output alone."
    stand_in = "unit"
    convex = True
    functional = "mode"
    proper = False
    smooth = False
    zero_iff_right = False

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        nothing = constant(m, 0.0, raw)
        u, v = m.where(raw > -1, 1 + raw, nothing), m.where(raw < 1, 1 - raw, nothing)
        g0, g1 = m.where(raw > -1, 1.0, nothing), m.where(raw < 1, 1.0, nothing)
        return at_labels(m, target, v, u), (1 - target) * g0 - target * g1, nothing

    @staticmethod
    def pieces_formula(m: Namespace, target: Numbers) -> Pieces:
        return (1.0, -target, 0.0), (-1.0, 0.0, 1 - target)

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers) -> Numbers:
        return m.where(raw > 0, 1.0, m.where(raw < 0, -1.0, raw))

    def link(self, prediction: Any) -> Any:
        raise NotImplementedError("the hinge loss has no link: its prediction is a sign, which many raw predictions share")

    def minimiser(self, target: NDArray[Any]) -> Any:
        return np.where(target > 0.5, 1.0, np.where(target < 0.5, -1.0, 0.0))


@dataclass(frozen=True)
class SquaredHinge(BinaryLoss):
    """Squared hinge loss of the margin: unlike the hinge it does find probabilities.

    value = y max(0, 1 - z)^2 + (1 - y) max(0, 1 + z)^2; y in [0, 1]; p = clip((1 + z) / 2, 0, 1).
    Source: Zhang (2004).

    >>> import matchloss as ml
    >>> ml.SquaredHinge().gradient([-1.0, 0.0, 2.0], 3 * [1.0])
    array([-4., -2.,  0.])
    """

    name = "squared_hinge"
    aliases = ("squared_hinge_loss", "l2_svm")
    title = "Squared hinge"
    equation = "y (1 - z)+^2 + (1 - y) (1 + z)+^2"
    error_signal = "2 (1 - y) (1 + z)+ - 2 y (1 - z)+"
    link_name = "2p - 1"
    sources = ("Zhang 2004",)
    stand_in = "majorizer"
    convex = True

    @staticmethod
    def formula(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        nothing = constant(m, 0.0, raw)
        u, v = m.where(raw > -1, 1 + raw, nothing), m.where(raw < 1, 1 - raw, nothing)
        h0, h1 = m.where(raw > -1, 2.0, nothing), m.where(raw < 1, 2.0, nothing)
        gradient = 2 * (times(m, 1 - target, u) - times(m, target, v))
        value = times_square(m, target, v) + times_square(m, 1 - target, u)
        return value, gradient, (1 - target) * h0 + target * h1

    @staticmethod
    def fisher_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        return m.where(m.abs(raw) > 1, 0.0, constant(m, 2.0, raw))

    @staticmethod
    def majorizer_formula(m: Namespace, raw: Numbers, target: Numbers) -> Numbers:
        return constant(m, 2.0, raw)

    @staticmethod
    def predict_formula(m: Namespace, raw: Numbers) -> Numbers:
        return clipped(m, raw)

    @staticmethod
    def link_formula(m: Namespace, prediction: Numbers) -> Numbers:
        return 2 * prediction - 1
