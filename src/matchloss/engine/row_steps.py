"""What the loops for long and for short rows share: dtypes, sums, softcap and temperature."""
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

import numpy as np

from matchloss.engine import elementary, halves
from matchloss.engine.compiled import COMPILED
from matchloss.engine.row_text import cap_slope, half_gap
from matchloss.engine.signatures import inlined, summing
from matchloss.engine.values import maximum

DTYPES: dict[str, tuple[str, Any, Any]] = {  # dtype of raw and gradient: its numbers in memory, and the conversions from them and to them
    "float32": ("float32", halves.same, halves.same),
    "float64": ("float64", halves.same, halves.same),
    "bfloat16": ("uint16", halves.from_bfloat16, halves.to_bfloat16),
    "float16": ("uint16", halves.from_float16, halves.to_float16),
}

LANES = 64  # entries that fill a few registers
CHUNK = 1024  # entries to sum in the row's own precision before adding to a float64 sum

f32 = np.float32
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
    return COMPILED.tanh(x), cap_slope(COMPILED, x, 1.0)


@summing
def largest_of(row):
    """The largest entry; NaN if there is one."""
    big = row[0]
    for j in range(row.size):
        big = maximum(big, row[j])
    return big


@summing
def highest(row):
    """The largest entry (NaN if there is one) and its first index (0 for NaN), in two passes because one would not vectorise."""
    big, start = row[0], 0
    for a in range(0, row.size, CHUNK):
        x = maximum(big, largest_of(row[a : min(row.size, a + CHUNK)]))
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
    """Whether an entry equals big. Counts hits in the row's own type: a counter of another width would waste half of each register."""
    zero, one = row.dtype.type(0), row.dtype.type(1)
    hits = zero
    for j in range(row.size):
        hits += one if row[j] == big else zero
    return hits > zero


@summing
def mass_and_least(t):
    """The sum of a row, and the smaller of 0 and its least entry; NaN if there is one."""
    mass, least = 0.0, 0.0
    for j in range(t.size):
        x = np.float64(t[j])
        mass += x
        least = least if x >= least else x
    return mass, least


@summing
def mean_half_gap(z, t, big):
    """sum t (big - z) / 2."""
    gap = 0.0
    for j in range(t.size):
        x = np.float64(t[j])
        gap += x * half_gap(0.5, np.float64(z[j]), np.float64(big)) if x != 0.0 and z[j] != big else 0.0
    return gap


class MixtureParts(NamedTuple):
    """What a mixture has: a loop is compiled for it, and one without the rest takes half the time to compile."""

    named: int = 0  # sparse entries: none, one, or 2 for any number
    base: bool = False
    dense: bool = False
    scale: bool = False
    known: bool = False  # the rows are parts of rows
    capped: bool = False
    bent: bool = False  # a temperature, a z-loss or a spread


class Recipe(NamedTuple):
    """The ingredients of a loop."""

    target: str | MixtureParts  # "labels", "distributions" or the parts of a mixture
    load: Any  # conversions from the dtype in memory (load) and to it (store)
    store: Any
    m: Any
    work: Any  # the type computed in
    terms: Any  # the program's formulas
    base: Any
    entry: Any
    curvature: Any  # replaces the hessian of `entry`, unless None
    summand: Any  # the solver's; None for softmax
    step: Any

    @property
    def labels(self) -> bool:
        """Whether the targets are labels."""
        return self.target == "labels"

    @property
    def mixed(self) -> bool:
        """Whether the targets are mixtures."""
        return isinstance(self.target, MixtureParts)

    @property
    def soft(self) -> bool:
        """Whether the weights are softmax's."""
        return self.summand is None


@inlined
def bend(x, z, u, slope, cap, cool):
    """u = softcap(z) / temperature of a row, and du / dz if there is a softcap (or None); a mask of -inf stays -inf."""
    if cap is not None:
        sharp = 1.0 if cool is None else cool
        inverse, high, steep = x.work(1.0 / cap), x.work(cap * sharp), x.work(sharp)
        for j in range(u.size):
            y = x.load(z[j])
            tanh, bent = tanh_slope32(y * inverse) if x.work is f32 else tanh_slope(y * inverse)
            u[j] = high * tanh if y > -inf else x.work(-inf)
            slope[j] = steep * bent
    elif cool is not None and cool != 1.0:
        factor = x.work(cool)
        for j in range(u.size):
            u[j] = x.load(z[j]) * factor
    else:
        for j in range(u.size):
            u[j] = x.load(z[j])
