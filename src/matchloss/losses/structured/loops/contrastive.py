"""Loops over a block of logits: sums over the other entries of a row or a column, and the error signal in place.

Row i of the block is pair first + i; its own entry, the diagonal, is left out of every sum and set apart.
"""
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from matchloss.losses.structured.loops._numbers import (
    CHUNK,
    exp,
    exp_of,
    inlined,
    largest,
    log,
    log1p_unit,
    made,
    reads,
    sigmoid,
    softplus,
    summing,
)


@summing
def sum_exp(x, big):
    """The sum of e^(x - big), in the precision of x by chunks."""
    total = 0.0
    for a in range(0, x.size, CHUNK):
        y, part = x[a : a + CHUNK], big - big
        for j in range(y.size):
            part += exp_of(y[j] - big)
        total += np.float64(part)
    return total


@inlined
def row_sums(block, first, a, b, others, own):
    """others[d]: log(sum_{j != d} e^l_dj) - l_dd of rows a..b of the block, own[d]: l_dd; the first row that is not finite, or -1."""
    for i in range(a, b):
        row, d = block[i], first + i
        mine = row[d]
        row[d] = -inf
        big = largest(row)
        others[d] = np.float64(big) + log(sum_exp(row, big)) - np.float64(mine)
        row[d] = mine
        own[d] = mine
        if not (abs(big) < inf and abs(mine) < inf):
            return d
    return -1


@inlined
def raise_to(row, big):
    """The larger of each two."""
    for j in range(row.size):
        big[j] = max(big[j], row[j])


@inlined
def add_columns(row, big, total):
    """total += e^(row - big)."""
    for j in range(row.size):
        total[j] += exp_of(row[j] - big[j])


@inlined
def column_sums(block, first, a, b, big, total):
    """Adds the block's rows to sum_{i != j} e^(l_ij - big_j) of columns a..b. It leaves -inf on the diagonal of these columns."""
    before, part = big[a:b].copy(), np.zeros(b - a, block.dtype)
    for i in range(block.shape[0]):
        d = first + i
        if a <= d < b:  # other threads have the other columns: they must not even write back what they read
            block[i, d] = -inf
        raise_to(block[i, a:b], big[a:b])
    for j in range(a, b):
        total[j] *= exp(np.float64(before[j - a]) - np.float64(big[j])) if total[j] > 0.0 else 0.0
    for i in range(block.shape[0]):
        add_columns(block[i, a:b], big[a:b], part)
    for j in range(a, b):
        total[j] += part[j - a]
    return -1


@inlined
def one_way(row, lse, scale):
    """scale e^(row - lse), in place."""
    zero = lse - lse
    for j in range(row.size):
        row[j] = exp_of(min(row[j] - lse, zero)) * scale


@inlined
def both_ways(row, lse, column_lse, scale):
    """The same, and e^(row - column_lse)."""
    zero = lse - lse
    for j in range(row.size):
        row[j] = (exp_of(min(row[j] - lse, zero)) + exp_of(min(row[j] - column_lse[j], zero))) * scale


@inlined
def softmax_block(block, first, a, b, lse, column_lse, x, y, both, scale):
    """The error signal of rows a..b times scale[0], in place; x, y: logarithms of the others' odds in each direction."""
    for i in range(a, b):
        d = first + i
        if both:
            both_ways(block[i], lse[d], column_lse, scale[0])
        else:
            one_way(block[i], lse[d], scale[0])
        block[i, d] = -np.float64(scale[0]) * (sigmoid(x[d]) + (sigmoid(y[d]) if both else 0.0))
    return -1


@summing
def sigmoid_errors(row, bias, scale):
    """The sums of softplus(row + bias) and of scale sigmoid(row + bias), and the latter in place."""
    value, slope, one = 0.0, 0.0, scale - scale + 1
    for j in range(row.size):
        z = row[j] + bias
        e = exp_of(-abs(z))
        value += np.float64(max(z, one - one)) + log1p_unit(np.float64(e))
        row[j] = scale * (one if z >= 0 else e) / (one + e)
        slope += np.float64(row[j])
    return value, slope


@inlined
def sigmoid_block(block, first, a, b, bias, scale, value, slope):
    """SigLIP's value of rows a..b, and their error signal times scale[0], in place, with its sums; the first row not finite, or -1.

    bias is added to the block's logits.
    """
    for i in range(a, b):
        d = first + i
        own = np.float64(block[i, d] + bias[0])
        block[i, d] = -inf
        value[d], slope[d] = sigmoid_errors(block[i], bias[0], scale[0])
        value[d] += softplus(-own)
        block[i, d] = -np.float64(scale[0]) * sigmoid(-own)
        slope[d] += np.float64(block[i, d])
        if not abs(value[d]) < inf:
            return d
    return -1


def _is(*arguments: Any) -> Any:
    """A signature in which "m", "v" and "r" are a matrix and vectors of the scores' type, written and read."""

    def signature(real: Any) -> tuple[Any, ...]:
        kinds = {"m": made(real, 2), "v": made(real, 1), "r": reads(real, 1), "i": "int64", "f": made("float64", 1)}
        kinds |= {"g": reads("float64", 1), "b": "bool"}
        return tuple(kinds[a] for a in arguments)

    return signature


LOOPS = {
    "row_sums": (row_sums, _is(*"miiiff")),
    "column_sums": (column_sums, _is(*"miiivf")),
    "softmax_block": (softmax_block, _is(*"miiirrggbr")),
    "sigmoid_block": (sigmoid_block, _is(*"miiirrff")),
}
