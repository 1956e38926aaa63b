"""Cox's partial likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from matchloss.errors import DomainError, ShapeError
from matchloss.losses.structured._compiled import loop
from matchloss.losses.structured._risk import Floats, RiskSets
from matchloss.losses.structured._structured import Array, Arrays, StructuredLoss

WIDEST = 600.0  # range of linear predictors that e^x can hold, where units cannot change with time
NEAR = 1e-200  # a single death's share of its risk set from which log1p keeps more digits than a difference of logarithms


class Sums(NamedTuple):
    """At each event time, in units of e^shift: sums over the others at risk and over the deaths, (m, columns)."""

    shift: Floats
    rest: Floats
    tied: Floats
    e: Floats  # (n,): e^eta of each row, in units of its own time
    at: Floats  # (5, m): what the loop at_events makes of the first columns: a, a_own, b, b_own, logs


@dataclass(frozen=True)
class Cox(StructuredLoss):
    """Cox's partial likelihood: who died, of those at risk. With strata, weights and late entry; ties by Efron or Breslow.

    raw: linear predictors (n,), log hazards. target: `RiskSets(time, event, entry, strata, weight)`. value: one a stratum, the sum over
    its deaths of u log(den) - w eta, den the sum of w e^eta at risk (Efron: less k/d of the d tied deaths), u the mean weight of the
    tied. gradient: expected minus observed deaths of each row, which is the negative of the martingale residual. The value of a death that
    is alone at its time is log1p(others / own), and its own gradient -others / all, so that it is exact where one row carries the risk set.
    With late entry, linear predictors may span 600 at most (otherwise DomainError). Parameters: ties, "efron" or "breslow".
    Sources: Cox (1972); Breslow (1974); Efron (1977).

    >>> from matchloss.losses.structured import Cox, RiskSets
    >>> risk = RiskSets([1.0, 2.0, 3.0], [1, 0, 1])
    >>> Cox().gradient([0.0, 0.0, 0.0], risk).round(4)     # expected minus observed deaths
    array([-0.6667,  0.3333,  0.3333])
    """

    name: ClassVar[str] = "cox"
    aliases: ClassVar[tuple[str, ...]] = ("coxph", "survival:cox", "neg_partial_log_likelihood")
    title: ClassVar[str] = "Cox's partial likelihood"
    equation: ClassVar[str] = "sum over deaths of log(sum of w e^z at risk) - w z"
    partition: ClassVar[str] = "who might have died, at each death"
    error_signal: ClassVar[str] = "expected - observed deaths"
    expected: ClassVar[str] = "deaths of each row: w e^z times the baseline hazard while it was at risk"
    observed_is: ClassVar[str] = "deaths of each row, 0 or its weight"
    group: ClassVar[str] = "stratum"
    raw_shapes: ClassVar[str] = "log hazards (n,)"
    target_is: ClassVar[str] = "RiskSets(time, event, entry, strata, weight)"
    sources: ClassVar[tuple[str, ...]] = ("Cox 1972", "Breslow 1974", "Efron 1977")

    ties: str = "efron"

    def __post_init__(self) -> None:
        if self.ties not in ("efron", "breslow"):
            raise DomainError(f"Cox's ties is {self.ties!r}; allowed: 'efron', 'breslow'")

    def groups(self, raw: Arrays, target: RiskSets) -> int:
        return target.strata_names.size

    def compute(self, raw: Arrays, target: RiskSets, weight: Array | None, graded: bool) -> tuple[Array, Arrays]:
        eta = self._sorted(raw[0], target)
        sums = self._sums(eta, target, None)
        value = self._value(eta, target, sums)
        value = value if weight is None else value * weight
        if not graded:
            return value, ()
        net = self._signal(target, sums)[0]
        if weight is not None:
            net = net * self._of_rows(weight, target)
        return value, (back(net, target),)

    def hessian(self, raw: Any, target: RiskSets) -> Array:
        """The diagonal (n,) of the hessian in raw, summed over strata. Errors: `evaluate`."""
        eta = self._sorted(self._parts(raw)[0], target)
        sums = self._sums(eta, target, None)
        expected, e = self._signal(target, sums)[1], sums.e
        square, before = _collect(target, sums.at[2], 2 * sums.shift)
        own = target.high[target.died]
        square[target.died] = before[target.died] + sums.at[3][own]
        return back(np.maximum(expected - (target.w * e) ** 2 * square, 0.0), target)

    def hessian_product(self, raw: Any, target: RiskSets, v: Any) -> Array:
        """The hessian times a vector (n,), in n log n: w e^z times the sum over deaths of (own entry - its mean at risk) / den.

        >>> risk = RiskSets([1.0, 2.0, 3.0], [1, 0, 1])
        >>> Cox().hessian_product([0.0, 0.0, 0.0], risk, [3.0, 0.0, 0.0]).round(4)     # one death: p times (own - mean)
        array([ 0.6667, -0.3333, -0.3333])
        """
        eta, u = (self._sorted(self._parts(x)[0], target) for x in (raw, v))
        sums = self._sums(eta, target, u[:, None])
        expected, e = self._signal(target, sums)[1], sums.e
        d = target.deaths
        means, at = np.empty((d.sum(), 1)), np.repeat(np.arange(d.size), d)
        loop("cox", "means_at_events")(sums.rest, sums.tied, d, target.death_weight, self.ties == "efron", means)
        k = np.arange(at.size) - np.repeat(np.cumsum(d) - d, d)
        c = 1 - k / d[at] if self.ties == "efron" else np.ones(at.size)
        each = means[:, 0] * np.sqrt(target.death_weight / d)[at] / (sums.rest[at, 0] + c * sums.tied[at, 0])
        through, before = _collect(target, np.asarray(np.bincount(at, each, d.size), np.float64), sums.shift)
        died = target.died
        through[died] = before[died] + np.bincount(at, c * each, d.size)[target.high[died]]
        return back(expected * u - target.w * e * through, target)

    def newton(self, eta: Floats, x: Floats, target: RiskSets) -> tuple[float, Floats, Floats]:
        """Value, gradient and hessian in the coefficients of x (n, p); eta and x have their rows in target's order."""
        if not np.isfinite(eta).all():
            raise DomainError("a linear predictor is not finite")
        sums = self._sums(eta, target, x)
        net, expected = self._signal(target, sums)
        means = np.empty((target.deaths.sum(), x.shape[1]))
        loop("cox", "means_at_events")(sums.rest, sums.tied, target.deaths, target.death_weight, self.ties == "efron", means)
        return float(self._value(eta, target, sums).sum()), x.T @ net, x.T @ (expected[:, None] * x) - means.T @ means

    def scores(self, eta: Floats, x: Floats, target: RiskSets) -> Floats:
        """What each row adds to the gradient in the coefficients of x (n, p), less what it adds to the others' expected x: it sums to
        that gradient, and its squares to a robust covariance's (Lin and Wei 1989). Rows of eta, x and the result in target's order.
        """
        sums = self._sums(eta, target, x)
        net, e = self._signal(target, sums)[0], sums.e
        d, died, own = target.deaths, target.died, target.high[target.died]
        means, at = np.empty((d.sum(), x.shape[1])), np.repeat(np.arange(d.size), d)
        loop("cox", "means_at_events")(sums.rest, sums.tied, d, target.death_weight, self.ties == "efron", means)
        c = 1 - (np.arange(at.size) - np.repeat(np.cumsum(d) - d, d)) / d[at] if self.ties == "efron" else np.ones(at.size)
        root = np.sqrt(target.death_weight / d)[at]
        den = sums.rest[at, 0] + c * sums.tied[at, 0]
        made = net[:, None] * x
        for j in range(x.shape[1]):
            each = root * means[:, j] / den
            through, before = _collect(target, np.asarray(np.bincount(at, each, d.size), np.float64), sums.shift)
            through[died] = before[died] + np.bincount(at, c * each, d.size)[own]
            made[:, j] -= target.w * e * through
            made[died, j] += target.w[died] * (np.bincount(at, means[:, j] / root, d.size) / d)[own]
        return made

    def observed(self, raw: Any, target: RiskSets) -> Array:
        """The deaths of each row: its weight where an event ended it, otherwise 0."""
        return back(target.w * target.died, target)

    def baseline(self, raw: Any, target: RiskSets) -> Floats:
        """The steps of the cumulative baseline hazard at target's event times (m,), by Breslow's estimator (Efron's with ties by Efron).

        >>> risk = RiskSets([1.0, 2.0, 3.0], [1, 0, 1])
        >>> Cox().baseline([0.0, 0.0, 0.0], risk).round(4)     # one of three, then one of one
        array([0.3333, 1.    ])
        """
        eta = self._sorted(self._parts(raw)[0], target)
        sums = self._sums(eta, target, None)
        with np.errstate(over="ignore"):
            return sums.at[0] * np.exp(-sums.shift)

    def _sorted(self, eta: Array, risk: RiskSets) -> Floats:
        if eta.shape != (risk.n,):
            raise ShapeError(f"raw has shape {eta.shape}; the risk sets ask for ({risk.n},)")
        live = np.zeros(risk.n, bool)
        live[risk.order] = risk.high >= 0
        bad = ~np.isfinite(eta) & live
        if bad.any():
            i = int(bad.argmax())
            raise DomainError(f"raw[{i}] is {float(eta[i])!r}; allowed: finite, because it enters the risk sets of other rows")
        return np.where(live, eta, 0.0)[risk.order]

    def _sums(self, eta: Floats, risk: RiskSets, x: Floats | None) -> Sums:
        """Sums of w e^eta, and with x of w e^eta x as further columns."""
        live = risk.high >= 0
        m, width = risk.times.size, 1 if x is None else 1 + x.shape[1]
        top = float(eta[live].max())
        shift = np.full(m, top)
        if not risk.late:
            loop("cox", "largest_at_risk")(eta, risk.ends, risk.starts, shift)
        elif top - eta[live].min() > WIDEST:
            raise DomainError(f"with late entry linear predictors may span {WIDEST:g} at most; they span {top - eta[live].min():.4g}")
        e = np.where(live, np.exp(np.minimum(eta - shift[risk.high], 0.0)), 0.0)
        v = np.empty((risk.n, width))
        v[:, 0] = risk.w * e
        if x is not None:
            np.multiply(v[:, :1], x, out=v[:, 1:])
        rest, tied = np.zeros((2, m, width))
        if risk.late:
            loop("cox", "cover_tree")(v, risk.low, risk.high - risk.died, rest)
            np.add.at(tied, risk.high[risk.died], v[risk.died])
        else:
            loop("cox", "cover")(v, risk.died, risk.ends, risk.starts, shift, rest, tied)
        at, first = np.empty((5, m)), (np.ascontiguousarray(rest[:, 0]), np.ascontiguousarray(tied[:, 0]))
        loop("cox", "at_events")(*first, risk.deaths, risk.death_weight, self.ties == "efron", *at)
        return Sums(shift, rest, tied, e, at)

    @staticmethod
    def _value(eta: Floats, risk: RiskSets, sums: Sums) -> Floats:
        """The value of each stratum."""
        rest, tied, died, weight = sums.rest[:, 0], sums.tied[:, 0], risk.died, risk.death_weight
        near = (risk.deaths == 1) & (tied > NEAR * rest)  # farther away, the value is a distance of eta and loses no digits
        ratio = rest / np.where(near, tied, 1.0)
        value = np.where(near, weight * np.log1p(ratio), sums.at[4] + weight * sums.shift)
        own = risk.high[died]
        alone = np.where(near[own], np.log(risk.w[died]), -eta[died]) * risk.w[died]
        strata = risk.strata_names.size
        return np.asarray(np.bincount(risk.stratum, value, strata) + np.bincount(risk.stratum[own], alone, strata), np.float64)

    @staticmethod
    def _signal(risk: RiskSets, sums: Sums) -> tuple[Floats, Floats]:
        """Expected minus observed, and expected, of each row in sorted order."""
        a, a_own = sums.at[:2]
        we, died, own = risk.w * sums.e, risk.died, risk.high[risk.died]
        through, before = _collect(risk, a, sums.shift)
        net, expected = we * before, we * through
        expected[died] = we[died] * (before[died] + a_own[own])
        share = sums.rest[:, 0] / (sums.rest[:, 0] + sums.tied[:, 0])
        single = (risk.deaths == 1)[own]
        net[died] += np.where(single, -risk.w[died] * share[own], we[died] * a_own[own] - risk.w[died])
        return net, expected

    @staticmethod
    def _of_rows(weight: Floats, risk: RiskSets) -> Floats:
        """The weight of each row's stratum, in sorted order."""
        return np.where(risk.high >= 0, weight[risk.stratum[risk.high]], 0.0)


def _collect(risk: RiskSets, a: Floats, units: Floats) -> tuple[Floats, Floats]:
    """Sums of a over the times at which a row is at risk, and the same without a death's own time."""
    through, before = np.empty((2, risk.n))
    if risk.late:
        loop("cox", "collect_tree")(a, risk.low, risk.high, through)
        loop("cox", "collect_tree")(a, risk.low, risk.high - risk.died, before)
    else:
        loop("cox", "collect")(a, risk.high, risk.died, risk.starts, units, through, before)
    return through, before


def back(v: Floats, risk: RiskSets) -> Floats:
    """Numbers of sorted rows, put back into the person's order."""
    out = np.empty_like(v)
    out[risk.order] = v
    return out
