"""Start scores: the constant raw prediction that a booster begins with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError, ShapeError
from matchloss.losses import Loss, SimplexLoss

FARTHEST = 16.0  # stands for an infinite start score; a sigmoid is 1e-7 from 0 or 1 there


def start_scores(loss: Loss, target: Any, weight: Any = None, classes: int | None = None) -> NDArray[np.float64]:
    """The loss's best constant, (1,) or for a simplex loss (K,), finite, and of mean 0 where a shift changes nothing.

    Errors are those of `best_constant`: a target outside the loss's domain, no row of positive weight.

    >>> import matchloss as ml
    >>> start_scores(ml.CrossEntropy(), [0, 0, 1, 2]).round(4), start_scores(ml.Logistic(), [1.0, 1.0])
    (array([ 0.4621, -0.231 , -0.231 ]), array([16.]))
    """
    if isinstance(loss, SimplexLoss):
        best = np.asarray(loss.best_constant(target, weight, classes), np.float64)
        best = np.maximum(best, best.max() - 2 * FARTHEST)
        return best - best.mean() if loss.shift_invariant else best
    try:
        best = float(loss.best_constant(target, weight))
    except (DomainError, ShapeError):
        raise
    except ValueError as error:  # from SciPy's solver
        raise DomainError(f"{loss!r} has no start score: its mean gradient is not always finite{_example(loss, target)}") from error
    return np.array([best if np.isfinite(best) else np.copysign(FARTHEST, best)])


def _example(loss: Loss, target: Any) -> str:
    """A row whose gradient is not finite at raw 0, as the end of a sentence."""
    y = np.asarray(target, np.float64)
    bad = ~np.isfinite(loss.gradient(np.zeros(y.shape), y))
    row = int(np.argmax(bad))
    return f"; at raw 0 it is not in row {row} (target {y[row].item()!r})" if bad.any() else ""
