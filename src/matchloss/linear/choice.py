"""ConditionalLogit: what is chosen of a set, by Newton's method."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import ShapeError
from matchloss.linear.dense import Problem, Structured, Terms, newton, take_out, warn_of
from matchloss.linear.inference.structured import Kind, StructuredInference
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.structured_columns import columns_for
from matchloss.losses.structured import Choice, ChoiceSets
from matchloss.losses.structured._ragged import groups_of, starts_of

SEPARATED = "a combination of columns tells the chosen from the rest of every set"
HELD = 5  # blocks of the size of X, where X is dense
CONSTANT = "within every set"
STEP = 1e-5  # of differences of the exact gradient, where several of a set are chosen


class ConditionalLogit(Structured):
    """Conditional logit: an alternative of a set is chosen with odds e^(x b). Only differences within sets count: there is no intercept.

    X (n, p): an array, or a data frame with categories, a row for each alternative; y (n,): 1 for the chosen, else 0; groups (n,): which
    set each row belongs to. Several of a set may be chosen (Chamberlain's fixed effects); sets of which none or all are chosen say
    nothing and are counted in `n_idle_`, with a warning. categorical: columns of numbers that are names of levels. Attributes: `coef_`,
    `coef_names_`, `covariance_`, `objective_`, `n_steps_`, `n_sets_`, `n_idle_`. Raises DomainError for y, ValueError for columns that
    are constant within every set, for dependent ones, and where the likelihood has no maximum.
    Sources: McFadden (1974); Chamberlain (1980).

    >>> from matchloss.linear import ConditionalLogit
    >>> price, trip = [[1.0], [2.0], [3.0], [1.0], [2.0], [4.0]], [1, 1, 2, 2, 3, 3]
    >>> model = ConditionalLogit().fit(price, [1, 0, 1, 0, 1, 0], trip)
    >>> model.coef_.round(4), model.predict_proba([[1.0], [2.0]], [7, 7]).round(4)
    (array([-0.2257]), array([0.5562, 0.4438]))
    """

    state = ("n_sets_", "n_idle_")

    def __init__(self, categorical: Collection[str] = ()) -> None:
        self.categorical = categorical

    def fit(self, X: Any, y: Any, groups: Any) -> Self:
        """Fits the model; returns self. y and groups may be names of columns of X, which are then no features."""
        X, given = self._take_out(X, y=y, groups=groups)
        _check_shapes(**given)
        rows = self._learn(X, given["y"].size)
        order, sets = _sets(**given)
        self.n_sets_, self.n_idle_ = sets.indptr.size - 1, sets.idle
        if sets.idle == self.n_sets_:
            raise ValueError(f"in each of the {self.n_sets_} sets none or all are chosen: nothing is compared")
        if sets.idle:
            warn_of(f"in {sets.idle} of {self.n_sets_} sets none or all are chosen: they say nothing")
        problem = self._problem(rows, order, sets)
        found = newton(problem.at, problem.null, self._names(), SEPARATED, constant=CONSTANT)
        return self._keep(found, found.theta)

    def inference(self, X: Any, y: Any, groups: Any, *, kind: Kind | None = None, cluster: Any = None) -> StructuredInference:
        """How sure the coefficients are, on the rows that the model was fitted to, given as to `fit`: an estimator keeps no rows.

        bse, conf_int, wald_test, lr_test, summary, llf, aic, bic. kind: see StructuredInference; a unit is a set, and cluster (n,) has a
        label for each row that joins sets, such as those of a person. Raises what `fit` raises for bad rows.
        """
        X, given = take_out(X, y=y, groups=groups, cluster=cluster)
        cluster = given.pop("cluster")
        _check_shapes(**given)
        order, sets = _sets(**given)
        how = ("repeat", kind, cluster)
        return self._infer(X, given["y"].size, lambda rows: self._problem(rows, order, sets), Choice(), how)

    def _problem(self, rows: TableRows, order: NDArray[np.int64], sets: ChoiceSets) -> Problem:
        loss, indptr = Choice(), sets.indptr
        sizes = np.diff(indptr)
        unit = np.repeat(np.arange(sizes.size), sizes)
        x = columns_for(rows, HELD).take(order).within(indptr)  # constants of a set change nothing

        def gradient(b: Floats) -> Floats:
            return x.transposed(loss.terms(x.times(b), sets, None)[1])

        def at(b: Floats) -> Terms:
            value, g, p = loss.terms(x.times(b), sets, None)
            slope = x.transposed(g)
            if np.isnan(p).any():
                turned = [(gradient(b + d) - gradient(b - d)) / (2 * STEP) for d in STEP * np.eye(b.size)]
                return float(value.sum()), slope, (np.array(turned) + np.transpose(turned)) / 2
            return float(value.sum()), slope, x.spread(p, indptr)

        def scores(b: Floats) -> Floats:
            return x.sums(loss.terms(x.times(b), sets, None)[1], unit, sizes.size)

        of_rows = np.empty(order.size, np.intp)
        of_rows[order] = unit
        live = np.ones(sizes.size)
        return Problem(at, np.zeros(len(rows.slots)), float(sizes.size - sets.idle), "Sets:", scores, live, of_rows)

    def predict_proba(self, X: Any, groups: Any) -> Floats:
        """The probability (n,) that each row is the one chosen of its set."""
        X, given = take_out(X, groups=groups)
        v, labels = self._raw(X), given["groups"]
        if labels.shape != v.shape:
            raise ShapeError(f"groups has shape {labels.shape}; X has {v.size} rows")
        order, indptr = groups_of(labels)
        first = np.zeros(v.size, np.int64)
        first[indptr[:-1]] = 1  # any one chosen: probabilities do not depend on it
        single = np.repeat(np.diff(indptr) == 1, np.diff(indptr))
        p = np.where(single, 1.0, Choice().terms(np.ascontiguousarray(v[order]), ChoiceSets(indptr, first), None)[2])
        out = np.empty(v.size)
        out[order] = p
        return out

    def predict(self, X: Any, groups: Any) -> np.ndarray[Any, Any]:
        """1 for the likeliest row of each set (the first of equals), else 0, (n,)."""
        X, given = take_out(X, groups=groups)
        p = self.predict_proba(X, given["groups"])
        order, indptr = groups_of(given["groups"])
        starts = starts_of(indptr)
        ranked = np.lexsort((-p[order], starts))
        out = np.zeros(p.size, np.int64)
        out[order[ranked[indptr[:-1]]]] = 1
        return out

    def _facts(self) -> dict[str, str]:
        idle = f", {self.n_idle_:,} of which say nothing" if self.n_idle_ else ""
        return {"loss": "Choice()", "sets": f"{self.n_sets_:,}{idle}"}


def _check_shapes(y: Any, groups: Any) -> None:
    if y.shape != groups.shape or y.ndim != 1:
        raise ShapeError(f"y has shape {y.shape}, groups {groups.shape}; one number a row, (n,), is needed in both")


def _sets(y: Any, groups: Any) -> tuple[NDArray[np.int64], ChoiceSets]:
    """The order of rows in which sets lie together, and the sets."""
    order, indptr = groups_of(groups)
    return order, ChoiceSets(indptr, y[order])
