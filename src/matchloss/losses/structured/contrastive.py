"""Contrastive losses of N pairs without the N x N matrix: a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from matchloss.engine import threads
from matchloss.engine.arrays import refuse
from matchloss.errors import DomainError, ShapeError
from matchloss.losses.structured._compiled import loop
from matchloss.losses.structured._structured import Array, Arrays, StructuredLoss

ENTRIES = 1 << 23  # of a block of logits
ROWS, COLUMNS = 128, 1024  # that a thread takes at once


class NotFinite(Exception):
    """A logit is not finite; the caller, which knows the features, says which one."""


def product(x: Array, y: Array, out: Array, add: bool = False) -> None:
    """out = x y, or out += x y where `add`."""
    if add:
        out += x @ y
    else:
        np.matmul(x, y, out=out)


@dataclass(frozen=True)
class Contrastive(StructuredLoss):
    """What these losses share: logits scale a_i . b_j + bias, of which pair i = j is the one that was observed.

    With G the error signal over N: da = scale G b, db = scale G'a, dscale = sum of G logits / scale, dbias = sum of G.
    Memory: one block of logits, and N numbers a direction.
    """

    raw_names: ClassVar[tuple[str, ...]] = ("a", "b", "scale")
    raw_shapes: ClassVar[str] = "a (N, d), b (N, d), scale ()"
    target_is: ClassVar[str] = "None: row i of a belongs to row i of b"
    group: ClassVar[str] = "batch of pairs"
    expected: ClassVar[str] = "the probability of each pair"
    observed_is: ClassVar[str] = "1 for the pairs i = j"
    singles: ClassVar[bool] = True
    convex: ClassVar[bool] = False  # in a and b together; in the logits it is
    both: ClassVar[bool] = False
    fewest: ClassVar[int] = 2  # pairs: with one there is nothing to tell it from
    product: ClassVar[Callable[..., None]] = staticmethod(product)  # a host may have a faster one, with threads of its own

    def groups(self, raw: Arrays, target: Any) -> int:
        return 1

    def compute(self, raw: Arrays, target: Any, weight: Array | None, graded: bool) -> tuple[Array, Arrays]:
        a, b, *numbers = raw
        if a.ndim != 2 or a.shape != b.shape:
            raise ShapeError(f"a has shape {a.shape}, b {b.shape}; both must be (N, d)")
        if len(a) < self.fewest:
            why = ", because each is told from the others" if self.fewest > 1 else ""
            raise DomainError(f"there are {len(a)} pairs; allowed: {self.fewest} or more{why}")
        for name, x in zip(self.raw_names[2:], numbers, strict=True):
            if x.size != 1 or not np.isfinite(x).all():
                raise DomainError(f"{name} is {x.tolist()!r}; allowed: one finite number")
        total = 1.0 if weight is None else float(weight[0])
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                value, gradients = self._run(a, b, *(float(x.reshape(-1)[0]) for x in numbers), total, graded)
        except NotFinite:
            for name, x in (("a", a), ("b", b)):
                refuse(name, x, ~np.isfinite(x), "finite")
            far = " and ".join(f"{float(np.abs(x).max()):.3g}" for x in (a, b))
            raise DomainError(f"a logit is not finite: entries of a and b are as far from 0 as {far}, and overflow in products") from None
        shaped = tuple(g if i < 2 else np.full(raw[i].shape, g, raw[i].dtype) for i, g in enumerate(gradients))
        return np.array([value * total]), shaped

    def predict(self, raw: Any, target: Any = None) -> Array:
        """The probability of each pair (N, N), row i of a with row j of b. For inspection only: unlike the loss, this makes the matrix.

        >>> CLIP().predict((np.eye(2), np.eye(2), 1.0)).round(4)
        array([[0.7311, 0.2689],
               [0.2689, 0.7311]])
        """
        a, b, scale, *bias = (np.asarray(x, np.float64) for x in raw)
        return self._probabilities(scale * (a @ b.T) + (bias[0] if bias else 0.0))

    def observed(self, raw: Any, target: Any = None) -> Array:
        """1 for the pairs i = j, (N, N)."""
        return np.eye(len(raw[0]))

    def _probabilities(self, logits: Array) -> Array:
        raise NotImplementedError

    def _run(self, *arguments: Any) -> tuple[float, tuple[Any, ...]]:
        raise NotImplementedError

    def _blocks(self, a: Array, b: Array, scale: float) -> Iterator[tuple[int, Array, Array]]:
        """(first row, rows of a, their logits without bias) in turn, the logits in one buffer."""
        n = len(a)
        rows = max(16, min(n, ENTRIES // n))
        buffer, turned = np.empty((rows, n), a.dtype), np.ascontiguousarray(b.T)
        for first in range(0, n, rows):
            part = a[first : first + rows]
            logits = buffer[: len(part)]
            self.product(part * a.dtype.type(scale), turned, logits)
            yield first, part, logits


def _each(size: int, block: int, work: Callable[[int, int], int]) -> None:
    if threads.over_blocks(size, block, work) >= 0:
        raise NotFinite


class _Gradients:
    """Sums of the blocks' error signals."""

    def __init__(self, a: Array, b: Array, product: Callable[..., None]) -> None:
        self.a, self.b, self.product, self.da, self.db = a, b, product, np.empty_like(a), np.zeros_like(b)

    def add(self, first: int, part: Array, errors: Array) -> None:
        self.product(errors, self.b, self.da[first : first + len(part)])
        self.product(errors.T, part, self.db, add=True)

    def made(self, scale: float) -> tuple[Array, Array, float]:
        by_scale = float(np.einsum("ij,ij->", self.a, self.da, dtype=np.float64))
        self.da *= self.da.dtype.type(scale)
        self.db *= self.db.dtype.type(scale)
        return self.da, self.db, by_scale


@dataclass(frozen=True)
class _Softmax(Contrastive):
    """InfoNCE and CLIP: probabilities of rows, and with `both` of columns."""

    def _probabilities(self, logits: Array) -> Array:
        rows = special.softmax(logits, axis=1)
        return (rows + special.softmax(logits, axis=0)) / 2 if self.both else rows

    def _run(self, a: Array, b: Array, scale: float, total: float, graded: bool) -> tuple[float, tuple[Any, ...]]:
        n, kind, both = len(a), a.dtype, self.both
        rows, columns, softmax = (loop("contrastive", name, kind.name) for name in ("row_sums", "column_sums", "softmax_block"))
        x, y, own, lse, column_lse = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, kind), np.zeros(n, kind)
        big, sums, gradients = np.full(n, -np.inf, kind), np.zeros(n), _Gradients(a, b, self.product) if graded else None
        weight = np.array([total / n / (2 if both else 1)], kind)

        def row_pass(first: int, part: Array, logits: Array) -> None:
            _each(len(part), ROWS, lambda p, q: rows(logits, first, p, q, x, own))
            mine = slice(first, first + len(part))
            lse[mine] = own[mine] + np.logaddexp(0, x[mine])

        if both:
            for first, part, logits in self._blocks(a, b, scale):
                row_pass(first, part, logits)
                _each(n, COLUMNS, lambda p, q, f=first, z=logits: columns(z, f, p, q, big, sums))
            y = big + np.log(sums) - own
            column_lse[...] = own + np.logaddexp(0, y)
        if gradients is not None or not both:
            for first, part, logits in self._blocks(a, b, scale):
                if not both:
                    row_pass(first, part, logits)
                if gradients is not None:
                    _each(len(part), ROWS, lambda p, q, f=first, z=logits: softmax(z, f, p, q, lse, column_lse, x, y, both, weight))
                    gradients.add(first, part, logits)
        value = float((np.logaddexp(0, x) + (np.logaddexp(0, y) if both else 0.0)).sum()) / n / (2 if both else 1)
        return value, () if gradients is None else gradients.made(scale)


@dataclass(frozen=True)
class InfoNCE(_Softmax):
    """InfoNCE: each row of a finds its own row of b among all. Mean over rows of log1p(sum_{j != i} e^(l_ij - l_ii)).

    raw: a (N, d), b (N, d), scale (): logits are scale a_i . b_j; nothing is normalised. target: None. Error signal: P(j | i) - [i = j],
    whose diagonal is minus the probability of the others, exact where a pair is sure. Source: van den Oord, Li and Vinyals (2018).

    >>> import numpy as np
    >>> from matchloss.losses.structured import InfoNCE
    >>> InfoNCE().value((np.eye(3), np.eye(3), 100.0), None)      # log1p(2 e^-100)
    array([7.44015195e-44])
    """

    name: ClassVar[str] = "info_nce"
    aliases: ClassVar[tuple[str, ...]] = ("infonce", "InfoNCE", "n_pairs", "MultipleNegativesRankingLoss")
    title: ClassVar[str] = "InfoNCE"
    equation: ClassVar[str] = "mean over i of log(sum over j of e^l_ij) - l_ii"
    partition: ClassVar[str] = "which b belongs to each a"
    error_signal: ClassVar[str] = "P(j | i) - [i = j]"
    sources: ClassVar[tuple[str, ...]] = ("van den Oord, Li and Vinyals 2018",)


@dataclass(frozen=True)
class CLIP(_Softmax):
    """CLIP's loss: the mean of InfoNCE from a to b and from b to a.

    raw: a (N, d), b (N, d), scale (), as InfoNCE. Error signal: (P(j | i) + P(i | j)) / 2 - [i = j]. It takes two sweeps, because
    P(i | j) is not known before the last row. Source: Radford et al. (2021).

    >>> import numpy as np
    >>> from matchloss.losses.structured import CLIP
    >>> CLIP().value((np.eye(2), np.eye(2), 0.0), None).round(4)      # log 2
    array([0.6931])
    """

    name: ClassVar[str] = "clip"
    aliases: ClassVar[tuple[str, ...]] = ("ClipLoss", "nt_xent")
    title: ClassVar[str] = "CLIP"
    equation: ClassVar[str] = "the mean of InfoNCE in both directions"
    partition: ClassVar[str] = "which b belongs to each a, and which a to each b"
    error_signal: ClassVar[str] = "(P(j | i) + P(i | j)) / 2 - [i = j]"
    both: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = ("Radford et al. 2021",)


@dataclass(frozen=True)
class SigLIP(Contrastive):
    """SigLIP: every pair on its own, sum over i, j of softplus(-+ l_ij) / N, - for i = j; logits have a bias.

    raw: a (N, d), b (N, d), scale (), bias (). Error signal: sigmoid(l_ij) - [i = j]. One sweep. Source: Zhai et al. (2023).

    >>> import numpy as np
    >>> from matchloss.losses.structured import SigLIP
    >>> SigLIP().value((np.eye(2), np.eye(2), 0.0, 0.0), None).round(4)      # 4 log 2 / 2
    array([1.3863])
    """

    name: ClassVar[str] = "siglip"
    aliases: ClassVar[tuple[str, ...]] = ("SigLipLoss",)
    title: ClassVar[str] = "SigLIP"
    equation: ClassVar[str] = "sum over i, j of softplus(l_ij) / N, softplus(-l_ij) where i = j"
    partition: ClassVar[str] = "whether a and b belong together, for each pair"
    error_signal: ClassVar[str] = "sigmoid(l_ij) - [i = j]"
    fewest: ClassVar[int] = 1  # each pair is judged by itself
    raw_names: ClassVar[tuple[str, ...]] = ("a", "b", "scale", "bias")
    raw_shapes: ClassVar[str] = "a (N, d), b (N, d), scale (), bias ()"
    sources: ClassVar[tuple[str, ...]] = ("Zhai, Mustafa, Kolesnikov and Beyer 2023",)

    def _probabilities(self, logits: Array) -> Array:
        return special.expit(logits)

    def _run(self, a: Array, b: Array, scale: float, bias: float, total: float, graded: bool) -> tuple[float, tuple[Any, ...]]:
        n, sweep = len(a), loop("contrastive", "sigmoid_block", a.dtype.name)
        values, slopes, gradients = np.zeros(n), np.zeros(n), _Gradients(a, b, self.product) if graded else None
        numbers = np.array([bias], a.dtype), np.array([total / n], a.dtype)
        for first, part, logits in self._blocks(a, b, scale):
            _each(len(part), ROWS, lambda p, q, f=first, z=logits: sweep(z, f, p, q, *numbers, values, slopes))
            if gradients is not None:
                gradients.add(first, part, logits)
        value = float(values.sum()) / n
        return value, () if gradients is None else (*gradients.made(scale), float(slopes.sum()))
