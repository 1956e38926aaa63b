"""One plain demonstration for each known defect, by hand and without the audit: it fails where the defect is not there."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import entmax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn._loss as sk
import torch
import torch.nn.functional as F

from audited import peers
from matchloss import Focal

tensor = torch.tensor
INF = float("inf")


def graded(loss: Callable[[Any], Any], *at: float, dtype: torch.dtype = torch.float32) -> tuple[list[float], list[float]]:
    """A torch loss and its gradient by autograd, at some raw outputs."""
    x = tensor(at, dtype=dtype, requires_grad=True)
    value = loss(x)
    value.sum().backward()
    assert x.grad is not None
    return value.detach().reshape(-1).tolist(), x.grad.tolist()


def quiet(call: Callable[[], Any]) -> Any:
    """What a call gives, without what it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def clamped_binary_cross_entropy() -> None:
    (value,), (gradient,) = graded(lambda x: peers.sigmoid_then_binary_cross_entropy(x, torch.zeros(1)), 20.0)
    assert value == 100 and gradient == 0  # right: 20 and 1


def overflowing_soft_margin() -> None:
    (value,), (gradient,) = graded(lambda x: F.soft_margin_loss(x, torch.ones(1)), -100.0)
    assert value == INF and math.isnan(gradient)  # right: 100 and -1


def clamped_variance() -> None:
    a, b = 1e-8, 1e-7  # both below eps
    (low, high), (slope, _) = graded(lambda v: peers.gaussian_variance(v, torch.ones(2)), a, b)
    assert low == high and slope < -1e10  # a constant has the gradient 0


def targets_off_the_simplex() -> None:
    z = torch.zeros(1, 3)
    assert F.cross_entropy(z, tensor([[0.5, 0.5, 0.5]])).item() == pytest.approx(1.5 * math.log(3))


def class_weights_of_one_hot_targets() -> None:
    z, labels, w = tensor([[0.0, 1, 2], [1, 0, 0]]), tensor([0, 2]), tensor([1.0, 2, 3])
    by_labels = F.cross_entropy(z, labels, weight=w)
    by_rows = F.cross_entropy(z, F.one_hot(labels, 3).float(), weight=w)
    assert by_rows == pytest.approx(by_labels.item() * float(w[labels].sum()) / 2)  # 2 rows, where the labels divide by their weights


def all_rows_ignored() -> None:
    assert F.cross_entropy(torch.zeros(2, 3), tensor([-100, -100])).isnan()


def mean_of_parts_with_ignored_rows() -> None:
    z, labels = tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2], [0, 0, 0]]), tensor([0, -100, 1, 2])
    whole = F.cross_entropy(z, labels)
    parts = (F.cross_entropy(z[:2], labels[:2]) + F.cross_entropy(z[2:], labels[2:])) / 2
    assert abs(whole - parts) > 0.2


def mean_of_kl_div() -> None:
    p = tensor([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]])
    x = torch.log_softmax(tensor([[0.0, 1, 2], [1, 0, 0]]), 1)
    kl = (p * (p.log() - x)).sum(1).mean()
    assert quiet(lambda: F.kl_div(x, p)) * 3 == pytest.approx(kl)


def column_against_row_in_torch() -> None:
    x, y = tensor([0.0, 1, 2]), tensor([[0.0], [1], [2]])
    for loss in (F.mse_loss, F.l1_loss, F.huber_loss):
        assert quiet(lambda loss=loss: loss(x, y)) > 0  # 9 pairs, where every row is right
    assert F.poisson_nll_loss(x, y, reduction="none").shape == (3, 3)  # and some do not even warn


def column_against_row_in_optax() -> None:
    x, y = jnp.zeros(3), jnp.zeros((3, 1))
    for loss in (optax.losses.huber_loss, optax.losses.log_cosh, optax.losses.hinge_loss, optax.losses.sigmoid_binary_cross_entropy):
        assert loss(x, y).shape == (3, 3)


def certain_logit() -> None:
    (value,), _ = graded(lambda x: F.binary_cross_entropy_with_logits(x, torch.ones(1)), INF)
    assert math.isnan(value)  # right: 0


def label_before_the_first() -> None:
    z = jnp.array([[0.0, 1.0, 5.0]])
    loss = optax.losses.softmax_cross_entropy_with_integer_labels
    assert loss(z, jnp.array([-1])) == loss(z, jnp.array([2]))


def masked_logit_in_optax() -> None:
    z, y = jnp.array([-jnp.inf, 0.0, 0.0]), jnp.array([0.0, 1.0, 0.0])
    assert jnp.isnan(optax.losses.softmax_cross_entropy(z, y))  # right: log 2
    safe = optax.losses.safe_softmax_cross_entropy
    value, tangent = jax.jvp(lambda z: safe(z, y), (z,), (jnp.ones(3),))
    assert value == pytest.approx(math.log(2)) and jnp.isnan(tangent)  # right: 0
    assert jnp.isfinite(jax.hessian(safe)(z, y)).all()  # the second derivative itself is right in this version


def log_cosh_of_little() -> None:
    assert optax.losses.log_cosh(jnp.float32(1e-4)) == 0  # right: 5e-9


def multinomial_label_out_of_range() -> None:
    loss, memory = sk.HalfMultinomialLoss(n_classes=3), np.array([[0.0, 1.0, 2.0, 0, 0, 0, 0, 500.0]])
    z = memory[:, :3]
    value = loss.loss(y_true=np.array([7.0]), raw_prediction=z)
    assert value[0] == pytest.approx(math.log(1 + math.e + math.e**2) - 500)  # it reads what lies behind the row
    gradient = loss.gradient(y_true=np.array([7.0]), raw_prediction=z)
    assert gradient.sum() == pytest.approx(1)  # that of a row without a label


def binomial_of_a_certain_row() -> None:
    loss, one = sk.HalfBinomialLoss(), np.array([1.0])
    value = loss.loss(y_true=one, raw_prediction=np.array([30.0]))
    assert abs(value / math.log1p(math.exp(-30)) - 1) > 0.01
    assert loss.loss(y_true=one, raw_prediction=np.array([40.0])) == 0  # right: 4.2e-18


def vanishing_tail_of_sigmoid() -> None:
    (value,), (gradient,) = graded(lambda x: F.binary_cross_entropy_with_logits(x, torch.ones(1).double()), 40.0, dtype=torch.float64)
    assert value == pytest.approx(math.exp(-40)) and gradient == 0  # right: -4.2e-18


def least_away_from_the_truth(loss: Callable[[float, float], float], truth: float) -> float:
    """The probability at which the expected loss is least."""
    grid = np.linspace(0.01, 0.99, 99)
    expected = [truth * loss(p, 1) + (1 - truth) * loss(p, 0) for p in grid]
    return float(grid[int(np.argmin(expected))])


def focal_is_not_proper() -> None:
    def loss(p: float, y: float) -> float:
        return float(optax.losses.sigmoid_focal_loss(jnp.array(math.log(p / (1 - p))), jnp.array(y)))

    assert least_away_from_the_truth(loss, 0.9) < 0.85
    assert not Focal().proper


def poly_is_not_proper() -> None:
    def loss(p: float, y: float) -> float:
        z = jnp.log(jnp.array([1 - p, p]))
        return float(optax.losses.poly_loss_cross_entropy(z, jnp.array([1.0 - y, y])))

    assert least_away_from_the_truth(loss, 0.9) > 0.95


def negative_in_bfloat16() -> None:
    torch.manual_seed(0)
    z, labels = (3 * torch.randn(2000, 3)).bfloat16(), torch.randint(0, 3, (2000,))
    labels[:1000] = z[:1000].argmax(1)
    assert entmax.sparsemax_loss(z, labels).min() < -0.004
    assert entmax.entmax15_loss(z, labels).min() < -0.02  # a divergence is never below 0


def hinge_of_zero_and_one() -> None:
    value = optax.losses.hinge_loss(jnp.array([-5.0, 5.0]), jnp.array([0.0, 0.0]))
    assert value.tolist() == [1, 1]  # of a 0, every output is as good as any other
    assert F.soft_margin_loss(tensor([-5.0, 5.0]), torch.zeros(2), reduction="none").tolist() == pytest.approx([math.log(2)] * 2)


def entmax_ignores_no_negative_label() -> None:
    with pytest.raises(RuntimeError, match="index -100 is out of bounds"):
        entmax.Entmax15Loss(ignore_index=-100)(torch.zeros(2, 3), tensor([-100, 0]))


def entmax_all_ignored() -> None:
    assert entmax.Entmax15Loss(ignore_index=2)(torch.zeros(2, 3), tensor([2, 2])).isnan()


def identity_tweedie_is_not_convex() -> None:
    _, hessian = sk.HalfTweedieLossIdentity(power=1.5).gradient_hessian(y_true=np.array([1.0]), raw_prediction=np.array([10.0]))
    assert hessian[0] < 0


def scores_of_tensors() -> None:
    score = peers.brier_score(tensor([1.0]), tensor([0.3]))
    assert isinstance(score, np.ndarray)  # NumPy's, out of two tensors
    with pytest.raises(RuntimeError, match="requires grad"):
        peers.brier_score(tensor([1.0]), tensor([0.3], requires_grad=True))


def chunks_have_no_forward_tangent() -> None:
    x, y = tensor([[0.0, 1, 2], [1, 0, 0]]), tensor([0, 2])
    direction = tensor([[1.0, 0, 0], [0, 1, 0]])
    _, whole = quiet(lambda: torch.func.jvp(lambda x: F.linear_cross_entropy(x, torch.eye(3), y), (x,), (direction,)))
    _, chunked = quiet(lambda: torch.func.jvp(lambda x: peers.chunked_cross_entropy(x, y), (x,), (direction,)))
    assert whole < -0.2 and chunked == 0


def chunks_in_bfloat16() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(512, 3).bfloat16(), torch.randint(0, 3, (512,))
    right = F.cross_entropy(x.double(), y)
    found = peers.chunked_cross_entropy(x, y)
    assert abs(found - right) > 0.1 * right  # a bfloat16 of this size has steps of 0.8 percent
