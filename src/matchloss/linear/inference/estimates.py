"""What follows from estimates and their covariance, whatever was minimised: standard errors, intervals, tests, the summary."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from matchloss.errors import DomainError
from matchloss.linear.inference.table import Table, summary_of
from matchloss.linear.inference.testing import Test, chi_squared, f_test, rows_of_hypothesis
from matchloss.linear.rows import Floats

Kind = Literal["fisher", "observed", "HC0", "HC1", "cluster", "bayes"]
Measure = tuple[str, str]  # what a summary calls a number, and its attribute


class Estimates:
    """Estimates (k,) with names and covariances by `kind`. A subclass gives the attributes and what raises NotImplementedError here."""

    names: tuple[str, ...]
    params: Floats  # (k,)
    kept: NDArray[np.bool_]  # (k,): which of them have a standard error
    columns: dict[str, list[int]]  # the estimates of each column of X
    kind: Kind
    title: str
    facts: dict[str, str]
    notes: tuple[str, ...]
    backend: str  # the library of frames that the person uses
    counted: str = "Observations:"  # what nobs counts

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The numbers at the head of a summary."""
        return ("Log-likelihood:", "llf"), ("LL-null:", "llnull"), ("AIC:", "aic"), ("BIC:", "bic")

    @property
    def aic(self) -> float:
        """2 fitted - 2 llf."""
        return 2 * self.fitted - 2 * self.llf

    @property
    def bic(self) -> float:
        """log(nobs) fitted - 2 llf."""
        return float(np.log(self.nobs) * self.fitted - 2 * self.llf)

    @property
    def df_resid(self) -> float:
        """nobs - fitted."""
        return self.nobs - self.fitted

    @property
    def bse(self) -> Floats:
        """Standard errors (k,): the square roots of the diagonal of covariance()."""
        return self._errors(None, None)

    @property
    def tvalues(self) -> Floats:
        """params / bse: z, or t where the dispersion was estimated."""
        return self.params / self.bse

    @property
    def pvalues(self) -> Floats:
        """Two-sided p values of tvalues."""
        return self._two_sided(self.tvalues, self.kind)

    def conf_int(self, alpha: float = 0.05, kind: Kind | None = None, groups: Any = None) -> Floats:
        """Intervals (k, 2) that hold a coefficient with probability 1 - alpha."""
        check_alpha(alpha)
        wide = self._quantile(alpha, kind) * self._errors(kind, groups)
        return np.column_stack([self.params - wide, self.params + wide])

    def wald_test(self, R: Any, r: Any = 0.0, kind: Kind | None = None, groups: Any = None) -> Test:
        """Test whether R params = r: by chi-squared, or by F where the dispersion was estimated.

        `R`: a row (k,) or rows (q, k) of numbers; or the name of a coefficient, or of a column of X, or a list of these, to test whether
        all their coefficients are 0 (or `r`). ValueError for names that are not there, and for coefficients without a standard error.
        """
        kind = self.kind if kind is None else kind
        rows = rows_of_hypothesis(R, self.names, self.columns)
        used = (rows != 0).any(axis=0)
        if not self.kept[used].all():
            which = ", ".join(name for name, bad in zip(self.names, used & ~self.kept, strict=True) if bad)
            raise ValueError(f"no standard error, and so no test: {which}")
        covariance = np.nan_to_num(self.covariance(kind, groups))
        away, middle = rows @ self.params - r, rows @ covariance @ rows.T
        try:
            statistic = float(away @ linalg.solve(middle, away, assume_a="pos"))
        except linalg.LinAlgError:
            raise ValueError("the hypotheses in R are not independent of each other, or the covariance has too low a rank") from None
        if self._by_t(kind):
            return f_test(statistic / len(rows), len(rows), self.df_resid)
        return chi_squared(statistic, len(rows))

    def summary(self, alpha: float = 0.05) -> Table:
        """Coefficients with standard errors, z or t, p values and intervals, printed as by statsmodels; `.frame()` gives a frame."""
        check_alpha(alpha)
        return summary_of(self, alpha)

    # ---- what a kind of fit says ----

    @property
    def nobs(self) -> float:
        """How many observations there are."""
        raise NotImplementedError

    @property
    def fitted(self) -> int:
        """The number of coefficients that were fitted, intercepts included."""
        raise NotImplementedError

    @property
    def intercepts(self) -> int:
        """How many of them are intercepts."""
        return 0

    @property
    def df_model(self) -> int:
        """The number of coefficients besides intercepts, as in statsmodels."""
        return self.fitted - self.intercepts

    @property
    def llf(self) -> float:
        """The log-likelihood."""
        raise NotImplementedError

    def covariance(self, kind: Kind | None = None, groups: Any = None) -> Floats:
        """The covariance (k, k) by `kind`, by default the one that this object was made with."""
        raise NotImplementedError

    # ---- underneath ----

    def _by_t(self, kind: str | None) -> bool:
        """Whether a dispersion was estimated, so that t and F take the place of z and chi-squared."""
        return False

    def _quantile(self, alpha: float, kind: str | None) -> float:
        return float(special.stdtrit(self.df_resid, 1 - alpha / 2) if self._by_t(kind) else special.ndtri(1 - alpha / 2))

    def _two_sided(self, t: Floats, kind: str | None) -> Floats:
        return 2 * (special.stdtr(self.df_resid, -np.abs(t)) if self._by_t(kind) else special.ndtr(-np.abs(t)))

    def _errors(self, kind: Kind | None, groups: Any) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diagonal(self.covariance(kind, groups)))


def check_alpha(alpha: float) -> None:
    """DomainError for an alpha that is not a probability."""
    if not 0 < alpha < 1:
        raise DomainError(f"alpha is {alpha!r}; allowed: a number between 0 and 1, 0.05 for intervals of 95 %")
