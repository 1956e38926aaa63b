"""The engine's compiled loops for JAX on a CPU: many labels' values and gradients at once, written into XLA's own buffers.

XLA computes the same text in a pass over memory for each sum, and stores what it sums. A graph that holds such a call runs Python
and takes its lock; it is not kept in JAX's cache of compiled graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from matchloss.engine.arrays import Evaluation
from matchloss.losses._simplex import SimplexLoss

try:
    from jax.experimental.buffer_callback import buffer_callback
except ImportError:  # pragma: no cover - JAX before 0.6
    buffer_callback = None

LOOPS_FROM = 1 << 18  # raw outputs: below, XLA's pass takes less time than the call


def suits_loops(raw: jax.Array, target: jax.Array) -> bool:
    """Whether these rows, traced or not, are many enough, and their targets labels."""
    return buffer_callback is not None and raw.size >= LOOPS_FROM and target.ndim < raw.ndim


def by_loops(loss: SimplexLoss, graded: bool, raw: jax.Array, labels: jax.Array) -> tuple[jax.Array, ...]:
    """The value of each row and, if graded, the gradient; NaN at a label out of range. Only for a CPU."""
    assert buffer_callback is not None
    shapes = (raw.shape[:-1], raw.shape)[: 1 + graded]
    results = tuple(jax.ShapeDtypeStruct(shape, raw.dtype) for shape in shapes)
    return buffer_callback(_loop(loss), results, vmap_method="broadcast_all")(raw, labels)


@lru_cache(maxsize=1024)
def _loop(loss: SimplexLoss) -> Callable[..., None]:
    def run(context: object, out: tuple[Any, ...], raw: Any, labels: Any) -> None:
        z, y, results = np.asarray(raw), np.asarray(labels), [np.asarray(a) for a in out]
        bad = (y < 0) | (y >= z.shape[-1])
        value, gradient = (*results, None)[:2]
        loss.evaluate(z, np.where(bad, 0, y), gradient=gradient is not None, out=Evaluation(value, gradient, None))
        for a in results:
            a[bad] = np.nan

    return run
