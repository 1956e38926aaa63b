"""Predictions for new rows with intervals: of the mean, and of a new target about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from matchloss.errors import DomainError
from matchloss.linear.inference.frames import as_frame
from matchloss.linear.inference.information import row_variances
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import as_offset

if TYPE_CHECKING:
    from matchloss.linear.inference.inference import Inference
    from matchloss.losses import Loss

NODES = 16  # Gauss-Hermite nodes over the raw prediction's own uncertainty
HALVINGS = 80


@dataclass(frozen=True, eq=False)
class Predictions:
    """A column each, (n,): mean, mean_se, mean_ci_lower, mean_ci_upper, and, where asked for, obs_ci_lower and obs_ci_upper."""

    columns: dict[str, Floats]
    backend: str

    def __getitem__(self, name: str) -> Floats:
        return self.columns[name]

    def frame(self) -> Any:
        """All of them as a frame of the library that X was a frame of."""
        return as_frame(dict(self.columns), self.backend)

    summary_frame = frame


def predictions(
    of: Inference, rows: TableRows, offset: Any, covariance: Floats, quantile: float, alpha: float, observations: bool
) -> Predictions:
    """Predictions of these rows by the covariance of centred coefficients; intervals are `quantile` standard errors to either side."""
    f = of.f
    rows = rows.shifted(of.centre[int(f.intercept) :])
    slots = np.concatenate([np.zeros(int(f.intercept), np.intp), rows.slots])
    wide = np.zeros(rows.width)
    wide[slots] = of.standing.theta
    from matchloss.linear.passes import Matrix

    raw = Matrix(rows).times(wide)
    raw = raw if offset is None else raw + as_offset(offset, rows.n, None)
    se = np.sqrt(np.maximum(row_variances(rows, slots, covariance), 0))
    predict: Callable[[Floats], Floats] = f.loss.predict
    made = {
        "mean": predict(raw),
        "mean_se": se * slope_of_prediction(f.loss, raw),
        "mean_ci_lower": predict(raw - quantile * se),
        "mean_ci_upper": predict(raw + quantile * se),
    }
    if observations:
        made["obs_ci_lower"], made["obs_ci_upper"] = _observations(of, raw, se, quantile, alpha)
    return Predictions(made, of.backend)


def slope_of_prediction(loss: Loss, raw: Floats) -> Floats:
    """d predict / d raw. If the gradient is (predict - target) v(raw), Fisher's h is predict' v, and v what a unit of target changes."""
    if loss.simplified.link_name == "identity":
        return np.ones_like(raw)
    if not (loss.linear_in_target and "fisher" in loss.programs):
        return np.full_like(raw, np.nan)
    low = 0.0 if loss.target_domain.high == 1 else 1.0
    v = loss.gradient(raw, np.full_like(raw, low)) - loss.gradient(raw, np.full_like(raw, low + 1.0))
    return loss.hessian(raw, np.full_like(raw, low), "fisher") / v


def _observations(of: Inference, raw: Floats, se: Floats, quantile: float, alpha: float) -> tuple[Floats, Floats]:
    """Where a new target lies with probability 1 - alpha, its law mixed over the normal law of the raw prediction."""
    loss, phi = of.f.loss.simplified, of.dispersion
    if loss.constant_variance and loss.link_name == "identity":
        wide = quantile * np.sqrt(se**2 + phi)
        return raw - wide, raw + wide
    if loss.family == "binary":
        raise DomainError(f"{of.f.loss!r} gives no interval for a new target, which is 0 or 1: the interval of its mean says all")
    nodes, mass = special.roots_hermitenorm(NODES)
    mean = np.asarray(of.f.loss.predict(raw[:, None] + se[:, None] * nodes))
    law = law_of(loss, mean, phi, "interval for a new target")
    return tuple(_mixed_quantile(law, mass / mass.sum(), q, loss.discrete) for q in (alpha / 2, 1 - alpha / 2))  # pyright: ignore[reportReturnType]


def law_of(loss: Loss, mean: Floats, dispersion: float, what: str) -> Any:
    """The distribution of targets with these means; where there is none, a DomainError says that `what` needs one."""
    try:
        return loss.law(mean, dispersion)
    except NotImplementedError as error:
        raise DomainError(f"{loss!r} has no {what}: {error}") from None


def _mixed_quantile(law: Any, mass: Floats, q: float, whole: bool) -> Floats:
    """The least y at which the mixture's distribution function is q or more, by bisection between the nodes' own quantiles."""
    each = law.ppf(q)
    low, high = each.min(axis=1), each.max(axis=1)
    for _ in range(HALVINGS):
        middle = np.floor((low + high) / 2) if whole else (low + high) / 2
        short = law.cdf(middle[:, None]) @ mass < q
        low, high = np.where(short, middle + 1 if whole else middle, low), np.where(short, high, middle)
        if not (high > low).any():
            break
    return np.maximum(low, high) if whole else high
