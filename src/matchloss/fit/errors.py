"""Standard errors of a fit's coefficients, for `fit --summary`: printed, written into the model's file and drawn on the page."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.inference.build import Fit, columns_of, infer_rows
from matchloss.linear.inference.outside import infer_source
from matchloss.tables.crossfit import RIDGE, in_deviations

if TYPE_CHECKING:
    from matchloss.linear.inference.inference import Inference
    from matchloss.linear.inference.information import Weights
    from matchloss.linear.inference.table import Table
    from matchloss.linear.plan import Design
    from matchloss.linear.solve import Solution
    from matchloss.linear.sources.compact import Compact
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
    ridge = _ridge(l2)
    rows, unit = in_deviations(models.rows) if ridge else (models.rows, None)
    values = np.ascontiguousarray(target.values, np.int64 if loss.family == "simplex" else np.float64)
    fit = _fit(loss, found, ridge, unit, models.design, target.classes)
    return _errors(infer_rows(fit, rows, values, weight, models.offset, weights=_meaning(exposed)), unit, exposed)


def errors_outside(
    source: Compact, found: Solution, loss: Loss, l2: float, design: Design, classes: tuple[str, ...], exposed: bool
) -> Errors:
    """The same for rows in files or on a cluster, in one more pass over them."""
    ridge = _ridge(l2)
    source, unit = source.in_deviations() if ridge else (source, None)
    return _errors(infer_source(_fit(loss, found, ridge, unit, design, classes), source, _meaning(exposed)), unit, exposed)


def _ridge(l2: float) -> float:
    """The ridge if it is one that was asked for; it is of columns in units of their standard deviations."""
    return l2 if l2 > RIDGE else 0.0


def _meaning(exposed: bool) -> Weights:
    return "trials" if exposed else "repeat"


def _fit(loss: Loss, found: Solution, ridge: float, unit: Floats | None, design: Design, classes: tuple[str, ...]) -> Fit:
    coef = np.atleast_2d(found.coef.T)
    constant = np.atleast_1d(np.asarray(found.intercept, np.float64))
    scaled = coef if unit is None else coef * unit
    return Fit(loss, scaled, constant, True, ridge, design.names, columns_of(design), classes, found.diverging)


def _errors(made: Inference, unit: Floats | None, exposed: bool) -> Errors:
    table = made.summary()
    if exposed:  # a rate's likelihood lacks the constants of its count's
        table = replace(table, facts=tuple(fact for fact in table.facts if fact[0] not in OF_COUNTS))
    if unit is not None:
        table = table.rescaled(np.tile(np.append(1.0, unit), len(made.params) // (len(unit) + 1)))
    return Errors(table)
