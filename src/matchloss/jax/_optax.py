"""optax's names, for the losses that mean the same here. The page "From optax" has the differences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from matchloss.jax._arrays import as_raw
from matchloss.jax._loss import loss
from matchloss.losses.binary import Focal, Logistic
from matchloss.losses.margins import BinaryBrier, Hinge
from matchloss.losses.regression import Huber, LogCosh, SquaredError
from matchloss.losses.simplex import CrossEntropy, Sparsemax


def _of_number(of: Any, predictions: Any, targets: Any) -> jax.Array:
    return loss(of, predictions, jnp.zeros_like(as_raw("predictions", predictions)) if targets is None else targets)


def squared_error(predictions: Any, targets: Any = None) -> jax.Array:
    """optax.squared_error: (predictions - targets)^2, twice ml.SquaredError's value; targets None: zeros."""
    return 2.0 * _of_number(SquaredError(), predictions, targets)


def l2_loss(predictions: Any, targets: Any = None) -> jax.Array:
    """optax.l2_loss: ml.SquaredError."""
    return _of_number(SquaredError(), predictions, targets)


def huber_loss(predictions: Any, targets: Any = None, *, delta: float = 1.0) -> jax.Array:
    """optax.huber_loss: ml.Huber(delta)."""
    return _of_number(Huber(delta), predictions, targets)


def log_cosh(predictions: Any, targets: Any = None) -> jax.Array:
    """optax.log_cosh: ml.LogCosh."""
    return _of_number(LogCosh(), predictions, targets)


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """optax.sigmoid_binary_cross_entropy: ml.Logistic.

    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in sigmoid_binary_cross_entropy(jnp.array([0.0, 40.0]), jnp.array([1.0, 1.0]))]
    ['0.6931', '4.248e-18']
    """
    return loss(Logistic(), logits, labels)


def sigmoid_focal_loss(logits: Any, labels: Any, *, alpha: float | None = None, gamma: float = 2.0) -> jax.Array:
    """optax.sigmoid_focal_loss at labels 0 and 1: ml.Focal(gamma), times alpha at 1 and 1 - alpha at 0. Linear between them."""
    value = loss(Focal(gamma), logits, labels)
    if alpha is None:
        return value
    y = as_raw("labels", labels).astype(value.dtype)
    return value * (alpha * y + (1.0 - alpha) * (1.0 - y))


def hinge_loss(predictor_outputs: Any, targets: Any) -> jax.Array:
    """optax.hinge_loss: ml.Hinge at the label (1 + targets) / 2, targets -1 or 1."""
    return loss(Hinge(), predictor_outputs, 0.5 * (1.0 + as_raw("targets", targets)))


def sparsemax_loss(logits: Any, labels: Any) -> jax.Array:
    """optax.sparsemax_loss, of two classes: ml.BinaryBrier, labels 0 or 1."""
    return loss(BinaryBrier(), logits, labels)


def multiclass_sparsemax_loss(scores: Any, labels: Any) -> jax.Array:
    """optax.multiclass_sparsemax_loss: ml.Sparsemax, for any number of leading axes."""
    return loss(Sparsemax(), scores, labels)


def softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1) -> jax.Array:
    """optax.softmax_cross_entropy: ml.CrossEntropy at distributions."""
    return loss(CrossEntropy(), jnp.moveaxis(jnp.asarray(logits), axis, -1), _floating(jnp.moveaxis(jnp.asarray(labels), axis, -1)))


def safe_softmax_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """optax.safe_softmax_cross_entropy: ml.CrossEntropy at distributions, where a class of -inf and none of the target costs 0."""
    return loss(CrossEntropy(), logits, _floating(jnp.asarray(labels)))


def softmax_cross_entropy_with_integer_labels(logits: Any, labels: Any, axis: int = -1) -> jax.Array:
    """optax.softmax_cross_entropy_with_integer_labels: ml.CrossEntropy at labels.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    >>> [f"{x:.4f}" for x in softmax_cross_entropy_with_integer_labels(logits, jnp.array([0, 1]))]
    ['0.2761', '2.9518']
    """
    return loss(CrossEntropy(), jnp.moveaxis(jnp.asarray(logits), axis, -1), labels)


def _floating(labels: Any) -> Any:
    return labels if jnp.issubdtype(labels.dtype, jnp.floating) else labels.astype(jnp.float32)
