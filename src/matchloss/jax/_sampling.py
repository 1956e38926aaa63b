"""Labels drawn from distributions, to train on a few labels in a fraction of a distribution's memory."""

from __future__ import annotations

from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp

from matchloss.engine.row_targets import sum_tolerance
from matchloss.errors import DomainError, ShapeError
from matchloss.jax._arrays import as_raw, check_rows


def sample_targets(key: Any, probabilities: Any, m: int) -> jax.Array:
    """m labels per row, int32 (..., m), drawn independently from the distributions (..., K).

    The cross entropy averaged over the labels is an unbiased estimate of that at the distribution, and so is its gradient; the
    variance falls as 1 / m. A class of probability 0 is never drawn. Where values are not visible, a row that is not a distribution
    gives labels -1, for which losses are NaN.

    Raises DomainError for m < 1 or a visible row that is not a distribution, ShapeError for a scalar.

    >>> import jax, jax.numpy as jnp
    >>> labels = sample_targets(jax.random.key(0), jnp.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]), 1000)
    >>> print(labels.shape, jnp.bincount(labels[0]), (labels[1] == 1).any())
    (2, 1000) [   0 1000] False
    """
    p = as_raw("probabilities", probabilities)
    if p.ndim == 0 or p.shape[-1] == 0:
        raise ShapeError(f"probabilities has shape {p.shape}; it must be (..., K) with at least one class")
    if m < 1:
        raise DomainError(f"m is {m!r}; allowed: 1, 2, ...")
    check_rows(probabilities, False, p.shape[-1], None)
    classes = p.shape[-1]
    width = isqrt(classes - 1) + 1  # running sums over blocks and within one round less, and are searched faster, than one long sum
    blocks = -(-classes // width)
    split = jnp.pad(p, [(0, 0)] * (p.ndim - 1) + [(0, blocks * width - classes)]).reshape(*p.shape[:-1], blocks, width)
    first, second = jax.random.split(key)
    block = _draw(first, jnp.sum(split, axis=-1), m)
    within = jnp.take_along_axis(split, block[..., None], axis=-2)
    label = block * width + _draw(second, within, 1)[..., 0]
    tolerance = sum_tolerance(jnp.asarray(probabilities).dtype)
    good = jnp.all(p >= 0, axis=-1) & (jnp.abs(jnp.sum(p, axis=-1) - 1) <= tolerance)
    return jnp.where(good[..., None], label, -1).astype(jnp.int32)


def _draw(key: Any, p: Any, m: int) -> Any:
    """m indices per row of weights, drawn in proportion: the first index whose running sum exceeds a uniform share of the total."""
    edges = jax.lax.cummax(jnp.cumsum(p, axis=-1), axis=p.ndim - 1)
    u = jax.random.uniform(key, (*p.shape[:-1], m), p.dtype) * edges[..., -1:]
    count, last = edges.reshape(-1, p.shape[-1]), p.shape[-1] - 1
    place = jax.vmap(lambda e, x: jnp.searchsorted(e, x, side="right"))(count, u.reshape(-1, m)).reshape(u.shape)
    places = jnp.arange(p.shape[-1])
    before = jax.lax.cummax(jnp.where(p > 0, places, -1), axis=p.ndim - 1)  # rounding must not select a weight of 0
    drawn = jnp.take_along_axis(before, jnp.minimum(place, last), axis=-1)
    return jnp.where(drawn < 0, jnp.argmax(p > 0, axis=-1, keepdims=True), drawn)
