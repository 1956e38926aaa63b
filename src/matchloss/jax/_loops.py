"""The engine's compiled loops for JAX on a CPU: values and gradients for many labels, written straight into XLA's buffers.

XLA would make one pass over memory for each sum, and store its terms. But a graph with such a call runs Python, takes the GIL, and is
not kept in JAX's cache of compiled graphs.
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

LOOPS_FROM = 1 << 18  # raw predictions; with fewer, XLA's passes take less time than the call


def suits_loops(raw: jax.Array, target: jax.Array) -> bool:
    """Whether there are enough rows, traced or not, and their targets are labels."""
    return buffer_callback is not None and raw.size >= LOOPS_FROM and target.ndim < raw.ndim


def by_loops(loss: SimplexLoss, graded: bool, raw: jax.Array, labels: jax.Array) -> tuple[jax.Array, ...]:
    """The value of each row and, if graded, the gradient; NaN for a label out of range. Only on a CPU."""
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
