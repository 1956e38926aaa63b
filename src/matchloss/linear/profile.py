"""A loss's own parameter by profile likelihood, beside the coefficients: the negative binomial's size, Tweedie's power.

Alternating, as R's glm.nb does: coefficients for a size by Newton's method from the last ones, then the size for these means by Newton's
method in log size, which costs no pass over the columns. Fisher's information is block diagonal in the two, so that few rounds do.
Source: Lawless (1987); Venables and Ripley (2002).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import minimize_scalar

from matchloss.linear.newton import newton
from matchloss.linear.objective import Log, Objective
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.solve import blas_on_one_thread, objective
from matchloss.losses import Loss
from matchloss.losses.families import POISSON_LIKE, NegativeBinomial, Poisson, Tweedie

ROUNDS = 50
CLOSE = 1e-9  # a change of log size that ends the rounds
ROUGH, FINE = 1e-4, 1e-9  # gradients to which the means are brought, at first and in the end
POWERS, BESIDE = (1.02, 1.98), 2e-3
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
    """Tweedie's power between 1 and 2: an outer search over it, coefficients from the last ones, an inner one over the dispersion, which
    takes no pass. Dunn and Smyth (2005).
    """
    log, last = Log(2000), {"theta": f.start()}
    w = np.ones(f.rows.n) if f.weight is None else f.weight
    if not (f.target > 0).any():
        raise ValueError("every target is 0: no power is the best")

    def less(power: float) -> float:
        loss = Tweedie(power=power)
        with blas_on_one_thread():
            last["theta"] = newton(replace(f, loss=loss), last["theta"], FINE, log).at.theta
        raw = f.raw(last["theta"])
        mean = np.exp(raw)
        total, mass = float(w @ loss.value(raw, f.target)), float(w.sum())
        counted, place = np.unique(f.target, return_inverse=True)
        times = np.bincount(place, w)
        middle = math.log(float(w @ ((f.target - mean) ** 2 / mean**power)) / mass)

        def inner(u: float) -> float:
            return total / math.exp(u) - float(times @ loss.log_base(counted, math.exp(u)))

        made: Any = minimize_scalar(inner, bounds=(middle - 2, middle + 2), method="bounded", options={"xatol": 1e-7})
        return float(made.fun)

    found: Any = minimize_scalar(less, bounds=POWERS, method="bounded", options={"xatol": 1e-6})
    best, low = float(found.x), float(found.fun)
    bend = (less(best - BESIDE) - 2 * low + less(best + BESIDE)) / BESIDE**2
    se = 1 / math.sqrt(bend) if bend > 0 else math.inf
    return Tweedie(power=best), Profile("power", best, se, (best - Z95 * se, best + Z95 * se), len(log.steps))


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
