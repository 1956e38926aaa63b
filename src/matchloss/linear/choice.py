"""ConditionalLogit: what is chosen of a set, by Newton's method."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError, ShapeError
from matchloss.linear.dense import Problem, Structured, Terms, newton, take_out, warn_of, weights_of
from matchloss.linear.inference.structured import Kind, StructuredInference, Weights
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

    def fit(self, X: Any, y: Any, groups: Any, sample_weight: Any = None) -> Self:
        """Fits the model; returns self. y, groups and sample_weight may be names of columns of X, which are then no features.

        sample_weight (n,): a number >= 0 for each row, the same for all rows of a set, which is the weight of the set.
        DomainError names the set of which two rows have different weights.
        """
        X, given = self._take_out(X, y=y, groups=groups, sample_weight=sample_weight)
        order, sets, weight = _sets(**given)
        rows = self._learn(X, order.size, given["sample_weight"])
        live = sets.active & (weight > 0)
        self.n_sets_ = int((weight > 0).sum())
        self.n_idle_ = self.n_sets_ - int(live.sum())
        if not live.any():
            raise ValueError(f"in each of the {self.n_sets_} sets none or all are chosen: nothing is compared")
        if self.n_idle_:
            warn_of(f"in {self.n_idle_} of {self.n_sets_} sets none or all are chosen: they say nothing")
        problem = self._problem(rows, order, sets, weight)
        found = newton(problem.at, problem.null, self._names(), SEPARATED, constant=CONSTANT)
        return self._keep(found, found.theta)

    def inference(
        self,
        X: Any,
        y: Any,
        groups: Any,
        sample_weight: Any = None,
        *,
        weights: Weights = "repeat",
        kind: Kind | None = None,
        cluster: Any = None,
    ) -> StructuredInference:
        """How sure the coefficients are, on the rows that the model was fitted to, given as to `fit`: an estimator keeps no rows.

        bse, conf_int, wald_test, lr_test, summary, llf, aic, bic. `weights` and `kind`: see StructuredInference; a unit is a set, and
        cluster (n,) has a label for each row that joins sets, such as those of a person. Raises what `fit` raises for bad rows.
        """
        X, given = take_out(X, y=y, groups=groups, sample_weight=sample_weight, cluster=cluster)
        cluster = given.pop("cluster")
        order, sets, weight = _sets(**given)
        return self._infer(X, order.size, lambda rows: self._problem(rows, order, sets, weight), Choice(), (weights, kind, cluster))

    def _problem(self, rows: TableRows, order: NDArray[np.int64], sets: ChoiceSets, weight: Floats) -> Problem:
        loss, indptr = Choice(), sets.indptr
        sizes = np.diff(indptr)
        unit = np.repeat(np.arange(sizes.size), sizes)
        x = columns_for(rows, HELD).take(order).within(indptr)  # constants of a set change nothing

        def gradient(b: Floats) -> Floats:
            return x.transposed(loss.terms(x.times(b), sets, weight)[1])

        def at(b: Floats) -> Terms:
            value, g, p = loss.terms(x.times(b), sets, weight)
            slope = x.transposed(g)
            if np.isnan(p).any():
                turned = [(gradient(b + d) - gradient(b - d)) / (2 * STEP) for d in STEP * np.eye(b.size)]
                return float(value.sum()), slope, (np.array(turned) + np.transpose(turned)) / 2
            return float(value.sum()), slope, x.spread(p, indptr, weight)

        def scores(b: Floats) -> Floats:
            return x.sums(loss.terms(x.times(b), sets, weight)[1], unit, sizes.size)

        of_rows = np.empty(order.size, np.intp)
        of_rows[order] = unit
        return Problem(at, np.zeros(len(rows.slots)), float(weight @ sets.active), "Sets:", scores, weight, of_rows)

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


def _sets(y: Any, groups: Any, sample_weight: Any) -> tuple[NDArray[np.int64], ChoiceSets, Floats]:
    """The order of rows in which sets lie together, the sets, and the weight of each."""
    if y.shape != groups.shape or y.ndim != 1:
        raise ShapeError(f"y has shape {y.shape}, groups {groups.shape}; one number a row, (n,), is needed in both")
    order, indptr = groups_of(groups)
    sets, each = ChoiceSets(indptr, y[order]), weights_of(sample_weight, y.size)
    if each is None:
        return order, sets, np.ones(indptr.size - 1)
    each = each[order]
    first = each[starts_of(indptr)]
    if (each != first).any():
        i = int((each != first).argmax())
        said = f"set {groups[order[i]]}: sample_weight[{order[i]}] is {each[i]:g}, and another row of the set has {first[i]:g}"
        raise DomainError(f"{said}; allowed: one weight for all rows of a set")
    return order, sets, first[indptr[:-1]]
