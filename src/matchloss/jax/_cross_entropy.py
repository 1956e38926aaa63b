"""Cross entropy of logits with the options of large models: smoothing, softcap, temperature, z-loss."""

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
    """-sum t log softmax(u) + z_loss logsumexp(u)^2 of each row, with u = softcap tanh(logits / softcap) / temperature.

    logits (..., K), target labels (...,) or distributions (..., K), sample_weight and result (...,): each row times its weight.
    Smoothing mixes the target with the uniform distribution. A logit of -inf masks a class, which costs nothing if its target is 0.
    The first and second derivatives in the logits are the formula's; derivatives in the target or weight raise a TypeError.
    Exact for confident rows: no 1 - p is computed by subtraction. Source: Bridle (1990); smoothing: Szegedy et al. (2016).

    Raises what `loss` raises, and DomainError for label_smoothing outside [0, 1), or a softcap or temperature that is not above 0.

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
    """The target mixed with the uniform distribution. A label out of range gives a sum other than 1, which is found later."""
    t, classes = jnp.asarray(target), logits.shape[-1]
    if t.shape == logits.shape[:-1] and t.dtype.kind in "iub":
        check_rows(target, True, classes, sample_weight)
        t = t[..., None] == jnp.arange(classes)
    return (1 - amount) * t + jnp.asarray(amount / classes, logits.dtype)
