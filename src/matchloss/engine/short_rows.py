"""numba: the row loop for rows of fewer than 32 columns. 128 rows stand side by side, transposed, and every inner loop runs over them."""
# pyright: reportArgumentType=false, reportCallIssue=false, reportOptionalCall=false

from __future__ import annotations

from math import inf, nan
from types import FunctionType
from typing import Any

import numpy as np

from matchloss.engine.cache import steady
from matchloss.engine.compiled import COMPILED
from matchloss.engine.elementary import inlined

SIDE = 128


@inlined
def largest(z, big, top, spoilt):
    """The largest entry of each row, NaN where there is a NaN or a second infinity like it, and where it first stands."""
    for r in range(SIDE):
        big[r], top[r], spoilt[r] = z[0, r], 0, z[0, r] != z[0, r]
    for j in range(1, z.shape[0]):
        for r in range(SIDE):
            x = z[j, r]
            more = x > big[r]
            big[r] = x if more else big[r]
            top[r] = j if more else top[r]
            spoilt[r] |= x != x
    for r in range(SIDE):
        if abs(big[r]) == inf:
            for j in range(z.shape[0]):
                spoilt[r] |= j != top[r] and z[j, r] == big[r]
        big[r] = nan if spoilt[r] else big[r]


steady(largest, "short_rows largest")


def side_by_side(
    steps: tuple[Any, ...], m: Any, work: Any, power: float, labels: bool, exp_gap: Any, one_minus_gap: Any, name: str
) -> FunctionType:
    """The loop of matchloss.engine.row_loops.row_loop; power 0 is softmax."""
    terms, base, entry, curvature, plain = steps
    soft = power == 0.0
    half = work(0.5)  # of a gap, since the whole may overflow where t times it does not

    @inlined
    def load(source, sink):
        sink[:] = 0.0
        for r in range(source.shape[0]):
            for j in range(source.shape[1]):
                sink[j, r] = source[r, j]

    @inlined
    def solve(w, d):
        a, b = np.empty(SIDE), np.empty(SIDE)
        d[:] = 0.0
        for _ in range(100):
            a[:] = 0.0
            b[:] = 0.0
            for j in range(w.shape[0]):
                for r in range(SIDE):
                    x = w[j, r] - d[r]
                    inside = x > 0.0
                    if power == 1.0:
                        a[r] += w[j, r] if inside else 0.0
                        b[r] += 1.0 if inside else 0.0
                    else:
                        x = x if inside else 0.0
                        a[r] += x * x
                        b[r] += x
            grown = 0
            for r in range(SIDE):
                if power == 1.0:
                    new = a[r] / (b[r] + 1.0)
                else:
                    new = d[r] + (a[r] - d[r] * (2.0 - d[r])) / (2.0 * b[r] + 2.0 * (1.0 - d[r]))
                grown += 1 if new > d[r] * (1 + 1e-15) else 0
                d[r] = new if new > d[r] else d[r]
            if grown == 0:
                break

    for helper in (load, solve):
        steady(helper, f"{name} {helper.py_func.__name__}")

    def loop(raw, target, weight, tolerance, ignored, scale, value, gradient, hessian, constants):
        n, classes = raw.shape
        z, u = np.empty((classes, SIDE), work), np.empty((classes, SIDE), work)
        g_side, h_side = np.empty((classes, SIDE), work), np.empty((classes, SIDE), work)
        t_side = np.empty((1 if labels else classes, SIDE), work)
        big, gap = np.empty(SIDE, work), np.empty(SIDE, work)
        top, label = np.empty(SIDE, np.int32), np.empty(SIDE, np.int32)
        spoilt = np.empty(SIDE, np.bool_)
        s0, s1, s2 = np.empty(SIDE, work), np.empty(SIDE, work), np.empty(SIDE, work)
        q0, q1, q2 = np.empty(SIDE, work), np.empty(SIDE, work), np.empty(SIDE, work)
        share, factor = np.empty(SIDE, work), np.empty(SIDE, work)
        d, v = np.zeros(SIDE), np.empty(SIDE)
        for i in range(0, n, SIDE):
            rows = min(SIDE, n - i)
            load(raw[i : i + rows], z)
            label[:] = 0
            factor[:] = 1.0
            if weight is not None:
                for r in range(rows):
                    factor[r] = weight[i + r]
            if labels:
                for r in range(rows):
                    inside = target[i + r] >= 0 and target[i + r] < classes
                    if not inside and factor[r] != 0.0:
                        return i + r
                    label[r] = target[i + r] if inside else 0
            else:
                load(target[i : i + rows], t_side)
                for r in range(rows):
                    mass, least = 0.0, 0.0
                    for j in range(classes):
                        t = np.float64(target[i + r, j])
                        mass += t
                        least = least if t >= least else t
                    if not (abs(mass - 1.0) <= tolerance and least >= 0.0) and factor[r] != 0.0:
                        return i + r
            largest(z, big, top, spoilt)
            if not soft:
                for j in range(classes):
                    for r in range(SIDE):
                        w = one_minus_gap(m, z[j, r], big[r], scale)
                        u[j, r] = -inf if top[r] == j else w
                solve(u, d)
            for a in (gap, s0, s1, s2, q0, q1, q2):
                a[:] = 0.0
            for j in range(classes):
                for r in range(SIDE):
                    highest = top[r] == j
                    if labels:
                        t = work(1) if label[r] == j else work(0)
                    else:
                        t = t_side[j, r]
                    if soft:
                        x = exp_gap(m, z[j, r], big[r])
                        x = work(1) if highest else x
                    else:
                        x = u[j, r] - d[r]
                        x = x if x > 0.0 else 0.0
                        x = 1.0 - d[r] if highest else x
                    x = x if big[r] == big[r] else work(nan)
                    u[j, r] = x
                    o0, o1, o2 = terms(m, x, t, *constants)
                    s0[r] += work(0) if highest else work(o0)
                    s1[r] += work(0) if highest else work(o1)
                    s2[r] += work(0) if highest else work(o2)
                    q0[r] = work(o0) if highest else q0[r]
                    q1[r] = work(o1) if highest else q1[r]
                    q2[r] = work(o2) if highest else q2[r]
                    gap[r] += t * (half * big[r] - half * z[j, r]) if t != 0.0 and z[j, r] != big[r] else work(0)
            for r in range(SIDE):
                others = (np.float64(s0[r]), np.float64(s1[r]), np.float64(s2[r]))
                v[r] = base(COMPILED, 2.0 * np.float64(gap[r]), d[r], others, *constants)
                q0[r], q1[r], q2[r] = q0[r] + s0[r], q1[r] + s1[r], q2[r] + s2[r]
                share[r] = work(1.0 / np.float64(q0[r]))
            for j in range(classes):
                for r in range(SIDE):
                    highest = top[r] == j
                    if labels:
                        t = work(1) if label[r] == j else work(0)
                    else:
                        t = t_side[j, r]
                    o0, o1, o2 = terms(m, u[j, r], t, *constants)
                    x0 = s0[r] if highest else q0[r] - work(o0)
                    x1 = s1[r] if highest else q1[r] - work(o1)
                    x2 = s2[r] if highest else q2[r] - work(o2)
                    p = work(o0) * share[r]
                    f, g, h = entry(m, p, x0 * share[r], t, (o0, o1, o2), (x0, x1, x2), share[r], *constants)
                    v[r] += t * f if t != 0.0 else 0.0
                    k = factor[r]
                    if gradient is not None:
                        g_side[j, r] = g * k if k != 0.0 else 0.0
                    if hessian is not None:
                        if not plain:
                            h = curvature(m, p)
                        h_side[j, r] = h * k if k != 0.0 else 0.0
            for r in range(rows):
                if value is not None:
                    value[i + r] = v[r] * factor[r] if factor[r] != 0.0 else 0.0
                for j in range(classes):
                    if gradient is not None:
                        gradient[i + r, j] = g_side[j, r]
                    if hessian is not None:
                        hessian[i + r, j] = h_side[j, r]
        return -1

    return loop  # pyright: ignore[reportReturnType]
