"""Proper scores of predictions, the observation first: `rule(target, prediction, sample_weight=None)`, lower is better."""

from matchloss.scoring.rules import (
    absolute_error,
    brier_score,
    log_score,
    per_row,
    pinball,
    poisson_deviance,
    spherical_score,
    squared_error,
)

__all__ = [
    "absolute_error",
    "brier_score",
    "log_score",
    "per_row",
    "pinball",
    "poisson_deviance",
    "spherical_score",
    "squared_error",
]
