"""The penalty that a person asks for by column names, and what it means for each coefficient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchloss.linear.penalties.penalty import Index, Penalty
from matchloss.linear.plan import Category, Design
from matchloss.linear.rows import Floats

Bound = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class Asked:
    """The options of an estimator. Factors and bounds are given by column; a category's apply to all its levels."""

    l1: float = 0.0
    l2: float = 0.0
    penalty_factor: Any = None
    groups: Any = None
    bounds: Mapping[Any, Bound] | None = None

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            x = getattr(self, name)
            if not (isinstance(x, int | float | np.number) and np.isfinite(x) and x >= 0):
                raise ValueError(f"{name} is {x!r}; it must be a number, finite and >= 0")

    @property
    def plain(self) -> bool:
        """Whether only a ridge, or nothing, is asked for."""
        return self.l1 == 0 and self.penalty_factor is None and not self.bounds


@dataclass(frozen=True, eq=False)
class Named:
    """The coefficients of each column: their places among all coefficients, the intercept not counted; `wide`: of all its levels."""

    places: dict[Any, list[int]]
    count: int

    def of(self, name: Any, option: str) -> list[int]:
        """The places of a column; ValueError if there is none."""
        if name not in self.places:
            shown = ", ".join(map(str, list(self.places)[:8]))
            raise ValueError(f"{option} names {name!r}, and there is no such column; there are {shown}")
        return self.places[name]


def named(design: Design | None, names: Sequence[str]) -> Named:
    """By column name; the columns of an array are 0, 1, ... and x0, x1, ..."""
    if design is None:
        return Named({k: [j] for j, name in enumerate(names) for k in (name, j)}, len(names))
    places, at = {}, 0
    for column in design.columns:
        places[column.name] = list(range(at, at + len(column.names)))
        at += len(column.names)
    return Named(places, at)


def factors(asked: Asked, columns: Named) -> Floats:
    """The factor of each coefficient's penalty, 1 by default."""
    made, given = np.ones(columns.count), asked.penalty_factor
    if given is None:
        return made
    if isinstance(given, Mapping):
        for name, factor in given.items():
            made[columns.of(name, "penalty_factor")] = factor
    else:
        made = np.array(given, np.float64)
        if made.shape != (columns.count,):
            raise ValueError(f"penalty_factor has shape {made.shape}; {columns.count} coefficients ask for ({columns.count},), or a dict")
    if not (np.isfinite(made) & (made >= 0)).all():
        raise ValueError(f"penalty_factor has {made[~(np.isfinite(made) & (made >= 0))][0]:g}; a factor is finite and >= 0")
    return made


def limits(asked: Asked, columns: Named) -> tuple[Floats, Floats]:
    """The least and the greatest value of each coefficient."""
    low, high = np.full(columns.count, -np.inf), np.full(columns.count, np.inf)
    for name, bound in (asked.bounds or {}).items():
        if not (isinstance(bound, tuple | list) and len(bound) == 2):
            raise ValueError(f"bounds of {name!r} are {bound!r}; allowed: (low, high), each a number or None")
        least, most = -np.inf if bound[0] is None else float(bound[0]), np.inf if bound[1] is None else float(bound[1])
        if not least <= most or least == np.inf or most == -np.inf:
            raise ValueError(f"bounds of {name!r} are {bound!r}: no value lies between them")
        low[columns.of(name, "bounds")], high[columns.of(name, "bounds")] = least, most
    return low, high


def grouped(asked: Asked, design: Design | None, columns: Named) -> dict[str, list[Any]]:
    """The columns of each group; ValueError for a column that is not there, or stands in two groups."""
    if asked.groups is None or asked.l1 == 0:
        return {}
    if asked.groups == "categories":
        return {c.name: [c.name] for c in (design.columns if design else ()) if isinstance(c, Category) and columns.places[c.name]}
    if not isinstance(asked.groups, Mapping):
        raise ValueError(
            f'groups is {asked.groups!r}; allowed: {{"name": ["column", ...]}}, or "categories", each of which is a group then'
        )
    seen: dict[Any, str] = {}  # by first place, since an array's columns have two names each
    bounded = {j for name in asked.bounds or () for j in columns.of(name, "bounds")}
    made = {}
    for group, members in asked.groups.items():
        made[group] = [members] if isinstance(members, str) else list(members)
        if not made[group]:
            raise ValueError(f"group {group!r} has no column")
        for name in made[group]:
            j = next(iter(columns.of(name, f"group {group!r}")), name)
            if j in bounded:
                raise ValueError(f"bounds and groups of the same column are not there: {name}")
            if j in seen:
                where = f"twice in {group!r}" if seen[j] == group else f"in {seen[j]!r} and in {group!r}"
                raise ValueError(f"groups overlap: column {name!r} stands {where}")
            seen[j] = group
    return {group: members for group, members in made.items() if any(columns.places[name] for name in members)}  # not of one level alone


def penalty_of(factor: Floats, low: Floats, high: Floats, groups: Sequence[Index], intercept: bool) -> Penalty:
    """The penalty with l1 = l2 = 1: factors. Members of a group have no l1 of their own; a group weighs sqrt(size)."""
    head = int(intercept)
    l1, l2 = (np.concatenate([np.zeros(head), factor]) for _ in range(2))
    least, most = np.concatenate([np.full(head, -np.inf), low]), np.concatenate([np.full(head, np.inf), high])
    made = []
    for index in groups:
        place = index + head
        made.append((place, float(np.sqrt(len(place)) * l1[place].mean())))
        l1[place] = 0.0
    return Penalty(l1, l2, least, most, tuple(made))
