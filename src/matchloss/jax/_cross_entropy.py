"""Cross entropy of logits with what large models add to it: smoothing, softcap, temperature, z-loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from matchloss.errors import DomainError
from matchloss.jax._arrays import as_raw, check_rows, weighted, weights
from matchloss.jax._loss import loss
from matchloss.losses.simplex import CrossEntropy


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    sample_weight: Any = None,
) -> jax.Array:
    """-sum t log softmax(u) + z_loss logsumexp(u)^2 of each row, u = softcap tanh(logits / softcap) / temperature.

    logits (..., K), target labels (...,) or distributions (..., K), result (...,): each row times its weight. Smoothing mixes the
    target with the uniform distribution. A logit of -inf is a class that cannot be: it costs nothing where the target has none of it.
    The first and second derivative in the logits are the formula's; those in the target and the weight are a TypeError.
    Exact at labels: -log p is log1p of the others' share, the label's gradient minus that share.

    Raises what `loss` raises, and DomainError for label_smoothing outside [0, 1) or softcap, temperature not above 0.

    >>> import jax, jax.numpy as jnp
    >>> logits, label = jnp.array([[40.0, 0.0, 0.0], [1.0, 2.0, -jnp.inf]]), jnp.array([0, 1])
    >>> [f"{x:.4g}" for x in cross_entropy(logits, label)]
    ['8.497e-18', '0.3133']
    >>> slope = jax.grad(lambda z: cross_entropy(z, label).sum())(logits)
    >>> [f"{x:.4g}" for x in slope.ravel()]
    ['-8.497e-18', '4.248e-18', '4.248e-18', '0.2689', '-0.2689', '0']
    """
    check_options(label_smoothing, softcap, temperature)
    u = as_raw("logits", logits)
    if softcap is not None:
        u = jnp.where(u == -jnp.inf, u, softcap * jnp.tanh(u / softcap))
    if temperature != 1.0:
        u = u / temperature
    if label_smoothing:
        target = _smoothed(u, target, label_smoothing, sample_weight)
    value = loss(CrossEntropy(), u, target, sample_weight)
    if z_loss:
        weight = weights(sample_weight, u.shape[:-1], u.dtype)
        kept = u if weight is None else jnp.where((weight == 0)[..., None], 0.0, u)
        value = value + weighted(z_loss * jax.nn.logsumexp(kept, axis=-1) ** 2, weight)
    return value


def check_options(label_smoothing: float, softcap: float | None, temperature: float) -> None:
    """DomainError for an option outside its range."""
    if not 0 <= label_smoothing < 1:
        raise DomainError(f"label_smoothing is {label_smoothing!r}; allowed: [0, 1)")
    for name, given in (("softcap", softcap), ("temperature", temperature)):
        if given is not None and not 0 < given < float("inf"):
            raise DomainError(f"{name} is {given!r}; allowed: (0, inf)")


def _smoothed(u: Any, target: Any, amount: float, sample_weight: Any) -> Any:
    """Distributions mixed with the uniform one; a label out of range makes one that does not sum to 1, and so is found."""
    given, target = target, jnp.asarray(target)
    if target.shape == u.shape[:-1] and target.dtype.kind in "iub":
        check_rows(CrossEntropy().programs["exact"], given, True, u.shape[-1], sample_weight)
        target = target[..., None] == jnp.arange(u.shape[-1])
    return (1 - amount) * target + jnp.asarray(amount / u.shape[-1], u.dtype)
