"""numba: the row loop of cross entropy against a mixture target, with softcap, temperature and z-loss (matchloss.engine.rows.run_mixture).

A row is loaded once into a scratch row in cache, turned into exponentials there, and its gradient written once: so the gradient may
overwrite the logits, and half precision is converted on the way in and out. As in row_loops, the largest entry stands apart from the
sum of the others, which keeps confident rows exact.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOptionalCall=false, reportOptionalSubscript=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, nan
from typing import Any

import numpy as np
from numba.core import types

from matchloss.engine import elementary, halves
from matchloss.engine.cache import ENGINE, compiled, steady
from matchloss.engine.compiled import COMPILED
from matchloss.engine.elementary import FLAGS, inlined
from matchloss.engine.row_loops import CHUNK, EXP32, any_equal, exp_gap, half_gap, highest, mass_and_least, mean_half_gap, summing
from matchloss.engine.short_mixture import side_by_side

f32 = np.float32
KINDS: dict[str, tuple[Any, Any, Any, Any]] = {  # dtype in memory -> its numba type, the type computed in, conversions
    "float32": (types.float32, np.float32, halves.same, halves.same),
    "float64": (types.float64, np.float64, halves.same, halves.same),
    "bfloat16": (types.uint16, np.float32, halves.from_bfloat16, halves.to_bfloat16),
    "float16": (types.uint16, np.float32, halves.from_float16, halves.to_float16),
}
TANH32 = tuple(f32(c) for c in (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1))


@inlined
def tanh_slope32(x):
    """tanh and 1 - tanh^2 in float32: Cephes' polynomial near 0, else from e^-2|x|."""
    a = abs(x)
    e = elementary.exp32(f32(-2.0) * a)
    far = (f32(1.0) - e) / (f32(1.0) + e)
    z = x * x
    p = TANH32[0]
    for c in TANH32[1:]:
        p = p * z + c
    near = p * z * x + x
    tanh = near if a < f32(0.625) else (far if x >= f32(0.0) else -far)
    return tanh, f32(4.0) * e / ((f32(1.0) + e) * (f32(1.0) + e))


@inlined
def tanh_slope(x):
    """tanh and 1 - tanh^2 in float64."""
    e = elementary.exp(-2.0 * abs(x))
    return COMPILED.tanh(x), 4.0 * e / ((1.0 + e) * (1.0 + e))


for _helper in (tanh_slope32, tanh_slope):
    steady(_helper, f"mixture {_helper.py_func.__name__}")


@cache
def mixture_loop(kind: str, graded: bool, short: bool) -> Callable[..., int]:
    """The loop over rows whose arguments are its signature's, below; it returns the first bad row, or -1.

    Empty arrays stand for parts that are not there; `stats` is matchloss.engine.rows.Stats, a line each. `known`: the largest
    entry, the sum of the others, and the target's mass over all processes, where a row is only a part of one.
    """
    memory, work, load, store = KINDS[kind]
    name = f"mixture_{'short' if short else 'long'}_{kind}_{'g' if graded else '_'}_{ENGINE[:24]}"
    narrow = work is np.float32
    m = EXP32 if narrow else COMPILED
    bend = tanh_slope32 if narrow else tanh_slope

    @inlined
    def load_row(z, u, slope, cap, cool):
        """u = softcap(z) / temperature, and its derivative where there is a cap; -inf, a mask, stays one."""
        if cap > 0.0:
            inverse, high, steep = work(1.0 / cap), work(cap * cool), work(cool)
            for j in range(u.size):
                x = load(z[j])
                tanh, bent = bend(x * inverse)
                u[j] = high * tanh if x > -inf else work(-inf)
                slope[j] = steep * bent
        elif cool != 1.0:
            factor = work(cool)
            for j in range(u.size):
                u[j] = load(z[j]) * factor
        else:
            for j in range(u.size):
                u[j] = load(z[j])

    @inlined
    def blend(dense, scale, base, t):
        for j in range(t.size):
            t[j] = dense[j]
        if scale.size:
            for j in range(t.size):
                t[j] *= scale[j]
        if base.size:
            for j in range(t.size):
                t[j] += base[j]

    @inlined
    def exponentials(u, big):
        for j in range(u.size):
            u[j] = exp_gap(m, u[j], big)

    @summing
    def exponentials_and_spread(u, big):
        """The same, and the sum of e (big - u), of which entropy is made."""
        spread = work(0)
        for j in range(u.size):
            gap = big - u[j]
            e = exp_gap(m, u[j], big)
            u[j] = e
            spread += e * gap if e > work(0) else work(0)
        return np.float64(spread)

    @summing
    def sum_of(u):
        total = work(0)
        for j in range(u.size):
            total += u[j]
        return np.float64(total)

    @inlined
    def weigh(u, big, top, wanted):
        """u becomes its exponentials, 0 at the top; their sum, and the spread."""
        total, spread = 0.0, 0.0
        for start in range(0, u.size, CHUNK):
            stop = min(u.size, start + CHUNK)  # slices, not offsets: LLVM must see that no index is negative
            part = u[start:stop]
            if wanted:
                spread += exponentials_and_spread(part, big)
            else:
                exponentials(part, big)
            if start <= top < stop:
                u[top] = work(0)
            total += sum_of(part)
        return total, spread

    @inlined
    def write(e, t, slope, factor, w, out):
        """factor p - w t, times the cap's slope."""
        if t.size and slope.size:
            for j in range(e.size):
                out[j] = store((factor * e[j] - w * t[j]) * slope[j])
        elif t.size:
            for j in range(e.size):
                out[j] = store(factor * e[j] - w * t[j])
        elif slope.size:
            for j in range(e.size):
                out[j] = store(factor * e[j] * slope[j])
        else:
            for j in range(e.size):
                out[j] = store(factor * e[j])

    for helper in (load_row, blend, exponentials, exponentials_and_spread, sum_of, weigh, write):
        steady(helper, f"{name} {helper.py_func.__name__}")

    def loop(logits, index, share, base, dense, scale, weight, known, tolerance, cap, cool, z_loss, spread_wanted, stats, gradient):
        n, classes = logits.shape
        sparse = index.shape[1]
        mixed = dense.shape[0] > 0
        u = np.empty(classes, work)
        slope = np.empty(classes if cap > 0.0 else 0, work)
        blended = np.empty(classes if mixed else 0, work)
        at = np.empty(sparse, np.float64)  # the sparse entries' weights, and the shares that stand at their places
        shared = np.empty(sparse, np.float64)
        base_mass = 0.0
        if not mixed:
            base_mass, _ = mass_and_least(base)
        for i in range(n):
            w = weight[i]
            if w == 0.0:
                stats[:, i] = 0.0
                if gradient is not None:
                    for j in range(classes):
                        gradient[i, j] = store(work(0))
                continue
            mass = base_mass
            t = base
            if mixed:
                whole, least = mass_and_least(dense[i])
                if not (abs(whole - 1.0) <= tolerance and least >= 0.0):
                    return i
                t = blended
                blend(dense[i], scale, base, t)
                mass, _ = mass_and_least(t)
            for q in range(sparse):
                if share[i, q] != 0.0 and (index[i, q] < 0 or index[i, q] >= classes):
                    return i
                mass += share[i, q]
            load_row(logits[i], u, slope, cap, cool)
            big, top = highest(u)
            if abs(big) == inf and (any_equal(u[:top], big) or any_equal(u[top + 1 :], big)):
                big = work(nan)  # two infinities: which is greater?
            if known.shape[0] and big != work(known[i, 0]):
                top = -1  # the largest entry is another process's
                big = work(known[i, 0])
            wide = np.float64(big)
            gap = 2.0 * mean_half_gap(u, t, big) if t.size else 0.0
            label_gap = 0.0
            for q in range(sparse):
                if index[i, q] >= 0 and index[i, q] < classes:
                    x = u[index[i, q]]
                    between = 0.0 if x == big else half_gap(x, big)
                    if share[i, q] != 0.0:
                        gap += 2.0 * share[i, q] * between
                    if q == 0:
                        label_gap = 2.0 * between
            rest, spread = weigh(u, big, top, spread_wanted)
            if top >= 0:
                u[top] = work(1.0) if big == big else big
            stats[0, i], stats[1, i], stats[2, i], stats[3, i] = wide, rest, gap, mass
            stats[4, i], stats[5, i], stats[6, i] = label_gap, top, spread
            if gradient is not None:
                if known.shape[0]:
                    rest, mass = known[i, 1], known[i, 2]
                total = 1.0 + rest
                bonus = 0.0 if z_loss == 0.0 else 2.0 * z_loss * (wide + elementary.log1p(rest))
                out = w if cap > 0.0 else w * cool
                p = 1.0 / total
                for q in range(sparse):
                    at[q], shared[q] = 0.0, 0.0
                    if share[i, q] != 0.0:
                        at[q] = np.float64(u[index[i, q]])
                        for other in range(sparse):
                            shared[q] += share[i, other] if index[i, other] == index[i, q] else 0.0
                row = gradient[i]
                write(u, t, slope, work(out * (mass + bonus) * p), work(out), row)
                for q in range(sparse):
                    if share[i, q] != 0.0 and index[i, q] != top:
                        j = index[i, q]
                        own = shared[q] + (np.float64(t[j]) if t.size else 0.0)
                        g = out * ((mass + bonus) * p * at[q] - own)
                        row[j] = store(work(g * (np.float64(slope[j]) if cap > 0.0 else 1.0)))
                if top >= 0:
                    own = np.float64(t[top]) if t.size else 0.0
                    for q in range(sparse):
                        own += share[i, q] if index[i, q] == top else 0.0
                    g = out * ((mass - own + bonus) * p - own * (rest * p))
                    row[top] = store(work(g * (np.float64(slope[top]) if cap > 0.0 else 1.0)))
        return -1

    scalar = types.float32 if narrow else types.float64

    def array(dtype: Any, dimensions: int, readonly: bool = True, layout: str = "C") -> Any:
        return types.Array(dtype, dimensions, layout, readonly=readonly)

    signature = (
        array(memory, 2), array(types.int64, 2), array(types.float64, 2), array(scalar, 1, False), array(scalar, 2), array(scalar, 1),
        array(types.float64, 1), array(types.float64, 2), types.float64, types.float64, types.float64, types.float64, types.boolean,
        array(types.float64, 2, False, "A"), array(memory, 2, False) if graded else types.none,
    )  # fmt: skip
    return compiled(side_by_side(work, m, load_row, store, name) if short else loop, name, signature, FLAGS)
