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
ERROR_RATE = "error rate"  # the share of wrong labels; the only score for a loss that predicts no probability
_LABELS = ("log", "Brier", "spherical")
USUAL: dict[TargetKind, tuple[str, ...]] = {  # what a fit shows
    "number": ("squared error", "absolute error"),
    "count": ("Poisson deviance", "squared error"),
    "binary": _LABELS,
    "multiclass": _LABELS,
}
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
    return (*USUAL[kind], *((ERROR_RATE,) if kind in ("binary", "multiclass") else ()))


def labels_of(loss: Loss, prediction: Floats, classes: bool) -> NDArray[Any]:
    """The label that a prediction speaks for: the most probable of the classes in the last axis, or of two the likelier."""
    return prediction.argmax(axis=-1) if classes else prediction > (0.0 if loss.functional == "mode" else 0.5)


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


def repeated(of: Callable[[NDArray[Any], Floats], Any], target: NDArray[Any], prediction: Floats) -> Floats:
    """`of(target, prediction)` of each row in each repeat, (repeats, rows), for predictions (repeats, rows) or (repeats, rows, K)."""
    repeats, n = prediction.shape[:2]
    flat = prediction.reshape(repeats * n, *prediction.shape[2:])
    return np.asarray(of(np.tile(target, repeats), flat), np.float64).reshape(repeats, n)


def mean_of_repeats(rows: Floats, sample_weight: Floats | None = None) -> Score:
    """The mean score of rows (repeats, rows), and how many rows are infinite in some repeat."""
    infinite = np.isinf(rows).any(axis=0)
    return mean_score(np.where(infinite, np.inf, rows.mean(axis=0)), sample_weight)


def error_rate(loss: Loss, target: NDArray[Any], prediction: Floats, sample_weight: Floats | None = None) -> Score:
    """The share of wrong labels among predictions (repeats, rows) or (repeats, rows, K)."""
    wrong = labels_of(loss, prediction, prediction.ndim == 3) != target
    return Score(float(np.average(wrong.mean(axis=0), weights=sample_weight)))


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
