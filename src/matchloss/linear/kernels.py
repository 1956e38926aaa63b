"""Products of a block of integer codes for raw predictions, gradients and Gram matrices: compiled loops, and the same in NumPy.

A code stands for a one-hot column that is never formed: a product with it is a lookup, a transposed product an addition.
"""
# pyright: reportArgumentType=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.pointwise import COMPILE_FROM

Array = NDArray[Any]


class Kernels(NamedTuple):
    """codes (n, C), first (C,): code c of row i stands for slot first[c] + codes[i, c]; numbers (n, q) for slots 1 to q."""

    gather: Callable[..., object]  # (codes, first, numbers, coef, raw): raw += the product
    scatter: Callable[..., object]  # (codes, first, numbers, error, gradient): gradient += the transposed product
    gather_rows: Callable[..., object]  # the same with K columns in coef and raw, and no numbers
    scatter_rows: Callable[..., object]
    gram: Callable[..., object]  # (codes, first, numbers, factor, weight, whole, place, gram), see _gram


def _gather(codes, first, numbers, coef, raw):
    for i in range(codes.shape[0]):
        z = raw[i]
        for j in range(numbers.shape[1]):
            z += numbers[i, j] * coef[1 + j]
        for c in range(codes.shape[1]):
            z += coef[first[c] + codes[i, c]]
        raw[i] = z


def _scatter(codes, first, numbers, error, gradient):
    for i in range(codes.shape[0]):
        e = error[i]
        for j in range(numbers.shape[1]):
            gradient[1 + j] += e * numbers[i, j]
        for c in range(codes.shape[1]):
            gradient[first[c] + codes[i, c]] += e


def _gather_rows(codes, first, coef, raw):
    for i in range(codes.shape[0]):
        row = raw[i]
        for c in range(codes.shape[1]):
            add = coef[first[c] + codes[i, c]]
            for k in range(row.shape[0]):
                row[k] += add[k]


def _scatter_rows(codes, first, error, gradient):
    for i in range(codes.shape[0]):
        row = error[i]
        for c in range(codes.shape[1]):
            add = gradient[first[c] + codes[i, c]]
            for k in range(row.shape[0]):
                add[k] += row[k]


def _gram(codes, first, numbers, factor, weight, whole, place, gram):
    """Adds the entries that involve categories to the lower triangle, and with `whole` those of numbers; factor * numbers = weight * x.

    In an arrow (see passes.Matrix) the last column holds the diagonal of the last category.
    """
    q, categories, last = numbers.shape[1], codes.shape[1], gram.shape[1] - 1
    for i in range(codes.shape[0]):
        w, f = weight[i], factor[i]
        if whole:
            for j in range(q):
                v = f * numbers[i, j]
                gram[1 + j, 0] += v
                for k in range(j + 1):
                    gram[1 + j, 1 + k] += v * numbers[i, k]
        for c in range(categories):
            place[c] = first[c] + codes[i, c]
        for c in range(categories):
            row = gram[place[c]]
            row[0] += w
            for j in range(q):
                row[1 + j] += f * numbers[i, j]
            for b in range(c):
                row[place[b]] += w
            row[min(place[c], last)] += w


def _gather_by_numpy(codes, first, numbers, coef, raw):
    raw += numbers @ coef[1 : 1 + numbers.shape[1]] + coef[first + codes].sum(axis=1)


def _scatter_by_numpy(codes, first, numbers, error, gradient):
    gradient[1 : 1 + numbers.shape[1]] += error @ numbers
    _scatter_rows_by_numpy(codes, first, error, gradient)


def _gather_rows_by_numpy(codes, first, coef, raw):
    raw += coef[first + codes].sum(axis=1)


def _scatter_rows_by_numpy(codes, first, error, gradient):
    for c in range(codes.shape[1]):
        np.add.at(gradient, first[c] + codes[:, c], error)


def _gram_by_numpy(codes, first, numbers, factor, weight, whole, place, gram):
    q, last = numbers.shape[1], gram.shape[1] - 1
    if whole:
        gram[1 : 1 + q, 0] += factor @ numbers
        gram[1 : 1 + q, 1 : 1 + q] += numbers.T @ (factor[:, None] * numbers)
    for c in range(codes.shape[1]):
        slot = first[c] + codes[:, c]
        np.add.at(gram[:, 0], slot, weight)
        np.add.at(gram[:, 1 : 1 + q], slot, factor[:, None] * numbers)
        for b in range(c + 1):
            np.add.at(gram, (slot, np.minimum(first[b] + codes[:, b], last)), weight)


BY_NUMPY = Kernels(_gather_by_numpy, _scatter_by_numpy, _gather_rows_by_numpy, _scatter_rows_by_numpy, _gram_by_numpy)


@cache  # so that known kernels need no lock
def _made(codes: str) -> Kernels:
    with threads.FIRST_CALLS:
        return _compiled(codes)


def _compiled(kind: str) -> Kernels:
    from numba.core import types

    from matchloss.engine.cache import compiled, key
    from matchloss.engine.elementary import FLAGS

    def array(scalar: Any, dimensions: int, readonly: bool = False, layout: str = "C") -> Any:
        return types.Array(scalar, dimensions, layout, readonly=readonly)

    codes, first = array(getattr(types, kind), 2, True), array(types.int64, 1, True)
    line, lines, numbers = array(types.float64, 1), array(types.float64, 2), array(types.float64, 2, True, "A")
    vector, matrix = (codes, first, numbers, line, line), (codes, first, lines, lines)
    gram = (codes, first, numbers, line, line, types.boolean, array(types.int64, 1), lines)
    signatures = {_gather: vector, _scatter: vector, _gather_rows: matrix, _scatter_rows: matrix, _gram: gram}
    name = "linear" if kind == "int32" else f"linear_{kind}"
    made = [compiled(kernel, f"{name}{kernel.__name__}_{key(kernel)[:24]}", signature, FLAGS) for kernel, signature in signatures.items()]
    return Kernels(*made)


def kernels(rows: int, codes: str = "int32") -> Kernels:
    """The kernels for passes over this many rows, with codes of this type, int32 or uint8; whether compiled depends on size alone."""
    return BY_NUMPY if rows < COMPILE_FROM else _made(codes)
