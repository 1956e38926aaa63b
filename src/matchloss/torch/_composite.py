"""Cross entropy of rows of logits by PyTorch's functions, for what no compiled loop can run; its derivatives are the formulas'."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from matchloss.engine import row_text
from matchloss.engine.row_text import Options
from matchloss.torch._namespace import TORCH, TORCH_ROWS
from matchloss.torch._plain import refuse_nested_forward
from matchloss.torch._targets import Rows


def loss_dtype(logits: Tensor) -> torch.dtype:
    """Half precision has a float32 loss."""
    return torch.float64 if logits.dtype is torch.float64 else torch.float32


def composite(z: Tensor, rows: Rows, shape: Options) -> tuple[Tensor, Tensor]:
    """The rows' losses by PyTorch's functions, and the part of them that is z-loss."""
    arguments = (z, rows.index, rows.share, rows.base, rows.dense, rows.scale, rows.weight, shape.softcap, shape.temperature, shape.z_loss)
    return opaque(*arguments) if torch.compiler.is_compiling() else Value.apply(*arguments)[:2]


@torch.compiler.allow_in_graph
def opaque(*arguments: Any) -> tuple[Tensor, Tensor]:
    """Value as one step of a compiled graph: else dynamo would differentiate its forward and leave our backward out."""
    return Value.apply(*arguments)[:2]


def slope(z: Tensor, rows: Rows, shape: Options) -> Tensor:
    """The gradient of each row, which can be differentiated."""
    return Gradient.apply(
        z, rows.index, rows.share, rows.base, rows.dense, rows.scale, rows.weight, shape.softcap, shape.temperature, shape.z_loss
    )


def jet_of(arguments: Any) -> tuple[row_text.Jet, Tensor, Tensor | None, Options]:
    """The formulas at these arguments of Value and Gradient; the target as one array, and the weights."""
    z, index, share, base, dense, scale, weight, softcap, temperature, z_loss = arguments
    work = loss_dtype(z)
    z = z.to(work)
    t: Any = 0.0
    if dense is not None:
        t = dense.to(work) if scale is None else dense.to(work) * scale
    if base is not None:
        t = t + base
    if index is not None:
        if index.shape[-1] == 1:
            t = t + torch.where(torch.arange(z.shape[-1], device=z.device) == index, share.to(work), 0.0)
        else:
            t = t + torch.zeros_like(z).scatter_add(-1, index, share.to(work))
    shape = Options(softcap, temperature, z_loss)
    w = None if weight is None else weight.to(work).unsqueeze(-1)
    return row_text.jet(TORCH, TORCH_ROWS, z, t + torch.zeros_like(z), shape), t + torch.zeros_like(z), w, shape


def weighted(w: Tensor | None, x: Tensor) -> Tensor:
    """w x, and 0 where w is 0."""
    return x if w is None else torch.where(w == 0, torch.zeros_like(x), w * x)


def vmapped(function: Any, info: Any, in_dims: tuple[Any, ...], arguments: tuple[Any, ...]) -> Any:
    """Moves the dimension that vmap adds to the front; the formulas take any number of them."""
    n = info.batch_size
    moved = []
    for x, d in zip(arguments, in_dims, strict=True):
        if not isinstance(x, Tensor):
            moved.append(x)
        else:
            moved.append(x.expand(n, *x.shape) if d is None else x.movedim(d, 0))
    return function.apply(*moved)


class Gradient(torch.autograd.Function):
    """The gradient of each row's loss, whose derivative is the formula's hessian."""

    @staticmethod
    def forward(*arguments: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, _, w, _ = jet_of(arguments)
        return weighted(w, x.gradient).to(arguments[0].dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(*inputs[:7])
        ctx.save_for_forward(*inputs[:7])
        ctx.rest = inputs[7:]

    @staticmethod
    def product(ctx: Any, v: Tensor) -> Tensor:
        """The hessian times v."""
        arguments = (*ctx.saved_tensors, *ctx.rest)
        x, t, w, shape = jet_of(arguments)
        return weighted(w, row_text.hessian_product(TORCH_ROWS, x, t, shape, v.to(x.p.dtype))).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Gradient.product(ctx, v), *(None,) * 9

    @staticmethod
    def jvp(ctx: Any, v: Tensor, *_: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Gradient.product(ctx, v)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return vmapped(Gradient, info, in_dims, arguments), 0


class Value(torch.autograd.Function):
    """Each row's loss, its part that is z-loss, and the gradient."""

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, _, w, shape = jet_of(arguments)
        z_part = shape.z_loss * x.logsumexp * x.logsumexp if shape.z_loss else torch.zeros_like(x.logsumexp)
        return weighted(w, x.value)[..., 0], weighted(w, z_part)[..., 0], weighted(w, x.gradient).to(arguments[0].dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(*inputs[:7], output[2])
        ctx.save_for_forward(*inputs[:7])
        ctx.mark_non_differentiable(output[1], output[2])
        ctx.set_materialize_grads(False)
        ctx.rest = inputs[7:]

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, *_: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if g is None:
            return (None,) * 10
        *tensors, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            gradient = Gradient.apply(*tensors, *ctx.rest)
        return g.unsqueeze(-1).to(gradient.dtype) * gradient, *(None,) * 9

    @staticmethod
    def jvp(ctx: Any, v: Tensor, *_: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        refuse_nested_forward()
        tensors = ctx.saved_tensors[:7]
        product = v * Gradient.apply(*tensors, *ctx.rest)
        return product.to(loss_dtype(v)).sum(-1), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return vmapped(Value, info, in_dims, arguments), (0, 0, 0)
