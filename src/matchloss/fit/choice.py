"""Chooses a loss for a target if none is named, with a sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from matchloss.tables.errors import DataError
from matchloss.tables.losses import CANDIDATES, check_suits, get_loss, named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matchloss.losses import Loss, TargetKind
    from matchloss.tables.target import As, Target

TAKEN_AS: dict[TargetKind, As | None] = {"number": "number", "count": "count", "multiclass": "label", "binary": None}
ZEROS = 0.05  # share of rows
SKEWED = 1.0  # third standardised moment


def asked_for(name: str | Loss | None, parameters: Mapping[str, float]) -> tuple[Loss | None, bool]:
    """The loss that the person asked for, None where they did not, and whether its parameters are settled; DataError for no loss."""
    if name is None:
        if parameters:
            raise DataError(f"--param {next(iter(parameters))} needs --loss: parameters are those of a loss")
        return None, False
    loss = get_loss(name, parameters)
    return loss, bool(loss.parameters) and (bool(parameters) or named(name) is loss)


def as_what(loss: Loss | None, counts: bool, label: bool) -> As | None:
    """What the target must be for this loss; None where its column decides."""
    if counts:
        return "count"
    if label:
        return "label"
    return None if loss is None else TAKEN_AS[loss.suits[0]]


def settle(loss: Loss | None, settled: bool, target: Target, training: NDArray[np.generic]) -> tuple[Loss, str, Target]:
    """The loss to fit, why it is this one, and the target as it is then taken.

    Where none was named it is the first of the usual ones for the kind of target. A loss that can, such as Huber's, takes its parameters
    from the training target where they were not given.
    """
    if loss is None:
        return _usual(target)
    check_suits(loss, target)
    if settled:
        return loss, f"{loss.name}, as --loss says, with {_parameters(loss)}.", target
    loss, note = loss.tuned_to(training)
    if note:
        return loss, f"{loss.name}, as --loss says; {note}.", target
    rest = f", with {_parameters(loss)}, since --param does not say otherwise" if loss.parameters else ""
    return loss, f"{loss.name}, as --loss says{rest}.", target


def _usual(target: Target) -> tuple[Loss, str, Target]:
    name = CANDIDATES[target.kind][0]
    if target.kind != "number":
        classes = "two" if target.kind == "binary" else len(target.classes)
        why = f"{target.name} is a count" if target.kind == "count" else f"{target.name} has {classes} classes"
        return get_loss(name), f"{name}, since {why}.", target
    values = np.asarray(target.values, dtype=np.float64)
    whole = bool(values.min() >= 0) and bool((values == np.floor(values)).all())
    if whole and _like_counts(values):
        zeros = f"whole numbers from 0 to {values.max():g}, {np.mean(values == 0):.0%} of them 0, with a long tail"
        counting = CANDIDATES["count"][0]
        why = f"{counting}, since {target.name} looks like a count: {zeros}; --loss {name} takes it as a plain number."
        return get_loss(counting), why, replace(target, kind="count")
    aside = "; --counts says that its whole numbers count something" if whole else ""
    return get_loss(name), f"{name}, since {target.name} is a number{aside}.", target


def _like_counts(values: NDArray[np.float64]) -> bool:
    """Whether these look like counts of events: whole numbers >= 0, often 0, with a long tail."""
    spread = float(values.std())
    return bool(np.mean(values == 0) >= ZEROS) and float(np.mean(((values - values.mean()) / spread) ** 3)) > SKEWED


def _parameters(loss: Loss) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in loss.parameters.items())
