"""LightGBM's estimators with a loss of ours."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if

from matchloss.boosting.curvature import Given
from matchloss.boosting.frames import refuse_columns
from matchloss.boosting.keywords import before_fit, one_label_a_row
from matchloss.boosting.losses import (
    as_numbers,
    check_watched,
    describe,
    gives_probabilities,
    loss_of,
    loss_of_labels,
    loss_of_number,
    probabilities,
)
from matchloss.lightgbm._plan import Plan, own_metrics, plan, refuse_words, watching
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses._labels import places
from matchloss.signatures import with_keywords_of

Array = NDArray[Any]
OWN = ("loss", "curvature")
KEEPS = "X.to_pandas() keeps categories"


class _OfLoss(lightgbm.LGBMModel):
    """Stands between LightGBM's estimators and their base: `fit` here gets labels that are coded already."""

    _host: ClassVar[type[lightgbm.LGBMModel]]
    loss: str | Loss
    curvature: Given

    def _as_host(self) -> lightgbm.LGBMModel:
        """A copy without our parameters, one of LightGBM's own: to LightGBM `loss` is another name of its objective."""
        host: Any = copy.copy(self)
        host.__class__ = self._host
        host._other_params = {name: value for name, value in self._other_params.items() if name not in OWN}
        return host

    def _process_params(self, stage: str) -> dict[str, Any]:
        params = self._as_host()._process_params(stage)
        made: Plan | None = self.__dict__.get("_plan")
        if stage == "fit" and made is not None:
            params |= {name: value for name, value in made.params.items() if name != "objective"}
            if not own_metrics(self._other_params, made):
                params["metric"] = None if made.objective is not None else "None"
        return params

    def _loss_of(self, y: Array) -> Loss:
        raise NotImplementedError

    def fit(self, X: Any, y: Any, sample_weight: Any = None, init_score: Any = None, **given: Any) -> Self:
        """Fits the trees to X (n, p), y (n,) and sample_weight (n,); the keywords are LightGBM's."""
        refuse_columns(X, "LightGBM", KEEPS)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        target = np.asarray(y)
        loss = self._loss_of(target)
        target = target if isinstance(self, lightgbm.LGBMClassifier) else as_numbers(y)
        params = {name: value for name, value in self._as_host().get_params().items() if value is not None}
        classes = self._n_classes if isinstance(loss, SimplexLoss) else None
        starts = init_score is None and given.get("init_model") is None
        weight = self._weights(target, sample_weight)
        self._plan = plan(params, loss, self.curvature, target.reshape(-1).astype(np.float32), weight, classes, starts)
        self._objective = self._plan.objective or self._plan.params["objective"]
        if given.get("eval_metric") is None or given.get("eval_metric") == []:
            given["eval_metric"] = self._plan.metric
        else:
            refuse_words(given["eval_metric"], self._plan)
        check_watched(loss, _labels(**given), classes)
        if starts and self._plan.start is not None:
            init_score = self._plan.init_score(len(target))
            if given.get("eval_init_score") is None:
                given["eval_init_score"] = [self._plan.init_score(len(labels)) for labels in _labels(**given)] or None
        given["callbacks"] = watching(self._plan, given.get("callbacks"))
        super().fit(X, y, sample_weight=sample_weight, init_score=init_score, **given)
        assert self._Booster is not None
        self._plan.finish(self._Booster)
        self._objective = self._plan.params.get("objective", "custom")  # a word: a function would keep its labels to itself
        self.loss_ = loss
        del self._plan
        return self

    def predict(self, X: Any, *args: Any, **keywords: Any) -> Any:
        """What LightGBM predicts."""
        refuse_columns(X, "LightGBM", KEEPS)
        return super().predict(X, *args, **keywords)

    def _weights(self, y: Array, weight: Any) -> Array | None:
        """The weights of rows times those of their classes."""
        balance = self._class_weight if self._class_weight is not None else self.class_weight
        w = None if weight is None else np.asarray(weight, np.float64)
        w = None if w is not None and w.size == 0 else w
        if balance is None:
            return w
        of_class = compute_sample_weight(balance, y)
        return of_class if w is None else w * of_class


def _labels(eval_set: Any = None, eval_y: Any = None, **_: Any) -> list[Any]:
    """The labels of each set to evaluate on, whichever way it was given."""
    if eval_y is not None:
        return list(eval_y) if isinstance(eval_y, tuple) else [eval_y]
    return [labels for _, labels in ([eval_set] if isinstance(eval_set, tuple) else eval_set or [])]


@with_keywords_of(lightgbm.LGBMRegressor)
class LGBMRegressor(lightgbm.LGBMRegressor, _OfLoss):
    """lightgbm.LGBMRegressor, which minimises any loss of one raw prediction a row.

    Parameters: `loss`, a name such as "poisson" or "pinball(alpha=0.9)", or a Loss; `curvature` as in `matchloss.lightgbm.train`; and
    every keyword of LightGBM's class but `objective`. `predict` is in the target's units, `predict(X, raw_score=True)` raw. The model
    that `booster_.save_model` writes is LightGBM's own: `train` says what it predicts by itself. `eval_set` and early stopping watch
    the mean loss, unless `eval_metric` is given.

    Attributes, besides LightGBM's: `loss_`. Raises what `train` raises. Source: Ke et al. (2017).

    >>> import numpy as np
    >>> from matchloss.lightgbm import LGBMRegressor
    >>> X = np.arange(100.0)[:, None]
    >>> model = LGBMRegressor("expectile(alpha=0.9)", n_estimators=20, verbose=-1).fit(X, np.sin(X[:, 0] / 9))
    >>> model.predict(X).shape
    (100,)
    """

    _host = lightgbm.LGBMRegressor

    def __init__(self, loss: str | Loss = "squared_error", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.loss, self.curvature = loss, curvature

    def _loss_of(self, y: Array) -> Loss:
        return loss_of_number(self.loss)

    def predict(self, X: Any, raw_score: bool = False, **keywords: Any) -> Any:
        """Predictions in the target's units, or raw. Keywords and shapes are LightGBM's."""
        plain = raw_score or keywords.get("pred_leaf") or keywords.get("pred_contrib")
        found = super().predict(X, raw_score=True if not plain else raw_score, **keywords)
        return found if plain else np.asarray(loss_of(self.loss).predict(found))

    def __sklearn_tags__(self) -> Any:
        return describe(super().__sklearn_tags__(), loss_of(self.loss))


def _has_probabilities(model: Any) -> bool:
    return gives_probabilities(loss_of(model.loss))


@before_fit(one_label_a_row)
@with_keywords_of(lightgbm.LGBMClassifier)
class LGBMClassifier(lightgbm.LGBMClassifier, _OfLoss):
    """lightgbm.LGBMClassifier, which minimises any loss of labels.

    Parameters: as LGBMRegressor's, and LightGBM's `class_weight`. A binary loss takes two classes; one of K raw predictions grows K trees
    a round, or one where it has a form for two classes, as cross entropy has. `predict_proba` are probabilities,
    `predict(X, raw_score=True)` is raw.

    Attributes, besides LightGBM's: `loss_`. Raises what `train` raises. Source: Ke et al. (2017).

    >>> import numpy as np
    >>> from matchloss.lightgbm import LGBMClassifier
    >>> X = np.arange(90.0)[:, None]
    >>> model = LGBMClassifier("sparsemax", n_estimators=20, learning_rate=0.5, verbose=-1).fit(X, np.repeat(["a", "b", "c"], 30))
    >>> model.predict(X[[3, 85]]).tolist(), model.predict_proba(X[[85]]).round(2)
    (['a', 'c'], array([[0., 0., 1.]]))
    """

    _host = lightgbm.LGBMClassifier

    def __init__(self, loss: str | Loss = "cross_entropy", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.loss, self.curvature = loss, curvature

    def _loss_of(self, y: Array) -> Loss:
        return loss_of_labels(self.loss, self._n_classes)

    def predict(self, X: Any, raw_score: bool = False, **keywords: Any) -> Any:
        """The likeliest class of each row, or raw predictions. Keywords and shapes are LightGBM's."""
        plain = raw_score or keywords.get("pred_leaf") or keywords.get("pred_contrib")
        found = _OfLoss.predict(self, X, raw_score=True if not plain else raw_score, **keywords)
        return found if plain else self.classes_[places(self.loss_, np.asarray(found))]

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any, raw_score: bool = False, **keywords: Any) -> Any:
        """The probability of each class, (n, K), or raw predictions."""
        plain = raw_score or keywords.get("pred_leaf") or keywords.get("pred_contrib")
        found = _OfLoss.predict(self, X, raw_score=True if not plain else raw_score, **keywords)
        return found if plain else probabilities(self.loss_, np.asarray(found))
