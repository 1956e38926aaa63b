"""Cross entropy of rows of logits against a mixture target, with softcap, temperature and z-loss: the one computation behind hard,
smoothed, soft and top-k targets, class weights and token weights.

With u = softcap(z) / temperature, softcap(z) = c tanh(z / c), L = log sum exp u, p = softmax(u), a target t >= 0 of mass a = sum t:

    value = w (a L - <t, u> + lambda L^2),      d value / d z_j = w ((a + 2 lambda L) p_j - t_j) du_j / dz_j

The target is a sum of up to three parts: sparse (index and share, m a row), `base`, the same for every row, and `dense`, a
distribution a row, times `scale`. A logit of -inf is a mask, under a softcap too: p = 0 there, and the value is infinite if t > 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import rows, threads
from matchloss.engine.namespaces import Namespace, Rows
from matchloss.engine.rows import exp_gap

BLOCK = 1 << 21  # logits that a thread takes at a time
SMALL = 1 << 16  # as many that one thread is enough


@dataclass(frozen=True)
class Shape:
    """What is done to the logits, and what is added to the loss. softcap 0: none."""

    softcap: float = 0.0
    temperature: float = 1.0
    z_loss: float = 0.0


@dataclass(frozen=True)
class Mixture:
    """The target of n rows over K classes; a part that is None is not there."""

    index: Any = None  # (n, m) integers
    share: Any = None  # (n, m): what stands at them
    base: Any = None  # (K,)
    dense: Any = None  # (n, K), probabilities
    scale: Any = None  # (K,), times dense


class Stats(NamedTuple):
    """What the loop tells of a row: all that its loss, log probability, entropy and argmax are made of, in float64."""

    top: Any  # the largest u
    rest: Any  # sum of exp(u - top) over the other entries
    gap: Any  # sum t (top - u)
    mass: Any  # sum t
    label_gap: Any  # top - u at the first sparse entry
    place: Any  # of the largest entry, -1 where another process holds it
    spread: Any  # sum exp(u - top) (top - u), if asked for

    @property
    def log_total(self) -> Any:
        """log of the sum of exp(u - top)."""
        return np.log1p(self.rest)

    @property
    def value(self) -> Any:
        """A L - <t, u>, a sum of terms >= 0, without the row's weight."""
        with np.errstate(invalid="ignore"):
            return np.where(self.mass == 0.0, 0.0, self.mass * self.log_total) + self.gap

    @property
    def logsumexp(self) -> Any:
        """Of u."""
        return self.top + self.log_total

    @property
    def log_probability(self) -> Any:
        """Of the first sparse entry."""
        return -(self.log_total + self.label_gap)

    @property
    def entropy(self) -> Any:
        """Of softmax(u); needs `spread`."""
        return self.log_total + self.spread / (1.0 + self.rest)


def run(
    kind: str,
    logits: NDArray[Any],
    target: Mixture,
    weight: NDArray[Any],
    shape: Shape,
    gradient: NDArray[Any] | None = None,
    *,
    tolerance: float = 1e-4,
    spread: bool = False,
    known: NDArray[Any] | None = None,
) -> tuple[Stats, int]:
    """One pass over rows of contiguous logits, the gradient written to an array that may be the logits', and the first bad row or -1.

    kind: float32, float64, bfloat16 or float16, the latter two as uint16. A bad row has a label out of range or a `dense` that is
    no distribution; from it on results are not to be used. Rows of weight 0 have gradient 0 and are not looked at. `known`: (n, 3) top,
    rest and mass of the whole rows, where these are parts of rows; the gradient is that of the whole.
    """
    n, classes = logits.shape
    with threads.FIRST_CALLS:
        from matchloss.engine.mixture_loops import mixture_loop

        loop = mixture_loop(kind, gradient is not None, classes < rows.SIDE_BY_SIDE_BELOW and known is None)
    work = np.dtype(np.float64 if kind == "float64" else np.float32)
    stats = np.empty((len(Stats._fields), n))
    index, share = _matrix(target.index, np.int64, n), _matrix(target.share, np.float64, n)
    base, scale = _line(target.base, work), _line(target.scale, work)
    weight, seen = np.ascontiguousarray(weight, np.float64), np.empty((0, 3)) if known is None else known
    none = np.empty((0, classes), work)

    def block(start: int, stop: int) -> int:
        part = slice(start, stop)
        dense = none if target.dense is None else np.ascontiguousarray(target.dense[part], work)
        bad = loop(
            logits[part], index[part], share[part], base, dense, scale, weight[part], seen[part], tolerance,
            shape.softcap, 1.0 / shape.temperature, shape.z_loss, spread, stats[:, part], None if gradient is None else gradient[part],
        )  # fmt: skip
        return bad if bad < 0 else bad + start

    bad = threads.over_blocks(n, height(classes), block) if n else -1
    return Stats(*stats), bad


def hard(
    program: rows.RowProgram, logits: NDArray[Any], labels: NDArray[np.int64], weight: NDArray[Any] | float, gradient: NDArray[Any] | None
) -> tuple[NDArray[np.float64], int]:
    """Values and gradient of plain cross entropy with labels, times the rows' weights or one for all, by simplex losses' loops."""
    n, classes = logits.shape
    loop = _hard_loop(program, logits.dtype.str[1:], gradient is not None, classes < rows.SIDE_BY_SIDE_BELOW)
    value = np.empty(n, logits.dtype)
    if logits.size <= SMALL and isinstance(weight, np.ndarray):
        return value, loop(logits, labels, np.ascontiguousarray(weight, logits.dtype), 0.0, 0.0, 0.0, value, gradient, None, ())
    rows_at_once = height(classes)
    even = not isinstance(weight, np.ndarray)  # then as long as a block: as many numbers as there are rows would cost their memory
    weight = np.full(min(n, rows_at_once), weight, logits.dtype) if even else np.ascontiguousarray(weight, logits.dtype)

    def block(start: int, stop: int) -> int:
        part = slice(start, stop)
        out = None if gradient is None else gradient[part]
        w = weight[: stop - start] if even else weight[part]
        bad = loop(logits[part], labels[part], w, 0.0, 0.0, 0.0, value[part], out, None, ())
        return bad if bad < 0 else bad + start

    return value, threads.over_blocks(n, rows_at_once, block)


_hard_loops: dict[tuple[str, bool, bool], Any] = {}


def _hard_loop(program: rows.RowProgram, dtype: str, graded: bool, short: bool) -> Any:
    loop = _hard_loops.get((dtype, graded, short))
    if loop is None:
        with threads.FIRST_CALLS:
            from matchloss.engine.row_loops import row_loop

            loop = _hard_loops[dtype, graded, short] = row_loop(program, dtype, (True, graded, False), True, True, short)
    return loop


def height(classes: int) -> int:
    """How many rows a thread takes at a time."""
    return max(1, min(BLOCK // classes // 128 * 128 or BLOCK // classes, 1 << 14))


def _matrix(x: Any, dtype: Any, rows: int) -> NDArray[Any]:
    return np.empty((rows, 0), dtype) if x is None else np.ascontiguousarray(x, dtype)


def _line(x: Any, dtype: Any) -> NDArray[Any]:
    return np.empty(0, dtype) if x is None else np.ascontiguousarray(x, dtype)


class Jet(NamedTuple):
    """What the formulas of whole rows give: value and logsumexp (..., 1), gradient (..., K), without the row's weight."""

    value: Any
    logsumexp: Any
    gradient: Any
    p: Any
    bend: Any  # du / dz
    tanh: Any


def jet(m: Namespace, r: Rows, z: Any, t: Any, shape: Shape) -> Jet:
    """The reference, over whole arrays of any library; the compiled loop is its fast form. t: the mixture as one (..., K) array."""
    cool = 1.0 / shape.temperature
    if shape.softcap:
        tanh = m.tanh(z / shape.softcap)
        u = m.where(z > -np.inf, shape.softcap * cool * tanh, z)
        e = m.exp(-2.0 * m.abs(z / shape.softcap))
        bend = cool * 4.0 * e / ((1.0 + e) * (1.0 + e))
    else:
        tanh, u, bend = None, z if cool == 1.0 else z * cool, cool
    big, top = r.max(u), r.first_max(u)
    several = r.sum(m.where(u == big, 1.0, m.where(u == u, 0.0, u))) > 1
    big = m.where((m.abs(big) == np.inf) & several, big * float("nan"), big)
    e = m.where(top, m.where(big == big, 1.0, big), exp_gap(m, u, big))
    rest = r.sum(m.where(top, 0.0, e))
    total = 1.0 + rest
    mass, own = r.sum(t), r.sum(m.where(top, t, 0.0))
    half = m.where(u == big, 0.0, 0.5 * big - 0.5 * u)
    gap = 2.0 * r.sum(m.where(t == 0, 0.0, t * half))
    log_total = m.log1p(rest)
    lse = big + log_total
    bonus = 2.0 * shape.z_loss * lse if shape.z_loss else 0.0 * rest
    p = e / total
    at_top = (mass - own + bonus) / total - own * (rest / total)
    gradient = m.where(top, at_top, (mass + bonus) * p - t) * bend
    value = mass * log_total + gap
    return Jet(value + shape.z_loss * lse * lse if shape.z_loss else value, lse, gradient, p, bend, tanh)


def hessian_product(r: Rows, x: Jet, t: Any, shape: Shape, v: Any) -> Any:
    """The hessian of each row, which is symmetric, times v."""
    du = x.bend * v
    shift = r.sum(x.p * du)
    dp = x.p * (du - shift)
    mass = r.sum(t)
    change = mass * dp
    if shape.z_loss:
        change = change + 2.0 * shape.z_loss * (x.logsumexp * dp + shift * x.p)
    result = change * x.bend
    if shape.softcap:  # d bend / d z = -2 tanh bend / c
        slope = (mass + 2.0 * shape.z_loss * x.logsumexp) * x.p - t
        result = result + slope * (-2.0 / shape.softcap) * x.tanh * x.bend * v
    return result
