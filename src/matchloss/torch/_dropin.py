"""What the drop-ins share: PyTorch's reductions and broadcasting, weighted losses over a denominator, and its other names."""

from __future__ import annotations

import math
import warnings
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from matchloss.errors import DomainError, ShapeError
from matchloss.losses import PointwiseLoss
from matchloss.torch import _autograd, _loss, _overwrite
from matchloss.torch._plain import plain
from matchloss.torch._rules import check_weight, rule_of
from matchloss.torch._targets import check_weights, refuse_gradient
from matchloss.torch._tensors import FLOATS, WHOLE

Number = float | Tensor


def check_tensors(**given: object) -> None:
    """TypeError for the first argument that is not a tensor."""
    for name, x in given.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} is a {type(x).__name__}; it must be a torch.Tensor: pass torch.as_tensor({name})")


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str, normalizer: Number | None) -> str:
    """The reduction that PyTorch's arguments mean, with PyTorch's warnings for deprecated ones; a normalizer requires "mean"."""
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


def check_input(input: Tensor) -> None:
    """TypeError for an input that is not floating."""
    if input.dtype not in FLOATS:
        raise TypeError(f"input has dtype {input.dtype}; allowed: float32, float64, bfloat16, float16")


def check_target(input: Tensor, target: Tensor) -> None:
    """Raises unless both are tensors of equal shape and the target requires no gradient."""
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        check_tensors(input=input, target=target)
    if target.shape != input.shape:
        raise ShapeError(f"target has shape {tuple(target.shape)}, input {tuple(input.shape)}; shapes are never broadcast")
    if target.requires_grad:
        raise ValueError("target requires grad; a loss has no gradient in its target: pass target.detach()")


def spread(name: str, weight: Tensor, input: Tensor) -> Tensor:
    """A weight argument of PyTorch, broadcast to the input's shape."""
    check_tensors(**{name: weight})
    try:
        return weight.expand(input.shape)
    except RuntimeError:
        shapes = f"{name} has shape {tuple(weight.shape)}, which does not broadcast to the input's {tuple(input.shape)}"
        raise ShapeError(shapes) from None


def variance_of(var: Tensor | float, input: Tensor, eps: float, sample_weight: Tensor | None) -> Tensor:
    """The variance for each entry of the input, clamped to eps by PyTorch's rules; its gradient ignores the clamping."""
    if isinstance(var, float | int):
        var = torch.full_like(input, var)
    check_tensors(var=var)
    given = tuple(var.shape)
    if given != tuple(input.shape) and given == tuple(input.shape[:-1]):
        var = var.unsqueeze(-1)
    elif len(given) != input.ndim or [a for a, b in zip(given, input.shape, strict=True) if a != b] not in ([], [1]):
        raise ShapeError(f"var has shape {given}; input {tuple(input.shape)} asks for the same, a dimension of 1, or one dimension fewer")
    if sample_weight is not None:
        var = torch.where(sample_weight == 0, 1.0, var)  # rows of weight 0 are not checked
    if plain(var) and bool((var < 0).any()):
        place = tuple((var < 0).nonzero()[0].tolist())
        raise DomainError(f"var[{', '.join(map(str, place))}] is {var[place].item()!r}; allowed: 0 or greater")
    held = var.clone()
    with torch.no_grad():
        held.clamp_(min=eps)
    return torch.where(var < 0, math.nan, held)


def product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The product of two weights, either of which may be None."""
    return b if a is None else a if b is None else a * b


def denominator(input: Tensor, weight: Tensor | None, normalizer: Number | None) -> Number:
    """The number that the mean divides by."""
    if normalizer is not None:
        return normalizer
    return input.numel() if weight is None else weight.sum(dtype=torch.float64)


def reduced(
    loss: PointwiseLoss,
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
    """factor * loss, weighted and reduced. The mean divides by the sum of sample_weight, times `weight` if mean_over_weight."""
    check_target(input, target)
    check_input(input)
    if weight is not None or sample_weight is not None:
        check_shapes(input, weight=weight, sample_weight=sample_weight)
    both = product(weight, sample_weight)
    if weight is not None:
        try:
            return weighted(
                loss, input, target, reduction, both, both if mean_over_weight else sample_weight, normalizer, factor, overwrite
            )
        except DomainError:
            for name, given in (("weight", weight), ("sample_weight", sample_weight)):
                if given is not None:  # the error must name the person's argument, not the product of weights
                    check_weights(name, given, tuple(given.shape), "", True)
            raise
    return weighted(loss, input, target, reduction, both, both, normalizer, factor, overwrite)


def check_shapes(input: Tensor, **weights: Tensor | None) -> None:
    """Raises unless the weights have the input's shape and require no gradient."""
    for name, weight in weights.items():
        if weight is None:
            continue
        check_tensors(**{name: weight})
        if weight.shape != input.shape:
            raise ShapeError(f"{name} has shape {tuple(weight.shape)}, input {tuple(input.shape)}; they must be the same")
        if weight.is_complex():
            raise TypeError(f"{name} has dtype {weight.dtype}; it must be real")
    refuse_gradient(**weights)


def weighted(
    loss: PointwiseLoss,
    input: Tensor,
    target: Tensor,
    reduction: str,
    both: Tensor | None,
    by: Tensor | None,
    normalizer: Number | None,
    factor: float,
    overwrite: bool,
) -> Tensor:
    """factor * loss with checked weights; the mean divides by the sum of `by`."""
    if reduction == "none":
        value = _loss.loss(loss, input, target, sample_weight=both, reduction="none")
        return value if factor == 1 else factor * value
    if overwrite and _overwrite.applies(input) and input.dtype in WHOLE:  # half precision is computed in a float32 copy
        _overwrite.refuse_shared(input)
    else:
        overwrite = False
    if (
        target.dtype is input.dtype in WHOLE
        and (both is None or both.dtype in WHOLE)
        and plain(input, target, both)
        and (rule := rule_of(loss)).can_run
    ):  # skips the checks of `loss`, which have been made: for a small batch they cost as much as the loss
        mass = None if both is None else check_weight(both)
        if reduction == "mean" and normalizer is None:
            normalizer = input.numel() if by is None else mass if by is both else by.sum(dtype=torch.float64)
        result = _autograd.total(
            rule, input, factor if normalizer is None else factor * _loss.inverse(normalizer), overwrite, target, both
        )[0]
    else:
        over = denominator(input, by, normalizer) if reduction == "mean" else 1.0
        result = _loss.loss(loss, input, target, sample_weight=both, normalizer=over if factor == 1 else over / factor, overwrite=overwrite)
        result = result.to(input.dtype if input.dtype in WHOLE else torch.float32)  # the denominator is in float64
    if overwrite:
        _overwrite.consume(input)
    return result


def total_of(rows: Tensor, reduction: str, sample_weight: Tensor | None, normalizer: Number | None) -> Tensor:
    """One number per row, times its weight, reduced like the losses."""
    if reduction == "none":
        return rows
    return (rows.sum() / denominator(rows, sample_weight, normalizer)).to(rows.dtype) if reduction == "mean" else rows.sum()


def is_public(name: str, value: object) -> bool:
    """Whether a name belongs to a PyTorch module's public API: it is not private, and not an import such as math."""
    if name.startswith("_"):
        return False
    if isinstance(value, ModuleType):
        return value.__name__.startswith("torch.nn.")
    return callable(value) and (getattr(value, "__module__", None) or "torch").partition(".")[0] == "torch"


def public_names(*hosts: ModuleType) -> set[str]:
    """The public names of these PyTorch modules."""
    return {name for host in hosts for name, value in vars(host).items() if is_public(name, value)}


def look_up(owner: str, name: str, *hosts: ModuleType) -> Any:
    """PyTorch's object of this name; AttributeError with Python's usual message if there is none."""
    for host in hosts:
        if is_public(name, value := getattr(host, name, None)):
            return value
    raise AttributeError(f"module {owner!r} has no attribute {name!r}")
