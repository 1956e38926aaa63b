"""The checks of what a loss promises: each finds the function that breaks it, and is silent on those that do not."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from scipy.special import expit, logsumexp

import matchloss as ml
from audit_findings import found
from matchloss.audit.calling.probe import subject_of
from matchloss.audit.checks._check import Skip
from sweeps import sweep

NAMES = ("minimum", "proper", "linear", "matching", "convex", "invariance")


def only(fn, name, kind, severity, *words, **known):
    """The one finding of a check."""
    findings = found(fn, name, kind, **known)
    assert [f.severity for f in findings] == [severity], [f.message for f in findings]
    for word in words:
        assert word in findings[0].message
    return findings[0]


def softmax_log(z):
    return z - logsumexp(z, axis=1, keepdims=True)


def cross_entropy(z, y):
    return -softmax_log(z)[np.arange(len(y)), y]


def log_loss(z, y):
    return np.logaddexp(0, z) - y * z


def squared_error(z, y):
    return 0.5 * (z - y) ** 2


def poisson(z, y):
    return np.exp(z) - y * z


def ranked(p, y):
    return ((p.cumsum(axis=1) - np.eye(3)[y].cumsum(axis=1)) ** 2).sum(axis=1)


def focal(z, y, gamma=2.0):
    p = expit((2 * y - 1) * z)
    return -((1 - p) ** gamma) * np.log(p)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("fn", "kind"), [(cross_entropy, "multiclass"), (log_loss, "binary"), (squared_error, "regression"), (poisson, "count")],
    ids=lambda a: getattr(a, "__name__", ""),
)  # fmt: skip
def test_nothing_is_said_of_matching_losses(fn, kind, name) -> None:
    with contextlib.suppress(Skip):
        assert found(fn, name, kind) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss", sweep(ml.get(row["name"]) for row in ml.losses()), ids=repr)  # test_audit_sound has all by every check
def test_the_catalogue_keeps_its_promises(loss, name) -> None:
    with contextlib.suppress(Skip):
        assert [f.message for f in found(loss, name, None) if f.severity != "note"] == []


# --- minimum --------------------------------------------------------------------------------------------------------------------


def test_a_minimum_beside_the_target() -> None:
    finding = only(lambda z, y: (z - y - 0.125) ** 2, "minimum", "regression", "error", "predicted 0.125")
    assert finding.counterexample["prediction"] == pytest.approx([0.0, 0.125], abs=1e-6)


def test_a_second_minimum_far_away() -> None:
    only(lambda z, y: np.sin(z - y) ** 2, "minimum", "regression", "warning", "second minimum", "3.14")


def test_higher_minima_are_told() -> None:
    only(lambda z, y: (z - y) ** 2 + np.sin(np.pi * (z - y)) ** 2 * 4, "minimum", "regression", "note", "further, higher minima")


def test_a_flat_stretch_is_told() -> None:
    only(lambda z, y: np.maximum(np.abs(z - y) - 0.25, 0), "minimum", "regression", "note", "as small", "0.25")


def test_labels_are_certain_only_in_the_limit() -> None:
    def smoothed(z, y):
        return -(0.9 * softmax_log(z)[np.arange(len(y)), y] + 0.1 * softmax_log(z).mean(axis=1))

    only(smoothed, "minimum", "multiclass", "note", "label 0", "0.933")


def test_labels_counted_from_one() -> None:
    only(lambda z, y: cross_entropy(z, (y - 1) % 3), "minimum", "multiclass", "error", "class 2 is predicted",
         target="labels", input="raw", sign=1)  # fmt: skip


def test_a_divergence_with_a_term_missing() -> None:
    def deviance(m, y):
        return np.where(y > 0, y * np.log(np.maximum(y, 1e-300) / m) - (y - m), m + 1.0)

    finding = only(deviance, "minimum", "count", "warning", "target 0", input="prediction")
    assert finding.counterexample["right"] == 0.0


def test_below_zero_in_half_a_precision() -> None:
    import torch

    def sparse(z, y):  # terms that cancel
        p = torch.softmax(z, -1)
        return (p * (z - p.log())).sum(-1) - z.gather(-1, y[:, None])[:, 0]

    finding = next(f for f in found(sparse, "accuracy", "multiclass", framework="torch") if "never below 0" in f.message)
    assert finding.severity == "note" and finding.counterexample["got"] < 0


# --- proper ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (focal, ("10 of 100", "0.306", "order")),
        (lambda z, y: np.maximum(0, 1 - (2 * y - 1) * z), ("Different frequencies",)),
        (lambda z, y: log_loss(z, y) * (1 + 2 * y), ("positive rows counted 3 times",)),
        (lambda z, y: np.abs(expit(z) - y), ("predicted 0:",)),
    ],
    ids=["focal", "hinge", "weighted", "absolute"],
)
def test_binary_losses_that_are_not_proper(fn, words) -> None:
    only(fn, "proper", "binary", "note", *words)


def test_another_link_is_no_fault() -> None:
    only(lambda z, y: np.exp(-(2 * y - 1) * z), "proper", "binary", "note", "own link")
    only(lambda z, y: np.exp(-(2 * y - 1) * z * 3), "proper", "binary", "note", "sigmoid(6 raw)")
    only(lambda z, y: -np.log(np.abs(1 - y - 0.5 - np.arctan(z) / np.pi)), "proper", "binary", "note", "own link")
    only(lambda z, y: cross_entropy(z / 2, y), "proper", "multiclass", "note", "not with the softmax")


def test_multiclass_losses_that_are_not_proper() -> None:
    def poly(z, y):
        p = np.exp(softmax_log(z))[np.arange(len(y)), y]
        return -np.log(p) + 2 * (1 - p)

    only(poly, "proper", "multiclass", "note", "(0.055, 0.212, 0.733)")
    only(lambda z, y: cross_entropy(z, y) * np.array([1.0, 2.0, 3.0])[y], "proper", "multiclass", "note", "not those of the data")


def test_brier_and_ranked_scores_are_proper() -> None:
    assert found(lambda p, y: (p - y) ** 2, "proper", "binary") == []
    assert found(ranked, "proper", "multiclass", input="prediction") == []


@pytest.mark.parametrize(
    ("fn", "what"),
    [
        (lambda z, y: np.abs(z - y), "the median"),
        (lambda z, y: np.where(y > z, 0.3 * (y - z), 0.7 * (z - y)), "the quantile of level 0.3"),
        (lambda z, y: np.where(y > z, 0.2, 0.8) * (z - y) ** 2, "the expectile of level 0.2"),
        (lambda z, y: np.log(np.cosh(z - y)), "neither"),
    ],
)
def test_what_a_regression_loss_elicits(fn, what) -> None:
    only(fn, "proper", "regression", "note", what)


def test_what_is_declared_is_a_note_and_what_is_declared_wrongly_an_error() -> None:
    only(focal, "proper", "binary", "note", "declared: ", promises={"proper": False})
    only(focal, "proper", "binary", "error", promises={"proper": True})
    only(lambda z, y: np.abs(z - y), "matching", "regression", "error", promises={"matching": True})
    only(lambda z, y: np.tanh(z - y) ** 2, "convex", "regression", "error", promises={"convex": True})
    only(lambda z, y: np.tanh(z - y) ** 2, "convex", "regression", "note", "declared: ", promises={"convex": False})


# --- linear ---------------------------------------------------------------------------------------------------------------------


def test_mixed_targets() -> None:
    only(lambda z, y: -np.log(y * expit(z) + (1 - y) * expit(-z)), "linear", "binary", "note", "0.5", "sampled labels")
    only(lambda z, t: -np.log((np.exp(softmax_log(z)) * t).sum(axis=1)), "linear", "multiclass", "note", target="distributions")
    assert found(lambda z, t: -(t * softmax_log(z)).sum(axis=1) + (t**3).sum(axis=1), "linear", "multiclass") == []
    with pytest.raises(Skip):
        found(cross_entropy, "linear", "multiclass")


def test_a_declared_linear_loss_of_numbers() -> None:
    only(lambda z, y: np.log(np.cosh(z - y)), "linear", "regression", "error", promises={"linear_in_target": True})


# --- matching -------------------------------------------------------------------------------------------------------------------


def test_a_factor_of_the_error_signal() -> None:
    only(lambda z, y: (z - y) ** 2, "matching", "regression", "note", "2 times")
    only(lambda z, y: y * np.exp(-z) + z, "matching", "positive", "note", "not a matching loss")
    only(lambda z, y: (expit(z) - y) ** 2, "matching", "binary", "note", "hardly pull")


def test_a_link_of_its_own_matches() -> None:
    def cauchit(z, y):  # the integral of the prediction, less the target's share
        p = 0.5 + np.arctan(z) / np.pi
        return z * p - np.log1p(z**2) / (2 * np.pi) - y * z

    assert found(cauchit, "matching", "binary") == []
    only(cauchit, "proper", "binary", "note", "own link")


# --- convex ---------------------------------------------------------------------------------------------------------------------


def test_convexity() -> None:
    only(lambda z, y: (expit(z) - y) ** 2, "convex", "binary", "note", "not convex")
    only(lambda z, y: 1 - (2 * y - 1) * np.tanh(z), "convex", "binary", "note", "not convex")
    assert found(lambda p, y: -y * np.log(p) - (1 - y) * np.log1p(-p), "convex", "binary") == []
    only(lambda m, y: y / m + np.log(m), "convex", "positive", "note", "not convex", input="prediction")


class Tanh:
    def value(self, z, y):
        return np.tanh(z - y) ** 2

    def gradient(self, z, y):
        return 2 * np.tanh(z - y) / np.cosh(z - y) ** 2

    def hessian(self, z, y):
        return (2 - 4 * np.sinh(z - y) ** 2) / np.cosh(z - y) ** 4


def test_a_negative_hessian_of_its_own() -> None:
    only(Tanh(), "convex", "regression", "warning", "uphill")


# --- invariance -----------------------------------------------------------------------------------------------------------------


def test_classes_and_labels_have_no_order() -> None:
    only(lambda z, y: cross_entropy(z, y) * np.array([1.0, 2.0, 3.0])[y], "invariance", "multiclass", "warning", "unequally")
    only(
        lambda p, y: ((p.cumsum(1) - np.eye(3)[y].cumsum(1)) ** 2).sum(1), "invariance", "multiclass", "note", "ordinal", input="prediction"
    )
    only(lambda z, y: log_loss(z, y) * (1 + 2 * y), "invariance", "binary", "note", "unequally")


def test_logits_have_no_origin() -> None:
    def one_against_rest(z, y):
        return np.logaddexp(0, -z * (2 * np.eye(3)[y] - 1)).sum(1)

    only(one_against_rest, "invariance", "multiclass", "note", "judged by itself", target="labels", input="raw", sign=1)


def test_regression_has_no_origin() -> None:
    only(lambda z, y: np.abs(z - y) / (1 + np.abs(y)), "invariance", "regression", "note", "starts")
    with pytest.raises(Skip):
        found(poisson, "invariance", "count")


# --- members --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [0.01, 10.0])
def test_a_loss_is_no_member_that_it_is_only_near_or_far(delta) -> None:
    assert subject_of(ml.Huber(delta=delta)).member is None
    assert str(subject_of(ml.Huber()).member) == "Huber(delta=1.0)"
