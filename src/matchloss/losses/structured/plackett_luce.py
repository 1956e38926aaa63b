"""Plackett and Luce's model of orders; ListMLE is its likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from matchloss.engine import threads
from matchloss.engine.arrays import as_array, refuse, same_shape
from matchloss.errors import DomainError
from matchloss.losses.structured._compiled import loop
from matchloss.losses.structured._ragged import as_indptr, starts_of
from matchloss.losses.structured._structured import Array, Arrays, StructuredLoss, as_integers, by_weight

BLOCK = 1024  # lists that a thread takes at once: between two blocks threads wait for each other, so blocks are not short


@dataclass(frozen=True, eq=False)
class Rankings:
    """Lists of different lengths, one after the other: list i is entries indptr[i] to indptr[i + 1].

    order: for each list its positions from best to worst, (entries,); None if the entries already stand in that order. DomainError for an
    empty list and for an order that does not hold each position of its list once.
    """

    indptr: Any
    order: Any = None

    def __post_init__(self) -> None:
        indptr = as_indptr(self.indptr, "list")
        starts = starts_of(indptr)
        order = np.arange(starts.size) - starts if self.order is None else as_integers("order", self.order, starts.shape)
        if self.order is not None:
            sizes = np.repeat(np.diff(indptr), np.diff(indptr))
            refuse("order", order, (order < 0) | (order >= sizes), "positions within the list, from 0")
            twice = np.bincount(starts + order, minlength=starts.size) != 1
            if twice.any():
                i = int(np.searchsorted(indptr, int(twice.argmax()), "right")) - 1
                raise DomainError(f"order of list {i}: allowed: each position of the list once")
        object.__setattr__(self, "indptr", indptr)
        object.__setattr__(self, "order", order)

    @classmethod
    def by_relevance(cls, relevance: Any, indptr: Any) -> Rankings:
        """Order each list by falling relevance; entries of equal relevance keep their order. DomainError for NaN.

        >>> Rankings.by_relevance([1.0, 3.0, 2.0, 5.0, 6.0], [0, 3, 5]).order
        array([1, 2, 0, 1, 0])
        """
        bounds, relevance = as_indptr(indptr, "list"), as_array("relevance", relevance)
        same_shape("relevance", relevance, (int(bounds[-1]),), "indptr")
        refuse("relevance", relevance, np.isnan(relevance), "a number")
        starts = starts_of(bounds)
        return cls(bounds, np.lexsort((-relevance.astype(np.float64), starts)) - starts)


@dataclass(frozen=True)
class PlackettLuce(StructuredLoss):
    """The Plackett-Luce likelihood of orders (ListMLE): each place is a choice among those that are left, in proportion to e^score.

    raw: scores (entries,) of all lists. target: `Rankings(indptr, order)`. The value of a list is the sum over places k < top of
    log1p(sum_{j after k} e^z_j / e^z_k); gradient: the sum over k < top of P(j is chosen k-th | those left) - [j < top]. It is Cox's
    likelihood with one stratum a list. Parameters: top, how many places count; None for all. A list of one entry says nothing: its value
    is 0.
    Sources: Plackett (1975); Luce (1959); Xia, Liu, Wang, Zhang and Li (2008).

    >>> from matchloss.losses.structured import PlackettLuce, Rankings
    >>> lists = Rankings([0, 3, 5])                          # two lists, best first
    >>> PlackettLuce().value([0.0, 0.0, 0.0, 1.0, 1.0], lists).round(4)      # log 6, log 2
    array([1.7918, 0.6931])
    >>> PlackettLuce(top=1).gradient([0.0, 0.0, 0.0, 1.0, 1.0], lists).round(4)
    array([-0.6667,  0.3333,  0.3333, -0.5   ,  0.5   ])
    """

    name: ClassVar[str] = "plackett_luce"
    aliases: ClassVar[tuple[str, ...]] = ("list_mle", "listmle", "ListMLE")
    title: ClassVar[str] = "Plackett-Luce, ListMLE"
    equation: ClassVar[str] = "sum over places k of log(sum of e^z over those left) - z_k"
    partition: ClassVar[str] = "who might take each place, of those left"
    error_signal: ClassVar[str] = "expected - observed choices"
    expected: ClassVar[str] = "how often each entry is chosen, given those left at each place"
    observed_is: ClassVar[str] = "1 for the entries of the first `top` places"
    group: ClassVar[str] = "list"
    raw_shapes: ClassVar[str] = "scores of all lists, one after the other"
    target_is: ClassVar[str] = "Rankings(indptr, order)"
    sources: ClassVar[tuple[str, ...]] = ("Luce 1959", "Plackett 1975", "Xia, Liu, Wang, Zhang and Li 2008")

    top: int | None = None

    def __post_init__(self) -> None:
        if self.top is not None and (isinstance(self.top, bool) or not isinstance(self.top, int | np.integer) or self.top < 1):
            raise DomainError(f"PlackettLuce's top is {self.top!r}; allowed: 1 or more, or None for all places")

    def groups(self, raw: Arrays, target: Rankings) -> int:
        return target.indptr.size - 1

    def compute(self, raw: Arrays, target: Rankings, weight: Array | None, graded: bool) -> tuple[Array, Arrays]:
        z, indptr = raw[0], target.indptr
        same_shape("raw", z, target.order.shape, "indptr")
        many = indptr.size - 1
        value, gradient, factor, run = np.empty(many), np.empty(z.size), by_weight(weight, many), loop("plackett_luce", "lists")
        bad = threads.over_blocks(many, BLOCK, lambda a, b: run(z, indptr, target.order, self.top or 0, factor, a, b, value, gradient))
        if bad >= 0:
            mine = z[indptr[bad] : indptr[bad + 1]]
            i = int(np.argmax(~np.isfinite(mine)))
            raise DomainError(f"list {bad}, position {i}: the score is {float(mine[i])!r}; allowed: finite")
        return value, (gradient,) if graded else ()

    def observed(self, raw: Any, target: Rankings) -> Array:
        """1 for the entries of the first `top` places of each list, else 0."""
        starts = starts_of(target.indptr)
        out = np.zeros(starts.size)
        out[starts + target.order] = (np.arange(starts.size) - starts) < (self.top or starts.size)
        return out
