"""The checks, in the order in which they run: each a function of a subject whose docstring states the property."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matchloss.audit.calling.subject import Subject
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
from matchloss.audit.checks._skip import Skip
from matchloss.audit.finding import Finding


@dataclass(frozen=True)
class Check:
    """A property that every sound loss has, or that its kind expects."""

    run: Callable[[Subject], Iterator[Finding]]

    @property
    def name(self) -> str:
        """As in the table."""
        return self.run.__name__

    @property
    def statement(self) -> str:
        """As mathematics: the docstring's first paragraph."""
        return " ".join((self.run.__doc__ or "").split("\n\n")[0].split())

    @property
    def meaning(self) -> str:
        """What it means for the person who trains with a loss that lacks it: the docstring's last paragraph."""
        return " ".join((self.run.__doc__ or "").strip().split("\n\n")[-1].split())


CHECKS = tuple(
    Check(run)
    for run in (
        numbers.finite, numbers.limits, derivatives.gradient, hessian.hessian, accuracy.accuracy,
        minimum.minimum, proper.proper, promises.linear, promises.matching, curves.convex, curves.invariance,
        jumps.jumps, weights.weights, reductions.reductions, inputs.shapes, domain.domain,
        behaviour.purity, inputs.dtype, inputs.layout, behaviour.cost,
    )
)  # fmt: skip

__all__ = ["CHECKS", "Check", "Skip"]
