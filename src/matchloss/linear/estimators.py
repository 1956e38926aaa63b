"""LinearRegressor and LinearClassifier: the trainer with scikit-learn's conventions."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import matchloss as ml
from matchloss.engine.arrays import as_weight
from matchloss.engine.row_targets import check_targets
from matchloss.linear.as_model import model_of
from matchloss.linear.inputs import column_labels, distributions, is_frame, labels, numbers, refuse_infinite, refuse_mapping
from matchloss.linear.model import write_model
from matchloss.linear.objective import NotFinite
from matchloss.linear.plan import Design, Number, learn_rows
from matchloss.linear.rows import Floats, TableRows, of_array
from matchloss.linear.solve import Solution, raw_of, solve
from matchloss.linear.summary import Summary
from matchloss.losses import Interval, Loss

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import accuracy_score
    from sklearn.utils import check_consistent_length, column_or_1d
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError('the estimators need scikit-learn: pip install "matchloss[linear]"') from error

FAR_FROM_THE_MEAN = ("quantile", "expectile", "mode", "none")  # functionals that R^2, which scores means, does not suit
TABLE = "an array of numbers (n, p), or a data frame (pandas, polars, pyarrow, ...)"
CHECK_LATER = 1 << 22  # from this size X gets no pass of its own to look for NaN: the first gradient shows one anyway


class _Linear(BaseEstimator):
    """What both estimators share: reading X, solving, raw predictions."""

    loss: str | Loss
    design_: Design | None
    loss_: Loss

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        *,
        l2: float = 0.0,
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_passes: int = 100,
        method: str = "auto",
    ) -> None:
        self.loss = loss
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_passes = max_passes
        self.method = method

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments; `deep`: those of the loss too, as loss__alpha."""
        own = super().get_params(deep)
        try:
            parameters = self._loss().parameters if deep else {}
        except (ValueError, TypeError):  # no loss: `fit` says so
            parameters = {}
        return own | {f"loss__{name}": value for name, value in parameters.items()}

    def set_params(self, **params: Any) -> Self:
        """Sets arguments; loss__alpha puts a new loss with that alpha in the place of the old one, which never changes."""
        of_loss = {name: params.pop(name) for name in list(params) if name.startswith("loss__")}
        super().set_params(**params)
        if of_loss:
            loss, given = self._loss(), {name.removeprefix("loss__"): value for name, value in of_loss.items()}
            for name in given:
                if name not in loss.parameters:
                    has = ", ".join(loss.parameters) or "none"
                    raise ValueError(f"Invalid parameter 'loss__{name}' for estimator {self}: the parameters of {loss.name} are {has}")
            self.loss = dataclasses.replace(loss, **given)
        return self

    def save(self, path: str | Path, target: str = "y") -> None:
        """Writes the fitted model to a JSON file that `matchloss.linear.load`, `matchloss predict` and `matchloss show` read.

        `target` is what the model is said to predict. ModelError for a loss that a file cannot name, OSError if it cannot be written.
        """
        check_is_fitted(self)
        write_model(path, model_of(self, target))

    @property
    def summary_(self) -> Summary:
        """How the fit ended, and its coefficients, as text or in a notebook as a table. Standard errors are not known yet."""
        check_is_fitted(self)
        coef, intercept = np.atleast_2d(getattr(self, "coef_")), np.atleast_1d(getattr(self, "intercept_"))  # noqa: B009
        facts = {
            "loss": repr(self.loss_),
            "penalty": f"l2 = {self.l2:g}" if self.l2 else "none",
            "method": f"{self.method_}, {self.n_passes_} passes",
            "ended": f"{'converged' if self.converged_ else 'not converged'}, largest entry of the gradient {self.gradient_norm_:.1e}",
            "objective": f"{self.objective_:.6g}",
        }
        classes = [str(label) for label in getattr(self, "classes_", [])]
        outputs = classes if len(coef) > 1 else [f"toward {classes[1]}" if classes else "value"]
        return Summary(repr(self), facts, tuple(self._names()), np.column_stack([intercept, coef]).T, tuple(outputs))

    def _html_repr(self) -> str:
        """In a notebook the summary of a fitted model stands below scikit-learn's diagram."""
        return super()._html_repr() + (self.summary_._repr_html_() if self.__sklearn_is_fitted__() else "")

    def _loss(self) -> Loss:
        return self.loss if isinstance(self.loss, Loss) else ml.get(self.loss)

    def _learn(self, X: Any, y: Any, sample_weight: Any) -> tuple[TableRows, NDArray[Any] | None]:
        """The rows of X, checked to be as many as y's, and the weights; sets scikit-learn's attributes about the columns."""
        refuse_mapping("X", X, TABLE)
        refuse_mapping("y", y, "an array, a list or a column")
        refuse_mapping("sample_weight", sample_weight, "a number >= 0 a row")
        weight = None if sample_weight is None else numbers("sample_weight", sample_weight)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if is_frame(X):
            names = column_labels(X)
            if not names:
                raise ValueError("X is a data frame without columns: 0 feature(s), of which at least 1 is needed")
            self.design_, rows = learn_rows(X, sample_weight=weight)
            check_consistent_length(rows.codes, y)
            self.n_features_in_ = len(self.design_.columns)
            if all(isinstance(name, str) for name in names):
                self.feature_names_in_ = np.array(names, dtype=object)
            if rows.n == 0:
                raise ValueError("Found a table with 0 rows; at least 1 is needed to fit to")
        else:
            X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False)
            check_consistent_length(X, y)
            if X.size < CHECK_LATER or not self._loss().smooth:
                refuse_infinite(X)
            self.design_, rows = None, of_array(X)
        weight = as_weight(weight, (rows.n,))
        if weight is not None and not weight.any():
            raise ValueError("every sample_weight is zero: there is no row to fit to")
        return rows, weight

    def _solve(self, loss: Loss, rows: TableRows, target: NDArray[Any], weight: Any, outputs: int | None) -> Solution:
        options = {name: getattr(self, name) for name in ("l2", "fit_intercept", "tol", "max_passes", "method")}
        try:
            found = solve(loss, rows, target, sample_weight=weight, outputs=outputs, names=self._names(), **options)
        except NotFinite:
            if isinstance(rows.numbers, np.ndarray):
                refuse_infinite(rows.numbers)
            raise
        for message in found.messages:
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        self.loss_, self._centre = loss, found.centre if found.centre.any() else None
        self.converged_ = found.converged
        self.n_passes_ = found.passes
        self.objective_ = found.objective
        self.gradient_norm_ = found.gradient_norm
        self.method_ = found.method
        return found

    def _names(self) -> list[str]:
        return [f"x{j}" for j in range(self.n_features_in_)] if self.design_ is None else list(self.design_.names)

    @property
    def coef_names_(self) -> NDArray[Any]:
        """A name for each coefficient, in the order of coef_: "distance", "carrier = AA"."""
        check_is_fitted(self)
        return np.array(self._names(), dtype=object)

    def _rows(self, X: Any) -> TableRows:
        """The rows of X for prediction: a frame's columns are matched by name, in any order."""
        check_is_fitted(self)
        if self.design_ is not None and is_frame(X):
            rows = self.design_.rows(X)
            for name, count in rows.unseen.items():
                warnings.warn(f"{count} rows have a level of {name} that was not in training: they count as the reference", stacklevel=3)
            return rows
        if self.design_ is not None and not all(isinstance(column, Number) for column in self.design_.columns):
            raise TypeError(f"{type(self).__name__} was fitted to a data frame with categories; X is {type(X).__name__}, not a data frame")
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False, reset=False)
        refuse_infinite(X)
        return of_array(X)

    def _raw_of(self, rows: TableRows, intercept: Any, coef: Floats) -> Floats:
        centre = getattr(self, "_centre", None)
        return raw_of(rows, intercept, coef, centre if centre is not None and len(centre) == len(coef) else None)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")


class LinearRegressor(RegressorMixin, _Linear):
    """A linear model of a number under any loss of the catalogue, or your own: raw = X coef + intercept, prediction = loss.predict(raw).

    Minimises sum(w * value(raw, y)) / sum(w) + l2 / 2 * |coef|^2, the intercept free. X (n, p): an array of numbers (float32 or
    float64, any layout, never copied), or a data frame (pandas, polars, pyarrow, ...), whose text, categorical and boolean columns
    become integer codes: a coefficient for each level but the first. Numeric columns are not rescaled.

    Parameters: `loss`, a name or a Loss (`ml.Pinball(0.9)`); `l2` >= 0; `tol`, the largest absolute entry of the objective's gradient
    at which to stop; `max_passes`, the most passes over all rows; `method`: "newton", "lbfgs", "interior_point", or "auto", by cost.
    Attributes: `coef_` (p,), `intercept_`, `coef_names_`, `feature_names_in_`, `converged_`, `n_passes_`, `objective_`,
    `gradient_norm_`, `method_`, `loss_`. A gradient that is 0 up to rounding also counts as converged.

    Raises DomainError for a target outside the loss's domain, ValueError for NaN, infinities, shapes and options, ColumnError (a
    ValueError) for columns that are missing or of another type than in training. Warns (ConvergenceWarning) when it did not converge,
    when the coefficients diverge, and when columns are collinear: it names those whose coefficients stay at 0.
    Sources: McCullagh and Nelder (1989); Koenker and Bassett (1978) for quantiles.

    >>> import polars as pl
    >>> from matchloss.linear import LinearRegressor
    >>> trips = pl.DataFrame({"km": [1.0, 2.0, 3.0, 4.0], "by": ["bus", "car", "car", "bus"]})
    >>> model = LinearRegressor().fit(trips, [3.0, 4.0, 6.0, 9.0])
    >>> dict(zip(model.coef_names_, model.coef_.round(6)))
    {'km': np.float64(2.0), 'by = car': np.float64(-1.0)}
    >>> model.predict(pl.DataFrame({"by": ["bus"], "km": [2.0]})).round(6)
    array([5.])
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fits the model to X (n, p), y (n,) and sample_weight (n,), one weight >= 0 per row; returns self."""
        loss = self._loss()
        if loss.family == "simplex":
            raise ValueError(f"{loss.name} is a loss of K raw predictions a row: LinearClassifier takes it")
        rows, weight = self._learn(X, y, sample_weight)
        y = numbers("y", column_or_1d(y, warn=True))
        found = self._solve(loss, rows, y, weight, None)
        self.coef_, self.intercept_ = found.coef, found.intercept
        return self

    def predict(self, X: Any) -> Floats:
        """Predictions (n,) in the target's units: loss.predict(raw). ColumnError if a column of the training data is missing from X."""
        rows = self._rows(X)
        return np.asarray(self.loss_.predict(self._raw_of(rows, self.intercept_, self.coef_)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        loss = self._loss()
        domain = loss.target_domain
        tags.target_tags.positive_only = isinstance(domain, Interval) and domain.low == 0 and domain.high != 1
        tags.regressor_tags.poor_score = loss.functional in FAR_FROM_THE_MEAN
        return tags


def _predicts_probabilities(classifier: LinearClassifier) -> bool:
    loss = classifier._loss()
    if loss.functional == "mode":
        raise AttributeError(f"{loss.name} predicts a side and no probability")
    return True


class LinearClassifier(ClassifierMixin, _Linear):
    """A linear model of a label under any loss of a probability, a margin or a distribution over classes.

    Minimises sum(w * value(raw, y)) / sum(w) + l2 / 2 * |coef|^2, the intercept free. y (n,) has one label per row, or y (n, K) has
    one distribution per row, probabilities that sum to 1: as an array (classes_ are then 0..K-1) or a data frame (its column names).
    Simplex losses have one column of coefficients per class. Binary losses (logistic, hinge, ...) take two classes and have a single
    column, for the second class; so does cross entropy with two classes, which is the logistic loss of their difference.
    X is as for LinearRegressor.

    Parameters and attributes as LinearRegressor's, and `classes_`; `coef_` is (K, p) or (1, p), `intercept_` (K,) or (1,).
    Raises ValueError for a single class and labels of several types, DomainError for a row of y that is no distribution, and what
    LinearRegressor raises. Source: Bridle (1990); Hastie, Tibshirani and Friedman (2009).

    >>> from matchloss.linear import LinearClassifier
    >>> model = LinearClassifier(l2=0.1).fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"])
    >>> model.predict([[0.2], [2.9]]).tolist(), model.classes_.tolist()
    (['no', 'yes'], ['no', 'yes'])
    >>> model.predict_proba([[1.5]]).round(6)
    array([[0.5, 0.5]])
    >>> soft = LinearClassifier(l2=1e-6).fit([[0.0], [1.0]], [[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
    >>> soft.predict_proba([[1.0]]).round(3), soft.predict([[1.0]])
    (array([[0.2, 0.2, 0.6]]), array([2]))
    """

    def __init__(
        self,
        loss: str | Loss = "cross_entropy",
        *,
        l2: float = 0.0,
        fit_intercept: bool = True,
        tol: float = 1e-8,
        max_passes: int = 100,
        method: str = "auto",
    ) -> None:
        super().__init__(loss, l2=l2, fit_intercept=fit_intercept, tol=tol, max_passes=max_passes, method=method)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fits the model to X (n, p), y (labels (n,) of one type, or distributions (n, K)) and sample_weight (n,); returns self."""
        loss = self._loss()
        if not {"binary", "multiclass"}.intersection(loss.suits):
            raise ValueError(
                f"{loss!r} is a loss of a number: LinearRegressor takes it; labels ask for cross_entropy, logistic, hinge, ..."
            )
        rows, weight = self._learn(X, y, sample_weight)
        shares = distributions(y)
        self.classes_, target = _coded(labels(y), weight) if shares is None else shares
        classes = len(self.classes_)
        if classes < 2:
            only = self.classes_.tolist()
            raise ValueError(f"{type(self).__name__} needs two classes or more; the rows of positive weight hold 1 class: {only}")
        loss = loss.of_classes(classes)
        if loss.family != "simplex":
            if classes > 2:
                raise ValueError(f"Only binary classification is supported by {loss.name}; there are {classes} classes")
            if shares is not None:
                check_targets(target, False, classes, weight)
            second = (target if target.ndim == 1 else target[:, 1]).astype(np.float64)
            found = self._solve(loss, rows, second, weight, None)
            self.coef_, self.intercept_ = found.coef[None, :], np.array([found.intercept])
        else:
            found = self._solve(loss, rows, target, weight, classes)
            self.coef_, self.intercept_ = np.ascontiguousarray(found.coef.T), found.intercept
        return self

    def _raw(self, X: Any) -> Floats:
        rows = self._rows(X)
        if len(self.coef_) == 1:
            return self._raw_of(rows, self.intercept_[0], self.coef_[0])
        return self._raw_of(rows, self.intercept_, np.ascontiguousarray(self.coef_.T))

    def decision_function(self, X: Any) -> Floats:
        """Raw predictions: (n, K), or (n,) for two classes, above 0 for the second."""
        raw = self._raw(X)
        return raw[:, 1] - raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 2 else raw

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row."""
        places = self._places(X)
        return self.classes_[places]

    def _places(self, X: Any) -> NDArray[np.intp]:
        score = self.decision_function(X)
        return score.argmax(axis=1) if score.ndim == 2 else (score > 0).astype(np.intp)

    @available_if(_predicts_probabilities)
    def predict_proba(self, X: Any) -> Floats:
        """The probability of each class: (n, K), columns in the order of classes_."""
        raw = self._raw(X)
        p = np.asarray(self.loss_.predict(raw))
        return np.column_stack([1 - p, p]) if p.ndim == 1 else p

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The weighted share of rows that `predict` gets right; for distributions y, the mean probability of the predicted class."""
        shares = distributions(y)
        if shares is None:
            return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))
        given = shares[1]
        if given.shape[1] != len(self.classes_):
            raise ValueError(f"y has {given.shape[1]} columns; the model has {len(self.classes_)} classes: {self.classes_.tolist()}")
        return float(np.average(np.take_along_axis(given, self._places(X)[:, None], axis=1)[:, 0], weights=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self._loss().family == "simplex"
        return tags


def _coded(y: NDArray[Any], weight: Floats | None) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The classes that occur in rows of positive weight, and the index of each row's label among them."""
    classes = np.unique(y if weight is None else y[weight > 0])
    if len(classes) == 2:
        return classes, (y == classes[1]).astype(np.intp)
    return classes, np.searchsorted(classes, y).clip(0, max(len(classes) - 1, 0))
