"""Held-out scores of a fitted loss: which ones a kind of target has, and their mean over rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss import scoring
from matchloss.losses import Loss, TargetKind

Floats = NDArray[np.float64]
NUMBERS = {"squared error": scoring.squared_error, "absolute error": scoring.absolute_error}
COUNTS = {"Poisson deviance": scoring.poisson_deviance, "squared error": scoring.squared_error}
LABELS = {"log": scoring.log_score, "Brier": scoring.brier_score, "spherical": scoring.spherical_score}
ERROR_RATE = "error rate"  # the share of wrong labels; the only score for a loss that predicts no probability
RULES: dict[TargetKind, dict[str, Callable[..., Any]]] = {"number": NUMBERS, "count": COUNTS, "binary": LABELS, "multiclass": LABELS}


@dataclass(frozen=True)
class Score:
    """A held-out mean score, lower is better; `infinite` counts the rows that made it infinite."""

    value: float
    infinite: int = 0


def score_names(kind: TargetKind) -> tuple[str, ...]:
    """The names of the scores for a kind of target, in the order in which they are shown."""
    return (*RULES[kind], *((ERROR_RATE,) if kind in ("binary", "multiclass") else ()))


def held_out(loss: Loss, kind: TargetKind, raw: Floats, target: NDArray[Any], sample_weight: Floats | None = None) -> dict[str, Score]:
    """Mean scores of `loss.predict(raw)`; scores that need probabilities are left out if the loss predicts a sign."""
    prediction = np.asarray(loss.predict(raw))
    scores = {}
    if kind in ("number", "count") or loss.functional != "mode":
        scores = {name: _score(rule, target, prediction, sample_weight) for name, rule in RULES[kind].items()}
    if kind in ("binary", "multiclass"):
        threshold = 0.0 if loss.functional == "mode" else 0.5
        label = prediction.argmax(axis=1) if prediction.ndim == 2 else prediction > threshold
        scores[ERROR_RATE] = Score(float(np.average(label != target, weights=sample_weight)))
    return scores


def _score(rule: Callable[..., Any], target: NDArray[Any], prediction: Floats, sample_weight: Floats | None) -> Score:
    if prediction.ndim == 2 and target.dtype.kind == "f":  # two labels under a loss for many
        target = target.astype(np.int64)
    hopeless = ~np.isfinite(prediction) if prediction.ndim == 1 else np.zeros(len(prediction), bool)  # an exponential overflowed
    if rule is scoring.poisson_deviance:
        hopeless |= prediction < 0  # not a rate, so as bad as a rate of 0
    fair = prediction if not hopeless.any() else np.where(hopeless, 0.0, prediction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows of an infinite score are counted below
        rows = np.asarray(rule(target, fair), np.float64)
    rows[hopeless] = np.inf
    return mean_score(rows, sample_weight)


def mean_score(rows: Floats, sample_weight: Floats | None = None) -> Score:
    """The (weighted) mean of a score per row, and in how many rows of positive weight it is infinite."""
    if sample_weight is not None:
        rows, sample_weight = rows[sample_weight > 0], sample_weight[sample_weight > 0]
    infinite = int(np.isinf(rows).sum())
    return Score(np.inf if infinite else float(np.average(rows, weights=sample_weight)), infinite)
