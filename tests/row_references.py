"""Every simplex loss a second time, in mpmath: maps by sorting and by their definition, hessians by differentiating on paper.

As in `references`, an output is the list of its terms. A matching loss's value is F(z) - <t, z>, here as F(z) - max z and
sum t (max z - z), both >= 0, so that adding a number to the whole row does not blow up the scale.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath as mp

from matchloss.losses import Loss
from references import ONE, ZERO, M, Terms

RowJet = tuple[Terms, list[Terms], list[Terms]]
Row = list[Any]


def softmax(z: Row) -> tuple[Row, Row]:
    """p, and 1 - p as the sum of the others."""
    e = [mp.exp(x - max(z)) for x in z]
    whole = mp.fsum(e)
    return [x / whole for x in e], [mp.fsum(e[:i] + e[i + 1 :]) / whole for i in range(len(e))]


def sparsemax(z: Row) -> tuple[Row, Any]:
    """p = [z - tau]+ and F(z) - max z; the support is a prefix of the sorted row."""
    big = max(z)
    s = sorted((x - big for x in z), reverse=True)
    tau = next((mp.fsum(s[:k]) - 1) / k for k in range(len(s), 0, -1) if s[k - 1] > (mp.fsum(s[:k]) - 1) / k)
    p = [max(x - big - tau, ZERO) for x in z]
    return p, mp.fsum(q * (x - big) for q, x in zip(p, z, strict=True)) - (mp.fsum(q * q for q in p) - 1) / 2


def spherical(z: Row) -> tuple[Row, Any]:
    """p = u / sum u, u = [z - tau]+ of norm 1, F = tau (+ 1: a label predicted with certainty costs 0), less max z (theory.md)."""
    big = max(z)
    s = sorted((x - big for x in z), reverse=True)
    for k in range(len(s), 0, -1):
        mean = mp.fsum(s[:k]) / k
        under = (1 - mp.fsum((x - mean) ** 2 for x in s[:k])) / k
        if under >= 0 and s[k - 1] > mean - mp.sqrt(under):
            tau = mean - mp.sqrt(under)
            break
    u = [max(x - big - tau, ZERO) for x in z]
    return [x / mp.fsum(u) for x in u], tau + 1


def entmax(z: Row, alpha: Any) -> tuple[Row, Terms]:
    """p_i = [(alpha - 1)(z_i - max) + 1 - d]+^(1 / (alpha - 1)), d by a bracketed Newton iteration; F(z) - max z."""
    big, power = max(z), 1 / (alpha - 1)
    w = [(alpha - 1) * (x - big) + 1 for x in z]

    def weights(d: Any) -> Row:
        return [(x - d) ** power if x > d else ZERO for x in w]

    low, high, d = ZERO, ONE, ZERO
    for _ in range(2000):
        p = weights(d)
        excess = mp.fsum(p) - 1
        low, high = (d, high) if excess > 0 else (low, d)
        if abs(excess) < mp.mpf(10) ** (5 - mp.mp.dps) or high - low < mp.mpf(10) ** (2 - mp.mp.dps):
            break
        new = d + excess / (power * mp.fsum(q ** (2 - alpha) for q in p if q > 0))
        d = new if low < new < high else (low + high) / 2
    # F by its definition, in two terms: a rounding of z by an eps of its distance from the largest moves F by the first.
    return p, [mp.fsum(q * (x - big) for q, x in zip(p, z, strict=True)), (1 - mp.fsum(q**alpha for q in p)) / (alpha * (alpha - 1))]


def potential_jet(loss: Loss, z: Row, t: Row) -> RowJet:
    """A matching loss by its map: F(z) - <t, z>, p - t, the map's derivative."""
    name, alpha = loss.name, M(getattr(loss, "alpha", 1))
    gap = mp.fsum(q * (max(z) - x) for q, x in zip(t, z, strict=True))
    if name == "cross_entropy" or (name == "entmax" and alpha == 1):
        p, c = softmax(z)
        top = z.index(max(z))
        value = [mp.log1p(mp.fsum(mp.exp(x - z[top]) for i, x in enumerate(z) if i != top)), gap]
        return value, [[a * (1 - b), -b * d] for a, b, d in zip(p, t, c, strict=True)], [[a * b] for a, b in zip(p, c, strict=True)]
    if name == "spherical":
        p, potential = spherical(z)
        norm, on = mp.sqrt(mp.fsum(a * a for a in p)), [a > 0 for a in p]
        others = [mp.fsum(1 for j, b in enumerate(on) if b and j != i) for i in range(len(p))]
        hessian = [[norm * ((1 - a) ** 2 + n * a * a) if a > 0 else ZERO] for a, n in zip(p, others, strict=True)]
    else:
        p, potential = sparsemax(z) if name == "sparsemax" else entmax(z, alpha)
        alpha = M(2) if name == "sparsemax" else alpha
        w = [a ** (2 - alpha) if a > 0 else ZERO for a in p]
        hessian = [[x, -x * x / mp.fsum(w)] for x in w]
        if alpha > 2:  # w = u^((2 - alpha) / (alpha - 1)) has a pole where u = p^(alpha - 1) is 0, and multiplies its rounding by w / u
            hessian = [[*h, x / a ** (alpha - 1), -x / a ** (alpha - 1)] if a > 0 else h for h, x, a in zip(hessian, w, p, strict=True)]
    value = [*potential, gap] if isinstance(potential, list) else [potential, gap]
    return value, [[a, -b] for a, b in zip(p, t, strict=True)], hessian


def softmax_brier(z: Row, t: Row) -> RowJet:
    """Sum t_k |p - e_k|^2 / 2."""
    p, c = softmax(z)
    s, hit = mp.fsum(a * a for a in p), mp.fsum(a * b for a, b in zip(p, t, strict=True))
    squares = [mp.fsum(x * x for j, x in enumerate(p) if j != i) for i in range(len(p))]
    value = [b * (d * d + q) / 2 for b, d, q in zip(t, c, squares, strict=True) if b > 0]
    gradient = [[a * a, -a * b, -a * s, a * hit] for a, b in zip(p, t, strict=True)]
    hessian = [
        [d * (a * a - a * b - a * s + a * hit), a * a * d, -2 * a * a * (a - s), a * a * (b - hit)] for a, b, d in zip(p, t, c, strict=True)
    ]
    return value, gradient, hessian


def softmax_spherical(z: Row, t: Row) -> RowJet:
    """Sum t_k (1 - p_k / |p|)."""
    p, _ = softmax(z)
    s, hit = mp.fsum(a * a for a in p), mp.fsum(a * b for a, b in zip(p, t, strict=True))
    n = mp.sqrt(s)
    squares = [mp.fsum(x * x for j, x in enumerate(p) if j != i) for i in range(len(p))]
    value = [b * q / (n * (n + a)) for a, b, q in zip(p, t, squares, strict=True) if b > 0]
    gradient = [[a * hit * a / n**3, -a * b / n] for a, b in zip(p, t, strict=True)]
    hessian = []
    for a, b in zip(p, t, strict=True):
        f, dhit, ds = a / n, a * (b - hit), 2 * a * (a - s)  # with respect to this entry's own z; dp = a (1 - a)
        df = f * (1 - a) - f * ds / (2 * s)
        hessian.append([df * hit * a / s, -df * b, f * dhit * a / s, f * hit * a * (1 - a) / s, -f * hit * a * ds / s**2])
    return value, gradient, hessian


def row_jet(loss: Loss, z: Row, t: Row) -> RowJet:
    """The terms of value, gradient and hessian diagonal of a row, exact for these numbers."""
    if loss.name == "softmax_brier":
        return softmax_brier(z, t)
    if loss.name == "softmax_spherical":
        return softmax_spherical(z, t)
    return potential_jet(loss, z, t)


@cache
def row_at(loss: Loss, raw: tuple[float, ...], target: tuple[float, ...]) -> RowJet:
    """The same at stored inputs. 1.2-entmax raises to the 5th power what may be an eps; squares of softmax's tails cancel."""
    with mp.workdps({"entmax": 120, "softmax_brier": 260, "softmax_spherical": 260}.get(loss.name, 60)):
        return row_jet(loss, [M(x) for x in raw], [M(x) for x in target])


ROW_LOSSES = {"cross_entropy", "sparsemax", "entmax", "spherical", "softmax_brier", "softmax_spherical"}
