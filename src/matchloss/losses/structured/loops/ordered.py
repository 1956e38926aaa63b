"""Ordered logit and probit, a row at a time: P(y = k) = F(b) - F(a), a and b the thresholds around k less the linear predictor.

Probit's P is phi(b) times an integral of e^(b t - t^2 / 2) over the width of the category: by Gauss and Legendre where that is narrow, by
Mills' ratio where it is not; never a difference of two nearly equal numbers.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

import math
from math import inf
from typing import Any

import numpy as np

from matchloss.engine import special
from matchloss.engine.compiled import COMPILED
from matchloss.losses.structured.loops._numbers import (
    exp,
    inlined,
    log,
    log1p,
    made,
    maximum,
    reads,
)

NODES, WEIGHTS = (tuple(map(float, x)) for x in np.polynomial.legendre.leggauss(14))
HALF_LOG_2PI, ROOT_2PI, ROOT_HALF = 0.9189385332046727, 2.5066282746310002, 0.7071067811865476
expm1, excess = COMPILED.expm1, special.inverse_mills_excess


@inlined
def mills(x):
    """(1 - Phi(x)) / phi(x), x >= 0."""
    return 1.0 / (x + excess(COMPILED, x))


@inlined
def both(x):
    """softplus(x), sigmoid(x) and sigmoid(-x), from one exponential."""
    e = exp(-abs(x))
    s = 1.0 / (1.0 + e)
    return maximum(x, 0.0) + log1p(e), (s if x >= 0.0 else e * s), (e * s if x >= 0.0 else s)


@inlined
def probit_terms(a, b):
    """The same for the normal distribution."""
    flip = a + b > 0.0  # then the nearer end is a
    low, high = (-b, -a) if flip else (a, b)
    d, m1, m2, outside = high - low, 0.0, 0.0, 0.0
    ratio = math.exp(-d * (0.5 * d - high)) if d < inf else 0.0  # phi(low) / phi(high)
    narrow = d * (1.0 + abs(high)) < 2.0
    if narrow:
        mass = 0.0
        for node, share in zip(NODES, WEIGHTS, strict=True):
            t = 0.5 * d * (1.0 + node)
            w = share * math.exp(t * (high - 0.5 * t)) * 0.5 * d
            mass, m1, m2 = mass + w, m1 + w * t, m2 + w * t * t
    elif high <= 0.0:
        mass = mills(-high) - (ratio * mills(-low) if ratio > 0.0 else 0.0)
    else:
        outside = 0.5 * (math.erfc(high * ROOT_HALF) + math.erfc(-low * ROOT_HALF))
        mass = (1.0 - outside) * math.exp(min(0.5 * high * high, 700.0)) * ROOT_2PI
    value = -math.log1p(-outside) if high > 0.0 and not narrow else 0.5 * high * high + HALF_LOG_2PI - math.log(mass)
    at_high, at_low = (1.0 / mass if high < 38.0 else 0.0), ratio / mass  # phi / P at the ends
    pa, pb = (at_high, at_low) if flip else (at_low, at_high)
    aa, bb = (pa * (pa - a) if pa > 0.0 else 0.0), (pb * (pb + b) if pb > 0.0 else 0.0)
    g, h = pb - pa, aa + bb - 2.0 * pa * pb
    if narrow:
        g = (high - m1 / mass) if flip else (m1 / mass - high)
        h = 1.0 - (m2 / mass - (m1 / mass) ** 2)
    return value, pa, -pb, aa, -pa * pb, bb, g, h


@inlined
def logit(eta, y, cuts, first, last, out):
    """out (8, n): the terms of rows first..last; cuts: -inf, the thresholds, inf. -1.

    They are the value, its first derivatives in a and b, the second ones aa, ab, bb, and the first and second one in eta. What the width
    of a label gives, -log(1 - e^-d), r = 1 / (e^d - 1) and r (1 + r), is the same for all of its rows.
    """
    labels = cuts.size - 1
    own, r, cross = np.zeros(labels), np.zeros(labels), np.zeros(labels)
    for k in range(1, labels - 1):
        d = cuts[k + 1] - cuts[k]
        own[k] = -log1p(-exp(-d)) if d > 0.7 else -log(-expm1(-d))
        r[k] = 1.0 / expm1(d)
        cross[k] = r[k] * (1.0 + r[k])
    for i in range(first, last):
        k = y[i]
        above_a, a, not_a = both(cuts[k] - eta[i])
        below_b, not_b, b = both(eta[i] - cuts[k + 1])
        out[0, i] = below_b + above_a + own[k]
        out[1, i], out[2, i] = a + r[k], -not_b - r[k]
        out[3, i], out[4, i], out[5, i] = a * not_a + cross[k], -cross[k], b * not_b + cross[k]
        out[6, i], out[7, i] = not_b - a, a * not_a + b * not_b
    return -1


@inlined
def probit(eta, y, cuts, first, last, out):
    """The same for probit."""
    for i in range(first, last):
        for j, term in enumerate(probit_terms(cuts[y[i]] - eta[i], cuts[y[i] + 1] - eta[i])):
            out[j, i] = term
    return -1


def signature(real: Any) -> tuple[Any, ...]:
    """The types of both loops' arguments."""
    f, i = "float64", "int64"
    return reads(f, 1), reads(i, 1), reads(f, 1), i, i, made(f, 2)


LOOPS = {"logit": (logit, signature), "probit": (probit, signature)}
