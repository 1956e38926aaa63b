"""CTC, one sequence: value and gradient in one call. The states are blank y1 blank y2 ... blank (S = 2 L + 1 of them).

A cell of the lattice is m 2^k, so that no alignment underflows and each posterior has a relative error of some T eps. Where one class has
p > 1/2, its gradient is (mass on other states) - (mass on other classes), so that each entry is within some eps of the two masses whose
difference it is. Where Z > 1/2, the value is -log1p(-(mass that leaves the lattice)): a string of classes takes one path, so that what
leaves is again a sum of positive numbers.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np

from matchloss.losses.structured.loops._numbers import (
    CHUNK,
    LINE,
    LN2,
    NONE,
    add3,
    exp_of,
    fetch,
    inlined,
    largest,
    log,
    log1p,
    made,
    mass_of,
    reads,
    summing,
    times_two_to,
    wide_exps,
)

NO_ALIGNMENT, NOT_A_NUMBER = 1, 2


@inlined
def forward(m, k, m0, k0, skip, pm, pk):
    """The states of m, k, which start at entry 2, from those of the frame before."""
    for s in range(pm.size):
        m[s + 2], k[s + 2] = add3(m0[s + 2], k0[s + 2], m0[s + 1], k0[s + 1], m0[s], k0[s] + skip[s], pm[s], pk[s])


@inlined
def step_back(m, k, w, wk, skip):
    """The states of m, k from those of the frame after times its p, which end two states later."""
    for s in range(m.size):
        m[s], k[s] = add3(w[s], wk[s], w[s + 1], wk[s + 1], w[s + 2], wk[s + 2] + skip[s + 2], 1.0, 0)


@inlined
def spread(xm, xk, pm, pk):
    """The probabilities of states from those of the blank, which comes first, and the labels."""
    pm[0], pk[0] = xm[0], xk[0]
    for i in range(1, xm.size):
        pm[2 * i - 1], pk[2 * i - 1], pm[2 * i], pk[2 * i] = xm[i], xk[i], xm[0], xk[0]


@inlined
def products(m, k, pm, pk, w, wk):
    """m 2^k times pm 2^pk, not normalised."""
    for s in range(m.size):
        w[s], wk[s] = m[s] * pm[s], k[s] + pk[s]


@inlined
def posteriors(am, ak, bm, bk, inverse, zk, out):
    """P(state | target) of a frame."""
    for s in range(out.size):
        d = ak[s] + bk[s] - zk
        out[s] = times_two_to(am[s] * bm[s] * inverse, min(d, 1)) if d > -1000 else 0.0


@summing
def apart(posterior, labels, top):
    """The mass on blanks, and on labels other than top."""
    blanks, others = posterior[0], 0.0
    for i in range(labels.size):
        blanks += posterior[2 * i + 2]
        others += posterior[2 * i + 1] if labels[i] != top else 0.0
    return blanks, others


@inlined
def leaving(am, ak, g, at, skip, frames, top, rest, scale):
    """1 - Z in the units of g, the probabilities: at each frame, the mass of a state times that of the classes that lead nowhere."""
    lost, states, kept = 0.0, at.size, np.zeros(3, g.dtype)
    for t in range(frames):
        share = scale / (1.0 + rest[t])
        for s in range(-1 if t == 0 else 0, 0 if t == 0 else states):
            mass = 1.0 if t == 0 else times_two_to(am[t - 1, s + 2], min(ak[t - 1, s + 2], 0))
            if mass < 1e-20 * lost:
                continue
            low, high = max(s, 0, states - 2 * (frames - t)), min(s + (3 if s < 0 or skip[s + 2] == 0 else 2), states)
            known, others = rest[t] * share + share, 0.0
            for q in range(low, high):  # no two of them are of one class
                if at[q] == top[t]:
                    known = rest[t] * share
                else:
                    others += np.float64(g[t, at[q]])
            if others < 0.5 * known:  # what is taken away costs one bit at most
                lost += mass * (known - others)
                continue
            for q in range(low, high):
                kept[q - low], g[t, at[q]] = g[t, at[q]], 0
            lost += mass * mass_of(g[t])
            for q in range(low, high):
                g[t, at[q]] = kept[q - low]
    ended = 0.0  # alignments that stop before the last label
    for s in range(states - 2):
        ended += times_two_to(am[frames - 1, s + 2], min(ak[frames - 1, s + 2], 0))
    return lost, ended


@summing
def exps_and_total(z, big, g, ahead):
    """e^(z - big) into g, and their sum, in the row's own precision by chunks.

    ahead: the sequence's next row. It lies a whole frame further on in memory, where the processor does not look for it by itself.
    """
    total = 0.0
    for a in range(0, z.size, CHUNK):
        for j in range(a, min(a + CHUNK, z.size), LINE):
            fetch(ahead, j)
        x, y, part = z[a : a + CHUNK], g[a : a + CHUNK], big - big
        for j in range(x.size):
            y[j] = exp_of(x[j] - big)
        for j in range(x.size):
            part += y[j]
        total += np.float64(part)
    return total


@inlined
def exps_and_rest(z, g, ahead):
    """e^(z - largest) into g; what the largest is, the sum of the others (NaN if it is not finite), and where it is if p > 1/2, or -1."""
    big, top = largest(z), 0
    if not abs(big) < inf:
        return big, nan, -1
    total = exps_and_total(z, big, g, ahead)
    if total >= 2.0:
        return big, total - 1.0, -1
    while z[top] != big:
        top += 1
    g[top] = 0
    rest = mass_of(g)
    g[top] = 1
    return big, rest, top


@inlined
def multiply(g, factor):
    """g times a number of its own precision."""
    for j in range(g.size):
        g[j] = g[j] * factor


@inlined
def sequence(z, labels, frames, blank, from_logits, graded, scale, n, mantissas, exponents, value, gradient):
    """Sequence n of z (T, N, C): its value, and scale times its gradient; 0, NO_ALIGNMENT or NOT_A_NUMBER; `gradient` is scratch too.

    mantissas, exponents: scratch for two lattices, (2, at least frames, at least 2 labels + 3).
    """
    size, states = labels.size, 2 * labels.size + 1
    pm, pk, am, ak = mantissas[0], exponents[0], mantissas[1], exponents[1]
    at, skip = np.full(states, blank), np.full(states + 2, NONE)
    at[1::2] = labels
    for i in range(1, size):
        if labels[i] != labels[i - 1]:
            skip[2 * i + 1] = 0
    x, xm, xk = np.empty(size + 1), np.empty(size + 1), np.empty(size + 1, np.int64)
    rest, top = np.zeros(frames), np.full(frames, -1)
    factor = np.empty(1, gradient.dtype)  # a number stored here has the gradient's precision
    gradient[frames:, n] = 0
    if frames == 0:
        value[n] = 0.0
        return NO_ALIGNMENT if size else 0
    for t in range(frames):
        shift = 0.0
        if from_logits:
            big, rest[t], top[t] = exps_and_rest(z[t, n], gradient[t, n], z[min(t + 1, frames - 1), n])
            if not rest[t] < inf:
                return NOT_A_NUMBER
            shift = np.float64(big) + log1p(rest[t])
            factor[0] = scale / (1.0 + rest[t])
            multiply(gradient[t, n], factor[0])
        else:
            gradient[t, n] = 0
        x[0] = np.float64(z[t, n, blank]) - shift
        for i in range(size):
            x[i + 1] = np.float64(z[t, n, labels[i]]) - shift
        if not largest(x) < inf:
            return NOT_A_NUMBER
        wide_exps(x, xm, xk)
        spread(xm, xk, pm[t, :states], pk[t, :states])
        am[t, :2], ak[t, :2] = 1.0, NONE
        if t > 0:
            forward(am[t], ak[t], am[t - 1], ak[t - 1], skip, pm[t, :states], pk[t, :states])
        else:
            am[0], ak[0] = 1.0, NONE
            for s in range(min(2, states)):
                am[0, s + 2], ak[0, s + 2] = pm[0, s], pk[0, s]
        for s in range(states - 2 * (frames - t)):  # too far from the last label
            ak[t, s + 2] = NONE
    last, end = frames - 1, states + 1
    zm, zk = add3(am[last, end], ak[last, end], am[last, end - 1], ak[last, end - 1], 0.0, NONE, 1.0, 0)
    if zk == NONE:
        return NO_ALIGNMENT
    value[n] = -(log(zm) + zk * LN2)
    if from_logits and value[n] < 0.7:
        lost, ended = leaving(am, ak, gradient[:, n], at, skip, frames, top, rest, scale)
        value[n] = -log1p(-(lost / scale + ended))
    if not graded:
        return 0
    bm, bk, w, wk = np.ones(states), np.full(states, NONE), np.ones(states + 2), np.full(states + 2, NONE)
    posterior = np.empty(states)
    for t in range(frames - 1, -1, -1):
        if t == frames - 1:
            bk[max(0, states - 2) :] = 0
        else:
            products(bm, bk, pm[t + 1, :states], pk[t + 1, :states], w, wk)
            step_back(bm, bk, w, wk, skip)
        posteriors(am[t, 2 : states + 2], ak[t, 2 : states + 2], bm, bk, 1.0 / zm, zk, posterior)
        g = gradient[t, n]
        blanks, others = apart(posterior, labels, top[t])
        g[blank] -= blanks * scale
        for i in range(size):
            g[labels[i]] -= posterior[2 * i + 1] * scale
        if top[t] >= 0:
            g[top[t]] = (others + (blanks if top[t] != blank else 0.0)) * scale - rest[t] * (scale / (1.0 + rest[t]))
    return 0


@inlined
def sequences(z, labels, bounds, frames, blank, from_logits, graded, scale, first, last, mantissas, exponents, value, gradient, found):
    """Sequences first..last, whose labels are labels[bounds[n] : bounds[n + 1]]; found: what `sequence` answers. One of scale 0 is 0."""
    for n in range(first, last):
        own, found[n] = labels[bounds[n] : bounds[n + 1]], 0
        if scale[n] == 0.0:
            value[n], gradient[:, n] = 0.0, 0
        else:
            found[n] = sequence(z, own, frames[n], blank, from_logits, graded, scale[n], n, mantissas, exponents, value, gradient)
    return -1


def signature(real: Any) -> tuple[Any, ...]:
    """The types of `sequences`' arguments where scores are of this type."""
    i, yes, f = "int64", "bool", "float64"
    given = reads(real, 3), reads(i, 1), reads(i, 1), reads(i, 1), i, yes, yes, reads(f, 1), i, i
    return *given, made(f, 3), made(i, 3), made(f, 1), made(real, 3), made(i, 1)


LOOPS = {"sequences": (sequences, signature)}
