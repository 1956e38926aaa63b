"""Start scores: the constant raw prediction that a booster begins with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.losses import check_target
from matchloss.errors import DomainError, ShapeError
from matchloss.losses import Loss, SimplexLoss

FARTHEST = 16.0  # stands for an infinite start score; a sigmoid is 1e-7 from 0 or 1 there


def start_scores(loss: Loss, target: Any, weight: Any = None, classes: int | None = None) -> NDArray[np.float64]:
    """The loss's best constant, (1,) or for a simplex loss (K,), finite.

    Errors are those of `best_constant`: a target outside the loss's domain, no row of positive weight.

    >>> import matchloss as ml
    >>> start_scores(ml.CrossEntropy(), [0, 0, 1, 2]).round(4), start_scores(ml.Logistic(), [1.0, 1.0])
    (array([-0.6931, -1.3863, -1.3863]), array([16.]))
    """
    if isinstance(loss, SimplexLoss):
        best = np.asarray(loss.best_constant(target, weight, classes), np.float64)
        return np.maximum(best, best.max() - 2 * FARTHEST)
    if loss.linear_in_target:  # only the mean counts, rounded as hosts round it
        target, weight = _mean(loss, target, weight), None
    try:
        best = float(loss.best_constant(target, weight))
    except (DomainError, ShapeError):
        raise
    except ValueError as error:  # from SciPy's solver
        raise DomainError(f"{loss!r} has no start score: its mean gradient is not always finite{_example(loss, target)}") from error
    return np.array([best if np.isfinite(best) else np.copysign(FARTHEST, best)])


def _mean(loss: Loss, target: Any, weight: Any) -> NDArray[np.float64]:
    """The weighted mean of checked targets, as a single one."""
    y, w = np.asarray(target), None if weight is None else np.asarray(weight)
    check_target(loss, y, w)
    counted = y if w is None else y[w > 0]
    if counted.size == 0:
        raise ShapeError("there is no row of positive weight: no start score is best")
    return np.array([np.average(counted.astype(np.float64), weights=None if w is None else w[w > 0].astype(np.float64))])


def _example(loss: Loss, target: Any) -> str:
    """A row whose gradient is not finite at raw 0, as the end of a sentence."""
    y = np.asarray(target, np.float64)
    bad = ~np.isfinite(loss.gradient(np.zeros(y.shape), y))
    row = int(np.argmax(bad))
    return f"; at raw 0 it is not in row {row} (target {y[row].item()!r})" if bad.any() else ""
