"""Twelve sound losses as a careful person writes them: six in NumPy, six in PyTorch. They validate nothing and promise no limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from audited.subjects import LABELS, NUMPY, PROBABILITY, ROWS, TORCH, Tried

Numbers = NDArray[Any]
REDUCTIONS = {"none": lambda rows: rows, "mean": lambda rows: rows.mean(), "sum": lambda rows: rows.sum()}


def squared_error(raw: Numbers, target: Numbers, reduction: str = "none") -> Numbers:
    """Half the squared difference."""
    return REDUCTIONS[reduction](0.5 * (raw - target) ** 2)


def weighted_squared_error(raw: Numbers, target: Numbers, sample_weight: Numbers | None = None) -> float:
    """The weighted mean of the squared difference."""
    return np.average((raw - target) ** 2, weights=sample_weight)


def logistic(raw: Numbers, label: Numbers) -> Numbers:
    """log(1 + exp(-raw)) of a 1, log(1 + exp(raw)) of a 0."""
    return label * np.logaddexp(0, -raw) + (1 - label) * np.logaddexp(0, raw)


def cross_entropy(logits: Numbers, labels: Numbers) -> Numbers:
    """Minus the log of the label's probability."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    return np.asarray(logsumexp(logits - own, axis=1))


def poisson(raw: Numbers, target: Numbers) -> Numbers:
    """The mean is exp(raw)."""
    return np.exp(raw) - target * raw


def gamma(raw: Numbers, target: Numbers) -> Numbers:
    """The mean is exp(raw)."""
    return target * np.exp(-raw) + raw


def binary_cross_entropy(raw: Tensor, label: Tensor) -> Tensor:
    """The logistic loss in PyTorch, of labels and of probabilities."""
    logsigmoid = torch.nn.functional.logsigmoid
    return -label * logsigmoid(raw) - (1 - label) * logsigmoid(-raw)


def soft_cross_entropy(logits: Tensor, distribution: Tensor) -> Tensor:
    """The cross entropy of a distribution."""
    return -(distribution * torch.log_softmax(logits, 1)).sum(1)


def huber(raw: Tensor, target: Tensor) -> Tensor:
    """Quadratic up to 1, then straight."""
    size = (raw - target).abs()
    return torch.where(size <= 1, 0.5 * size**2, size - 0.5)


def log_cosh(raw: Tensor, target: Tensor) -> Tensor:
    """log cosh(raw - target): cosh d = 1 + 2 sinh(d / 2)^2 near 0, |d| + log(1 + exp(-2 |d|)) - log 2 far from it."""
    difference = raw - target
    size, near = difference.abs(), difference.clamp(-1, 1)
    return torch.where(size <= 1, torch.log1p(2 * torch.sinh(near / 2) ** 2), size + torch.log1p(torch.exp(-2 * size)) - math.log(2))


def brier(probability: Tensor, label: Tensor) -> Tensor:
    """The squared difference of a probability and a label."""
    return (probability - label) ** 2


def negative_binomial(raw: Tensor, target: Tensor) -> Tensor:
    """Of size 2; the mean is exp(raw)."""
    return (target + 2) * torch.logaddexp(raw, torch.full_like(raw, math.log(2))) - target * raw


SOUND = (
    Tried("squared_error", squared_error, "regression", NUMPY),
    Tried("weighted_squared_error", weighted_squared_error, "regression", NUMPY),
    Tried("logistic", logistic, "binary", NUMPY),
    Tried("cross_entropy", cross_entropy, "multiclass", NUMPY | LABELS),
    Tried("poisson", poisson, "count", NUMPY),
    Tried("gamma", gamma, "positive", NUMPY),
    Tried("binary_cross_entropy", binary_cross_entropy, "binary", TORCH),
    Tried("soft_cross_entropy", soft_cross_entropy, "multiclass", TORCH | ROWS),
    Tried("huber", huber, "regression", TORCH),
    Tried("log_cosh", log_cosh, "regression", TORCH),
    Tried("brier", brier, "binary", TORCH | PROBABILITY),
    Tried("negative_binomial", negative_binomial, "count", TORCH),
)
EXEMPT = ("shapes", "domain", "limits")  # checks of what these losses do not promise
