"""`ml.Poisson()(raw, target)`, `.evaluate`, `.value`, `.gradient`, `.hessian` and `.predict` of tensors: what `losses/_hosts.py` calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from matchloss.engine.arrays import Evaluation
from matchloss.losses import Loss, PointwiseLoss
from matchloss.torch import _autograd
from matchloss.torch._compiled import COMPUTES, traced
from matchloss.torch._loss import FLOATS, HALVES, checked, loss
from matchloss.torch._plain import readable
from matchloss.torch._rules import Rule, check_weight, rule_of


def host_call(loss_: Loss, raw: Any, target: Any, sample_weight: Any) -> Tensor:
    """The weighted mean, differentiable in raw."""
    return loss(loss_, raw, target, sample_weight)


def host_evaluate(
    loss_: Loss, raw: Any, target: Any, sample_weight: Any, value: bool, gradient: bool, hessian: bool, curvature: str
) -> Evaluation:
    """Value, gradient and hessian of each row as tensors: value and gradient differentiable in raw, the hessian not."""
    raw, target, weight = checked(loss_, raw, target, sample_weight)
    if torch.compiler.is_compiling():
        return Evaluation(
            traced("value", loss_, raw, target, weight) if value else None,
            traced("gradient", loss_, raw, target, weight) if gradient else None,
            traced("hessian", loss_, raw, target, weight, curvature) if hessian else None,
        )
    rule = rule_of(loss_)
    if weight is not None and readable(weight):
        check_weight(weight)
    return Evaluation(
        _autograd.per_row(rule, raw, target, weight) if value else None,
        _autograd.Gradient.apply(rule, raw, target, weight) if gradient else None,
        Hessian.apply(rule, raw, target, weight, curvature) if hessian else None,
    )


def host_predict(loss_: Loss, raw: Any) -> Tensor:
    """The prediction; differentiable where the loss is matching, since its derivative is then the loss's hessian."""
    if raw.dtype not in FLOATS:
        if raw.dtype not in HALVES:
            raise TypeError(f"raw has dtype {raw.dtype}; allowed: float32, float64, bfloat16, float16")
        raw = raw.float()
    if isinstance(loss_, PointwiseLoss) and type(loss_).predict_formula is PointwiseLoss.predict_formula:
        return raw.clone()
    if torch.compiler.is_compiling():
        return traced("predict", loss_, raw)
    return Prediction.apply(rule_of(loss_), raw)  # pyright: ignore[reportReturnType]


class Hessian(Function):
    """weight * hessian of each row (simplex losses: its diagonal), or what stands in for it."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None, curvature: str) -> Tensor:
        if readable(raw, target, weight):
            z, y, w = (None if x is None else _array(x) for x in (raw, target, weight))
            return torch.from_numpy(np.asarray(rule.loss.evaluate(z, y, w, False, False, True, curvature).hessian))
        return rule.composite(raw, target, weight, curvature).hessian

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError(_autograd.THIRD)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(_autograd.THIRD)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        front = [_autograd.front(t, d, info.batch_size) for t, d in zip(args[1:4], in_dims[1:4], strict=True)]
        return Hessian.apply(args[0], *front, args[4]), 0


class Prediction(Function):
    """predict(raw)."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor) -> Tensor:
        if readable(raw):
            return torch.from_numpy(np.asarray(rule.loss.predict(_array(raw))))
        return rule.predict(raw)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return None, _derivative(ctx, grads[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        _autograd.refuse_nested_forward()
        return _derivative(ctx, tangents[1])

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return Prediction.apply(args[0], args[1].movedim(in_dims[1], 0)), 0


def _derivative(ctx: Any, v: Tensor) -> Any:
    rule, (raw,) = ctx.rule, ctx.saved_tensors
    if not rule.matching:
        raise NotImplementedError(f"the derivative of predict is not offered for {rule.loss!r}: of matching losses it is the hessian")
    return _autograd.Product.apply(rule, raw, rule.some_target(raw), None, v)


def _array(t: Tensor) -> Any:
    t = t.detach()
    return (t.float() if t.dtype in HALVES else t).numpy()


COMPUTES["hessian"] = lambda rule, raw, target, weight, curvature: Hessian.apply(rule, raw, target, weight, curvature)  # pyright: ignore[reportAssignmentType]
COMPUTES["predict"] = lambda rule, raw, *_: Prediction.apply(rule, raw)  # pyright: ignore[reportAssignmentType]
