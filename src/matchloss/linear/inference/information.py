"""Gram matrices of a fit's slopes and curvatures, from which every covariance is made. No one-hot matrix is formed.

With K classes everything is in terms of contrasts with the first class: coefficients of class k minus those of class 0, M = K - 1 columns
of them. No prediction depends on anything else. A matrix (P M, P M) goes class by class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from matchloss.engine.arrays import Evaluation
from matchloss.errors import DomainError, ShapeError
from matchloss.linear.objective import Objective, class_blocks
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import blas_on_one_thread

Weights = Literal["repeat", "trials"]
SUMS = 1 << 23  # entries of the sums of clusters that are held at once


@dataclass(frozen=True, eq=False)
class Standing:
    """An objective at theta, (P,) or contrasts (P, M): the values and derivatives of its rows there."""

    f: Objective
    theta: Floats
    weights: Weights

    @property
    def size(self) -> int:
        """P M, the number of coefficients."""
        return self.theta.size

    @cached_property
    def whole(self) -> Floats:
        """theta as the objective has it: with K classes (P, K), the first 0."""
        return self.theta if self.f.outputs is None else np.column_stack([np.zeros(len(self.theta)), self.theta])

    @cached_property
    def raw(self) -> Floats:
        """Raw predictions."""
        return self.f.raw(self.whole)

    @cached_property
    def jet(self) -> Evaluation:
        """Each row's value and gradient, and for one raw prediction also the second derivative, times its weight."""
        f = self.f
        return f.loss.evaluate(self.raw, f.target, f.weight, hessian=f.outputs is None)

    @cached_property
    def slope(self) -> Floats:
        """Each row's gradient in its raw predictions, times its weight: (n,) or (n, M)."""
        made = self.jet.gradient
        return made if made.ndim == 1 else np.ascontiguousarray(made[:, 1:])

    @cached_property
    def gradient(self) -> Floats:
        """The sum of the rows' gradients in theta, without a penalty, class by class (P M,)."""
        return self.f.matrix.transposed(self.slope)[self.f.slots].T.ravel()

    def curve(self, kind: str) -> Floats:
        """Each row's second derivative in its one raw prediction, times its weight, (n,). `kind`: "exact" or "fisher"."""
        f = self.f
        if kind == "exact" or f.loss.matching:  # a matching loss's does not depend on the target
            return self.jet.hessian
        return f.loss.evaluate(self.raw, f.target, f.weight, value=False, gradient=False, hessian=True, curvature=kind).hessian

    def gram(self, weight: Floats) -> Floats:
        """X' diag(weight) X, or for weights (n, M, M) the blocks of all pairs of classes."""
        if weight.ndim == 1:
            with blas_on_one_thread():
                return self.f.narrow(self.f.matrix.gram(np.ascontiguousarray(weight)))
        classes = weight.shape[1]
        a, b = np.tril_indices(classes)
        made = np.empty((classes, classes, self.f.size, self.f.size))
        with blas_on_one_thread():
            made[a, b] = made[b, a] = self.f.alone.grams([weight[:, a, b].T], self.f.slots)
        return made.transpose(0, 2, 1, 3).reshape(self.size, self.size)

    @cached_property
    def observed(self) -> Floats:
        """The sum of the rows' second derivatives in theta, without a penalty."""
        return self._information("exact")

    @cached_property
    def expected(self) -> Floats:
        """The same for their means over targets: Fisher's information."""
        return self.observed if self.f.loss.matching else self._information("fisher")

    def _information(self, kind: str) -> Floats:
        if self.f.outputs is None:
            return self.gram(self.curve(kind))
        target = self.f.loss.predict(self.raw) if kind == "fisher" else self.f.target  # it is affine in the target
        with blas_on_one_thread():
            return class_blocks(self.f, self.raw, target, 1).transpose(0, 2, 1, 3).reshape(self.size, self.size)

    @cached_property
    def penalty(self) -> Floats:
        """The second derivatives of the ridge, as a sum over rows too; with K classes, those in the contrasts, whose mean is taken out."""
        f = self.f
        if f.outputs is None:
            return np.diag(f.ridge) * f.total
        return np.asarray(np.kron(np.eye(f.outputs - 1) - 1 / f.outputs, np.diag(f.ridge)) * f.total, np.float64)

    def meat(self) -> Floats:
        """The sum over rows of the outer products of their gradients in theta. A row that is repeated w times counts w times."""
        slope, weight = self.slope, self.f.weight
        if slope.ndim == 1:
            square = slope**2 if weight is None or self.weights == "trials" else slope**2 / weight
        else:
            square = slope[:, :, None] * slope[:, None, :]
            if weight is not None and self.weights == "repeat":
                square /= weight[:, None, None]
        return self.gram(square)

    def clustered(self, cluster: NDArray[np.intp], count: int) -> Floats:
        """The same over clusters 0 to count - 1, of the sums of their gradients; rows are read in the clusters' order."""
        f, slope = self.f, self.slope.reshape(len(self.slope), -1)
        most = max(1, SUMS // (f.rows.width * slope.shape[1]))
        order, meat = np.argsort(cluster, kind="stable"), np.zeros((self.size, self.size))
        ends = np.searchsorted(cluster[order], np.arange(0, count + most, most))
        for k, (a, b) in enumerate(pairwise(ends)):
            here, size = order[a:b], min(most, count - k * most)
            rows, each = f.rows.take(here), cluster[here] - k * most
            sums = [cluster_sums(rows, slope[here, m], each, size)[:, f.slots] for m in range(slope.shape[1])]
            joined = np.concatenate(sums, axis=1)
            with blas_on_one_thread():
                meat += joined.T @ joined
        return meat


def cluster_sums(rows: TableRows, error: Floats, cluster: NDArray[np.intp], count: int) -> Floats:
    """The transposed product [1, X]' error of each cluster's rows: (count, width)."""
    made = np.zeros((count, rows.width))
    made[:, 0] = np.bincount(cluster, error, count)
    x = rows.block(0, rows.n, np.empty((rows.n, rows.q)))
    for j in range(rows.q):
        made[:, 1 + j] = np.bincount(cluster, error * x[:, j], count)
    if rows.sparse is not None:
        each = sparse.csr_array((error, (cluster, np.arange(rows.n))), shape=(count, rows.n))
        made[:, 1 + rows.q : 1 + rows.q + rows.s] = (each @ rows.sparse.x).toarray()
    for c, (first, levels) in enumerate(zip(rows.first, rows.levels, strict=True)):
        made[:, first : first + levels] = np.bincount(cluster * levels + rows.codes[:, c], error, count * levels).reshape(count, levels)
    return made


def clusters_of(groups: Any, n: int, rows: NDArray[np.intp] | None = None) -> tuple[NDArray[np.intp], int]:
    """Labels of n rows as numbers from 0, of `rows` alone where they are given, and how many labels there are."""
    if groups is None:
        raise ValueError('kind="cluster" needs groups=, a label for each row of X')
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise ShapeError(f"groups has shape {labels.shape}; {n} rows ask for ({n},)")
    labels = labels if rows is None else labels[rows]
    missing = np.array([v is None or v != v for v in labels.tolist()]) if labels.dtype.kind in "Of" else np.zeros(0, bool)
    if missing.any():
        raise ValueError(f"groups, row {int(missing.argmax())}: a missing label; every row belongs to a group")
    kinds, cluster = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True)
    if len(kinds) < 2:
        raise DomainError("groups has a single label: a clustered covariance needs two groups or more, and is sound from about 40")
    return cluster, len(kinds)


def row_variances(rows: TableRows, slots: NDArray[np.intp], covariance: Floats) -> Floats:
    """x' covariance x of each row, (n,): the variances of raw predictions, block by block."""
    wide = np.zeros((rows.width, rows.width))
    wide[np.ix_(slots, slots)] = covariance
    design, first, made = Matrix(rows, rows.width), rows.first, np.empty(rows.n)
    with blas_on_one_thread():
        for block in design.blocks(0, rows.n):
            along = np.empty((block.stop - block.start, rows.width))
            design.raw(block, wide, along)
            each = along[:, 0] + np.einsum("ij,ij->i", block.x, along[:, 1 : 1 + rows.q])
            if block.sparse is not None:
                each += np.asarray(block.sparse.matrix.multiply(along[:, design.thin]).sum(axis=1)).ravel()
            if rows.levels:
                each += np.take_along_axis(along, first + block.codes, axis=1).sum(axis=1)
            made[block.start : block.stop] = each
    return made
