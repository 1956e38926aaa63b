"""overwrite=True: a gradient takes the memory of the logits, and three checks keep anyone from reading it as logits.

Before anything is written: a leaf, an inference tensor, or memory that another tensor or array shares is refused. While it is written, the
version of the logits goes up, so that an earlier operation that saved them fails in backward in autograd's own words. Afterwards the tensor
itself, and what it is a view of, are `Consumed`: whatever would read them raises.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from matchloss.engine.row_targets import check_targets
from matchloss.losses.simplex import CrossEntropy
from matchloss.torch import _plain

__all__ = ["Consumed", "applies", "consume", "refuse_bad", "refuse_shared"]

LABELS = CrossEntropy().programs["exact"]
ASKED = ("grad", "grad_fn", "shape", "dtype", "device", "layout", "ndim", "requires_grad", "is_leaf", "_version", "_base")
TOLD = ("size", "dim", "numel", "is_floating_point")  # nothing of these reads the memory


class Consumed(Tensor):
    """Logits whose memory a loss with overwrite=True gave to their gradient. Shape, dtype, grad and the like may be asked for."""

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
    """Whether overwriting changes anything: eager CPU tensors, with a gradient to come. Elsewhere the gradient has memory of its own."""
    return raw.requires_grad and torch.is_grad_enabled() and _plain.plain(raw)


def refuse_shared(raw: Tensor, classes: int = -1) -> None:
    """ValueError for logits that may not be overwritten; `classes` is their dimension of classes. Nothing has been written yet."""
    if raw.is_leaf:
        raise ValueError("overwrite=True needs logits that a model computed; these are a leaf, whose values would be lost")
    if not raw.movedim(classes, -1).is_contiguous():
        raise ValueError(
            f"overwrite=True needs logits whose classes lie last in memory; these have shape {tuple(raw.shape)} and strides "
            f"{raw.stride()}. Let the model compute (..., K) and pass logits.movedim(-1, 1)"
        )
    held = _plain.storage_holders(raw)
    if held is not None and held > 2 + raw._is_view():  # the tensor (and its base), and the storage that we ask
        raise ValueError(
            "overwrite=True: other tensors or arrays share the memory of these logits (a view, detach(), numpy(), "
            "or the output that an activation saved for backward)"
        )


def refuse_bad(target: Any, classes: int, ignore_index: int, sample_weight: Tensor | None) -> None:
    """DomainError for labels (...) or distributions (..., K) that are none; the pass that writes would find them too late."""
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
    """Turn the tensor, and what it is a view of, into Consumed ones."""
    for tensor in (raw, raw._base):
        if tensor is not None and type(tensor) is Tensor:
            tensor.__class__ = Consumed
