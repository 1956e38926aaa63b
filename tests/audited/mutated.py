"""Twelve losses with one defect each; without it they are sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logsumexp
from torch import Tensor

from audited.subjects import LABELS, NUMPY, TORCH, Tried

Numbers = NDArray[Any]


class LogisticWrongSign:
    """Defect: the gradient is label - probability."""

    def value(self, raw: Numbers, target: Numbers) -> Numbers:
        return target * np.logaddexp(0, -raw) + (1 - target) * np.logaddexp(0, raw)

    def gradient(self, raw: Numbers, target: Numbers) -> Numbers:
        return target - expit(raw)

    def hessian(self, raw: Numbers, target: Numbers) -> Numbers:
        return expit(raw) * expit(-raw)


class SquaredErrorWrongFactor:
    """Defect: the gradient is that of half the value."""

    def value(self, raw: Numbers, target: Numbers) -> Numbers:
        return (raw - target) ** 2

    def gradient(self, raw: Numbers, target: Numbers) -> Numbers:
        return raw - target

    def hessian(self, raw: Numbers, target: Numbers) -> Numbers:
        return np.full_like(raw, 2)


def clamped_logistic(raw: Tensor, label: Tensor) -> Tensor:
    """Defect: the probability is clamped, and the gradient with it."""
    p = torch.sigmoid(raw).clamp(1e-7, 1 - 1e-7)
    return -label * torch.log(p) - (1 - label) * torch.log(1 - p)


def cross_entropy_next_class(logits: Numbers, labels: Numbers) -> Numbers:
    """Defect: labels are taken to start at 1."""
    own = np.take_along_axis(logits, (labels - 1)[:, None], axis=1)
    return np.asarray(logsumexp(logits - own, axis=1))


def squared_error_unweighted_sum(raw: Numbers, target: Numbers, sample_weight: Numbers | None = None) -> float:
    """Defect: the weights are in the denominator alone."""
    weight = np.ones_like(raw) if sample_weight is None else sample_weight
    return ((raw - target) ** 2).sum() / weight.sum()


def poisson_in_half(raw: Tensor, target: Tensor) -> Tensor:
    """Defect: computed in bfloat16, whatever it is given."""
    narrow = raw.bfloat16()
    return (torch.exp(narrow) - target.bfloat16() * narrow).to(raw.dtype)


class SquaredErrorWithBaseline:
    """Defect: the mean of earlier calls, at most 1, is taken off."""

    def __init__(self) -> None:
        self.baseline = 0.0

    def value(self, raw: Numbers, target: Numbers) -> Numbers:
        rows = 0.5 * (raw - target) ** 2
        self.baseline = 0.9 * self.baseline + 0.1 * min(1.0, float(rows.mean()))
        return rows - self.baseline

    def gradient(self, raw: Numbers, target: Numbers) -> Numbers:
        return raw - target

    def hessian(self, raw: Numbers, target: Numbers) -> Numbers:
        return np.ones_like(raw)


def logistic_wrong_branch(raw: Numbers, label: Numbers) -> Numbers:
    """Defect: from 20 on, the value is that of a 0."""
    return np.where(raw > 20, raw, label * np.logaddexp(0, -raw) + (1 - label) * np.logaddexp(0, raw))


def huber_wrong_cutoff(raw: Tensor, target: Tensor) -> Tensor:
    """Defect: the pieces do not meet."""
    size = (raw - target).abs()
    return torch.where(size <= 1.5, 0.5 * size**2, size - 0.5)


def squared_error_of_pairs(raw: Tensor, target: Tensor) -> Tensor:
    """Defect: a column against a row, so that every output meets every target."""
    return ((raw.reshape(-1, 1) - target.reshape(1, -1)) ** 2).mean()


def squared_error_mean_for_sum(raw: Numbers, target: Numbers, reduction: str = "mean") -> Any:
    """Defect: the sum is the mean."""
    rows = 0.5 * (raw - target) ** 2
    return rows if reduction == "none" else rows.mean()


class PoissonStaleHessian:
    """Defect: the hessian is of the raw outputs that the gradient last saw."""

    def __init__(self) -> None:
        self.mean = np.empty(0)

    def value(self, raw: Numbers, target: Numbers) -> Numbers:
        return np.exp(raw) - target * raw

    def gradient(self, raw: Numbers, target: Numbers) -> Numbers:
        self.mean = np.exp(raw)
        return self.mean - target

    def hessian(self, raw: Numbers, target: Numbers) -> Numbers:
        return self.mean.copy() if self.mean.shape == raw.shape else np.exp(raw)


KNOWN_CLASSES = LABELS | {"input": "raw", "sign": 1}  # of a loss that does not look like one: nothing is left to recognise
MUTATED = (
    Tried("sign", LogisticWrongSign(), "binary", NUMPY, ("gradient",)),
    Tried("factor", SquaredErrorWrongFactor(), "regression", NUMPY, ("gradient",)),
    Tried("clamp", clamped_logistic, "binary", TORCH, ("gradient", "accuracy")),
    Tried("off-by-one class", cross_entropy_next_class, "multiclass", NUMPY | KNOWN_CLASSES, ("minimum", "proper", "accuracy")),
    Tried("missing weight", squared_error_unweighted_sum, "regression", NUMPY, ("weights",)),
    Tried("half precision inside", poisson_in_half, "count", TORCH, ("dtype", "accuracy")),
    Tried("cached state", SquaredErrorWithBaseline(), "regression", NUMPY, ("purity",)),
    Tried("wrong branch", logistic_wrong_branch, "binary", NUMPY, ("jumps", "accuracy", "convex")),
    Tried("wrong cutoff", huber_wrong_cutoff, "regression", TORCH, ("jumps",)),
    Tried("broadcasting", squared_error_of_pairs, "regression", TORCH, ("reductions", "shapes")),
    Tried("mean for sum", squared_error_mean_for_sum, "regression", NUMPY, ("reductions",)),
    Tried("stale hessian", PoissonStaleHessian(), "count", NUMPY, ("hessian", "purity")),
)
