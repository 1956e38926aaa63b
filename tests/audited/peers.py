"""Functions of the peers with some arguments filled in, so that they are functions of what a model outputs and of what was wanted."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

CHUNKS = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=1)


def brier_score(obs: Any, fct: Any) -> Any:
    """That of scoringrules, imported when it is called: the import compiles for ten seconds, in each process that collects tests."""
    from scoringrules import brier_score as theirs

    return theirs(obs, fct)


def sigmoid_then_binary_cross_entropy(raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """What a model that ends in a sigmoid is trained with."""
    return F.binary_cross_entropy(torch.sigmoid(raw), target, reduction="none")


def gaussian_variance(variance: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
    """The Gaussian likelihood as a loss of the variance; the target is the squared residual."""
    return F.gaussian_nll_loss(torch.zeros_like(square), square.sqrt(), variance, reduction="none")


def chunked_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy in chunks of one row, behind a linear layer that changes nothing."""
    return F.linear_cross_entropy(logits, torch.eye(logits.shape[1], dtype=logits.dtype), labels, options=CHUNKS)
