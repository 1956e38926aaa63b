"""Sums of losses over all rows and their gradient, in one pass and without an array of values: what a training step needs.

The total is summed in float64 on a fixed grid, so it does not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.arrays import refuse_at
from matchloss.engine.pointwise import BLOCK, Program

Loop = Callable[..., tuple[float, int]]


def loop_of(program: Program, dtype: str, gradient: bool, weighted: bool) -> Loop:
    """The compiled loop; NotCompilable if the formula cannot be compiled."""
    with threads.FIRST_CALLS:
        from matchloss.engine.compiled import total_loop

        return total_loop(program.formula, len(program.constants), dtype, gradient, weighted)


def total(
    loop: Loop,
    program: Program,
    raw: NDArray[Any],
    target: NDArray[Any],
    weight: NDArray[Any] | None,
    scale: float,
    gradient: NDArray[Any] | None,
) -> float:
    """The sum of weight * value over contiguous lines of the loop's dtype; `gradient` receives scale * weight * gradient.

    Raises DomainError for the first target outside the loss's domain in a row whose weight is not 0; the gradient is then undefined.
    """
    rows, low, high, constants = raw.shape[0], program.low, program.high, program.constants
    if rows <= BLOCK:
        result, bad = loop(raw, target, weight, low, high, scale, gradient, constants)
        if bad >= 0:
            refuse_at("target", target, bad, program.allowed)
        return result
    sums = np.zeros(-(-rows // BLOCK))

    def block(start: int, stop: int) -> int:
        part = [None if a is None else a[start:stop] for a in (raw, target, weight, gradient)]
        sums[start // BLOCK], bad = loop(*part[:3], low, high, scale, part[3], constants)
        return bad if bad < 0 else bad + start

    bad = threads.over_blocks(rows, BLOCK, block)
    if bad >= 0:
        refuse_at("target", target, bad, program.allowed)
    with np.errstate(all="ignore"):
        return float(np.sum(sums)) if not np.isfinite(sums).all() else math.fsum(sums)
