"""Sums over risk sets. Event times are numbered within strata; row j is at risk at the times low[j] .. high[j].

Only positive numbers are added, and none is taken off again, so that each sum has a relative error of some n eps. Without late entry one
pass runs backward in time, each sum in units of e^(largest linear predictor at risk); with late entry a tree over event times holds each
row in O(log) nodes, in units of e^(largest of all).
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from matchloss.losses.structured.loops._numbers import (
    exp,
    inlined,
    log,
    made,
    reads,
)


@inlined
def largest_at_risk(eta, ends, starts, shift):
    """shift[i]: the largest eta of rows that leave at time i or later, within i's stratum. Rows ends[i] .. ends[i + 1] leave at i."""
    for i in range(shift.size - 1, -1, -1):
        last = i + 1 == shift.size or starts[i + 1]
        shift[i] = -inf if last else shift[i + 1]
        for j in range(ends[i], ends[i + 1]):
            shift[i] = max(shift[i], eta[j])


@inlined
def cover(v, event, ends, starts, shift, rest, tied):
    """Sums of v at each time over the others at risk, and over the deaths; v[j] in units of its own time, sums in those of theirs."""
    for i in range(shift.size - 1, -1, -1):
        rest[i], tied[i] = 0.0, 0.0
        if i + 1 < shift.size and not starts[i + 1]:
            factor = exp(shift[i + 1] - shift[i])
            for c in range(v.shape[1]):
                rest[i, c] = (rest[i + 1, c] + tied[i + 1, c]) * factor
        for j in range(ends[i], ends[i + 1]):
            to = tied[i] if event[j] else rest[i]
            for c in range(v.shape[1]):
                to[c] += v[j, c]


@inlined
def collect(a, high, event, starts, shift, out, earlier):
    """For each row the sum of a up to its time, in units of 1 / e^shift, and the same without a death's own time."""
    m = shift.size
    before, through = np.zeros(m), np.zeros(m)
    for i in range(m):
        if not starts[i]:
            before[i] = through[i - 1] * exp(shift[i] - shift[i - 1])
        through[i] = before[i] + a[i]
    for j in range(high.size):
        i = high[j]
        out[j] = through[i] if i >= 0 else 0.0
        earlier[j] = before[i] if event[j] else out[j]


@inlined
def cover_tree(v, low, high, out):
    """out[i]: the sum of v[j] over rows with low[j] <= i <= high[j]."""
    m, q = out.shape
    nodes = np.zeros((2 * m, q))
    for j in range(v.shape[0]):
        a, b = low[j] + m, high[j] + 1 + m
        while a < b:
            if a & 1:
                for c in range(q):
                    nodes[a, c] += v[j, c]
                a += 1
            if b & 1:
                b -= 1
                for c in range(q):
                    nodes[b, c] += v[j, c]
            a >>= 1
            b >>= 1
    for i in range(2, 2 * m):
        for c in range(q):
            nodes[i, c] += nodes[i >> 1, c]
    out[:] = nodes[m:]


@inlined
def collect_tree(a, low, high, out):
    """out[j]: the sum of a[i] over low[j] <= i <= high[j]."""
    m = a.size
    nodes = np.zeros(2 * m)
    nodes[m:] = a
    for i in range(m - 1, 0, -1):
        nodes[i] = nodes[2 * i] + nodes[2 * i + 1]
    for j in range(out.size):
        x, y, s = low[j] + m, high[j] + 1 + m, 0.0
        while x < y:
            if x & 1:
                s += nodes[x]
                x += 1
            if y & 1:
                y -= 1
                s += nodes[y]
            x >>= 1
            y >>= 1
        out[j] = s


@inlined
def at_events(rest, tied, deaths, weight, efron, a, a_own, b, b_own, logs):
    """For each event time: sums over its deaths k of u / den, c u / den, u / den^2, c^2 u / den^2, and u log(den).

    den = rest + c tied; Breslow: c = 1; Efron: c = 1 - k / deaths. u: the mean weight of the deaths. rest: all others at risk.
    """
    for i in range(rest.size):
        a[i], a_own[i], b[i], b_own[i], logs[i] = 0.0, 0.0, 0.0, 0.0, 0.0
        u = weight[i] / deaths[i]
        for k in range(deaths[i]):
            c = 1.0 - k / deaths[i] if efron else 1.0
            x = 1.0 / (rest[i] + c * tied[i])
            a[i] += u * x
            a_own[i] += c * u * x
            b[i] += u * x * x
            b_own[i] += c * c * u * x * x
            logs[i] -= u * log(x)


@inlined
def means_at_events(rest, tied, deaths, weight, efron, out):
    """sqrt(u) times the mean of x at risk, one row a death: rest and tied are (times, 1 + p), the first column without x."""
    r = 0
    for i in range(deaths.size):
        root = np.sqrt(weight[i] / deaths[i])
        for k in range(deaths[i]):
            c = 1.0 - k / deaths[i] if efron else 1.0
            den = rest[i, 0] + c * tied[i, 0]
            for q in range(out.shape[1]):
                out[r, q] = root * (rest[i, 1 + q] + c * tied[i, 1 + q]) / den
            r += 1


def _is(*arguments: Any) -> Any:
    return lambda real: arguments


_vector, _matrix, _whole, _flags = reads("float64", 1), reads("float64", 2), reads("int64", 1), reads("bool", 1)
_line, _lines, _yes = made("float64", 1), made("float64", 2), "bool"

LOOPS = {
    "largest_at_risk": (largest_at_risk, _is(_vector, _whole, _flags, _line)),
    "cover": (cover, _is(_matrix, _flags, _whole, _flags, _vector, _lines, _lines)),
    "collect": (collect, _is(_vector, _whole, _flags, _flags, _vector, _line, _line)),
    "cover_tree": (cover_tree, _is(_matrix, _whole, _whole, _lines)),
    "collect_tree": (collect_tree, _is(_vector, _whole, _whole, _line)),
    "at_events": (at_events, _is(_vector, _vector, _whole, _vector, _yes, *[_line] * 5)),
    "means_at_events": (means_at_events, _is(_matrix, _matrix, _whole, _vector, _yes, _lines)),
}
