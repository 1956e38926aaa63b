"""Checks of shapes, domains, dtypes and layouts: each finds what breaks it, and nothing in what does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import optax.losses as ol
import pytest
import sklearn._loss as sk
import torch
import torch.nn.functional as F
from scipy.special import logsumexp

import matchloss as ml
from audit_checking import found, ran
from audited import peers
from matchloss.audit.calling.probe import subject_of
from matchloss.audit.checks._check import Skip
from sweeps import sweep

N: dict[str, Any] = {"kind": "regression", "framework": "numpy", "order": "prediction, target"}
OWN = (ml.SquaredError(), ml.Logistic(), ml.Poisson(), ml.Gamma(), ml.CrossEntropy(), ml.Hinge())


def square(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2


@pytest.mark.parametrize("check", ["shapes", "domain", "dtype", "layout"])
@pytest.mark.parametrize(
    ("loss", "framework"),
    sweep(itertools.product(OWN, ["numpy", "torch"]), lambda loss, framework: framework == "numpy" or loss != ml.CrossEntropy()),
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_the_catalogue_keeps_them(loss: Any, check: str, framework: str) -> None:
    assert {f.severity for f in found(check, loss, framework=framework)} <= {"note"}


# --- shapes ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [square, lambda raw, target: square(raw, target).mean()])
def test_a_column_against_a_row(loss: Callable[..., Any]) -> None:
    note = found("shapes", loss, **N)[0]
    assert note.severity == "note" and "(3,) against (3, 1) broadcast" in note.message


@pytest.mark.parametrize(("loss", "framework"), [(F.mse_loss, "torch"), (ol.huber_loss, "jax")])
def test_peers_that_broadcast(loss: Any, framework: str) -> None:
    assert "(3, 1)" in found("shapes", loss, "regression", framework=framework)[0].message


def strict(raw: Any, target: Any) -> Any:
    if np.shape(raw) != np.shape(target):
        raise ValueError("shapes differ")
    return (raw - target) ** 2


@pytest.mark.parametrize("loss", [strict, lambda raw, target: strict(raw.ravel(), target.ravel())])
def test_shapes_that_are_refused_or_paired(loss: Callable[..., Any]) -> None:
    assert not found("shapes", loss, **N)


def test_counts_that_do_not_match() -> None:
    note = found("shapes", lambda raw, target: square(raw[: len(target)], target[: len(raw)]), **N)[-1]
    assert note.severity == "note" and "3 targets for 2 predictions" in note.message
    (note,) = found("shapes", sk.HalfSquaredError(), "regression", framework="numpy")
    assert note.severity == "note" and "no prediction" in note.message


def test_single_numbers_have_no_shape() -> None:
    with pytest.raises(Skip):
        ran("shapes", lambda raw, target: float(raw - target) ** 2, **N)


# --- domain ----------------------------------------------------------------------------------------------------------------------


def test_labels_that_wrap_or_read_elsewhere() -> None:
    def wraps(logits: Any, labels: Any) -> Any:
        return logsumexp(logits - np.take_along_axis(logits, labels[:, None], axis=1), axis=1)

    (warning,) = found("domain", wraps, "multiclass", framework="numpy")
    assert warning.severity == "warning" and "label -1: -1 is taken for class 2" in warning.message
    first = found("domain", sk.HalfMultinomialLoss(n_classes=3), "multiclass", framework="numpy")[0]
    assert first.severity == "warning" and "outside the row" in first.message and "3" in first.message
    first = found("domain", ol.softmax_cross_entropy_with_integer_labels, "multiclass", framework="jax")[0]
    assert first.severity == "warning" and "-1" in first.message


def test_distributions_that_are_none() -> None:
    messages = [f.message for f in found("domain", F.cross_entropy, "multiclass", framework="torch")]
    assert "does not sum to 1" in messages[0] and "negative share" in messages[1]


def test_hinge_with_targets_of_zero_and_one() -> None:
    first = found("domain", ol.hinge_loss, "binary", framework="jax")[0]
    assert first.severity == "note" and "every prediction has the same loss" in first.message


PLAUSIBLE: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "binary": (lambda z, y: np.logaddexp(0, z) - y * z, {"kind": "binary"}, "targets 2 and -1"),
    "count": (lambda z, y: np.exp(z) - y * z, {"kind": "count"}, "target -1"),
    "positive": (lambda z, y: y * np.exp(-z) + z, {"kind": "positive"}, "target -1"),
    "probability": (lambda p, y: (p - y) ** 2, {"kind": "binary", "input": "prediction"}, "predictions 1.5 and -0.5"),
    "NaN target": (lambda z, y: np.nan_to_num((z - y) ** 2), {"kind": "regression"}, "target that is NaN"),
    "NaN prediction": (lambda z, y: np.where(z > y, z - y, np.where(z <= y, y - z, 0.0)), {"kind": "regression"}, "prediction that is NaN"),
}


@pytest.mark.parametrize(("loss", "given", "words"), PLAUSIBLE.values(), ids=PLAUSIBLE)
def test_plausible_numbers_for_what_cannot_be(loss: Callable[..., Any], given: dict[str, Any], words: str) -> None:
    findings = found("domain", loss, framework="numpy", order="prediction, target", **given)
    assert any(f.severity == ("warning" if "NaN" in words else "note") and words in f.message for f in findings)


def test_nan_for_what_cannot_be() -> None:
    def loss(raw: Any, target: Any) -> Any:
        return np.where((target == 0) | (target == 1), np.logaddexp(0, raw) - target * raw, np.nan)

    assert not found("domain", loss, "binary", framework="numpy", target="labels")
    assert not found("domain", square, **N)


def test_weights_and_ignored_classes_that_are_taken() -> None:
    notes = found("domain", F.nll_loss, "multiclass", framework="torch")
    assert {f.severity for f in notes} == {"note"} and "label to ignore may be that of a class" in notes[-1].message
    assert "negative weight" in found("domain", sk.HalfSquaredError(), "regression", framework="numpy")[0].message


# --- dtype -----------------------------------------------------------------------------------------------------------------------


def test_float32_returned_or_used_inside() -> None:
    (note,) = found("dtype", lambda raw, target: ((raw - target) ** 2).float(), "regression", framework="torch")[:1]
    assert note.severity == "note" and "computed in float32" in note.message
    (error,) = found("dtype", lambda raw, target: ((raw - target) ** 2).half(), "regression", framework="torch")[:1]
    assert error.severity == "error" and "returns float16" in error.message

    def inside(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return ((raw.float() - target.float()) ** 2).to(raw.dtype)

    first = found("dtype", inside, "regression", framework="torch")[0]
    assert first.severity == "note" and "computed in float32" in first.message

    def rounded(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (raw.half().to(raw.dtype) - target) ** 2 / 3

    first = found("dtype", rounded, "regression", framework="torch")[0]
    assert first.severity == "error" and "which has the digits of half precision" in first.message


def test_float64_for_float32() -> None:
    (note,) = found("dtype", lambda raw, target: (raw.astype(float) - target) ** 2, **N)
    assert note.severity == "note" and "float32 it returns float64" in note.message


def test_integers_that_are_cut_off() -> None:
    def cut(raw: Any, target: Any) -> Any:
        out = np.empty_like(raw)
        out[...] = np.log(np.cosh(raw - target))
        return out

    (note,) = found("dtype", cut, **N)
    assert note.severity == "note" and "integers" in note.message
    assert not found("dtype", square, **N)


def test_scores_of_tensors() -> None:
    (warning,) = found("dtype", peers.brier_score, "binary", framework="torch", input="prediction")
    assert warning.severity == "warning" and "arrays of torch it returns a numpy.ndarray" in warning.message
    (note,) = found("dtype", peers.brier_score, "binary", ("torch",), framework="numpy", input="prediction")
    assert note.severity == "note" and "torch" in note.message
    assert not found("dtype", peers.brier_score, "binary", framework="numpy", input="prediction")


def test_a_result_without_a_gradient() -> None:
    (warning,) = ran("dtype", lambda raw, target: ((raw - target) ** 2).detach(), "regression", framework="torch")
    assert warning.severity == "warning" and "no gradient in torch" in warning.message


# --- layout ----------------------------------------------------------------------------------------------------------------------


def flat(raw: Any, target: Any) -> Any:
    """Reads memory in its order."""
    base = raw if raw.base is None or raw.flags.c_contiguous else raw.base.ravel()[: raw.size]
    return (base - target) ** 2


def test_layouts_that_are_read_wrongly_or_refused() -> None:
    (error,) = found("layout", flat, **N)
    assert error.severity == "error" and "strided" in error.message

    def viewed(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits.view(-1).view(-1, 3), labels, reduction="none")

    (note,) = found("layout", viewed, "multiclass", framework="torch")
    assert note.severity == "note" and "transposed" in note.message
    (note,) = found("layout", sk.HalfSquaredError(), "regression", framework="numpy")
    assert note.severity == "note" and "raise ValueError" in note.message


def test_what_writes_into_what_is_read_only() -> None:
    def writes(raw: Any, target: Any) -> Any:
        raw += 0.0
        return (raw - target) ** 2

    (warning,) = found("layout", writes, **N)
    assert "read-only" in warning.message


@pytest.mark.parametrize("size", [1024, 100_000])
def test_a_block_that_is_forgotten(size: int) -> None:
    def blocks(raw: Any, target: Any) -> Any:
        out = square(raw, target)
        out[size:] = 0.0
        return out

    (error,) = found("layout", blocks, **N)
    assert error.severity == "error" and f"row {size:,}" in error.message


def test_no_rows() -> None:
    def first(raw: Any, target: Any) -> Any:
        return square(raw, target) if len(raw) else np.zeros(1)

    (warning,) = found("layout", first, **N)
    assert "No rows" in warning.message
    assert not found("layout", lambda raw, target: square(raw, target).mean() if len(raw) else np.float64("nan"), **N)
    assert not found("layout", lambda p, y: -y * np.log(p) - (1 - y) * np.log1p(-p), "binary", framework="numpy", input="prediction")


@pytest.mark.parametrize(("layout", "shape"), [("N,C,H,W", (0, 3, 1, 1)), ("rows", (0, 3))])
def test_the_code_of_a_finding_has_the_layout_and_the_labels_that_the_function_takes(layout: str, shape: tuple[int, ...]) -> None:
    subject = subject_of(F.cross_entropy, "multiclass", framework="torch", layout=layout, target="labels")
    x, y = subject.ordinary(2)
    assert "y = torch.tensor([[[0]]], dtype=torch.int64)" in subject.finding("note", "", x=x[:1], y=y[:1]).snippet or layout == "rows"
    made: dict[str, Any] = {}
    exec(subject.finding("note", "", x=x[:0], y=y[:0]).snippet, made)
    assert tuple(made["x"].shape) == shape and made["y"].dtype is torch.int64
