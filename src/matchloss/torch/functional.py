"""PyTorch's own loss functions, built on the catalogue's losses: same names, same positional arguments, same results.

There are no formulas here: each function is a loss of the catalogue times a factor, with weights, over a denominator. Intended
differences from PyTorch are listed in docs/from-pytorch.md. Beyond PyTorch's arguments each function takes, by keyword only,

- sample_weight: one number >= 0 per row. The mean is then sum(w * value) / sum(w), in addition to weights from PyTorch's arguments.
- normalizer: a number by which reduction="mean" divides instead, such as a count over all processes or all accumulated steps.
- overwrite (most of them): the gradient takes the memory of the input, which cannot be read afterwards.
Unless said otherwise, input, target and the result with reduction="none" have equal shapes. Raises DomainError for a bad target or
weight, ShapeError for shapes, TypeError for dtypes, ValueError for a target or weight that requires grad.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from matchloss.errors import DomainError, ShapeError
from matchloss.losses.binary import Logistic
from matchloss.losses.families import Poisson
from matchloss.losses.regression import AbsoluteError, Huber, SquaredError
from matchloss.torch._cross_entropy import cross_entropy
from matchloss.torch._dropin import (
    Number,
    check_input,
    check_shapes,
    check_target,
    look_up,
    product,
    public_names,
    reduced,
    reduction_of,
    spread,
    total_of,
    variance_of,
)
from matchloss.torch._linear import linear_cross_entropy
from matchloss.torch._loss import inverse, loss
from matchloss.torch._plain import overridable, plain

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "linear_cross_entropy",
    "mse_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]

LOGISTIC, SQUARED, ABSOLUTE, POISSON = Logistic(), SquaredError(), AbsoluteError(), Poisson()
HUBERS: dict[str, Huber] = {}  # reused because a loss keeps its compiled loops


@torch.compiler.assume_constant_result
def huber(delta: str) -> str:
    """The key in HUBERS of this delta, a hexadecimal string because torch.compile replaces losses and numbers by fakes, not strings."""
    if delta not in HUBERS:
        HUBERS[delta] = Huber(float.fromhex(delta))
    return delta


@overridable
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    overwrite: bool = False,
) -> Tensor:
    """`torch.nn.functional.binary_cross_entropy_with_logits`: `ml.Logistic`, exact in both tails.

    input and target of equal shape, targets in [0, 1]. weight and pos_weight broadcast to that shape, as in PyTorch.

    >>> import torch
    >>> from matchloss.torch import binary_cross_entropy_with_logits
    >>> raw = torch.tensor([40.0], requires_grad=True)
    >>> binary_cross_entropy_with_logits(raw, torch.tensor([1.0])).backward()
    >>> raw.grad                                                  # PyTorch's is 0
    tensor([-4.2484e-18])
    """
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    weight = None if weight is None else spread("weight", weight, input)
    if pos_weight is None:
        return reduced(LOGISTIC, input, target, reduction, weight, sample_weight, normalizer, overwrite=overwrite)
    # The loss is linear in the target: compute labels 1 and 0 separately, each with its weight, so that 1 - y is not rounded twice.
    check_target(input, target)
    at_positive = spread("pos_weight", pos_weight, input)
    check_shapes(input, weight=weight, pos_weight=at_positive, sample_weight=sample_weight)
    if plain(pos_weight) and not bool((pos_weight >= 0).all()):
        raise DomainError(f"pos_weight has {float(pos_weight[~(pos_weight >= 0)][0])!r}; allowed: 0 or greater")
    y = target.to(input.dtype) if not target.is_floating_point() else target
    unit = input.detach().new_ones(()).expand(input.shape)
    try:
        if plain(input, y, weight, pos_weight) and torch.equal(y * y, y):  # labels are 0 and 1: one weight for each, in a single pass
            at_label = product(at_positive * y + (1 - y), weight)
            return reduced(LOGISTIC, input, y, reduction, at_label, sample_weight, normalizer)
        at_one = reduced(LOGISTIC, input, unit, reduction, product(at_positive * y, weight), sample_weight, normalizer)
        return at_one + reduced(LOGISTIC, input, 0 * unit, reduction, product(1 - y, weight), sample_weight, normalizer)
    except DomainError:  # the weight was computed from the target: find out which of the two is bad
        reduced(LOGISTIC, input.detach(), target, "sum", weight, sample_weight, None)
        raise


@overridable
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    overwrite: bool = False,
) -> Tensor:
    """`torch.nn.functional.mse_loss`: twice `ml.SquaredError`. With `weight` the mean divides by the sum of the weights.

    >>> import torch
    >>> from matchloss.torch import mse_loss
    >>> mse_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]))
    tensor(2.)
    """
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    return reduced(SQUARED, input, target, reduction, weight, sample_weight, normalizer, 2.0, True, overwrite)


@overridable
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    overwrite: bool = False,
) -> Tensor:
    """`torch.nn.functional.l1_loss`: `ml.AbsoluteError`. With `weight` the mean divides by the sum of the weights.

    >>> import torch
    >>> from matchloss.torch import l1_loss
    >>> l1_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]), reduction="sum")
    tensor(2.)
    """
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    check_target(input, target)
    real = input.is_floating_point() or target.is_floating_point()
    if sample_weight is None and normalizer is None and (not real or input.is_complex() or target.is_complex()):
        given: dict[str, Any] = {} if weight is None else {"weight": weight}  # unlike in other losses, integers stay integers
        return torch.nn.functional.l1_loss(input, target, reduction=reduction, **given)
    if not input.is_floating_point() and not input.is_complex():
        input = input.to(torch.result_type(input, target) if real else torch.get_default_dtype())
    return reduced(ABSOLUTE, input, target, reduction, weight, sample_weight, normalizer, 1.0, True, overwrite)


@overridable
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    overwrite: bool = False,
) -> Tensor:
    """`torch.nn.functional.huber_loss`: `ml.Huber(delta)`. With `weight` the mean still divides by the number of rows, as in PyTorch.

    >>> import torch
    >>> from matchloss.torch import huber_loss
    >>> huber_loss(torch.tensor([0.5, 9.0]), torch.tensor([0.0, 0.0]), reduction="none")
    tensor([0.1250, 8.5000])
    """
    reduction = reduction_of(None, None, reduction, normalizer)
    return reduced(HUBERS[huber(float(delta).hex())], input, target, reduction, weight, sample_weight, normalizer, overwrite=overwrite)


@overridable
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    overwrite: bool = False,
) -> Tensor:
    """`torch.nn.functional.smooth_l1_loss`: `ml.Huber(beta)` divided by beta; for beta = 0 `ml.AbsoluteError`.

    >>> import torch
    >>> from matchloss.torch import smooth_l1_loss
    >>> smooth_l1_loss(torch.tensor([0.5, 9.0]), torch.tensor([0.0, 0.0]), reduction="none", beta=2.0)
    tensor([0.0625, 8.0000])
    """
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    if not 0 <= beta < math.inf:
        raise DomainError(f"beta is {beta!r}; allowed: [0, inf)")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction, sample_weight=sample_weight, normalizer=normalizer, overwrite=overwrite)
    return reduced(
        HUBERS[huber(float(beta).hex())], input, target, reduction, None, sample_weight, normalizer, 1 / beta, overwrite=overwrite
    )


@overridable
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    overwrite: bool = False,
) -> Tensor:
    """`torch.nn.functional.poisson_nll_loss`: `ml.Poisson` at the log rate; `full` adds Stirling's approximation of log target!.

    With log_input=False the input is the rate; the log rate is then log(input + eps), in float64, and eps is subtracted from the value.

    >>> import torch
    >>> from matchloss.torch import poisson_nll_loss
    >>> poisson_nll_loss(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0]), reduction="none")
    tensor([1.0000, 0.7183])
    """
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    check_target(input, target)
    raw = input = input if input.is_floating_point() or input.is_complex() else input.to(torch.get_default_dtype())
    if not log_input:
        raw, overwrite = (input.double() + eps).log(), False
    value = reduced(POISSON, raw, target, reduction, None, sample_weight, normalizer, overwrite=overwrite)
    if not log_input or full:
        constant = torch.zeros_like(target, dtype=torch.float64) if log_input else torch.full_like(target, -eps, dtype=torch.float64)
        if full:
            y = target.double()
            constant = torch.where(y > 1, constant + y * y.log() - y + 0.5 * (2 * math.pi * y).log(), constant)
        if sample_weight is not None:
            constant = torch.where(sample_weight == 0, 0.0, sample_weight * constant)
        value = value + total_of(constant, reduction, sample_weight, normalizer)
    return value.to(input.dtype if input.dtype in (torch.float32, torch.float64) else torch.float32)


@overridable
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
) -> Tensor:
    """`torch.nn.functional.soft_margin_loss`: `ml.Logistic` at the margin input * target with the label 1.

    >>> import torch
    >>> from matchloss.torch import soft_margin_loss
    >>> soft_margin_loss(torch.tensor([2.0, -2.0]), torch.tensor([1.0, -1.0]))
    tensor(0.1269)
    """
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    check_target(input, target)
    if plain(input, target):
        y = 0.5 * target.to(input.dtype) + 0.5
        if torch.equal(y * y, y):  # targets -1 and 1 are the labels 0 and 1 for the input itself
            return reduced(LOGISTIC, input, y, reduction, None, sample_weight, normalizer)
    margin = input * target.to(input.dtype)
    return reduced(LOGISTIC, margin, margin.new_ones(()).expand(margin.shape), reduction, None, sample_weight, normalizer)


@overridable
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    overwrite: bool = False,
) -> Tensor:
    """`torch.nn.functional.multilabel_soft_margin_loss`: `ml.Logistic`, averaged over the classes of each row.

    input and target (..., C), targets in [0, 1] say for each class whether it applies. weight broadcasts to that shape and, as in
    PyTorch, does not change what the mean divides by. sample_weight (...): one number per row. The result is (...) with reduction="none".
    Errors: the text of this module.

    >>> import torch
    >>> from matchloss.torch import multilabel_soft_margin_loss
    >>> multilabel_soft_margin_loss(torch.tensor([[0.0, 2.0], [0.0, -2.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]]), reduction="none")
    tensor([0.4100, 1.4100])
    """
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    check_target(input, target)
    if input.ndim == 0:
        raise ShapeError("input is a scalar; multilabel_soft_margin_loss takes (C,) or (..., C)")
    weight = None if weight is None else spread("weight", weight, input)
    if sample_weight is not None:
        check_shapes(input[..., 0], sample_weight=sample_weight)
        sample_weight = sample_weight.unsqueeze(-1).expand(input.shape)
    if reduction == "none":
        return reduced(LOGISTIC, input, target, reduction, weight, sample_weight, None).mean(-1)
    classes = input.shape[-1]
    normalizer = None if normalizer is None else normalizer * classes
    factor = 1.0 if reduction == "mean" else inverse(classes)
    return reduced(LOGISTIC, input, target, reduction, weight, sample_weight, normalizer, factor, overwrite=overwrite)


@overridable
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
) -> Tensor:
    """`torch.nn.functional.gaussian_nll_loss`: `ml.SquaredError` over the variance, plus half its logarithm; `full` adds log(2 pi) / 2.

    input and target have equal shapes and the same units; var is in those units squared: a number, or of the input's shape, also with
    one dimension of size 1 or without the last dimension. It is clamped to at least eps and gets a gradient too.

    Raises DomainError for a negative var, ShapeError for a var of another shape, ValueError for a target that requires grad.

    >>> import torch
    >>> from matchloss.torch import gaussian_nll_loss
    >>> gaussian_nll_loss(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0]), torch.tensor([4.0, 1.0]), reduction="none")
    tensor([1.1931, 0.0000])
    """
    reduction = reduction_of(None, None, reduction, normalizer)
    check_target(input, target)
    check_input(input)
    if sample_weight is not None:
        check_shapes(input, sample_weight=sample_weight)
    squared = loss(SQUARED, input, target, sample_weight, reduction="none")
    held = variance_of(var, input, eps, sample_weight).to(squared.dtype)
    rest = 0.5 * held.log() + (0.5 * math.log(2 * math.pi) if full else 0.0)
    rows = squared / held + (rest if sample_weight is None else sample_weight * rest)
    return total_of(rows.to(squared.dtype), reduction, sample_weight, normalizer)


def __getattr__(name: str) -> Any:
    return look_up(__name__, name, torch.nn.functional)


def __dir__() -> list[str]:
    return sorted({*__all__, *public_names(torch.nn.functional)})
