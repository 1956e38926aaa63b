"""The loop for rows of fewer than 32 columns. It transposes 128 rows at a time, and every inner loop runs over these rows."""
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOptionalCall=false, reportOptionalSubscript=false, reportPossiblyUnboundVariable=false

from __future__ import annotations

from math import inf, nan

import numpy as np

from matchloss.engine.compiled import COMPILED
from matchloss.engine.row_steps import bend
from matchloss.engine.row_text import LIMIT, bonus, exp_gap, half_gap, one_minus_gap, signal
from matchloss.engine.signatures import inlined

SIDE = 128


@inlined
def largest(z, big, top, spoilt):
    """The largest entry of each row (NaN if there is a NaN or a second +inf), and its first index."""
    for r in range(SIDE):
        big[r], top[r], spoilt[r] = z[0, r], 0, z[0, r] != z[0, r]
    for j in range(1, z.shape[0]):
        for r in range(SIDE):
            x = z[j, r]
            more = x > big[r]
            big[r] = x if more else big[r]
            top[r] = np.int32(j) if more else top[r]
            spoilt[r] |= x != x
    for r in range(SIDE):
        if abs(big[r]) == inf:
            for j in range(z.shape[0]):
                spoilt[r] |= np.int32(j) != top[r] and z[j, r] == big[r]
        big[r] = nan if spoilt[r] else big[r]


@inlined
def transpose(source, sink):
    """Rows side by side; 0 where there is none."""
    sink[:] = 0
    for r in range(source.shape[0]):
        for j in range(source.shape[1]):
            sink[j, r] = source[r, j]


@inlined
def distributions(source, tolerance, w, t, mass, least):
    """Transposes some rows of the target; returns the first that is not a distribution and whose weight is not 0, or SIDE."""
    transpose(source, t)
    mass[:] = 0.0
    least[:] = 0.0
    for j in range(t.shape[0]):
        for r in range(SIDE):
            y = np.float64(t[j, r])
            mass[r] += y
            least[r] = least[r] if y >= least[r] else y
    for r in range(source.shape[0]):
        if w[r] != 0.0 and not (abs(mass[r] - 1.0) <= tolerance and least[r] >= 0.0):
            return r
    return SIDE


@inlined
def mix(index, share, fixed, scale, w, t):
    """Adds the other parts of a mixture to `t`; returns the first row with a label out of range and a weight that is not 0, or SIDE."""
    if scale is not None:
        for j in range(t.shape[0]):
            for r in range(SIDE):
                t[j, r] *= scale[j]
    if fixed is not None:
        for j in range(t.shape[0]):
            for r in range(SIDE):
                t[j, r] += fixed[j]
    if index is not None:
        for r in range(index.shape[0]):
            for q in range(index.shape[1]):
                j = index[r, q]
                if w[r] != 0.0 and share[r, q] != 0.0:
                    if j < 0 or j >= t.shape[0]:
                        return r
                    t[j, r] += share[r, q]
    return SIDE


@inlined
def solve(x, w, power, d):
    """The d of each row; see row_text.Solver."""
    a, b = np.empty(SIDE), np.empty(SIDE)
    d[:] = 0.0
    for _ in range(LIMIT):
        a[:] = 0.0
        b[:] = 0.0
        for j in range(w.shape[0]):
            for r in range(SIDE):
                left, right = x.summand(x.m, w[j, r], d[r], power)
                a[r] += left
                b[r] += right
        going = 0
        for r in range(SIDE):
            (new, _low, _high), more = x.step(x.m, (d[r], 0.0, 1.0), a[r], b[r], power)
            going += 1 if more else 0
            d[r] = new
        if going == 0:
            break


@inlined
def spreads(u, big, top, e, spread):
    """The sums of e (big - u), which entropy needs."""
    spread[:] = 0.0
    for j in range(u.shape[0]):
        for r in range(SIDE):
            spread[r] += e[j, r] * (big[r] - u[j, r]) if e[j, r] > 0.0 and top[r] != np.int32(j) else 0.0


@inlined
def slopes(e, t, bent, top, at_top, factor, w, out):
    """Writes the gradient: factor p - w t, computed differently at the largest entry, times the slope of the softcap."""
    for j in range(e.shape[0]):
        for r in range(SIDE):
            g = at_top[r] if top[r] == np.int32(j) else factor[r] * e[j, r] - w[r] * t[j, r]
            out[j, r] = g if w[r] != 0.0 else 0.0
    if bent is not None:
        for j in range(e.shape[0]):
            for r in range(SIDE):
                out[j, r] *= bent[j * SIDE + r] if w[r] != 0.0 else 0.0


@inlined
def short_rows(x, raw, target, weight, tolerance, power, scale, value, gradient, hessian, constants):
    """`row_loop` for short rows. A mixture's rows must be whole: `known` is ignored."""
    zero, one, half = x.work(0), x.work(1), x.work(0.5)
    n, classes = raw.shape
    flat = np.empty(classes * SIDE, x.work)
    z, u, h_side = flat.reshape(classes, SIDE), np.empty((classes, SIDE), x.work), np.empty((classes, SIDE), x.work)
    g_side = z  # reused: z is not read any more by then
    t_side = np.empty((1 if x.labels else classes, SIDE), x.work)
    big, gap = np.empty(SIDE, x.work), np.empty(SIDE, x.work)
    top, label = np.empty(SIDE, np.int32), np.empty(SIDE, np.int32)
    spoilt = np.empty(SIDE, np.bool_)
    s0, s1, s2 = np.empty(SIDE, x.work), np.empty(SIDE, x.work), np.empty(SIDE, x.work)
    q0, q1, q2 = np.empty(SIDE, x.work), np.empty(SIDE, x.work), np.empty(SIDE, x.work)
    share, factor = np.empty(SIDE, x.work), np.empty(SIDE, np.float64 if x.mixed else x.work)
    d, v, mass, least = np.zeros(SIDE), np.empty(SIDE), np.empty(SIDE), np.empty(SIDE)
    if x.mixed:
        index, share_of, fixed, dense, by_class, _ = target
        cap, cool, z_loss, spread_wanted = constants
        bits, bent = np.empty(classes * SIDE, raw.dtype), None if cap is None else np.empty(classes * SIDE, x.work)
        spread, label_gap, at_top, out = np.zeros(SIDE, x.work), np.zeros(SIDE, x.work), np.empty(SIDE, x.work), np.empty(SIDE, x.work)
    for i in range(0, n, SIDE):
        rows = min(SIDE, n - i)
        factor[:] = 0.0
        for r in range(rows):
            factor[r] = 1.0 if weight is None else weight[i + r]
        bad = SIDE
        if x.labels:
            label[:] = 0
            for r in range(rows):
                inside = target[i + r] >= 0 and target[i + r] < classes
                if not inside and factor[r] != 0.0:
                    return i + r
                label[r] = target[i + r] if inside else 0
        elif x.mixed:
            t_side[:] = 0.0
            if dense is not None:
                bad = distributions(dense[i : i + rows], tolerance, factor, t_side, mass, least)
            at = None if index is None else index[i : i + rows]
            bad = min(bad, mix(at, None if index is None else share_of[i : i + rows], fixed, by_class, factor, t_side))
        else:
            bad = distributions(target[i : i + rows], tolerance, factor, t_side, mass, least)
        if bad < SIDE:
            return i + bad
        if x.mixed:
            transpose(raw[i : i + rows], bits.reshape(classes, SIDE))
            bend(x, bits, flat, bent, cap, cool)
        else:
            transpose(raw[i : i + rows], z)
        largest(z, big, top, spoilt)
        if not x.soft:
            for j in range(classes):
                for r in range(SIDE):
                    w = one_minus_gap(x.m, z[j, r], big[r], scale)
                    u[j, r] = -inf if top[r] == np.int32(j) else w
            solve(x, u, power, d)
        for a in (gap, s0, s1, s2, q0, q1, q2):
            a[:] = 0.0
        for j in range(classes):
            for r in range(SIDE):
                highest = top[r] == np.int32(j)
                if x.labels:
                    t = one if label[r] == np.int32(j) else zero
                else:
                    t = t_side[j, r]
                if x.soft:
                    e = exp_gap(x.m, z[j, r], big[r])
                    e = one if highest else e
                else:
                    e = u[j, r] - d[r]
                    e = e if e > 0.0 else 0.0
                    e = 1.0 - d[r] if highest else e
                e = e if big[r] == big[r] else x.work(nan)
                u[j, r] = e
                o0, o1, o2 = x.terms(x.m, e, t, *constants)
                s0[r] += zero if highest else x.work(o0)
                s1[r] += zero if highest else x.work(o1)
                q1[r] = x.work(o1) if highest else q1[r]
                if not x.mixed:
                    s2[r] += zero if highest else x.work(o2)
                    q0[r] = x.work(o0) if highest else q0[r]
                    q2[r] = x.work(o2) if highest else q2[r]
                gap[r] += t * half_gap(half, z[j, r], big[r]) if t != 0.0 and z[j, r] != big[r] else zero
        if x.mixed:
            if spread_wanted is not None and spread_wanted != 0.0:
                spreads(z, big, top, u, spread)
            if index is not None:
                for r in range(rows):
                    j = index[i + r, 0]
                    if j >= 0 and j < classes:
                        label_gap[r] = zero if z[j, r] == big[r] else half_gap(half, z[j, r], big[r])
            for r in range(rows):
                live = factor[r] != 0.0
                value[0, i + r] = big[r] if live else 0.0
                value[1, i + r] = s0[r] if live else 0.0
                value[2, i + r] = 2.0 * np.float64(gap[r]) if live else 0.0
                value[3, i + r] = np.float64(s1[r]) + np.float64(q1[r]) if live else 0.0
                value[4, i + r] = 2.0 * np.float64(label_gap[r]) if live else 0.0
                value[5, i + r] = top[r] if live else 0.0
                value[6, i + r] = spread[r] if live else 0.0
            if gradient is not None:
                for r in range(SIDE):
                    others, own, held, w = np.float64(s0[r]), np.float64(q1[r]), np.float64(s1[r]), factor[r]
                    if z_loss is not None and z_loss != 0.0:
                        held += bonus(COMPILED, np.float64(big[r]), others, z_loss)
                    if cap is None and cool is not None:
                        w *= cool
                    p = 1.0 / (1.0 + others)
                    at_top[r] = w * signal(held, own, p, others * p)
                    share[r], out[r] = w * (held + own) * p, w
                slopes(u, t_side, bent, top, at_top, share, out, g_side)
        else:
            for r in range(SIDE):
                rest = (np.float64(s0[r]), np.float64(s1[r]), np.float64(s2[r]))
                v[r] = x.base(COMPILED, 2.0 * np.float64(gap[r]), d[r], rest, *constants)
                q0[r], q1[r], q2[r] = q0[r] + s0[r], q1[r] + s1[r], q2[r] + s2[r]
                share[r] = x.work(1.0 / np.float64(q0[r]))
            for j in range(classes):
                for r in range(SIDE):
                    highest = top[r] == np.int32(j)
                    if x.labels:
                        t = one if label[r] == np.int32(j) else zero
                    else:
                        t = t_side[j, r]
                    o0, o1, o2 = x.terms(x.m, u[j, r], t, *constants)
                    x0 = s0[r] if highest else q0[r] - x.work(o0)
                    x1 = s1[r] if highest else q1[r] - x.work(o1)
                    x2 = s2[r] if highest else q2[r] - x.work(o2)
                    p = x.work(o0) * share[r]
                    f, g, h = x.entry(x.m, p, x0 * share[r], t, (o0, o1, o2), (x0, x1, x2), share[r], *constants)
                    v[r] += t * f if t != 0.0 else 0.0
                    k = factor[r]
                    if gradient is not None:
                        g_side[j, r] = g * k if k != 0.0 else 0.0
                    if hessian is not None:
                        curve = h if x.curvature is None else x.curvature(x.m, p)
                        h_side[j, r] = curve * k if k != 0.0 else 0.0
            if value is not None:
                for r in range(rows):
                    value[i + r] = v[r] * factor[r] if factor[r] != 0.0 else 0.0
        for r in range(rows):
            for j in range(classes):
                if gradient is not None:
                    gradient[i + r, j] = x.store(g_side[j, r])
                if hessian is not None:
                    hessian[i + r, j] = h_side[j, r]
    return -1
