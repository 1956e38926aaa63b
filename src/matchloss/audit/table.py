"""The checks, in the order in which they run: the one place that names them all."""

from __future__ import annotations

from matchloss.audit.checks import (
    accuracy,
    behaviour,
    curves,
    derivatives,
    domain,
    hessian,
    inputs,
    jumps,
    minimum,
    numbers,
    promises,
    proper,
    reductions,
    weights,
)
from matchloss.audit.checks._check import Check

CHECKS = tuple(
    Check(run)
    for run in (
        numbers.finite, numbers.limits, derivatives.gradient, hessian.hessian, accuracy.accuracy,
        minimum.minimum, proper.proper, promises.linear, promises.matching, curves.convex, curves.invariance,
        jumps.jumps, weights.weights, reductions.reductions, inputs.shapes, domain.domain,
        behaviour.purity, inputs.dtype, inputs.layout, behaviour.cost,
    )
)  # fmt: skip
