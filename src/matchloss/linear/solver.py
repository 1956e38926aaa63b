"""Fitting a linear model under any loss. One function; the next solver replaces it without touching its callers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from matchloss.linear.matrix import Floats, Matrix

if TYPE_CHECKING:
    from matchloss.losses import Loss


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the solver stopped."""

    coef: Floats  # (1 + columns,), or (1 + columns, K): the intercept first
    passes: int  # evaluations of loss and gradient over all rows
    seconds: float
    converged: bool
    objective: float  # mean loss at `coef`


def minimise(
    loss: Loss,
    matrix: Matrix,
    target: NDArray[np.generic],
    *,
    outputs: int | None = None,
    ridge: float = 0.0,
    max_passes: int = 200,
    progress: Callable[[int], None] | None = None,
) -> Solution:
    """The coefficients with the least mean loss, by L-BFGS from zeros: the same start for every loss.

    `ridge` / 2 times the sum of the squared coefficients, of standardised columns and without the intercept, is added to the mean.
    `outputs` is the number of columns of raw predictions for a simplex loss, None for a pointwise one. The objective is divided
    by its steepest slope at the start, so that one stopping rule serves losses of any unit. `progress` is told of every pass.
    """
    shape = (1 + matrix.columns,) if outputs is None else (1 + matrix.columns, outputs)
    free = outputs or 1  # the intercept's coefficients, which come first
    passes = 0

    def mean_loss(coef: Floats) -> tuple[float, Floats]:
        nonlocal passes
        passes += 1
        if progress:
            progress(passes)
        result = loss.evaluate(matrix.times(coef.reshape(shape)), target, value=True, gradient=True)
        slope = matrix.transposed_times(result.gradient).ravel() / matrix.rows
        slope[free:] += ridge * coef[free:]
        return float(result.value.mean()) + penalty(coef), slope

    def penalty(coef: Floats) -> float:
        return ridge / 2 * float(np.square(coef[free:]).sum())

    began = time.perf_counter()
    start = np.zeros(int(np.prod(shape)))
    value, slope = mean_loss(start)
    unit = float(np.abs(slope).max()) or 1.0
    first: list[tuple[float, Floats]] = [(value / unit, slope / unit)]

    def scaled(coef: Floats) -> tuple[float, Floats]:
        if first:  # SciPy begins where we measured the slope: that pass is not done twice
            return first.pop()
        value, slope = mean_loss(coef)
        if not np.isfinite(value):  # an exponential overflowed on too long a step: shorten it
            return 1e100, np.zeros_like(slope)
        return value / unit, slope / unit

    options = {"maxfun": max_passes - 1, "maxiter": max_passes, "maxcor": 20, "ftol": 1e-10, "gtol": 1e-6}
    found = optimize.minimize(scaled, start, jac=True, method="L-BFGS-B", options=options)
    seconds = time.perf_counter() - began
    return Solution(found.x.reshape(shape), passes, seconds, bool(found.success), float(found.fun) * unit - penalty(found.x))
