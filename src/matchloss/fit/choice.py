"""Which loss a target gets where none is named, and why, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from matchloss.tables.errors import DataError
from matchloss.tables.losses import check_suits, get_loss, tune

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matchloss.losses import Loss
    from matchloss.tables.target import As, Target

COUNTING = ("poisson", "negative_binomial")
ZEROS = 0.05  # share of rows
SKEWED = 1.0  # third standardised moment


def named(name: str | None, parameters: Mapping[str, float]) -> Loss | None:
    """The loss that the person asked for, None where they did not; DataError for what there is none of."""
    if name is None:
        if parameters:
            raise DataError(f"--param {next(iter(parameters))} needs --loss: parameters are those of a loss")
        return None
    return get_loss(name, parameters)


def as_what(loss: Loss | None, counts: bool, label: bool) -> As | None:
    """What the target must be for this loss; None where its column decides."""
    if counts:
        return "count"
    if label or (loss is not None and loss.kind == "simplex"):
        return "label"
    if loss is None or loss.kind == "binary":
        return None
    return "count" if loss.name in COUNTING else "number"


def settle(loss: Loss | None, given: Mapping[str, float], target: Target, training: NDArray[np.generic]) -> tuple[Loss, str, Target]:
    """The loss to fit, why it is this one, and the target as it is then taken.

    A number is fitted by squared error, a count by Poisson, two labels by the logistic loss, more by cross entropy. Huber's delta and
    the negative binomial's size come from the training target where they were not given.
    """
    if loss is None:
        return _usual(target)
    check_suits(loss, target)
    if given:
        return loss, f"{loss.name}, as --loss says, with {_parameters(loss)}.", target
    loss, note = tune(loss, training)
    if note:
        return loss, f"{loss.name}, as --loss says; {note}.", target
    rest = f", with {_parameters(loss)}, since --param does not say otherwise" if loss.parameters else ""
    return loss, f"{loss.name}, as --loss says{rest}.", target


def _usual(target: Target) -> tuple[Loss, str, Target]:
    if target.kind == "binary":
        return get_loss("logistic"), f"logistic, since {target.name} has two classes.", target
    if target.kind == "multiclass":
        return get_loss("cross_entropy"), f"cross_entropy, since {target.name} has {len(target.classes)} classes.", target
    if target.kind == "count":
        return get_loss("poisson"), f"poisson, since {target.name} is a count.", target
    values = np.asarray(target.values, dtype=np.float64)
    whole = bool(values.min() >= 0) and bool((values == np.floor(values)).all())
    if whole and _like_counts(values):
        zeros = f"whole numbers from 0 to {values.max():g}, {np.mean(values == 0):.0%} of them 0, with a long tail"
        why = f"poisson, since {target.name} looks like a count: {zeros}; --loss squared_error takes it as a plain number."
        return get_loss("poisson"), why, replace(target, kind="count")
    aside = "; --counts says that its whole numbers count something" if whole else ""
    return get_loss("squared_error"), f"squared_error, since {target.name} is a number{aside}.", target


def _like_counts(values: NDArray[np.float64]) -> bool:
    """Whole numbers from 0 up, not seldom 0, with a long tail: the look of events counted."""
    spread = float(values.std())
    return bool(np.mean(values == 0) >= ZEROS) and float(np.mean(((values - values.mean()) / spread) ** 3)) > SKEWED


def _parameters(loss: Loss) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in loss.parameters.items())
