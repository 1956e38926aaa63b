"""Cross entropy of a linear layer without its whole logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from matchloss.engine.row_text import Options
from matchloss.errors import ShapeError
from matchloss.torch._cross_entropy import check_call, cross_entropy_rows, factor_of, options_of
from matchloss.torch._cross_entropy_rule import CrossEntropyRule
from matchloss.torch._dropin import Number
from matchloss.torch._layer import CHUNK_BYTES, OUTPUTS, Layer, Plan, TokenOutputs
from matchloss.torch._plain import overridable, plain
from matchloss.torch._products import product_library, set_product_library
from matchloss.torch._targets import Target, refuse_gradient, targets_of
from matchloss.torch._tensors import FLOATS, loss_dtype

__all__ = ["TokenOutputs", "product_library", "set_product_library"]  # functional exports linear_cross_entropy


@overridable
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Target,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    z_loss: float = 0.0,
    return_z_loss: bool = False,
    softcap: float | None = None,
    temperature: float = 1.0,
    outputs: Sequence[str] = (),
    chunk_bytes: int = CHUNK_BYTES,
    group: Any = None,
) -> Any:
    """`torch.nn.functional.linear_cross_entropy`: cross entropy of the logits input @ linear_weight.T + linear_bias, made in chunks.

    input (..., D), linear_weight (V, D), linear_bias (V,); target: labels (...) of any integer dtype, distributions (..., V), or a pair
    (labels, probabilities), each (..., m), for the m words that are not 0. weight (V,): one number per word; sample_weight (...): one
    per token. outputs: any of "log_probability" (of the label), "logsumexp", "argmax", "entropy", one number per token from the same
    pass; the result is then a pair (loss, TokenOutputs). With return_z_loss the z_loss * logsumexp^2 part follows the loss.
    chunk_bytes: memory for logits, at least 512 tokens' worth. group: the vocabulary is split over the processes of a torch.distributed
    group, each with its own rows of linear_weight, linear_bias and weight; input and labels are the same in all processes.

    Ignored tokens are dropped before the product. Only the gradients asked for are computed. Half dtypes sum in float32 and give a
    float32 loss. Second derivatives, torch.func, torch.compile and other devices compute the whole logits. Errors: cross_entropy.

    >>> import torch
    >>> from matchloss.torch import linear_cross_entropy
    >>> words = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> linear_cross_entropy(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), words, torch.tensor([0, -100]))
    tensor(0.7586)
    >>> loss, tokens = linear_cross_entropy(torch.tensor([[2.0, 0.0]]), words, torch.tensor([1]), outputs=["log_probability", "argmax"])
    >>> tokens.log_probability, tokens.argmax
    (tensor([-2.7586]), tensor([0]))
    """
    row_options = options_of(softcap, temperature, z_loss)
    input, linear_weight, linear_bias = _common_dtype(input, linear_weight, linear_bias)
    _check_layer(input, linear_weight, linear_bias, reduction, outputs)
    soft = isinstance(target, Tensor) and target.dtype in FLOATS
    if soft and ignore_index is not None:
        raise ValueError("ignore_index is of labels; target holds probabilities")
    arguments: dict[str, Any] = {
        "weight": weight,
        "ignore_index": -100 if ignore_index is None else ignore_index,
        "label_smoothing": label_smoothing,
        "sample_weight": sample_weight,
    }
    of_loss = {"reduction": reduction, "normalizer": normalizer}
    bent = {"z_loss": z_loss, "softcap": softcap, "temperature": temperature}
    if linear_weight.ndim > 2:
        if outputs or group is not None:
            raise ValueError("outputs and group are for a linear_weight of shape (V, D)")
        return _many_rows(input, linear_weight, target, linear_bias, return_z_loss=return_z_loss, **arguments, **of_loss, **bent)
    tensors = (*(target if isinstance(target, tuple | list) else (target,)), weight, sample_weight)
    refuse_gradient(weight=weight, sample_weight=sample_weight, **{f"target{i or ''}": t for i, t in enumerate(tensors[:-2])})
    outer, classes = tuple(input.shape[:-1]), linear_weight.shape[0]
    if "log_probability" in outputs and not (isinstance(target, Tensor) and tuple(target.shape) == outer):
        raise ValueError("log_probability is of a label; here the targets are distributions")
    visible = plain(input, linear_weight, linear_bias, *tensors)
    rule, make = CrossEntropyRule(row_options), targets_of
    if group is not None:
        from matchloss.torch._group import Split, SplitRule

        split = Split(group, classes, target, visible, argmax="argmax" in outputs)
        rule, make = SplitRule(row_options, split, remember=False), split.rows
    elif not visible:
        logits = F.linear(input, linear_weight, linear_bias)
        found = cross_entropy_rows(logits, target, return_z_loss=True, **arguments, **of_loss, **bent)
        return _result(
            found[0], found[1], _token_outputs_of(logits, target, row_options, outputs, arguments["ignore_index"]), return_z_loss, outputs
        )
    rows = make(target, outer, classes, input.dtype, visible=visible, **arguments)
    factor = factor_of(reduction, rows.count, normalizer, True)
    tokens = getattr(options, "batch_chunk_size", None)
    plan = Plan(rule, rows, target, factor, reduction, outputs, chunk_bytes, tokens)
    loss = Layer.apply(input.reshape(-1, input.shape[-1]), linear_weight, linear_bias, plan)
    loss = loss.reshape(outer) if reduction == "none" else loss
    z_part = plan.z_part.reshape(outer) if reduction == "none" and plan.z_part is not None else plan.z_part
    found = TokenOutputs(*(None if x is None else x.reshape(outer) for x in plan.tokens))
    return _result(loss, z_part, found, return_z_loss, outputs)


def _result(loss: Tensor, z_part: Tensor | None, tokens: TokenOutputs, return_z_loss: bool, outputs: Sequence[str]) -> Any:
    z_part = torch.zeros_like(loss, requires_grad=False) if z_part is None else z_part
    found = (loss, *((z_part,) if return_z_loss else ()), *((tokens,) if outputs else ()))
    return found if len(found) > 1 else loss


def _common_dtype(input: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The arguments in one dtype: autocast's if it is on, otherwise the wider of the two."""
    for name, t in (("input", input), ("linear_weight", weight)):
        if t.dtype not in FLOATS:
            raise TypeError(f"{name} has dtype {t.dtype}; allowed: float32, float64, bfloat16, float16")
    dtype = torch.promote_types(input.dtype, weight.dtype)
    if dtype is not torch.float64 and torch.is_autocast_enabled(input.device.type):
        dtype = torch.get_autocast_dtype(input.device.type)
    return input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)


def _check_layer(input: Tensor, weight: Tensor, bias: Tensor | None, reduction: str, outputs: Sequence[str]) -> None:
    if input.ndim == 0 or weight.ndim < 2 or input.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"input has shape {tuple(input.shape)} and linear_weight {tuple(weight.shape)}; allowed: (..., D) and (V, D) with the same D"
        )
    if weight.ndim > 2 and input.ndim != 2:
        raise ShapeError(f"linear_weight has shape {tuple(weight.shape)}, which asks for an input (N, D), not {tuple(input.shape)}")
    if bias is not None and bias.shape != weight.shape[:-1]:
        raise ShapeError(f"linear_bias has shape {tuple(bias.shape)}; linear_weight asks for {tuple(weight.shape[:-1])}")
    check_call(weight.T if weight.ndim == 2 else weight.movedim(0, -1), reduction)
    unknown = [name for name in outputs if name not in OUTPUTS]
    if unknown:
        raise ValueError(f"outputs has {unknown[0]!r}; allowed: {', '.join(map(repr, OUTPUTS))}")


def _many_rows(input: Tensor, layer: Tensor, target: Target, bias: Tensor | None, **arguments: Any) -> Any:
    """PyTorch's K-dimensional case: a softmax over the first dimension of linear_weight (C, d..., D) at each d..., from whole logits."""
    inner, work = layer.shape[1:-1], loss_dtype(input)  # half precision would round the logits once more
    with torch.autocast(input.device.type, enabled=False):
        logits = torch.einsum("nd,...d->n...", input.to(work), layer.movedim(0, -2).to(work))
        if bias is not None:
            logits = logits + bias.movedim(0, -1)
    if isinstance(target, Tensor) and tuple(target.shape) == (input.shape[0], layer.shape[0], *inner):
        target = target.movedim(1, -1)
    return cross_entropy_rows(logits, target, **arguments)


def _token_outputs_of(logits: Tensor, target: Target, row_options: Options, outputs: Sequence[str], ignore_index: int) -> TokenOutputs:
    """TokenOutputs from whole logits, by PyTorch's functions."""
    if not outputs:
        return TokenOutputs()
    u = logits.detach().to(loss_dtype(logits))
    if row_options.softcap:
        u = torch.where(u > -torch.inf, row_options.softcap * torch.tanh(u / row_options.softcap), u)
    logp = torch.log_softmax(u / row_options.temperature, dim=-1)
    kept, label = torch.ones(logits.shape[:-1], dtype=torch.bool, device=logits.device), None
    if isinstance(target, Tensor) and target.shape == logits.shape[:-1]:
        kept = target != ignore_index
        label = torch.where(kept, target, 0).long().unsqueeze(-1)
    made = {
        "log_probability": None if label is None else logp.gather(-1, label)[..., 0],
        "logsumexp": torch.logsumexp(u / row_options.temperature, dim=-1),
        "argmax": u.argmax(-1),
        "entropy": -torch.where(logp > -torch.inf, logp.exp() * logp, 0.0).sum(-1),
    }
    fill = {"argmax": -1}
    return TokenOutputs(**{name: torch.where(kept, made[name], fill.get(name, 0)) for name in outputs})
