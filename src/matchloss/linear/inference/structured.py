"""How sure the coefficients of Cox's model, of choices and of ordered labels are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError
from matchloss.linear.inference.estimates import Estimates, Kind
from matchloss.linear.inference.testing import Test, chi_squared
from matchloss.linear.rows import Floats

if TYPE_CHECKING:
    from matchloss.linear.dense import Problem

AWAY = 0.01  # standard errors: a Newton step that moves an estimate by more says that these rows are others


@dataclass(eq=False, kw_only=True)
class StructuredInference(Estimates):
    """Standard errors, tests and intervals of a fitted trainer on the rows it was fitted to. `model.inference(X, ...)` makes it.

    Covariances are the inverse of the loss's hessian in the coefficients ("observed"). `nobs`, which `bic` and `df_resid` take, counts
    what says something: events of Cox's model, as R's BIC does, sets of choices of which some but not all are chosen, and the weights of
    ordered labels. `llnull` is the log likelihood of no columns. `params` of ordered labels has the thresholds at its end.

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
    notes: tuple[str, ...] = ()
    kind: Kind = "observed"

    @property
    def nobs(self) -> float:  # noqa: D102
        return self.count

    @property
    def df_model(self) -> int:  # noqa: D102
        return self.params.size

    @property
    def llf(self) -> float:  # noqa: D102
        return -self.value

    def covariance(self, kind: Kind | None = None, groups: Any = None) -> Floats:
        """The inverse of the hessian, (k, k). DomainError for another kind than "observed"."""
        if kind not in (None, "observed"):
            raise DomainError(f'the kind of covariance is {kind!r}; allowed for losses of structures: "observed"')
        return self.inverse

    def lr_test(self, smaller: StructuredInference) -> Test:
        """Whether the coefficients that a `smaller` model of the same rows lacks are 0, by the likelihood ratio: chi-squared."""
        more = self.df_model - smaller.df_model
        if self.nobs != smaller.nobs or self.facts["Loss:"] != smaller.facts["Loss:"] or more <= 0:
            raise ValueError(
                f"the two models differ in their loss or their rows, or the smaller one ({smaller.df_model} coefficients; this one "
                f"{self.df_model}) is not smaller"
            )
        return chi_squared(2 * (self.llf - smaller.llf), more)


def infer(
    problem: Problem, params: Floats, names: tuple[str, ...], columns: dict[str, list[int]], title: str, loss: str, backend: str
) -> StructuredInference:
    """The StructuredInference of estimates on the rows of `problem`."""
    turn = np.eye(params.size) if problem.turn is None else problem.turn
    value, gradient, hessian = problem.at(np.asarray(np.linalg.solve(turn, params), np.float64))
    inverse = np.linalg.inv(hessian)
    away = float(np.max(np.abs(inverse @ gradient) / np.sqrt(np.diagonal(inverse))))
    away_said = f"These rows' optimum is up to {away:.2g} standard errors away: pass those that the model was fitted to."
    made = turn @ inverse @ turn.T
    return StructuredInference(
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
        notes=(away_said,) if away > AWAY else (),
    )
