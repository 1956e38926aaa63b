"""The one place that imports what scikit-learn keeps private: the loss that HistGradientBoosting asks for its numbers, and its trees.

Known are the versions in `KNOWN`; others are said once as a warning, or with an ImportError where what is needed has gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray

from matchloss.boosting.curvature import UNIT, Curvature, Table
from matchloss.boosting.losses import probabilities
from matchloss.boosting.objective import Objective
from matchloss.boosting.start import start_scores
from matchloss.boosting.versions import say_if_unknown
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses.regression import Pinball

KNOWN = (1, 9), (1, 9)

try:
    from sklearn._loss import loss as host
    from sklearn._loss.link import BaseLink, Interval
    from sklearn._loss.loss import BaseLoss
    from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor as TreePredictor
except ImportError as error:
    raise ImportError(f"scikit-learn {sklearn.__version__} keeps its losses and trees elsewhere; matchloss.sklearn knows 1.9") from error

BinMapper, NODE = _BinMapper, PREDICTOR_RECORD_DTYPE
CURVATURES: Table = {"squared_error": UNIT}  # every other built-in objective divides by the exact one
BUILT_IN: dict[str, Callable[..., BaseLoss]] = {
    "squared_error": host.HalfSquaredError,
    "poisson": host.HalfPoissonLoss,
    "gamma": host.HalfGammaLoss,
    "logistic": host.HalfBinomialLoss,
    "cross_entropy": host.HalfMultinomialLoss,
}


def say_if_new() -> None:
    """Warns, once, of a scikit-learn that was not tried."""
    say_if_unknown("scikit-learn", sklearn.__version__, *KNOWN)


class Link(BaseLink):
    """The loss's own link in scikit-learn's form."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.is_multiclass = isinstance(loss, SimplexLoss)
        self.interval_y_pred = Interval(-np.inf, np.inf, False, False)

    def link(self, y_pred: Any, out: Any = None) -> Any:
        """From predictions to raw ones."""
        return self.loss.link(y_pred)

    def inverse(self, raw_prediction: Any, out: Any = None) -> Any:
        """From raw predictions to predictions."""
        return self.loss.predict(raw_prediction)


class Adapter(BaseLoss):
    """A loss as HistGradientBoosting asks for one: values, gradients and curvatures of raw predictions (n, 1) or (n, K)."""

    def __init__(self, loss: Loss, curvature: Curvature, classes: int | None, constant: bool) -> None:
        super().__init__(closs=None, link=Link(loss), n_classes=classes)
        self.objective = Objective(loss, curvature)
        self.is_multiclass = isinstance(loss, SimplexLoss)
        self.constant_hessian = constant  # then no array of curvatures is made: each is 1

    def _arrays(self, raw: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        if self.is_multiclass:
            return raw, y.astype(np.int64)
        return raw.reshape(-1), y

    def gradient(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None, gradient_out: Any = None, n_threads: int = 1) -> Any:
        """Writes the gradient of each row."""
        raw, y = self._arrays(raw_prediction, y_true)
        self.objective.slopes(raw, y, sample_weight, gradient_out, None)
        return gradient_out

    def gradient_hessian(
        self,
        y_true: Any,
        raw_prediction: Any,
        sample_weight: Any = None,
        gradient_out: Any = None,
        hessian_out: Any = None,
        n_threads: int = 1,
    ) -> Any:
        """Writes the gradient and the curvature of each row."""
        raw, y = self._arrays(raw_prediction, y_true)
        self.objective.slopes(raw, y, sample_weight, gradient_out, hessian_out)
        return gradient_out, hessian_out

    def __call__(self, y_true: Any, raw_prediction: Any, sample_weight: Any = None, n_threads: int = 1) -> float:
        """The weighted mean loss."""
        raw, y = self._arrays(raw_prediction, y_true)
        return self.objective.mean(raw, y, sample_weight)

    def fit_intercept_only(self, y_true: Any, sample_weight: Any = None) -> NDArray[Any]:
        """The start score, (1,) or (K,); of a built-in loss by scikit-learn's own steps, so that it is rounded as theirs is."""
        own = BUILT_IN.get(self.objective.loss.name)
        if own is not None:
            of_classes = {"n_classes": self.n_classes} if self.is_multiclass else {}
            return np.atleast_1d(own(**of_classes).fit_intercept_only(y_true, sample_weight))
        start = start_scores(self.objective.loss, y_true.astype(np.int64) if self.is_multiclass else y_true, sample_weight, self.n_classes)
        raw, y = self._arrays(np.tile(start, (len(y_true), 1)), y_true)
        self.objective.check_trains(raw, y, sample_weight)
        return start


class WithProbabilities(Adapter):
    """The loss of a classifier, which scikit-learn knows by this method."""

    def predict_proba(self, raw_prediction: Any) -> NDArray[Any]:
        """The probability of each class, (n, K)."""
        return probabilities(self.objective.loss, raw_prediction)


def host_loss(loss: Loss, curvature: Curvature | None, classes: int | None, weighted: bool) -> BaseLoss:
    """The loss for HistGradientBoosting; without a curvature scikit-learn's own absolute error or pinball, which renews leaves."""
    if curvature is None:
        weight = np.ones(1) if weighted else None  # they only ask whether there is one
        return host.PinballLoss(weight, quantile=loss.alpha) if isinstance(loss, Pinball) else host.AbsoluteError(weight)
    constant = curvature == UNIT and not weighted and not isinstance(loss, SimplexLoss)
    return (Adapter if classes is None else WithProbabilities)(loss, curvature, classes, constant)
