"""Linear-chain CRF, one sequence: value, expected minus observed, best path.

K^2 multiplications a step and no exponential among them: e^transitions is made once, and each step is scaled by its largest weight. That
loses what underflows; sum_k forward_k backward_k, both scaled to 1, says how much it can matter. Below 1e-200, or where the path's rivals
are so light that they may lack some, the sequence is done in logarithms instead: K^2 exponentials a step, and no underflow (transitions
of -10000 or -inf are such cases only where they decide).
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from matchloss.losses.structured.loops._numbers import (
    exp,
    exps,
    inlined,
    largest,
    log1p,
    log_sum,
    made,
    mass_of,
    reads,
    softplus,
)

TINY = 1e-200
LEAST = 1e-290  # sums of what is left below this may lack what underflowed
IN_LOGARITHMS, IMPOSSIBLE = -1.0, -2.0


@inlined
def scale(a):
    """Divides by the largest, if that is not 0."""
    big = largest(a)
    for j in range(a.size):
        a[j] /= big if big > 0.0 else 1.0
    return big


@inlined
def add_row(out, x, row):
    """out += x row."""
    for j in range(row.size):
        out[j] += x * row[j]


@inlined
def add_rows(out, x, rows):
    """out += x rows, four rows in one sweep: a sweep over a short row costs more for its ends than for its middle."""
    fours = x.size - x.size % 4
    for i in range(0, fours, 4):
        x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        r0, r1, r2, r3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        for j in range(out.size):
            out[j] += (x0 * r0[j] + x1 * r1[j]) + (x2 * r2[j] + x3 * r3[j])
    for i in range(fours, x.size):
        add_row(out, x[i], rows[i])


@inlined
def linear(z, y, tau, turned, sigma, omega, g, pairs, first, last, factor):
    """The value, and times factor: into g (T, K) the gradient, to pairs, first, last the sums over e^transitions. -1: use logarithms.

    turned: tau with columns for rows. What is added to is left as it was where the answer is -1.
    """
    steps, K = z.shape
    e, a, share = np.empty((steps, K)), np.zeros((steps, K)), np.empty((K, steps))
    for t in range(steps):
        exps(z[t], np.float64(largest(z[t])), e[t])
        if t == 0:
            a[0] = sigma
        else:
            add_rows(a[t], a[t - 1], tau)
        for j in range(K):
            a[t, j] *= e[t, j]
        if not scale(a[t]) > 0.0:
            return IN_LOGARITHMS
    value = 0.0
    b, before = omega.copy(), np.empty(K)
    for t in range(steps - 1, -1, -1):
        w = e[t]  # from here on: what e^emissions weighs with all that comes after
        total, others = 0.0, 0.0
        for j in range(K):
            w[j] *= b[j]
            g[t, j] = a[t, j] * b[j]
            total += g[t, j]
            others += g[t, j] if j != y[t] else 0.0
        into = tau[y[t - 1]] if t else sigma
        own = into[y[t]] * w[y[t]]
        if not (total > TINY and own > TINY):
            return IN_LOGARITHMS
        rest = 0.0
        for j in range(K):
            rest += into[j] * w[j] if j != y[t] else 0.0
        if K > 1 and not (rest > LEAST and others > LEAST):
            return IN_LOGARITHMS
        value += log1p(rest / own)
        for j in range(K):
            g[t, j] *= factor / total
        g[t, y[t]] = -factor * others / total
        if t:
            before[:] = 0.0
            add_rows(before, w, turned)
            all_pairs = 0.0
            for i in range(K):
                all_pairs += a[t - 1, i] * before[i]
            for i in range(K):
                share[i, t] = factor * a[t - 1, i] / all_pairs
            b[:] = before
            scale(b)
    for i in range(K):
        add_rows(pairs[i], share[i, 1:], e[1:])
    last += g[steps - 1]
    first += g[0]
    return value


@inlined
def logarithmic(z, y, trans, start, end, g, pairs, first, last, factor):
    """The same in logarithms; pairs are added as they are, not over e^transitions. -2 where the path has probability 0."""
    steps, K = z.shape
    a, b, w, away = np.empty((steps, K)), end.copy(), np.empty(K), np.empty(K)
    into = trans.T.copy()
    a[0] = start + z[0]
    for t in range(1, steps):
        for j in range(K):
            a[t, j] = log_sum(a[t - 1] + into[j]) + z[t, j]
    total, value = log_sum(a[-1] + end), 0.0
    if not abs(total) < inf:
        return IMPOSSIBLE
    for t in range(steps - 1, -1, -1):
        w[:] = z[t] + b
        away[:] = w + (trans[y[t - 1]] if t else start)
        own = away[y[t]]
        away[y[t]] = -inf
        x = log_sum(away) - own
        if not abs(own) < inf:
            return IMPOSSIBLE
        value += softplus(x)
        for j in range(K):
            g[t, j] = exp(a[t, j] + b[j] - total)
        g[t, y[t]] = 0.0
        g[t, y[t]] = -mass_of(g[t])
        for j in range(K):
            g[t, j] *= factor
        if t == steps - 1:
            last += g[t]
        if t == 0:
            first += g[0]
            break
        for i in range(K):
            for j in range(K):
                pairs[i, j] += factor * exp(a[t - 1, i] + trans[i, j] + w[j] - total)
            b[i] = log_sum(trans[i] + w)
    return value


@inlined
def block(z, y, lengths, tau, sigma, omega, factor, begin, stop, value, g, pairs, first, last):
    """`linear` for sequences begin..stop. The first that is to be done in logarithms, whose value is -1, or -1 if there is none."""
    left, tags, turned = -1, z.shape[2], tau.T.copy()
    row = np.empty((z.shape[1], tags))
    for n in range(begin, stop):
        size = lengths[n]
        g[n, size:] = 0
        if factor[n] == 0.0:
            value[n], g[n] = 0.0, 0
            continue
        value[n] = linear(z[n, :size], y[n], tau, turned, sigma, omega, row, pairs, first, last, factor[n])
        if value[n] < 0.0:
            left = n if left < 0 else left
            continue
        for t in range(size):
            for j in range(tags):
                g[n, t, j] = row[t, j]
    return left


@inlined
def better(v, row, i, best_v, best_i):
    """Keeps the best predecessor of each tag, and the first of equals."""
    for j in range(row.size):
        s = v + row[j]
        up = s > best_v[j]
        best_v[j] = s if up else best_v[j]
        best_i[j] = i if up else best_i[j]


@inlined
def viterbi(z, trans, start, end, path):
    """The best path of one sequence; its score."""
    steps, K = z.shape
    v, back = np.empty(K), np.zeros((steps, K), np.int64)
    for j in range(K):
        v[j] = start[j] + np.float64(z[0, j])
    for t in range(1, steps):
        new = np.full(K, -inf)
        for i in range(K):
            better(v[i], trans[i], i, new, back[t])
        for j in range(K):
            v[j] = new[j] + np.float64(z[t, j])
    v += end
    path[steps - 1] = 0
    for j in range(1, K):
        if v[j] > v[path[steps - 1]]:
            path[steps - 1] = j
    for t in range(steps - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return v[path[steps - 1]]


def _block(real: Any) -> tuple[Any, ...]:
    f, i = "float64", "int64"
    given = reads(real, 3), reads(i, 2), reads(i, 1), reads(f, 2), reads(f, 1), reads(f, 1), reads(f, 1), i, i
    return *given, made(f, 1), made(real, 3), made(f, 2), made(f, 1), made(f, 1)


def _logarithmic(real: Any) -> tuple[Any, ...]:
    f, given = "float64", reads("float64", 1)
    return reads(f, 2), reads("int64", 1), reads(f, 2), given, given, made(f, 2), made(f, 2), made(f, 1), made(f, 1), f


def _viterbi(real: Any) -> tuple[Any, ...]:
    given = reads("float64", 1)
    return reads(real, 2), reads("float64", 2), given, given, made("int64", 1)


LOOPS = {"block": (block, _block), "logarithmic": (logarithmic, _logarithmic), "viterbi": (viterbi, _viterbi)}
