"""XGBoost's estimators with a loss of ours."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if
from xgboost.sklearn import _wrap_evaluation_matrices, get_model_categories

from matchloss.boosting.curvature import Given
from matchloss.boosting.keywords import with_keywords_of
from matchloss.boosting.links import link_of
from matchloss.boosting.losses import (
    describe,
    gives_probabilities,
    loss_of,
    loss_of_labels,
    loss_of_number,
    probabilities,
    refuse_distributions,
)
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses._labels import places
from matchloss.xgboost._train import train

OWN = {"loss", "curvature"}
Array = NDArray[Any]


class _OfLoss(xgboost.XGBModel):
    """What both estimators share: parameters, and fitting by `train`."""

    loss: str | Loss
    curvature: Given

    def _wrapper_params(self) -> set[str]:
        return super()._wrapper_params() | OWN

    def get_xgb_params(self) -> dict[str, Any]:
        """XGBoost's parameters, without the objective: the loss takes its place."""
        return {name: value for name, value in super().get_xgb_params().items() if name != "objective"}

    def _fit_loss(self, loss: Loss, classes: int | None, X: Any, y: Any, given: dict[str, Any]) -> None:
        """Fits the trees as XGBoost's own `fit` does, but for the objective and the start score."""
        with xgboost.config_context(verbosity=self.verbosity):
            params = {name: value for name, value in self.get_xgb_params().items() if value is not None}
            if isinstance(loss, SimplexLoss):
                params["num_class"] = classes
            going_on, own_metric, params, feature_weights = self._configure_fit(
                given.pop("xgb_model"), params, given.pop("feature_weights")
            )
            going_on, feature_types = get_model_categories(X, going_on, self.feature_types)  # pyright: ignore[reportArgumentType]
            verbose, found = given.pop("verbose"), {}
            matrix, evals = _wrap_evaluation_matrices(
                missing=self.missing,
                X=X,
                y=y,
                group=None,
                qid=None,
                feature_weights=feature_weights,
                eval_group=None,
                eval_qid=None,
                create_dmatrix=self._create_dmatrix,
                enable_categorical=self.enable_categorical,
                feature_types=feature_types,
                **given,
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


@with_keywords_of(xgboost.XGBModel, without="objective")
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

    def __init__(self, loss: str | Loss = "squared_error", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.loss, self.curvature = loss, curvature

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
        """Fits the trees to X (n, p), y (n,) and sample_weight (n,); the keywords are XGBoost's."""
        given = {name: value for name, value in locals().items() if name not in ("self", "X", "y", "__class__")}
        self._fit_loss(loss_of_number(self.loss), None, X, y, given)
        return self

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


@with_keywords_of(xgboost.XGBModel, without="objective")
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

    n_classes_: int

    def __init__(self, loss: str | Loss = "cross_entropy", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.loss, self.curvature = loss, curvature

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
        """Fits the trees to X (n, p), labels y (n,) from 0 to K-1, and sample_weight (n,); the keywords are XGBoost's."""
        given = {name: value for name, value in locals().items() if name not in ("self", "X", "y", "__class__")}
        refuse_distributions(y, "XGBClassifier")
        classes = np.unique(np.asarray(y))
        if len(classes) > 1 and not np.array_equal(classes, np.arange(len(classes))):
            raise ValueError(
                f"XGBoost takes the labels 0..K-1; y has {classes[:10].tolist()}: sklearn.preprocessing.LabelEncoder makes them"
            )
        self.n_classes_ = len(classes)
        self._fit_loss(self._loss(), self.n_classes_, X, y, given)
        return self

    def _loss(self) -> Loss:
        return loss_of_labels(self.loss, self.n_classes_)

    def predict(self, X: Any, *, output_margin: bool = False, **keywords: Any) -> Array:
        """The likeliest class of each row, or raw predictions. Keywords and shapes are XGBoost's."""
        raw = xgboost.XGBModel.predict(self, X, output_margin=True, **keywords)
        return raw if output_margin else places(self._loss(), raw)

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
