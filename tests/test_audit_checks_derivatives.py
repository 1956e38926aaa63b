"""The checks of derivatives: each finds the function that breaks it, and is silent on those that do not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit

from audit_findings import found, worst
from matchloss.audit.checks._check import Skip

TORCH, JAX = {"framework": "torch"}, {"framework": "jax"}
RAW = {"input": "raw"}
NAMES = ("gradient", "hessian", "jumps")


class Logistic:
    """value, gradient and hessian that fit."""

    def value(self, z, y):
        return y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)

    def gradient(self, z, y):
        return expit(z) - y

    def hessian(self, z, y):
        return expit(z) * expit(-z)


class Changed(Logistic):
    """With some of them changed."""

    def __init__(self, **methods) -> None:
        for name, method in methods.items():
            setattr(self, name, method)


def huber(x, y, delta=1.0):
    d = (x - y).abs()
    return torch.where(d <= delta, 0.5 * d**2, delta * (d - 0.5 * delta))


SOUND = [
    (Logistic(), "binary", {}),
    (huber, "regression", TORCH),
    (F.cross_entropy, "multiclass", TORCH),
    (F.l1_loss, "regression", TORCH),
    (lambda p, y: (p - y) ** 2, "binary", {**TORCH, "input": "prediction"}),
    (lambda z, y: torch.exp(z) - y * z, "count", TORCH),
    (lambda m, y: y / m + torch.log(m), "positive", {**TORCH, "input": "prediction"}),
    (lambda z, y: jnp.logaddexp(0, z) - y * z, "binary", JAX),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("fn", "kind", "known"), SOUND)
def test_sound_losses_have_notes_at_most(fn, kind, known, name) -> None:
    assert worst(found(fn, name, kind, **known)) == []


@pytest.mark.parametrize(("factor", "words"), [(-1, "wrong sign"), (0.5, "0.5 times"), (2, "2 times")])
def test_a_factor_of_the_gradient_is_named(factor, words) -> None:
    (finding,) = found(Changed(gradient=lambda z, y: factor * (expit(z) - y)), "gradient", "binary")
    assert finding.severity == "error"
    assert words in finding.message


def test_a_gradient_that_is_wrong_in_one_branch_is_found() -> None:
    (finding,) = found(Changed(gradient=lambda z, y: np.where(z < -5, -y, expit(z) - y) * np.where(z > 30, 0, 1)), "gradient", "binary")
    assert "raw 35, target 0" in finding.message or "raw -7" in finding.message


def test_a_gradient_at_a_tie_is_found() -> None:
    (finding,) = found(lambda z, y: torch.relu(z) - y * z + torch.log1p(torch.exp(-z.abs())), "gradient", "binary", **TORCH)
    assert "raw 0" in finding.message  # where a model starts


def test_slopes_at_a_kink_may_be_either() -> None:
    for at in (-1.0, 0.0, 0.3, 1.0):
        loss = Changed(value=lambda x, y: np.abs(x - y), gradient=lambda x, y, at=at: np.where(x == y, at, np.sign(x - y)))
        assert found(loss, "gradient", "regression") == []
    loss = Changed(value=lambda x, y: np.abs(x - y), gradient=lambda x, y: np.where(x == y, 2.0, np.sign(x - y)))
    assert len(found(loss, "gradient", "regression")) == 1


def test_a_lower_dtype_is_held_against_float64() -> None:
    (finding,) = [
        f
        for f in found(lambda z, y: F.binary_cross_entropy(torch.sigmoid(z), y, reduction="none"), "gradient", "binary", **TORCH)
        if "float32" in f.message
    ]
    assert "it is 0" in finding.message


def test_forward_mode_is_held_against_reverse_mode() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(x, y):
            return (x - y) ** 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return 2 * g * (x - y), None

        @staticmethod
        def jvp(ctx, gx, gy):
            return 0 * gx

    (finding,) = found(Square.apply, "gradient", "regression", **TORCH)
    assert "forward-mode" in finding.message and "is 0" in finding.message


def test_a_further_input_is_differentiated_too() -> None:
    (finding,) = found(F.gaussian_nll_loss, "gradient", "regression", **TORCH)
    assert "further input 1" in finding.message
    assert found(lambda x, y, v: 0.5 * (torch.log(v) + (x - y) ** 2 / v), "gradient", "regression", **TORCH) == []


def test_functions_of_numpy_have_no_gradient() -> None:
    with pytest.raises(Skip, match="no gradient"):
        found(Logistic().value, "gradient", "binary")
    with pytest.raises(Skip, match="second derivative"):
        found(Logistic().value, "hessian", "binary")


def test_a_wrong_hessian_is_found() -> None:
    assert found(Changed(hessian=lambda z, y: 0.5 * expit(z) * expit(-z)), "hessian", "binary")[0].severity == "error"
    assert found(Changed(hessian=lambda z, y: 0.25 + 0 * z), "hessian", "binary")[0].severity == "warning"  # a bound
    (factor,) = found(Changed(hessian=lambda z, y: 1.01 * expit(z) * expit(-z)), "hessian", "binary")
    assert factor.severity == "error" and "1.01 times that everywhere" in factor.message


def test_a_hessian_that_stands_in_is_a_note() -> None:
    loss = Changed(
        value=lambda x, y: np.abs(x - y), gradient=lambda x, y: np.sign(x - y), hessian=lambda x, y: np.ones_like(x)
    )  # fmt: skip
    assert [f.severity for f in found(loss, "hessian", "regression")] == ["note"]

    def half(z, y):
        return np.exp(z / 2)

    fisher = Changed(  # Tweedie's at power 1.5, and its expectation
        value=lambda z, y: 2 * half(z, y) + 2 * y / half(z, y), gradient=lambda z, y: half(z, y) - y / half(z, y),
        hessian=lambda z, y: half(z, y),
    )  # fmt: skip
    assert [f.severity for f in found(fisher, "hessian", "positive", **RAW)] == ["note"]


def test_a_stale_hessian_is_found() -> None:
    class Stale(Logistic):
        def gradient(self, z, y):
            self.p = expit(z)
            return self.p - y

        def hessian(self, z, y):
            return self.p * (1 - self.p) if self.p.shape == z.shape else super().hessian(z, y)

    assert any("Its hessian depends on" in f.message for f in found(Stale(), "purity", "binary"))


def test_second_derivatives_that_are_lost_are_found() -> None:
    @jax.custom_jvp
    def square(x, y):
        return 0.5 * (x - y) ** 2

    square.defjvp(lambda at, v: (square(*at), jax.lax.stop_gradient(at[0] - at[1]) * (v[0] - v[1])))
    (finding,) = found(square, "hessian", "regression", **JAX)
    assert "hessian is 0" in finding.message


def test_a_masked_class_has_a_second_derivative() -> None:
    def loss(z, y):
        p = torch.softmax(z, 1)
        return torch.logsumexp(z, 1) - z.gather(1, y[:, None])[:, 0] + 0 * (p**1.5).sum(1)

    assert any("-inf" in f.message for f in found(loss, "hessian", "multiclass", **TORCH))


def test_pieces_that_do_not_meet_are_found() -> None:
    def loss(x, y):
        d = (x - y).abs()
        return torch.where(d <= 1.5, 0.5 * d**2, d - 0.5)

    (finding,) = found(loss, "jumps", "regression", **TORCH)
    assert (finding.severity, "1 to 1.125" in finding.message or "1.125 to 1" in finding.message) == ("error", True)
    (finding,) = found(lambda z, y: np.where(z > 20, z, Logistic().value(z, y)), "jumps", "binary")
    assert "raw 20, target 1" in finding.message


def test_kinks_are_notes_unless_smoothness_is_declared() -> None:
    def pinball(x, y):
        return torch.maximum(0.3 * (y - x), 0.7 * (x - y))

    assert [f.severity for f in found(pinball, "jumps", "regression", **TORCH)] == ["note"]
    (finding,) = found(pinball, "jumps", "regression", **TORCH, promises={"smooth": False})
    assert finding.message.startswith("declared: ")
    assert [f.severity for f in found(pinball, "jumps", "regression", **TORCH, promises={"smooth": True})] == ["warning"]
    (finding,) = found(lambda z, y: np.maximum(0, 1 - (2 * y - 1) * z), "jumps", "binary")
    assert "raw 1, target 1" in finding.message and "-1 to 0" in finding.message


def test_a_parameter_that_makes_another_loss_at_one_value_is_found() -> None:
    def tweedie(z, y, power=1.5):
        if power == 1:
            return torch.exp(z) - y * z
        if power == 2:
            return y * torch.exp(-z) + 2 * z  # z is right
        return torch.exp((2 - power) * z) / (2 - power) - y * torch.exp((1 - power) * z) / (1 - power)

    (finding,) = found(tweedie, "jumps", "positive", **TORCH, **RAW)
    assert (finding.severity, "power = 2" in finding.message) == ("warning", True)
    assert found(huber, "jumps", "regression", **TORCH) == []
