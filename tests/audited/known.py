"""Defects of the peers that the audit must find by itself; each is demonstrated in demonstrations.py, without the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import entmax
import optax.losses as ol
import scoringrules
import sklearn._loss as sk
import torch.nn.functional as F

from audited import demonstrations as shown
from audited import peers


@dataclass(frozen=True)
class Known:
    """A function of a peer with a known defect."""

    name: str
    target: Callable[..., Any]  # what is audited
    kind: str
    shows: Callable[[], None]  # asserts that the defect is there
    checks: tuple[str, ...]  # any of these is the right one to find it
    mention: str = ""  # a pattern that the message, counterexample or snippet of such a finding must have
    keywords: Mapping[str, Any] = field(default_factory=dict)  # for `audit`: parts of the convention
    changed: str = ""  # where the versions of today differ from what issue 5 says


TORCH, JAX, NUMPY = {"framework": "torch"}, {"framework": "jax"}, {"framework": "numpy"}
PROBABILITY = {"input": "prediction"}
LABELS, ROWS = {"target": "labels"}, {"target": "distributions"}

KNOWN = (
    Known(
        "torch binary_cross_entropy of a sigmoid: 100 and no gradient",
        peers.sigmoid_then_binary_cross_entropy,
        "binary",
        shown.clamped_binary_cross_entropy,
        ("gradient", "accuracy", "finite"),
        keywords=TORCH,
    ),
    Known(
        "torch soft_margin_loss overflows",
        F.soft_margin_loss,
        "binary",
        shown.overflowing_soft_margin,
        ("finite",),
        "inf|nan",
        TORCH | {"target": "signs"},
    ),
    Known(
        "torch gaussian_nll_loss: the variance is clamped, its gradient is not",
        peers.gaussian_variance,
        "positive",
        shown.clamped_variance,
        ("gradient",),
        keywords=TORCH | PROBABILITY,
    ),
    Known(
        "torch cross_entropy takes targets that do not sum to 1",
        F.cross_entropy,
        "multiclass",
        shown.targets_off_the_simplex,
        ("domain",),
        "sum",
        TORCH | ROWS,
    ),
    Known(
        "torch cross_entropy: class weights of labels and of one-hot rows",
        F.cross_entropy,
        "multiclass",
        shown.class_weights_of_one_hot_targets,
        ("weights",),
        "(?i)one-hot|one_hot|distribution",
        TORCH,
    ),
    Known(
        "torch cross_entropy: every row ignored",
        F.cross_entropy,
        "multiclass",
        shown.all_rows_ignored,
        ("weights", "reductions", "domain", "finite"),
        "(?i)ignore",
        TORCH,
    ),
    Known(
        "torch cross_entropy: the mean over parts with ignored rows",
        F.cross_entropy,
        "multiclass",
        shown.mean_of_parts_with_ignored_rows,
        ("reductions", "weights"),
        "(?i)ignore",
        TORCH | LABELS,
    ),
    Known(
        "torch kl_div: its mean is not the KL",
        F.kl_div,
        "multiclass",
        shown.mean_of_kl_div,
        ("reductions",),
        "mean",
        TORCH | ROWS | {"input": "log_prediction"},
    ),
    Known(
        "torch mse_loss broadcasts a column against a row",
        F.mse_loss,
        "regression",
        shown.column_against_row_in_torch,
        ("shapes",),
        r"\(\d+, 1\)",
        TORCH,
    ),
    Known(
        "optax huber_loss broadcasts a column against a row",
        ol.huber_loss,
        "regression",
        shown.column_against_row_in_optax,
        ("shapes",),
        r"\(\d+, 1\)",
        JAX,
        changed="optax's squared_error and l2_loss raise; huber_loss, log_cosh, hinge_loss and the sigmoid losses broadcast",
    ),
    Known(
        "torch binary_cross_entropy_with_logits at an infinite logit",
        F.binary_cross_entropy_with_logits,
        "binary",
        shown.certain_logit,
        ("limits",),
        "inf",
        TORCH,
    ),
    Known(
        "optax cross entropy takes the label -1",
        ol.softmax_cross_entropy_with_integer_labels,
        "multiclass",
        shown.label_before_the_first,
        ("domain",),
        "-1",
        JAX,
    ),
    Known(
        "optax softmax_cross_entropy of a masked class",
        ol.softmax_cross_entropy,
        "multiclass",
        shown.masked_logit_in_optax,
        ("limits",),
        "inf",
        JAX | ROWS,
        "the second derivative is finite; the value of softmax_cross_entropy and the forward derivative of the safe one are NaN",
    ),
    Known(
        "optax safe_softmax_cross_entropy of a masked class: forward derivative",
        ol.safe_softmax_cross_entropy,
        "multiclass",
        shown.masked_logit_in_optax,
        ("limits", "gradient", "hessian"),
        "inf",
        JAX | ROWS,
    ),
    Known(
        "optax log_cosh of 1e-4 in float32",
        ol.log_cosh,
        "regression",
        shown.log_cosh_of_little,
        ("accuracy", "minimum"),
        keywords=JAX,
    ),
    Known(
        "scikit-learn multinomial: a label that is no class",
        sk.HalfMultinomialLoss(n_classes=3),
        "multiclass",
        shown.multinomial_label_out_of_range,
        ("domain",),
    ),
    Known(
        "scikit-learn binomial: the value of a certain row",
        sk.HalfBinomialLoss(),
        "binary",
        shown.binomial_of_a_certain_row,
        ("accuracy",),
    ),
    Known(
        "torch binary_cross_entropy_with_logits: the gradient of a certain row",
        F.binary_cross_entropy_with_logits,
        "binary",
        shown.vanishing_tail_of_sigmoid,
        ("accuracy", "gradient"),
        "gradient",
        TORCH,
    ),
    Known(
        "optax sigmoid_focal_loss is not proper",
        ol.sigmoid_focal_loss,
        "binary",
        shown.focal_is_not_proper,
        ("proper",),
        keywords=JAX,
    ),
    Known(
        "optax poly_loss_cross_entropy is not proper",
        ol.poly_loss_cross_entropy,
        "multiclass",
        shown.poly_is_not_proper,
        ("proper",),
        keywords=JAX | ROWS,
    ),
    Known(
        "entmax sparsemax_loss is negative in bfloat16",
        entmax.sparsemax_loss,
        "multiclass",
        shown.negative_in_bfloat16,
        ("minimum", "accuracy", "dtype"),
        "bfloat16",
        TORCH | LABELS,
    ),
    Known(
        "entmax entmax15_loss is negative in bfloat16",
        entmax.entmax15_loss,
        "multiclass",
        shown.negative_in_bfloat16,
        ("minimum", "accuracy", "dtype"),
        "bfloat16",
        TORCH | LABELS,
    ),
    Known(
        "optax hinge_loss with targets 0 and 1",
        ol.hinge_loss,
        "binary",
        shown.hinge_of_zero_and_one,
        ("domain",),
        keywords=JAX,
    ),
    Known(
        "entmax: ignore_index below 0",
        entmax.Entmax15Loss(ignore_index=-100),
        "multiclass",
        shown.entmax_ignores_no_negative_label,
        ("weights", "domain", "reductions"),
        "-100|(?i:ignore)",
        TORCH | LABELS,
    ),
    Known(
        "entmax: every row ignored",
        entmax.Entmax15Loss(ignore_index=2),
        "multiclass",
        shown.entmax_all_ignored,
        ("weights", "reductions", "domain", "finite"),
        "(?i)ignore",
        TORCH | LABELS,
    ),
    Known(
        "scikit-learn identity-link Tweedie is not convex",
        sk.HalfTweedieLossIdentity(power=1.5),
        "positive",
        shown.identity_tweedie_is_not_convex,
        ("convex",),
    ),
    Known(
        "scoringrules on torch tensors gives NumPy arrays",
        scoringrules.brier_score,
        "binary",
        shown.scores_of_tensors,
        ("dtype", "gradient"),
        "(?i)numpy|grad",
        TORCH | PROBABILITY | {"order": "target, prediction"},
    ),
    Known(
        "torch linear_cross_entropy in chunks: forward derivative",
        peers.chunked_cross_entropy,
        "multiclass",
        shown.chunks_have_no_forward_tangent,
        ("gradient", "hessian"),
        "(?i)forward|tangent|jvp",
        TORCH | LABELS,
    ),
    Known(
        "torch linear_cross_entropy in chunks: value in bfloat16",
        peers.chunked_cross_entropy,
        "multiclass",
        shown.chunks_in_bfloat16,
        ("accuracy", "reductions", "dtype"),
        "bfloat16",
        TORCH | LABELS,
    ),
    Known(
        "torch cross_entropy with class weights of its own",
        partial(peers.weighted_cross_entropy),
        "multiclass",
        shown.class_weights_of_one_hot_targets,
        ("weights", "reductions"),
        keywords=TORCH,
    ),
)
