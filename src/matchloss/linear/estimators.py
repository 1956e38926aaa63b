"""LinearRegressor and LinearClassifier: the trainer with scikit-learn's conventions."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.row_targets import check_targets
from matchloss.linear.base import Linear
from matchloss.linear.inputs import column, distributions, labels
from matchloss.linear.rows import Floats
from matchloss.linear.solve import Solution
from matchloss.losses import Interval, Loss
from matchloss.losses._labels import for_classes, places
from matchloss.signatures import with_loss

try:
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.utils.metaestimators import available_if
except ImportError as error:
    raise ImportError('the estimators need scikit-learn: pip install "matchloss[linear]"') from error

FAR_FROM_THE_MEAN = ("quantile", "expectile", "mode", "none")  # functionals that R^2, which scores means, does not suit


class LinearRegressor(RegressorMixin, Linear):
    """A linear model of a number under any loss of the catalogue, or your own: raw = X coef + intercept, prediction = loss.predict(raw).

    Minimises sum(w * value(raw, y)) / sum(w) + l2 / 2 * |coef|^2, the intercept free. X (n, p): an array of numbers (float32 or
    float64, any layout, never copied), or a data frame (pandas, polars, pyarrow, ...), whose text, categorical and boolean columns
    become integer codes: a coefficient for each level but the first. A sparse matrix of SciPy, and sparse columns of pandas, stay
    sparse. Numeric columns are not rescaled.

    Parameters: `loss`, a name or a Loss (`ml.Pinball(0.9)`; of `ml.NegativeBinomial(size="estimate")` the likeliest size is found, which
    `loss_` has and `profile_` tells of); `l2` >= 0; `l1` >= 0 adds l1 |coef|, which sets coefficients to 0;
    `penalty_factor`, {column: factor of its penalty}; `groups`, {name: [columns]} or "categories", which l1 then takes as a whole, by
    sqrt(size) times their norm; `bounds`, {column: (low, high)}, None for no bound; `fit_intercept`; `tol`, the largest absolute entry of
    the objective's gradient at which to stop, or with l1 and bounds the KKT residual; `max_passes`, the most passes over all rows;
    `method`: "newton", "lbfgs", "interior_point", or "auto", by cost.
    Attributes: `coef_` (p,), `intercept_`, `coef_names_`, `feature_names_in_`, `converged_`, `n_passes_`, `objective_`,
    `gradient_norm_` and `kkt_residual_` (the same number), `method_`, `loss_`. A gradient that is 0 up to rounding also counts as
    converged.

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

    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Self:
        """Fits the model to X (n, p), y (n,), sample_weight (n,), one weight >= 0 per row, and offset (n,), which is added to the raw
        predictions, such as the logarithm of an exposure; returns self.
        """
        loss = self._suited()
        rows, weight = self._learn(X, y, sample_weight)
        y = column(y)
        if loss.estimates:
            loss = self._estimated(loss, rows, y, weight, offset)
        self._take(self._solve(loss, rows, y, weight, offset, None))
        return self

    def _suited(self) -> Loss:
        """The loss; ValueError for one of labels."""
        loss = self._loss()
        if loss.family == "simplex":
            raise ValueError(f"{loss.name} is a loss of K raw predictions a row: LinearClassifier takes it")
        return loss

    def _settled(self, classes: tuple[Any, ...]) -> Loss:
        return self._suited()

    def _take(self, found: Solution) -> None:
        self.coef_, self.intercept_ = found.coef, found.intercept

    def _estimated(self, loss: Loss, rows: Any, y: Floats, weight: Any, offset: Any) -> Loss:
        """The loss with its parameter estimated; `profile_` tells of it."""
        from matchloss.linear.profile import estimated

        if not self._plain():
            raise ValueError(f"{loss!r}: a parameter is estimated with a ridge or no penalty; give it as a number beside l1 and bounds")
        loss, profile, said = estimated(loss, rows, y, weight, offset, float(self.l2), bool(self.fit_intercept))
        if profile is not None:
            self.profile_ = profile
        if said:
            warnings.warn(said, stacklevel=3)
        return loss

    def predict(self, X: Any, offset: Any = None) -> Floats:
        """Predictions (n,) in the target's units: loss.predict(raw), raw = X coef + intercept + offset.

        Without an offset 0 is added, or the column of X that the fit was told of by its name.

        ColumnError if a column of the training data is missing from X.
        """
        rows, offset = self._read(X, offset)
        return np.asarray(self.loss_.predict(self._raw_of(rows, self.intercept_, self.coef_, offset)))

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """R^2, the share of the target's variance that the predictions explain: scikit-learn's r2_score."""
        return float(r2_score(y, self.predict(X, offset), sample_weight=sample_weight))

    def _target(self, y: Any) -> Floats:
        return column(y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        loss = self._loss()
        domain = loss.target_domain
        tags.target_tags.positive_only = isinstance(domain, Interval) and domain.low == 0 and domain.high != 1
        tags.input_tags.sparse = True
        tags.regressor_tags.poor_score = loss.functional in FAR_FROM_THE_MEAN
        return tags


def _predicts_probabilities(classifier: LinearClassifier) -> bool:
    loss = classifier._loss()
    if loss.functional == "mode":
        raise AttributeError(f"{loss.name} predicts a side and no probability")
    return True


class LinearClassifier(ClassifierMixin, Linear):
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

    __init__ = with_loss(Linear.__init__, "cross_entropy")

    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Self:
        """Fits the model to X (n, p), y (labels (n,) of one type, or distributions (n, K)) and sample_weight (n,); returns self.

        offset (n,), with more than two classes (n, K), is added to the raw predictions.
        """
        loss = self._suited()
        rows, weight = self._learn(X, y, sample_weight)
        shares = distributions(y)
        self.classes_, target = _coded(labels(y), weight) if shares is None else shares
        loss, classes = self._of_classes(loss), len(self.classes_)
        if loss.family != "simplex":
            if shares is not None:
                check_targets(target, False, classes, weight)
            second = (target if target.ndim == 1 else target[:, 1]).astype(np.float64)
            self._take(self._solve(loss, rows, second, weight, offset, None))
        else:
            self._take(self._solve(loss, rows, target, weight, offset, classes))
        return self

    def _suited(self) -> Loss:
        """The loss; ValueError for one of a number."""
        loss = self._loss()
        if not {"binary", "multiclass"}.intersection(loss.suits):
            raise ValueError(
                f"{loss!r} is a loss of a number: LinearRegressor takes it; labels ask for cross_entropy, logistic, hinge, ..."
            )
        return loss

    def _settled(self, classes: tuple[Any, ...]) -> Loss:
        self.classes_ = np.array(classes)
        return self._of_classes(self._suited())

    def _take(self, found: Solution) -> None:
        if found.coef.ndim == 1:
            self.coef_, self.intercept_ = found.coef[None, :], np.array([found.intercept])
        else:
            self.coef_, self.intercept_ = np.ascontiguousarray(found.coef.T), found.intercept

    def _of_classes(self, loss: Loss) -> Loss:
        """The loss for the classes that were found."""
        return for_classes(loss, self.classes_.tolist(), type(self).__name__)

    def _raw(self, X: Any, offset: Any) -> Floats:
        rows, offset = self._read(X, offset)
        if len(self.coef_) == 1:
            return self._raw_of(rows, self.intercept_[0], self.coef_[0], offset)
        return self._raw_of(rows, self.intercept_, np.ascontiguousarray(self.coef_.T), offset)

    def decision_function(self, X: Any, offset: Any = None) -> Floats:
        """Raw predictions: (n, K), or (n,) for two classes, above `loss_.link(0.5)` for the second: 0, save for complementary log-log."""
        raw = self._raw(X, offset)
        return raw[:, 1] - raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 2 else raw

    def predict(self, X: Any, offset: Any = None) -> NDArray[Any]:
        """The most probable class of each row."""
        places = self._places(X, offset)
        return self.classes_[places]

    def _places(self, X: Any, offset: Any) -> NDArray[np.intp]:
        raw = self._raw(X, offset)  # which says so if there is no fit yet
        return places(self.loss_, raw)

    @available_if(_predicts_probabilities)
    def predict_proba(self, X: Any, offset: Any = None) -> Floats:
        """The probability of each class: (n, K), columns in the order of classes_."""
        raw = self._raw(X, offset)
        p = np.asarray(self.loss_.predict(raw))
        return np.column_stack([1 - p, p]) if p.ndim == 1 else p

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """The weighted share of rows that `predict` gets right; for distributions y, the mean probability of the predicted class."""
        shares = distributions(y)
        if shares is None:
            return float(accuracy_score(y, self.predict(X, offset), sample_weight=sample_weight))
        given = shares[1]
        if given.shape[1] != len(self.classes_):
            raise ValueError(f"y has {given.shape[1]} columns; the model has {len(self.classes_)} classes: {self.classes_.tolist()}")
        return float(np.average(np.take_along_axis(given, self._places(X, offset)[:, None], axis=1)[:, 0], weights=sample_weight))

    def _target(self, y: Any) -> NDArray[Any]:
        """y as the fitted loss takes it: numbers of the classes, or distributions."""
        shares = distributions(y)
        if shares is None:
            given = labels(y)
            if given.dtype.kind == self.classes_.dtype.kind != "O":
                codes = np.searchsorted(self.classes_, given).clip(0, len(self.classes_) - 1)
                codes[self.classes_[codes] != given] = -1
            else:
                place = {label: k for k, label in enumerate(self.classes_.tolist())}
                codes = np.array([place.get(label, -1) for label in given.tolist()], np.intp)
            if (codes < 0).any():
                row = int((codes < 0).argmax())
                raise ValueError(f"y, row {row}: {given.tolist()[row]!r} is none of the model's classes, {self.classes_.tolist()}")
            return codes if len(self.coef_) > 1 else codes.astype(np.float64)
        return shares[1] if len(self.coef_) > 1 else shares[1][:, 1].astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        loss = self._loss()
        tags.classifier_tags.multi_class = loss.family == "simplex"
        tags.input_tags.sparse = True
        return tags


def _coded(y: NDArray[Any], weight: Floats | None) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The classes that occur in rows of positive weight, and the index of each row's label among them."""
    classes = np.unique(y if weight is None else y[weight > 0])
    if len(classes) == 2:
        return classes, (y == classes[1]).astype(np.intp)
    return classes, np.searchsorted(classes, y).clip(0, max(len(classes) - 1, 0))
