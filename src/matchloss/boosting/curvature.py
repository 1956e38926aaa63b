"""The curvature that trees divide by: a named one times a number, kept apart from the gradient and not implied by the loss.

A host's own objective for the same loss uses some curvature; a table of the host names it, so that ours grows the same trees.
"""

from __future__ import annotations

from dataclasses import dataclass

from matchloss.errors import DomainError
from matchloss.losses import Loss
from matchloss.losses._loss import CATALOGUE

CURVATURES = ("exact", "fisher", "majorizer", "absolute", "unit")


@dataclass(frozen=True)
class Curvature:
    """`factor` times the named curvature of each row.

    exact: the second derivative; fisher: its mean over targets drawn from the prediction; majorizer: one whose parabola lies above the
    loss; absolute: the exact one without its sign (Dauphin et al. 2014); unit: 1, which turns a Newton step into a step down the gradient.
    """

    name: str
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in CURVATURES:
            raise DomainError(f"there is no curvature {self.name!r}; allowed: {', '.join(CURVATURES)}")
        if not 0 < self.factor < float("inf"):
            raise DomainError(f"the factor of the curvature {self.name} is {self.factor!r}; allowed: (0, inf)")

    def __str__(self) -> str:
        return self.name if self.factor == 1 else f"{self.factor:.6g} x {self.name}"


Given = str | tuple[str, float] | Curvature | None  # what a person passes as `curvature=`
Table = dict[str, Curvature]  # by the loss's name, what a host's own objective divides by

EXACT, UNIT = Curvature("exact"), Curvature("unit")


def curvature_of(loss: Loss, table: Table, given: Given = None) -> Curvature | None:
    """The curvature to train with: the one given, or that of the host's table, or a general one that trains.

    None for absolute error and pinball, whose hessian has no stand-in: their leaves must be refitted, which is left to the host's
    own objective. DomainError for a curvature that the loss does not have.

    >>> import matchloss as ml
    >>> str(curvature_of(ml.Huber(), {})), str(curvature_of(ml.Poisson(), {"poisson": Curvature("exact", 2.0)}))
    ('majorizer', '2 x exact')
    """
    if given is None and loss.stand_in == "none" and CATALOGUE.get(loss.name) is type(loss):  # no host has a person's own
        return None
    if given is None:
        return table.get(loss.name) or _general(loss)
    chosen = _as_curvature(given)
    if chosen.name in ("fisher", "majorizer") and chosen.name not in loss.programs:
        has = ", ".join(name for name in CURVATURES if name in ("absolute", "unit") or name in loss.programs)
        raise DomainError(f"{loss!r} has no curvature {chosen.name!r}; allowed: {has}")
    return chosen


def curvature_to_call(loss: Loss, table: Table, given: Given, host: str) -> Curvature:
    """The curvature of an objective for people who call the host themselves; DomainError for a loss whose leaves must be refitted."""
    chosen = curvature_of(loss, table, given)
    if chosen is None:
        raise DomainError(
            f"{loss!r} has no curvature, and its leaves must be renewed: matchloss's estimators leave it to {host}; "
            'curvature="unit" goes down the gradient alone'
        )
    return chosen


def _as_curvature(given: str | tuple[str, float] | Curvature) -> Curvature:
    if isinstance(given, Curvature):
        return given
    if isinstance(given, str):
        return Curvature(given)
    try:
        name, factor = given[0], float(given[1])
    except (TypeError, ValueError, IndexError):
        raise DomainError(f'curvature is {given!r}; allowed: one of {", ".join(CURVATURES)}, or with a factor, as ("exact", 2.0)') from None
    return Curvature(name, factor)


def _general(loss: Loss) -> Curvature:
    if loss.stand_in not in (None, "none"):
        return _as_curvature(loss.stand_in)
    if loss.convex:
        return EXACT
    return Curvature(next((name for name in ("fisher", "majorizer") if name in loss.programs), "absolute"))
