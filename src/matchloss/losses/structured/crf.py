"""Conditional random fields on chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.arrays import refuse
from matchloss.errors import DomainError, ShapeError
from matchloss.losses.structured._compiled import loop
from matchloss.losses.structured._structured import Array, Arrays, StructuredLoss, as_integers, by_weight, within

BLOCK = 8  # sequences whose sums of pairs are added in one array: the grid does not depend on the number of threads


@dataclass(frozen=True, eq=False)
class Paths:
    """The tags of N sequences, (N, T) whole numbers, and the length of each, (N,): T for all where lengths are not given.

    Tags beyond a length are not looked at. DomainError for lengths outside 1..T, ShapeError for shapes.
    """

    tags: Any
    lengths: Any = None

    def __post_init__(self) -> None:
        tags = as_integers("tags", self.tags)
        if tags.ndim != 2:
            raise ShapeError(f"tags has shape {tags.shape}; (N, T) is needed")
        lengths = np.full(len(tags), tags.shape[1]) if self.lengths is None else as_integers("lengths", self.lengths, tags.shape[:1])
        within("lengths", lengths, 1, tags.shape[1])
        object.__setattr__(self, "tags", tags)
        object.__setattr__(self, "lengths", lengths.astype(np.int64))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(N, T): whether a step lies within its sequence."""
        return np.arange(self.tags.shape[1]) < self.lengths[:, None]


@dataclass(frozen=True)
class LinearChainCRF(StructuredLoss):
    """A conditional random field on a chain of tags: log Z - score, Z over all K^T paths.

    raw: emissions (N, T, K), transitions (K, K) from row to column, start (K,), end (K,). target: `Paths(tags, lengths)`.
    score: start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_{t-1}, y_t] + end[y_T]. The value of a sequence is a sum of
    log1p(weight of the other tags / weight of y_t, given y_{t-1}): positive terms. gradient: P(y_t = k) - [y_t = k] for emissions,
    expected - observed pairs for transitions, and likewise for start and end. A score of -inf forbids a tag or pair; an observed path that
    is forbidden raises DomainError. Source: Lafferty, McCallum and Pereira (2001).

    >>> import numpy as np
    >>> from matchloss.losses.structured import LinearChainCRF, Paths
    >>> raw = np.zeros((1, 3, 2)), np.zeros((2, 2)), np.zeros(2), np.zeros(2)
    >>> LinearChainCRF().value(raw, Paths([[0, 1, 1]])).round(4)        # log 8: any of 8 paths
    array([2.0794])
    >>> LinearChainCRF().gradient(raw, Paths([[0, 1, 1]]))[1]           # expected minus observed pairs, in 2 steps
    array([[ 0.5, -0.5],
           [ 0.5, -0.5]])
    """

    name: ClassVar[str] = "crf"
    aliases: ClassVar[tuple[str, ...]] = ("linear_chain_crf", "CRF")
    title: ClassVar[str] = "Conditional random field on a chain"
    equation: ClassVar[str] = "log(sum over paths of e^score) - score of the path"
    partition: ClassVar[str] = "all paths of tags"
    error_signal: ClassVar[str] = "P(tag k at t) - [y_t = k]; pairs likewise"
    expected: ClassVar[str] = "how often each tag comes at each step, and each pair of tags"
    observed_is: ClassVar[str] = "the same on the path"
    group: ClassVar[str] = "sequence"
    raw_names: ClassVar[tuple[str, ...]] = ("emissions", "transitions", "start", "end")
    raw_shapes: ClassVar[str] = "emissions (N, T, K), transitions (K, K), start (K,), end (K,)"
    target_is: ClassVar[str] = "Paths(tags, lengths)"
    singles: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ("Lafferty, McCallum and Pereira 2001",)

    def groups(self, raw: Arrays, target: Paths) -> int:
        return len(target.tags)

    def compute(self, raw: Arrays, target: Paths, weight: Array | None, graded: bool) -> tuple[Array, Arrays]:
        z, trans, start, end = raw[0], *(np.asarray(x, np.float64) for x in raw[1:])
        self._check(z, (trans, start, end), target.lengths, target)
        (many, _, K), y, lengths = z.shape, target.tags, target.lengths
        factor = by_weight(weight, many)
        tau, sigma, omega = (np.exp(x - _top(x)) for x in (trans, start, end))
        blocks = -(-many // BLOCK)
        value, g = np.empty(many), np.empty_like(z)
        over, plain = np.zeros((2, blocks, K, K))  # sums of pairs over e^transitions, and as they are
        first, last = np.zeros((2, blocks, K))
        linear, logarithmic = loop("crf", "block", z.dtype.name), loop("crf", "logarithmic")

        def work(begin: int, stop: int) -> int:
            i, bad = begin // BLOCK, -1
            left = linear(z, y, lengths, tau, sigma, omega, factor, begin, stop, value, g, over[i], first[i], last[i])
            for n in range(left, stop) if left >= 0 else ():
                if value[n] < 0:
                    size, row = lengths[n], np.empty((lengths[n], K))
                    wide = z[n, :size].astype(np.float64)
                    value[n] = logarithmic(wide, y[n, :size], trans, start, end, row, plain[i], first[i], last[i], factor[n])
                    g[n, :size] = row
                    bad = n if bad < 0 and value[n] < 0 else bad
            return bad

        bad = threads.over_blocks(many, BLOCK, work)
        if bad >= 0:
            raise DomainError(f"the path of sequence {bad} has probability 0: a score of -inf forbids it")
        if not graded:
            return value * factor, ()
        pairs = over.sum(0) * tau + plain.sum(0)
        later = target.inside[:, 1:]
        seen, counted = (y[:, :-1] * K + y[:, 1:])[later], np.broadcast_to(factor[:, None], later.shape)[later]
        pairs -= np.bincount(seen, counted, K * K).reshape(K, K)
        return value * factor, (g, pairs.astype(raw[1].dtype), first.sum(0).astype(raw[2].dtype), last.sum(0).astype(raw[3].dtype))

    def observed(self, raw: Any, target: Paths) -> Arrays:
        """Tags, pairs, first and last tags of the paths, as counts of raw's shapes."""
        z, trans, start, end = (np.zeros_like(x) for x in self._parts(raw))
        n, t = np.nonzero(target.inside)
        z[n, t, target.tags[n, t]] = 1.0
        later = target.inside[:, 1:]
        np.add.at(trans, (target.tags[:, :-1][later], target.tags[:, 1:][later]), 1.0)
        np.add.at(start, target.tags[:, 0], 1.0)
        np.add.at(end, target.tags[np.arange(len(target.tags)), target.lengths - 1], 1.0)
        return z, trans, start, end

    def decode(self, raw: Any, lengths: Any = None) -> list[NDArray[np.int64]]:
        """The best path of each sequence, by Viterbi's algorithm; of equally good paths the one whose last tags come first.

        >>> import numpy as np
        >>> emissions = np.array([[[2.0, 0.0], [0.0, 1.0]]])
        >>> LinearChainCRF().decode((emissions, np.array([[0.0, -9.0], [0.0, 0.0]]), np.zeros(2), np.zeros(2)))
        [array([0, 0])]
        """
        z, trans, start, end = self._parts(raw)
        many, steps = z.shape[:2]
        sizes = np.full(many, steps) if lengths is None else as_integers("lengths", lengths, (many,))
        within("lengths", sizes, 1, steps)
        self._check(z, (trans, start, end), sizes)
        trans, start, end = (x.astype(np.float64) for x in (trans, start, end))
        paths, run = [np.empty(size, np.int64) for size in sizes], loop("crf", "viterbi", z.dtype.name)

        def work(begin: int, stop: int) -> int:
            for n in range(begin, stop):
                if run(z[n, : sizes[n]], trans, start, end, paths[n]) == -np.inf:
                    return n
            return -1

        bad = threads.over_blocks(many, BLOCK, work)
        if bad >= 0:
            raise DomainError(f"every path of sequence {bad} has probability 0: scores of -inf forbid them all")
        return paths

    @staticmethod
    def _check(z: Array, rest: Arrays, lengths: Array, target: Paths | None = None) -> None:
        if z.ndim != 3 or (target is not None and z.shape[:2] != target.tags.shape):
            given = "" if target is None else f", and tags has shape {target.tags.shape}"
            raise ShapeError(f"emissions has shape {z.shape}; (N, T, K) is needed{given}")
        K = z.shape[2]
        for name, x, shape in zip(("transitions", "start", "end"), rest, ((K, K), (K,), (K,)), strict=True):
            if x.shape != shape:
                raise ShapeError(f"{name} has shape {x.shape}; {K} tags ask for {shape}")
            refuse(name, x, ~(x < np.inf), "finite, or -inf where it is forbidden")
        inside = np.arange(z.shape[1]) < lengths[:, None]
        if target is not None:
            refuse("tags", target.tags, inside & ((target.tags < 0) | (target.tags >= K)), f"0 to {K - 1}")
        if not np.isfinite(z.sum(dtype=np.float64)):
            refuse("emissions", z, inside[:, :, None] & ~(z < np.inf), "finite, or -inf where it is forbidden")


def _top(x: Array) -> float:
    """The largest entry, or 0 where all are -inf."""
    top = float(x.max(initial=-np.inf))
    return top if top > -np.inf else 0.0
