"""The protocol `m` over jax.numpy, the checks and conversions of every call, and guards against undefined derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from matchloss.engine import pointwise
from matchloss.engine.arrays import as_weight
from matchloss.engine.namespaces import NUMPY_ROWS, namespace
from matchloss.engine.row_targets import check_targets
from matchloss.errors import ShapeError


def _iterate(step: Callable[..., Any], state: tuple[Any, ...], limit: int) -> tuple[Any, ...]:
    """RowReductions.iterate as a loop inside the compiled program, for any number of rounds."""

    def going(carry: Any) -> Any:
        return (carry[0] < limit) & carry[1]

    def turn(carry: Any) -> Any:
        state, grown = step(carry[2])
        return carry[0] + 1, jnp.any(grown), state

    return jax.lax.while_loop(going, turn, (0, jnp.asarray(True), state))[2]


def _first_max(x: Any) -> Any:
    """RowReductions.first_max by two reductions, which vectorise; argmax does not."""
    place = jnp.where(x == jnp.max(x, axis=-1, keepdims=True), jnp.arange(x.shape[-1]), x.shape[-1])
    return place == jnp.minimum(jnp.min(place, axis=-1, keepdims=True), x.shape[-1] - 1)


JAX = namespace(jnp)
JAX_ROWS = NUMPY_ROWS._replace(
    sum=lambda x: jnp.sum(x, axis=-1, keepdims=True),
    max=lambda x: jnp.max(x, axis=-1, keepdims=True),
    first_max=_first_max,
    iterate=_iterate,
)


def not_differentiable(message: str) -> Callable[[Any], Any]:
    """An identity whose derivative raises a TypeError: where there is no formula, an error is better than a silent 0."""

    @jax.custom_jvp
    def same(x: Any) -> Any:
        return x

    @same.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        raise TypeError(message)

    return same


twice_at_most = not_differentiable("losses have two derivatives in JAX, gradient and hessian; a third is not computed")
fixed_target = not_differentiable(
    "the derivative in the target is not computed; where the target depends on parameters, wrap it in jax.lax.stop_gradient"
)
fixed_weight = not_differentiable(
    "the derivative in sample_weight is not computed; multiply the values by the weight yourself, or wrap it in jax.lax.stop_gradient"
)


def as_raw(name: str, x: Any) -> jax.Array:
    """x as a floating array: half dtypes become float32, integers and booleans JAX's default float."""
    a = jnp.asarray(x)
    if a.dtype in (jnp.float32, jnp.float64):
        return a
    if a.dtype in (jnp.bfloat16, jnp.float16):
        return a.astype(jnp.float32)
    if a.dtype.kind in "iub":
        return a.astype(jnp.result_type(float))
    raise TypeError(f"{name} has dtype {a.dtype}; bfloat16, float16, float32, float64, integers and booleans are computed")


def shaped(name: str, x: Any, shape: tuple[int, ...], like: str) -> None:
    """ShapeError unless x has exactly this shape."""
    if x.shape != shape:
        raise ShapeError(f"{name} has shape {x.shape}, and {like} asks for {shape}; shapes are never broadcast")


def weights(sample_weight: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array | None:
    """One weight per row. A bad one raises if its value is visible and becomes NaN if it is traced."""
    if sample_weight is None:
        return None
    w = as_raw("sample_weight", sample_weight)
    shaped("sample_weight", w, shape, "one weight a row")
    if (seen := visible(sample_weight)) is not None:
        as_weight(seen, shape)
    w = fixed_weight(w).astype(dtype)
    return jnp.where((w >= 0) & (w < jnp.inf), w, jnp.nan)


def weighted(x: Any, weight: Any) -> Any:
    """x times the row's weight, but 0 in a row of weight 0 even if x is NaN or infinite."""
    if weight is None:
        return x
    w = weight.reshape(weight.shape + (1,) * (x.ndim - weight.ndim))
    return jnp.where(w == 0, 0.0, w * x)


def visible(x: Any) -> np.ndarray[Any, Any] | None:
    """The values as a NumPy array; None if x is traced or lies on other hosts. Call it before jnp.asarray, which traces inside jit."""
    if x is None or any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(x)) or not getattr(x, "is_fully_addressable", True):
        return None
    a = np.asarray(x)
    return a.astype(np.float32) if a.dtype.kind not in "fiub" or (a.dtype.itemsize == 2 and a.dtype.kind == "f") else a


def check_target(loss: Any, target: Any, weight: Any) -> None:
    """DomainError for the first bad target of a pointwise loss, if the values are visible."""
    y, w = visible(target), visible(weight)
    if y is not None and (weight is None or w is not None):
        pointwise.check(loss.programs["exact"], y, w)


def check_rows(target: Any, labels: bool, classes: int, weight: Any) -> None:
    """DomainError for the first bad label or distribution, if the values are visible."""
    t, w = visible(target), visible(weight)
    if t is not None and (weight is None or w is not None):
        half = not labels and jnp.result_type(target).itemsize == 2
        check_targets(t.astype(np.float16) if half else t, labels, classes, w)
