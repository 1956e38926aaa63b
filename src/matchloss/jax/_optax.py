"""optax's names for the losses that are the same here. The page "From optax" lists the differences.

All of optax's arguments are supported. Shapes are never broadcast: targets have the shape of the predictions. bfloat16 and float16 are
computed and returned in float32. Each function raises what `matchloss.jax.loss` raises: DomainError, ShapeError, TypeError.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from matchloss.engine.row_targets import sum_tolerance
from matchloss.jax._arrays import as_raw, check_rows, not_differentiable, visible
from matchloss.jax._loss import loss, prepared, values
from matchloss.losses._loss import PointwiseLoss
from matchloss.losses.binary import Focal, Logistic
from matchloss.losses.margins import BinaryBrier, Hinge
from matchloss.losses.regression import Huber, LogCosh, SquaredError
from matchloss.losses.simplex import CrossEntropy, Sparsemax

fixed_parameter = not_differentiable(
    "the derivative in a loss's parameter (delta, gamma) is not computed; wrap the parameter in jax.lax.stop_gradient"
)


def squared_error(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """(predictions - targets)^2, entry by entry: twice `ml.SquaredError()`. targets None: zeros.

    >>> import jax.numpy as jnp
    >>> print(squared_error(jnp.array([0.5, 3.0]), jnp.array([0.0, 1.0])))
    [0.25 4.  ]
    """
    return 2.0 * _of_number(SquaredError(), predictions, targets)


def l2_loss(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """(predictions - targets)^2 / 2, entry by entry: `ml.SquaredError()`. targets None: zeros.

    >>> import jax.numpy as jnp
    >>> print(l2_loss(jnp.array([0.5, 3.0]), jnp.array([0.0, 1.0])))
    [0.125 2.   ]
    """
    return _of_number(SquaredError(), predictions, targets)


def huber_loss(predictions: ArrayLike, targets: ArrayLike | None = None, *, delta: ArrayLike = 1.0) -> jax.Array:
    """d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), d = predictions - targets: `ml.Huber(delta)`. targets None: zeros.

    delta > 0, a number or an array that broadcasts to the predictions' shape; it may be traced. If it is not above 0, a visible number
    raises a DomainError and an array gives NaN. The derivative in delta raises a TypeError. Source: Huber (1964).

    >>> import jax, jax.numpy as jnp
    >>> print(jax.jit(huber_loss)(jnp.array([0.5, 3.0]), jnp.array([0.0, 1.0]), delta=1.0))
    [0.125 1.5  ]
    """
    if (number := _number(delta)) is not None:
        return _of_number(Huber(number), predictions, targets)
    d = jnp.asarray(delta)
    return _at_constants(Huber(), predictions, _or_zeros(predictions, targets), (d,), (d > 0) & (d < jnp.inf))


def log_cosh(predictions: ArrayLike, targets: ArrayLike | None = None) -> jax.Array:
    """log cosh(predictions - targets), entry by entry: `ml.LogCosh()`. targets None: zeros. Source: Green (1990).

    >>> import jax.numpy as jnp
    >>> [f"{x:.4f}" for x in log_cosh(jnp.array([0.5, 100.0]))]
    ['0.1201', '99.3069']
    """
    return _of_number(LogCosh(), predictions, targets)


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """-labels log p - (1 - labels) log(1 - p), p = sigmoid(logits), entry by entry: `ml.Logistic()`. labels in [0, 1].

    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in sigmoid_binary_cross_entropy(jnp.array([0.0, 40.0]), jnp.array([1.0, 1.0]))]
    ['0.6931', '4.248e-18']
    """
    return loss(Logistic(), logits, labels)


def sigmoid_focal_loss(logits: ArrayLike, labels: ArrayLike, *, alpha: ArrayLike | None = None, gamma: ArrayLike = 2.0) -> jax.Array:
    """-(1 - p)^gamma log p at label 1, -p^gamma log(1 - p) at label 0, p = sigmoid(logits): `ml.Focal(gamma)`; linear between the labels.

    alpha weights the labels: alpha at 1 and 1 - alpha at 0. gamma >= 0, a number or an array that broadcasts to the logits' shape. Both
    may be traced. If gamma is below 0, a visible number raises a DomainError and an array gives NaN; its derivative raises a TypeError.
    Source: Lin, Goyal, Girshick, He and Dollar (2017).

    >>> import jax.numpy as jnp
    >>> [f"{x:.4f}" for x in sigmoid_focal_loss(jnp.array([0.0, 2.0]), jnp.array([1.0, 1.0]))]
    ['0.1733', '0.0018']
    """
    if (number := _number(gamma)) is not None:
        value = loss(Focal(number), logits, labels)
    else:
        g = jnp.asarray(gamma, as_raw("logits", logits).dtype)
        fraction, exponent = jnp.frexp(jax.lax.stop_gradient(g))  # Focal's constants, computed from a traced gamma
        high = jnp.ldexp(jnp.round(jnp.ldexp(fraction, 26)), exponent - 26)
        constants = g, high, jax.lax.stop_gradient(g) - high, jnp.ldexp(jnp.ones_like(g), 15 + exponent)
        value = _at_constants(Focal(), logits, labels, constants, (g >= 0) & (g < jnp.inf))
    if alpha is None:
        return value
    y = as_raw("labels", labels).astype(value.dtype)
    return value * (alpha * y + (1.0 - alpha) * (1.0 - y))


def hinge_loss(predictor_outputs: ArrayLike, targets: ArrayLike) -> jax.Array:
    """max(0, 1 - targets predictor_outputs), targets -1 or 1, entry by entry: `ml.Hinge()` at the label (1 + targets) / 2.

    >>> import jax.numpy as jnp
    >>> print(hinge_loss(jnp.array([0.5, 0.5]), jnp.array([1, -1])))
    [0.5 1.5]
    """
    return loss(Hinge(), predictor_outputs, 0.5 * (1.0 + as_raw("targets", targets)))


def sparsemax_loss(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Sparsemax of two classes, labels 0 or 1, entry by entry: `ml.BinaryBrier()`. Source: Blondel, Martins and Niculae (2020).

    >>> import jax.numpy as jnp
    >>> print(sparsemax_loss(jnp.array([0.0, 2.0]), jnp.array([1, 1])))
    [0.25 0.  ]
    """
    return loss(BinaryBrier(), logits, labels)


def multiclass_sparsemax_loss(scores: ArrayLike, labels: ArrayLike) -> jax.Array:
    """Sparsemax of each row: `ml.Sparsemax()`. scores (..., K), labels (...,), result (...,). Source: Martins and Astudillo (2016).

    >>> import jax.numpy as jnp
    >>> scores = jnp.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    >>> [f"{x:.4f}" for x in multiclass_sparsemax_loss(scores, jnp.array([0, 2]))]
    ['0.0000', '0.3333']
    """
    return loss(Sparsemax(), scores, labels)


def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, axis: int | Sequence[int] | None = -1, where: ArrayLike | None = None
) -> jax.Array:
    """-sum labels log softmax(logits) over the classes: `ml.CrossEntropy()` at distributions.

    logits and labels have equal shapes; the result has that shape without `axis`, the axis or axes of the classes (None: all). where:
    True for entries that count, of the logits' shape or of the result's. Other entries are left out of logits and labels. If no entry
    counts, the result and its gradient are 0.

    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]]), jnp.eye(2, 3)
    >>> [f"{x:.4f}" for x in softmax_cross_entropy(logits, labels, where=jnp.array([True, False]))]
    ['0.2761', '0.0000']
    """
    z, t = jnp.asarray(logits), _floating(labels)
    if axis != -1:
        z, t = _rows(z, axis), _rows(t, axis)
    if where is None:
        return loss(CrossEntropy(), z, t)
    mask = _mask(where, jnp.asarray(logits), axis)
    counts = jnp.any(mask, axis=-1).astype(z.dtype)
    check_rows(t, False, z.shape[-1], counts)
    right = jnp.abs(jnp.sum(t, axis=-1, keepdims=True) - 1) <= sum_tolerance(t.dtype)
    t = jnp.where(right, jnp.where(mask, t, 0.0), jnp.nan)  # the remaining part of a distribution need not sum to 1
    return values(*prepared(CrossEntropy(), jnp.where(mask, z, -jnp.inf), t, counts, whole=False))


def safe_softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """-sum labels log softmax(logits) over the last axis: `ml.CrossEntropy()` at distributions (..., K).

    A class with the logit -inf costs 0 if its label is 0, here and in `softmax_cross_entropy`.

    >>> import jax.numpy as jnp
    >>> print(safe_softmax_cross_entropy(jnp.array([0.0, -jnp.inf]), jnp.array([1.0, 0.0])))
    0.0
    """
    return loss(CrossEntropy(), logits, _floating(labels))


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike, labels: ArrayLike, axis: int | tuple[int, ...] = -1, where: ArrayLike | None = None
) -> jax.Array:
    """-log softmax(logits) at the label: `ml.CrossEntropy()` at labels 0..K-1, whose shape is the logits' without `axis`.

    axis: the axis or axes of the classes; with several, a label is the index into these axes flattened in their order. where: True for
    entries that count, of the logits' shape or of the labels'. Other entries are left out. If no entry counts the result is 0, and if
    the label's entry does not count it is inf.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[1.2, -0.8, -0.5], [0.9, -1.2, 1.1]])
    >>> [f"{x:.4f}" for x in softmax_cross_entropy_with_integer_labels(logits, jnp.array([0, 1]))]
    ['0.2761', '2.9518']
    """
    if not isinstance(axis, int | tuple):
        raise TypeError(f"axis is {axis!r}; it must be an int or a tuple of ints")
    z = jnp.asarray(logits) if axis == -1 else _rows(jnp.asarray(logits), axis)
    if where is None:
        return loss(CrossEntropy(), z, labels)
    mask = _mask(where, jnp.asarray(logits), axis)
    return loss(CrossEntropy(), jnp.where(mask, z, -jnp.inf), labels, jnp.any(mask, axis=-1).astype(z.dtype))


def _or_zeros(predictions: ArrayLike, targets: ArrayLike | None) -> ArrayLike:
    return jnp.zeros_like(as_raw("predictions", predictions)) if targets is None else targets


def _of_number(of: PointwiseLoss, predictions: ArrayLike, targets: ArrayLike | None) -> jax.Array:
    return loss(of, predictions, _or_zeros(predictions, targets))


def _number(parameter: ArrayLike) -> float | None:
    """A parameter as a float; None if it is traced or an array."""
    seen = visible(parameter)
    return None if seen is None or seen.ndim else float(seen)


def _at_constants(of: PointwiseLoss, raw: ArrayLike, target: ArrayLike, constants: tuple[jax.Array, ...], allowed: jax.Array) -> jax.Array:
    """The values of a loss whose constants are arrays; NaN where these are not allowed."""
    checked = prepared(of, raw, target, None)
    z = checked.raw
    fixed = tuple(fixed_parameter(jnp.broadcast_to(c.astype(z.dtype), z.shape)) for c in constants)
    return values(*checked._replace(constants=fixed)) * jnp.where(allowed, 1.0, jnp.nan).astype(z.dtype)


def _rows(x: jax.Array, axis: int | Sequence[int] | None) -> jax.Array:
    """x with these axes merged into one, the last."""
    axes = (axis,) if isinstance(axis, int) else tuple(range(x.ndim)) if axis is None else tuple(axis)
    moved = jnp.moveaxis(x, axes, range(-len(axes), 0))
    return moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)


def _mask(where: ArrayLike, logits: jax.Array, axis: int | Sequence[int] | None) -> jax.Array:
    """Which entries of the rows count."""
    mask = jnp.asarray(where, bool)
    if mask.ndim != logits.ndim:
        mask = jnp.expand_dims(mask, axis if isinstance(axis, int) else tuple(axis or range(logits.ndim)))
    return _rows(jnp.broadcast_to(mask, logits.shape), axis)


def _floating(labels: ArrayLike) -> jax.Array:
    a = jnp.asarray(labels)
    return a if jnp.issubdtype(a.dtype, jnp.floating) else a.astype(jnp.float32)
