"""Metrics for losses of K raw predictions a row: the hessian where predictions do not vary, and that of a subsample."""

from __future__ import annotations

import numpy as np

from matchloss.linear import metric as metrics
from matchloss.linear.metric import Metric
from matchloss.linear.objective import Log, Objective
from matchloss.linear.passes import Matrix
from matchloss.linear.rows import Floats

MOST_COEFFICIENTS = 1000  # P times K: a hessian of more takes longer to build than it saves


def start_metric(f: Objective, theta: Floats) -> Metric:
    """The hessian at a constant prediction: a Gram matrix times one curvature a class."""
    few = f.strided(max(1, f.rows.n // max(50 * f.size, 20_000)))
    raw = np.repeat(theta[:1] if f.intercept else np.zeros((1, f.shape[1])), f.shape[1], axis=0)
    curve = f.loss.hessian(raw, np.arange(f.shape[1]))  # its mean over the labels, as often as they occur
    share = np.bincount(f.target, f.weight, f.shape[1]) / f.total
    weights = np.maximum(share @ np.nan_to_num(curve), 1e-6)
    if not few.loss.convex or not (weights > 0).all():
        weights = np.full_like(weights, float(np.abs(weights).mean()) or 1.0)
    gram = f.narrow(few.matrix.gram(np.ones(few.rows.n) if few.weight is None else few.weight)) / few.total
    gram[np.diag_indices_from(gram)] += f.ridge / float(weights.mean())
    if f.size > 2000:
        made = metrics.of_diagonal(np.multiply.outer(np.diagonal(gram), weights))
        return made
    return metrics.of_product(gram, weights, f.intercept)


def subsample_metric(f: Objective, theta: Floats) -> Metric | None:
    """The whole hessian at theta, (P K, P K): of a subsample, for it takes K (K + 1) / 2 Gram matrices."""
    classes, size = f.shape[1], f.size
    raw = f.raw(theta)
    curves = np.empty((f.rows.n, classes, classes))
    for k in range(classes):
        unit = np.zeros_like(raw)
        unit[:, k] = 1.0
        curves[:, :, k] = f.loss.hessian_product(raw, f.target, unit)  # pyright: ignore[reportAttributeAccessIssue]
    if f.weight is not None:
        curves *= f.weight[:, None, None]
    hessian = np.empty((size, classes, size, classes))
    matrix = Matrix(f.rows)
    level = np.zeros((size, size))
    for a in range(classes):
        for b in range(a + 1):
            part = f.narrow(matrix.gram(np.ascontiguousarray(curves[:, a, b]))) / f.total
            hessian[:, a, :, b] = hessian[:, b, :, a] = part
            level += part / classes if a == b else 0.0
        hessian[:, a, :, a] += np.diag(f.ridge)
    for a in range(classes):  # the same shift of all K changes no prediction: any curvature will do along it, but 0
        hessian[:, a] += level[:, :, None] / classes
    made = metrics.of_matrix(hessian.reshape(size * classes, -1), classes * int(f.intercept), 1e-8)

    return Metric(lambda g: made.solve(g.ravel()).reshape(g.shape), made.dependent) if not made.dependent.size else None


__all__ = ["MOST_COEFFICIENTS", "Log", "start_metric", "subsample_metric"]
