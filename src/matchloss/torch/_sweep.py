"""Cross entropy of a linear layer, chunk by chunk: the logits of some tokens at a time, their loss, and what they add to the gradients.

A chunk's logits are made, turned into their gradient in place, multiplied into the gradients, and their memory is used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matchloss.engine import threads
from matchloss.engine.row_text import Options
from matchloss.engine.rows import Stats, run_mixture
from matchloss.torch import _memory, _products
from matchloss.torch._cross_entropy import KINDS, numbers, parts
from matchloss.torch._targets import Rows

CHUNK_BYTES = 256 << 20
CHUNK_TOKENS = 512  # at least; below, products slow down
HALF_SCALE = 256.0  # lifts float16's probabilities above its subnormal numbers; undone in float32


class BadRow(Exception):
    """The first row, of those that the sweep was given, whose target is none."""


@dataclass
class Sums:
    """What a sweep leaves: a Stats of all rows, and the gradients asked for, to be multiplied by `factor`."""

    stats: Stats
    input: Tensor | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    factor: float = 1.0


def tokens_of(n: int, classes: int, size: int, chunk_bytes: int, chunk_tokens: int | None) -> int:
    """How many tokens a chunk has: so many bytes of logits, in chunks of equal size."""
    most = chunk_tokens or max(CHUNK_TOKENS, chunk_bytes // (size * classes))
    return -(-n // -(-n // min(n, most))) if n else 1


def sweep(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rows: Rows,
    weights: NDArray[np.float64],
    shape: Options,
    wants: tuple[bool, bool, bool],
    *,
    tokens: int,
    spread: bool = False,
    split: Any = None,
) -> Sums:
    """Statistics of every row, and the gradients that are wanted with respect to x (n, D), weight (V, D), bias (V,).

    `weights` multiply the rows' losses. `split` sees to what processes must tell each other where they share the vocabulary.
    """
    n, classes, dtype = x.shape[0], weight.shape[0], x.dtype
    half, graded = dtype not in (torch.float32, torch.float64), any(wants)
    scale = HALF_SCALE if dtype is torch.float16 and graded else 1.0
    weights = weights * scale
    chunks = range(0, n, tokens)
    z_all = _memory.empty((min(tokens, n), classes), dtype)
    sums = np.empty((len(Stats._fields), n))
    gx = torch.empty_like(x) if wants[0] else None
    gw = None
    if wants[1]:
        gw = _memory.empty(tuple(weight.shape), torch.float32 if half and len(chunks) > 1 else dtype)
        if not n:
            gw.zero_()
    gb = torch.zeros(classes, dtype=torch.float64 if dtype is torch.float64 else torch.float32) if wants[2] else None
    with threads.at_most(torch.get_num_threads()), torch.autocast("cpu", enabled=False):
        library = _products.choose(x, weight)
        with _products.as_many_threads(library):
            for start in chunks:
                part = slice(start, min(start + tokens, n))
                z, some = z_all[: part.stop - start], x[part]
                _products.times_rows(library, some, weight, z)
                if bias is not None:
                    z += bias
                loop = (KINDS[dtype], numbers(z), parts(rows.part(part)), weights[part], shape)
                gradient = numbers(z) if graded else None
                options: dict[str, Any] = {"tolerance": rows.tolerance, "spread": spread}
                if split is None:
                    stats, bad = run_mixture(*loop, gradient, **options)
                else:
                    stats, bad = split.run(loop, gradient, options)
                if bad >= 0:
                    raise BadRow(bad + start)
                sums[:, part] = stats
                if gx is not None:
                    _products.times_columns(library, z, weight, gx[part])
                if gw is not None:
                    _products.add_outer(library, z, some, gw, start == 0)
                if gb is not None:
                    gb += z.sum(0, dtype=gb.dtype)
    if split is not None and gx is not None:
        gx = split.total_of(gx)
    return Sums(Stats(*sums), gx, gw, gb, 1.0 / scale)
