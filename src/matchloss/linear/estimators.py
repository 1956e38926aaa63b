"""LinearRegressor and LinearClassifier: the trainer with scikit-learn's conventions."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import matchloss as ml
from matchloss.engine import threads
from matchloss.engine.arrays import as_weight
from matchloss.linear.objective import NotFinite
from matchloss.linear.plan import Design, Number, learn_rows
from matchloss.linear.rows import Floats, Rows, of_array
from matchloss.linear.solve import Solution, raw_of, solve
from matchloss.losses import Interval, Loss

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import assert_all_finite, check_array, check_consistent_length, column_or_1d
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError('the estimators need scikit-learn: pip install "matchloss[linear]"') from error

FINITE_BLOCK = 1 << 14  # rows
CHECK_LATER = 1 << 22  # entries from which a pass that only looks for NaN costs too much: one among them spoils every gradient


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

    def _loss(self) -> Loss:
        return self.loss if isinstance(self.loss, Loss) else ml.get(self.loss)

    def _learn(self, X: Any, y: Any, sample_weight: Any) -> tuple[Rows, NDArray[Any], NDArray[Any] | None]:
        """The rows of X, y as one dimension and the weights; sets what scikit-learn wants to know of the columns."""
        weight = None if sample_weight is None else _numbers("sample_weight", sample_weight)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if is_frame(X):
            self.design_, rows = learn_rows(X, sample_weight=weight)
            check_consistent_length(rows.codes, y)
            self.n_features_in_ = len(self.design_.columns)
            names = list(X.column_names if hasattr(X, "column_names") else X.columns)
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
        return rows, column_or_1d(y, warn=True), weight

    def _solve(self, loss: Loss, rows: Rows, target: NDArray[Any], weight: Any, outputs: int | None) -> Solution:
        options = {name: getattr(self, name) for name in ("l2", "fit_intercept", "tol", "max_passes", "method")}
        try:
            found = solve(loss, rows, target, sample_weight=weight, outputs=outputs, names=self._names(), **options)
        except NotFinite:
            if isinstance(rows.numbers, np.ndarray):
                refuse_infinite(rows.numbers)
            raise
        for message in found.messages:
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        self.loss_ = loss
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

    def _rows(self, X: Any) -> Rows:
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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")


class LinearRegressor(RegressorMixin, _Linear):
    """A linear model of a number under any loss of the catalogue, or your own: raw = X coef + intercept, prediction = loss.predict(raw).

    Minimises sum(w * value(raw, y)) / sum(w) + l2 / 2 * |coef|^2, the intercept free. X (n, p): an array of numbers (float32 or
    float64, any layout, never copied), or a data frame (pandas, polars, pyarrow, ...), whose text, categorical and boolean columns
    become integer codes: a coefficient for each level but the first. Numeric columns are not rescaled.

    Parameters: `loss`, a name or a Loss (`ml.Pinball(0.9)`); `l2` >= 0; `tol`, the largest absolute entry of the objective's gradient
    to stop at; `max_passes` over all rows; `method`: "newton", "lbfgs", "interior_point", or "auto", which chooses by cost.
    Attributes: `coef_` (p,), `intercept_`, `coef_names_`, `feature_names_in_`, `converged_`, `n_passes_`, `objective_`,
    `gradient_norm_`, `method_`, `loss_`. Converged too is a gradient of 0 up to the rounding of its own terms.

    Raises DomainError for a target outside the loss's domain, ValueError for NaN, infinities, shapes and options, ColumnError (a
    ValueError) for columns that are missing or of another type than in training. Warns (ConvergenceWarning) when it did not converge,
    when the best coefficients are infinite, and when columns are collinear: those left at 0 are named.
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
        """Fits the model to X (n, p), y (n,) and a weight a row."""
        loss = self._loss()
        if loss.kind == "simplex":
            raise ValueError(f"{loss.name} is a loss of K raw predictions a row: LinearClassifier takes it")
        rows, y, weight = self._learn(X, y, sample_weight)
        y = _numbers("y", y)
        found = self._solve(loss, rows, y, weight, None)
        self.coef_, self.intercept_ = found.coef, found.intercept
        return self

    def predict(self, X: Any) -> Floats:
        """loss.predict(raw), in the target's own units: (n,)."""
        rows = self._rows(X)
        return np.asarray(self.loss_.predict(raw_of(rows, self.intercept_, self.coef_)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        domain = self._loss().target_domain
        tags.target_tags.positive_only = isinstance(domain, Interval) and domain.low == 0 and domain.high != 1
        return tags


def _predicts_probabilities(classifier: LinearClassifier) -> bool:
    loss = classifier._loss()
    if loss.functional == "mode":
        raise AttributeError(f"{loss.name} predicts a side and no probability")
    return True


class LinearClassifier(ClassifierMixin, _Linear):
    """A linear model of a label under any loss of a probability, a margin or a distribution over classes.

    Minimises sum(w * value(raw, label)) / sum(w) + l2 / 2 * |coef|^2, the intercept free. Losses of a distribution have a column of
    coefficients for each class; losses of one probability (logistic, hinge, ...) take two classes and have one, for the second class.
    So has cross entropy where there are two: it is then the logistic loss of the difference. X as LinearRegressor's.

    Parameters as LinearRegressor's. Attributes too, and `classes_`; `coef_` is (K, p) or (1, p), `intercept_` (K,) or (1,).
    Raises ValueError for a single class, and what LinearRegressor raises. Source: Bridle (1990); Hastie, Tibshirani and Friedman (2009).

    >>> from matchloss.linear import LinearClassifier
    >>> model = LinearClassifier(l2=0.1).fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"])
    >>> model.predict([[0.2], [2.9]]).tolist(), model.classes_.tolist()
    (['no', 'yes'], ['no', 'yes'])
    >>> model.predict_proba([[1.5]]).round(6)
    array([[0.5, 0.5]])
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
        """Fits the model to X (n, p), labels y (n,) of any type, and a weight a row."""
        loss = self._loss()
        if loss.kind not in ("simplex", "binary"):
            raise ValueError(
                f"{loss!r} is a loss of a number: LinearRegressor takes it; labels ask for cross_entropy, logistic, hinge, ..."
            )
        rows, y, weight = self._learn(X, y, sample_weight)
        _all_labelled(y)
        check_classification_targets(y)
        self.classes_ = np.unique(y if weight is None else y[weight > 0])
        if len(self.classes_) < 2:
            only = self.classes_.tolist()
            raise ValueError(f"{type(self).__name__} needs two classes or more; the rows of positive weight hold 1 class: {only}")
        codes = (y == self.classes_[1]) if len(self.classes_) == 2 else np.searchsorted(self.classes_, y).clip(0, len(self.classes_) - 1)
        loss = loss.of_classes(len(self.classes_))
        if loss.kind == "binary":
            if len(self.classes_) > 2:
                raise ValueError(f"Only binary classification is supported by {loss.name}; there are {len(self.classes_)} classes")
            found = self._solve(loss, rows, codes.astype(np.float64), weight, None)
            self.coef_, self.intercept_ = found.coef[None, :], np.array([found.intercept])
        else:
            found = self._solve(loss, rows, codes, weight, len(self.classes_))
            self.coef_, self.intercept_ = np.ascontiguousarray(found.coef.T), found.intercept
        return self

    def _raw(self, X: Any) -> Floats:
        rows = self._rows(X)
        if len(self.coef_) == 1:
            return raw_of(rows, self.intercept_[0], self.coef_[0])
        return raw_of(rows, self.intercept_, np.ascontiguousarray(self.coef_.T))

    def decision_function(self, X: Any) -> Floats:
        """Raw predictions: (n, K), or (n,) for two classes, above 0 for the second."""
        raw = self._raw(X)
        return raw[:, 1] - raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 2 else raw

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row."""
        score = self.decision_function(X)
        return self.classes_[score.argmax(axis=1) if score.ndim == 2 else (score > 0).astype(np.intp)]

    @available_if(_predicts_probabilities)
    def predict_proba(self, X: Any) -> Floats:
        """The probability of each class: (n, K), columns in the order of classes_."""
        raw = self._raw(X)
        p = np.asarray(self.loss_.predict(raw))
        return np.column_stack([1 - p, p]) if p.ndim == 1 else p

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self._loss().kind == "simplex"
        return tags


def _numbers(name: str, x: Any) -> Floats:
    return check_array(x, ensure_2d=False, dtype=np.float64, input_name=name)  # pyright: ignore[reportArgumentType]


def _all_labelled(y: NDArray[Any]) -> None:
    """ValueError where a label is missing."""
    if y.dtype.kind == "O":
        missing = np.array([v is None or type(v).__name__ == "NAType" for v in y])
        if missing.any():
            raise ValueError(f"Input y contains a missing label: row {int(missing.argmax())}")
    assert_all_finite(y, input_name="y")


def is_frame(x: Any) -> bool:
    """Whether x is a table with named columns, of whatever library."""
    return not isinstance(x, np.ndarray) and (hasattr(x, "columns") or hasattr(x, "column_names"))


def refuse_infinite(x: NDArray[Any]) -> None:
    """ValueError for the first NaN or infinity in a matrix, by row and column; on threads, without a copy."""

    def bad(start: int, stop: int) -> int:
        block = x[start:stop]
        with np.errstate(all="ignore"):
            if np.isfinite(block.sum(dtype=np.float64)):
                return -1
        wrong = ~np.isfinite(block).all(axis=1)
        return start + int(wrong.argmax()) if wrong.any() else -1

    row = threads.over_blocks(x.shape[0], FINITE_BLOCK, bad)
    if row >= 0:
        column = int(np.argmax(~np.isfinite(x[row])))
        what = "NaN" if np.isnan(x[row, column]) else "infinity"
        raise ValueError(f"Input X contains {what}: row {row}, column {column}; every value must be known and finite")
