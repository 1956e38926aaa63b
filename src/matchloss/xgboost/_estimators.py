"""XGBoost's estimators with a loss of ours."""

from __future__ import annotations

import contextlib
from typing import Any, Self

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length
from sklearn.utils.metaestimators import available_if
from xgboost.sklearn import _wrap_evaluation_matrices, get_model_categories

from matchloss.boosting.curvature import Given
from matchloss.boosting.links import link_of
from matchloss.boosting.losses import (
    as_numbers,
    check_labels,
    check_target,
    check_watched,
    decisions,
    describe,
    gives_probabilities,
    loss_of,
    loss_of_labels,
    loss_of_number,
    probabilities,
)
from matchloss.engine.arrays import as_weight
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses._labels import places
from matchloss.signatures import with_keywords_of, with_loss
from matchloss.xgboost._train import train

OWN = {"loss", "curvature"}
Array = NDArray[Any]


@with_keywords_of(xgboost.XGBModel, without="objective")
class _OfLoss(xgboost.XGBModel):
    """What both estimators share: parameters, fitting by `train`, and the loss that stands in a file."""

    loss: str | Loss
    curvature: Given
    n_classes_: int

    def __init__(self, loss: str | Loss = "squared_error", *, curvature: Given = None, **keywords: Any) -> None:
        _refuse_objective(keywords)
        super().__init__(**keywords)
        self.loss, self.curvature = loss, curvature

    def _wrapper_params(self) -> set[str]:
        return super()._wrapper_params() | OWN

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters: XGBoost's without the objective, whose place the loss takes."""
        return {name: value for name, value in super().get_params(deep).items() if name != "objective"}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters. ValueError for an objective, whose place the loss takes."""
        _refuse_objective(params)
        super().set_params(**params)
        return self

    def get_xgb_params(self) -> dict[str, Any]:
        """XGBoost's parameters, without the objective: the loss takes its place."""
        return {name: value for name, value in super().get_xgb_params().items() if name != "objective"}

    def load_model(self, fname: Any) -> None:
        """Loads a model file, and the loss whose name stands in it where it is one of the catalogue."""
        super().load_model(fname)
        named = self.get_booster().attr("matchloss")
        if named:
            with contextlib.suppress(ValueError):  # a person's own has no name that leads to it: the one given stays
                self.loss = loss_of(named)

    def _loss_for(self, y: Any, weight: Any) -> Loss:
        """The loss for these targets, which are checked; XGBoost would name no row."""
        raise NotImplementedError

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        base_margin: Any = None,
        eval_set: Any = None,
        verbose: bool | int | None = True,
        xgb_model: Any = None,
        sample_weight_eval_set: Any = None,
        base_margin_eval_set: Any = None,
        feature_weights: Any = None,
    ) -> Self:
        """Fits the trees to X (n, p), y (n,) and sample_weight (n,) as XGBoost's own `fit` does, but for objective and start score.

        The keywords are XGBoost's. A classifier's labels are 0 to K-1.
        """
        check_consistent_length(X, y)
        loss = self._loss_for(y, sample_weight)
        classes = self.n_classes_ if isinstance(loss, SimplexLoss) else None
        check_watched(loss, [labels for _, labels in eval_set or []], classes)
        with xgboost.config_context(verbosity=self.verbosity):
            params = {name: value for name, value in self.get_xgb_params().items() if value is not None}
            params |= {} if classes is None else {"num_class": classes}
            going_on, own_metric, params, feature_weights = self._configure_fit(xgb_model, params, feature_weights)
            going_on, feature_types = get_model_categories(X, going_on, self.feature_types)  # pyright: ignore[reportArgumentType]
            found: dict[str, Any] = {}
            matrix, evals = _wrap_evaluation_matrices(
                missing=self.missing,
                X=X,
                y=y,
                group=None,
                qid=None,
                sample_weight=sample_weight,
                base_margin=base_margin,
                feature_weights=feature_weights,
                eval_set=eval_set,
                sample_weight_eval_set=sample_weight_eval_set,
                base_margin_eval_set=base_margin_eval_set,
                eval_group=None,
                eval_qid=None,
                create_dmatrix=self._create_dmatrix,
                enable_categorical=self.enable_categorical,
                feature_types=feature_types,
            )
            self._Booster = train(
                params,
                matrix,
                self.get_num_boosting_rounds(),
                loss=loss,
                curvature=self.curvature,
                evals=evals,
                early_stopping_rounds=self.early_stopping_rounds,
                evals_result=found,
                custom_metric=own_metric,
                verbose_eval=verbose,
                xgb_model=going_on,
                callbacks=self.callbacks,
            )
            self._set_evaluation_result(found)
        return self


def _refuse_objective(given: dict[str, Any]) -> None:
    if "objective" in given:
        raise ValueError(f"objective is {given['objective']!r}, and these classes take a loss in its place: loss=")


class XGBRegressor(_OfLoss, xgboost.XGBRegressor):
    """xgboost.XGBRegressor, which minimises any loss of one raw prediction a row.

    Parameters: `loss`, a name such as "poisson" or "pinball(alpha=0.9)", or a Loss; `curvature` as in `matchloss.xgboost.train`; and every
    keyword of XGBoost's class but `objective`. `predict` is in the target's units, `predict(X, output_margin=True)` raw. The
    model file that `save_model` writes is XGBoost's own: `train` says what it predicts by itself. `eval_set` and early stopping watch the
    mean loss, unless `eval_metric` is given.

    Raises what `train` raises. Source: Chen and Guestrin (2016).

    >>> import numpy as np
    >>> from matchloss.xgboost import XGBRegressor
    >>> X = np.arange(100.0)[:, None]
    >>> model = XGBRegressor("expectile(alpha=0.9)", n_estimators=20, max_depth=2).fit(X, np.sin(X[:, 0] / 9))
    >>> model.predict(X).shape
    (100,)
    """

    def _loss_for(self, y: Any, weight: Any) -> Loss:
        loss, target = loss_of_number(self.loss), as_numbers(y)
        w = None if weight is None else as_weight(weight, target.shape[:1])
        check_target(loss, target, w if w is None or target.ndim == 1 else np.broadcast_to(w[:, None], target.shape))
        return loss

    def predict(self, X: Any, *, output_margin: bool = False, **keywords: Any) -> Array:
        """Predictions in the target's units, or raw. Keywords and shapes are XGBoost's."""
        loss = loss_of(self.loss)
        raw = output_margin or link_of(loss) is None
        found = super().predict(X, output_margin=raw, **keywords)
        return found if output_margin or not raw else np.asarray(loss.predict(found))

    def __sklearn_tags__(self) -> Any:
        return describe(super().__sklearn_tags__(), loss_of(self.loss))


def _has_probabilities(model: Any) -> bool:
    return gives_probabilities(loss_of(model.loss))


class XGBClassifier(_OfLoss, xgboost.XGBClassifier):
    """xgboost.XGBClassifier, which minimises any loss of labels 0..K-1.

    Parameters: as XGBRegressor's. A binary loss takes two classes; one of K raw predictions grows K trees a round, or one where it has a
    form for two classes, as cross entropy has. `predict_proba` are probabilities, `predict(X, output_margin=True)` is raw.

    Raises what `train` raises. Source: Chen and Guestrin (2016).

    >>> import numpy as np
    >>> from matchloss.xgboost import XGBClassifier
    >>> X = np.arange(90.0)[:, None]
    >>> model = XGBClassifier("sparsemax", n_estimators=20, learning_rate=0.5).fit(X, np.repeat([0, 1, 2], 30))
    >>> model.predict([[3.0], [85.0]]), model.predict_proba([[85.0]]).round(2)
    (array([0, 2]), array([[0., 0., 1.]], dtype=float32))
    """

    __init__ = with_loss(_OfLoss.__init__, "cross_entropy")

    def _loss_for(self, y: Any, weight: Any) -> Loss:
        check_labels(y, "XGBClassifier")
        classes = np.unique(np.asarray(y))
        if len(classes) > 1 and not np.array_equal(classes, np.arange(len(classes))):
            raise ValueError(
                f"XGBoost takes the labels 0..K-1; y has {classes[:10].tolist()}: sklearn.preprocessing.LabelEncoder makes them"
            )
        self.n_classes_ = len(classes)
        if weight is not None:
            as_weight(weight, np.shape(y)[:1])
        return self._loss()

    def _loss(self) -> Loss:
        return loss_of_labels(self.loss, self.n_classes_)

    def predict(self, X: Any, *, output_margin: bool = False, **keywords: Any) -> Array:
        """The likeliest class of each row, or raw predictions. Keywords and shapes are XGBoost's."""
        raw = xgboost.XGBModel.predict(self, X, output_margin=True, **keywords)
        return raw if output_margin else places(self._loss(), raw)

    def decision_function(self, X: Any) -> Array:
        """Raw predictions: (n, K), or (n,) for two classes."""
        raw = self.predict(X, output_margin=True)
        return decisions(self._loss(), raw)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any, **keywords: Any) -> Array:
        """The probability of each class, (n, K)."""
        raw = xgboost.XGBModel.predict(self, X, output_margin=True, **keywords)
        return probabilities(self._loss(), raw)

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = False
        tags.classifier_tags.multi_class = "multiclass" in loss_of(self.loss).suits
        return tags
