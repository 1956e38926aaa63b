"""Cross entropy of a linear layer's outputs, in chunks: the whole logits never exist."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from matchloss.errors import DomainError, ShapeError
from matchloss.jax._arrays import check_rows, fixed_target, shaped, weights
from matchloss.jax._cross_entropy import check_options, cross_entropy

CHUNK_BYTES = 1 << 28


class Options(NamedTuple):
    """The keywords of cross_entropy."""

    label_smoothing: float
    z_loss: float
    softcap: float | None
    temperature: float


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    sample_weight: Any = None,
    reduction: str = "mean",
    chunk_bytes: int = CHUNK_BYTES,
) -> jax.Array:
    """cross_entropy(input @ linear_weight.T + linear_bias, target, ...) without the matrix of logits.

    input (..., D); linear_weight (V, D), like an embedding (a Dense kernel is the transpose); linear_bias (V,); target labels (...,)
    or distributions (..., V); sample_weight (...,). Rows are taken in chunks whose logits take about chunk_bytes. reduction "mean"
    divides by the sum of the weights, or the number of rows. With "mean" and "sum" the gradients asked for are computed together
    with the value, by three products in all; "none" gives one value per row and recomputes the logits for the derivatives.
    Half dtypes are multiplied as they are and summed in float32.

    Supports reverse mode and reverse over reverse; with "none" forward mode too. Raises what `cross_entropy` raises, and TypeError for
    a derivative in target or sample_weight.

    >>> import jax, jax.numpy as jnp
    >>> x, w = jnp.ones((3, 2)), jnp.arange(8.0).reshape(4, 2)
    >>> print(linear_cross_entropy(x, w, jnp.array([3, 3, 0])))
    4.018...
    """
    check_options(label_smoothing, softcap, temperature)
    if reduction not in ("mean", "sum", "none"):
        raise DomainError(f"reduction is {reduction!r}; allowed: mean, sum, none")
    x, w, t = jnp.asarray(input), jnp.asarray(linear_weight), jnp.asarray(target)
    b = None if linear_bias is None else jnp.asarray(linear_bias)
    if w.ndim != 2 or x.ndim == 0 or x.shape[-1] != w.shape[1] or w.shape[0] == 0:
        raise ShapeError(f"input has shape {x.shape} and linear_weight {w.shape}; they must be (..., D) and (V, D)")
    if b is not None:
        shaped("linear_bias", b, w.shape[:1], "linear_weight's shape")
    for name, a in (("input", x), ("linear_weight", w)):
        if not jnp.issubdtype(a.dtype, jnp.floating):
            raise TypeError(f"{name} has dtype {a.dtype}; it must be floating")
    rows, classes = x.shape[:-1], w.shape[0]
    labels = t.shape == rows
    if not labels and t.shape != (*rows, classes):
        raise ShapeError(f"target has shape {t.shape}; labels are {rows}, distributions {(*rows, classes)}")
    if labels and t.dtype.kind not in "iub":
        raise TypeError(f"target has dtype {t.dtype}; labels are integers")
    check_rows(target, labels, classes, sample_weight)
    sums = jnp.promote_types(jnp.promote_types(x.dtype, w.dtype), jnp.float32)
    weight = weights(sample_weight, rows, sums)
    weight = jnp.ones(rows, sums) if weight is None else weight
    n = weight.size
    chunks = max(1, -(-n * classes * jnp.dtype(sums).itemsize // chunk_bytes))
    height = max(1, -(-n // chunks))
    chunks = max(1, -(-n // height))

    def chunked(a: Any, width: tuple[int, ...]) -> Any:
        a = a.reshape(n, *width)
        return jnp.pad(a, [(0, chunks * height - n)] + [(0, 0)] * len(width)).reshape(chunks, height, *width)

    parts = chunked(x, x.shape[-1:]), chunked(fixed_target(t), () if labels else (classes,)), chunked(weight, ())
    options = Options(label_smoothing, z_loss, softcap, temperature)
    if reduction == "none":
        chunk = jax.checkpoint(lambda part: _values(options, _logits(part[0], w, b), *part[1:]))
        values = jax.lax.map(chunk, parts)
        return values.reshape(-1)[:n].reshape(rows)
    total: Any = _total(options, parts[0], w, b, *parts[1:])
    return total if reduction == "sum" else total / jnp.sum(weight)


def _logits(x: Any, w: Any, b: Any) -> Any:
    """x w' + b, accumulated in at least float32."""
    dtype = jnp.promote_types(x.dtype, w.dtype)
    z = _product(x, w, dtype, ((1,), (1,)))
    return z if b is None else z + b.astype(z.dtype)


def _product(a: Any, b: Any, dtype: Any, axes: Any) -> Any:
    """The product of a and b, cast to dtype, contracted over an axis of each and accumulated in at least float32."""
    sums = jnp.promote_types(dtype, jnp.float32)
    return jax.lax.dot_general(a.astype(dtype), b.astype(dtype), (axes, ((), ())), preferred_element_type=sums)


def _values(options: Options, z: Any, t: Any, weight: Any) -> Any:
    return cross_entropy(z, t, **options._asdict(), sample_weight=weight)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _total(options: Options, x: Any, w: Any, b: Any, t: Any, weight: Any) -> Any:
    """The sum over chunks of rows: x (chunks, height, D)."""

    def add(total: Any, part: Any) -> Any:
        return total + jnp.sum(_values(options, _logits(part[0], w, b), *part[1:])), None

    return jax.lax.scan(add, jnp.zeros((), weight.dtype), (x, t, weight))[0]


def _forward(options: Options, x: Any, w: Any, b: Any, t: Any, weight: Any) -> Any:
    """The sum, and those of its gradients that are asked for."""
    asked = x.perturbed, w.perturbed, b is not None and b.perturbed
    x, w, b, t, weight = x.value, w.value, None if b is None else b.value, t.value, weight.value
    dtype, sums = jnp.promote_types(x.dtype, w.dtype), weight.dtype

    def add(carry: Any, part: Any) -> Any:
        total, to_w, to_b = carry
        value, pull = jax.vjp(lambda z: jnp.sum(_values(options, z, *part[1:])), _logits(part[0], w, b))
        (signal,) = pull(jnp.ones((), value.dtype))
        to_x = _product(signal, w, dtype, ((1,), (0,))).astype(x.dtype) if asked[0] else None
        to_w = to_w + _product(signal, part[0], dtype, ((0,), (0,))) if asked[1] else None
        to_b = to_b + jnp.sum(signal, axis=0) if asked[2] else None
        return (total + value, to_w, to_b), to_x

    start = jnp.zeros((), sums), jnp.zeros(w.shape, sums) if asked[1] else None, jnp.zeros(w.shape[0], sums) if asked[2] else None
    (total, to_w, to_b), to_x = jax.lax.scan(add, start, (x, t, weight))
    like = [None if a is None else jnp.zeros_like(a, shape=(0,)) for a in (x, w, b)]  # empty arrays, because residuals cannot hold dtypes
    return total, (to_x, to_w, to_b, like)


def _backward(options: Options, kept: Any, up: Any) -> Any:
    *gradients, like = kept
    factor: Any = 0.0 if isinstance(up, jax.custom_derivatives.SymbolicZero) else up
    scaled = [None if g is None else (g * factor).astype(a.dtype) for g, a in zip(gradients, like, strict=True)]
    return (*scaled, None, None)


_total.defvjp(_forward, _backward, symbolic_zeros=True)
