"""Checks of weights and reductions: each finds what breaks it, and nothing in what does not."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import entmax
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from audit_checking import found, ran
from matchloss.audit.checks._check import Skip

W = {"kind": "regression", "framework": "numpy", "order": "prediction, target"}


def weighted(rows: Callable[..., Any], reduce: Callable[..., Any]) -> Callable[..., Any]:
    def loss(raw: Any, target: Any, sample_weight: Any = None) -> Any:
        weight = np.ones(np.shape(raw)) if sample_weight is None else sample_weight
        return reduce(rows(raw, target), weight)

    return loss


def square(raw: Any, target: Any) -> Any:
    return (raw - target) ** 2


SOUND = {
    "rows": lambda v, w: w * v,
    "sum": lambda v, w: (w * v).sum(),
    "mean": lambda v, w: (w * v).sum() / w.sum(),
    "masked": lambda v, w: np.where(w > 0, w * v, 0.0).sum() / w.sum(),
}
BROKEN = {
    "not at all": (lambda v, w: v.mean(), "error", "without weights"),
    "by the rows": (lambda v, w: (w * v).mean(), "note", "number of rows"),
    "squared": (lambda v, w: (w**2 * v).sum() / w.sum(), "error", "repeated"),
    "normalised rows": (lambda v, w: w * v / w.sum() * len(w), "error", "times its loss"),
}


@pytest.mark.parametrize("reduce", SOUND.values(), ids=SOUND)
def test_weights_that_count_rows(reduce: Callable[..., Any]) -> None:
    assert {f.severity for f in found("weights", weighted(square, reduce), **W)} <= {"note"}
    assert not found("reductions", weighted(square, reduce), **W)


def test_a_mask_is_no_note() -> None:
    assert not found("weights", weighted(square, SOUND["masked"]), **W)
    (note,) = found("weights", weighted(square, SOUND["mean"]), **W)
    assert note.severity == "note" and "no mask" in note.message


@pytest.mark.parametrize(("reduce", "severity", "words"), BROKEN.values(), ids=BROKEN)
def test_weights_that_do_not(reduce: Callable[..., Any], severity: str, words: str) -> None:
    findings = found("weights", weighted(square, reduce), **W)
    assert (findings[0].severity, words in findings[0].message) == (severity, True)


def test_a_weight_that_does_not_reach_the_gradient() -> None:
    def loss(raw: Any, target: Any, sample_weight: Any = 1.0) -> Any:
        plain = (raw - target) ** 2
        return sample_weight * plain.detach() + plain - plain.detach()

    assert any("gradient" in f.message for f in found("weights", loss, kind="regression", framework="torch"))


def test_nothing_to_weigh() -> None:
    with pytest.raises(Skip, match="no weights"):
        ran("weights", square, **W)


def test_class_weights_and_ignored_labels_of_torch() -> None:
    messages = [f.message for f in found("weights", F.cross_entropy, framework="torch")]
    assert len(messages) == 3
    assert (
        "one-hot" in messages[0] and "accumulation with ignored labels" in messages[1] and "NaN where every row is ignored" in messages[2]
    )


@pytest.mark.parametrize(("label", "words"), [(-100, "raises"), (2, "accumulation")])
def test_ignored_labels_of_entmax(label: int, words: str) -> None:
    findings = found("weights", entmax.Entmax15Loss(ignore_index=label), kind="multiclass", framework="torch", target="labels")
    assert words in findings[0].message and {f.severity for f in findings} <= {"note", "warning"}
    assert not found("reductions", entmax.Entmax15Loss(ignore_index=label), kind="multiclass", framework="torch", target="labels")


def ignoring(mean: Callable[..., Any], row: Callable[..., Any] = lambda v, kept: v * kept) -> Callable[..., Any]:
    def loss(logits: Any, labels: Any, ignore_index: int = -100, reduction: str = "mean") -> Any:
        kept = (labels != ignore_index).to(logits.dtype)
        rows = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="none")
        return {"none": lambda: row(rows, kept), "sum": lambda: rows.sum(), "mean": lambda: mean(rows, kept)}[reduction]()

    return loss


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (ignoring(lambda v, kept: v.sum() / (kept.sum() + 1)), "is not that over the others"),
        (ignoring(lambda v, kept: v.mean()), "counts the ignored ones"),
        (ignoring(lambda v, kept: v.sum() / kept.sum(), lambda v, kept: v + 0.5 * (1 - kept)), "ignored is not what"),
    ],
)
def test_ignoring_that_is_wrong(loss: Callable[..., Any], words: str) -> None:
    error = found("weights", loss, kind="multiclass", framework="torch")[0]
    assert error.severity == "error" and words in error.message


def ignoring_one_of_two(mean: Callable[..., Any]) -> Callable[..., Any]:
    def loss(logits: Any, labels: Any, ignore_index: int = -100) -> Any:
        kept = (labels != ignore_index).to(logits.dtype)
        return mean(F.binary_cross_entropy_with_logits(logits, labels, reduction="none") * kept, kept)

    return loss


def test_ignored_rows_of_two_labels() -> None:
    (error,) = found("weights", ignoring_one_of_two(lambda v, kept: v.mean()), kind="binary", framework="torch")
    assert error.severity == "error" and "counts the ignored ones" in error.message
    right = found("weights", ignoring_one_of_two(lambda v, kept: v.sum() / kept.sum()), kind="binary", framework="torch")
    assert {f.severity for f in right} == {"note"}


# --- reductions ------------------------------------------------------------------------------------------------------------------


def reducing(sum: Callable[..., Any], mean: Callable[..., Any]) -> Callable[..., Any]:
    def loss(raw: Any, target: Any, reduction: str = "mean") -> Any:
        rows = (raw - target) ** 2
        return {"none": lambda: rows, "sum": lambda: sum(rows), "mean": lambda: mean(rows)}[reduction]()

    return loss


T = {"kind": "regression", "framework": "torch"}
WRONG = {
    "mean for sum": (reducing(lambda v: v.mean(), lambda v: v.mean()), "The sum over 64 rows is the mean"),
    "factor": (reducing(lambda v: v.sum(), lambda v: v.mean() / 2), "0.5 times"),
    "gradient": (reducing(lambda v: v.sum(), lambda v: v.detach().mean() + 0 * v.mean()), "gradient of the mean"),
    "batch": (lambda raw, target: (raw - target) ** 2 + 0.01 * raw.std(), "depends on the other rows"),
    "pairs": (lambda raw, target: ((raw[:, None] - target) ** 2).mean(), "The mean over 64 rows"),
}


@pytest.mark.parametrize(("loss", "words"), WRONG.values(), ids=WRONG)
def test_reductions_that_do_not_agree(loss: Callable[..., Any], words: str) -> None:
    (error,) = found("reductions", loss, **T)
    assert error.severity == "error" and words in error.message


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, reducing(lambda v: v.sum(), lambda v: v.mean())])
def test_reductions_that_agree(loss: Callable[..., Any]) -> None:
    assert not found("reductions", loss, **T)


def test_the_mean_of_kl_div() -> None:
    (warning,) = found("reductions", F.kl_div, "multiclass", framework="torch")
    assert warning.severity == "warning" and "the mean is not the divergence" in warning.message
    assert 3 * warning.counterexample["got"] == pytest.approx(warning.counterexample["right"])


def test_rows_that_are_added_up_in_bfloat16() -> None:
    def naive(raw: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), dtype=raw.dtype)
        for v in F.binary_cross_entropy_with_logits(raw, label, reduction="none"):
            total = total + v
        return total / len(raw)

    messages = [f.message for f in found("accuracy", naive, "binary", framework="torch") if f.severity == "error"]
    assert len(messages) == 1 and "bfloat16" in messages[0]


def test_a_reduction_that_is_not_known_and_not_refused() -> None:
    def loss(raw: Any, target: Any, reduction: str = "sum") -> Any:
        rows = (raw - target) ** 2
        return rows.sum() if reduction == "sum" else rows

    (warning,) = found("reductions", loss, **T)
    assert warning.severity == "warning" and "misspelt" in warning.message


def test_the_snippet_of_the_accumulated_mean() -> None:
    finding = next(f for f in found("weights", F.cross_entropy, framework="torch") if "accumulation" in f.message)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(finding.snippet, {})
    assert f"{finding.counterexample['got']:.4f}" in printed.getvalue() and f"{finding.counterexample['right']:.4f}" in printed.getvalue()
