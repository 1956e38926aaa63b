"""Losses as autograd functions: three entry points, one rule.

Plainly eager calls run `FastRows` or `FastTotal`, on compiled loops. Everything else (torch.func, tracing, other devices) runs `Value`,
whose derivative is `Gradient`, whose derivative is `Product`, the hessian times a vector. torch.compile sees
`_compiled.traced`, so that it keeps these derivatives: left alone it would inline the forward and differentiate that, branches
and all. There are no third derivatives.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from matchloss.torch._compiled import COMPUTES
from matchloss.torch._plain import batched, plain, readable, refuse_nested_forward
from matchloss.torch._rules import Rule

THIRD = "third derivatives of a loss are not offered: PyTorch would differentiate through the branches of its hessian"


def per_row(rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """weight * value of each row; float32 or float64 raw, arguments checked."""
    if plain(raw, target, weight) and rule.can_run:
        if raw.requires_grad and torch.is_grad_enabled():
            return FastRows.apply(rule, raw, target, weight)  # pyright: ignore[reportReturnType]
        return rule.values(raw, target, weight)
    return Value.apply(rule, raw, target, weight)[0]  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]


def total(rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None, scale: float, overwrite: bool = False) -> Tensor:
    """scale * sum(weight * value) of plain tensors, its gradient made in the same pass; with `overwrite` in raw's own memory."""
    if raw.requires_grad and torch.is_grad_enabled():
        return FastTotal.apply(rule, raw, target, weight, scale, overwrite)  # pyright: ignore[reportReturnType]
    return torch.scalar_tensor(rule.total(raw, target, weight, scale, False, False)[0], dtype=raw.dtype, device="cpu")


class FastRows(Function):
    """Values by a compiled loop; the gradient is made in backward, multiplied by what arrives there, in one pass."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        ctx.rule = rule
        ctx.save_for_backward(raw, target, weight)
        return rule.values(raw, target, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        rule, (raw, target, weight), g = ctx.rule, ctx.saved_tensors, grads[0]
        if torch.is_grad_enabled() or batched(g):
            return None, rule.spread(g) * Gradient.apply(rule, raw, target, weight), None, None
        factor = g if weight is None else torch.where(weight == 0, 0.0, g * weight)
        return None, rule.gradient(raw, target, factor), None, None


class FastTotal(Function):
    """A scaled sum, and its gradient in the same pass."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None, scale: float, overwrite: bool) -> Tensor:
        ctx.rule, ctx.scale, ctx.overwrite = rule, scale, overwrite
        value, ctx.gradient = rule.total(raw, target, weight, scale, True, overwrite)
        if overwrite:
            torch.autograd.graph.increment_version(raw)
        else:
            ctx.save_for_backward(raw, target, weight)
        return torch.scalar_tensor(value, dtype=raw.dtype, device="cpu")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        factor, gradient = grads[0], ctx.gradient
        twice = torch.is_grad_enabled()
        if ctx.overwrite:
            if twice or gradient is None:
                raise RuntimeError(
                    "the logits' memory was given to the gradient (overwrite=True): there is one backward pass, and no second order"
                )
        elif twice or gradient is None:
            raw, target, weight = ctx.saved_tensors
            if twice:
                return None, factor * ctx.scale * Gradient.apply(ctx.rule, raw, target, weight), None, None, None, None
            gradient = ctx.rule.total(raw, target, weight, ctx.scale, True, False)[1]  # a second pass over a retained graph
        if batched(factor):  # a batch of factors
            return None, gradient * factor, None, None, None, None
        ctx.gradient = None
        return None, gradient if factor.item() == 1.0 else gradient.mul_(factor), None, None, None, None


def front(t: Tensor | None, dim: int | None, size: int) -> Tensor | None:
    """The tensor with the batch in front, repeated where it has none."""
    if t is None:
        return None
    return t.expand(size, *t.shape) if dim is None else t.movedim(dim, 0)


def _batched(function: Any, info: Any, in_dims: Any, args: Any) -> Any:
    return function.apply(args[0], *(front(t, d, info.batch_size) for t, d in zip(args[1:], in_dims[1:], strict=True)))


def _only_raw(ctx: Any) -> None:
    if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
        raise NotImplementedError("the derivative of a loss in its target or its weights is not offered; detach them")


def _only_raw_forward(target: Any, weight: Any) -> None:
    if target is not None or weight is not None:
        raise NotImplementedError("the derivative of a loss in its target or its weights is not offered; detach them")


class Value(Function):
    """(weight * value of each row, weight * gradient); the second is not differentiable."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None) -> Any:
        if readable(raw, target, weight) and rule.can_run:
            return rule.values(raw, target, weight), rule.gradient(raw, target, weight)
        made = rule.composite(raw, target, weight)
        return made.value, made.gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(*inputs[1:], output[1])
        ctx.save_for_forward(*inputs[1:])
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if grads[0] is None:
            return None, None, None, None
        _only_raw(ctx)
        raw, target, weight, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            gradient = Gradient.apply(ctx.rule, raw, target, weight)
        return None, ctx.rule.spread(grads[0]) * gradient, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        refuse_nested_forward()
        _only_raw_forward(*tangents[2:])
        return ctx.rule.gather(tangents[1] * Gradient.apply(ctx.rule, *ctx.saved_tensors[:3])), None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _batched(Value, info, in_dims, args), (0, 0)


class Gradient(Function):
    """weight * gradient of each row."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        if readable(raw, target, weight) and rule.can_run:
            return rule.gradient(raw, target, weight)
        return rule.composite(raw, target, weight).gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if grads[0] is None:
            return None, None, None, None
        _only_raw(ctx)
        return None, Product.apply(ctx.rule, *ctx.saved_tensors, grads[0]), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        _only_raw_forward(*tangents[2:])
        return Product.apply(ctx.rule, *ctx.saved_tensors, tangents[1])

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _batched(Gradient, info, in_dims, args), 0


class Product(Function):
    """The hessian of each row, weighted, times v: symmetric, so that its derivative in v is itself."""

    @staticmethod
    def forward(rule: Rule, raw: Tensor, target: Tensor, weight: Tensor | None, v: Tensor) -> Tensor:
        return rule.product(raw, target, weight, v)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.rule = inputs[0]
        ctx.save_for_backward(*inputs[1:4])
        ctx.save_for_forward(*inputs[1:4])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if grads[0] is None:
            return None, None, None, None, None
        if ctx.needs_input_grad[1]:
            raise NotImplementedError(THIRD)
        return None, None, None, None, Product.apply(ctx.rule, *ctx.saved_tensors, grads[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        if tangents[1] is not None:
            raise NotImplementedError(THIRD)
        return Product.apply(ctx.rule, *ctx.saved_tensors, tangents[4])

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _batched(Product, info, in_dims, args), 0


COMPUTES["value"] = lambda rule, raw, target, weight, _: Value.apply(rule, raw, target, weight)[0]  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
COMPUTES["gradient"] = lambda rule, raw, target, weight, _: Gradient.apply(rule, raw, target, weight)  # pyright: ignore[reportAssignmentType]
