"""Defects of the peers that the audit must find by itself; each is demonstrated in demonstrations.py, without the audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import entmax
import optax.losses as ol
import sklearn._loss as sk
import torch.nn.functional as F

from audited import demonstrations as shown
from audited import peers
from audited.subjects import LABELS, NUMPY, PROBABILITY, ROWS, TORCH, Tried


@dataclass(frozen=True, kw_only=True)
class Known(Tried):
    """A function of a peer with a known defect."""

    shows: Callable[[], None]  # asserts that the defect is there
    mention: str = ""  # a pattern that the message, counterexample or snippet of a right finding must have
    changed: str = ""  # where the versions of today differ from what issue 5 says


JAX = {"framework": "jax"}
KNOWN = (
    Known(
        "torch binary_cross_entropy of a sigmoid: 100 and no gradient",
        peers.sigmoid_then_binary_cross_entropy,
        "binary",
        TORCH,
        ("gradient", "accuracy", "finite"),
        shows=shown.clamped_binary_cross_entropy,
    ),
    Known(
        "torch soft_margin_loss overflows",
        F.soft_margin_loss,
        "binary",
        TORCH | {"target": "signs"},
        ("finite",),
        shows=shown.overflowing_soft_margin,
        mention="inf|nan",
    ),
    Known(
        "torch gaussian_nll_loss: the variance is clamped, its gradient is not",
        peers.gaussian_variance,
        "positive",
        TORCH | PROBABILITY,
        ("gradient",),
        shows=shown.clamped_variance,
    ),
    Known(
        "torch cross_entropy takes targets that do not sum to 1",
        F.cross_entropy,
        "multiclass",
        TORCH,
        ("domain",),
        shows=shown.targets_off_the_simplex,
        mention="sum",
    ),
    Known(
        "torch cross_entropy: class weights of labels and of one-hot rows",
        F.cross_entropy,
        "multiclass",
        TORCH,
        ("weights",),
        shows=shown.class_weights_of_one_hot_targets,
        mention="(?i)one-hot|one_hot|distribution",
    ),
    Known(
        "torch cross_entropy: every row ignored",
        F.cross_entropy,
        "multiclass",
        TORCH,
        ("weights", "reductions", "domain", "finite"),
        shows=shown.all_rows_ignored,
        mention="(?i)ignore",
    ),
    Known(
        "torch cross_entropy: the mean over parts with ignored rows",
        F.cross_entropy,
        "multiclass",
        TORCH,
        ("reductions", "weights"),
        shows=shown.mean_of_parts_with_ignored_rows,
        mention="(?i)ignore",
    ),
    Known(
        "torch kl_div: its mean is not the KL",
        F.kl_div,
        "multiclass",
        TORCH | ROWS | {"input": "log_prediction"},
        ("reductions",),
        shows=shown.mean_of_kl_div,
        mention="mean",
    ),
    Known(
        "torch mse_loss broadcasts a column against a row",
        F.mse_loss,
        "regression",
        TORCH,
        ("shapes",),
        shows=shown.column_against_row_in_torch,
        mention="\\(\\d+, 1\\)",
    ),
    Known(
        "optax huber_loss broadcasts a column against a row",
        ol.huber_loss,
        "regression",
        JAX,
        ("shapes",),
        shows=shown.column_against_row_in_optax,
        mention="\\(\\d+, 1\\)",
        changed="optax's squared_error and l2_loss raise; huber_loss, log_cosh, hinge_loss and the sigmoid losses broadcast",
    ),
    Known(
        "torch binary_cross_entropy_with_logits at an infinite logit",
        F.binary_cross_entropy_with_logits,
        "binary",
        TORCH,
        ("limits",),
        shows=shown.certain_logit,
        mention="inf",
    ),
    Known(
        "optax cross entropy takes the label -1",
        ol.softmax_cross_entropy_with_integer_labels,
        "multiclass",
        JAX,
        ("domain",),
        shows=shown.label_before_the_first,
        mention="-1",
    ),
    Known(
        "optax softmax_cross_entropy of a masked class",
        ol.softmax_cross_entropy,
        "multiclass",
        JAX | ROWS,
        ("limits",),
        shows=shown.masked_logit_in_optax,
        mention="-inf",
        changed="the second derivative is finite; the value of softmax_cross_entropy and the forward derivative of the safe one are NaN",
    ),
    Known(
        "optax safe_softmax_cross_entropy of a masked class: forward derivative",
        ol.safe_softmax_cross_entropy,
        "multiclass",
        JAX | ROWS,
        ("limits", "gradient", "hessian"),
        shows=shown.masked_logit_in_optax,
        mention="(?i)forward|tangent|jvp",
    ),
    Known("optax log_cosh of 1e-4 in float32", ol.log_cosh, "regression", JAX, ("accuracy", "minimum"), shows=shown.log_cosh_of_little),
    Known(
        "scikit-learn multinomial: a label that is no class",
        sk.HalfMultinomialLoss(n_classes=3),
        "multiclass",
        NUMPY,
        ("domain",),
        shows=shown.multinomial_label_out_of_range,
    ),
    Known(
        "scikit-learn binomial: the value of a certain row",
        sk.HalfBinomialLoss(),
        "binary",
        NUMPY,
        ("accuracy",),
        shows=shown.binomial_of_a_certain_row,
    ),
    Known(
        "torch binary_cross_entropy_with_logits: the gradient of a certain row",
        F.binary_cross_entropy_with_logits,
        "binary",
        TORCH,
        ("accuracy", "gradient"),
        shows=shown.vanishing_tail_of_sigmoid,
        mention="gradient",
    ),
    Known("optax sigmoid_focal_loss is not proper", ol.sigmoid_focal_loss, "binary", JAX, ("proper",), shows=shown.focal_is_not_proper),
    Known(
        "optax poly_loss_cross_entropy is not proper",
        ol.poly_loss_cross_entropy,
        "multiclass",
        JAX | ROWS,
        ("proper",),
        shows=shown.poly_is_not_proper,
    ),
    Known(
        "entmax sparsemax_loss is negative in bfloat16",
        entmax.sparsemax_loss,
        "multiclass",
        TORCH | LABELS,
        ("minimum", "accuracy", "dtype"),
        shows=shown.negative_in_bfloat16,
        mention="bfloat16",
    ),
    Known(
        "entmax entmax15_loss is negative in bfloat16",
        entmax.entmax15_loss,
        "multiclass",
        TORCH | LABELS,
        ("minimum", "accuracy", "dtype"),
        shows=shown.negative_in_bfloat16,
        mention="bfloat16",
    ),
    Known("optax hinge_loss with targets 0 and 1", ol.hinge_loss, "binary", JAX, ("domain",), shows=shown.hinge_of_zero_and_one),
    Known(
        "entmax: ignore_index below 0",
        entmax.Entmax15Loss(ignore_index=-100),
        "multiclass",
        TORCH | LABELS,
        ("weights", "domain", "reductions"),
        shows=shown.entmax_ignores_no_negative_label,
        mention="-100|(?i:ignore)",
    ),
    Known(
        "entmax: every row ignored",
        entmax.Entmax15Loss(ignore_index=2),
        "multiclass",
        TORCH | LABELS,
        ("weights", "reductions", "domain", "finite"),
        shows=shown.entmax_all_ignored,
        mention="(?i)ignore",
    ),
    Known(
        "scikit-learn identity-link Tweedie is not convex",
        sk.HalfTweedieLossIdentity(power=1.5),
        "positive",
        NUMPY,
        ("convex",),
        shows=shown.identity_tweedie_is_not_convex,
    ),
    Known(
        "scoringrules on torch tensors gives NumPy arrays",
        peers.brier_score,
        "binary",
        NUMPY | PROBABILITY,
        ("dtype",),
        shows=shown.scores_of_tensors,
        mention="(?i)torch",
    ),
    Known(
        "torch linear_cross_entropy in chunks: forward derivative",
        peers.chunked_cross_entropy,
        "multiclass",
        TORCH | LABELS,
        ("gradient", "hessian"),
        shows=shown.chunks_have_no_forward_tangent,
        mention="(?i)forward|tangent|jvp",
    ),
    Known(
        "torch linear_cross_entropy in chunks: value in bfloat16",
        peers.chunked_cross_entropy,
        "multiclass",
        TORCH | LABELS,
        ("accuracy", "reductions", "dtype"),
        shows=shown.chunks_in_bfloat16,
        mention="bfloat16",
    ),
)
