"""Compiled descent on a quadratic with a penalty: coordinate by coordinate on a Gram matrix, group by group, and on sparse columns."""
# pyright: reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from matchloss.engine import threads
from matchloss.engine.signatures import Writes, summing

INF = float("inf")


@summing
def _descend(hessian, slope, new, l1, low, high, moving, tol, most):
    """Moves new, and slope, the smooth part's gradient there; all coordinates at first, then those that still move. `moving`: ones."""
    p = len(new)
    whole = True
    for _ in range(most):
        worst = 0.0
        for j in range(p):
            h = hessian[j, j]
            if h <= 0.0 or moving[j] == 0:
                continue
            z, t = new[j] - slope[j] / h, l1[j] / h
            z = z - t if z > t else z + t if z < -t else 0.0
            step = min(max(z, low[j]), high[j]) - new[j]
            if step != 0.0:
                new[j] += step
                for k in range(p):
                    slope[k] += step * hessian[j, k]
                worst = max(worst, abs(step) * h)
            moving[j] = 1 if step != 0.0 or (new[j] != 0.0 and low[j] < new[j] < high[j]) else 0
        if worst <= tol:
            if whole:
                break
            moving[:] = 1
            whole = True
        else:
            whole = False


@summing
def _descend_groups(hessian, slope, new, order, start, values, vectors, apart, weight, r, made, tol, most):
    """The same by groups: group k is order[start[k]:start[k + 1]], with the eigenvalues and vectors of its block and its weight.

    `apart`: 1 where the block is diagonal, as a category's is, and needs no vectors. r and made have room for a group. The minimum over b
    of b' H b / 2 - r' b + w |b| is b = (H + w / t)^-1 r with t = |b|: sum (r_i / (e_i t + w))^2 = 1 in the eigenvectors.
    """
    p = len(new)
    for _ in range(most):
        worst = 0.0
        for k in range(len(start) - 1):
            a, b = start[k], start[k + 1]
            size = b - a
            for i in range(size):
                s = -slope[order[a + i]]
                for j in range(i if apart[k] else 0, i + 1 if apart[k] else size):
                    s += hessian[order[a + i], order[a + j]] * new[order[a + j]]
                made[i] = s
            square = 0.0
            for i in range(size):
                s = made[i] if apart[k] else 0.0
                for j in range(0 if apart[k] else size):
                    s += vectors[a + j, i] * made[j]
                r[i] = s
                square += s * s
            norm, w = square**0.5, weight[k]
            made[:size] = 0.0
            if norm > w:
                top = 0.0
                for i in range(size):
                    top = max(top, values[a + i])
                t, low, high = norm / max(top, 1e-300), 0.0, INF
                for _ in range(200 if w > 0.0 else 0):  # Newton's steps for 1 / |.| = 1, concave in t, within a bracket
                    s, ds = 0.0, 0.0
                    for i in range(size):
                        d = values[a + i] * t + w
                        s += (r[i] / d) ** 2
                        ds += (r[i] / d) ** 2 * values[a + i] / d
                    s = s**0.5
                    if s > 1.0:
                        low = t
                    else:
                        high = t
                    if abs(s - 1.0) < 1e-15:
                        break
                    t = t + (s - 1.0) * s * s / ds if ds > 0.0 else 2.0 * t
                    if not low < t < high:
                        t = 0.5 * (low + min(high, 2.0 * low + 1.0))
                for i in range(size):
                    e = values[a + i]
                    r[i] = r[i] * t / (e * t + w) if w > 0.0 else (r[i] / e if e > 0.0 else 0.0)
                for i in range(size):
                    made[i] = r[i] if apart[k] else 0.0
                    for j in range(0 if apart[k] else size):
                        made[i] += vectors[a + i, j] * r[j]
            for i in range(size):
                j = order[a + i]
                step = made[i] - new[j]
                if step != 0.0:
                    new[j] = made[i]
                    for m in range(p):
                        slope[m] += step * hessian[j, m]
                    worst = max(worst, abs(step) * hessian[j, j])
        if worst <= tol:
            break


@summing
def _dots(indptr, indices, data, columns, start, stop, v, out):
    """X_j' v of some columns j of a CSC matrix."""
    for a in range(start, stop):
        s, j = 0.0, columns[a]
        for k in range(indptr[j], indptr[j + 1]):
            s += data[k] * v[indices[k]]
        out[a] = s


@summing
def _scale(indptr, indices, data, columns, root, start, scaled, curve):
    """Column a of `scaled`, from start[a] on, is x_ij root_i, j = columns[a]; curve[a] its squared length."""
    for a in range(len(columns)):
        s, j, at = 0.0, columns[a], start[a]
        for k in range(indptr[j + 1] - indptr[j]):
            z = data[indptr[j] + k] * root[indices[indptr[j] + k]]
            scaled[at + k] = z
            s += z * z
        curve[a] = s


@summing
def _add(indptr, indices, data, columns, step, out):
    """out += X step."""
    for a in range(len(columns)):
        if step[a] != 0.0:
            for k in range(indptr[columns[a]], indptr[columns[a] + 1]):
                out[indices[k]] += step[a] * data[k]


@summing
def _descend_sparse(indptr, indices, columns, start, scaled, root, slope, curve, theta, new, l1, l2, low, high, r, moving, head, tol, most):
    """As _descend, on the columns that _scale made of root, the square roots of the rows' curvatures. `slope` is at theta,
    r = root * X (new - theta), 0 at first. With head = 1 entry 0 is the intercept.
    """
    whole = True
    for _ in range(most):
        worst = 0.0
        for a in range(len(new)):
            if moving[a] == 0 or curve[a] <= 0.0:
                continue
            dot, at, first, size = 0.0, 0, 0, 0
            if a < head:
                for i in range(len(r)):
                    dot += root[i] * r[i]
            else:
                j = columns[a - head]
                at, first, size = start[a - head], indptr[j], indptr[j + 1] - indptr[j]
                for k in range(size):
                    dot += scaled[at + k] * r[indices[first + k]]
            z, t = new[a] - (slope[a] + dot + l2[a] * (new[a] - theta[a])) / curve[a], l1[a] / curve[a]
            z = z - t if z > t else z + t if z < -t else 0.0
            step = min(max(z, low[a]), high[a]) - new[a]
            if step != 0.0:
                new[a] += step
                worst = max(worst, abs(step) * curve[a])
                if a < head:
                    for i in range(len(r)):
                        r[i] += step * root[i]
                else:
                    for k in range(size):
                        r[indices[first + k]] += step * scaled[at + k]
            moving[a] = 1 if step != 0.0 or (new[a] != 0.0 and low[a] < new[a] < high[a]) else 0
        if worst <= tol:
            if whole:
                break
            moving[:] = 1
            whole = True
        else:
            whole = False


@cache
def _loop(name: str) -> Callable[..., object]:
    from matchloss.engine.cache import key
    from matchloss.engine.compiled import compiled

    line, square, places, flags = Writes("float64"), Writes("float64", 2), Writes("int64"), Writes("uint8")
    sparse = (Writes("uint32"), Writes("uint32"), line)  # indptr, indices, data
    table: dict[str, tuple[FunctionType, tuple[Any, ...]]] = {
        "descend": (_descend, (square, line, line, line, line, line, flags, "float64", "int64")),
        "descend_groups": (
            _descend_groups,
            (square, line, line, places, places, line, square, flags, line, line, line, "float64", "int64"),
        ),
        "dots": (_dots, (*sparse, places, "int64", "int64", line, line)),
        "scale": (_scale, (*sparse, places, line, places, line, line)),
        "add": (_add, (*sparse, places, line, line)),
        "descend_sparse": (
            _descend_sparse,
            (*sparse[:2], places, places, *[line] * 11, flags, "int64", "float64", "int64"),
        ),
    }
    function, signature = table[name]
    return compiled(function, f"penalty_{name}", signature, key(function))


def loop(name: str) -> Callable[..., Any]:
    """One of them, compiled whatever the size: descent in Python's own loops would take minutes."""
    with threads.FIRST_CALLS:
        return _loop(name)
