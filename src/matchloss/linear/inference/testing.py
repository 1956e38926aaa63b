"""Tests of hypotheses about coefficients: their statistics and p values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from matchloss.errors import ShapeError
from matchloss.linear.rows import Floats


@dataclass(frozen=True)
class Test:
    """A statistic and how rarely chance alone makes it as large: chi-squared with df degrees of freedom, or F with df and df_denom."""

    __test__ = False  # pytest takes it for a test otherwise
    statistic: float
    df: float
    pvalue: float
    df_denom: float | None = None

    def __str__(self) -> str:
        law = f"chi2({self.df:g})" if self.df_denom is None else f"F({self.df:g}, {self.df_denom:g})"
        return f"{law} = {self.statistic:.6g}, p = {self.pvalue:.4g}"


def chi_squared(statistic: float, df: float) -> Test:
    """A test by the chi-squared distribution."""
    return Test(statistic, df, float(special.chdtrc(df, max(statistic, 0.0))))


def f_test(statistic: float, df: float, df_denom: float) -> Test:
    """A test by the F distribution."""
    return Test(statistic, df, float(special.fdtrc(df, df_denom, max(statistic, 0.0))), df_denom)


def rows_of_hypothesis(R: Any, names: Sequence[str], columns: dict[str, list[int]]) -> Floats:
    """(q, P): R as it is, or a row for each coefficient that it names."""
    if isinstance(R, str) or (isinstance(R, list | tuple) and R and all(isinstance(part, str) for part in R)):
        asked: list[int] = []
        for name in [R] if isinstance(R, str) else R:
            found = [j for j, own in enumerate(names) if own == name] or columns.get(name, [])
            if not found:
                raise ValueError(f'there is no coefficient and no column "{name}"; there are {", ".join([*columns, *names][:12])}')
            asked += found
        return np.eye(len(names))[asked]
    rows = np.atleast_2d(np.asarray(R, np.float64))
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ShapeError(f"R has shape {np.shape(R)}; {len(names)} coefficients ask for ({len(names)},) or (q, {len(names)})")
    return rows
