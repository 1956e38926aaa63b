"""What the drop-ins share: PyTorch's reductions and broadcasts, and a loss with weights over a denominator."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from matchloss.errors import ShapeError
from matchloss.losses import PointwiseLoss
from matchloss.torch import _autograd, _overwrite
from matchloss.torch._loss import inverse, loss
from matchloss.torch._plain import plain
from matchloss.torch._rules import check_weight, rule_of

Number = float | Tensor
WHOLE = (torch.float32, torch.float64)  # halves are computed in a float32 copy, which leaves nothing to overwrite


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str, normalizer: Number | None) -> str:
    """The reduction that PyTorch's arguments mean, the deprecated ones with PyTorch's warnings; a normalizer asks for the mean."""
    if size_average is not None or reduce is not None:
        reduction = ("mean" if size_average is not False else "sum") if reduce is not False else "none"
        said = f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead."
        warnings.warn(said, stacklevel=3)
    elif reduction == "elementwise_mean":
        warnings.warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.", stacklevel=3)
        reduction = "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction!r} is not a valid value for reduction; allowed: 'none', 'mean', 'sum'")
    if normalizer is not None and reduction != "mean":
        raise ValueError(f"normalizer replaces what a mean divides by; reduction is {reduction!r}")
    return reduction


def check_target(input: Tensor, target: Tensor) -> None:
    """Equal shapes, and a target that asks for no gradient."""
    if target.shape != input.shape:
        raise ShapeError(f"target has shape {tuple(target.shape)}, input {tuple(input.shape)}; shapes are never broadcast")
    if target.requires_grad:
        raise ValueError("target requires grad; a loss has no gradient in its target: pass target.detach()")


def check_classes(input: Tensor, target: Tensor) -> None:
    """Labels (N, d...) or distributions (N, C, d...) for an input (N, C, d...)."""
    if input.ndim == 0:
        raise ShapeError("input is a scalar; cross entropy takes (C,), (N, C) or (N, C, d...)")
    labels = input.shape[:1] + input.shape[2:] if input.ndim > 1 else input.shape[:0]
    if target.shape == input.shape:
        if not target.is_floating_point():
            raise TypeError(
                f"target has the input's shape and dtype {target.dtype}; distributions are floating, labels have shape {tuple(labels)}"
            )
    elif target.shape != labels:
        allowed = f"input of shape {tuple(input.shape)} asks for labels {tuple(labels)} or distributions {tuple(input.shape)}"
        raise ShapeError(f"target has shape {tuple(target.shape)}; {allowed}")


def spread(name: str, weight: Tensor, input: Tensor) -> Tensor:
    """A weight of PyTorch's that broadcasts to the input's shape."""
    try:
        return weight.expand(input.shape)
    except RuntimeError:
        shapes = f"{name} has shape {tuple(weight.shape)}, which does not broadcast to the input's {tuple(input.shape)}"
        raise ShapeError(shapes) from None


def product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Of two weights, either of which may be missing."""
    return b if a is None else a if b is None else a * b


def denominator(input: Tensor, weight: Tensor | None, normalizer: Number | None) -> Number:
    """What the mean divides by."""
    if normalizer is not None:
        return normalizer
    return input.numel() if weight is None else weight.sum(dtype=torch.float64)


def reduced(
    rule: PointwiseLoss,
    input: Tensor,
    target: Tensor,
    reduction: str,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    normalizer: Number | None,
    factor: float = 1.0,
    mean_over_weight: bool = False,
    overwrite: bool = False,
) -> Tensor:
    """factor * rule, weighted; the mean is over sample_weight, times `weight` if it is over that too."""
    check_target(input, target)
    if weight is not None and weight.shape != input.shape:
        raise ShapeError(f"weight has shape {tuple(weight.shape)}, input {tuple(input.shape)}; they must be the same")
    both = product(weight, sample_weight)
    if reduction == "none":
        value = loss(rule, input, target, sample_weight=both, reduction="none")
        return value if factor == 1 else factor * value
    if overwrite and _overwrite.applies(input) and input.dtype in WHOLE:
        _overwrite.refuse_shared(input)
    else:
        overwrite = False
    by = both if mean_over_weight else sample_weight  # what the mean is over
    if (
        target.dtype is input.dtype in WHOLE
        and (both is None or (both.shape == input.shape and not both.requires_grad and both.dtype in WHOLE))
        and plain(input, target, both)
        and (made := rule_of(rule)).can_run
    ):  # what `loss` would check is checked: in a small batch that costs as much as the loss
        mass = None if both is None else check_weight(both)
        if reduction == "mean" and normalizer is None:
            normalizer = input.numel() if by is None else mass if by is both else by.sum(dtype=torch.float64)
        result = _autograd.total(made, input, target, both, factor if normalizer is None else factor * inverse(normalizer), overwrite)
    else:
        over = denominator(input, by, normalizer) if reduction == "mean" else 1.0
        result = loss(rule, input, target, sample_weight=both, normalizer=over if factor == 1 else over / factor, overwrite=overwrite)
    if overwrite:
        _overwrite.consume(input)
    return result


def over_rows(constant: Tensor, reduction: str, sample_weight: Tensor | None, normalizer: Number | None) -> Tensor:
    """A number a row that no input changes, weighted and reduced as the losses are."""
    value = constant if sample_weight is None else torch.where(sample_weight == 0, 0.0, sample_weight * constant)
    if reduction == "none":
        return value
    return value.sum() / denominator(constant, sample_weight, normalizer) if reduction == "mean" else value.sum()
