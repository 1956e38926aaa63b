"""CatBoost's estimators with a loss of ours."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

import catboost
import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.curvature import Given
from matchloss.boosting.frames import refuse_columns
from matchloss.boosting.losses import (
    as_numbers,
    as_text,
    check_labels,
    check_watched,
    decisions,
    gives_probabilities,
    loss_of,
    loss_of_labels,
    loss_of_number,
    place_of,
    probabilities,
)
from matchloss.catboost._plan import Plan, plan
from matchloss.losses import Loss, SimplexLoss
from matchloss.losses._labels import places
from matchloss.signatures import with_keywords_of

Array = NDArray[Any]
RAW = "RawFormulaVal"
FROM_RAW = ("Class", "Probability", "LogProbability")  # what the loss makes of raw predictions; CatBoost would apply a sigmoid
OWN = ("loss", "curvature")
MADE = ("loss_function", "eval_metric", "boost_from_average", "classes_count")  # what a loss makes CatBoost's parameters


def _rows(X: Any, y: Any, weight: Any) -> tuple[Array, Array | None]:
    """Targets and weights as CatBoost will have them, from arrays or from a Pool."""
    if isinstance(X, catboost.Pool):
        if y is not None:
            raise ValueError("X is a Pool, which has its labels; y must be left out")
        given = X.get_weight()
        y, weight = X.get_label(), None if given is None or len(given) == 0 or all(w == 1 for w in given) else given
    if y is None:
        raise ValueError("there are no labels: pass y, or a Pool with them")
    target = np.asarray(y)
    return target if target.ndim < 2 else target[:, 0], None if weight is None else np.asarray(weight, np.float32)


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


class _OfLoss(catboost.CatBoost):
    """What both estimators share: our parameters among CatBoost's, also in its files, and what of CatBoost's does not go with a loss."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters that were given: CatBoost's are copies, and ours the very objects, as scikit-learn's clone asks."""
        return super().get_params() | {name: self._init_params[name] for name in OWN if name in self._init_params}

    def _keep(self, loss: Loss, **more: Any) -> None:
        """Writes what `load_model` needs into the model's own file."""
        self.get_metadata()["matchloss"] = json.dumps({"loss": as_text(loss), **more}, default=str)

    def load_model(self, *args: Any, **keywords: Any) -> Self:
        """Loads a model file, and the loss whose name stands in it where it is one of the catalogue."""
        own = {name: self._init_params[name] for name in OWN}
        super().load_model(*args, **keywords)
        text = self.get_metadata().get("matchloss")
        kept = json.loads(text) if text else {}
        with contextlib.suppress(ValueError):  # a person's own has no name that leads to it: the one given stays
            own["loss"] = loss_of(kept["loss"]) if kept else own["loss"]
        theirs = {name: value for name, value in self._init_params.items() if not kept or name not in MADE}
        self._init_params = theirs | own
        self._loaded(kept)
        return self

    def _loaded(self, kept: dict[str, Any]) -> None:
        """What else stood in the file."""

    def grid_search(self, *args: Any, **keywords: Any) -> Any:
        """CatBoost's own trainer knows no loss of ours. NotImplementedError."""
        raise _not_here("grid_search", "GridSearchCV")

    def randomized_search(self, *args: Any, **keywords: Any) -> Any:
        """CatBoost's own trainer knows no loss of ours. NotImplementedError."""
        raise _not_here("randomized_search", "RandomizedSearchCV")

    def select_features(self, *args: Any, **keywords: Any) -> Any:
        """CatBoost's own trainer knows no loss of ours. NotImplementedError."""
        raise _not_here("select_features", "RFECV")


def _not_here(method: str, instead: str) -> NotImplementedError:
    return NotImplementedError(f"CatBoost's {method} trains without matchloss's loss; {instead} of scikit-learn trains with it")


def _labels(sets: Any) -> list[Any]:
    """The labels of each set to evaluate on that has them here."""
    listed = sets if isinstance(sets, list) else [] if sets is None else [sets]
    return [each.get_label() if isinstance(each, catboost.Pool) else each[1] for each in listed if isinstance(each, (catboost.Pool, tuple))]


def _refuse_columns(model: catboost.CatBoost, X: Any, given: dict[str, Any]) -> None:
    fitted = model.is_fitted() and bool(model.get_cat_feature_indices())
    words = fitted or any(given.get(kind) or model._init_params.get(kind) for kind in ("cat_features", "text_features"))
    refuse_columns(X, "CatBoost", "as text (pl.String) it can be one of cat_features", bool(words))


def _starts(X: Any, given: dict[str, Any]) -> bool:
    """Whether rows start at the start score: not with a baseline of their own, and not where a model goes on."""
    if given.get("baseline") is not None or given.get("init_model") is not None:
        return False
    return not (isinstance(X, catboost.Pool) and np.size(X.get_baseline()) > 0)


@with_keywords_of(catboost.CatBoostRegressor, without="loss_function")
class CatBoostRegressor(_OfLoss, catboost.CatBoostRegressor):
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

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, **given: Any) -> Self:
        """Fits the trees to X (n, p), y (n,) and sample_weight (n,), or a Pool; the keywords are CatBoost's."""
        loss = loss_of_number(self._init_params["loss"])
        _refuse_columns(self, X, given)
        target, weight = _rows(X, y, sample_weight)
        target = as_numbers(target)
        check_watched(loss, _labels(given.get("eval_set")))
        target32, starts = target.astype(np.float32), _starts(X, given)
        made = plan(self._init_params, loss, self._init_params["curvature"], target32, weight, None, starts, labels=False)
        labels = {} if isinstance(X, catboost.Pool) else {"y": target, "sample_weight": weight}
        made, given = _from_baseline(made, self, X, len(target), given)
        made.run(self, lambda: super(CatBoostRegressor, self).fit(X, **labels, **given))
        self._keep(loss)
        return self

    def predict(self, data: Any, prediction_type: str | None = None, **keywords: Any) -> Any:
        """Predictions (n,) in the target's units, or of CatBoost's prediction_type."""
        _refuse_columns(self, data, {})
        found = super().predict(data, prediction_type or RAW, **keywords)
        return found if prediction_type else np.asarray(loss_of(self._init_params["loss"]).predict(found))

    def staged_predict(self, data: Any, prediction_type: str | None = None, **keywords: Any) -> Iterator[Any]:
        """Predictions after each tree, as `predict`'s."""
        loss = loss_of(self._init_params["loss"])
        for found in super().staged_predict(data, prediction_type or RAW, **keywords):
            yield found if prediction_type else np.asarray(loss.predict(found))

    def score(self, X: Any, y: Any = None) -> float:
        """R^2 of the predictions in the target's units."""
        target, _ = _rows(X, y, None)
        return float(1 - np.sum((target - self.predict(X)) ** 2) / np.sum((target - target.mean()) ** 2))


@with_keywords_of(catboost.CatBoostClassifier, without="loss_function")
class CatBoostClassifier(_OfLoss, catboost.CatBoostClassifier):
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

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, **given: Any) -> Self:
        """Fits the trees to X (n, p), labels y (n,) and sample_weight (n,), or a Pool; the keywords are CatBoost's."""
        check_labels(X.get_label() if isinstance(X, catboost.Pool) else y, "CatBoostClassifier")
        _refuse_columns(self, X, given)
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
            check_watched(loss, _labels(given["eval_set"]), outputs)
        made, given = _from_baseline(made, self, X, len(target), given)
        own, self._init_params = self._init_params, params
        try:
            labels = {} if pool else {"y": codes, "sample_weight": weight}
            made.run(self, lambda: super(CatBoostClassifier, self).fit(X, **labels, **given))
        finally:
            self._init_params = own
        self._known = classes, loss
        self._keep(loss, classes=classes.tolist())
        return self

    def _loaded(self, kept: dict[str, Any]) -> None:
        if kept:
            classes = np.array(kept["classes"])
            self._known = classes, loss_of_labels(self._init_params["loss"], len(classes))

    @property
    def classes_(self) -> Array:
        """The labels, in the order of probabilities."""
        return self._known[0]

    def _raw(self, X: Any, **keywords: Any) -> Array:
        _refuse_columns(self, X, {})
        return np.asarray(catboost.CatBoost.predict(self, X, RAW, **keywords))

    def _as(self, kind: str, raw: Array) -> Array:
        """Classes, probabilities or their logarithms from raw predictions."""
        classes, loss = self._known
        if kind == "Class":
            return classes[places(loss, raw)]
        gives_probabilities(loss)
        p = probabilities(loss, raw)
        with np.errstate(divide="ignore"):
            return np.log(p) if kind == "LogProbability" else p

    def predict(self, data: Any, prediction_type: str = "Class", **keywords: Any) -> Any:
        """The likeliest class of each row (n,), or CatBoost's other prediction types."""
        if prediction_type in FROM_RAW:
            return self._as(prediction_type, self._raw(data, **keywords))
        return catboost.CatBoost.predict(self, data, prediction_type, **keywords)

    def staged_predict(self, data: Any, prediction_type: str = "Class", **keywords: Any) -> Iterator[Any]:
        """Predictions after each tree, as `predict`'s."""
        ours = prediction_type in FROM_RAW
        for found in catboost.CatBoost.staged_predict(self, data, RAW if ours else prediction_type, **keywords):
            yield self._as(prediction_type, np.asarray(found)) if ours else found

    def decision_function(self, X: Any) -> Array:
        """Raw predictions: (n, K), or (n,) for two classes."""
        raw = self._raw(X)
        return decisions(self._known[1], raw)

    def predict_proba(self, X: Any, **keywords: Any) -> Array:
        """The probability of each class, (n, K); AttributeError for a loss that predicts a side."""
        return self._as("Probability", self._raw(X, **keywords))

    def predict_log_proba(self, data: Any, **keywords: Any) -> Array:
        """The logarithm of the probability of each class, (n, K)."""
        return self._as("LogProbability", self._raw(data, **keywords))

    def staged_predict_proba(self, data: Any, **keywords: Any) -> Iterator[Array]:
        """Probabilities after each tree."""
        return self.staged_predict(data, "Probability", **keywords)

    def staged_predict_log_proba(self, data: Any, **keywords: Any) -> Iterator[Array]:
        """Logarithms of probabilities after each tree."""
        return self.staged_predict(data, "LogProbability", **keywords)

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
        each if isinstance(each, catboost.Pool) else (each[0], place_of(each[1], classes, "the labels of eval_set"))
        for each in (sets if isinstance(sets, list) else [sets])
    ]
