"""The checks of numbers: each finds the function that breaks it, and is silent on those that do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit, logsumexp

from audit_findings import found, worst

TORCH = {"framework": "torch"}
RAW, PREDICTION = {"input": "raw"}, {"input": "prediction"}
INF = float("inf")


def log_loss(z, y):
    return y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)


def cross_entropy(z, y):
    return logsumexp(z - np.take_along_axis(z, y[:, None], axis=1), axis=1)


def squared_error(z, y):
    return 0.5 * (z - y) ** 2


def quartic(z, y):
    return (z - y) ** 4


def poisson(z, y):
    return np.exp(z) - y * z


def torch_log_loss(z, y):
    return -y * F.logsigmoid(z) - (1 - y) * F.logsigmoid(-z)


SOUND = [
    (log_loss, "binary", {}),
    (cross_entropy, "multiclass", {}),
    (squared_error, "regression", {}),
    (quartic, "regression", {}),
    (poisson, "count", {}),
    (torch_log_loss, "binary", TORCH),
    (lambda p, y: (p - y) ** 2, "binary", PREDICTION),
    (lambda z, y: F.softplus(z) - y * z, "binary", TORCH),
]


@pytest.mark.parametrize("name", ["finite", "accuracy"])
@pytest.mark.parametrize(("fn", "kind", "known"), SOUND)
def test_sound_losses_have_notes_at_most(fn, kind, known, name) -> None:
    assert worst(found(fn, name, kind, **known)) == []


def test_an_overflow_within_the_formula_is_found() -> None:
    finding = found(lambda z, y: np.log(np.cosh(z - y)), "finite", "regression")[0]
    assert finding.severity == "error"
    assert "749.3" in finding.message  # log cosh 750
    assert finding.counterexample["prediction"] == [750.0]


def test_a_value_that_is_infinite_in_truth_is_not_found() -> None:
    assert found(lambda z, y: np.exp(np.clip(-(2 * y - 1) * z, None, None)), "finite", "binary", input="raw", target="labels", sign=1) == []


def test_nan_of_a_switched_off_term_is_found() -> None:
    finding = found(lambda z, y: 2 * np.exp(z / 2) + 2 * y * np.exp(-z / 2), "finite", "count")[0]
    assert (finding.severity, "NaN" in finding.message) == ("error", True)  # 0 * inf at a far negative output


def test_a_gradient_that_is_not_finite_is_found_where_the_value_is() -> None:
    def loss(x, y):
        return torch.sqrt((x - y) ** 2)

    (finding,) = [f for f in found(loss, "finite", "regression", **TORCH) if "gradient is NaN" in f.message]
    assert finding.counterexample["prediction"] == finding.counterexample["target"]


def test_lower_dtypes_are_tried() -> None:
    finding = found(lambda z, y: torch.log(1 + torch.exp(z)) - y * z, "finite", "binary", **TORCH)[0]
    assert "Also in float32, bfloat16, float16" in finding.message


@pytest.mark.parametrize("fn", [squared_error, quartic, lambda z, y: np.abs(z - y)])
def test_limits_of_regression_are_right(fn) -> None:
    assert found(fn, "limits", "regression") == []


def test_limits_that_are_nan_are_told_once() -> None:
    findings = found(log_loss, "limits", "binary")
    assert [f.severity for f in findings] == ["note"]  # 0 * inf
    assert "NaN" in findings[0].message


def test_a_masked_class_is_tried() -> None:
    def one_hot(z, t):
        return logsumexp(z, axis=1) - (t * z).sum(axis=1)

    findings = found(one_hot, "limits", "multiclass")
    assert "-inf" in findings[0].message and "NaN" in findings[0].message
    assert not any("[-inf" in f.message for f in found(lambda z, y: logsumexp(z, axis=1) - z[np.arange(len(y)), y], "limits", "multiclass"))


def test_a_clamp_hides_an_infinite_loss() -> None:
    finding = found(F.binary_cross_entropy, "limits", "binary", **TORCH, **PREDICTION)[0]
    assert "100" in finding.message and "inf" in finding.message


def test_a_limit_is_also_found_without_a_member() -> None:
    def loss(z, y):  # 1 as z -> inf for a 0, and 1000 there
        p = expit(z)
        return np.where(np.isinf(z) & (z > 0), 1000.0, np.sin(np.abs(p - y) * np.pi / 2) ** 1.5)

    assert any("1000" in f.message for f in found(loss, "limits", "binary", **RAW))


def test_a_clamp_is_inaccurate() -> None:
    def clamped(z, y):
        p = torch.sigmoid(z).clamp(1e-7, 1 - 1e-7)
        return -y * torch.log(p) - (1 - y) * torch.log(1 - p)

    assert any("16.12 where 17 is right" in f.message for f in found(clamped, "accuracy", "binary", **TORCH))


def test_a_tail_is_noted() -> None:
    finding = found(lambda z, y: np.logaddexp(0, z) - y * z, "accuracy", "binary")[0]
    assert (finding.severity, "raw 30, target 1" in finding.message) == ("note", True)
    findings = found(F.binary_cross_entropy_with_logits, "accuracy", "binary", **TORCH, target="labels")
    assert any("gradient" in f.message for f in findings)
    assert worst(findings) == []


def test_float32_is_held_against_float64() -> None:
    def expanded(x, y):
        return (100 + x - y) ** 2 - 1e4 - 200 * (x - y)

    findings = found(lambda x, y: expanded(x, y) if x.dtype == np.float32 else (x - y) ** 2, "accuracy", "regression")
    assert any("float32" in f.message and f.severity == "error" for f in findings)


def test_a_sum_in_low_precision_is_found() -> None:
    def chunked(z, y):
        rows = F.cross_entropy(z, y, reduction="none")
        total = rows.new_zeros(())
        for row in rows:
            total = total + row
        return total / len(rows)

    assert any("2048 ordinary rows in bfloat16" in f.message for f in found(chunked, "accuracy", "multiclass", **TORCH, target="labels"))
    ((severity, message),) = worst(found(F.cross_entropy, "accuracy", "multiclass", **TORCH, target="labels"))
    assert severity == "error" and "sum is more than float16 holds" in message  # of 100,000 ordinary rows it makes NaN


def test_values_below_zero_are_noted() -> None:
    def loss(z, y):
        d = z - y
        return (d + 16) ** 2 - 256 - 32 * d  # a square, but for rounding

    findings = found(loss, "accuracy", "regression", **TORCH)
    assert any("below 0" in f.message for f in findings if f.severity == "note")


@pytest.mark.parametrize(("mean", "sums"), [(lambda v: v.sum() / len(v), True), (lambda v: v.mean(), False)])
def test_the_half_precision_mean_of_relative_errors(mean, sums) -> None:
    findings = found(lambda x, y: mean((x - y).abs() / y.abs().clamp(min=1e-6)), "accuracy", "regression", **TORCH)
    assert [f.severity for f in findings if "sum is more than float16 holds" in f.message] == ["error"] * sums
