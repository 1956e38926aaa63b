"""The loss that a person names, or the usual ones for a target: found by what their classes say, and held against the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import numpy as np

import matchloss as ml
from matchloss.errors import DomainError
from matchloss.losses import Interval, TargetKind
from matchloss.losses.catalogue import in_order
from matchloss.tables.errors import DataError
from matchloss.tables.target import Target
from matchloss.tables.words import suggest

if TYPE_CHECKING:
    from matchloss.losses import Loss


def usual(kind: TargetKind) -> tuple[str, ...]:
    """The losses that a kind of target gets where none is named, by their `usual_for`; the first of them where one is wanted.

    First those for which it is the likeliest kind, and of these the ones behind the first one's link; else in the catalogue's order.

    >>> usual("count")
    ('poisson', 'negative_binomial', 'squared_error')
    """
    found = sorted((cls for cls in in_order() if kind in cls.usual_for), key=lambda cls: cls.usual_for.index(kind))
    own = found[0].link_name
    found.sort(key=lambda cls: (cls.usual_for.index(kind), cls.link_name != own))
    return tuple(cls.name for cls in found)


CANDIDATES = {kind: usual(kind) for kind in get_args(TargetKind)}


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
    if target.classes:
        if target.kind not in loss.suits:
            raise DataError(f"{loss.name} is no loss for {len(target.classes)} labels; {_default(target.kind)} are")
        return
    domain, values = loss.target_domain, np.asarray(target.values, dtype=np.float64)
    labels = not isinstance(domain, Interval)
    if labels or not all(float(end) in domain for end in (values.min(), values.max())):
        allowed = "labels" if labels else f"targets in {domain}"
        raise DataError(f"{loss.name} is for {allowed}; {target.name} goes from {values.min():g} to {values.max():g}")


def _default(kind: TargetKind) -> str:
    *first, last = CANDIDATES[kind]
    return f"{', '.join(first)} and {last}"
