"""Ordered logit and probit: ordered labels, as intervals of a line that thresholds cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from matchloss.engine import threads
from matchloss.engine.arrays import refuse, same_shape
from matchloss.errors import DomainError, ShapeError
from matchloss.losses.structured._compiled import loop
from matchloss.losses.structured._structured import Array, Arrays, StructuredLoss, as_integers

BLOCK = 4096


@dataclass(frozen=True)
class Ordered(StructuredLoss):
    """What both share. raw: linear predictors (n,) and increasing thresholds (K - 1,); target: labels (n,), 0 to K - 1."""

    link: ClassVar[str] = ""
    partition: ClassVar[str] = "labels 0 to K - 1"
    expected: ClassVar[str] = "probabilities of each label"
    observed_is: ClassVar[str] = "the label"
    group: ClassVar[str] = "row"
    raw_names: ClassVar[tuple[str, ...]] = ("eta", "thresholds")
    raw_shapes: ClassVar[str] = "linear predictors (n,), thresholds (K - 1,)"
    target_is: ClassVar[str] = "labels (n,), 0 to K - 1"

    def groups(self, raw: Arrays, target: Any) -> int:
        return np.shape(target)[0] if np.ndim(target) else 0

    def compute(self, raw: Arrays, target: Any, weight: Array | None, graded: bool) -> tuple[Array, Arrays]:
        eta, cuts = raw
        y, terms = self.terms(eta, cuts, target)
        terms = terms if weight is None else terms * weight
        if not graded:
            return terms[0], ()
        return terms[0], (terms[6], per_threshold(y, terms[1], terms[2], cuts.size))

    def terms(self, eta: Array, cuts: Array, target: Any) -> tuple[Array, Array]:
        """Labels, and (8, n): the value, slopes in both thresholds, their second derivatives (3), and both in eta."""
        if cuts.ndim != 1 or cuts.size < 1:
            raise ShapeError(f"thresholds has shape {cuts.shape}; (K - 1,) is needed, for K labels, 2 or more")
        y = as_integers("labels", target)
        same_shape("labels", y, eta.shape, "eta")
        if eta.ndim != 1:
            raise ShapeError(f"eta has shape {eta.shape}; (n,) is needed")
        refuse("labels", y, (y < 0) | (y > cuts.size), f"0 to {cuts.size}")
        refuse("thresholds", cuts, ~np.isfinite(cuts), "finite")
        refuse("eta", eta, np.isinf(eta), "finite, or NaN, which gives NaN")
        crossing = ~(np.diff(cuts) > 0)
        if crossing.any():
            i = int(crossing.argmax())
            raise DomainError(f"thresholds[{i + 1}] is {float(cuts[i + 1])!r}; allowed: above thresholds[{i}], {float(cuts[i])!r}")
        out, run = np.empty((8, eta.size)), loop("ordered", self.link)
        bounds = np.concatenate([[-np.inf], cuts, [np.inf]])
        threads.over_blocks(eta.size, BLOCK, lambda a, b: run(eta, y, bounds, a, b, out))
        return y, out

    def hessian_product(self, raw: Any, target: Any, v: Any) -> Arrays:
        """The hessian in (eta, thresholds) times a vector of the same two parts.

        >>> eta, cuts = OrderedLogit().hessian_product(([0.0], [0.0, 1.0]), [0], ([1.0], [0.0, 0.0]))
        >>> eta, cuts
        (array([0.25]), array([-0.25,  0.  ]))
        """
        (eta, cuts), (along, moved) = self._parts(raw), self._parts(v)
        same_shape("v's eta", along, eta.shape, "eta")
        same_shape("v's thresholds", moved, cuts.shape, "thresholds")
        y, (_, _, _, aa, ab, bb, _, h) = self.terms(eta, cuts, target)
        ends = np.concatenate([[0.0], moved, [0.0]])
        low, high = ends[y], ends[y + 1]
        lower, upper = aa * (low - along) + ab * (high - along), ab * (low - along) + bb * (high - along)
        return h * along - (aa + ab) * low - (ab + bb) * high, per_threshold(y, lower, upper, cuts.size)

    def predict(self, raw: Any, target: Any = None) -> Array:
        """The probability of each label, (n, K): differences of F on the side where they are small."""
        eta, cuts = self._parts(raw)
        at = np.concatenate([[-np.inf], cuts, [np.inf]]) - eta[:, None]
        below = special.expit if self.link == "logit" else special.ndtr
        return np.where(at[:, :-1] > 0, below(-at[:, :-1]) - below(-at[:, 1:]), below(at[:, 1:]) - below(at[:, :-1]))

    def observed(self, raw: Any, target: Any) -> Array:
        """1 for each row's label, (n, K)."""
        cuts = self._parts(raw)[1]
        return np.eye(cuts.size + 1)[as_integers("labels", target)]


def per_threshold(y: Array, lower: Array, upper: Array, cuts: int) -> Array:
    """Sums of numbers that belong to the threshold below and the one above each row's label, (K - 1,)."""
    return (np.bincount(y, lower, cuts + 2) + np.bincount(y + 1, upper, cuts + 2))[1:-1]


@dataclass(frozen=True)
class OrderedLogit(Ordered):
    """Ordered logit, the proportional odds model: P(y <= k) = sigmoid(threshold k - eta).

    value: softplus(-b) + softplus(a) - log(1 - e^-(b - a)), a and b the thresholds around the label less eta; exact for narrow labels
    and in both tails. gradient in eta: 1 - F(b) - F(a), in the thresholds likewise. It is convex in both together.
    DomainError for labels out of range and for thresholds that cross. Source: McCullagh (1980).

    >>> from matchloss.losses.structured import OrderedLogit
    >>> OrderedLogit().value(([0.0, 0.0], [0.0, 1.0]), [0, 2]).round(4)
    array([0.6931, 1.3133])
    """

    name: ClassVar[str] = "ordered_logit"
    aliases: ClassVar[tuple[str, ...]] = ("ordered", "proportional_odds", "polr", "ordinal_logistic")
    title: ClassVar[str] = "Ordered logit"
    equation: ClassVar[str] = "softplus(-b) + softplus(a) - log(1 - e^-(b - a))"
    error_signal: ClassVar[str] = "1 - F(b) - F(a) in eta"
    sources: ClassVar[tuple[str, ...]] = ("McCullagh 1980",)
    link: ClassVar[str] = "logit"


@dataclass(frozen=True)
class OrderedProbit(Ordered):
    """Ordered probit: P(y <= k) = Phi(threshold k - eta).

    value: -log(Phi(b) - Phi(a)); gradient in eta: minus the mean of a normal number between a and b; hessian: 1 - its variance.
    Exact for narrow labels and in both tails. DomainError for labels out of range and for thresholds that cross.
    Sources: Aitchison and Silvey (1957); Pratt (1981).

    >>> from matchloss.losses.structured import OrderedProbit
    >>> OrderedProbit().predict(([0.0], [0.0, 1.0])).round(4)
    array([[0.5   , 0.3413, 0.1587]])
    """

    name: ClassVar[str] = "ordered_probit"
    title: ClassVar[str] = "Ordered probit"
    equation: ClassVar[str] = "-log(Phi(b) - Phi(a))"
    error_signal: ClassVar[str] = "-(mean of a normal number in (a, b)) in eta"
    sources: ClassVar[tuple[str, ...]] = ("Aitchison and Silvey 1957", "Pratt 1981")
    link: ClassVar[str] = "probit"
