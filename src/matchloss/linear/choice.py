"""ConditionalLogit: what is chosen of a set, by Newton's method."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import ShapeError
from matchloss.linear.dense import Problem, Structured, Terms, newton, take_out, warn_of
from matchloss.linear.inference.structured import StructuredInference
from matchloss.linear.rows import Floats
from matchloss.losses.structured import Choice, ChoiceSets
from matchloss.losses.structured._ragged import groups_of, starts_of

SEPARATED = "a combination of columns tells the chosen from the rest of every set"
STEP = 1e-5  # of differences of the exact gradient, where several of a set are chosen


class ConditionalLogit(Structured):
    """Conditional logit: an alternative of a set is chosen with odds e^(x b). Only differences within sets count: there is no intercept.

    X (n, p): an array, or a data frame with categories, a row for each alternative; y (n,): 1 for the chosen, else 0; groups (n,): which
    set each row belongs to. Several of a set may be chosen (Chamberlain's fixed effects); sets of which none or all are chosen say
    nothing and are counted in `n_idle_`, with a warning. Attributes: `coef_`, `coef_names_`, `covariance_`, `objective_`, `n_steps_`,
    `n_sets_`, `n_idle_`. Raises DomainError for y, ValueError for columns that are constant within every set, for dependent ones, and
    where the likelihood has no maximum. Sources: McFadden (1974); Chamberlain (1980).

    >>> from matchloss.linear import ConditionalLogit
    >>> price, trip = [[1.0], [2.0], [3.0], [1.0], [2.0], [4.0]], [1, 1, 2, 2, 3, 3]
    >>> model = ConditionalLogit().fit(price, [1, 0, 1, 0, 1, 0], trip)
    >>> model.coef_.round(4), model.predict_proba([[1.0], [2.0]], [7, 7]).round(4)
    (array([-0.2257]), array([0.5562, 0.4438]))
    """

    state = ("n_sets_", "n_idle_")

    def fit(self, X: Any, y: Any, groups: Any) -> Self:
        """Fits the model; returns self. y and groups may be names of columns of X, which are then no features."""
        X, given = self._take_out(X, y=y, groups=groups)
        _check_shapes(**given)
        x = self._learn(X, given["y"].size)
        order, sets = _sets(**given)
        self.n_sets_, self.n_idle_ = sets.indptr.size - 1, sets.idle
        if sets.idle == self.n_sets_:
            raise ValueError(f"in each of the {self.n_sets_} sets none or all are chosen: nothing is compared")
        if sets.idle:
            warn_of(f"in {sets.idle} of {self.n_sets_} sets none or all are chosen: they say nothing")
        problem = self._problem(x, order, sets)
        found = newton(problem.at, problem.null, self._names(), SEPARATED)
        return self._keep(found, found.theta)

    def inference(self, X: Any, y: Any, groups: Any) -> StructuredInference:
        """How sure the coefficients are, on the rows that the model was fitted to, given as to `fit`: an estimator keeps no rows.

        bse, conf_int, wald_test, lr_test, summary, llf, aic, bic. Raises what `fit` raises for bad rows.
        """
        X, given = take_out(X, y=y, groups=groups)
        _check_shapes(**given)
        order, sets = _sets(**given)
        return self._infer(X, given["y"].size, lambda x: self._problem(x, order, sets), Choice())

    def _problem(self, x: Floats, order: NDArray[np.int64], sets: ChoiceSets) -> Problem:
        loss, indptr = Choice(), sets.indptr
        sizes = np.diff(indptr)
        rows = np.ascontiguousarray(x[order])
        rows -= np.repeat(np.add.reduceat(rows, indptr[:-1]) / sizes[:, None], sizes, axis=0)  # constants of a set change nothing

        def gradient(b: Floats) -> Floats:
            return rows.T @ loss.terms(rows @ b, sets, None)[1]

        def at(b: Floats) -> Terms:
            value, g, p = loss.terms(rows @ b, sets, None)
            slope = rows.T @ g
            if np.isnan(p).any():
                turned = [(gradient(b + d) - gradient(b - d)) / (2 * STEP) for d in STEP * np.eye(b.size)]
                return float(value.sum()), slope, (np.array(turned) + np.transpose(turned)) / 2
            means = np.add.reduceat(p[:, None] * rows, indptr[:-1])
            away = (rows - np.repeat(means, sizes, axis=0)) * np.sqrt(p)[:, None]
            return float(value.sum()), slope, away.T @ away

        return Problem(at, np.zeros(x.shape[1]), float(sizes.size - sets.idle), "Sets:")

    def predict_proba(self, X: Any, groups: Any) -> Floats:
        """The probability (n,) that each row is the one chosen of its set."""
        X, given = take_out(X, groups=groups)
        v, labels = self._block(X) @ self.coef_, given["groups"]
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
