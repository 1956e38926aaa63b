"""What the trainers of structured losses share: columns named by the person, Newton's method, summaries, inference."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.arrays import as_weight
from matchloss.errors import ShapeError
from matchloss.linear.columns import library_of, open_table
from matchloss.linear.inference.build import columns_of
from matchloss.linear.inference.structured import Kind, StructuredInference, Weights, infer
from matchloss.linear.inputs import column_labels, is_frame, refuse_infinite, refuse_mapping
from matchloss.linear.plan import Design, Number, learn_rows
from matchloss.linear.rows import Floats, TableRows, of_array
from matchloss.linear.solve import raw_of
from matchloss.linear.summary import Summary
from matchloss.losses.structured import StructuredLoss

try:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError('the estimators need scikit-learn: pip install "matchloss[linear]"') from error

TABLE = "an array of numbers (n, p), or a data frame (pandas, polars, pyarrow, ...)"
DEPENDENT = 1e-11  # least eigenvalue of a hessian scaled to a diagonal of 1 below which columns count as linearly dependent
CONVERGED = 1e-22  # of the value: the decrease that a Newton step still promises, twice
Terms = tuple[float, Floats, Floats]  # value, gradient, hessian


@dataclass(frozen=True, eq=False)
class Found:
    """The minimum that Newton's method found: coefficients, the inverse of the hessian there, the value, and how many steps it took."""

    theta: Floats
    covariance: Floats
    value: float
    steps: int


@dataclass(frozen=True, eq=False)
class Problem:
    """What Newton's method minimises for some rows, and what inference asks of it."""

    at: Callable[[Floats], Terms]
    null: Floats  # theta of no columns, from which Newton's method starts
    count: float  # of observations
    counted: str  # what is counted, as a summary calls it
    scores: Callable[[Floats], Floats]  # theta to the gradients of independent units, such as rows: (units, theta.size)
    units: Floats  # the weight of each
    unit: NDArray[np.intp] | None = None  # (n,): which of them a row belongs to, where they are no rows
    turn: Floats | None = None  # the estimates are turn @ theta, for columns that are not centred


class NoMinimum(ValueError):
    """The loss has no minimum, or more than one; the message says which columns are to blame."""


def newton(
    at: Callable[[Floats], Terms],
    start: Floats,
    names: list[str],
    separated: str,
    steps: int = 60,
    fits: Callable[[Floats], bool] | None = None,
    constant: str = "",
) -> Found:
    """Minimises a convex value by Newton's method, steps halved until the value falls and `fits(theta)` holds.

    NoMinimum where columns are constant (perhaps only `constant`, such as within every set) or linearly dependent, or where the value has
    no minimum; `separated` says what that means.
    """
    theta, (value, g, h) = start, at(start)
    flat = np.flatnonzero(~(np.diagonal(h) > 0))
    if flat.size:
        many = f"{', '.join(names[j] for j in flat[:6])}{f' and {flat.size - 6} more' if flat.size > 6 else ''}"
        raise NoMinimum(f"constant{constant and f' {constant}'}, so that no coefficient can be found: {many}")
    for step in range(steps):
        move = _step(h, g, names, None if step == 0 else separated)
        if g @ move <= CONVERGED * value:  # of the value, which goes to 0 where labels are separated
            return Found(theta - move, np.asarray(np.linalg.inv(h), np.float64), value, step + 1)
        new: Terms | None = None
        for _ in range(40):
            if fits is None or fits(theta - move):
                new = at(theta - move)
                if new[0] <= value * (1 + 1e-12):
                    break
            move = move / 2
        if new is None or not np.isfinite(new[0]):
            break
        theta, (value, g, h) = theta - move, new
    raise NoMinimum(f"the likelihood has no maximum: {separated}")


def _step(hessian: Floats, gradient: Floats, names: list[str], separated: str | None) -> Floats:
    d = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    scaled = hessian / d / d[:, None]
    if not np.isfinite(scaled).all():
        raise NoMinimum(f"the likelihood has no maximum: {separated or 'a sum is not finite at the start'}")
    try:
        np.linalg.cholesky(scaled - DEPENDENT * np.eye(len(d)))
    except np.linalg.LinAlgError:
        share = np.abs(np.linalg.eigh(scaled)[1][:, 0])
        blamed = [name for name, s in zip(names, share, strict=False) if s > 0.05 * share.max()][:6]
        told = f"columns are linearly dependent: {', '.join(blamed)}" if separated is None else separated
        raise NoMinimum(f"the likelihood has no {'single ' if separated is None else ''}maximum: {told}") from None
    return np.linalg.solve(scaled, gradient / d) / d


def take_out(X: Any, **given: Any) -> tuple[Any, dict[str, Any]]:
    """X without the columns that are given by name, and everything given as arrays (None stays); ColumnError for names of none."""
    named = [x for x in given.values() if isinstance(x, str)]
    if not named:
        return X, {name: None if x is None else _plain(x) for name, x in given.items()}
    if not is_frame(X):
        raise TypeError(f"{', '.join(named)}: columns are named, and X is {type(X).__name__}, not a data frame")
    table = open_table(X)
    table.require(named)
    columns = {name: table.frame.get_column(table.labels[x]).to_numpy() if isinstance(x, str) else x for name, x in given.items()}
    left = table.frame.drop([table.labels[name] for name in dict.fromkeys(named)]).to_native()
    return left, {name: None if x is None else _plain(x) for name, x in columns.items()}


def _plain(x: Any) -> NDArray[Any]:
    a = np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)
    return a if a.dtype.kind != "O" else np.array(a.tolist())


class Structured(BaseEstimator):
    """What the trainers share: reading X as a dense block, the summary, saving."""

    categorical: Collection[str]
    coef_: Floats
    design_: Design | None
    covariance_: Floats
    objective_: float
    n_steps_: int
    named_: dict[str, str]  # the columns that fit took by name, such as {"time": "week"}
    heading: ClassVar[str] = ""  # of a summary with standard errors, where the loss's title will not do
    state: ClassVar[tuple[str, ...]] = ()  # the fitted attributes that a file holds beside the coefficients

    def _take_out(self, X: Any, **given: Any) -> tuple[Any, dict[str, Any]]:
        """`take_out`, and remembers which columns had names."""
        self.named_ = {name: x for name, x in given.items() if isinstance(x, str)}
        return take_out(X, **given)

    def _learn(self, X: Any, n: int, sample_weight: Any = None) -> TableRows:
        """X as n rows; sets scikit-learn's attributes about the columns."""
        refuse_mapping("X", X, TABLE)
        if is_frame(X):
            names = column_labels(X)
            if not names:
                raise ValueError("X is a data frame without columns of its own: 0 feature(s), of which at least 1 is needed")
            self.design_, rows = learn_rows(X, self.categorical, sample_weight=sample_weight)
            self.n_features_in_ = len(self.design_.columns)
            if all(isinstance(name, str) for name in names):
                self.feature_names_in_ = np.array(names, dtype=object)
        else:
            X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False)
            refuse_infinite(X)
            self.design_, rows = None, of_array(X)
        return _as_many(rows, n)

    def _rows(self, X: Any) -> TableRows:
        """X for prediction: a frame's columns are found by name, in any order, and others ignored."""
        check_is_fitted(self, "coef_")
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

    def _raw(self, X: Any, centre: Floats | None = None) -> Floats:
        """X b, (n,); with a centre (p,) that of X less it."""
        rows = self._rows(X)
        return raw_of(rows, 0.0 if centre is None else -float(centre @ self.coef_), self.coef_, centre)

    def _infer(
        self, X: Any, n: int, problem: Callable[[TableRows], Problem], loss: StructuredLoss, how: tuple[Weights, Kind | None, Any]
    ) -> StructuredInference:
        """The inference of these n rows; `problem` makes of them what was minimised. how: weights, kind and groups."""
        params, names = self._estimates()
        rows = _as_many(self._rows(X), n)
        columns = columns_of(self.design_) if self.design_ else {}
        return infer(problem(rows), params, names, columns, self.heading or loss.title, repr(loss), library_of(X), how)

    def _estimates(self) -> tuple[Floats, tuple[str, ...]]:
        """All that was estimated, and its names: coefficients, and perhaps thresholds."""
        return self.coef_, tuple(self._names())

    def _names(self) -> list[str]:
        return [f"x{j}" for j in range(self.n_features_in_)] if self.design_ is None else list(self.design_.names)

    @property
    def coef_names_(self) -> NDArray[Any]:
        """A name for each coefficient, in the order of coef_: "distance", "carrier = AA"."""
        check_is_fitted(self, "coef_")
        return np.array(self._names(), dtype=object)

    def _keep(self, found: Found, coef: Floats) -> Self:
        self.coef_, self.covariance_, self.objective_, self.n_steps_ = coef, found.covariance, found.value, found.steps
        return self

    def _facts(self) -> dict[str, str]:
        """What the summary says beside the coefficients."""
        return {}

    @property
    def summary_(self) -> Summary:
        """How the fit ended, and its coefficients with standard errors from the inverse of the hessian, as text or in a notebook."""
        check_is_fitted(self, "coef_")
        ended = f"converged in {self.n_steps_} Newton steps"
        facts = self._facts() | {"negative log likelihood": f"{self.objective_:.6f}", "ended": ended}
        params, names = self._estimates()
        errors = np.sqrt(np.diag(self.covariance_))
        return Summary(repr(self), facts, names, np.column_stack([params, errors, params / errors]), ("coef", "se", "z"), intercept=False)

    def _repr_html_(self) -> str:
        return self.summary_._repr_html_() if self.__sklearn_is_fitted__() else repr(self)

    def check(self) -> None:
        """ValueError if fitted attributes that were read from a file do not fit together."""
        p = self.coef_.size
        if np.shape(self.covariance_)[:1] < (p,) or np.ndim(self.covariance_) != 2:
            raise ValueError(f"covariance_ has shape {np.shape(self.covariance_)}, and there are {p} coefficients")

    def save(self, path: Any) -> None:
        """Writes the fitted model to a JSON file that `matchloss.linear.load` reads. OSError if it cannot be written."""
        from matchloss.linear.structured_file import write

        check_is_fitted(self, "coef_")
        write(path, self)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")


def _as_many(rows: TableRows, n: int) -> TableRows:
    if rows.n != n:
        raise ShapeError(f"X has {rows.n} rows, and what is to be learned {n}")
    return rows


def warn_of(message: str) -> None:
    """A ConvergenceWarning."""
    warnings.warn(message, ConvergenceWarning, stacklevel=4)


def weights_of(sample_weight: Any, n: int) -> Floats | None:
    """Weights of rows as float64. DomainError for a negative one or one that is not finite, ShapeError for a shape."""
    weight = as_weight(sample_weight, (n,))
    return None if weight is None else weight.astype(np.float64)
