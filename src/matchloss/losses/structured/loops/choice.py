"""Conditional logit on ragged choice sets. With k of a set chosen: elementary symmetric polynomials, as m 2^k, from the front and the back.

So P(j is chosen) and 1 - P are both sums of positive products, and the value is a sum of log1p(weight of the other branch / weight of the
branch taken), row by row.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from matchloss.losses.structured.loops._numbers import (
    LN2,
    NONE,
    add3,
    exp,
    inlined,
    largest,
    log,
    log1p,
    made,
    reads,
    times_two_to,
    wide_exp,
)


@inlined
def convolve(am, ak, bm, bk, k):
    """sum over i of a_i b_(k - i)."""
    m, e = 1.0, NONE
    for i in range(max(0, k - bm.size + 1), min(k, am.size - 1) + 1):
        both = ak[i] + bk[k - i] if ak[i] > NONE and bk[k - i] > NONE else NONE
        m, e = add3(m, e, am[i] * bm[k - i], both, 1.0, NONE, 1.0, 0)
    return m, e


@inlined
def several(v, chosen, k, g):
    """Value and P - observed of a set of which k are chosen."""
    n = v.size
    em, ek = np.empty(n), np.empty(n, np.int64)
    fm, fk = np.ones((n + 1, k + 1)), np.full((n + 1, k + 1), NONE)  # polynomials of the first j rows
    bm, bk = np.ones((n + 1, k + 1)), np.full((n + 1, k + 1), NONE)  # and of the rows from j on
    fk[0, 0], bk[n, 0] = 0, 0
    for j in range(n):
        em[j], ek[j] = wide_exp(v[j])
    for j in range(n):
        fm[j + 1, 0], fk[j + 1, 0] = 1.0, 0
        for i in range(1, k + 1):
            fm[j + 1, i], fk[j + 1, i] = add3(fm[j, i], fk[j, i], em[j] * fm[j, i - 1], ek[j] + fk[j, i - 1], 1.0, NONE, 1.0, 0)
    for j in range(n - 1, -1, -1):
        bm[j, 0], bk[j, 0] = 1.0, 0
        for i in range(1, k + 1):
            bm[j, i], bk[j, i] = add3(bm[j + 1, i], bk[j + 1, i], em[j] * bm[j + 1, i - 1], ek[j] + bk[j + 1, i - 1], 1.0, NONE, 1.0, 0)
    value, left = 0.0, k
    for j in range(n):
        without, w = convolve(fm[j], fk[j], bm[j + 1], bk[j + 1], k)
        with_, x = convolve(fm[j], fk[j], bm[j + 1], bk[j + 1], k - 1)
        with_, x = with_ * em[j], x + ek[j]
        odds = times_two_to(without / with_, w - x) if w <= x else 1.0 / times_two_to(with_ / without, x - w)  # of not being chosen
        g[j] = -odds / (1.0 + odds) if chosen[j] else 1.0 / (1.0 + odds)
        if chosen[j] and odds == inf:
            g[j] = -1.0
        no_m, no_k = bm[j + 1, left], bk[j + 1, left]
        yes_m, yes_k = (em[j] * bm[j + 1, left - 1], ek[j] + bk[j + 1, left - 1]) if left else (1.0, NONE)
        if chosen[j]:
            left -= 1
            no_m, no_k, yes_m, yes_k = yes_m, yes_k, no_m, no_k
        # now `no` is the branch taken
        if yes_k > NONE >> 1:
            gap = min(yes_k - no_k, 1000)
            if gap < 1000:
                value += log1p(times_two_to(yes_m / no_m, gap) if gap <= 0 else 1.0 / times_two_to(no_m / yes_m, -gap))
            else:
                value += log(yes_m / no_m) + (yes_k - no_k) * LN2
    return value


@inlined
def sets(v, chosen, indptr, weight, first, last, value, g, p):
    """Sets first..last: weight * value, and its gradient; p: probabilities of sets with one chosen. The first bad set, or -1."""
    for i in range(first, last):
        a, b = indptr[i], indptr[i + 1]
        k, big, own = 0, largest(v[a:b]), 0
        for j in range(a, b):
            k += chosen[j]
            own = j if chosen[j] else own
        if weight[i] == 0.0 or k == 0 or k == b - a:  # nothing was compared
            value[i], g[a:b], p[a:b] = 0.0, 0.0, 0.0
            continue
        if not (abs(big) < inf and abs(largest(-v[a:b])) < inf):
            return i
        if k > 1:
            value[i] = several(v[a:b], chosen[a:b], k, g[a:b])
            p[a:b] = np.nan
        else:
            others = 0.0
            for j in range(a, b):
                p[j] = exp(v[j] - big)
                others += p[j] if j != own else 0.0
            total = others + p[own]
            value[i] = log1p(others / p[own]) if p[own] > 1e-290 else big - v[own] + log(total)
            for j in range(a, b):
                p[j] /= total
                g[j] = p[j]
            g[own] = -others / total
        value[i] *= weight[i]
        for j in range(a, b):
            g[j] *= weight[i]
    return -1


def signature(real: Any) -> tuple[Any, ...]:
    """The types of `sets`' arguments."""
    f, i = "float64", "int64"
    return reads(f, 1), reads(i, 1), reads(i, 1), reads(f, 1), i, i, made(f, 1), made(f, 1), made(f, 1)


LOOPS = {"sets": (sets, signature)}
