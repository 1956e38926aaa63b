"""Every loss for JAX: one value per row, with the formulas' own derivatives under jit, vmap, grad, jacfwd, jacrev and hessian.

>>> import jax, jax.numpy as jnp
>>> import matchloss as ml
>>> from matchloss.jax import loss
>>> raw, count = jnp.array([0.0, 1.0]), jnp.array([3.0, 0.0])
>>> slope = jax.grad(lambda raw: loss(ml.Poisson(), raw, count).sum())(raw)
>>> [f"{x:.4f}" for x in slope]
['-2.0000', '2.7183']
"""

try:
    import jax as _jax  # noqa: F401
except ImportError as error:  # pragma: no cover
    raise ImportError("matchloss.jax needs JAX: pip install 'matchloss[jax]'") from error

from matchloss.jax._cross_entropy import cross_entropy
from matchloss.jax._linear import linear_cross_entropy
from matchloss.jax._loss import evaluate as host_evaluate
from matchloss.jax._loss import loss, predict
from matchloss.jax._loss import mean as host_call
from matchloss.jax._loss import predict as host_predict
from matchloss.jax._optax import (
    hinge_loss,
    huber_loss,
    l2_loss,
    log_cosh,
    multiclass_sparsemax_loss,
    safe_softmax_cross_entropy,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    softmax_cross_entropy,
    softmax_cross_entropy_with_integer_labels,
    sparsemax_loss,
    squared_error,
)
from matchloss.jax._sampling import sample_targets
from matchloss.jax._structured import clip_loss, cox_loss, crf_loss, ctc_loss, info_nce_loss, plackett_luce_loss, siglip_loss

__all__ = [
    "clip_loss",
    "cox_loss",
    "crf_loss",
    "cross_entropy",
    "ctc_loss",
    "hinge_loss",
    "host_call",
    "host_evaluate",
    "host_predict",
    "huber_loss",
    "info_nce_loss",
    "l2_loss",
    "linear_cross_entropy",
    "log_cosh",
    "loss",
    "multiclass_sparsemax_loss",
    "plackett_luce_loss",
    "predict",
    "safe_softmax_cross_entropy",
    "sample_targets",
    "siglip_loss",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "sparsemax_loss",
    "squared_error",
]
