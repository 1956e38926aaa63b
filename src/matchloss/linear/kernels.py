"""Products of a block of codes, and of sparse entries, for raw predictions, gradients and Gram matrices: compiled loops, and in NumPy.

A code stands for a one-hot column that is never formed: a product with it is a lookup, a transposed product an addition.
"""
# pyright: reportArgumentType=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.pointwise import COMPILE_FROM
from matchloss.engine.signatures import Reads, Writes, inlined

if TYPE_CHECKING:
    from matchloss.linear.sparse import Entries

Array = NDArray[Any]


class Kernels(NamedTuple):
    """codes (n, C), first (C,): code c of row i stands for slot first[c] + codes[i, c]; numbers (n, q) for slots 1 to q."""

    gather: Callable[..., object]  # (codes, first, numbers, coef, raw): raw += the product
    scatter: Callable[..., object]  # (codes, first, numbers, error, gradient): gradient += the transposed product
    gather_rows: Callable[..., object]  # the same with K columns in coef and raw, and no numbers
    scatter_rows: Callable[..., object]
    gram: Callable[..., object]  # (codes, first, numbers, factor, weight, whole, place, gram), see _gram


@inlined
def _gather(codes, first, numbers, coef, raw):
    for i in range(codes.shape[0]):
        z = raw[i]
        for j in range(numbers.shape[1]):
            z += numbers[i, j] * coef[1 + j]
        for c in range(codes.shape[1]):
            z += coef[first[c] + codes[i, c]]
        raw[i] = z


@inlined
def _scatter(codes, first, numbers, error, gradient):
    for i in range(codes.shape[0]):
        e = error[i]
        for j in range(numbers.shape[1]):
            gradient[1 + j] += e * numbers[i, j]
        for c in range(codes.shape[1]):
            gradient[first[c] + codes[i, c]] += e


@inlined
def _gather_rows(codes, first, coef, raw):
    for i in range(codes.shape[0]):
        row = raw[i]
        for c in range(codes.shape[1]):
            add = coef[first[c] + codes[i, c]]
            for k in range(row.shape[0]):
                row[k] += add[k]


@inlined
def _scatter_rows(codes, first, error, gradient):
    for i in range(codes.shape[0]):
        row = error[i]
        for c in range(codes.shape[1]):
            add = gradient[first[c] + codes[i, c]]
            for k in range(row.shape[0]):
                add[k] += row[k]


@inlined
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


@cache  # so that known kernels need no lock, and no block the name of its type, which NumPy makes slowly
def _made(codes: np.dtype[Any]) -> Kernels:
    with threads.FIRST_CALLS:
        return _compiled(codes.name)


def _compiled(kind: str) -> Kernels:
    from matchloss.engine.cache import key
    from matchloss.engine.compiled import compiled

    codes, first, numbers = Reads(kind, 2), Reads("int64"), Reads("float64", 2, together=False)
    line, lines = Writes("float64"), Writes("float64", 2)
    vector, matrix = (codes, first, numbers, line, line), (codes, first, lines, lines)
    gram = (codes, first, numbers, line, line, "bool", Writes("int64"), lines)
    signatures = {_gather: vector, _scatter: vector, _gather_rows: matrix, _scatter_rows: matrix, _gram: gram}
    return Kernels(*(compiled(kernel, f"linear{kernel.__name__}_{kind}", types, key(kernel)) for kernel, types in signatures.items()))


def kernels(rows: int, codes: np.dtype[Any]) -> Kernels:
    """The kernels for passes over this many rows, with codes of this type, int32 or uint8; whether compiled depends on size alone."""
    return BY_NUMPY if rows < COMPILE_FROM else _made(codes)


class SparseKernels(NamedTuple):
    """Of a block's Entries. coef (s,) or (s, K); raw and error (r,) or (r, K); of a Gram matrix the lower triangle."""

    gather: Callable[..., object]  # (entries, coef, raw): raw += the product
    scatter: Callable[..., object]  # (entries, error, gradient): gradient += the transposed product
    gram: Callable[..., object]  # (entries, start, codes, first, numbers, weight, gram): `start` is the first entry's slot


@inlined
def _sparse_gather(indptr, indices, data, coef, raw):
    for i in range(raw.shape[0]):
        z = raw[i]
        for e in range(indptr[i], indptr[i + 1]):
            z += data[e] * coef[indices[e]]
        raw[i] = z


@inlined
def _sparse_scatter(indptr, indices, data, error, gradient):
    for i in range(error.shape[0]):
        for e in range(indptr[i], indptr[i + 1]):
            gradient[indices[e]] += data[e] * error[i]


@inlined
def _sparse_gram(indptr, indices, data, start, codes, first, numbers, weight, gram):
    for i in range(weight.shape[0]):
        for e in range(indptr[i], indptr[i + 1]):
            slot, v = start + indices[e], weight[i] * data[e]
            row = gram[slot]
            row[0] += v
            for j in range(numbers.shape[1]):
                row[1 + j] += v * numbers[i, j]
            for d in range(indptr[i], e + 1):
                row[start + indices[d]] += v * data[d]
            for c in range(codes.shape[1]):
                gram[first[c] + codes[i, c], slot] += v


def _sparse_gather_by_scipy(entries: Entries, coef: Array, raw: Array) -> None:
    raw += entries.matrix @ coef


def _sparse_scatter_by_scipy(entries: Entries, error: Array, gradient: Array) -> None:
    gradient += entries.matrix.T @ error


def _sparse_gram_by_scipy(entries: Entries, start: int, codes: Array, first: Array, numbers: Array, weight: Array, gram: Array) -> None:
    x, here = entries.matrix, slice(start, start + entries.columns)
    weighted = (x.T * weight).tocsr()
    gram[here, 0] += weighted.sum(axis=1)
    gram[here, 1:start] += weighted @ numbers
    gram[here, here] += (weighted @ x).toarray()
    row = np.repeat(np.arange(len(weight)), np.diff(entries.indptr))
    for c in range(codes.shape[1]):
        np.add.at(gram, (first[c] + codes[row, c], start + entries.indices), weight[row] * entries.data)


BY_SCIPY = SparseKernels(_sparse_gather_by_scipy, _sparse_scatter_by_scipy, _sparse_gram_by_scipy)


def _in_turn(one: Callable[..., object], several: Callable[..., object], entries: Entries, given: Array, made: Array) -> None:
    if made.ndim == 1:
        one(entries.indptr, entries.indices, entries.data, given, made)
    else:
        several(entries, given, made)


@cache
def _made_sparse() -> SparseKernels:
    with threads.FIRST_CALLS:
        from matchloss.engine.cache import key
        from matchloss.engine.compiled import compiled

        entries, given, line = (Reads("int64"), Reads("int32"), Reads("float64")), Reads("float64"), Writes("float64")
        categories, numbers, square = (Reads("int32", 2), Reads("int64")), Reads("float64", 2, together=False), Writes("float64", 2)
        signatures = {
            _sparse_gather: (*entries, given, line),
            _sparse_scatter: (*entries, given, line),
            _sparse_gram: (*entries, "int64", *categories, numbers, given, square),
        }
        gather, scatter, gram = (compiled(k, f"linear{k.__name__}", types, key(k)) for k, types in signatures.items())
        return SparseKernels(
            partial(_in_turn, gather, _sparse_gather_by_scipy),
            partial(_in_turn, scatter, _sparse_scatter_by_scipy),
            lambda e, *rest: gram(e.indptr, e.indices, e.data, *rest),
        )


def sparse_kernels(rows: int) -> SparseKernels:
    """The kernels of sparse columns for passes over this many rows."""
    return BY_SCIPY if rows < COMPILE_FROM else _made_sparse()
