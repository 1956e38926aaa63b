"""Cross entropy of logits with what large models add to it: smoothing, softcap, temperature, z-loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from matchloss.engine.row_text import Options
from matchloss.errors import DomainError
from matchloss.jax._arrays import as_raw, check_rows
from matchloss.jax._loss import prepared, values
from matchloss.losses.simplex import CrossEntropy


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    sample_weight: ArrayLike | None = None,
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
    z = as_raw("logits", logits)
    if label_smoothing:
        target = _smoothed(z, target, label_smoothing, sample_weight)
    return values(*prepared(CrossEntropy(), z, target, sample_weight, Options(float(softcap or 0.0), float(temperature), float(z_loss))))


def check_options(label_smoothing: float, softcap: float | None, temperature: float) -> None:
    """DomainError for an option outside its range."""
    if not 0 <= label_smoothing < 1:
        raise DomainError(f"label_smoothing is {label_smoothing!r}; allowed: [0, 1)")
    for name, given in (("softcap", softcap), ("temperature", temperature)):
        if given is not None and not 0 < given < float("inf"):
            raise DomainError(f"{name} is {given!r}; allowed: (0, inf)")


def _smoothed(logits: jax.Array, target: ArrayLike, amount: float, sample_weight: ArrayLike | None) -> jax.Array:
    """Distributions mixed with the uniform one; a label out of range makes one that does not sum to 1, and so is found."""
    t, classes = jnp.asarray(target), logits.shape[-1]
    if t.shape == logits.shape[:-1] and t.dtype.kind in "iub":
        check_rows(target, True, classes, sample_weight)
        t = t[..., None] == jnp.arange(classes)
    return (1 - amount) * t + jnp.asarray(amount / classes, logits.dtype)
