"""Scores of predictions: the mean over rows of a formula that is least, in expectation, at the truth.

Observation first, as in scikit-learn's metrics. Lower is better for all. Labels come as 0/1 with the probability of 1, both
of shape (n,), or as integer labels (n,) or distributions (n, K) with probabilities (n, K). Rows of weight 0 are not looked at.

>>> log_score([1, 0], [0.5, 0.5]) == log_score([1, 0], [[0.5, 0.5], [0.5, 0.5]])
True
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import kl_div

from matchloss.engine.namespaces import NUMPY
from matchloss.losses import PointwiseLoss
from matchloss.losses.regression import AbsoluteError, Pinball, SquaredError
from matchloss.scoring._check import Floats, Mask, numbers, probabilities, weights

Rows = Callable[..., Floats]


def squared_error(target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean of (prediction - target)^2, consistent for the mean (Gneiting 2011).

    `target`, `prediction` and `sample_weight` are (n,). ShapeError if they do not match, DomainError for NaN or infinity.

    >>> squared_error([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    return _mean(_squared, target, prediction, sample_weight)


def absolute_error(target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean of |prediction - target|, consistent for the median (Gneiting 2011).

    `target`, `prediction` and `sample_weight` are (n,). ShapeError if they do not match, DomainError for NaN or infinity.

    >>> absolute_error([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    return _mean(_absolute, target, prediction, sample_weight)


def pinball(target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None, *, alpha: float = 0.5) -> float:
    """Mean of (1{prediction >= target} - alpha) (prediction - target), consistent for the alpha-quantile (Koenker & Bassett 1978).

    `target`, `prediction` and `sample_weight` are (n,). ShapeError if they do not match, DomainError for NaN or infinity and
    for `alpha` outside (0, 1). Half the absolute error at alpha = 0.5.

    >>> round(pinball([1.0, 2.0], [3.0, 1.0], alpha=0.9), 10)
    0.55
    """
    return _mean(_pinball, target, prediction, sample_weight, alpha=alpha)


def log_score(target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean of -sum_k target_k log prediction_k (Good 1952); 0 log 0 is 0, and a label given probability 0 makes it infinite.

    Exact near certainty: where a row's entries sum to 1, the log of one near 1 is that of 1 less the others, through log1p.

    Binary: `target` in [0, 1] and `prediction` = P(1), both (n,). Else `prediction` is (n, K), `target` integer labels (n,)
    or distributions (n, K). ShapeError for other shapes, DomainError for what is no label, probability or distribution.

    >>> round(log_score([0, 2], [[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]]), 10)  # half of log 2
    0.3465735903
    >>> log_score([1, 0], [0.0, 0.0])
    inf
    >>> log_score([0], [1e-17])
    1e-17
    """
    return _mean(_log, target, prediction, sample_weight)


def brier_score(target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean of half |prediction - e|^2 at the label e, averaged over the target where that is a distribution (Brier 1950).

    For two labels that is target (1-p)^2 + (1-target) p^2, with p = P(1): scikit-learn's `brier_score_loss`. Between 0 and 1.
    Shapes and errors as for `log_score`.

    >>> brier_score([1, 0], [0.5, 0.0])
    0.125
    >>> brier_score([1, 0], [[0.5, 0.5], [1.0, 0.0]])
    0.125
    """
    return _mean(_brier, target, prediction, sample_weight)


def spherical_score(target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean of 1 - <target, prediction> / |prediction|, the spherical score turned so that lower is better (Roby 1965).

    0 for a label predicted with certainty, 1 for a label given probability 0. Shapes and errors as for `log_score`.

    >>> spherical_score([1, 1], [1.0, 0.0])
    0.5
    """
    return _mean(_spherical, target, prediction, sample_weight)


def poisson_deviance(target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean of 2 (target log(target / prediction) - target + prediction), consistent for the mean (McCullagh & Nelder 1989).

    `target` and `prediction` are (n,) and at least 0; 0 log 0 is 0, and a prediction of 0 for a positive target makes it infinite.
    ShapeError for shapes that do not match, DomainError for negative numbers, NaN or infinity.

    >>> poisson_deviance([0.0, 2.0], [1.0, 2.0])
    1.0
    """
    return _mean(_deviance, target, prediction, sample_weight)


def per_row(rule: Callable[..., float], target: ArrayLike, prediction: ArrayLike, **parameters: float) -> Floats:
    """The score of each row, (n,), whose mean is `rule(target, prediction)`; errors as for the rule.

    >>> per_row(squared_error, [1.0, 2.0], [1.0, 4.0])
    array([0., 4.])
    """
    if rule not in _ROWS:
        raise TypeError(f"{rule!r} is not one of {', '.join(r.__name__ for r in _ROWS)}")
    return _ROWS[rule](target, prediction, None, **parameters)


def _mean(rows: Rows, target: ArrayLike, prediction: ArrayLike, sample_weight: ArrayLike | None, **parameters: Any) -> float:
    weight = weights(sample_weight, len(np.atleast_1d(np.asarray(prediction))))
    live = None if weight is None else weight > 0
    with np.errstate(over="ignore", invalid="ignore"):  # rows of weight 0 may hold anything
        scores = rows(target, prediction, live, **parameters)
    if weight is None or live is None:
        return float(scores.mean())
    return float(np.average(scores[live], weights=weight[live]))


def _squared(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> Floats:
    return 2 * _value(SquaredError(), target, prediction, live)


def _absolute(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> Floats:
    return _value(AbsoluteError(), target, prediction, live)


def _pinball(target: ArrayLike, prediction: ArrayLike, live: Mask | None, alpha: float = 0.5) -> Floats:
    return _value(Pinball(alpha=alpha), target, prediction, live)


def _value(loss: PointwiseLoss, target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> Floats:
    """The loss's own formula, for losses whose prediction is the raw prediction."""
    y, p = numbers(target, prediction, live)
    return np.asarray(loss.formula(NUMPY, p, y, *loss.constants)[0])


def _log_probability(p: Floats) -> Floats:
    """log p; where p is what the rest of its row leaves of 1, by way of the rest, which near 1 is known better than p."""
    top = p.argmax(axis=1)[:, np.newaxis]  # no other entry comes near 1
    most, rest = np.take_along_axis(p, top, 1), np.where(np.arange(p.shape[1]) == top, 0.0, p).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        result, by_rest = np.log(p), np.log1p(-np.minimum(rest, 1.0))
        np.put_along_axis(result, top, np.where((most >= 0.5) & (1 - rest == most), by_rest, np.log(most)), 1)
    return result


def _log(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> Floats:
    y, p = probabilities(target, prediction, live)
    with np.errstate(invalid="ignore"):
        terms = np.where(y == 0, 0.0, y * _log_probability(p))
    return 0.0 - terms.sum(axis=1)  # not -0.0


def _brier(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> Floats:
    y, p = probabilities(target, prediction, live)
    if p.shape[1] == 2:  # nothing cancels in this form
        return y[:, 1] * p[:, 0] ** 2 + y[:, 0] * p[:, 1] ** 2
    return ((p - y) ** 2).sum(axis=1) / 2 + (y * (1 - y)).sum(axis=1) / 2


def _spherical(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> Floats:
    y, p = probabilities(target, prediction, live)
    size = np.sqrt((p * p).sum(axis=1))
    return 1 - np.divide((y * p).sum(axis=1), size, out=np.zeros_like(size), where=size > 0)


def _deviance(target: ArrayLike, prediction: ArrayLike, live: Mask | None) -> Floats:
    y, p = numbers(target, prediction, live, low=0.0)
    return 2 * np.maximum(kl_div(y, p), 0.0)


_ROWS: dict[Callable[..., float], Rows] = {
    squared_error: _squared,
    absolute_error: _absolute,
    pinball: _pinball,
    log_score: _log,
    brier_score: _brier,
    spherical_score: _spherical,
    poisson_deviance: _deviance,
}
