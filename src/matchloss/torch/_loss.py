"""Every loss of the catalogue, and yours by ml.match, as a PyTorch loss: `loss(...)` and the module `Loss`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from matchloss.errors import ShapeError
from matchloss.losses import Loss as MatchLoss
from matchloss.losses import SimplexLoss
from matchloss.torch import _autograd
from matchloss.torch._compiled import traced
from matchloss.torch._plain import plain
from matchloss.torch._rules import check_weight, rule_of

REDUCTIONS = ("mean", "sum", "none")
HALVES = (torch.float16, torch.bfloat16)
FLOATS = (torch.float32, torch.float64)


def loss(
    loss: MatchLoss,
    raw: Tensor,
    target: Tensor,
    sample_weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    normalizer: float | Tensor | None = None,
    overwrite: bool = False,
) -> Tensor:
    """The loss of raw predictions as a differentiable tensor."""
    raw, target, weight = checked(loss, raw, target, sample_weight)
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; allowed: mean, sum, none")
    if normalizer is not None and reduction != "mean":
        raise ValueError(f"normalizer replaces what a mean divides by; reduction is {reduction!r}")
    if torch.compiler.is_compiling():
        return _reduced(traced("value", loss, raw, target, weight), weight, reduction, normalizer)
    rule = rule_of(loss)
    if plain(raw, target, weight) and rule.can_run:
        mass = None if weight is None else check_weight(weight)
        if reduction != "none":
            scale = 1.0 if reduction == "sum" else _inverse(_rows(loss, raw) if mass is None else mass, normalizer)
            return _autograd.total(rule, raw, target, weight, scale, overwrite)
    return _reduced(_autograd.per_row(rule, raw, target, weight), weight, reduction, normalizer)


def _rows(loss: MatchLoss, raw: Tensor) -> int:
    return math.prod(raw.shape[:-1]) if isinstance(loss, SimplexLoss) else raw.numel()


def _inverse(total: Any, normalizer: float | Tensor | None) -> float:
    """1 over what a mean divides by; NaN for nothing, as PyTorch's mean of an empty batch."""
    total = float(total if normalizer is None else normalizer)
    return 1.0 / total if total != 0 else math.nan


def _reduced(value: Tensor, weight: Tensor | None, reduction: str, normalizer: float | Tensor | None) -> Tensor:
    if reduction == "none":
        return value
    if reduction == "sum":
        return value.sum()
    if normalizer is not None:
        return value.sum() / normalizer
    return value.mean() if weight is None else value.sum() / weight.sum()


def checked(loss: MatchLoss, raw: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The arguments, halves of raw as float32; TypeError, ShapeError or ValueError where they do not fit together."""
    for name, x in (("raw", raw), ("target", target), ("sample_weight", weight)):
        if not isinstance(x, Tensor) and (x is not None or name != "sample_weight"):
            raise TypeError(f"{name} is a {type(x).__name__}; it must be a torch.Tensor")
    if raw.dtype not in FLOATS:
        if raw.dtype not in HALVES:
            raise TypeError(f"raw has dtype {raw.dtype}; allowed: float32, float64, bfloat16, float16")
        raw = raw.float()
    simplex = isinstance(loss, SimplexLoss)
    rows = raw.shape
    if simplex:
        if raw.ndim == 0 or raw.shape[-1] == 0:
            raise ShapeError(f"raw has shape {tuple(raw.shape)}; a simplex loss takes (..., K) with at least one class")
        rows = raw.shape[:-1]
        if target.shape != raw.shape and target.shape != rows:
            raise ShapeError(
                f"target has shape {tuple(target.shape)}; raw of shape {tuple(raw.shape)} asks for labels {tuple(rows)} "
                f"or distributions {tuple(raw.shape)}"
            )
        if target.shape == rows and (target.is_floating_point() or target.dtype is torch.bool):
            raise TypeError(f"target has dtype {target.dtype}; labels are integers")
    elif target.shape != rows:
        raise ShapeError(f"target has shape {tuple(target.shape)}, and raw's shape asks for {tuple(rows)}; shapes are never broadcast")
    if target.is_complex():
        raise TypeError(f"target has dtype {target.dtype}; it must be real")
    if target.requires_grad:
        raise ValueError("target requires grad, and a loss has no derivative in its target here; pass target.detach()")
    if weight is not None:
        if weight.shape != rows:
            raise ShapeError(
                f"sample_weight has shape {tuple(weight.shape)}, and one weight a row asks for {tuple(rows)}; shapes are never broadcast"
            )
        if weight.is_complex() or weight.requires_grad:
            raise ValueError("sample_weight must be real and must not require grad; pass sample_weight.detach()")
    return raw, target, weight


class Loss(torch.nn.Module):
    """A loss of matchloss as a module."""

    def __init__(self, loss: MatchLoss, *, reduction: str = "mean") -> None:
        super().__init__()
        if not isinstance(loss, MatchLoss):
            raise TypeError(f"loss is {loss!r}; it must be a loss of matchloss, for example matchloss.Logistic()")
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {reduction!r}; allowed: mean, sum, none")
        self.loss, self.reduction = loss, reduction

    def forward(
        self, raw: Tensor, target: Tensor, sample_weight: Tensor | None = None, *, normalizer: float | Tensor | None = None
    ) -> Tensor:
        """As `loss`."""
        return loss(self.loss, raw, target, sample_weight, reduction=self.reduction, normalizer=normalizer)

    def extra_repr(self) -> str:
        """What repr prints in the brackets."""
        return f"{self.loss!r}, reduction={self.reduction!r}"
