"""Gradient and curvature of rows, as boosters ask for them, in the host's own memory order, and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.boosting.curvature import Curvature
from matchloss.engine import pointwise
from matchloss.engine.arrays import Evaluation
from matchloss.errors import DomainError
from matchloss.losses import Loss

Array = NDArray[Any]
MANY = 1 << 20  # rows in all, of which a block is a part: so that its loop is compiled


@dataclass(frozen=True)
class Objective:
    """What a booster minimises: a loss, with the curvature that it divides by.

    targets: all targets in the person's order, for a host that asks for rows in an order of its own.
    """

    loss: Loss
    curvature: Curvature
    targets: Array | None = field(default=None, compare=False, repr=False)

    def slopes(self, raw: Array, target: Array, weight: Array | None, gradient: Array, hessian: Array | None) -> None:
        """Writes the rows' gradient and curvature, times their weight, into these arrays of raw's shape and of any memory order.

        DomainError, with the row, for a target that the loss does not take, for a gradient that is not finite, and for a curvature below 0.
        """
        name, factor = self.curvature.name, self.curvature.factor
        derived = hessian if hessian is not None and name != "unit" else None
        if derived is not None and factor != 1 and derived.dtype != raw.dtype:
            derived = np.empty_like(derived, raw.dtype)  # so that the product is rounded once
        evaluated = "exact" if name in ("absolute", "unit") else name
        wanted = Evaluation(None, gradient, derived)
        self.loss.evaluate(raw, target, weight, value=False, hessian=derived is not None, curvature=evaluated, out=wanted)
        if not np.isfinite(gradient.sum()):
            self._refuse("gradient", gradient, ~np.isfinite(gradient), raw, target)
        if hessian is None:
            return
        if derived is None:
            hessian[...] = 1.0 if weight is None else weight if hessian.ndim == weight.ndim else weight[:, None]
            derived = hessian
        if name == "absolute":
            np.abs(derived, out=derived)
        if factor != 1:
            np.multiply(derived, factor, out=hessian, casting="same_kind")
        if hessian.size and not (hessian.min() >= 0 and np.isfinite(hessian.max())):
            self._refuse("curvature", hessian, ~((hessian >= 0) & np.isfinite(hessian)), raw, target)

    def block(self, raw: Array, target: Array, weight: Array | None) -> Array:
        """Gradient and curvature of a few rows, (2, n), from float64 lines with checked targets.

        This is for a host that calls for a thousand rows at a time and holds Python's lock: what counts here is the number of calls to
        NumPy.
        """
        name, factor = self.curvature.name, self.curvature.factor
        program = self.loss.programs["exact" if name in ("absolute", "unit") else name]
        lines = np.empty((3, len(raw)))
        value, gradient, hessian = lines
        pointwise.step(program, MANY, weight is not None, True)(raw, target, weight, value, gradient, hessian)
        if name == "unit":
            hessian[...] = 1.0 if weight is None else weight
        elif name == "absolute":
            np.abs(hessian, out=hessian)
        if factor != 1:
            hessian *= factor
        if not math.isfinite(np.dot(gradient, gradient)):
            self._refuse("gradient", gradient, ~np.isfinite(gradient), raw, target)
        if not np.minimum.reduce(hessian) >= 0:
            self._refuse("curvature", hessian, ~(hessian >= 0), raw, target)
        return lines[1:]

    def mean(self, raw: Array, target: Array, weight: Array | None = None) -> float:
        """The weighted mean loss of these rows: what early stopping watches."""
        return float(self.loss(raw, target, weight))

    def check_trains(self, raw: Array, target: Array, weight: Array | None = None) -> None:
        """ValueError, before a tree is grown, where every row's curvature is 0, since then no step has a length."""
        hessian = np.empty(raw.shape, raw.dtype)
        self.slopes(raw, target, weight, np.empty_like(hessian), hessian)
        if not (hessian > 0).any():
            raise ValueError(self._flat())

    def _flat(self) -> str:
        what = f"the curvature {self.curvature.name} of {self.loss!r} is 0 in every row, and trees divide by it"
        own = "; the estimators leave this loss to the host's own objective, which renews leaves" if self.loss.stand_in == "none" else ""
        return f'{what}; curvature="unit" goes down the gradient alone{own}'

    def _refuse(self, what: str, x: Array, bad: Array, raw: Array, target: Array) -> None:
        if not bad.any():  # a sum overflowed, no entry did
            return
        place = np.unravel_index(int(np.argmax(bad)), bad.shape)
        found = target[int(place[0])]
        at = f"raw prediction {raw[place].item():.6g}, target {found.tolist()!r}"
        rows = [int(place[0])] if self.targets is None else np.flatnonzero(self.targets == found)[:5].tolist()
        where = f"row {rows[0]}" if len(rows) == 1 else f"a row like {', '.join(map(str, rows))}"
        allowed = "finite; smaller steps may help, or another curvature" if what == "gradient" else 'finite and >= 0, as "absolute" is'
        raise DomainError(f"the {what} of {self.loss!r} is {x[place].item():.6g} in {where} ({at}); training stops; allowed: {allowed}")
