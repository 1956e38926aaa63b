"""The loop over rows. All passes over a row run in a scratch row in cache, and results are written once. So the gradient may
overwrite raw, and half precision is converted on the way in and out. The largest entry is kept apart from the sum of the others,
and so is the label, which keeps confident rows exact.

Two layouts: long rows one by one, here, and rows of fewer than 32 columns side by side (matchloss.engine.short_rows).
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOptionalCall=false, reportOptionalSubscript=false, reportPossiblyUnboundVariable=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, nan
from typing import Any

import numpy as np

from matchloss.engine import elementary, row_text
from matchloss.engine.cache import key
from matchloss.engine.compiled import COMPILED, compiled
from matchloss.engine.row_steps import CHUNK, DTYPES, MixtureParts, Recipe, any_equal, bend, highest, mass_and_least, mean_half_gap
from matchloss.engine.row_text import LIMIT, RowProgram, bonus, exp_gap, half_gap, one_minus_gap, signal
from matchloss.engine.short_rows import short_rows
from matchloss.engine.signatures import Reads, Writes, inlined, summing


@cache
def row_loop(
    program: RowProgram | None, dtype: str, outputs: tuple[bool, bool, bool], target: str | MixtureParts, weighted: bool, short: bool
) -> Callable[..., int]:
    """loop(raw, target, weight, tolerance, power, scale, value, gradient, hessian, constants) -> the first bad row, or -1.

    The target is "labels" (n,), "distributions" (n, K) or a mixture, which means cross entropy with options and needs no program:
    - target is a tuple of index, share, base, dense, scale (matchloss.engine.row_targets.Mixture) and `known` (n, 3), None for what its
      MixtureParts lack. If rows are only parts of rows, `known` has the largest entry, the sum of the others and the target's mass of the
      whole;
    - value has the lines of matchloss.engine.rows.Stats, and weights are float64;
    - constants are softcap or None, and 1 / temperature, z_loss and whether to compute `spread`, or three times None.
    """
    memory, load, store = DTYPES[dtype]
    formulas: tuple[Any, ...] = row_text.weight_and_target, None, None, None
    power, solver = 0.0, (None, None)
    if program is not None:
        formulas = program.terms, program.base, program.entry, program.curvature
        if program.threshold is not None:
            power = program.threshold.power if program.threshold.power in (1.0, 2.0) else inf
            solver = row_text.solver_of(power)
    narrow = dtype != "float64" and not power
    m, work = (COMPILED._replace(exp=elementary.exp32), np.float32) if narrow else (COMPILED, np.float64)
    recipe = Recipe(target, load, store, m, work, *formulas, *solver)
    scalar = "float64" if dtype == "float64" else "float32"
    if isinstance(target, MixtureParts):
        kinds = Reads("int64", 2), Reads("float64", 2), Reads(scalar), Reads(scalar, 2), Reads(scalar), Reads("float64", 2)
        has = target.named > 0, target.named > 0, target.base, target.dense, target.scale, target.known
        targets: Any = tuple(kind if there else None for kind, there in zip(kinds, has, strict=True))
        constants = "float64" if target.capped else None, *("float64" if target.bent else None,) * 3
    else:
        targets = Reads("int64") if target == "labels" else Reads(scalar, 2)
        constants = ("float64",) * (0 if program is None else len(program.constants))
    value = Writes("float64", 2, together=False) if program is None else Writes(scalar)
    sinks = (value, Writes(memory, 2), Writes(memory, 2))
    signature = (
        Reads(memory, 2),
        targets,
        Reads("float64" if program is None else scalar) if weighted else None,
        *("float64",) * 3,
        *(sink if wanted else None for sink, wanted in zip(sinks, outputs, strict=True)),
        constants,
    )
    form = target if isinstance(target, str) else f"mixture{target.named}"
    name = f"rows_{'short' if short else 'long'}_{dtype}_{form}_{power:g}"
    return compiled(short_rows if short else long_rows, name, signature, key(*formulas), (recipe,))


@inlined
def add(a, b):
    """Sums of terms."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@summing
def solver_sums(x, w, d, power):
    """The solver's two sums over a row."""
    a, b = 0.0, 0.0
    for j in range(w.size):
        one, two = x.summand(x.m, w[j], d, power)
        a += one
        b += two
    return a, b


@inlined
def deficit(x, w, power):
    """The d of a row; see row_text.Solver."""
    state = (0.0, 0.0, 1.0)
    for _ in range(LIMIT):
        a, b = solver_sums(x, w, state[0], power)
        state, going = x.step(x.m, state, a, b, power)
        if not going:
            break
    return state[0]


@inlined
def weights(x, z, u, big, d):
    """The weights of a row, in place; z is None for softmax."""
    for j in range(u.size):
        if z is None:
            v = exp_gap(x.m, u[j], big)
        elif x.soft:
            v = exp_gap(x.m, z[j], big)
        else:
            v = u[j] - d
            v = v if v > 0.0 else (0.0 if v == v else v)
        u[j] = v


@summing
def weights_and_spread(x, u, big):
    """Softmax weights in place, and the sum of e (big - u), which entropy needs."""
    spread = x.work(0)
    for j in range(u.size):
        gap = big - u[j]
        e = exp_gap(x.m, u[j], big)
        u[j] = e
        spread += e * gap if e > x.work(0) else x.work(0)
    return np.float64(spread)


@summing
def sum_terms(x, u, t, constants):
    """The sums of a row's terms, in the row's own precision."""
    c0, c1, c2 = x.work(0), x.work(0), x.work(0)
    for j in range(u.size):
        o0, o1, o2 = x.terms(x.m, u[j], 0.0 if t is None else x.work(t[j]), *constants)
        c0 += x.work(o0)
        c1 += x.work(o1)
        c2 += x.work(o2)
    return np.float64(c0), np.float64(c1), np.float64(c2)


@inlined
def weigh(x, z, u, t, top, label, big, d, spread_wanted, constants):
    """Replaces u by weights, 0 at top and label; returns the sums of the others' terms, and the spread. t None: a target of 0."""
    sums, spread = (0.0, 0.0, 0.0), 0.0
    for start in range(0, u.size, CHUNK):
        stop = min(u.size, start + CHUNK)  # with slices LLVM sees that no index is negative
        part = u[start:stop]
        if spread_wanted is None:
            weights(x, None if z is None else z[start:stop], part, big, d)
        elif spread_wanted:
            spread += weights_and_spread(x, part, big)
        else:
            weights(x, None, part, big, d)
        for j in (top, label):
            if start <= j < stop:
                u[j] = 0.0
        sums = add(sums, sum_terms(x, part, None if t is None else t[start:stop], constants))
    return sums, spread


@inlined
def put(x, gradient, hessian, j, p, g, h, w):
    """Writes one entry of the outputs."""
    if gradient is not None:
        gradient[j] = g * x.work(w)
    if hessian is not None:
        hessian[j] = (h if x.curvature is None else x.curvature(x.m, p)) * x.work(w)


@summing
def write(x, u, t, total, share, w, gradient, hessian, constants):
    """Writes the outputs of some entries; returns their contribution to the value."""
    value = 0.0
    s0, s1, s2 = x.work(total[0]), x.work(total[1]), x.work(total[2])
    part = x.work(share)
    for j in range(u.size):
        y = x.work(0) if t is None else x.work(t[j])
        o0, o1, o2 = x.terms(x.m, u[j], 0.0 if t is None else y, *constants)
        p, c = x.work(o0) * part, (s0 - x.work(o0)) * part
        others = (s0 - x.work(o0), s1 - x.work(o1), s2 - x.work(o2))
        v, g, h = x.entry(x.m, p, c, 0.0 if t is None else y, (o0, o1, o2), others, part, *constants)
        if t is not None:
            value += y * v if y != 0.0 else 0.0
        put(x, gradient, hessian, j, p, g, h, w)
    return value


@inlined
def single(x, u, j, t, others, share, w, gradient, hessian, constants):
    """Writes the outputs of one entry, given the sum over the others; returns its contribution to the value."""
    own = x.terms(x.m, u, t, *constants)
    p, c = own[0] * share, others[0] * share
    v, g, h = x.entry(x.m, p, c, t, own, others, share, *constants)
    put(x, gradient, hessian, j, p, g, h, w)
    return v * t if t != 0.0 else 0.0


@inlined
def blend(dense, scale, fixed, t):
    """The dense part of a mixture, scaled, and the part that all rows share."""
    for j in range(t.size):
        t[j] = dense[j]
    if scale is not None:
        for j in range(t.size):
            t[j] *= scale[j]
    if fixed is not None:
        for j in range(t.size):
            t[j] += fixed[j]


@inlined
def slopes(x, e, t, bent, factor, w, out):
    """Writes the gradient: factor p - w t, times the slope of the softcap."""
    for j in range(e.size):
        g = factor * e[j]
        if t is not None:
            g -= w * t[j]
        if bent is not None:
            g *= bent[j]
        out[j] = x.store(g)


@inlined
def long_rows(x, raw, target, weight, tolerance, power, scale, value, gradient, hessian, constants):
    """`row_loop` for long rows."""
    n, classes = raw.shape
    u = np.empty(classes, x.work)
    if x.mixed:
        index, share_of, fixed, dense, factor, known = target
        cap, cool, z_loss, spread_wanted = constants
        named = index.shape[1] if x.target.named > 1 else x.target.named
        bent = None if cap is None else np.empty(classes, x.work)
        y_all = None if dense is None else np.empty(classes, x.work)
        at, held = np.empty(named), np.empty(named)  # for the sparse entries: their weights, and the target's shares there
        fixed_mass = 0.0 if fixed is None or dense is not None else mass_and_least(fixed)[0]
    for i in range(n):
        w = 1.0 if weight is None else np.float64(weight[i])
        g_row = None if gradient is None else gradient[i]
        h_row = None if hessian is None else hessian[i]
        if w == 0.0:
            if value is not None:
                if x.mixed:
                    value[:, i] = 0.0
                else:
                    value[i] = 0.0
            if gradient is not None:
                for j in range(classes):
                    g_row[j] = x.store(x.work(0))
            if hessian is not None:
                h_row[:] = 0.0
            continue
        if x.labels:
            z, label = raw[i], target[i]
            if label < 0 or label >= classes:
                return i
        elif x.mixed:
            y, mass = fixed if dense is None else y_all, fixed_mass
            if dense is not None:
                whole, least = mass_and_least(dense[i])
                if not (abs(whole - 1.0) <= tolerance and least >= 0.0):
                    return i
                blend(dense[i], factor, fixed, y)
                mass, _ = mass_and_least(y)
            for q in range(named):
                if share_of[i, q] != 0.0 and (index[i, q] < 0 or index[i, q] >= classes):
                    return i
                mass += share_of[i, q]
            bend(x, raw[i], u, bent, cap, cool)
            z = u
        else:
            z, y = raw[i], target[i]
            whole, least = mass_and_least(y)
            if not (abs(whole - 1.0) <= tolerance and least >= 0.0):
                return i
        big, top = highest(z)
        if abs(big) == inf and (any_equal(z[:top], big) or any_equal(z[top + 1 :], big)):
            big = z.dtype.type(nan)  # two infinite entries: the result is undefined
        if x.mixed and known is not None and big != x.work(known[i, 0]):
            top = -1  # another process has the largest entry
            big = x.work(known[i, 0])
        at_top = np.float64(big)
        if x.labels:
            gap = 0.0 if z[label] == big else at_top - np.float64(z[label])
        else:
            gap = 0.0 if y is None else 2.0 * mean_half_gap(z, y, big)
        d = 0.0
        if not x.soft:
            wide = x.work(1.0) * big  # in the scratch row's precision
            spoilt = 0.0
            for j in range(classes):
                u[j] = one_minus_gap(x.m, x.work(z[j]), wide, scale)
                spoilt += 0.0 if z[j] == z[j] else 1.0
            u[top] = -inf
            d = deficit(x, u, power)
            d = d if spoilt == 0.0 and big == big else nan
        u_top = x.work(1.0 - d) if big == big else x.work(nan)
        if x.mixed:
            label_gap = 0.0
            for q in range(named):
                if index[i, q] >= 0 and index[i, q] < classes:
                    v = u[index[i, q]]
                    between = 0.0 if v == big else half_gap(0.5, np.float64(v), at_top)
                    if share_of[i, q] != 0.0:
                        gap += 2.0 * share_of[i, q] * between
                    if q == 0:
                        label_gap = 2.0 * between
            rest, spread = weigh(x, None, u, None, top, top, big, d, spread_wanted is not None and spread_wanted != 0.0, constants)
            others = rest[0]
            if top >= 0:
                u[top] = u_top
            value[0, i], value[1, i], value[2, i], value[3, i] = at_top, others, gap, mass
            value[4, i], value[5, i], value[6, i] = label_gap, top, spread
            if gradient is not None:
                if known is not None:
                    others, mass = known[i, 1], known[i, 2]
                lift = 0.0 if z_loss is None or z_loss == 0.0 else bonus(COMPILED, at_top, others, z_loss)
                out = w if cap is not None or cool is None else w * cool
                p = 1.0 / (1.0 + others)
                for q in range(named):
                    at[q], held[q] = 0.0, 0.0
                    if share_of[i, q] != 0.0:
                        at[q] = np.float64(u[index[i, q]])
                        for k in range(named):
                            held[q] += share_of[i, k] if index[i, k] == index[i, q] else 0.0
                slopes(x, u, y, bent, x.work(out * (mass + lift) * p), x.work(out), g_row)
                for q in range(named):
                    if share_of[i, q] != 0.0 and index[i, q] != top:
                        j = index[i, q]
                        own = held[q] + (0.0 if y is None else np.float64(y[j]))
                        g = out * ((mass + lift) * p * at[q] - own)
                        g_row[j] = x.store(x.work(g if bent is None else g * np.float64(bent[j])))
                if top >= 0:
                    own = 0.0 if y is None else np.float64(y[top])
                    for q in range(named):
                        own += share_of[i, q] if index[i, q] == top else 0.0
                    g = out * signal(mass - own + lift, own, p, others * p)
                    g_row[top] = x.store(x.work(g if bent is None else g * np.float64(bent[top])))
            continue
        u_label = u_top
        if x.labels:
            t_top = 1.0 if label == top else 0.0
            if label != top:
                if x.soft:
                    u_label = exp_gap(x.m, z[label], big)
                else:
                    v = u[label] - d
                    u_label = v if v > 0.0 else (0.0 if v == v else v)
            rest, _ = weigh(x, z, u, None, top, label, big, d, None, constants)
        else:
            t_top = np.float64(y[top])
            rest, _ = weigh(x, z, u, y, top, top, big, d, None, constants)
        own_top = x.terms(x.m, np.float64(u_top), t_top, *constants)
        others = rest
        if x.labels and label != top:
            others = add(rest, x.terms(x.m, np.float64(u_label), 1.0, *constants))
        total = add(others, own_top)
        share = 1.0 / total[0]
        f = x.base(x.m, gap, d, others, *constants)
        if x.labels:
            write(x, u, None, total, share, w, g_row, h_row, constants)
            if label == top:
                f += single(x, np.float64(u_top), top, 1.0, others, share, w, g_row, h_row, constants)
            else:
                single(x, np.float64(u_top), top, 0.0, others, share, w, g_row, h_row, constants)
                f += single(x, np.float64(u_label), label, 1.0, add(rest, own_top), share, w, g_row, h_row, constants)
        else:
            for a, b in ((0, top), (top + 1, classes)):
                g_part = None if gradient is None else g_row[a:b]
                h_part = None if hessian is None else h_row[a:b]
                f += write(x, u[a:b], y[a:b], total, share, w, g_part, h_part, constants)
            f += single(x, np.float64(u_top), top, t_top, others, share, w, g_row, h_row, constants)
        if value is not None:
            value[i] = f * w
    return -1
