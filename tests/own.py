"""A person's own losses, registered by nothing but their classes: none is convex, and none says so."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import matchloss as ml
from matchloss.losses import Interval, Loss


@dataclass(frozen=True)
class Cauchy(ml.PointwiseLoss):
    """log(1 + d^2) / 2, d = z - y: an outlier hardly pulls."""

    name = "cauchy"
    functional = "Cauchy functional"

    @staticmethod
    def formula(m: Any, raw: Any, target: Any) -> tuple[Any, Any, Any]:
        d = raw - target
        u = 1 / (1 + d * d)
        return 0.5 * m.log1p(d * d), d * u, u * (2 * u - 1)


@dataclass(frozen=True)
class Welsch(ml.PointwiseLoss):
    """1 - exp(-d^2 / 2), d = (z - y) / scale: an outlier does not pull at all."""

    scale: float = 1.0

    name = "welsch"
    family = "regression"
    functional = "Welsch functional"
    parameter_domains: ClassVar[dict[str, Interval]] = {"scale": Interval(0, inf)}

    @staticmethod
    def formula(m: Any, raw: Any, target: Any, scale: float) -> tuple[Any, Any, Any]:
        d = (raw - target) / scale
        e = m.exp(-0.5 * d * d)
        return -m.expm1(-0.5 * d * d), d * e / scale, (1 - d * d) * e / scale / scale


@dataclass(frozen=True)
class Wavy(ml.PointwiseLoss):
    """sin^2 d + d^2 / 50, d = z - y: many minima for a single target, the least of them at d = 0."""

    functional = "Wavy functional"

    @staticmethod
    def formula(m: Any, raw: Any, target: Any) -> tuple[Any, Any, Any]:
        d = raw - target
        s, c = m.sin(d), m.cos(d)
        return s * s + d * d / 50, 2 * s * c + d / 25, 2 * (c * c - s * s) + 0.04


OWN: list[Loss] = [Cauchy(), Welsch(), Welsch(scale=0.3), Wavy()]
