"""Structured losses in JAX, on a CPU: compiled loops behind a callback, the gradient by the loss itself.

Under jit the callback runs when the values are there, so that bad input raises then, with the message that NumPy's call gives. Gradients
are made in the forward pass, as long as all groups weigh the same; otherwise backward evaluates the loss once more, weighted by the
cotangents. Second derivatives are not offered: JAX says that a callback has none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from matchloss.losses.structured import (
    CLIP,
    CTC,
    Cox,
    InfoNCE,
    LinearChainCRF,
    Paths,
    PlackettLuce,
    Rankings,
    RiskSets,
    SigLIP,
    StructuredLoss,
    Transcripts,
)

How = tuple[StructuredLoss, Any]  # and what was observed, if it was made before


def _target(loss: StructuredLoss, given: tuple[np.ndarray[Any, Any], ...]) -> Any:
    if isinstance(loss, CTC):
        return Transcripts(*given)
    if isinstance(loss, LinearChainCRF):
        return Paths(*given)
    if isinstance(loss, Cox):
        return RiskSets(*given)
    return Rankings(*given) if isinstance(loss, PlackettLuce) else None


def _computed(how: How, raws: int, graded: bool, arrays: tuple[Any, ...]) -> tuple[np.ndarray[Any, Any], ...]:
    """Values, and with `graded` the gradients of their sum, weighted by the last array. Between stand raw's parts and what was observed."""
    loss, target = how
    given = [np.asarray(x) for x in arrays]
    single = loss.singles and all(x.dtype == np.float32 for x in given[:raws])
    raw = tuple(np.ascontiguousarray(x, np.float32 if single else np.float64) for x in given[:raws])
    weight = np.ascontiguousarray(given[-1], np.float64)
    values, gradients = loss.compute(raw, _target(loss, tuple(given[raws:-1])) if target is None else target, weight, graded)
    return np.asarray(values, given[0].dtype), *(np.asarray(g, x.dtype).reshape(x.shape) for g, x in zip(gradients, given, strict=False))


def _pulled(how: How, raws: int, *arrays: Any) -> tuple[np.ndarray[Any, Any], ...]:
    """The gradients of the sum that is weighted by the last array; the arrays before it are those of a weight of 1."""
    *arguments, factor = arrays
    at = len(arguments) - raws
    if factor.size and (np.asarray(factor) == np.asarray(factor)[0]).all():  # a sum or a mean: no second evaluation
        return tuple(np.asarray(g) * np.asarray(factor)[0] for g in arguments[at:])
    return _computed(how, raws, True, (*arguments[:at], factor))[1:]


def _like(arrays: tuple[jax.Array, ...]) -> tuple[jax.ShapeDtypeStruct, ...]:
    return tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays)


def _run(how: How, graded: bool, many: int, raw: tuple[jax.Array, ...], given: tuple[jax.Array, ...]) -> Any:
    like = (jax.ShapeDtypeStruct((many,), raw[0].dtype), *(_like(raw) if graded else ()))
    ones = jnp.ones(many, raw[0].dtype)
    return jax.pure_callback(lambda *x: _computed(how, len(raw), graded, x), like, *raw, *given, ones, vmap_method="sequential")


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _values(how: How, many: int, raw: tuple[jax.Array, ...], given: tuple[jax.Array, ...]) -> jax.Array:
    return _run(how, False, many, raw, given)[0]


def _forward(how: How, many: int, raw: tuple[jax.Array, ...], given: tuple[jax.Array, ...]) -> Any:
    value, *gradients = _run(how, True, many, raw, given)
    return value, (raw, given, tuple(gradients))


def _backward(how: How, many: int, kept: Any, factor: jax.Array) -> Any:
    raw, given, gradients = kept
    call = partial(_pulled, how, len(raw))
    return jax.pure_callback(call, _like(raw), *raw, *given, *gradients, factor, vmap_method="sequential"), tuple(None for _ in given)


_values.defvjp(_forward, _backward)


def values(loss: StructuredLoss, many: int, raw: tuple[jax.Array, ...], *given: jax.Array, target: Any = None) -> jax.Array:
    """The values of all groups, differentiable in raw; what was observed as arrays, or made before as `target`."""
    return jnp.asarray(_values((loss, target), many, raw, given))


def _floating(*arrays: Any) -> tuple[jax.Array, ...]:
    made = [jnp.asarray(x) for x in arrays]
    return tuple(x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32) for x in made)


def ctc_loss(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    blank_id: int = 0,
    log_epsilon: float | None = None,
    *,
    zero_infinity: bool = False,
) -> jax.Array:
    """optax's `ctc_loss`: one value a sequence, by the loss of logits, exact where a path is nearly sure.

    logits (B, T, K), logit_paddings (B, T), labels (B, N), label_paddings (B, N): 1 where there is padding, at the end. log_epsilon is
    optax's stand-in for log 0, and not needed here. A sequence without an alignment raises, where optax gives a large number; with
    zero_infinity its value and gradient are 0. Source: Graves, Fernandez, Gomez and Schmidhuber (2006).

    >>> import jax.numpy as jnp
    >>> from matchloss.jax import ctc_loss
    >>> value = ctc_loss(jnp.zeros((1, 2, 3)), jnp.zeros((1, 2)), jnp.array([[1]]), jnp.zeros((1, 1)))
    >>> f"{value[0]:.4f}"
    '1.0986'
    """
    (z,) = _floating(logits)
    frames, said = (jnp.sum(jnp.asarray(p) == 0, axis=1) for p in (logit_paddings, label_paddings))
    return values(CTC(blank_id, zero_infinity), z.shape[0], (jnp.swapaxes(z, 0, 1),), jnp.asarray(labels), said, frames)


def crf_loss(emissions: Any, tags: Any, lengths: Any, transitions: Any, start: Any, end: Any) -> jax.Array:
    """Minus the log probability of tags (N, T) in a linear-chain CRF, for each sequence; lengths None: all T. As `torch.crf_loss`."""
    raw = _floating(emissions, transitions, start, end)
    given = (jnp.asarray(tags),) if lengths is None else (jnp.asarray(tags), jnp.asarray(lengths))
    return values(LinearChainCRF(), raw[0].shape[0], raw, *given)


def cox_loss(log_hz: Any, event: Any, time: Any = None, ties_method: str = "efron") -> jax.Array:
    """The negative log partial likelihood of log hazards (n,), a sum over events.

    event (n,) and time (n,); or in the place of event `RiskSets(time, event, entry, strata, weight)`, sorted once for many calls.
    Sources: Cox (1972); Efron (1977).

    >>> import jax
    >>> from matchloss.jax import cox_loss
    >>> slope = jax.grad(lambda z: cox_loss(z, [1, 0, 1], [1.0, 2.0, 3.0]))(jax.numpy.zeros(3))
    >>> [f"{x:.4f}" for x in slope]
    ['-0.6667', '0.3333', '0.3333']
    """
    if isinstance(event, RiskSets):
        return values(Cox(ties_method), event.strata_names.size, _floating(log_hz), target=event).sum()
    if time is None:
        raise TypeError("time is missing: pass event and time, or RiskSets(time, event)")
    return values(Cox(ties_method), 1, _floating(log_hz), jnp.asarray(time), jnp.asarray(event))[0]


def plackett_luce_loss(scores: Any, indptr: Any, order: Any = None, top: int | None = None) -> jax.Array:
    """Minus the log probability of the order of each ragged list, (lists,); arguments as `torch.plackett_luce_loss`."""
    bounds = jnp.asarray(indptr)
    given = (bounds,) if order is None else (bounds, jnp.asarray(order))
    return values(PlackettLuce(top), bounds.shape[0] - 1, _floating(scores), *given)


def info_nce_loss(query: Any, positive_key: Any, temperature: Any = 0.1) -> jax.Array:
    """InfoNCE of N pairs without the N x N matrix. Source: van den Oord, Li and Vinyals (2018)."""
    a, b = _floating(query, positive_key)
    return values(InfoNCE(), 1, (a, b, jnp.asarray(1.0 / temperature, a.dtype)))[0]


def clip_loss(image_features: Any, text_features: Any, logit_scale: Any) -> jax.Array:
    """CLIP's loss of N pairs without the N x N matrix. Source: Radford et al. (2021)."""
    a, b = _floating(image_features, text_features)
    return values(CLIP(), 1, (a, b, jnp.asarray(logit_scale, a.dtype)))[0]


def siglip_loss(image_features: Any, text_features: Any, logit_scale: Any, logit_bias: Any = None) -> jax.Array:
    """SigLIP's loss of N pairs without the N x N matrix; no bias if it is None. Source: Zhai et al. (2023)."""
    a, b = _floating(image_features, text_features)
    bias = 0.0 if logit_bias is None else logit_bias
    return values(SigLIP(), 1, (a, b, jnp.asarray(logit_scale, a.dtype), jnp.asarray(bias, a.dtype)))[0]
