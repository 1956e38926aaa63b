"""Losses of a whole batch in the audit: what carries over to functions whose rows or pixels depend on each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from matchloss.audit import Report, audit
from matchloss.audit.calling.batches import batch_of
from sweeps import sweep


def dice(pred: Tensor, target: Tensor) -> Tensor:
    p = torch.sigmoid(pred)
    return 1 - (2 * (p * target).sum() + 1) / (p.sum() + target.sum() + 1)


def dice_of_probabilities(pred: Tensor, target: Tensor) -> Tensor:
    return 1 - (2 * (pred * target).sum() + 1e-3) / (pred.sum() + target.sum() + 1e-3)


def dice_of_classes(logits: Tensor, labels: Tensor) -> Tensor:
    p, hot = logits.softmax(1), F.one_hot(labels, 3).movedim(-1, 1).to(logits.dtype)
    return 1 - (2 * (p * hot).sum((0, 2, 3)) / (p + hot).sum((0, 2, 3))).mean()


def triplets(embeddings: Tensor, labels: Tensor) -> Tensor:
    far = torch.cdist(F.normalize(embeddings), F.normalize(embeddings))
    same = labels[:, None] == labels[None, :]
    return F.relu(far[:, :, None] - far[:, None, :] + 0.2)[same[:, :, None] & ~same[:, None, :]].sum() / len(labels)


def rmse(y_true: Any, y_pred: Any) -> Any:
    return np.sqrt(np.mean((y_true - y_pred) ** 2))


def correlation(y_pred: Any, y_true: Any) -> Any:
    return np.corrcoef(y_pred, y_true)[0, 1]


def judged(fn: Any) -> Report:
    report = audit(fn, isolate=False)
    assert not [c for c in report.checks if c.status == "crashed"], report
    return report


SOUND = {
    dice: ("images of one class", 1), dice_of_probabilities: ("images, one-hot", 1), dice_of_classes: ("images, labels", 1),
    triplets: ("embeddings", 1), rmse: ("images, one-hot", 1), correlation: ("rows of yes or no", -1),
}  # fmt: skip


@pytest.mark.parametrize("fn", sweep(SOUND, lambda fn: fn.__name__ in ("dice", "triplets")), ids=lambda fn: fn.__name__)
def test_a_sound_loss_of_a_whole_batch(fn: Any) -> None:
    batch = batch_of(fn, ("torch",))
    assert batch is not None and (batch.shape, batch.sign) == SOUND[fn]
    assert batch.shares == (fn in (dice_of_probabilities, rmse))
    report = judged(fn)
    assert report.outcome == "sound" and report.convention is not None and report.convention.structure == "batch" and not report.findings
    assert "depend on each other" in " ".join(str(report).split())


def held(pred: Tensor, target: Tensor) -> Tensor:
    p = torch.sigmoid(pred)
    return 1 - 2 * (p * target).sum() / (p.sum() + target.sum()).detach()


def empty(pred: Tensor, target: Tensor) -> Tensor:
    p = torch.sigmoid(pred)
    return 1 - (p * target).sum() / target.sum() + p.mean() ** 2


def writes(pred: Tensor, target: Tensor) -> Tensor:
    target *= 0.999
    return dice(pred, target)


def noisy(pred: Tensor, target: Tensor) -> Tensor:
    return dice(pred, target) + 1e-6 * torch.rand(())


WRONG = {held: ("gradient", "the value's slope"), empty: ("finite", "empty mask"), writes: ("purity", "writes to target"),
         noisy: ("purity", "a call changes the random numbers of torch")}  # fmt: skip


@pytest.mark.parametrize("fn", WRONG, ids=lambda fn: fn.__name__)
def test_a_planted_error_is_told_by_the_right_check(fn: Any) -> None:
    check, words = WRONG[fn]
    report = judged(fn)
    assert report.outcome == "broken"
    assert any(f.check == check and words in f.message and "print(" in f.snippet for f in report.of("error")), report


def in_order(pred: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(pred[1:], target[:-1]).sqrt()


@pytest.mark.parametrize("fn", [in_order, F.mse_loss, lambda pred, target: pred.mean() ** 2])
def test_what_is_no_loss_of_a_whole_batch(fn: Any) -> None:
    assert batch_of(fn, ("torch",)) is None


def test_a_person_may_say_so() -> None:
    assert audit(rmse, structure="batch", isolate=False).outcome == "sound"
    assert "no loss of a whole batch" in audit(F.mse_loss, structure="batch", isolate=False).why
