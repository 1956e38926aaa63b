"""The loss that a person names: found, held against the target, its parameter chosen from the training rows where none was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import matchloss as ml
from matchloss.errors import DomainError
from matchloss.tables.errors import DataError
from matchloss.tables.scores import Kind
from matchloss.tables.target import Target
from matchloss.tables.words import suggest

if TYPE_CHECKING:
    from matchloss.losses import Loss

CANDIDATES: dict[Kind, tuple[str, ...]] = {
    "number": ("squared_error", "absolute_error", "huber", "log_cosh", "quartic", "sine_squared"),
    "binary": ("logistic", "sigmoid_brier", "binary_brier", "binary_spherical", "hinge"),
    "multiclass": ("cross_entropy", "softmax_brier", "softmax_spherical", "sparsemax", "spherical"),
    "count": ("poisson", "negative_binomial", "squared_error"),
}
MAD_TO_SD = 1.4826  # the median absolute deviation of a normal law, times this, is its standard deviation
POISSON_LIKE = 1e6  # a negative binomial of this size is a Poisson law to all intents


def get_loss(name: str, parameters: Mapping[str, float] | None = None) -> Loss:
    """The loss of that name or alias; DataError, with the nearest name, if there is none or it has no such parameter.

    >>> get_loss("quantile", {"alpha": 0.9})
    Pinball(alpha=0.9)
    """
    given = dict(parameters or {})
    try:
        plain = ml.get(name)
    except (KeyError, ValueError, TypeError) as error:
        near = suggest(name, [str(row["name"]) for row in ml.losses()])
        raise DataError(f"there is no loss {name}{near or '; `matchloss losses` lists them all'}") from error
    for parameter in given:
        if parameter not in plain.parameters:
            has = ", ".join(plain.parameters)
            near = suggest(parameter, plain.parameters)
            raise DataError(f"{plain.name} has no parameter {parameter}{near or (f'; it has {has}' if has else '; it has none')}")
    try:
        return ml.get(name, **given)
    except DomainError as error:
        raise DataError(str(error)) from error


def check_suits(loss: Loss, target: Target) -> None:
    """DataError for a loss that is not defined for the target."""
    labels = target.kind in ("binary", "multiclass")
    simplex = loss.kind == "simplex"
    if labels and not (simplex or (target.kind == "binary" and loss.kind == "binary")):
        raise DataError(f"{loss.name} is no loss for {len(target.classes)} labels; {_default(target.kind)} are")
    if not labels:
        values = np.asarray(target.values, dtype=np.float64)
        outside = simplex or not all(float(end) in loss.target_domain for end in (values.min(), values.max()))
        if outside:
            allowed = "labels" if simplex else f"targets in {loss.target_domain}"
            raise DataError(f"{loss.name} is for {allowed}; {target.name} goes from {values.min():g} to {values.max():g}")


def tune(loss: Loss, training: NDArray[np.generic]) -> tuple[Loss, str]:
    """Huber and negative binomial with the parameter that suits the training target, and a note that says so; others as they are."""
    if loss.name == "huber":
        return _huber(np.asarray(training, dtype=np.float64))
    if loss.name == "negative_binomial":
        return _negative_binomial(np.asarray(training, dtype=np.float64))
    return loss, ""


def _default(kind: Kind) -> str:
    *first, last = CANDIDATES[kind]
    return f"{', '.join(first)} and {last}"


def _huber(y: NDArray[np.float64]) -> tuple[Loss, str]:
    mad = float(np.median(np.abs(y - np.median(y))))
    scale, what = MAD_TO_SD * mad, f"1.345 x {MAD_TO_SD} x the median absolute deviation {mad:.5g}"
    if scale == 0:  # more than half of the targets are equal
        scale = float(y.std()) or 1.0
        what = "1.345 x the standard deviation (the median absolute deviation is 0)"
    delta = float(f"{1.345 * scale:.6g}")
    return ml.get("huber", delta=delta), f"delta = {delta:g}: {what}"


def _negative_binomial(y: NDArray[np.float64]) -> tuple[Loss, str]:
    mean, excess = float(y.mean()), float(y.var() - y.mean())
    if excess <= mean**2 / POISSON_LIKE:
        return ml.get("negative_binomial", size=POISSON_LIKE), f"size = {POISSON_LIKE:g}: the variance does not exceed the mean"
    size = float(f"{mean**2 / excess:.6g}")
    return ml.get("negative_binomial", size=size), f"size = {size:g}: mean^2 / (variance - mean)"
