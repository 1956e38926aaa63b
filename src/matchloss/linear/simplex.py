"""Metrics for simplex losses: the hessian at a constant prediction, and its diagonal blocks at any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from matchloss.linear import metric as metrics
from matchloss.linear.metric import Metric
from matchloss.linear.objective import Objective
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats
from matchloss.linear.sources.source import Block, added

CERTAIN = 1e-4  # the share of the start's curvature that is added
MOST_CURVES = 1 << 23  # limit on rows times classes whose second derivatives are held at once
WIDE = 1500  # sparse columns of which no Gram matrix is made


@dataclass(frozen=True, eq=False)
class Diagonal:
    """The diagonal alone of the Gram matrix, (width,)."""

    matrix: Matrix
    bytes = 0

    def slab(self, blocks: Iterator[Block], rows: int) -> Floats:
        """That of a slab."""
        made = np.zeros(self.matrix.rows.width)
        for block in blocks:
            self.matrix.add_diagonal(block, np.ones(block.rows) if block.w is None else block.w, made)
        return made

    def join(self, parts: Sequence[Floats]) -> Floats:
        """The sum of the slabs'."""
        return added(parts, (self.matrix.rows.width,))


def too_wide(f: Objective) -> bool:
    """Whether metrics are diagonal because there are too many sparse columns for a Gram matrix."""
    return f.rows.sparse is not None and f.size > WIDE


def start_metric(f: Objective, theta: Floats) -> Metric:
    """The hessian at a constant prediction: a Gram matrix times one curvature per class."""
    raw = np.repeat(theta[:1] if f.intercept else np.zeros((1, f.shape[1])), f.shape[1], axis=0)
    curve = f.loss.hessian(raw, np.arange(f.shape[1]))  # averaged over the labels by their frequency
    share = f.mass() / f.total
    weights = np.maximum(share @ np.nan_to_num(curve), 1e-6)
    if not f.loss.convex or not (weights > 0).all():
        weights = np.full_like(weights, float(np.abs(weights).mean()) or 1.0)
    if too_wide(f):
        curves = (f.source.sum(Diagonal(f.matrix))[f.slots] / f.total)[:, None] * weights + f.ridge[:, None]
        safe = np.where(curves > 0, curves, np.inf)
        return Metric(lambda g: g / safe - (g / safe).mean(axis=1, keepdims=True), metrics.NONE)
    step = max(1, f.rows.n // max(50 * f.size, 20_000))
    made = metrics.of_product(_gram(f.strided(step), weights), weights, f.intercept)
    f.suspect(made)
    if made.dependent.size and step > 1:  # for example, levels without a row in the sample
        made = metrics.of_product(_gram(f, weights), weights, f.intercept)
    return made


def _gram(f: Objective, weights: Floats) -> Floats:
    gram = f.gram()
    gram[np.diag_indices_from(gram)] += f.ridge / float(weights.mean())
    return gram


def block_metric(f: Objective, theta: Floats) -> Metric:
    """The hessian's diagonal blocks at theta, one Gram matrix per class; twice these bound the hessian of cross entropy from above.

    A little of the hessian at a constant prediction is added, because the loss is flat where the model is certain, but only there.
    """
    few = f.strided(max(1, f.rows.n * f.shape[1] // MOST_CURVES))
    weight = np.ones(few.rows.n) if few.weight is None else few.weight
    curves = np.ascontiguousarray(np.abs(few.loss.hessian(few.raw(theta), few.target)).T)
    share = few.mass() / few.total
    matrix = Matrix(few.rows)
    level = f.narrow(matrix.gram(weight)) / few.total
    solves = []
    for k in range(f.shape[1]):
        block = f.narrow(matrix.gram(weight * curves[k])) / few.total + CERTAIN * share[k] * (1 - share[k]) * level + np.diag(f.ridge)
        solves.append(metrics.of_matrix(block, int(f.intercept), 1e-10).solve)

    def solve(g: Floats) -> Floats:
        made = np.stack([solves[k](g[:, k]) for k in range(g.shape[1])], axis=1)
        return made - made.mean(axis=1, keepdims=True)

    return Metric(solve, metrics.NONE)
