"""A loss's own parameter by profile likelihood, beside the coefficients: the negative binomial's size, Tweedie's power.

Alternating, as R's glm.nb does: coefficients for a size by Newton's method from the last ones, then the size for these means by Newton's
method in log size, which costs no pass over the columns. Fisher's information is block diagonal in the two, so that few rounds do.
Source: Lawless (1987); Venables and Ripley (2002).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import brentq

from matchloss.linear.newton import newton
from matchloss.linear.objective import Log, Objective
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import blas_on_one_thread, objective
from matchloss.losses import Loss
from matchloss.losses._tweedie import base_slopes
from matchloss.losses.families import POISSON_LIKE, NegativeBinomial, Poisson, Tweedie

ROUNDS = 50
CLOSE = 1e-9  # a change of log size that ends the rounds
ROUGH, FINE = 1e-4, 1e-9  # gradients to which the means are brought, at first and in the end
POWERS, START, STEP, BESIDE = (1.02, 1.98), 1.5, 0.12, 2e-3
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Profile:
    """An estimated parameter: its value, its standard error (of a size that of its logarithm), a 95 % interval, and the passes it took."""

    parameter: str
    estimate: float
    se: float
    interval: tuple[float, float]
    passes: int


def estimated(
    loss: Loss, rows: TableRows, target: NDArray[Any], weight: Any, offset: Any, l2: float, intercept: bool
) -> tuple[Loss, Profile | None, str]:
    """The loss with its parameter estimated, if it is to be, what is known of it, and what the person should know."""
    if not loss.estimates:
        return loss, None, ""
    if isinstance(loss, Tweedie):
        return (*_power(objective(Poisson(), rows, target, weight, offset, l2, None, intercept)), "")
    f, log = objective(Poisson(), rows, target, weight, offset, l2, None, intercept), Log(500)
    with blas_on_one_thread():
        theta = newton(f, f.start(), ROUGH, log).at.theta  # Poisson's means are right on average whatever the size
        mu = np.exp(f.raw(theta))
        w = np.ones(len(mu)) if f.weight is None else f.weight
        excess = float(w @ ((f.target - mu) ** 2 - mu))
        if excess <= 0:
            said = "The counts vary no more than Poisson's: the best size is infinite, and 1e6 stands for it."
            return NegativeBinomial(size=POISSON_LIKE), Profile("size", math.inf, math.inf, (math.nan, math.inf), len(log.steps)), said
        u, near, log_se = math.log(float(w @ mu**2) / excess), 1.0, math.inf
        for _ in range(ROUNDS):
            g = replace(f, loss=NegativeBinomial(size=math.exp(u)))
            theta = newton(g, theta, ROUGH if near > 1e-2 else FINE, log).at.theta
            before, (u, log_se) = u, best_log_size(f, np.exp(f.raw(theta)), w, u)
            near = abs(u - before)
            if near < CLOSE or u > math.log(POISSON_LIKE):
                break
    size = math.exp(min(u, math.log(POISSON_LIKE)))
    ends = math.exp(u - Z95 * log_se), math.exp(u + Z95 * log_se)
    return NegativeBinomial(size=size), Profile("size", size, log_se, ends, len(log.steps)), ""


def _power(f: Objective) -> tuple[Loss, Profile]:
    """Tweedie's power between 1 and 2: the root of the profile's slope. Coefficients for a power start at the last ones, and the
    dispersion, the root of its own slope, takes no pass. At both optima the profile's slope is the likelihood's at fixed means and
    dispersion. Dunn and Smyth (2005).
    """
    log, last = Log(2000), {"theta": f.start()}
    w = np.ones(f.rows.n) if f.weight is None else f.weight
    if not (f.target > 0).any():
        raise ValueError("every target is 0: no power is the best")
    counted, place = np.unique(f.target, return_inverse=True)
    times = np.bincount(place, w)

    def slope(power: float) -> float:
        loss = Tweedie(power=power)
        with blas_on_one_thread():
            last["theta"] = newton(replace(f, loss=loss), last["theta"], FINE, log).at.theta
        raw = f.raw(last["theta"])
        mean = np.exp(raw)
        total = float(w @ loss.value(raw, f.target))
        middle = math.log(float(w @ ((f.target - mean) ** 2 / mean**power)) / float(w.sum()))
        phi = math.exp(_root(lambda u: total / math.exp(u) + float(times @ base_slopes(counted, power, math.exp(u))[1]), middle, 0.5))
        high, low = mean ** (2 - power) / (2 - power), f.target * mean ** (1 - power) / (1 - power)
        bent = high * (1 / (2 - power) - raw) - low * (1 / (1 - power) - raw)  # of the value in the power
        return float(times @ base_slopes(counted, power, phi)[0]) - float(w @ bent) / phi

    best = _root(slope, START, STEP, POWERS)
    bend = (slope(best - BESIDE) - slope(best + BESIDE)) / (2 * BESIDE)
    se = 1 / math.sqrt(bend) if bend > 0 else math.inf
    return Tweedie(power=best), Profile("power", best, se, (best - Z95 * se, best + Z95 * se), len(log.steps))


def _root(slope: Callable[[float], float], start: float, step: float, ends: tuple[float, float] = (-math.inf, math.inf)) -> float:
    """Where a slope that falls through 0 does so, found from `start` by steps up the hill; an end if it does not within them."""
    before, was = start, slope(start)
    step, known = math.copysign(step, was), {start: was}
    while was != 0:
        here = min(max(before + step, ends[0]), ends[1])
        now = slope(here)
        known[here] = now
        if now * step <= 0:
            return float(brentq(lambda x: known[x] if x in known else slope(x), before, here, xtol=1e-12, rtol=1e-14))  # pyright: ignore[reportArgumentType]
        if here in ends or not math.isfinite(now):
            return here
        before, was = here, now
    return before


def best_log_size(f: Objective, mu: Floats, w: Floats, u: float) -> tuple[float, float]:
    """The log size that is likeliest at these means, by Newton's method from u, and its standard error."""
    counts, place = np.unique(f.target, return_inverse=True)
    times, y, curve = np.bincount(place, w), f.target, -1.0
    for _ in range(50):
        s = math.exp(u)
        first = times @ (special.psi(counts + s) - special.psi(s)) + w @ (np.log(s / (s + mu)) + 1 - (y + s) / (s + mu))
        trigamma = special.polygamma(1, counts + s) - special.polygamma(1, s)
        second = times @ trigamma + w @ (1 / s - 2 / (s + mu) + (y + s) / (s + mu) ** 2)
        curve = float(s * s * second + s * first)
        step = -s * float(first) / curve if curve < 0 else math.copysign(0.5, first)
        u += max(-1.0, min(1.0, step))
        if abs(step) < 1e-12 or u > 40:
            break
    return u, 1 / math.sqrt(-curve) if curve < 0 else math.inf
