"""Held-out scores of a fitted loss: which ones a kind of target has, and their mean over rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss import scoring
from matchloss.losses import Loss, Simplex, TargetKind
from matchloss.scoring import ProperScore

if TYPE_CHECKING:
    from matchloss.tables.target import Target

Floats = NDArray[np.float64]
NUMBERS = {"squared error": scoring.squared_error, "absolute error": scoring.absolute_error}
COUNTS = {"Poisson deviance": scoring.poisson_deviance, "squared error": scoring.squared_error}
LABELS = {"log": scoring.log_score, "Brier": scoring.brier_score, "spherical": scoring.spherical_score}
ERROR_RATE = "error rate"  # the share of wrong labels; the only score for a loss that predicts no probability
RULES: dict[TargetKind, dict[str, Callable[..., Any]]] = {"number": NUMBERS, "count": COUNTS, "binary": LABELS, "multiclass": LABELS}
CATALOGUE_NAMES = {  # of every score that can decide
    "squared error": "squared_error",
    "Poisson deviance": "poisson_deviance",
    "gamma deviance": "gamma_deviance",
    "log": "log_score",
    "Brier": "brier_score",
    "spherical": "spherical_score",
    "absolute error": "absolute_error",
    "pinball": "pinball",
    "expectile": "expectile_score",
}


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
        wrong = labels_of(loss, prediction, prediction.ndim == 2) != target
        scores[ERROR_RATE] = Score(float(np.average(wrong, weights=sample_weight)))
    return scores


def labels_of(loss: Loss, prediction: Floats, classes: bool) -> NDArray[Any]:
    """The label that a prediction speaks for: the most probable of the classes in the last axis, or of two the likelier."""
    return prediction.argmax(axis=-1) if classes else prediction > (0.0 if loss.functional == "mode" else 0.5)


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


@dataclass(frozen=True)
class Judge:
    """A score that is consistent for a functional: no answer has a lower expected score than the functional itself."""

    name: str
    level: float | None = None  # of a quantile or expectile

    @property
    def rule(self) -> ProperScore:
        """The score in the catalogue."""
        return scoring.get_score(CATALOGUE_NAMES[self.name])

    def rows(self, target: NDArray[Any], prediction: Floats) -> Floats:
        """The score of each row, infinite where the prediction is none that it allows; prediction (n,), or (n, K) for K classes."""
        labels = prediction.ndim == 2
        low, high = (0.0, 1.0) if isinstance(self.rule.domain, Simplex) else self.rule.domain.bounds
        hopeless = ~((prediction >= low) & (prediction <= high)) if not labels else np.zeros(len(prediction), bool)
        fair = np.where(hopeless, np.clip(0.5, low, high), prediction) if hopeless.any() else prediction
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # rows of an infinite score are counted and said
            made = np.asarray(self.rule.rows(target.astype(np.int64) if labels else target, fair, self.level), np.float64)
        made = np.where(np.isnan(made), np.inf, made)
        made[hopeless] = np.inf
        return made


def consistent(functional: str, target: Target, level: float | None = None) -> tuple[Judge, ...]:
    """The scores that are consistent for a functional and that the target's values allow; the one that decides by default is first."""
    if functional == "label":
        return Judge("log"), Judge("Brier"), Judge("spherical")
    if functional == "median":
        return (Judge("absolute error"),)
    if functional in ("quantile", "expectile"):
        return (Judge("pinball" if functional == "quantile" else "expectile", level),)
    values = np.asarray(target.values, np.float64)
    if target.kind == "count":
        return Judge("Poisson deviance"), Judge("squared error")
    others = [("Poisson deviance", values.min() >= 0.0), ("gamma deviance", values.min() > 0.0)]
    if values.min() >= 0 and values.max() <= 1:
        others = [("log", True)]
    return Judge("squared error"), *(Judge(name) for name, allowed in others if allowed)
