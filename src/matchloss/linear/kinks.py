"""Adapts an objective whose loss is linear between kinks to interior.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.interior import interior
from matchloss.linear.objective import Log, Measure, Objective
from matchloss.linear.passes import Matrix
from matchloss.linear.pieces import merged, pieces
from matchloss.linear.rows import Floats, TableRows


@dataclass(frozen=True, eq=False)
class Narrow:
    """The design matrix, restricted to its free columns."""

    rows: TableRows
    slots: NDArray[np.intp]

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.rows.n

    @property
    def columns(self) -> int:
        """The number of free columns."""
        return len(self.slots)

    def times(self, theta: Floats) -> Floats:
        """Raw predictions."""
        wide = np.zeros(self.rows.width)
        wide[self.slots] = theta
        return Matrix(self.rows).times(wide)

    def transposed(self, vector: Floats) -> Floats:
        """The transposed product."""
        return Matrix(self.rows).transposed(vector)[self.slots]

    def gram(self, weights: Floats) -> Floats:
        """The weighted Gram matrix."""
        return Matrix(self.rows).gram(weights)[np.ix_(self.slots, self.slots)]

    def take(self, index: NDArray[np.intp]) -> Narrow:
        """The rows at these places."""
        return Narrow(self.rows.take(index), self.slots)


def interior_point(f: Objective, tol: float, log: Log) -> tuple[Measure, bool]:
    """The minimum, with the certificate's residual as its gradient, and whether it is certified."""
    target = f.target
    index, kink, low, high = merged(pieces(f.loss, target, f.weight))
    rows = f.rows if index is None else f.rows.take(index)
    if f.offset is not None:
        kink = kink - (f.offset if index is None else f.offset[index])

    def told(objective: float, gap: float) -> None:
        log.steps.append((objective, gap, f.rows.n))
        log.tell(log)

    found = interior(Narrow(rows, f.slots), kink, low, high, f.ridge, tol=tol, max_passes=log.most, progress=told)
    m = Narrow(rows, f.slots)
    gradient = m.transposed(found.dual) + f.ridge * found.theta
    value = f.measure(found.theta, Log(1)).value
    return Measure(found.theta, value, gradient, None), found.converged
