"""CatBoost's estimators with a loss of ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import catboost
import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.curvature import Given
from matchloss.boosting.keywords import with_keywords_of
from matchloss.boosting.losses import gives_probabilities, loss_of, loss_of_labels, loss_of_number, probabilities, refuse_distributions
from matchloss.catboost._plan import Plan, plan
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses._labels import places

Array = NDArray[Any]
RAW = "RawFormulaVal"


def _rows(X: Any, y: Any, weight: Any) -> tuple[Array, Array | None]:
    """Targets and weights as CatBoost will have them, from arrays or from a Pool."""
    if isinstance(X, catboost.Pool):
        if y is not None:
            raise ValueError("X is a Pool, which has its labels; y must be left out")
        given = X.get_weight()
        y, weight = X.get_label(), None if given is None or len(given) == 0 or all(w == 1 for w in given) else given
    if y is None:
        raise ValueError("there are no labels: pass y, or a Pool with them")
    return np.asarray(y).reshape(len(y), -1)[:, 0], None if weight is None else np.asarray(weight, np.float32)


def _from_baseline(made: Plan, model: catboost.CatBoost, X: Any, rows: int, given: dict[str, Any]) -> tuple[Plan, dict[str, Any]]:
    """Where CatBoost's own objective trains, the start score is every row's baseline; a Pool, which is not ours to change, starts at 0."""
    if made.objective is not None or made.start is None:
        return made, given
    sets = given.get("eval_set")
    sets = sets if isinstance(sets, list) else [] if sets is None else [sets]
    if isinstance(X, catboost.Pool) or not all(isinstance(each, tuple) for each in sets):
        return replace(made, start=None), given
    levels = given.get("cat_features") or model._init_params.get("cat_features")
    pools = [catboost.Pool(rows, labels, cat_features=levels, baseline=np.tile(made.start, (len(labels), 1))) for rows, labels in sets]
    return made, given | {"baseline": np.tile(made.start, (rows, 1))} | ({"eval_set": pools} if pools else {})


def _take(model: Any, loss: str | Loss, curvature: Given, keywords: dict[str, Any]) -> None:
    """Keeps our parameters where CatBoost keeps its own; the default of its loss is not one that a person gave."""
    model._init_params |= {"loss": loss, "curvature": curvature}
    if "loss_function" not in keywords:
        model._init_params.pop("loss_function", None)


def _given(model: Any, params: dict[str, Any]) -> dict[str, Any]:
    """CatBoost's copies of the parameters, with the very objects that were given for ours, as scikit-learn's clone asks."""
    return params | {name: model._init_params[name] for name in ("loss", "curvature") if name in model._init_params}


def _starts(X: Any, given: dict[str, Any]) -> bool:
    """Whether rows start at the start score: not with a baseline of their own, and not where a model goes on."""
    if given.get("baseline") is not None or given.get("init_model") is not None:
        return False
    return not (isinstance(X, catboost.Pool) and np.size(X.get_baseline()) > 0)


@with_keywords_of(catboost.CatBoostRegressor, without="loss_function")
class CatBoostRegressor(catboost.CatBoostRegressor):
    """catboost.CatBoostRegressor, which minimises any loss of one raw prediction a row.

    Parameters: `loss`, a name such as "poisson" or "pinball(alpha=0.9)", or a Loss; `curvature`, what leaves divide by: "exact", "fisher",
    "majorizer", "absolute", "unit", a pair of one of these and a factor, or None for what suits the loss; and every keyword of
    CatBoost's class but `loss_function`. A loss that CatBoost has is trained by its own objective, unless `curvature` is given.
    `boost_from_average=False` starts at 0; so does such a loss from a Pool, as CatBoost's own do. `predict` is
    in the target's units, with `prediction_type="RawFormulaVal"` raw. The start score is the bias of the model that `save_model` writes.

    Raises DomainError for a target outside the loss's domain and for a gradient that is not finite, ValueError for parameters that do
    not go with the loss. Source: Prokhorenkova et al. (2018).

    >>> import numpy as np
    >>> from matchloss.catboost import CatBoostRegressor
    >>> X = np.arange(100.0)[:, None]
    >>> model = CatBoostRegressor("expectile(alpha=0.9)", iterations=20, verbose=False, allow_writing_files=False)
    >>> model.fit(X, np.sin(X[:, 0] / 9)).predict(X).shape
    (100,)
    """

    def __init__(self, loss: str | Loss = "squared_error", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        _take(self, loss, curvature, keywords)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters that were given."""
        return _given(self, super().get_params())

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, **given: Any) -> Self:
        """Fits the trees to X (n, p), y (n,) and sample_weight (n,), or a Pool; the keywords are CatBoost's."""
        loss = loss_of_number(self._init_params["loss"])
        target, weight = _rows(X, y, sample_weight)
        target32, starts = target.astype(np.float32), _starts(X, given)
        made = plan(self._init_params, loss, self._init_params["curvature"], target32, weight, None, starts, labels=False)
        labels = {} if isinstance(X, catboost.Pool) else {"y": target, "sample_weight": weight}
        made, given = _from_baseline(made, self, X, len(target), given)
        made.run(self, lambda: super(CatBoostRegressor, self).fit(X, **labels, **given))
        return self

    def predict(self, data: Any, prediction_type: str | None = None, **keywords: Any) -> Any:
        """Predictions (n,) in the target's units, or of CatBoost's prediction_type."""
        found = super().predict(data, prediction_type or RAW, **keywords)
        return found if prediction_type else np.asarray(loss_of(self._init_params["loss"]).predict(found))

    def score(self, X: Any, y: Any = None) -> float:
        """R^2 of the predictions in the target's units."""
        target, _ = _rows(X, y, None)
        return float(1 - np.sum((target - self.predict(X)) ** 2) / np.sum((target - target.mean()) ** 2))


@with_keywords_of(catboost.CatBoostClassifier, without="loss_function")
class CatBoostClassifier(catboost.CatBoostClassifier):
    """catboost.CatBoostClassifier, which minimises any loss of labels.

    Parameters: as CatBoostRegressor's, and CatBoost's `class_weights` (a dict or a list) and `scale_pos_weight`. A binary loss takes two
    classes. Logistic loss and cross entropy are CatBoost's own; any other loss of K raw predictions is called for each row, and is slow:
    a thousand rows of five classes take a tenth of a second a tree. In a Pool labels are 0..K-1.

    Raises what CatBoostRegressor raises. Source: Prokhorenkova et al. (2018).

    >>> import numpy as np
    >>> from matchloss.catboost import CatBoostClassifier
    >>> X = np.arange(90.0)[:, None]
    >>> model = CatBoostClassifier("probit", iterations=20, verbose=False, allow_writing_files=False)
    >>> model.fit(X, np.repeat(["no", "yes"], 45)).predict([[3.0], [85.0]]).tolist()
    ['no', 'yes']
    """

    def __init__(self, loss: str | Loss = "cross_entropy", *, curvature: Given = None, **keywords: Any) -> None:
        super().__init__(**keywords)
        _take(self, loss, curvature, keywords)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters that were given."""
        return _given(self, super().get_params())

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, **given: Any) -> Self:
        """Fits the trees to X (n, p), labels y (n,) and sample_weight (n,), or a Pool; the keywords are CatBoost's."""
        refuse_distributions(X.get_label() if isinstance(X, catboost.Pool) else y, "CatBoostClassifier")
        target, weight = _rows(X, y, sample_weight)
        classes, codes = np.unique(target, return_inverse=True)
        pool = isinstance(X, catboost.Pool)
        if pool and not np.array_equal(classes, np.arange(len(classes))):
            raise ValueError(f"the labels of a Pool are 0..K-1 here; it has {classes[:10].tolist()}; pass X and y for others")
        loss = loss_of_labels(self._init_params["loss"], len(classes))
        params = dict(self._init_params)
        balance = _weights_of_classes(params, classes)
        if balance is not None:
            if pool:
                raise ValueError("class_weights of a Pool: give the Pool a weight for each row")
            weight = balance[codes] if weight is None else weight * balance[codes]
        outputs = len(classes) if isinstance(loss, SimplexLoss) else None
        coded = codes if outputs else codes.astype(np.float32)
        made = plan(params, loss, params["curvature"], coded, weight, outputs, _starts(X, given), labels=True)
        if given.get("eval_set") is not None:
            given["eval_set"] = _coded_sets(given["eval_set"], classes)
        made, given = _from_baseline(made, self, X, len(target), given)
        own, self._init_params = self._init_params, params
        try:
            labels = {} if pool else {"y": codes, "sample_weight": weight}
            made.run(self, lambda: super(CatBoostClassifier, self).fit(X, **labels, **given))
        finally:
            self._init_params = own
        self._known = classes, loss
        return self

    @property
    def classes_(self) -> Array:
        """The labels, in the order of probabilities."""
        return self._known[0]

    def _raw(self, X: Any, **keywords: Any) -> Array:
        return np.asarray(catboost.CatBoost.predict(self, X, RAW, **keywords))

    def predict(self, data: Any, prediction_type: str = "Class", **keywords: Any) -> Any:
        """The likeliest class of each row (n,), or CatBoost's other prediction types."""
        if prediction_type == "Class":
            return self.classes_[places(self._known[1], self._raw(data, **keywords))]
        if prediction_type == "Probability":
            return self.predict_proba(data, **keywords)
        return catboost.CatBoost.predict(self, data, prediction_type, **keywords)

    def predict_proba(self, X: Any, **keywords: Any) -> Array:
        """The probability of each class, (n, K); AttributeError for a loss that predicts a side."""
        gives_probabilities(self._known[1])
        return probabilities(self._known[1], self._raw(X, **keywords))

    def score(self, X: Any, y: Any = None) -> float:
        """The share of rows whose class is predicted right."""
        target, _ = _rows(X, y, None)
        return float(np.mean(self.predict(X) == target))

    def __getstate__(self) -> Any:
        return super().__getstate__() | ({"_matchloss": self._known} if hasattr(self, "_known") else {})

    def __setstate__(self, state: Any) -> None:
        state = dict(state)
        known = state.pop("_matchloss", None)
        super().__setstate__(state)
        if known is not None:
            self._known = known


def _weights_of_classes(params: dict[str, Any], classes: Array) -> Array | None:
    """The weight of each class, taken out of CatBoost's parameters."""
    given, second = params.pop("class_weights", None), params.pop("scale_pos_weight", None)
    if params.get("auto_class_weights"):
        raise ValueError("auto_class_weights is of CatBoost's own objectives; class_weights does the same")
    if second is not None:
        given = [1.0, second]
    if given is None:
        return None
    listed = [given[label] for label in classes.tolist()] if isinstance(given, dict) else list(given)
    if len(listed) != len(classes):
        raise ValueError(f"there are {len(listed)} class_weights for {len(classes)} classes")
    return np.array(listed, np.float32)


def _coded_sets(sets: Any, classes: Array) -> list[Any]:
    """Sets to evaluate on with the labels' places among the classes."""
    return [
        each if isinstance(each, catboost.Pool) else (each[0], np.searchsorted(classes, each[1]))
        for each in (sets if isinstance(sets, list) else [sets])
    ]
