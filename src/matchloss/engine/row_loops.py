"""numba: the row loops of simplex losses. All passes over a row are made while it is in cache, into a scratch row, and the results
are written once: so the gradient may overwrite raw.

Two layouts: long rows one by one, and rows of fewer than 32 columns side by side, transposed, so that every loop runs over rows.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportOptionalCall=false, reportOptionalSubscript=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, nan
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba.core import types

from matchloss.engine import elementary, row_text
from matchloss.engine.cache import compiled, key, steady
from matchloss.engine.compiled import COMPILED, lower
from matchloss.engine.elementary import FLAGS, inlined
from matchloss.engine.row_text import RowProgram
from matchloss.engine.short_rows import side_by_side

SUMS: dict[str, Any] = {"fastmath": {"contract": True, "nsz": True, "reassoc": True}, "error_model": "numpy"}
summing = numba.njit(forceinline=True, **SUMS)  # sums over a row may be reordered, or they do not vectorise
LANES = 64  # entries that fill a few registers
CHUNK = 1024  # entries that are summed in the row's own precision before they join a float64 sum

EXP32 = COMPILED._replace(exp=elementary.exp32)
exp_gap, one_minus_gap = lower(row_text.exp_gap), lower(row_text.one_minus_gap)


@summing
def largest_of(row):
    """The largest entry; NaN where there is one."""
    big = row[0]
    for j in range(row.size):
        big = elementary.maximum(big, row[j])
    return big


@summing
def highest(row):
    """The largest entry, NaN where there is a NaN, and where it first stands, 0 for NaN. Entry by entry, this would not vectorise."""
    big, start = row[0], 0
    for a in range(0, row.size, CHUNK):
        x = elementary.maximum(big, largest_of(row[a : min(row.size, a + CHUNK)]))
        if x != big:
            big, start = x, a
    while start < row.size and not any_equal(row[start : min(row.size, start + LANES)], big):
        start += LANES
    for j in range(start, row.size):
        if row[j] == big:
            return big, j
    return big, 0


@summing
def any_equal(row, big):
    """Whether an entry equals big. Hits are counted in the row's own type: of another width, they would fill registers by halves."""
    zero, one = row.dtype.type(0), row.dtype.type(1)
    hits = zero
    for j in range(row.size):
        hits += one if row[j] == big else zero
    return hits > zero


@summing
def power_sums(w, d, power):
    """Over the entries x = w - d > 0: sum x^power and its slope; for power 1 the sum of w and how many there are."""
    a, b = 0.0, 0.0
    if power == 1.0:
        for j in range(w.size):
            inside = w[j] > d
            a += w[j] if inside else 0.0
            b += 1.0 if inside else 0.0
    elif power == 2.0:
        for j in range(w.size):
            x = w[j] - d
            x = x if x > 0.0 else 0.0
            a += x * x
            b += x
    else:
        for j in range(w.size):
            x = w[j] - d
            safe = x if x > 0.0 else 1.0
            y = elementary.exp(power * elementary.log(safe))
            y = y if x > 0.0 else 0.0
            a += y
            b += y / safe
    return a, b


@summing
def mass_and_least(t):
    """The sum of a row, and its least entry or 0; NaN is passed on."""
    mass, least = 0.0, 0.0
    for j in range(t.size):
        x = np.float64(t[j])
        mass += x
        least = least if x >= least else x
    return mass, least


@inlined
def half_gap(z, big):
    """(big - z) / 2: the whole may overflow where t times it does not. Apart, so that no sum's `reassoc` undoes the halves."""
    return 0.5 * np.float64(big) - 0.5 * np.float64(z)


@summing
def mean_half_gap(z, t, big):
    """sum t (big - z) / 2."""
    gap = 0.0
    for j in range(t.size):
        x = np.float64(t[j])
        gap += x * half_gap(z[j], big) if x != 0.0 and z[j] != big else 0.0
    return gap


@inlined
def deficit(w, power):
    """matchloss.engine.row_text.deficit for one row."""
    d = 0.0
    if power == 1.0 or power == 2.0:
        for _ in range(100):
            a, b = power_sums(w, d, power)
            new = a / (b + 1.0) if power == 1.0 else d + (a - d * (2.0 - d)) / (2.0 * b + 2.0 * (1.0 - d))
            grown = new > d * (1 + 1e-15)
            d = max(d, new)
            if not grown:
                break
        return d
    low, high = 0.0, 1.0
    for _ in range(200):
        a, b = power_sums(w, d, power)
        left = elementary.log1p(-d)
        f = a + elementary.expm1(power * left)
        slope = -power * (b + elementary.exp((power - 1.0) * left))
        if f == 0.0:
            break
        if f > 0.0:
            low = d
        else:
            high = d
        new = d - f / slope
        new = new if low < new < high else 0.5 * (low + high)
        done = abs(new - d) <= 1e-16 * d
        d = new
        if done:
            break
    return d


@cache
def row_loop(
    program: RowProgram, dtype: str, outputs: tuple[bool, bool, bool], labels: bool, weighted: bool, short: bool
) -> Callable[..., int]:
    """loop(raw, target, weight, tolerance, power, scale, value, gradient, hessian, constants) -> the first bad row, or -1."""
    soft = program.threshold is None
    work = np.float32 if dtype == "f4" and soft else np.float64
    m = EXP32 if dtype == "f4" and soft else COMPILED
    power = 0.0 if program.threshold is None else program.threshold.power if program.threshold.power in (1.0, 2.0) else inf
    variant = "".join(letter if on else "_" for letter, on in zip("vghlw", (*outputs, labels, weighted), strict=True))
    digest = key(program.terms, program.base, program.entry, program.curvature)[:24]
    name = f"rows_{'short' if short else 'long'}_{dtype}_{variant}_{power:g}_{digest}"
    steps = _steps(program)
    made = (
        side_by_side(steps, m, work, power, labels, exp_gap, one_minus_gap, name)
        if short
        else _one_by_one(steps, m, work, power, labels, name)
    )
    scalar = types.float32 if dtype == "f4" else types.float64
    matrix, line = types.Array(scalar, 2, "C"), types.Array(scalar, 1, "C")
    signature = (
        types.Array(scalar, 2, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True) if labels else types.Array(scalar, 2, "C", readonly=True),
        types.Array(scalar, 1, "C", readonly=True) if weighted else types.none,
        types.float64,
        types.float64,
        types.float64,
        *(sink if wanted else types.none for sink, wanted in zip((line, matrix, matrix), outputs, strict=True)),
        types.UniTuple(types.float64, len(program.constants)) if program.constants else types.Tuple(()),
    )
    return compiled(made, name, signature, FLAGS)


def _steps(program: RowProgram) -> tuple[Any, ...]:
    lowered = [lower(f) for f in (program.terms, program.base, program.entry)]
    return *lowered, lowered[2] if program.curvature is None else lower(program.curvature), program.curvature is None


def _one_by_one(steps: tuple[Any, ...], m: Any, work: Any, fixed_power: float, labels: bool, name: str) -> FunctionType:
    terms, base, entry, curvature, plain = steps
    soft = fixed_power == 0.0
    special = fixed_power if fixed_power in (1.0, 2.0) else 0.0

    @inlined
    def add(a, b):
        return a[0] + b[0], a[1] + b[1], a[2] + b[2]

    @inlined
    def weights(z, u, big, d):
        for j in range(u.size):
            if soft:
                x = exp_gap(m, z[j], big)
            else:
                x = u[j] - d
                x = x if x > 0.0 else (0.0 if x == x else x)
            u[j] = x

    @summing
    def sum_terms(u, t, constants):
        c0, c1, c2 = work(0), work(0), work(0)
        for j in range(u.size):
            o0, o1, o2 = terms(m, u[j], 0.0 if t is None else work(t[j]), *constants)
            c0 += work(o0)
            c1 += work(o1)
            c2 += work(o2)
        return np.float64(c0), np.float64(c1), np.float64(c2)

    @inlined
    def weigh(z, u, t, top, label, big, d, constants):
        """u of all entries, 0 at top and label, and the sums of the others' terms; t None: the target is 0 there."""
        sums = (0.0, 0.0, 0.0)
        for start in range(0, u.size, CHUNK):
            stop = min(u.size, start + CHUNK)  # slices, not offsets: LLVM must see that no index is negative
            part = u[start:stop]
            weights(z[start:stop], part, big, d)
            for j in (top, label):
                if start <= j < stop:
                    u[j] = 0.0
            sums = add(sums, sum_terms(part, None if t is None else t[start:stop], constants))
        return sums

    @inlined
    def put(gradient, hessian, j, p, g, h, w):
        if gradient is not None:
            gradient[j] = g * work(w)
        if hessian is not None:
            hessian[j] = (h if plain else curvature(m, p)) * work(w)

    @summing
    def write(u, t, total, share, w, gradient, hessian, constants):
        """The outputs of some entries, and the sum of their part of the value."""
        value = 0.0
        s0, s1, s2 = work(total[0]), work(total[1]), work(total[2])
        part = work(share)
        for j in range(u.size):
            y = work(0) if t is None else work(t[j])
            o0, o1, o2 = terms(m, u[j], 0.0 if t is None else y, *constants)
            p, c = work(o0) * part, (s0 - work(o0)) * part
            others = (s0 - work(o0), s1 - work(o1), s2 - work(o2))
            v, g, h = entry(m, p, c, 0.0 if t is None else y, (o0, o1, o2), others, part, *constants)
            if t is not None:
                value += y * v if y != 0.0 else 0.0
            put(gradient, hessian, j, p, g, h, w)
        return value

    @inlined
    def single(u, j, t, others, share, w, gradient, hessian, constants):
        """The outputs of one entry whose sum over the others is at hand; its part of the value."""
        own = terms(m, u, t, *constants)
        p, c = own[0] * share, others[0] * share
        v, g, h = entry(m, p, c, t, own, others, share, *constants)
        put(gradient, hessian, j, p, g, h, w)
        return v * t if t != 0.0 else 0.0

    for helper in (add, weights, sum_terms, weigh, put, write, single):
        steady(helper, f"{name} {helper.py_func.__name__}")

    def loop(raw, target, weight, tolerance, power, scale, value, gradient, hessian, constants):
        n, classes = raw.shape
        u = np.empty(classes, work)
        if special != 0.0:
            power = special
        for i in range(n):
            z = raw[i]
            w = 1.0 if weight is None else np.float64(weight[i])
            g_row = None if gradient is None else gradient[i]
            h_row = None if hessian is None else hessian[i]
            if w == 0.0:
                if value is not None:
                    value[i] = 0.0
                if gradient is not None:
                    g_row[:] = 0.0
                if hessian is not None:
                    h_row[:] = 0.0
                continue
            label = 0
            if labels:
                label = target[i]
                if label < 0 or label >= classes:
                    return i
            else:
                mass, least = mass_and_least(target[i])
                if not (abs(mass - 1.0) <= tolerance and least >= 0.0):
                    return i
            big, top = highest(z)
            if abs(big) == inf:
                for j in range(classes):
                    if j != top and z[j] == big:
                        big = z.dtype.type(nan)
            at_top = np.float64(big)
            wide = work(1.0) * big  # in the scratch row's precision
            gap, d = 0.0, 0.0
            if labels:
                gap = 0.0 if z[label] == big else at_top - np.float64(z[label])
            else:
                gap = 2.0 * mean_half_gap(z, target[i], big)
            if not soft:
                spoilt = 0.0
                for j in range(classes):
                    u[j] = one_minus_gap(m, work(z[j]), wide, scale)
                    spoilt += 0.0 if z[j] == z[j] else 1.0
                u[top] = -inf
                d = deficit(u, power)
                d = d if spoilt == 0.0 and big == big else nan
            u_top = work(1.0 - d) if big == big else work(nan)
            if labels:
                u_label = u_top
                if label != top:
                    if soft:
                        u_label = exp_gap(m, z[label], big)
                    else:
                        x = u[label] - d
                        u_label = x if x > 0.0 else (0.0 if x == x else x)
                rest = weigh(z, u, None, top, label, big, d, constants)
                own_top = terms(m, np.float64(u_top), 1.0 if label == top else 0.0, *constants)
                own_label = terms(m, np.float64(u_label), 1.0, *constants)
                top_others = rest if label == top else add(rest, own_label)
                total = add(top_others, own_top)
                share = 1.0 / total[0]
                v = base(m, gap, d, top_others, *constants)
                write(u, None, total, share, w, g_row, h_row, constants)
                if label != top:
                    single(np.float64(u_top), top, 0.0, top_others, share, w, g_row, h_row, constants)
                    v += single(np.float64(u_label), label, 1.0, add(rest, own_top), share, w, g_row, h_row, constants)
                else:
                    v += single(np.float64(u_top), top, 1.0, top_others, share, w, g_row, h_row, constants)
            else:
                y = target[i]
                t_top = np.float64(y[top])
                spans = ((0, top), (top + 1, classes))
                rest = weigh(z, u, y, top, top, big, d, constants)
                total = add(rest, terms(m, np.float64(u_top), t_top, *constants))
                share = 1.0 / total[0]
                v = base(m, gap, d, rest, *constants)
                for a, b in spans:
                    g_part = None if gradient is None else g_row[a:b]
                    h_part = None if hessian is None else h_row[a:b]
                    v += write(u[a:b], y[a:b], total, share, w, g_part, h_part, constants)
                v += single(np.float64(u_top), top, t_top, rest, share, w, g_row, h_row, constants)
            if value is not None:
                value[i] = v * w
        return -1

    return loop  # pyright: ignore[reportReturnType]
