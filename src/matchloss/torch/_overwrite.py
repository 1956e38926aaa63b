"""overwrite=True: the gradient takes the logits' memory, and three safeguards keep anyone from reading it as logits.

Before anything is written, a leaf, an inference tensor, or memory that another tensor or array shares is refused. Writing increments
the logits' version, so that an earlier operation that saved them raises autograd's own error in backward. Afterwards the tensor, and the
tensor that it is a view of, are `Consumed`: reading them raises.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from matchloss.engine.row_targets import check_targets
from matchloss.torch import _plain

__all__ = ["Consumed", "applies", "consume", "refuse_bad", "refuse_shared"]

ASKED = ("grad", "grad_fn", "shape", "dtype", "device", "layout", "ndim", "requires_grad", "is_leaf", "_version", "_base")
TOLD = ("size", "dim", "numel", "is_floating_point")  # allowed, because they do not read the memory


class Consumed(Tensor):
    """Logits whose memory now holds their gradient, after overwrite=True. Only shape, dtype, grad and the like can be read."""

    HARMLESS = frozenset([getattr(Tensor, name).__get__ for name in ASKED] + [getattr(Tensor, name) for name in TOLD])

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in cls.HARMLESS:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        raise RuntimeError(
            "these logits are gone: a loss with overwrite=True put their gradient in their place. "
            "Read them before the loss, or call it without overwrite"
        )

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Consumed(shape={tuple(self.shape)}, dtype={self.dtype}: its memory was given to the gradient by overwrite=True)"


def applies(raw: Tensor) -> bool:
    """Whether overwriting applies: to eager CPU tensors that require a gradient. Otherwise the gradient gets memory of its own."""
    return raw.requires_grad and torch.is_grad_enabled() and _plain.plain(raw)


def refuse_shared(raw: Tensor, classes: int = -1) -> None:
    """ValueError, before anything is written, for logits that may not be overwritten; `classes` is their class dimension."""
    if raw.is_leaf:
        raise ValueError("overwrite=True needs logits that a model computed; these are a leaf, whose values would be lost")
    if not raw.movedim(classes, -1).is_contiguous():
        raise ValueError(
            f"overwrite=True needs logits whose classes lie last in memory; these have shape {tuple(raw.shape)} and strides "
            f"{raw.stride()}. Let the model compute (..., K) and pass logits.movedim(-1, 1)"
        )
    held = _plain.storage_holders(raw)
    if held is not None and held > 2 + raw._is_view():  # the tensor (and its base), and our own handle of the storage
        raise ValueError(
            "overwrite=True: other tensors or arrays share the memory of these logits (a view, detach(), numpy(), "
            "or the output that an activation saved for backward)"
        )


def refuse_bad(target: Any, classes: int, ignore_index: int, sample_weight: Tensor | None) -> None:
    """DomainError for invalid labels (...) or distributions (..., K), which the writing pass would find too late."""
    if not isinstance(target, Tensor) or target.requires_grad or not _plain.plain(target, sample_weight):
        return
    if target.is_floating_point():
        y, counted = target.half() if target.element_size() == 2 else target, torch.ones(target.shape[:-1])
    else:
        y = target.long()
        counted = (y != ignore_index).float()
    if sample_weight is not None and sample_weight.shape == counted.shape:
        counted = counted * sample_weight
    check_targets(y.numpy(), not target.is_floating_point(), classes, counted.detach().numpy())


def consume(raw: Tensor) -> None:
    """Turns the tensor, and the tensor that it is a view of, into Consumed ones."""
    for tensor in (raw, raw._base):
        if tensor is not None and type(tensor) is Tensor:
            tensor.__class__ = Consumed
