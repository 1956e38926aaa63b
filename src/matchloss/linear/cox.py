"""CoxRegression: proportional hazards, by Newton's method on risk sets."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError
from matchloss.linear.dense import Problem, Structured, newton, take_out, weights_of
from matchloss.linear.inference.structured import Kind, StructuredInference, Weights
from matchloss.linear.rows import Floats
from matchloss.linear.structured_columns import Dense, dense
from matchloss.losses.structured import Cox, RiskSets
from matchloss.losses.structured.cox import back

HELD = 6  # blocks of the size of X: X, its rows in order, weighted, and sums at event times
ORDERED = "some combination of columns tells in advance who is the next to have the event"


class CoxRegression(Structured):
    """Cox's proportional hazards: the hazard at time t is h0(t) e^(x b), each stratum with an h0 of its own.

    Minimises the negative log partial likelihood, ties by "efron" or "breslow", by Newton's method with its exact hessian. X (n, p): an
    array, or a data frame whose text, categorical and boolean columns, and those of numbers that `categorical` names, become 0 and 1 for
    each level but the first. There is no intercept: it is in h0. Attributes: `coef_` (p,), log hazard ratios; `coef_names_`;
    `covariance_`, the inverse of the hessian; `objective_`, minus the log likelihood; `n_steps_`; `strata_`, `baseline_times_`,
    `baseline_hazard_`: for each stratum the event times and the steps of the cumulative hazard of a row at the mean of X, by Breslow's
    estimator; `centre_` (p,), that mean.
    Raises DomainError for events, times, entries and weights that are not allowed, ValueError for dependent columns and where the
    likelihood has no maximum. Sources: Cox (1972); Efron (1977); Breslow (1974).

    >>> import polars as pl
    >>> from matchloss.linear import CoxRegression
    >>> rows = pl.DataFrame({"week": [5, 8, 12, 16, 20, 23], "died": [1, 1, 0, 1, 1, 0], "dose": [3.0, 1.0, 0.0, 2.0, 1.0, 1.0]})
    >>> model = CoxRegression().fit(rows, "week", "died")      # columns by name, or arrays
    >>> dict(zip(model.coef_names_, model.coef_.round(4)))
    {'dose': np.float64(1.6635)}
    >>> model.predict_survival_function(pl.DataFrame({"dose": [0.0, 3.0]}), times=[10, 20]).round(3)
    array([[0.973, 0.862],
           [0.017, 0.   ]])
    """

    heading: ClassVar[str] = "Cox regression"
    state: ClassVar[tuple[str, ...]] = ("centre_", "strata_", "baseline_times_", "baseline_hazard_", "n_events_")

    def __init__(self, ties: str = "efron", categorical: Collection[str] = ()) -> None:
        self.ties = ties
        self.categorical = categorical

    def fit(self, X: Any, time: Any, event: Any, entry: Any = None, strata: Any = None, sample_weight: Any = None) -> Self:
        """Fits the model; returns self. time (n,), event (n,) 0 or 1; entry (n,): when each row comes under observation, before its time.

        Each may be the name of a column of X, which is then no feature. strata (n,): labels. sample_weight (n,), a number >= 0 a row.
        """
        X, given = self._take_out(X, time=time, event=event, entry=entry, strata=strata, sample_weight=sample_weight)
        risk = _risk_sets(**given)
        x = dense(self._learn(X, risk.n, given["sample_weight"]), HELD)
        self.centre_ = _mean(x, risk)
        problem = self._problem(x, risk)
        found = newton(problem.at, problem.null, self._names(), ORDERED)
        self._keep(found, found.theta)
        steps = Cox("breslow").baseline((x - self.centre_) @ found.theta, risk)
        self.strata_ = risk.strata_names if strata is not None else None
        each = [risk.stratum == s for s in range(risk.strata_names.size)]
        self.baseline_times_ = [risk.times[mine] for mine in each]
        self.baseline_hazard_ = [steps[mine] for mine in each]
        self.n_events_ = int(risk.deaths.sum())
        return self

    def inference(
        self,
        X: Any,
        time: Any,
        event: Any,
        entry: Any = None,
        strata: Any = None,
        sample_weight: Any = None,
        *,
        weights: Weights = "repeat",
        kind: Kind | None = None,
        groups: Any = None,
    ) -> StructuredInference:
        """How sure the coefficients are, on the rows that the model was fitted to, given as to `fit`: an estimator keeps no rows.

        bse, conf_int, wald_test, lr_test, summary, llf, aic, bic. `weights`, `kind` and `groups`: see StructuredInference; groups may be
        the name of a column. Raises what `fit` raises for bad rows.
        """
        X, given = take_out(X, time=time, event=event, entry=entry, strata=strata, sample_weight=sample_weight, groups=groups)
        groups = given.pop("groups")
        risk = _risk_sets(**given)
        return self._infer(X, risk.n, lambda rows: self._problem(dense(rows, HELD), risk), Cox(self.ties), (weights, kind, groups))

    def _problem(self, x: Floats, risk: RiskSets) -> Problem:
        loss, rows = Cox(self.ties), Dense(x).centred(_mean(x, risk)).take(risk.order).x
        return Problem(
            lambda b: loss.newton(rows @ b, rows, risk), np.zeros(x.shape[1]), float(risk.deaths.sum()), "Events:",
            lambda b: back(loss.scores(rows @ b, rows, risk), risk), back(risk.w, risk),
        )  # fmt: skip

    def predict(self, X: Any) -> Floats:
        """Log hazard ratios x b (n,), against a row of zeros, as scikit-survival's."""
        return self._raw(X)

    def predict_partial_hazard(self, X: Any) -> Floats:
        """Hazard ratios (n,) against a row at the mean of the training rows, as lifelines'."""
        return np.exp(self._raw(X, self.centre_))

    def predict_cumulative_hazard(self, X: Any, times: Any = None, strata: Any = None) -> Floats:
        """Cumulative hazards (n, times), at `times` or the training's event times; strata (n,): the stratum of each row of X.

        DomainError for a stratum that was not in training, and where strata are needed and not given.
        """
        ratio = self.predict_partial_hazard(X)
        at = np.unique(np.concatenate(self.baseline_times_)) if times is None else np.atleast_1d(np.asarray(times, np.float64))
        curves = np.array([_steps(at, t, h) for t, h in zip(self.baseline_times_, self.baseline_hazard_, strict=True)])
        return ratio[:, None] * curves[self._place(strata, ratio.size)]

    def predict_survival_function(self, X: Any, times: Any = None, strata: Any = None) -> Floats:
        """Probabilities (n, times) of no event until each time: e^-(cumulative hazard). Arguments: `predict_cumulative_hazard`."""
        return np.exp(-self.predict_cumulative_hazard(X, times, strata))

    def check(self) -> None:  # noqa: D102
        super().check()
        times, steps = self.baseline_times_, self.baseline_hazard_
        fits = len(times) == len(steps) and all(
            np.shape(t) == np.shape(h) and (np.diff(t) > 0).all() for t, h in zip(times, steps, strict=True)
        )
        if not fits or np.shape(self.centre_) != self.coef_.shape or len(times) != (1 if self.strata_ is None else len(self.strata_)):
            raise ValueError("the baseline hazard does not fit the coefficients or the strata")

    def _place(self, strata: Any, n: int) -> NDArray[np.intp]:
        if self.strata_ is None:
            return np.zeros(n, np.intp)
        if strata is None:
            raise DomainError("the model has strata, each with a baseline of its own: pass strata, the stratum of each row")
        known, given = np.asarray(self.strata_), np.broadcast_to(np.asarray(strata), (n,))
        unknown = ~np.isin(given, known)
        if unknown.any():
            i = int(unknown.argmax())
            raise DomainError(f"strata[{i}] is {given[i].item()!r}; allowed: those of training, {', '.join(map(str, known[:6].tolist()))}")
        return np.searchsorted(known, given)

    def _facts(self) -> dict[str, str]:
        strata = "" if self.strata_ is None else f", {len(self.strata_)} strata"
        return {"loss": f"Cox(ties={self.ties!r}){strata}", "events": f"{self.n_events_}"}


def _risk_sets(time: Any, event: Any, entry: Any, strata: Any, sample_weight: Any) -> RiskSets:
    return RiskSets(time, event, entry, strata, weights_of(sample_weight, len(time)))


def _mean(x: Floats, risk: RiskSets) -> Floats:
    """The weighted mean of each column over the rows of x."""
    live = np.zeros(risk.n)
    live[risk.order] = risk.w
    return (live @ x) / live.sum()


def _steps(at: Floats, times: Floats, steps: Floats) -> Floats:
    """The sum of the steps up to each time."""
    return np.concatenate([[0.0], np.cumsum(steps)])[np.searchsorted(times, at, "right")]
