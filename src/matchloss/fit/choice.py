"""Chooses a loss for a target if none is named, with a sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matchloss.tables.errors import DataError
from matchloss.tables.losses import CANDIDATES, check_suits, get_loss, named

if TYPE_CHECKING:
    from matchloss.losses import Loss
    from matchloss.tables.target import Target


def asked_for(name: str | Loss | None, parameters: Mapping[str, float]) -> tuple[Loss | None, bool]:
    """The loss that the person asked for, None where they did not, and whether its parameters are settled; DataError for no loss."""
    if name is None:
        if parameters:
            raise DataError(f"--param {next(iter(parameters))} needs --loss: parameters are those of a loss")
        return None, False
    loss = get_loss(name, parameters)
    return loss, bool(loss.parameters) and (bool(parameters) or named(name) is loss)


def settle(loss: Loss | None, settled: bool, target: Target) -> tuple[Loss, str]:
    """The loss to fit, and why it is this one.

    Where none was named it is the first of the usual ones for the kind of target. A loss that can, such as Huber's, takes its parameters
    from the target where they were not given.
    """
    if loss is None:
        return _usual(target)
    check_suits(loss, target)
    if settled:
        return loss, f"{loss.name}, as --loss says, with {_parameters(loss)}."
    loss, note = loss.tuned_to(target.values)
    if note:
        return loss, f"{loss.name}, as --loss says; {note}."
    rest = f", with {_parameters(loss)}, since --param does not say otherwise" if loss.parameters else ""
    return loss, f"{loss.name}, as --loss says{rest}."


def _usual(target: Target) -> tuple[Loss, str]:
    name = CANDIDATES[target.kind][0]
    classes = "two" if target.kind == "binary" else len(target.classes)
    what = {"number": "is a number", "count": "is a count"}.get(target.kind, f"has {classes} classes")
    return get_loss(name), f"{name}, since {target.name} {what}."


def _parameters(loss: Loss) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in loss.parameters.items())
