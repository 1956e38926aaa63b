"""OrderedRegressor: labels in an order, by Newton's method on coefficients and thresholds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from matchloss.errors import DomainError, ShapeError
from matchloss.linear.columns import open_table
from matchloss.linear.dense import Problem, Structured, Terms, check_is_fitted, newton, weights_of
from matchloss.linear.inference.structured import Kind, StructuredInference, Weights
from matchloss.linear.inputs import is_frame
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.structured_columns import Coded, columns_for
from matchloss.losses.structured import OrderedLogit, OrderedProbit
from matchloss.losses.structured.ordered import per_threshold

HELD = 3  # blocks of the size of X, where X is dense
SEPARATED = "a combination of columns separates the labels"
LOSSES = {"logit": OrderedLogit(), "probit": OrderedProbit()}


class OrderedRegressor(Structured):
    """Ordered logit or probit: P(y <= k) = F(threshold k - x b), F the logistic or the normal distribution.

    X (n, p): an array, or a data frame with categories. y (n,): numbers, or an ordered categorical (pandas Categorical, polars Enum);
    text needs `classes`, the labels in their order. There is no intercept: it is in the thresholds.
    Parameters: link, "logit" or "probit"; classes, the labels from lowest to highest, None: those of y; categorical, columns of numbers
    that are names of levels. Attributes: `coef_` (p,),
    `thresholds_` (K - 1,), `classes_`, `covariance_` of coefficients and thresholds, `coef_names_`, `objective_`, `n_steps_`.
    Raises ValueError for a label that is not among classes, a class without rows, dependent columns, and separated labels.
    Sources: McCullagh (1980); Pratt (1981).

    >>> from matchloss.linear import OrderedRegressor
    >>> model = OrderedRegressor().fit([[0.0], [1.0], [2.0], [3.0], [1.0], [2.0]], [1, 2, 1, 3, 3, 2])
    >>> model.predict([[0.0], [3.0]]), model.predict_proba([[1.0]]).round(2)
    (array([1, 3]), array([[0.42, 0.37, 0.21]]))
    """

    state: ClassVar[tuple[str, ...]] = ("thresholds_", "classes_")

    def __init__(self, link: str = "logit", classes: Sequence[Any] | None = None, categorical: Collection[str] = ()) -> None:
        self.link = link
        self.classes = classes
        self.categorical = categorical

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fits the model; returns self. y may be the name of a column of X. sample_weight (n,), a number >= 0 a row."""
        self._loss()
        self.named_ = {"y": y} if isinstance(y, str) else {}
        X, y = _without_target(X, y)
        codes, self.classes_ = _coded(y, self.classes)
        if not codes.size:
            raise ShapeError("y has no labels: 0 rows, of which at least one for each of two labels is needed")
        weight = weights_of(sample_weight, codes.size)
        rows = self._learn(X, codes.size, weight)
        counts = np.bincount(codes, weight, self.classes_.size)
        if self.classes_.size < 2 or not (counts > 0).all():
            missing = self.classes_[int(np.argmin(counts > 0))] if self.classes_.size > 1 else self.classes_[0]
            what = "it is the only label" if self.classes_.size < 2 else "no row has it, so that its thresholds would coincide"
            raise ValueError(f"label {missing!s}: {what}")
        problem, p = self._problem(rows, codes, weight), len(rows.slots)
        names = [*self._names(), *(f"threshold {k}" for k in range(problem.null.size - p))]
        found = newton(problem.at, problem.null, names, SEPARATED, fits=lambda theta: bool((np.diff(theta[p:]) > 0).all()))
        assert problem.turn is not None
        self.thresholds_ = (problem.turn @ found.theta)[p:]
        self._keep(found, found.theta[:p])
        self.covariance_ = problem.turn @ found.covariance @ problem.turn.T
        return self

    def inference(
        self, X: Any, y: Any, sample_weight: Any = None, *, weights: Weights = "repeat", kind: Kind | None = None, groups: Any = None
    ) -> StructuredInference:
        """How sure coefficients and thresholds are, on the rows that the model was fitted to, given as to `fit`: it keeps no rows.

        bse, conf_int, wald_test, lr_test, summary, llf, aic, bic; thresholds are called "low|high", as R's polr does. `weights`, `kind`
        and `groups`: see StructuredInference. DomainError for a label that is not among `classes_`.
        """
        X, y = _without_target(X, y)
        check_is_fitted(self, "coef_")
        codes = _coded(y, self.classes_.tolist())[0]
        weight = weights_of(sample_weight, codes.size)
        return self._infer(X, codes.size, lambda rows: self._problem(rows, codes, weight), self._loss(), (weights, kind, groups))

    def _estimates(self) -> tuple[Floats, tuple[str, ...]]:
        cuts = tuple(f"{low}|{high}" for low, high in pairwise(map(label_text, self.classes_.tolist())))
        return np.concatenate([self.coef_, self.thresholds_]), (*self._names(), *cuts)

    def _problem(self, rows: TableRows, codes: NDArray[np.int64], weight: Floats | None) -> Problem:
        loss, counts, p, n = self._loss(), np.bincount(codes, weight, self.classes_.size), len(rows.slots), codes.size
        x, units = columns_for(rows, HELD), np.ones(n) if weight is None else weight
        centre = x.transposed(units) / units.sum()
        if isinstance(x, Coded):
            centre[rows.slots > rows.q] = 0.0  # levels stay as they are
        x = x.centred(centre)
        below = counts.cumsum()[:-1] / counts.sum()
        start = np.concatenate([np.zeros(p), special.logit(below) if self.link == "logit" else special.ndtri(below)])
        K = self.classes_.size - 1

        def terms(theta: Floats) -> Floats:
            made = loss.terms(x.times(theta[:p]), theta[p:], codes)[1]
            return made if weight is None else made * weight

        def by_threshold(lower: Floats, upper: Floats) -> Floats:
            made = np.zeros((n, K + 2))
            made[np.arange(n), codes], made[np.arange(n), codes + 1] = lower, upper
            return made[:, 1:-1]

        def at(theta: Floats) -> Terms:
            value, lower, upper, aa, ab, bb, g, h = terms(theta)
            between = np.bincount(codes, ab, K + 1)[1:-1]
            corner = np.diag(per_threshold(codes, aa, bb, K)) + np.diag(between, 1) + np.diag(between, -1)
            side = -x.transposed(by_threshold(aa + ab, bb + ab))
            gradient = np.concatenate([x.transposed(g), per_threshold(codes, lower, upper, K)])
            return float(value.sum()), gradient, np.block([[x.gram(h), side], [side.T, corner]])

        def scores(theta: Floats) -> Floats:
            _, lower, upper, _, _, _, g, _ = terms(theta)
            return np.hstack([x.sums(g, np.arange(n), n), by_threshold(lower, upper)])

        turn = np.eye(start.size)
        turn[p:, :p] = centre  # thresholds of rows that are not centred
        return Problem(at, start, float(counts.sum()), "Observations:", scores, units, turn=turn)

    def predict_proba(self, X: Any) -> Floats:
        """The probability of each label of `classes_`, (n, K)."""
        return self._loss().predict((self._raw(X), self.thresholds_))

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label of each row (n,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def check(self) -> None:  # noqa: D102
        super().check()
        if not (np.diff(self.thresholds_) > 0).all() or len(self.classes_) != np.size(self.thresholds_) + 1:
            raise ValueError("thresholds_ do not rise, or do not fit classes_")

    def _loss(self) -> OrderedLogit | OrderedProbit:
        if self.link not in LOSSES:
            raise DomainError(f"link is {self.link!r}; allowed: 'logit', 'probit'")
        return LOSSES[self.link]

    def _facts(self) -> dict[str, str]:
        return {"loss": repr(self._loss()), "labels": ", ".join(map(label_text, self.classes_.tolist()))}


def label_text(label: Any) -> str:
    """A label as people write it: 2 for 2.0."""
    return f"{label:g}" if isinstance(label, float) else str(label)


def _without_target(X: Any, y: Any) -> tuple[Any, Any]:
    """X and y; where y names a column of X, that column, and X without it."""
    if not isinstance(y, str):
        return X, y
    if not is_frame(X):
        raise TypeError(f"{y}: a column is named, and X is {type(X).__name__}, not a data frame")
    table = open_table(X)
    table.require([y])
    return table.frame.drop(table.labels[y]).to_native(), table.frame.get_column(table.labels[y]).to_native()


def _coded(y: Any, classes: Sequence[Any] | None) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Labels as places in their order, and the labels in that order."""
    declared = None
    if classes is None and hasattr(getattr(y, "dtype", None), "categories"):  # pandas Categorical, polars Enum
        kind = y.dtype.categories
        declared = np.asarray(kind.to_numpy() if hasattr(kind, "to_numpy") else kind)
    given = np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)
    given = given if given.dtype.kind != "O" else np.array(given.tolist())
    if given.ndim != 1:
        raise DomainError(f"y has shape {given.shape}; one label a row, (n,), is needed")
    if given.dtype.kind == "f" and np.isnan(given).any():
        raise DomainError(f"y[{int(np.isnan(given).argmax())}] is nan; allowed: a label, none missing")
    if classes is not None:
        declared = np.asarray(list(classes))
    if declared is None:
        if given.dtype.kind not in "iufb":
            raise ValueError(f"y is text ({given[0]!s}, ...) without a declared order: pass classes=[lowest, ...] or a categorical")
        found, codes = np.unique(given, return_inverse=True)
        return codes.astype(np.int64), found
    place = {label: k for k, label in enumerate(declared.tolist())}
    codes = np.array([place.get(label, -1) for label in given.tolist()], np.int64)
    if (codes < 0).any():
        i = int((codes < 0).argmax())
        raise DomainError(f"y[{i}] is {given[i].item()!r}; allowed: {', '.join(map(str, declared.tolist()))}")
    return codes, declared
