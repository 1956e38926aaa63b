"""How sure the coefficients of Cox's model, of choices and of ordered labels are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError
from matchloss.linear.inference.estimates import Estimates
from matchloss.linear.inference.information import clusters_of
from matchloss.linear.inference.testing import Test, chi_squared
from matchloss.linear.rows import Floats

if TYPE_CHECKING:
    from matchloss.linear.dense import Problem

Kind = Literal["observed", "HC0", "HC1", "cluster"]
Weights = Literal["repeat", "sampling"]
AWAY = 0.01  # standard errors: a Newton step that moves an estimate by more says that these rows are others


@dataclass(eq=False, kw_only=True)
class StructuredInference(Estimates):
    """Standard errors, tests and intervals of a fitted trainer on the rows it was fitted to. `model.inference(X, ...)` makes it.

    Let A be the loss's hessian in the coefficients and s the gradient of a unit. The covariance of each `kind`:
    "observed"  A^-1
    "HC0"       A^-1 (sum of s s') A^-1, as R's `robust=TRUE`; "HC1" times n / (n - k), n the number of units
    "cluster"   the same with s summed over the rows of one label of `groups`, as R's `cluster`
    A unit is a row, or a set of choices; in Cox's model s is the row's score residual, which includes what the row adds to the risk sets
    of others. `weights`: "repeat" takes a row of weight 3 as three equal rows, "sampling" as one row that stands for three, for which only
    the robust kinds hold. `nobs`, which `bic` and `df_resid` use, counts what is informative: for Cox's model events, as R's BIC does; for
    choices the sets of which some but not all are chosen; for ordered labels the sum of the weights. `llnull` is the log likelihood without
    any column. For ordered labels `params` has the thresholds at its end. Sources: White (1982); Lin and Wei (1989).

    >>> from matchloss.linear import CoxRegression
    >>> dose, week, died = [[3.0], [1.0], [0.0], [2.0], [1.0], [1.0]], [5, 8, 12, 16, 20, 23], [1, 1, 0, 1, 1, 0]
    >>> found = CoxRegression().fit(dose, week, died).inference(dose, week, died)
    >>> found.names, found.bse.round(4), round(found.llf, 4), round(found.aic, 4)
    (('x0',), array([1.054]), -3.4161, 8.8322)
    >>> print(found.wald_test("x0"))
    chi2(1) = 2.49086, p = 0.1145
    """

    names: tuple[str, ...]
    params: Floats
    kept: NDArray[np.bool_]
    columns: dict[str, list[int]]
    title: str
    facts: dict[str, str]
    backend: str
    counted: str
    count: float
    value: float  # minus the log likelihood
    llnull: float
    inverse: Floats = field(repr=False)
    problem: Problem = field(repr=False)
    theta: Floats = field(repr=False)
    notes: tuple[str, ...] = ()
    weights: Weights = "repeat"
    kind: Kind = "observed"  # pyright: ignore[reportIncompatibleVariableOverride]
    groups: Any = field(default=None, repr=False)

    @property
    def nobs(self) -> float:  # noqa: D102
        return self.count

    @property
    def fitted(self) -> int:  # noqa: D102
        return self.params.size

    @property
    def llf(self) -> float:  # noqa: D102
        return -self.value

    def covariance(self, kind: Kind | None = None, groups: Any = None) -> Floats:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The covariance (k, k) by `kind`, by default the one that this object was made with.

        DomainError for another kind, and for "HC1" with no more units than coefficients; ValueError for missing labels of groups.
        """
        kind = self.kind if kind is None else kind
        if kind not in get_args(Kind):
            raise DomainError(f"the kind of covariance is {kind!r}; allowed for losses of structures: {', '.join(get_args(Kind))}")
        if kind == "observed":
            if self.weights == "sampling":
                raise DomainError('weights="sampling" have no "observed" covariance; allowed: HC0, HC1, cluster')
            return self.inverse
        scores, factor = self._scores, 1.0
        if kind == "cluster":
            label, count = self._clusters(self.groups if groups is None else groups)
            joined = np.zeros((count, scores.shape[1]))
            np.add.at(joined, label, scores)
            scores = joined
        elif self.weights == "repeat":
            scores = scores / np.sqrt(np.maximum(self.problem.units, 1e-300))[:, None]  # w rows of s / w each
        if kind == "HC1":
            n, k = float(self.problem.units.sum()) if self.weights == "repeat" else len(scores), self.fitted
            if n <= k:
                raise DomainError(f'"HC1" divides by n - k; there are {n:g} units and {k} coefficients')
            factor = n / (n - k)
        spread = scores @ self.inverse
        return factor * (spread.T @ spread)

    def using(self, kind: Kind, groups: Any = None) -> StructuredInference:
        """The same with another kind of covariance for everything that follows: bse, summary, tests, intervals."""
        made = replace(self, kind=kind, groups=self.groups if groups is None else groups)
        made.covariance()
        return made

    @cached_property
    def _scores(self) -> Floats:
        """Gradients of units in the estimates, (units, k)."""
        made, turn = self.problem.scores(self.theta), self.problem.turn
        return made if turn is None else np.asarray(np.linalg.solve(turn.T, made.T).T, np.float64)

    def _clusters(self, groups: Any) -> tuple[NDArray[np.intp], int]:
        """The cluster of each unit, and how many there are."""
        unit = self.problem.unit
        label, count = clusters_of(groups, len(self.problem.units) if unit is None else unit.size)
        if unit is None:
            return label, count
        made = np.empty(len(self.problem.units), np.intp)
        made[unit] = label
        apart = made[unit] != label
        if apart.any():
            i = int(apart.argmax())
            raise DomainError(f"row {i} and another row of its set have different labels of a cluster; a set belongs to one")
        return made, count

    def lr_test(self, smaller: StructuredInference) -> Test:
        """Test by the likelihood ratio, with chi-squared, whether the coefficients that a `smaller` model of the same rows lacks are 0."""
        more = self.fitted - smaller.fitted
        if self.nobs != smaller.nobs or self.facts["Loss:"] != smaller.facts["Loss:"] or more <= 0:
            raise ValueError(
                f"the two models differ in their loss or their rows, or the smaller one ({smaller.fitted} coefficients; this one "
                f"{self.fitted}) is not smaller"
            )
        return chi_squared(2 * (self.llf - smaller.llf), more)


def infer(
    problem: Problem,
    params: Floats,
    names: tuple[str, ...],
    columns: dict[str, list[int]],
    title: str,
    loss: str,
    backend: str,
    how: tuple[Weights, Kind | None, Any] = ("repeat", None, None),
) -> StructuredInference:
    """The StructuredInference of estimates on the rows of `problem`; `how` gives weights, kind and groups."""
    weights, kind, groups = how
    if weights not in get_args(Weights):
        raise DomainError(f"weights is {weights!r}; allowed: {', '.join(get_args(Weights))}")
    turn = np.eye(params.size) if problem.turn is None else problem.turn
    theta = np.asarray(np.linalg.solve(turn, params), np.float64)
    value, gradient, hessian = problem.at(theta)
    inverse = np.linalg.inv(hessian)
    away = float(np.max(np.abs(inverse @ gradient) / np.sqrt(np.diagonal(inverse))))
    away_said = f"These rows' optimum is up to {away:.2g} standard errors away: pass those that the model was fitted to."
    made = turn @ inverse @ turn.T
    found = StructuredInference(
        names=names,
        params=params,
        kept=np.ones(params.size, bool),
        columns=columns,
        title=title,
        facts={"Loss:": loss},
        backend=backend,
        counted=problem.counted,
        count=problem.count,
        value=value,
        llnull=-problem.at(problem.null)[0],
        inverse=(made + made.T) / 2,
        problem=problem,
        theta=theta,
        notes=(away_said,) if away > AWAY else (),
        weights=weights,
    )
    default: Kind = "cluster" if groups is not None else "HC0" if weights == "sampling" else "observed"
    return found.using(kind or default, groups)
