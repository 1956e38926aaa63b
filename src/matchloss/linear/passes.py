"""Passes over the rows of a linear model: products with the design matrix, and value, gradient and hessian fused into one.

A sum over rows is a sum over slabs of rows. The slabs depend on the problem's size and not on the number of threads, and are added
in order, so that results are the same to the last bit. BLAS multiplies a block's numbers, the kernels its categories; the engine
computes the loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import pointwise
from matchloss.engine import rows as row_engine
from matchloss.linear.kernels import Kernels, SparseKernels, kernels, sparse_kernels
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Block, added, over_slabs

BLOCK_BYTES = 1 << 20  # size of a block's numbers, so that they and their weighted copy stay in cache
FEW = 8  # up to this many numeric columns the kernels multiply them, without BLAS
SLAB_ROWS = 1 << 12
MAX_SLABS = 32
SLAB_BYTES = 1 << 26  # memory limit for the hessians of all slabs
PRODUCTS = 1 << 22  # up to so many products of columns are held at once
PART = 2  # second="part" uses every PART-th block
Second = Literal["none", "hessian", "part", "diagonal", "gram"]


@dataclass(frozen=True, eq=False)
class Matrix:
    """The design matrix [1, numbers, sparse columns, one-hot levels] as products with wide vectors; see TableRows for their slots.

    Levels of one category never occur in the same row, so their block of a Gram matrix is diagonal. An `arrow` is a Gram matrix without
    the last category's columns; one column at the end holds that diagonal instead.
    """

    rows: TableRows
    outputs: int = 1  # raw predictions per row
    arrow: bool = False  # whether Gram matrices are arrows

    def kernels(self, block: Block) -> Kernels:
        """The loops for the categories, and for numbers if there are few."""
        return kernels(self.rows.n, block.codes.dtype)

    @property
    def sparse_kernels(self) -> SparseKernels:
        """The loops for sparse columns."""
        return sparse_kernels(self.rows.n)

    @property
    def thin(self) -> slice:
        """The slots of the sparse columns."""
        return slice(1 + self.rows.q, 1 + self.rows.q + self.rows.s)

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
        bytes_each = max(bytes_each, 8 * self.rows.s * self.outputs, 1)  # a slab has a gradient too
        most = max(1, min(MAX_SLABS, SLAB_BYTES // bytes_each))
        return max(SLAB_ROWS, -(-self.rows.n // most))

    def __getstate__(self) -> dict[str, object]:
        """The fields alone, without what follows from them."""
        return {name: value for name, value in self.__dict__.items() if name in ("rows", "outputs", "arrow")}

    def blocks(self, start: int, stop: int) -> Iterator[Block]:
        """The blocks of a slab of rows in memory, without targets."""
        return Memory(self.rows).blocks(start, stop, self.height)

    def times(self, wide: Floats, out: Floats | None = None) -> Floats:
        """Raw predictions, (n,) of (width,) or (n, K) of (width, K)."""
        raw = np.empty((self.rows.n, *wide.shape[1:])) if out is None else out

        def slab(start: int, stop: int) -> None:
            for block in self.blocks(start, stop):
                self.raw(block, wide, raw[block.start : block.stop])

        over_slabs(self.rows.n, self.slab(0), slab)
        return raw

    def transposed(self, error: Floats) -> Floats:
        """The transposed product: (width,) of (n,), or (width, K) of (n, K)."""

        def slab(start: int, stop: int) -> Floats:
            made = np.zeros((self.rows.width, *error.shape[1:]))
            for block in self.blocks(start, stop):
                self.add_gradient(block, error[block.start : block.stop], made)
            return made

        return added(over_slabs(self.rows.n, self.slab(0), slab), (self.rows.width, *error.shape[1:]))

    def gram(self, weight: Floats) -> Floats:
        """[1, X]' diag(weight) [1, X], (width, width) or an arrow; weights of either sign."""
        shape = self.gram_shape

        def slab(start: int, stop: int) -> Floats:
            made = np.zeros(shape)
            for block in self.blocks(start, stop):
                self.add_gram(block, weight[block.start : block.stop], made)
            return made

        return self.whole(added(over_slabs(self.rows.n, self.slab(8 * shape[0] * shape[1]), slab), shape))

    def whole(self, lower: Floats) -> Floats:
        """The full Gram matrix from the lower triangle that add_gram makes; in an arrow, completes the rows outside the diagonal."""
        if not self.arrow:
            return mirrored(lower)
        square = lower.shape[1] - 1
        lower[:square, :square] = mirrored(lower[:square, :square])
        return lower

    def raw(self, block: Block, wide: Floats, out: Floats) -> None:
        """Writes the product of a block with coefficients."""
        q, few = self.rows.q, self.few and out.ndim == 1
        if q and not few:
            np.dot(block.x, wide[1 : 1 + q], out=out)
            out += wide[0]
        else:
            out[...] = wide[0]
        if out.ndim == 1 and (few or self.rows.levels):
            self.kernels(block).gather(block.codes, self.first, block.x if few else block.x[:, :0], wide, out)
        elif self.rows.levels:
            self.kernels(block).gather_rows(block.codes, self.first, wide, out)
        if block.sparse is not None:
            self.sparse_kernels.gather(block.sparse, wide[self.thin], out)

    def predicted(self, block: Block, wide: Floats, out: Floats) -> None:
        """Writes the raw predictions of a block, with its offset."""
        self.raw(block, wide, out)
        if block.offset is not None:
            out += block.offset

    def add_gradient(self, block: Block, error: Floats, sink: Floats) -> None:
        """Adds the transposed product of a block with one error per row."""
        q, few = self.rows.q, self.few and error.ndim == 1
        sink[0] += error.sum() if error.ndim == 1 else self.ones[: len(error)] @ error  # NumPy's sum of short rows is slow
        if q and not few:
            sink[1 : 1 + q] += block.x.T @ error
        if error.ndim == 1 and (few or self.rows.levels):
            self.kernels(block).scatter(block.codes, self.first, block.x if few else block.x[:, :0], error, sink)
        elif self.rows.levels:
            self.kernels(block).scatter_rows(block.codes, self.first, error, sink)
        if block.sparse is not None:
            self.sparse_kernels.scatter(block.sparse, error, sink[self.thin])

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
            self.kernels(block).gram(block.codes, self.first, x, factor, weight, self.few, place, sink)
        if block.sparse is not None:
            self.sparse_kernels.gram(block.sparse, 1 + q, block.codes, self.first, block.x, weight, sink)

    def add_diagonal(self, block: Block, weight: Floats, sink: Floats) -> None:
        """Adds a block to the diagonal alone of the weighted Gram matrix."""
        self.add_gradient(block.mapped(np.square), weight, sink)

    def grams(self, weights: Iterable[Floats], slots: NDArray[np.intp]) -> Floats:
        """gram() of each line of weights, arrays (., n), m lines in all, for the columns of `slots`: (m, P, P). For few rows by products
        with all pairs of columns.
        """
        if self.rows.rare or self.rows.n * len(slots) ** 2 > PRODUCTS:
            return np.array([self.gram(np.ascontiguousarray(line))[np.ix_(slots, slots)] for part in weights for line in part])
        i, j, products = self.pairs
        sums = np.concatenate([part @ products for part in weights])
        made = np.empty((len(sums), self.rows.q + 1, self.rows.q + 1))
        made[:, i, j] = made[:, j, i] = sums
        return made[:, slots[:, None], slots]

    @cached_property
    def pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """All pairs of columns, the intercept's included, and the product of each pair: a column a pair."""
        n, (i, j) = self.rows.n, np.tril_indices(self.rows.q + 1)
        x = np.concatenate([np.ones((n, 1)), self.rows.block(0, n, np.empty((n, self.rows.q)))], axis=1)
        return i, j, x[:, i] * x[:, j]


@dataclass(frozen=True, eq=False)
class Sums:
    """The result of a pass: sums over rows of weight times value, gradient and second derivative, in wide slots."""

    value: float
    gradient: Floats  # (width,) or (width, K)
    second: Floats | None = None  # (width, width) or an arrow, or (width,) for a diagonal


@dataclass(frozen=True, eq=False)
class Pointwise:
    """A pass of a pointwise loss.

    `second`: "gram" is the hessian of squared error, whatever the loss; "part" estimates the hessian from half of the rows.
    """

    matrix: Matrix
    program: pointwise.Program
    wide: Floats
    second: Second = "none"
    weighted: bool = False

    @property
    def curved(self) -> bool:
        """Whether second derivatives of the loss are asked for."""
        return self.second in ("hessian", "part", "diagonal")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the second derivatives."""
        return () if self.second == "none" else (self.matrix.rows.width,) if self.second == "diagonal" else self.matrix.gram_shape

    @property
    def bytes(self) -> int:
        """The size of a slab's second derivatives."""
        return 8 * int(np.prod(self.shape))

    def slab(self, blocks: Iterator[Block], rows: int) -> Sums:
        """The sums of a slab."""
        matrix, second, curved = self.matrix, self.second, self.curved
        step = pointwise.step(self.program, matrix.rows.n, self.weighted, curved)
        lines = np.empty((4, min(matrix.height, rows)))
        gradient, made, value, part = np.zeros(matrix.rows.width), np.zeros(self.shape), 0.0, 0
        with np.errstate(all="ignore"):  # an exponential may overflow on too long a step; the solver sees that in the value
            for k, block in enumerate(blocks):
                raw, f, g, h = lines[:, : block.rows]
                matrix.predicted(block, self.wide, raw)
                step(raw, block.y, block.w, f, g, h if curved else None)
                value += float(f.sum())
                matrix.add_gradient(block, g, gradient)
                if second == "diagonal":
                    matrix.add_diagonal(block, h, made)
                elif second == "hessian":
                    matrix.add_gram(block, h, made)
                elif second == "part" and k % PART == 0:
                    matrix.add_gram(block, h, made)
                    part += block.rows
                elif second == "gram":
                    matrix.add_gram(block, np.ones_like(raw) if block.w is None else block.w, made)
            return Sums(value, gradient, None if second == "none" else made * (rows / part) if part else made)

    def join(self, parts: Sequence[Sums]) -> Sums:
        """The sum of the slabs' sums; of second derivatives still the lower triangle."""
        return joined(parts, (self.matrix.rows.width,), self.shape)


@dataclass(frozen=True, eq=False)
class Simplex:
    """A pass of a simplex loss, for labels (n,) or distributions (n, K)."""

    matrix: Matrix
    program: row_engine.RowProgram
    wide: Floats
    weighted: bool = False

    @property
    def bytes(self) -> int:
        """The size of a gradient."""
        return self.wide.nbytes

    def slab(self, blocks: Iterator[Block], rows: int) -> Sums:
        """The sums of a slab."""
        matrix, step = self.matrix, None
        lines, values = np.empty((min(matrix.height, rows), matrix.outputs)), np.empty(matrix.height)
        gradient, value = np.zeros(self.wide.shape), 0.0
        with np.errstate(all="ignore"):
            for block in blocks:
                raw, f = lines[: block.rows], values[: block.rows]
                step = step or row_engine.step(self.program, matrix.rows.n, matrix.outputs, self.weighted, False, block.y.ndim == 1)
                matrix.predicted(block, self.wide, raw)
                step(raw, block.y, block.w, f, raw, None)
                value += float(f.sum())
                matrix.add_gradient(block, raw, gradient)  # the gradient was written over raw
        return Sums(value, gradient)

    def join(self, parts: Sequence[Sums]) -> Sums:
        """The sum of the slabs' sums."""
        return joined(parts, self.wide.shape)


@dataclass(frozen=True, eq=False)
class Gram:
    """The lower triangle of [1, X]' diag(w) [1, X] for the rows' own weights, 1 where they have none."""

    matrix: Matrix

    @property
    def bytes(self) -> int:
        """The size of the matrix."""
        return 8 * int(np.prod(self.matrix.gram_shape))

    def slab(self, blocks: Iterator[Block], rows: int) -> Floats:
        """That of a slab."""
        made = np.zeros(self.matrix.gram_shape)
        for block in blocks:
            self.matrix.add_gram(block, self.weights(block), made)
        return made

    def weights(self, block: Block) -> Floats:
        """What each row of a block weighs."""
        return np.ones(block.rows) if block.w is None else block.w

    def join(self, parts: Sequence[Floats]) -> Floats:
        """The sum of the slabs' matrices."""
        return added(parts, self.matrix.gram_shape)


def joined(parts: Sequence[Sums], gradient: tuple[int, ...], second: tuple[int, ...] = ()) -> Sums:
    """The sum of sums, in order."""
    seconds = [p.second for p in parts if p.second is not None]
    value = float(sum(p.value for p in parts))
    return Sums(value, added([p.gradient for p in parts], gradient), added(seconds, second) if seconds else None)


def mirrored(lower: Floats) -> Floats:
    """The symmetric matrix with this lower triangle."""
    return np.where(_below(len(lower)), lower, lower.T)


@lru_cache(maxsize=8)
def _below(size: int) -> NDArray[np.bool_]:
    """Where a square matrix's lower triangle is; kept, because small fits ask for it at every pass."""
    return np.tri(size, dtype=bool)
