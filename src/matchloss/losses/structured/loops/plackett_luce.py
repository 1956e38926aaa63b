"""Plackett-Luce on ragged lists: value and gradient in one call. Each list has its own sums, so that nothing depends on the other lists."""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np

from matchloss.losses.structured.loops._numbers import (
    exp,
    exps,
    inlined,
    largest,
    log1p,
    made,
    reads,
    sigmoid,
    softplus,
    summing,
)

WIDEST = 600.0  # range of scores that e^x can hold


@summing
def sum_log1p(rest, e):
    """The sum of log(1 + rest / e)."""
    s = 0.0
    for j in range(e.size):
        s += log1p(rest[j] / e[j])
    return s


@inlined
def one(z, top, scale, gradient, e, rest):
    """The value of one list in order, and scale times its gradient; NaN where a score is not finite."""
    n = z.size
    big, low = largest(z), -largest(-z)
    if not (abs(big) < inf and abs(low) < inf):
        return nan
    if big - low < WIDEST:
        exps(z, big, e)
        s = 0.0
        for j in range(n - 1, -1, -1):
            rest[j] = s
            s += e[j]
        before = 0.0  # the sum of 1 / (what was left) over earlier choices
        for j in range(n):
            g = e[j] * before
            if j < top:
                whole = 1.0 / (rest[j] + e[j])
                g -= rest[j] * whole
                before += whole
            gradient[j] = scale * g
        return sum_log1p(rest[:top], e[:top])
    rest[n - 1] = -inf  # the same with logarithms of the sums
    for j in range(n - 2, -1, -1):
        rest[j] = z[j + 1] + softplus(rest[j + 1] - z[j + 1])
    value, before = 0.0, -inf
    for j in range(n):
        g = exp(z[j] + before)
        if j < top:
            x = rest[j] - z[j]
            value += softplus(x)
            g -= sigmoid(x)
            left = -(z[j] + softplus(x))
            before = max(before, left) + log1p(exp(-abs(before - left))) if j else left
        gradient[j] = scale * g
    return value


@inlined
def lists(z, indptr, order, top, weight, first, last, value, gradient):
    """Lists first..last: weight * value, and its gradient; the first list with a score that is not finite, or -1. top 0: all places."""
    longest = 0
    for i in range(first, last):
        longest = max(longest, indptr[i + 1] - indptr[i])
    e, rest, g, x = np.empty(longest), np.empty(longest), np.empty(longest), np.empty(longest)
    for i in range(first, last):
        a, n = indptr[i], indptr[i + 1] - indptr[i]
        if weight[i] == 0.0 or n == 0:
            value[i] = 0.0
            gradient[a : a + n] = 0.0
            continue
        for j in range(n):
            x[j] = z[a + order[a + j]]
        value[i] = weight[i] * one(x[:n], min(top, n) if top else n, weight[i], g[:n], e[:n], rest[:n])
        if value[i] != value[i]:
            return i
        for j in range(n):
            gradient[a + order[a + j]] = g[j]
    return -1


def signature(real: Any) -> tuple[Any, ...]:
    """The types of `lists`' arguments."""
    f, i = "float64", "int64"
    return reads(f, 1), reads(i, 1), reads(i, 1), i, reads(f, 1), i, i, made(f, 1), made(f, 1)


LOOPS = {"lists": (lists, signature)}
