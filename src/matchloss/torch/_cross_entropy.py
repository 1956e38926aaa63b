"""Cross entropy with PyTorch's meaning of every option: the function, and the loss of rows of logits that it shares with
linear_cross_entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from matchloss.engine.row_text import Options
from matchloss.engine.rows import SMALL
from matchloss.errors import ShapeError
from matchloss.torch import _autograd, _overwrite
from matchloss.torch._cross_entropy_rule import PLAIN_RULE, CrossEntropyRule
from matchloss.torch._dropin import Number, check_input, check_tensors, reduction_of
from matchloss.torch._plain import overridable, plain
from matchloss.torch._targets import BadRow, Target, Targets, refuse_gradient, refuse_row, targets_of
from matchloss.torch._tensors import FLOATS, WHOLE

REDUCTIONS = ("mean", "sum", "none")


@overridable
def cross_entropy(
    input: Tensor,
    target: Target,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    z_loss: float = 0.0,
    return_z_loss: bool = False,
    softcap: float | None = None,
    temperature: float = 1.0,
    overwrite: bool = False,
    group: Any = None,
) -> Any:
    """`torch.nn.functional.cross_entropy`: log sum exp u - u_label, exact in the tails, with u = softcap(input) / temperature.

    input (C,), (N, C) or (N, C, d...); target: labels (), (N,), (N, d...) of any integer dtype, or distributions of the input's shape, or
    a pair (labels, probabilities), each (N, m) or (N, m, d...), for the m classes that are not 0. weight (C,): one per class.
    sample_weight has the shape of the labels. z_loss adds z_loss * (log sum exp u)^2 to each row; with return_z_loss the result is a
    pair of the loss and that part of it, detached. group: the classes are split over the processes of a torch.distributed group.
    A logit of -inf masks a class. Half dtypes give a float32 loss. With all labels ignored or no rows the mean is NaN and the sum 0.

    Raises DomainError for a label that is neither a class nor ignore_index, a distribution that does not sum to 1, a negative weight;
    ShapeError for shapes that do not match; TypeError for dtypes; ValueError for a target that requires grad, and by overwrite.

    >>> import torch
    >>> from matchloss.torch import cross_entropy
    >>> logits = torch.tensor([[40.0, 0.0, 0.0], [0.0, 1.0, 2.0]], requires_grad=True)
    >>> cross_entropy(logits, torch.tensor([0, 2]))
    tensor(0.2038, grad_fn=<...>)
    """
    plainest = (
        weight is None and size_average is None and reduce is None and label_smoothing == 0.0 and sample_weight is None
        and normalizer is None and z_loss == 0.0 and not return_z_loss and softcap is None and temperature == 1.0
        and group is None and (reduction == "mean" or reduction == "sum")
    )  # fmt: skip
    if plainest and not overwrite:
        loss = of_labels(input, target, ignore_index, reduction == "mean")
        if loss is not None:
            return loss
    reduction = reduction_of(size_average, reduce, reduction, normalizer)
    check_classes(input, target, ignore_index)
    for name, given in (("weight", weight), ("sample_weight", sample_weight)):
        if given is not None:
            check_tensors(**{name: given})
    over = overwrite and _overwrite.applies(input)
    if over:
        _overwrite.refuse_shared(input, min(input.ndim - 1, 1))
    rows, wanted = input, target
    if input.ndim > 2:
        rows = input.movedim(1, -1)
        if isinstance(target, tuple):
            labels, shares = (part.movedim(1, -1) if part.ndim == input.ndim else part for part in target)
            wanted = labels, shares
        elif target.shape == input.shape:
            wanted = target.movedim(1, -1)
    if over and group is None:  # a group checks before it writes, over all its classes
        _overwrite.refuse_bad(wanted, rows.shape[-1], ignore_index, sample_weight)
    result = of_labels(rows, wanted, ignore_index, reduction == "mean", over) if plainest and over else None
    if result is None:
        result = cross_entropy_rows(
            rows,
            wanted,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
            sample_weight=sample_weight,
            normalizer=normalizer,
            z_loss=z_loss,
            softcap=softcap,
            temperature=temperature,
            overwrite=over,
            group=group,
            return_z_loss=return_z_loss,
        )
    if over:
        _overwrite.consume(input)
    return result


def of_labels(logits: Tensor, target: object, ignore_index: int, mean: bool, overwrite: bool = False) -> Tensor | None:
    """The common case at the least cost: the mean or sum over rows of logits with labels and no options; None for any other call."""
    if not (
        type(target) is Tensor and target.dtype is torch.int64 and isinstance(logits, Tensor) and logits.dtype in WHOLE
        and logits.ndim == 2 and target.shape == logits.shape[:1] and logits.shape[1] and plain(logits, target)
    ):  # fmt: skip
        return None
    n = target.shape[0]
    found_out = ignore_index < 0 and logits.numel() <= SMALL and not overwrite  # the loop itself finds ignored labels
    if not n or not (found_out or not np.count_nonzero(target.numpy() == ignore_index)):
        return None
    try:
        return _autograd.total(PLAIN_RULE, logits, 1.0 / n if mean else 1.0, overwrite, target)[0]
    except BadRow as error:
        if ignore_index in target.numpy():
            return None
        refuse_row(target, error.row, logits.shape[1])


def check_classes(input: Tensor, target: object, ignore_index: int) -> None:
    """Raises unless the target is labels (N, d...), distributions (N, C, d...) or a pair (labels, probabilities) for input (N, C, d...)."""
    pair = isinstance(target, tuple)
    check_tensors(input=input)
    if not isinstance(target, Tensor) and not (pair and len(target) == 2 and all(isinstance(part, Tensor) for part in target)):
        hint = "a torch.Tensor: pass torch.as_tensor(target)" if not pair else "a torch.Tensor, or a pair of them: labels and probabilities"
        raise TypeError(f"target is a {type(target).__name__}; it must be {hint}")
    check_input(input)
    if input.ndim == 0:
        raise ShapeError("input is a scalar; cross entropy takes (C,), (N, C) or (N, C, d...)")
    if ignore_index >= 0 and (not isinstance(target, Tensor) or target.is_floating_point()):
        raise ValueError(f"ignore_index is {ignore_index}, which is of labels; target holds probabilities")
    if not isinstance(target, Tensor):
        return
    labels = input.shape[:1] + input.shape[2:] if input.ndim > 1 else input.shape[:0]
    if target.shape == input.shape:
        if not target.is_floating_point():
            raise TypeError(
                f"target has the input's shape and dtype {target.dtype}; distributions are floating, labels have shape {tuple(labels)}"
            )
    elif target.shape != labels:
        allowed = f"input of shape {tuple(input.shape)} asks for labels {tuple(labels)} or distributions {tuple(input.shape)}"
        raise ShapeError(f"target has shape {tuple(target.shape)}; {allowed}")


def cross_entropy_rows(
    logits: Tensor,
    target: Target,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    sample_weight: Tensor | None = None,
    normalizer: Number | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    overwrite: bool = False,
    group: Any = None,
    return_z_loss: bool = False,
) -> Any:
    """Cross entropy of logits (..., K), class last, with targets as labels (...), distributions (..., K), or a top-k pair of (..., m).

    The loss is a scalar, or (...) with reduction="none"; float32 for logits of half precision. With `return_z_loss` it is a pair: the
    loss, and its z_loss * logsumexp^2 part, detached.
    """
    options = options_of(softcap, temperature, z_loss)
    check_call(logits, reduction)
    tensors = (logits, *(target if isinstance(target, tuple | list) else (target,)), weight, sample_weight)
    visible = plain(*tensors)
    refuse_gradient(weight=weight, sample_weight=sample_weight, **{f"target{i or ''}": t for i, t in enumerate(tensors[1:-2])})
    outer, classes = tuple(logits.shape[:-1]), logits.shape[-1]
    rule, make = CrossEntropyRule(options), targets_of
    if group is not None:
        from matchloss.torch._group import Split, SplitRule  # imported here because some builds lack torch.distributed

        split = Split(group, classes, target, visible)
        rule, make = SplitRule(options, split, remember=True), split.rows
    rows = make(
        target, outer, classes, logits.dtype, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing,
        sample_weight=sample_weight, visible=visible,
    )  # fmt: skip
    z = logits if logits.ndim == 2 else logits.reshape(-1, classes)
    factor = factor_of(reduction, rows.count, normalizer, visible)
    try:
        if visible and reduction != "none":
            made = _autograd.total(rule, z, factor, overwrite, *rows.given)
        else:
            made = per_row(rule, z, rows, overwrite)
            factor = factor.to(made[0].dtype) if isinstance(factor, Tensor) else factor
            made = tuple(x.reshape(outer) if reduction == "none" else x.sum() * factor for x in made)
    except BadRow as error:
        refuse_row(target, error.row, classes)
    loss, *parts = made
    if return_z_loss:
        return loss, parts[0].detach() if parts else torch.zeros_like(loss, requires_grad=False)
    return loss


def per_row(rule: CrossEntropyRule, z: Tensor, rows: Targets, overwrite: bool = False) -> tuple[Tensor, ...]:
    """_autograd.per_row for rows of logits; works under torch.compile too."""
    if torch.compiler.is_compiling():
        o = rule.options
        return _autograd.traced("value", ("cross entropy", o.softcap, o.temperature, o.z_loss), z, *rows.given)
    return _autograd.per_row(rule, z, *rows.given, overwrite=overwrite)


def options_of(softcap: float | None, temperature: float, z_loss: float) -> Options:
    """The checked options softcap, temperature and z_loss."""
    cap = 0.0 if softcap is None else float(softcap)
    if softcap is not None and not 0.0 < cap < torch.inf:
        raise ValueError(f"softcap is {softcap!r}; allowed: greater than 0 and finite, or None")
    if not 0.0 < temperature < torch.inf:
        raise ValueError(f"temperature is {temperature!r}; allowed: greater than 0 and finite")
    if not 0.0 <= z_loss < torch.inf:
        raise ValueError(f"z_loss is {z_loss!r}; allowed: 0 or greater, and finite")
    return Options(cap, float(temperature), float(z_loss))


def check_call(logits: Tensor, reduction: str) -> None:
    """The checks that every call needs."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; allowed: {', '.join(map(repr, REDUCTIONS))}")
    if logits.dtype not in FLOATS:
        raise TypeError(f"logits have dtype {logits.dtype}; allowed: float32, float64, bfloat16, float16")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ShapeError(f"logits have shape {tuple(logits.shape)}; allowed: (..., K) with at least one class")


def factor_of(reduction: str, count: Any, normalizer: Number | None, visible: bool) -> Any:
    """The factor of the sum of the rows' losses."""
    if reduction != "mean":
        return 1.0
    if isinstance(normalizer, Tensor):
        refuse_gradient(normalizer=normalizer)
    divisor = count if normalizer is None else normalizer
    if visible:
        divisor = float(divisor)
        return 1.0 / divisor if divisor else torch.nan
    return 1.0 / divisor if isinstance(divisor, Tensor) or divisor else torch.nan
