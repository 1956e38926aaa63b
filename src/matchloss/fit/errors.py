"""Standard errors of a fit's coefficients, for `fit --summary`: printed, written into the model's file and drawn on the page."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.inference.build import Fit, columns_of, infer_rows
from matchloss.tables.crossfit import RIDGE, in_deviations

if TYPE_CHECKING:
    from matchloss.linear.inference.table import Table
    from matchloss.linear.solve import Solution
    from matchloss.losses import Loss
    from matchloss.models.linear import LinearModels
    from matchloss.tables.target import Target

Floats = NDArray[np.float64]
OF_COUNTS = ("Log-likelihood:", "LL-null:", "AIC:", "BIC:")


@dataclass(frozen=True, eq=False)
class Errors:
    """The summary of a fit to all rows; the usual tiny ridge does not count."""

    table: Table

    def as_facts(self) -> dict[str, Any]:
        """For a model's file: what the head says, and each coefficient's standard error; None where there is none."""
        errors = dict(zip(self.table["name"], self.table["se"].tolist(), strict=True))
        return {
            **{name.rstrip(":").lower(): value for name, value in self.table.facts},
            "notes": " ".join(self.table.notes),
            "standard errors": {name: value if math.isfinite(value) else None for name, value in errors.items()},
        }


def errors_of(models: LinearModels, found: Solution, loss: Loss, l2: float, target: Target, weight: Floats | None, exposed: bool) -> Errors:
    """The standard errors of a linear model of all rows; `exposed`: weights are exposures. DomainError for a loss that has none."""
    rows, coef, ridge = models.rows, np.atleast_2d(found.coef.T), l2 if l2 > RIDGE else 0.0
    unit = np.ones(coef.shape[1])
    if ridge:  # it is one of columns in units of their standard deviations
        rows, unit = in_deviations(rows)
    simplex = loss.family == "simplex"
    design = models.design
    constant = np.atleast_1d(np.asarray(found.intercept, np.float64))
    fit = Fit(loss, coef * unit, constant, True, ridge, design.names, columns_of(design), target.classes, found.diverging)
    values = np.ascontiguousarray(target.values, np.int64 if simplex else np.float64)
    made = infer_rows(fit, rows, values, weight, models.offset, weights="trials" if exposed else "repeat").summary()
    if exposed:  # a rate's likelihood lacks the constants of its count's
        made = replace(made, facts=tuple(fact for fact in made.facts if fact[0] not in OF_COUNTS))
    return Errors(made.rescaled(np.tile(np.append(1.0, unit), len(coef) - 1 or 1)))
