"""Conditional logit: who is chosen from a set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from matchloss.engine import threads
from matchloss.engine.arrays import as_array, refuse, same_shape
from matchloss.errors import DomainError
from matchloss.losses.structured._compiled import loop
from matchloss.losses.structured._ragged import as_indptr
from matchloss.losses.structured._structured import Array, Arrays, StructuredLoss, by_weight

BLOCK = 4096  # sets that a thread takes at once


@dataclass(frozen=True, eq=False)
class ChoiceSets:
    """Sets of alternatives, one after the other: set i is rows indptr[i] to indptr[i + 1]; chosen (rows,), 0 or 1.

    Any number of a set may be chosen. Where none or all are, nothing is compared, and the set's value is 0 (`idle` counts these sets).
    DomainError for empty sets and for entries of chosen that are neither 0 nor 1.
    """

    indptr: Any
    chosen: Any

    def __post_init__(self) -> None:
        indptr, chosen = as_indptr(self.indptr, "set"), as_array("chosen", self.chosen)
        same_shape("chosen", chosen, (int(indptr[-1]),), "indptr")
        refuse("chosen", chosen, ~((chosen == 0) | (chosen == 1)), "0 or 1")
        object.__setattr__(self, "indptr", indptr)
        object.__setattr__(self, "chosen", np.ascontiguousarray(chosen, np.int64))

    @property
    def counts(self) -> Array:
        """How many of each set are chosen."""
        return np.add.reduceat(self.chosen, self.indptr[:-1]) if self.indptr.size > 1 else np.zeros(0, np.int64)

    @property
    def active(self) -> Array:
        """Whether each set compares something: some of it are chosen, and not all."""
        counts = self.counts
        return (counts > 0) & (counts < np.diff(self.indptr))

    @property
    def idle(self) -> int:
        """How many sets say nothing, because none or all of them are chosen."""
        return int((~self.active).sum())


@dataclass(frozen=True)
class Choice(StructuredLoss):
    """Conditional logit: k members of a set are chosen, with odds e^(sum of their utilities). k = 1 is McFadden's model of choice.

    raw: utilities (rows,). target: `ChoiceSets(indptr, chosen)`. value of a set: log(sum over its subsets of size k of e^(sum of v)) -
    sum of the chosen v. gradient: P(j is chosen) - [j was chosen]; where one is chosen, its own entry is minus the sum of the others.
    k > 1 is Chamberlain's: fixed effects of a panel, matched controls, exact ties of Cox's model.
    Sources: McFadden (1974); Chamberlain (1980); Gail, Lubin and Rubinstein (1981).

    >>> from matchloss.losses.structured import Choice, ChoiceSets
    >>> Choice().gradient([0.0, 0.0, 40.0, 0.0], ChoiceSets([0, 2, 4], [1, 0, 1, 0]))
    array([-5.00000000e-01,  5.00000000e-01, -4.24835426e-18,  4.24835426e-18])
    """

    name: ClassVar[str] = "conditional_logit"
    aliases: ClassVar[tuple[str, ...]] = ("clogit", "choice", "mcfadden")
    title: ClassVar[str] = "Conditional logit"
    equation: ClassVar[str] = "log(sum over subsets of size k of e^(sum of z)) - sum of the chosen z"
    partition: ClassVar[str] = "subsets of as many as were chosen"
    error_signal: ClassVar[str] = "P(j is chosen) - [j was chosen]"
    expected: ClassVar[str] = "how often each alternative is chosen"
    observed_is: ClassVar[str] = "1 for the chosen"
    group: ClassVar[str] = "choice set"
    raw_shapes: ClassVar[str] = "utilities of all alternatives (rows,)"
    target_is: ClassVar[str] = "ChoiceSets(indptr, chosen)"
    sources: ClassVar[tuple[str, ...]] = ("McFadden 1974", "Chamberlain 1980", "Gail, Lubin and Rubinstein 1981")

    def groups(self, raw: Arrays, target: ChoiceSets) -> int:
        return target.indptr.size - 1

    def compute(self, raw: Arrays, target: ChoiceSets, weight: Array | None, graded: bool) -> tuple[Array, Arrays]:
        value, gradient, _ = self.terms(raw[0], target, weight)
        return value, (gradient,) if graded else ()

    def terms(self, v: Array, target: ChoiceSets, weight: Array | None) -> tuple[Array, Array, Array]:
        """Values of sets, the gradient, and probabilities of choice (NaN in sets of which several are chosen, 0 in idle ones)."""
        indptr, chosen = target.indptr, target.chosen
        same_shape("raw", v, chosen.shape, "indptr")
        many = indptr.size - 1
        value, g, p = np.empty(many), np.empty(v.size), np.empty(v.size)
        factor, run = by_weight(weight, many), loop("choice", "sets")
        bad = threads.over_blocks(many, BLOCK, lambda a, b: run(v, chosen, indptr, factor, a, b, value, g, p))
        if bad >= 0:
            mine = v[indptr[bad] : indptr[bad + 1]]
            i = int(np.argmax(~np.isfinite(mine)))
            raise DomainError(f"set {bad}, position {i}: the utility is {float(mine[i])!r}; allowed: finite")
        return value, g, p

    def hessian_product(self, raw: Any, target: ChoiceSets, v: Any) -> Array:
        """The hessian times a vector (rows,): p times (entry - its mean over the set). NotImplementedError where several are chosen.

        >>> Choice().hessian_product([0.0, 0.0], ChoiceSets([0, 2], [1, 0]), [1.0, 0.0])
        array([ 0.25, -0.25])
        """
        (z,), (u,) = self._parts(raw), self._parts(v)
        same_shape("v", u, z.shape, "raw")
        p, starts = self.terms(z, target, None)[2], target.indptr[:-1]
        if np.isnan(p).any():
            at = int(np.searchsorted(target.indptr, np.isnan(p).argmax(), "right")) - 1
            raise NotImplementedError(f"set {at}: several are chosen; Choice has a hessian_product for sets of one chosen alternative")
        return p * (u - np.repeat(np.add.reduceat(p * u, starts), np.diff(target.indptr))) if z.size else p

    def observed(self, raw: Any, target: ChoiceSets) -> Array:
        """1 for the chosen of sets that compare something, else 0."""
        return np.where(np.repeat(target.active, np.diff(target.indptr)), target.chosen, 0.0)
