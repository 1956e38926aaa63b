"""What is known of a fit besides its coefficients, under the names of statsmodels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from matchloss.errors import DomainError
from matchloss.linear.inference.estimates import Estimates, Kind, Measure, check_alpha
from matchloss.linear.inference.information import Standing, clusters_of
from matchloss.linear.inference.prediction import Predictions, predictions
from matchloss.linear.inference.residuals import residuals
from matchloss.linear.inference.testing import Test, chi_squared, f_test
from matchloss.linear.metric import DEPENDENT, POTRF, POTRS, pivoted
from matchloss.linear.newton import newton
from matchloss.linear.objective import Log, Objective
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import blas_on_one_thread

MODEL = ("fisher", "observed", "bayes")  # kinds that trust the loss as a likelihood
KINDS: tuple[Kind, ...] = ("fisher", "observed", "HC0", "HC1", "cluster", "bayes")


@dataclass(eq=False)
class Inference(Estimates):
    """Standard errors, tests and intervals of a fitted model on the rows it was fitted to. `model.inference(X, y)` makes it.

    Let g and h be a row's gradient and second derivative in its raw prediction, A = X' diag(h) X + the ridge's second derivatives,
    and phi the dispersion. The covariance of each `kind`:
    "fisher"    phi A^-1, with h averaged over targets; with a ridge phi A^-1 H A^-1, H = A without the ridge
    "observed"  the same with h itself
    "bayes"     phi A^-1: with a ridge, the posterior covariance under the normal prior that the ridge stands for
    "HC0"       A^-1 (X' diag(g^2) X) A^-1, right for any distribution of the target about its mean; "HC1" is that times n / (n - p)
    "cluster"   A^-1 (sum over groups of s s') A^-1, s a group's sum of gradients, times G / (G - 1) * (n - 1) / (n - p)
    `names` names the coefficients, the intercept first. With K classes they are contrasts with the first class, class by class.
    A coefficient that is not determined (a collinear column) or has no finite best (a separated level) has the error NaN; `notes` says so.
    Sources: McCullagh and Nelder (1989); White (1980); Liang and Zeger (1986).

    >>> import numpy as np
    >>> from matchloss.linear import LinearRegressor
    >>> x, y = np.arange(6.0)[:, None], np.array([1, 0, 3, 2, 6, 9])
    >>> found = LinearRegressor("poisson", tol=1e-12).fit(x, y).inference(x, y)
    >>> found.names, found.bse.round(4), round(found.aic, 4)
    (('intercept', 'x0'), array([0.6633, 0.1624]), 22.8138)
    >>> found.covariance("HC0").round(4)
    array([[ 0.2579, -0.0551],
           [-0.0551,  0.0119]])
    >>> print(found.wald_test("x0"))
    chi2(1) = 11.2678, p = 0.0007886
    """

    standing: Standing
    names: tuple[str, ...]
    params: Floats  # (P M,), of the columns as they are
    centre: Floats  # (P,): what the rows subtract from each column
    kept: NDArray[np.bool_]  # (P M,): which coefficients have a standard error, collinear and diverging ones not
    independent: NDArray[np.bool_]  # (P,): which columns are no combinations of others
    title: str
    facts: dict[str, str]  # the loss, the target's name, what weights mean, ...
    rows: NDArray[np.intp] | None = None  # the rows that count, if some have the weight 0
    given: int = 0  # how many rows were given
    backend: str = ""  # the library of frames that the person uses
    kind: Kind = "fisher"
    groups: Any = None
    notes: tuple[str, ...] = ()
    reads: Callable[[Any, Any], tuple[TableRows, Any]] | None = None  # the rows of new data and their offset, as the model reads them
    columns: dict[str, list[int]] = field(default_factory=dict)  # the coefficients of each column of X
    _covariances: dict[str, Floats] = field(default_factory=dict, repr=False)

    # ---- how well the model fits ----

    @property
    def measures(self) -> tuple[Measure, ...]:  # noqa: D102
        if not self.f.loss.simplified.likelihood:
            return ()
        likelihood, criteria = super().measures[:2], super().measures[2:]
        return *likelihood, ("Deviance:", "deviance"), ("Pearson chi2:", "pearson_chi2"), ("Dispersion:", "dispersion"), *criteria

    @property
    def f(self) -> Objective:
        """What was minimised."""
        return self.standing.f

    @cached_property
    def nobs(self) -> float:
        """The sum of the weights where these repeat rows, otherwise the number of rows."""
        return self.f.total if self.standing.weights == "repeat" else float(self.f.rows.n)

    @property
    def fitted(self) -> int:  # noqa: D102
        return int(self.independent.sum()) * (self.standing.size // self.f.size)

    @property
    def intercepts(self) -> int:  # noqa: D102
        return self.standing.size // self.f.size if self.f.intercept else 0

    @cached_property
    def pearson_chi2(self) -> float:
        """Pearson's sum of squared errors over variances, sum w g^2 / h by Fisher's h: no variance function is needed."""
        self._as_likelihood("pearson_chi2")
        if self.f.outputs is not None:
            p = np.asarray(self.f.loss.predict(self.standing.raw))
            target = np.eye(p.shape[1])[self.f.target] if self.f.target.ndim == 1 else self.f.target
            return float(self._weighted(((target - p) ** 2 / p).sum(axis=1)))
        return float(np.sum(self.standing.slope**2 / self.standing.curve("fisher")))

    @cached_property
    def dispersion(self) -> float:
        """phi: 1 for a loss that is a complete likelihood (counts, labels), otherwise pearson_chi2 / df_resid. NaN unless df_resid > 0."""
        if self._as_likelihood("the dispersion") == "whole":
            return 1.0
        return self.pearson_chi2 / self.df_resid if self.df_resid > 0 else np.nan

    @cached_property
    def deviance(self) -> float:
        """Twice the sum of the divergences: for squared error, the residual sum of squares."""
        return 2 * self._weighted(self.f.loss.divergence(self.standing.raw, self.f.target))

    @cached_property
    def llf(self) -> float:
        """The log-likelihood, constants included. For squared error it takes the likeliest dispersion, as R and statsmodels do; for other
        amounts it takes `dispersion`, as statsmodels' GLM does.
        """
        return self._llf(float(self.standing.jet.value.sum()), lambda: self.deviance)

    @cached_property
    def llnull(self) -> float:
        """The log-likelihood of the intercept (and the offset) alone."""
        f = self.f
        raw = null_raw(f)
        return self._llf(self._weighted(f.loss.value(raw, f.target)), lambda: 2 * self._weighted(f.loss.divergence(raw, f.target)))

    # ---- how sure the coefficients are ----

    def covariance(self, kind: Kind | None = None, groups: Any = None) -> Floats:
        """The covariance (P M, P M) of the coefficients by `kind`, by default the one that this object was made with.

        `groups`: a label a row of X, for "cluster". DomainError for a kind that the loss does not have.
        """
        kind = self.kind if kind is None else kind
        groups = self.groups if groups is None else groups
        held = kind != "cluster" or groups is self.groups
        if not (held and kind in self._covariances):
            made = self._centred_covariance(kind, groups)
            if not held:
                return self._uncentred(made)
            self._covariances[kind] = made
        return self._uncentred(self._covariances[kind])

    def using(self, kind: Kind, groups: Any = None) -> Inference:
        """The same with another kind of covariance for everything that follows: bse, summary, tests, intervals."""
        self.covariance(kind, groups)
        return replace(self, kind=kind, groups=groups, _covariances={})

    def lr_test(self, smaller: Inference) -> Test:
        """Test by the likelihood ratio whether the coefficients that a `smaller` model lacks are 0.

        Both are fits to the same rows, without a ridge. Chi-squared of twice the difference of log-likelihoods; where the dispersion is
        estimated, F of the deviances, by this model's dispersion.
        """
        if self.f.l2 or smaller.f.l2:
            raise ValueError("a likelihood ratio compares optima of the likelihood; a fit with a ridge is not one: use wald_test")
        if not np.isclose(self.nobs, smaller.nobs) or repr(self.f.loss) != repr(smaller.f.loss):
            raise ValueError("the two models differ in their loss or their rows")
        more = self.fitted - smaller.fitted
        if more <= 0:
            raise ValueError(f"the smaller model has {smaller.fitted} coefficients, this one {self.fitted}")
        if self._as_likelihood("lr_test") == "whole":
            return chi_squared(smaller.deviance - self.deviance, more)
        return f_test((smaller.deviance - self.deviance) / more / self.dispersion, more, self.df_resid)

    def get_prediction(
        self, X: Any, offset: Any = None, *, alpha: float = 0.05, observations: bool = False, kind: Kind | None = None, groups: Any = None
    ) -> Predictions:
        """Predictions for new rows with intervals: of the mean (mean, mean_se, mean_ci_lower, mean_ci_upper), and with `observations`
        of a new target (obs_ci_lower, obs_ci_upper), which varies about the mean as the likelihood of the loss says.
        """
        check_alpha(alpha)
        if self.f.outputs is not None:
            raise ValueError("intervals of predictions are there for one raw prediction a row, not yet for more than two classes")
        kind = self.kind if kind is None else kind
        groups = self.groups if groups is None else groups
        assert self.reads is not None
        rows, offset = self.reads(X, offset)
        return predictions(self, rows, offset, self._centred_covariance(kind, groups), self._quantile(alpha, kind), alpha, observations)

    def residuals(self, kind: str = "deviance", seed: int = 0) -> Floats:
        """Residuals of the rows of positive weight, (n,): "response" (target less prediction), "pearson" (divided by the standard
        deviation of the target, leaving out the dispersion), "deviance" (whose squares sum to the deviance), or "quantile": normal if the
        distribution is right, for counts and labels too; within a step of a discrete distribution a random number, from `seed`, decides.
        """
        return residuals(self, kind, seed)

    # ---- underneath ----

    def _as_likelihood(self, what: str) -> str:
        found = self.f.loss.simplified.likelihood
        if not found:
            raise DomainError(f"{self.f.loss!r} is not a likelihood: it has no {what}; HC0, HC1 and cluster covariances hold for it too")
        return found

    def _by_t(self, kind: str | None) -> bool:
        return (self.kind if kind is None else kind) in MODEL and self.f.loss.simplified.likelihood == "scaled"

    def _weighted(self, each: Any) -> float:
        return float(np.sum(each) if self.f.weight is None else self.f.weight @ each)

    def _llf(self, value: float, deviance: Callable[[], float]) -> float:
        """The log-likelihood from the weighted sum of values; the deviance is asked for where the dispersion comes from it."""
        f, loss, weight = self.f, self.f.loss.simplified, self.f.weight
        scaled = self._as_likelihood("log-likelihood") == "scaled"
        phi = (deviance() / self.nobs if loss.constant_variance else self.dispersion) if scaled else 1.0
        if weight is None:
            base = loss.log_base(f.target, phi)
        elif self.standing.weights == "repeat":
            base = weight * loss.log_base(f.target, phi)
        elif scaled:
            base = loss.log_base(f.target, phi / weight)
        elif loss.family == "binary":  # w trials, of which w y were 1
            ones = weight * f.target
            base = special.gammaln(weight + 1) - special.gammaln(ones + 1) - special.gammaln(weight - ones + 1)
        else:
            base = weight * loss.log_base(f.target, 1.0)
        return float(np.sum(base)) - value / phi

    def _centred_covariance(self, kind: Kind, groups: Any) -> Floats:
        """Of the coefficients of centred columns; 0 for collinear ones."""
        if kind not in KINDS:
            raise DomainError(f"the kind of covariance is {kind!r}; allowed: {', '.join(KINDS)}")
        if kind in MODEL:
            self._as_likelihood(f'"{kind}" covariance')
            found = self.standing.observed if kind == "observed" else self.standing.expected
            inverse = self._bread if found is self.standing.observed else self._inverse(found)
            if not self.f.l2:
                return self.dispersion * inverse
            return self.dispersion * (inverse if kind == "bayes" else inverse @ found @ inverse)
        inverse, n, p = self._bread, self.nobs, self.fitted
        if kind == "HC0":
            return inverse @ self._meat @ inverse
        if n <= p:
            raise DomainError(f'"{kind}" divides by n - p; there are {n:g} rows and {p} coefficients')
        if kind == "HC1":
            return inverse @ self._meat @ inverse * (n / (n - p))
        cluster, count = clusters_of(groups, self.given, self.rows)
        return inverse @ self.standing.clustered(cluster, count) @ inverse * (count / (count - 1) * (n - 1) / (n - p))

    @cached_property
    def _bread(self) -> Floats:
        return self._inverse(self.standing.observed)

    @cached_property
    def _meat(self) -> Floats:
        return self.standing.meat()

    def _inverse(self, information: Floats) -> Floats:
        """The inverse, the ridge added, on the columns that are no combinations of others, 0 elsewhere; scaled to a unit diagonal, as
        metric.py does.
        """
        matrix, found = information + self.standing.penalty if self.f.l2 else information, np.zeros_like(information)
        diagonal = np.diagonal(matrix)
        columns = np.flatnonzero(np.tile(self.independent, len(diagonal) // len(self.independent)) & (diagonal > 0))
        scale = 1 / np.sqrt(diagonal[columns])
        scaled = matrix[np.ix_(columns, columns)] * scale * scale[:, None]
        with blas_on_one_thread():
            factor, failed = POTRF(scaled, lower=1)
            if failed:  # what diverges may leave nothing of a column's curvature
                factor, order, _ = pivoted(scaled, DEPENDENT)
                if not len(order) or (np.linalg.eigvalsh(scaled)[0] < -1e-8):
                    raise DomainError(
                        'the observed second derivatives are not positive definite: these coefficients are no minimum; kind="fisher" may do'
                    ) from None
                columns, scale = columns[order], scale[order]
                self.kept = self.kept & np.isin(np.arange(len(self.kept)), columns)
            inverse = POTRS(factor, np.diag(scale), lower=1)[0] * scale[:, None]
        found[np.ix_(columns, columns)] = inverse
        return found

    def _uncentred(self, covariance: Floats) -> Floats:
        """Of the coefficients of the columns as they are, NaN for those without a standard error."""
        made = covariance
        if self.f.intercept and self.centre.any():  # the intercept is the centred one less centre @ coef
            own = np.eye(self.f.size)
            own[0] = np.append(1.0, -self.centre[1:])
            back = np.kron(np.eye(self.standing.size // self.f.size), own)
            made = back @ covariance @ back.T
        made = made.copy()
        made[~self.kept], made[:, ~self.kept] = np.nan, np.nan
        return made


def null_raw(f: Objective) -> Floats:
    """The raw predictions of the best model that has only an intercept and the offset."""
    if f.offset is None:
        more = {} if f.outputs is None else {"n_classes": f.outputs}
        constant = f.loss.best_constant(f.target, f.weight, **more)
        return np.broadcast_to(constant, (f.rows.n, *np.shape(constant))).copy()
    alone = replace(f, source=replace(f.memory, rows=replace(f.rows, slots=f.rows.slots[:0])), l2=0.0, intercept=True, left_out=())
    return alone.raw(newton(alone, alone.start(), 1e-12, Log(50)).at.theta)


def names_of(names: Sequence[str], intercept: bool, outputs: Sequence[str]) -> tuple[str, ...]:
    """The names of coefficients; with several classes class by class."""
    each = [*(["intercept"] if intercept else []), *names]
    return tuple(each) if not outputs else tuple(f"{label}: {name}" for label in outputs for name in each)
