"""Scorers of any loss or score, for scikit-learn's searches and cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.losses import place_of
from matchloss.losses import CATALOGUE, Loss, SimplexLoss
from matchloss.losses.catalogue import get
from matchloss.scoring._catalogue import CATALOGUE as SCORES
from matchloss.scoring._catalogue import ProperScore


@dataclass(frozen=True)
class Scorer:
    """`scorer(estimator, X, y, sample_weight=None)`: minus the mean loss or score of its predictions, so that more is better."""

    judge: Loss | ProperScore
    level: float | None = None

    def __repr__(self) -> str:
        judge = repr(self.judge) if isinstance(self.judge, Loss) else repr(self.judge.name)
        return f"scorer({judge})" if self.level is None else f"scorer({judge}, level={self.level!r})"

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Minus the weighted mean over the rows. DomainError for a prediction that the loss or the score does not take."""
        y = np.asarray(y)
        if _has_classes(estimator):
            y = place_of(y, estimator.classes_)
        if isinstance(self.judge, Loss):
            return -float(self.judge(_raw(self.judge, estimator, X), y, sample_weight))
        forecast = estimator.predict_proba(X) if self.judge.of_labels else estimator.predict(X)
        rows = self.judge.rows(y, np.asarray(forecast), self.level)
        return -float(np.average(rows, weights=sample_weight))


def scorer(judge: str | Loss, level: float | None = None) -> Scorer:
    """A scikit-learn scorer of a loss or of a score: `scoring=scorer("poisson")`, `scorer("brier_score")`.

    A loss is taken at the link of what the estimator predicts: `predict`, or for labels `predict_proba`. A loss whose prediction is a side
    takes `decision_function`. level: of a quantile's or an expectile's score. ValueError for a name that is neither.

    >>> import numpy as np
    >>> from sklearn.linear_model import PoissonRegressor
    >>> from sklearn.model_selection import cross_val_score
    >>> from matchloss.sklearn import scorer
    >>> X = np.arange(40.0)[:, None] / 40
    >>> cross_val_score(PoissonRegressor(), X, np.exp(X[:, 0]), scoring=scorer("poisson"), cv=2).round(3)
    array([-1.136, -0.746])
    """
    if isinstance(judge, str) and judge in SCORES and judge not in CATALOGUE:
        return Scorer(SCORES[judge], level)
    loss = judge if isinstance(judge, Loss) else get(judge)
    if level is not None:
        raise ValueError(f"{loss!r} has its level in its parameters; level= is for scores")
    return Scorer(loss)


def _has_classes(estimator: Any) -> bool:
    return np.size(getattr(estimator, "classes_", ())) > 0  # CatBoost's regressor has an empty list of them


def _raw(loss: Loss, estimator: Any, X: Any) -> NDArray[Any]:
    """The raw predictions that the loss takes."""
    if loss.functional == "mode":
        return np.asarray(estimator.decision_function(X))
    if not _has_classes(estimator):
        return np.asarray(loss.link(np.asarray(estimator.predict(X))))
    p = np.asarray(estimator.predict_proba(X))
    if isinstance(loss, SimplexLoss):
        return np.asarray(loss.link(p))
    if p.shape[1] != 2:
        raise ValueError(f"{loss.name} takes two classes; the estimator has {p.shape[1]}")
    return np.asarray(loss.link(p[:, 1]))
