"""The series in Tweedie's log density for powers between 1 and 2: a sum over the number of gamma amounts (Dunn and Smyth 2005)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SPREADS, MORE = 10.0, 40  # terms to either side of the largest: so many square roots of its place, and so many more; beyond, e^-37
AT_ONCE = 1 << 22  # terms


def log_base(target: Array, power: float, dispersion: Any) -> Array:
    """log density + value / dispersion of each target >= 0: what does not depend on the mean; 0 at a target of 0."""
    y, phi = np.broadcast_arrays(np.asarray(target, np.float64), np.asarray(dispersion, np.float64))
    made = np.zeros(y.shape)
    some = np.flatnonzero(y.ravel() > 0)
    if len(some):
        pairs, place = np.unique(np.column_stack([y.ravel()[some], phi.ravel()[some]]), axis=0, return_inverse=True)
        made.ravel()[some] = _series(pairs[:, 0], pairs[:, 1], power, False)[0][place.ravel()]
    return made


def base_slopes(target: Array, power: float, dispersion: float) -> tuple[Array, Array]:
    """The derivatives of log_base in the power and in the dispersion's logarithm, of each target >= 0."""
    y, in_power, in_log = np.asarray(target, np.float64), np.zeros(np.shape(target)), np.zeros(np.shape(target))
    some = y > 0
    _, mean, turned = _series(y[some], np.full(int(some.sum()), float(dispersion)), power, True)
    a, slope = (2 - power) / (1 - power), 1 / (1 - power) ** 2
    in_log[some] = (a - 1) * mean
    log_z = slope * (np.log(power - 1) - np.log(y[some]) + np.log(dispersion)) + a / (power - 1) + 1 / (2 - power)
    in_power[some] = mean * log_z + slope * turned
    return in_power, in_log


def _series(y: Array, phi: Array, power: float, moments: bool) -> tuple[Array, Array, Array]:
    """log (1 / y) sum_j exp(t_j), t_j = j log z - lgamma(j + 1) - lgamma(-j a), a = (2 - power) / (1 - power); and if `moments` are
    asked for, the means of j and of j digamma(-j a) under weights in proportion to exp(t_j).
    """
    from scipy.special import gammaln, psi

    a = (2 - power) / (1 - power)
    log_z = a * (np.log(power - 1) - np.log(y)) - (1 - a) * np.log(phi) - np.log(2 - power)
    top = np.maximum(1.0, np.round(y ** (2 - power) / (phi * (2 - power))))
    wide = np.ceil(SPREADS * np.sqrt(top)).astype(np.int64) + MORE
    (made, mean, turned), order, start = np.zeros((3, len(y))), np.argsort(wide), 0
    while start < len(y):  # of similar widths at once
        stop = start + 1
        while stop < len(y) and (stop + 1 - start) * (2 * wide[order[stop]] + 1) <= AT_ONCE:
            stop += 1
        here = order[start:stop]
        j = top[here, None] + np.arange(-int(wide[here[-1]]), int(wide[here[-1]]) + 1)
        ok = j >= 1
        j = np.where(ok, j, 1.0)
        terms = np.where(ok, j * log_z[here, None] - gammaln(j + 1) - gammaln(-j * a), -np.inf)
        peak = terms.max(axis=1)
        shares = np.exp(terms - peak[:, None])
        total = shares.sum(axis=1)
        made[here] = peak + np.log(total)
        if moments:
            mean[here] = (shares * j).sum(axis=1) / total
            turned[here] = (shares * j * psi(-j * a)).sum(axis=1) / total
        start = stop
    return made - np.log(y), mean, turned
