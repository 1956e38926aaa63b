"""A penalty as a value: l1 |b| + l2 / 2 b^2 with a factor for each coefficient, norms of groups, and bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.rows import Floats

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Penalty:
    """One entry for each entry of theta; the intercept's are 0 and infinite. A group is a set of entries: weight * its norm is added."""

    l1: Floats
    l2: Floats
    low: Floats
    high: Floats
    groups: tuple[tuple[Index, float], ...] = ()

    def value(self, theta: Floats) -> float:
        """What is added to the mean loss."""
        norms = sum(weight * float(np.linalg.norm(theta[index])) for index, weight in self.groups)
        return float(self.l1 @ np.abs(theta) + 0.5 * self.l2 @ theta**2) + norms

    def residual(self, theta: Floats, gradient: Floats) -> Floats:
        """How far each entry is from optimal, in units of the given gradient of the mean loss: 0 everywhere only at a minimum.

        The gradient may pull a coefficient of 0 by up to l1, one at a bound outwards by any amount, and a group of zeros by up to its
        weight.
        """
        g = gradient + self.l2 * theta
        sign = np.sign(theta)
        each = np.where(theta == 0, np.maximum(np.abs(g) - self.l1, 0), np.abs(g + self.l1 * sign))
        down, up = g + self.l1 * np.where(theta > 0, 1, -1), g + self.l1 * np.where(theta >= 0, 1, -1)  # slopes to either side
        each = np.where(theta <= self.low, np.maximum(-up, 0), each)
        each = np.where(theta >= self.high, np.maximum(down, 0), each)
        each = np.where(self.low == self.high, 0.0, each)
        for index, weight in self.groups:
            norm = float(np.linalg.norm(theta[index]))
            over = max(float(np.linalg.norm(g[index])) - weight, 0.0)
            each[index] = np.abs(g[index] + weight * theta[index] / norm) if norm else over
        return each

    def of(self, index: Any) -> Penalty:
        """The penalty of some entries, without groups."""
        return Penalty(self.l1[index], self.l2[index], self.low[index], self.high[index])

    def times(self, l1: float, l2: float) -> Penalty:
        """The same penalty with l1 and l2, which are factors until then, multiplied by these."""
        groups = tuple((index, weight * l1) for index, weight in self.groups)
        return replace(self, l1=self.l1 * l1, l2=self.l2 * l2, groups=groups)

    @cached_property
    def parts(self) -> tuple[list[Index], Floats, NDArray[np.int64], NDArray[np.int64]]:
        """All groups, an entry that is in none as a group of one; their weights; all entries in this order, and where each group starts."""
        alone = np.setdiff1d(np.arange(len(self.l1)), np.concatenate([np.empty(0, np.intp), *(index for index, _ in self.groups)]))
        parts = [*(index for index, _ in self.groups), *(np.array([j]) for j in alone)]
        weight = np.concatenate([[weight for _, weight in self.groups], self.l1[alone]])
        return parts, weight, np.concatenate(parts).astype(np.int64), np.cumsum([0, *map(len, parts)]).astype(np.int64)

    @property
    def selects(self) -> bool:
        """Whether it can make coefficients exactly 0."""
        return bool(self.l1.any() or any(weight for _, weight in self.groups))

    @property
    def bounded(self) -> bool:
        """Whether some entry has a bound."""
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    def lambda_max(self, gradient: Floats) -> float:
        """The least multiple of the l1 part that keeps all its coefficients 0; takes the mean loss's gradient where they are 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            singles = np.where(self.l1 > 0, np.abs(gradient) / self.l1, 0.0)
        norms = [float(np.linalg.norm(gradient[index])) / weight for index, weight in self.groups if weight > 0]
        return max(float(singles.max(initial=0.0)), *norms, 0.0)
