"""Passes over the rows of a linear model: products with the design matrix, and value, gradient and hessian fused into one.

A sum over rows is a sum over slabs of rows. The slabs depend on the problem's size and not on the number of threads, and are added
in order, so that results are the same to the last bit. BLAS multiplies a block's numbers, the kernels its categories; the engine
computes the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise, threads
from matchloss.engine import rows as row_engine
from matchloss.linear.kernels import Kernels, kernels
from matchloss.linear.rows import Floats, TableRows

BLOCK_BYTES = 1 << 20  # size of a block's numbers, so that they and their weighted copy stay in cache
FEW = 8  # up to this many numeric columns the kernels multiply them, without BLAS
SLAB_ROWS = 1 << 12
MAX_SLABS = 32
SLAB_BYTES = 1 << 26  # memory limit for the hessians of all slabs
PART = 2  # second="part" uses every PART-th block
Second = Literal["none", "hessian", "part", "diagonal", "gram"]


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows, ready to be multiplied."""

    start: int
    stop: int
    x: Floats  # (r, q)
    codes: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Matrix:
    """The design matrix [1, numbers, one-hot levels] as products with wide vectors; see TableRows for their slots.

    Levels of one category never occur in the same row, so their block of a Gram matrix is diagonal. An `arrow` is a Gram matrix without
    the last category's columns; one column at the end holds that diagonal instead.
    """

    rows: TableRows
    outputs: int = 1  # raw predictions per row
    arrow: bool = False  # whether Gram matrices are arrows

    @cached_property
    def kernels(self) -> Kernels:
        """The loops for the categories, and for numbers if there are few."""
        return kernels(self.rows.n)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """The slot of each category's reference level."""
        return self.rows.first

    @cached_property
    def ones(self) -> Floats:
        """Ones, for sums over the rows of a block."""
        return np.ones(self.height)

    @property
    def gram_shape(self) -> tuple[int, int]:
        """The shape of a Gram matrix, (width, width), or of an arrow."""
        return self.rows.width, self.rows.width - self.rows.levels[-1] + 1 if self.arrow else self.rows.width

    @property
    def few(self) -> bool:
        """Whether there are too few numeric columns for a call of BLAS to pay."""
        return 0 < self.rows.q <= FEW

    @property
    def height(self) -> int:
        """Rows of a block."""
        return max(128, min(1 << 13, BLOCK_BYTES // (8 * max(self.rows.q, self.outputs))))

    def slab(self, bytes_each: int) -> int:
        """Rows per slab, if each slab holds `bytes_each` bytes of results."""
        most = max(1, min(MAX_SLABS, SLAB_BYTES // max(bytes_each, 1)))
        return max(SLAB_ROWS, -(-self.rows.n // most))

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """The blocks of a slab; each is valid until the next one is made."""
        scratch = np.empty((min(self.height, stop - start), self.rows.q))
        for a in range(start, stop, self.height):
            b = min(a + self.height, stop)
            yield Block(a, b, self.rows.block(a, b, scratch), self.rows.codes[a:b])

    def over_slabs(self, bytes_each: int, work: Callable[[int, int], Any]) -> list[Any]:
        """work(start, stop) of each slab, in order; on threads."""
        height = self.slab(bytes_each)
        results: list[Any] = [None] * -(-self.rows.n // height)

        def one(start: int, stop: int) -> int:
            results[start // height] = work(start, stop)
            return -1

        threads.over_blocks(self.rows.n, height, one)
        return results

    def times(self, wide: Floats, out: Floats | None = None) -> Floats:
        """Raw predictions, (n,) of (width,) or (n, K) of (width, K)."""
        raw = np.empty((self.rows.n, *wide.shape[1:])) if out is None else out

        def slab(start: int, stop: int) -> None:
            for block in self.blocks(start, stop):
                self.raw(block, wide, raw[block.start : block.stop])

        self.over_slabs(0, slab)
        return raw

    def transposed(self, error: Floats) -> Floats:
        """The transposed product: (width,) of (n,), or (width, K) of (n, K)."""

        def slab(start: int, stop: int) -> Floats:
            made = np.zeros((self.rows.width, *error.shape[1:]))
            for block in self.blocks(start, stop):
                self.add_gradient(block, error[block.start : block.stop], made)
            return made

        return total(self.over_slabs(0, slab), (self.rows.width, *error.shape[1:]))

    def gram(self, weight: Floats) -> Floats:
        """[1, X]' diag(weight) [1, X], (width, width) or an arrow; weights of either sign."""
        shape = self.gram_shape

        def slab(start: int, stop: int) -> Floats:
            made = np.zeros(shape)
            for block in self.blocks(start, stop):
                self.add_gram(block, weight[block.start : block.stop], made)
            return made

        return self.whole(total(self.over_slabs(8 * shape[0] * shape[1], slab), shape))

    def whole(self, lower: Floats) -> Floats:
        """The full Gram matrix from the lower triangle that add_gram makes; in an arrow, completes the rows outside the diagonal."""
        if not self.arrow:
            return mirrored(lower)
        square = lower.shape[1] - 1
        lower[:square, :square] = mirrored(lower[:square, :square])
        return lower

    def raw(self, block: Block, wide: Floats, out: Floats) -> None:
        """Writes the raw predictions of a block."""
        q, few = self.rows.q, self.few and out.ndim == 1
        if q and not few:
            np.dot(block.x, wide[1 : 1 + q], out=out)
            out += wide[0]
        else:
            out[...] = wide[0]
        if out.ndim == 1 and (few or self.rows.levels):
            self.kernels.gather(block.codes, self.first, block.x if few else block.x[:, :0], wide, out)
        elif self.rows.levels:
            self.kernels.gather_rows(block.codes, self.first, wide, out)

    def add_gradient(self, block: Block, error: Floats, sink: Floats) -> None:
        """Adds the transposed product of a block with one error per row."""
        q, few = self.rows.q, self.few and error.ndim == 1
        sink[0] += error.sum() if error.ndim == 1 else self.ones[: len(error)] @ error  # NumPy's sum of short rows is slow
        if q and not few:
            sink[1 : 1 + q] += block.x.T @ error
        if error.ndim == 1 and (few or self.rows.levels):
            self.kernels.scatter(block.codes, self.first, block.x if few else block.x[:, :0], error, sink)
        elif self.rows.levels:
            self.kernels.scatter_rows(block.codes, self.first, error, sink)

    def add_gram(self, block: Block, weight: Floats, sink: Floats) -> None:
        """Adds a block to the lower triangle of the weighted Gram matrix."""
        q = self.rows.q
        x, factor = block.x, weight
        sink[0, 0] += weight.sum()
        if q and not self.few:
            if float(weight.min()) >= 0:
                factor = np.sqrt(weight)
                x = np.multiply(block.x, factor[:, None])  # keeps the layout of x
                sink[1 : 1 + q, 1 : 1 + q] += x.T @ x  # NumPy calls dsyrk for this, at half the cost
            else:
                sink[1 : 1 + q, 1 : 1 + q] += np.multiply(block.x, factor[:, None]).T @ x
            sink[1 : 1 + q, 0] += factor @ x
        if self.few or self.rows.levels:
            place = np.empty(len(self.rows.levels), np.int64)
            self.kernels.gram(block.codes, self.first, x, factor, weight, self.few, place, sink)

    def add_diagonal(self, block: Block, weight: Floats, sink: Floats) -> None:
        """Adds a block to the diagonal alone of the weighted Gram matrix."""
        self.add_gradient(Block(block.start, block.stop, np.square(block.x), block.codes), weight, sink)


@dataclass(frozen=True, eq=False)
class Sums:
    """The result of a pass: sums over rows of weight times value, gradient and second derivative, in wide slots."""

    value: float
    gradient: Floats  # (width,) or (width, K)
    second: Floats | None = None  # (width, width) or an arrow, or (width,) for a diagonal


def pointwise_pass(
    matrix: Matrix,
    program: pointwise.Program,
    target: Floats,
    weight: Floats | None,
    wide: Floats,
    second: Second = "none",
    offset: Floats | None = None,
) -> Sums:
    """One pass of a pointwise loss; `offset` (n,) is added to the raw predictions.

    `second`: "gram" is the hessian of squared error, whatever the loss; "part" estimates the hessian from half of the rows.
    """
    width, height = matrix.rows.width, matrix.height
    curved = second in ("hessian", "part", "diagonal")
    step = pointwise.step(program, matrix.rows.n, weight is not None, curved)
    shape = () if second == "none" else (width,) if second == "diagonal" else matrix.gram_shape

    def slab(start: int, stop: int) -> Sums:
        lines = np.empty((4, min(height, stop - start)))
        gradient, made, value, part = np.zeros(width), np.zeros(shape), 0.0, 0
        for k, block in enumerate(matrix.blocks(start, stop)):
            raw, f, g, h = lines[:, : block.stop - block.start]
            y, w = target[block.start : block.stop], None if weight is None else weight[block.start : block.stop]
            matrix.raw(block, wide, raw)
            if offset is not None:
                raw += offset[block.start : block.stop]
            step(raw, y, w, f, g, h if curved else None)
            value += float(f.sum())
            matrix.add_gradient(block, g, gradient)
            if second == "diagonal":
                matrix.add_diagonal(block, h, made)
            elif second == "hessian":
                matrix.add_gram(block, h, made)
            elif second == "part" and k % PART == 0:
                matrix.add_gram(block, h, made)
                part += block.stop - block.start
            elif second == "gram":
                matrix.add_gram(block, np.ones_like(raw) if w is None else w, made)
        return Sums(value, gradient, made * ((stop - start) / part) if part else made)

    with np.errstate(all="ignore"):  # an exponential may overflow on too long a step; the solver sees that in the value
        parts = matrix.over_slabs(8 * int(np.prod(shape)), slab)
        made = total([p.second for p in parts], shape)
        value, gradient = float(sum(p.value for p in parts)), total([p.gradient for p in parts], (width,))
    return Sums(value, gradient, None if second == "none" else made if second == "diagonal" else matrix.whole(made))


def simplex_pass(
    matrix: Matrix,
    program: row_engine.RowProgram,
    target: NDArray[np.int64] | Floats,
    weight: Floats | None,
    wide: Floats,
    offset: Floats | None = None,
) -> Sums:
    """One pass of a simplex loss, for labels (n,) or distributions (n, K); `offset` (n, K) is added to the raw predictions."""
    step = row_engine.step(program, matrix.rows.n, matrix.outputs, weight is not None, False, labels=target.ndim == 1)

    def slab(start: int, stop: int) -> Sums:
        lines, values = np.empty((min(matrix.height, stop - start), matrix.outputs)), np.empty(matrix.height)
        gradient, value = np.zeros(wide.shape), 0.0
        for block in matrix.blocks(start, stop):
            raw, f = lines[: block.stop - block.start], values[: block.stop - block.start]
            matrix.raw(block, wide, raw)
            if offset is not None:
                raw += offset[block.start : block.stop]
            step(raw, target[block.start : block.stop], None if weight is None else weight[block.start : block.stop], f, raw, None)
            value += float(f.sum())
            matrix.add_gradient(block, raw, gradient)  # the gradient was written over raw
        return Sums(value, gradient)

    with np.errstate(all="ignore"):
        parts = matrix.over_slabs(wide.nbytes, slab)
        return Sums(float(sum(p.value for p in parts)), total([p.gradient for p in parts], wide.shape))


def total(parts: list[Any], shape: tuple[int, ...]) -> Floats:
    """The sum of the slabs' parts, in order."""
    made = np.zeros(shape)
    for part in parts:
        made += part
    return made


def mirrored(lower: Floats) -> Floats:
    """The symmetric matrix with this lower triangle."""
    return np.tril(lower) + np.tril(lower, -1).T
