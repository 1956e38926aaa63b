"""numba: the mixture loop for rows of fewer than 32 columns, 128 rows side by side as in short_rows, and every inner loop over them."""
# pyright: reportArgumentType=false, reportCallIssue=false, reportOptionalCall=false

from __future__ import annotations

from math import nan
from types import FunctionType
from typing import Any

import numpy as np

from matchloss.engine import elementary, row_text
from matchloss.engine.cache import steady
from matchloss.engine.compiled import lower
from matchloss.engine.elementary import inlined
from matchloss.engine.short_rows import SIDE, largest

exp_gap = lower(row_text.exp_gap)


def side_by_side(work: Any, m: Any, load_row: Any, store: Any, name: str) -> FunctionType:
    """The loop of matchloss.engine.mixture_loops.mixture_loop, for whole rows: `known` is not looked at."""
    zero, one, half = work(0), work(1), work(0.5)

    @inlined
    def fill(index, share, base, dense, scale, tolerance, w, mass, least, t):
        """The target of some rows, transposed; the first bad row of weight other than 0, or SIDE."""
        bad = SIDE
        t[:] = 0.0
        if dense.shape[0]:
            for r in range(dense.shape[0]):
                for j in range(t.shape[0]):
                    t[j, r] = dense[r, j]
            mass[:] = 0.0
            least[:] = 0.0
            for j in range(t.shape[0]):
                for r in range(SIDE):
                    mass[r] += t[j, r]
                    least[r] = least[r] if t[j, r] >= least[r] else t[j, r]
            for r in range(dense.shape[0]):
                if w[r] != 0.0 and bad == SIDE and not (abs(mass[r] - 1.0) <= tolerance and least[r] >= 0.0):
                    bad = r
        if scale.size:
            for j in range(t.shape[0]):
                for r in range(SIDE):
                    t[j, r] *= scale[j]
        if base.size:
            for j in range(t.shape[0]):
                for r in range(SIDE):
                    t[j, r] += base[j]
        for r in range(min(bad, index.shape[0])):
            for q in range(index.shape[1]):
                j = index[r, q]
                if w[r] != 0.0 and share[r, q] != 0.0:
                    if j < 0 or j >= t.shape[0]:
                        return r
                    t[j, r] += share[r, q]
        return bad

    @inlined
    def weigh(u, t, big, top, e, rest, gap, mass, own):
        """The exponentials, and over the entries but the largest the sums of them and of the target."""
        for sums in (rest, gap, mass, own):
            sums[:] = 0.0
        for j in range(u.shape[0]):
            for r in range(SIDE):
                highest, x, y = top[r] == j, u[j, r], t[j, r]
                v = exp_gap(m, x, big[r])
                v = one if highest else v
                v = v if big[r] == big[r] else work(nan)
                e[j, r] = v
                rest[r] += zero if highest else v
                gap[r] += y * (half * big[r] - half * x) if y != zero and x != big[r] else zero
                mass[r] += zero if highest else y
                own[r] = y if highest else own[r]

    @inlined
    def spreads(u, big, top, e, spread):
        spread[:] = 0.0
        for j in range(u.shape[0]):
            for r in range(SIDE):
                spread[r] += e[j, r] * (big[r] - u[j, r]) if e[j, r] > zero and top[r] != j else zero

    @inlined
    def slopes(e, t, slope, top, at_top, factor, w, out):
        """factor p - w t, apart at the largest entry, times the cap's slope."""
        for j in range(e.shape[0]):
            for r in range(SIDE):
                g = at_top[r] if top[r] == j else factor[r] * e[j, r] - w[r] * t[j, r]
                out[j, r] = g if w[r] != zero else zero
        if slope.size:
            for j in range(e.shape[0]):
                for r in range(SIDE):
                    out[j, r] *= slope[j * SIDE + r] if w[r] != zero else zero

    for helper in (fill, weigh, spreads, slopes):
        steady(helper, f"{name} {helper.py_func.__name__}")

    def loop(logits, index, share, base, dense, scale, weight, known, tolerance, cap, cool, z_loss, spread_wanted, stats, gradient):
        n, classes = logits.shape
        size = classes * SIDE
        z, flat = np.zeros(size, logits.dtype), np.empty(size, work)
        u, t, e = flat.reshape(classes, SIDE), np.empty((classes, SIDE), work), np.empty((classes, SIDE), work)
        slope = np.empty(size if cap > 0.0 else 0, work)
        big, top, spoilt = np.empty(SIDE, work), np.empty(SIDE, np.int32), np.empty(SIDE, np.bool_)
        rest, gap, mass, own = np.empty(SIDE, work), np.empty(SIDE, work), np.empty(SIDE, work), np.empty(SIDE, work)
        spread, label_gap, w = np.zeros(SIDE, work), np.zeros(SIDE, work), np.empty(SIDE)
        at_top, factor, out = np.empty(SIDE, work), np.empty(SIDE, work), np.empty(SIDE, work)
        for i in range(0, n, SIDE):
            count = min(SIDE, n - i)
            labels = index[i : i + count]
            w[:] = 0.0
            w[:count] = weight[i : i + count]
            bad = fill(labels, share[i : i + count], base, dense[i : i + count], scale, tolerance, w, mass, rest, t)
            if bad < SIDE:
                return i + bad
            for r in range(count):
                for j in range(classes):
                    z[j * SIDE + r] = logits[i + r, j]
            load_row(z, flat, slope, cap, cool)
            largest(u, big, top, spoilt)
            weigh(u, t, big, top, e, rest, gap, mass, own)
            if spread_wanted:
                spreads(u, big, top, e, spread)
            if labels.shape[1]:
                for r in range(count):
                    j = labels[r, 0]
                    if j >= 0 and j < classes:
                        label_gap[r] = zero if u[j, r] == big[r] else half * big[r] - half * u[j, r]
            for r in range(count):
                live = w[r] != 0.0
                stats[0, i + r] = big[r] if live else 0.0
                stats[1, i + r] = rest[r] if live else 0.0
                stats[2, i + r] = 2.0 * np.float64(gap[r]) if live else 0.0
                stats[3, i + r] = np.float64(mass[r]) + np.float64(own[r]) if live else 0.0
                stats[4, i + r] = 2.0 * np.float64(label_gap[r]) if live else 0.0
                stats[5, i + r] = top[r] if live else 0.0
                stats[6, i + r] = spread[r] if live else 0.0
            if gradient is not None:
                for r in range(SIDE):
                    others, at, held, v = np.float64(rest[r]), np.float64(own[r]), np.float64(mass[r]), w[r]
                    if z_loss != 0.0:
                        held += 2.0 * z_loss * (np.float64(big[r]) + elementary.log1p(others))
                    if cap == 0.0:
                        v *= cool
                    p = 1.0 / (1.0 + others)
                    at_top[r] = v * (held * p - at * (others * p))
                    factor[r], out[r] = v * (held + at) * p, v
                slopes(e, t, slope, top, at_top, factor, out, u)
                for r in range(count):
                    for j in range(classes):
                        gradient[i + r, j] = store(u[j, r])
        return -1

    return loop  # pyright: ignore[reportReturnType]
