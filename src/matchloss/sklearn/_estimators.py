"""scikit-learn's estimators of boosted trees, with a loss of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier as HostClassifier
from sklearn.ensemble import HistGradientBoostingRegressor as HostRegressor
from sklearn.utils import check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from matchloss.boosting.curvature import Curvature, Given, curvature_of
from matchloss.boosting.keywords import before_fit, one_label_a_row
from matchloss.boosting.losses import (
    as_numbers,
    check_target,
    check_watched,
    decisions,
    describe,
    gives_probabilities,
    loss_of,
    loss_of_labels,
    loss_of_number,
)
from matchloss.engine.arrays import as_weight
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses._labels import places
from matchloss.losses.regression import Pinball
from matchloss.signatures import with_keywords_of
from matchloss.sklearn._private import CURVATURES, host_loss, say_if_new
from matchloss.sklearn._written import write

OPTIONS = {"loss": [str, Loss], "curvature": [str, tuple, Curvature, None]}


def _check_rows(model: Any, X: Any, y: Any, sample_weight: Any = None, *, y_val: Any = None, **_: Any) -> None:
    """DomainError with its row for a target that the loss does not take; scikit-learn would name none."""
    loss, target = model._chosen(), as_numbers(y)
    check_consistent_length(X, target, sample_weight)
    check_target(
        loss, target.reshape(-1) if target.ndim == 2 and target.shape[1] == 1 else target, as_weight(sample_weight, target.shape[:1])
    )
    check_watched(loss, [] if y_val is None else [y_val])


@before_fit(_check_rows)
@with_keywords_of(HostRegressor)
class HistGradientBoostingRegressor(HostRegressor):
    """scikit-learn's HistGradientBoostingRegressor, which minimises any loss of one raw prediction a row.

    Parameters: `loss`, a name such as "poisson" or "pinball(alpha=0.9)", or a Loss; `curvature`, what the trees divide by: "exact",
    "fisher", "majorizer", "absolute", "unit", a pair of one of these and a factor, or None for what the built-in loss divides by, or
    else what suits the loss; and every keyword of scikit-learn's class. `predict` is in the target's units, `raw_predict` is before the
    link. y (n,), sample_weight (n,).

    Attributes, besides scikit-learn's: `loss_`, `curvature_`. Trees of the losses that scikit-learn has are the same as its own.
    Raises DomainError for a target outside the loss's domain and for a gradient that is not finite, ValueError for an unknown loss
    and one of K raw predictions. Source: Friedman (2001); Ke et al. (2017).

    >>> import numpy as np
    >>> from matchloss.sklearn import HistGradientBoostingRegressor
    >>> X = np.arange(100.0)[:, None]
    >>> y = np.exp(X[:, 0] / 50)
    >>> model = HistGradientBoostingRegressor(loss="gamma", min_samples_leaf=5).fit(X, y)
    >>> bool(abs(model.predict(X) / y - 1).max() < 0.2)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = HostRegressor._parameter_constraints | OPTIONS
    loss_: Loss
    curvature_: Curvature | None

    def __init__(self, loss: str | Loss = "squared_error", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(loss=loss, **keywords)  # pyright: ignore[reportArgumentType]
        self.curvature = curvature

    def _chosen(self) -> Loss:
        loss = loss_of_number(self.loss)
        return replace(loss, alpha=self.quantile) if isinstance(loss, Pinball) and self.quantile is not None else loss

    def _encode_y(self, y: Any, **_: Any) -> NDArray[np.float64]:
        """y was checked by the loss, whose words name the row; scikit-learn's own check is by the loss's name."""
        self.n_trees_per_iteration_ = 1
        return y.astype(np.float64, copy=False)

    def _finalize_sample_weight(self, sample_weight: Any, y: NDArray[Any]) -> Any:
        """scikit-learn asks for this once it has read y and before it asks for the loss."""
        loss = self._chosen()
        _use(self, loss, None, sample_weight is not None)
        return sample_weight

    def _get_loss(self, sample_weight: Any) -> Any:
        return self._loss

    def raw_predict(self, X: Any) -> NDArray[np.float64]:
        """Raw predictions (n,), before the link."""
        check_is_fitted(self)
        return self._raw_predict(X)[:, 0]

    def save(self, path: str | Path) -> None:
        """Writes the fitted trees to a JSON file of plain arrays, which `matchloss.sklearn.load` reads back bit for bit.

        TreesError for a loss that a file cannot name, OSError if it cannot be written.
        """
        write(self, path)

    def __sklearn_tags__(self) -> Any:
        return describe(super().__sklearn_tags__(), self._chosen())


def _has_probabilities(model: Any) -> bool:
    return gives_probabilities(loss_of(model.loss))


@before_fit(one_label_a_row)
@with_keywords_of(HostClassifier)
class HistGradientBoostingClassifier(HostClassifier):
    """scikit-learn's HistGradientBoostingClassifier, which minimises any loss of labels.

    Parameters: as HistGradientBoostingRegressor's, and every keyword of scikit-learn's class. A binary loss takes two classes; a loss
    of K raw predictions grows K trees a round, or one where it has a form for two classes, as cross entropy has.

    Attributes, besides scikit-learn's: `loss_`, `curvature_`. Raises what HistGradientBoostingRegressor raises, and ValueError for a
    single class. Source: Friedman (2001); Ke et al. (2017).

    >>> import numpy as np
    >>> from matchloss.sklearn import HistGradientBoostingClassifier
    >>> X = np.arange(90.0)[:, None]
    >>> model = HistGradientBoostingClassifier(loss="sparsemax", max_iter=10, learning_rate=0.5).fit(X, np.repeat(["a", "b", "c"], 30))
    >>> model.predict([[3.0], [85.0]]).tolist(), model.predict_proba([[85.0]]).round(2)
    (['a', 'c'], array([[0., 0., 1.]]))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = HostClassifier._parameter_constraints | OPTIONS
    loss_: Loss
    curvature_: Curvature | None
    classes_: NDArray[Any]

    def __init__(self, loss: str | Loss = "log_loss", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(loss=loss, **keywords)  # pyright: ignore[reportArgumentType]
        self.curvature = curvature

    def _finalize_sample_weight(self, sample_weight: Any, y: NDArray[Any]) -> Any:
        sample_weight = super()._finalize_sample_weight(sample_weight, y)
        loss = loss_of_labels(self.loss, len(self.classes_))
        if isinstance(loss, SimplexLoss):
            self.n_trees_per_iteration_ = len(self.classes_)
        _use(self, loss, len(self.classes_), sample_weight is not None)
        return sample_weight

    def _get_loss(self, sample_weight: Any) -> Any:
        return self._loss

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each row."""
        raw = self._raw_predict(X)
        return self.classes_[places(self.loss_, raw)]

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Raw predictions: (n, K), or (n,) for two classes."""
        raw = self._raw_predict(X)
        return decisions(self.loss_, raw)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, (n, K)."""
        return super().predict_proba(X)

    def save(self, path: str | Path) -> None:
        """Writes the fitted trees to a JSON file of plain arrays, which `matchloss.sklearn.load` reads back bit for bit.

        TreesError for a loss that a file cannot name, OSError if it cannot be written.
        """
        write(self, path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = isinstance(loss_of(self.loss), SimplexLoss) or self.loss == "log_loss"
        return tags


def _use(model: Any, loss: Loss, classes: int | None, weighted: bool) -> None:
    """Sets the loss that scikit-learn will ask for its numbers, and says which it is."""
    say_if_new()
    model.loss_, model.curvature_ = loss, curvature_of(loss, CURVATURES, model.curvature)
    model._loss = host_loss(loss, model.curvature_, classes, weighted)
