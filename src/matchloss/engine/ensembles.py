"""The loop for scores of ensembles. It sorts a row's members in a scratch row and scores them in one pass over their gaps."""
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from matchloss.engine.cache import key
from matchloss.engine.compiled import compiled
from matchloss.engine.signatures import Reads, Writes, inlined

RUN = 64  # members to sort by insertion


@inlined
def insert(a):
    """Insertion sort in place: the fastest for tens of members."""
    for i in range(1, a.size):
        x = a[i]
        j = i
        while j > 0 and a[j - 1] > x:
            a[j] = a[j - 1]
            j -= 1
        a[j] = x


@inlined
def merge(a, b, out):
    """The entries of two sorted lines in order."""
    i, j = 0, 0
    for k in range(out.size):
        first = j >= b.size or (i < a.size and a[i] <= b[j])
        out[k] = a[i] if first else b[j]
        i += first
        j += not first


@inlined
def sort(a, spare):
    """Sorts in place: short runs by insertion, which are merged by twos."""
    for start in range(0, a.size, RUN):
        insert(a[start : start + RUN])
    width = RUN
    while width < a.size:
        start = 0
        while start < a.size:
            merge(a[start : start + width], a[start + width : start + 2 * width], spare[start : start + 2 * width])
            start += 2 * width
        a[:] = spare
        width *= 2


@inlined
def _gaps(obs, members, fair, skip, out):
    row, spare = np.empty(members.shape[1]), np.empty(members.shape[1])
    for r in range(members.shape[0]):
        m = 0
        for j in range(members.shape[1]):
            x = np.float64(members[r, j])
            if x == x:
                row[m] = x
                m += 1
            elif not skip:
                return r
        if m == 0:
            return r
        part = row[:m]
        sort(part, spare[:m])
        y = np.float64(obs[r])
        total = 0.0
        size = np.float64(m)
        unit = 1.0 / (size * (size - 1.0)) if fair else 1.0 / (size * size)
        less = 1.0 if fair else 0.0
        if y < part[0]:
            total += part[0] - y
        for j in range(m - 1):
            low, high, i = part[j], part[j + 1], j + 1.0
            below, above = i * (i - less) * unit, (size - i) * (size - i - less) * unit
            if y >= high:
                total += (high - low) * below
            elif y <= low:
                total += (high - low) * above
            else:
                total += (y - low) * below + (high - y) * above
        if y > part[m - 1]:
            total += y - part[m - 1]
        out[r] = total
    return -1


@cache
def gaps_loop(dtype: str) -> Callable[..., int]:
    """loop(obs, members, fair, skip, out) -> the first row with a NaN (with `skip`: without a single member), or -1.

    out = the sum over the gaps between neighbours, of x to x + g, of g times c(i) below the observation and c(m - i) above it, i the
    members up to x: c(i) = (i/m)^2, or fair, i (i - 1) / (m (m - 1)). All terms are >= 0. A fair score of one member is NaN.
    """

    name = {"f4": "float32", "f8": "float64"}[dtype]
    return compiled(_gaps, f"ensembles_{dtype}", (Reads(name), Reads(name, 2), "bool", "bool", Writes("float64")), key())
