"""Every loss of the catalogue, and yours by ml.match, in PyTorch: `loss(...)`, the module `Loss`, and the functions behind
`ml.Poisson()(raw, target)`, `.evaluate`, `.value`, `.gradient`, `.hessian` and `.predict` for tensors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from matchloss.engine.arrays import Evaluation
from matchloss.errors import ShapeError
from matchloss.losses import Loss as MatchLoss
from matchloss.losses import PointwiseLoss, SimplexLoss
from matchloss.torch import _autograd
from matchloss.torch._plain import overridable, plain, readable
from matchloss.torch._rules import check_weight, rule_of, traced
from matchloss.torch._tensors import HALVES, WHOLE

REDUCTIONS = ("mean", "sum", "none")


@overridable
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
    """A loss of matchloss as a PyTorch function: differentiable in raw twice, by the loss's own gradient and hessian.

    Pointwise losses: raw and target of equal shape. Simplex losses: raw (..., K), the classes last; target labels (...,) of any integer
    dtype, or distributions (..., K). sample_weight: one number >= 0 per row.

    - reduction "mean": sum(w * value) / sum(w); "sum": sum(w * value); "none": w * value of each row.
    - normalizer, with "mean", replaces sum(w), for example by a count over all parts of an accumulated batch, or over all processes.
    - overwrite, for plain eager calls with a reduction: the gradient takes raw's memory. raw cannot be read afterwards, and there are
      no second derivatives; the caller makes sure that nothing else needs raw.

    raw of float32 or float64 gives a loss of its dtype, bfloat16 and float16 a float32 loss. Plain CPU tensors run on compiled loops, on
    torch.get_num_threads() threads; torch.func, torch.compile and other devices run the same formula with torch's functions.
    As in PyTorch, without rows or with weights that are all 0 the mean is NaN and the sum 0.

    Raises DomainError, with index and value, for a target outside the loss's domain, a label outside 0..K-1, a distribution that does not
    sum to 1, or a negative weight. Where values cannot be read (CUDA, tracing) such a row is NaN in value and gradient instead.
    ShapeError for shapes that differ (nothing is broadcast), TypeError for dtypes, ValueError for a target or weight that requires grad,
    NotImplementedError for third derivatives and for forward derivatives of forward derivatives.

    >>> import matchloss as ml, torch
    >>> from matchloss.torch import loss
    >>> raw = torch.tensor([0.0, 40.0], dtype=torch.float64, requires_grad=True)
    >>> value = loss(ml.Logistic(), raw, torch.tensor([1.0, 1.0]), reduction="sum")
    >>> value.backward()
    >>> round(value.item(), 6), raw.grad
    (0.693147, tensor([-5.0000e-01, -4.2484e-18], dtype=torch.float64))
    >>> loss(ml.Sparsemax(), torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
    tensor(0.)
    """
    raw, target, weight = checked(loss, raw, target, sample_weight)
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; allowed: mean, sum, none")
    if normalizer is not None and reduction != "mean":
        raise ValueError(f"normalizer replaces what a mean divides by; reduction is {reduction!r}")
    if torch.compiler.is_compiling():
        return _reduced(traced("value", loss, raw, target, weight)[0], weight, reduction, normalizer)
    rule = rule_of(loss)
    if plain(raw, target, weight) and rule.can_run:
        mass = None if weight is None else check_weight(weight)
        if reduction != "none":
            scale = 1.0 if reduction == "sum" else inverse(_rows(loss, raw) if mass is None else mass, normalizer)
            return _autograd.total(rule, raw, scale, overwrite, target, weight)[0]
    return _reduced(_autograd.per_row(rule, raw, target, weight)[0], weight, reduction, normalizer)


def _rows(loss: MatchLoss, raw: Tensor) -> int:
    return math.prod(raw.shape[:-1]) if isinstance(loss, SimplexLoss) else raw.numel()


def inverse(total: Any, normalizer: float | Tensor | None = None) -> float:
    """The reciprocal of the number that a mean divides by; NaN for an empty batch, as in PyTorch."""
    total = float(total if normalizer is None else normalizer)
    return 1.0 / total if total != 0 else math.nan


def _reduced(value: Tensor, weight: Tensor | None, reduction: str, normalizer: float | Tensor | None) -> Tensor:
    if reduction == "none":
        return value
    if reduction == "sum":
        return value.sum()
    if normalizer is not None:
        return (value.sum() / normalizer).to(value.dtype)
    return value.mean() if weight is None else value.sum() / weight.sum()


def checked(loss: MatchLoss, raw: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The checked arguments, raw of half precision as float32; TypeError, ShapeError or ValueError if they do not fit together."""
    for name, x in (("raw", raw), ("target", target), ("sample_weight", weight)):
        if not isinstance(x, Tensor) and (x is not None or name != "sample_weight"):
            raise TypeError(f"{name} is a {type(x).__name__}; it must be a torch.Tensor")
    if raw.dtype not in WHOLE:
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


def host_call(loss_: MatchLoss, raw: Any, target: Any, sample_weight: Any) -> Tensor:
    """The weighted mean, differentiable in raw."""
    return loss(loss_, raw, target, sample_weight)


def host_evaluate(
    loss_: MatchLoss, raw: Any, target: Any, sample_weight: Any, value: bool, gradient: bool, hessian: bool, curvature: str
) -> Evaluation:
    """Value, gradient and hessian of each row as tensors: value and gradient differentiable in raw, the hessian not."""
    raw, target, weight = checked(loss_, raw, target, sample_weight)
    if torch.compiler.is_compiling():
        return Evaluation(
            traced("value", loss_, raw, target, weight)[0] if value else None,
            traced("gradient", loss_, raw, target, weight) if gradient else None,
            traced("hessian", loss_, raw, target, weight, curvature) if hessian else None,
        )
    rule, compute = rule_of(loss_), _autograd.COMPUTES
    if weight is not None and readable(weight):
        check_weight(weight)
    return Evaluation(
        _autograd.per_row(rule, raw, target, weight)[0] if value else None,
        compute["gradient"](rule, raw, target, weight) if gradient else None,
        compute["hessian"](rule, raw, target, weight, curvature) if hessian else None,
    )


def host_predict(loss_: MatchLoss, raw: Any) -> Tensor:
    """The prediction. It is differentiable if the loss is matching, because its derivative is then the loss's hessian."""
    if raw.dtype not in WHOLE:
        if raw.dtype not in HALVES:
            raise TypeError(f"raw has dtype {raw.dtype}; allowed: float32, float64, bfloat16, float16")
        raw = raw.float()
    if isinstance(loss_, PointwiseLoss) and type(loss_).predict_formula is PointwiseLoss.predict_formula:
        return raw.clone()
    if torch.compiler.is_compiling():
        return traced("predict", loss_, raw)
    return _autograd.COMPUTES["predict"](rule_of(loss_), raw)


class Loss(torch.nn.Module):
    """A loss of matchloss as a module, for every member of the catalogue and yours by ml.match.

    Calls are `loss(self.loss, raw, target, sample_weight, reduction=self.reduction, normalizer=normalizer)`: shapes, errors and dtypes
    are described there. It has no parameters and no buffers.

    >>> import matchloss as ml, torch
    >>> from matchloss.torch import Loss
    >>> poisson = Loss(ml.Poisson())
    >>> poisson
    Loss(Poisson(), reduction='mean')
    >>> poisson(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0]))
    tensor(0.3591)
    """

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
        """The function `loss` with this module's loss and reduction; see there for shapes and errors."""
        return loss(self.loss, raw, target, sample_weight, reduction=self.reduction, normalizer=normalizer)

    def extra_repr(self) -> str:
        """The text between repr's brackets."""
        return f"{self.loss!r}, reduction={self.reduction!r}"
