"""Finds the loss that a person names, or the usual ones for a kind of target, and checks it against the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import get_args

import numpy as np

import matchloss as ml
from matchloss.errors import DomainError
from matchloss.losses import Interval, Loss, TargetKind, Usual
from matchloss.losses.catalogue import in_order
from matchloss.names import UnknownName, resolve, with_parameters
from matchloss.tables.errors import DataError
from matchloss.tables.target import Target
from matchloss.tables.words import suggest


def usual(kind: Usual) -> tuple[str, ...]:
    """The default losses for a kind of target, by their `usual_for`; a command that needs a single loss takes the first.

    Losses for which this kind is the most typical come first, and among them those with the first one's link; otherwise the catalogue's
    order.

    >>> usual("count")
    ('poisson', 'negative_binomial', 'squared_error')
    """
    found = sorted((cls for cls in in_order() if kind in cls.usual_for), key=lambda cls: cls.usual_for.index(kind))
    own = found[0].link_name
    found.sort(key=lambda cls: (cls.usual_for.index(kind), cls.link_name != own))
    return tuple(cls.name for cls in found)


CANDIDATES = {kind: usual(kind) for kind in get_args(Usual)}


def values_of(target: Target) -> Usual:
    """The kind of a target by its values: a number that is never below 0, or always from 0 to 1, is one of its own kind."""
    values = np.asarray(target.values, np.float64)
    if target.kind != "number" or values.min() < 0:
        return target.kind
    return "share" if values.max() <= 1 else "positive"


def candidates(target: Target, kind: Usual | None = None) -> list[str]:
    """The losses that are usual for a target of this kind, by default of the kind that its values show, and defined for all its values."""
    return [name for name in CANDIDATES[kind or values_of(target)] if not _why_not(get_loss(name), target)]


def get_loss(name: str | Loss, parameters: Mapping[str, float] | None = None) -> Loss:
    """The loss with this name or alias, or a person's own, "module:class"; DataError, with the nearest name, if there is none.

    Parameters may stand in the name as well. DataError also for a parameter that the loss does not have, that is given twice, or that
    comes with a loss that is already made.

    >>> get_loss("quantile", {"alpha": 0.9}), get_loss("huber(delta=2)")
    (Pinball(alpha=0.9), Huber(delta=2.0))
    """
    given = dict(parameters or {})
    if isinstance(name, str):
        name, written = parameters_in(name)
        for parameter in given.keys() & written.keys():
            raise DataError(f"{name} is given {parameter} twice")
        given |= written
    found = named(name)
    if isinstance(found, Loss):
        if given:
            raise DataError(f"{found!r} is a loss with its parameters; {next(iter(given))} is one of a class")
        return found
    known = [field.name for field in fields(found)]
    for parameter in given:
        if parameter not in known:
            near = suggest(parameter, known)
            has = f"; it has {', '.join(known)}" if known else "; it has none"
            raise DataError(f"{found.name} has no parameter {parameter}{near or has}")
    try:
        return found(**given)
    except (DomainError, TypeError) as error:
        raise DataError(str(error)) from error


def parameters_in(name: str) -> tuple[str, dict[str, float]]:
    """The name of a loss alone, and the parameters written after it; DataError where they cannot be read."""
    try:
        return with_parameters(name)
    except ValueError as error:
        raise DataError(str(error)) from error


def named(name: str | Loss) -> type[Loss] | Loss:
    """The class that a name stands for, or the loss itself if `name` is one or is a "module:attribute" that names one.

    Catalogue names take precedence. A module is imported only for a name with a colon that is not in the catalogue.
    """
    if isinstance(name, Loss):
        return name
    try:
        return type(ml.get(name))
    except (KeyError, ValueError, TypeError) as error:
        if ":" not in name:
            near = suggest(name, [str(row["name"]) for row in ml.losses()])
            raise DataError(f"there is no loss {name}{near or '; `matchloss losses` lists them all'}") from error
    try:
        found = resolve(name)
    except UnknownName as error:
        raise DataError(str(error)) from error
    if isinstance(found, Loss) or (isinstance(found, type) and issubclass(found, Loss)):
        return found
    raise DataError(f"{name} is no loss: a loss is a class made from ml.PointwiseLoss or ml.SimplexLoss, or an object of one")


def check_suits(loss: Loss, target: Target) -> None:
    """DataError for a loss that is not defined for the target."""
    why = _why_not(loss, target)
    if why:
        raise DataError(why)


def _why_not(loss: Loss, target: Target) -> str:
    """Why a loss is not defined for the target; "" if it is."""
    if target.classes:
        suits = target.kind in loss.suits
        return "" if suits else f"{loss.name} is no loss for {len(target.classes)} labels; {_default(target.kind)} are"
    domain, values = loss.target_domain, np.asarray(target.values, dtype=np.float64)
    labels = not isinstance(domain, Interval)
    if labels or not all(float(end) in domain for end in (values.min(), values.max())):
        allowed = "labels" if labels else f"targets in {domain}"
        return f"{loss.name} is for {allowed}; {target.name} goes from {values.min():g} to {values.max():g}"
    return ""


def _default(kind: TargetKind) -> str:
    *first, last = CANDIDATES[kind]
    return f"{', '.join(first)} and {last}"
