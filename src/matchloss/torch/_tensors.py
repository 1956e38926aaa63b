"""Tensors as the engine sees them: their memory as arrays, new memory, and the protocol `m` over PyTorch where no memory can be read."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matchloss.engine import row_text, special
from matchloss.engine.namespaces import Namespace, RowReductions
from matchloss.torch._plain import readable

WHOLE = (torch.float32, torch.float64)
HALVES = (torch.float16, torch.bfloat16)  # computed in float32
FLOATS = (*WHOLE, *HALVES)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64)
HUGE_FROM = 32 << 20  # bytes; smaller blocks come from PyTorch's allocator already mapped
_HUGE_NUMBERS = HUGE_FROM // 8
_ADVICE = getattr(mmap, "MADV_HUGEPAGE", None)


def loss_dtype(raw: Tensor) -> torch.dtype:
    """The dtype of the loss: float32 for half precision, otherwise raw's."""
    return torch.float64 if raw.dtype is torch.float64 else torch.float32


def whole(t: Tensor) -> NDArray[Any]:
    """The tensor's memory as an array; half precision and strided tensors are copied."""
    t = t.detach()
    if t.dtype in HALVES:
        t = t.float()
    return t.contiguous().numpy()


def line(t: Tensor) -> NDArray[Any]:
    """The same, flattened, for a float32 or float64 tensor that needs no gradient; quick if it is one line already."""
    if t.ndim == 1 and t.is_contiguous():
        return t.numpy()
    return t.contiguous().numpy().reshape(-1)


def numbers(t: Tensor) -> NDArray[Any]:
    """A tensor's memory as an array, without a copy; half precision as uint16 bits."""
    return t.numpy() if t.dtype in WHOLE else t.view(torch.int16).numpy().view(np.uint16)


def _libc() -> Callable[..., int] | None:
    try:
        found = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return found


_madvise = _libc() if sys.platform == "linux" and _ADVICE is not None else None


def empty_like(like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A new contiguous tensor of the same shape and device, in huge pages if it is large."""
    if dtype is None and like.is_contiguous():
        made = torch.empty_like(like)
    else:
        made = torch.empty_like(like, dtype=dtype, memory_format=torch.contiguous_format)
    return _advise(made) if made.numel() >= _HUGE_NUMBERS else made


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A new tensor, in huge pages if it is large: with pages of 4 KB, page faults would cost more than writing the gradient there."""
    return _advise(torch.empty(shape, dtype=dtype, device="cpu"))


def _advise(t: Tensor) -> Tensor:
    size = t.numel() * t.element_size()
    if size >= HUGE_FROM and _madvise is not None and _ADVICE is not None and t.is_cpu and type(t) is Tensor:
        page, start = mmap.PAGESIZE, t.data_ptr()
        first = -(-start // page) * page
        _madvise(first, (start + size) // page * page - first, _ADVICE)  # only advice: if it fails, pages stay small
    return t


def _absent(*_: object) -> Any:
    raise NotImplementedError("a helper of the protocol may not call another one")


def _first_max(x: Tensor) -> Tensor:
    return torch.arange(x.shape[-1], device=x.device) == torch.argmax(x, dim=-1, keepdim=True)


def _iterate(
    step: Callable[[tuple[Tensor, ...]], tuple[tuple[Tensor, ...], Tensor]], state: tuple[Tensor, ...], limit: int
) -> tuple[Tensor, ...]:
    for _ in range(limit):
        state, going = step(state)
        if not bool(going.any()):
            break
    return state


_DIRECT = ("exp", "expm1", "log", "log1p", "sqrt", "abs", "floor", "where", "sin", "cos", "tanh")
_base = Namespace(**{n: getattr(torch, n) for n in _DIRECT}, log1p_unit=torch.log1p, sigmoid=_absent, softplus=_absent, erf=_absent)
TORCH = _base._replace(sigmoid=partial(special.sigmoid, _base), softplus=partial(special.softplus, _base), erf=partial(special.erf, _base))
TORCH_ROWS = RowReductions(
    sum=lambda x: torch.sum(x, dim=-1, keepdim=True),
    max=lambda x: torch.amax(x, dim=-1, keepdim=True),
    first_max=_first_max,
    iterate=_iterate,
)


@torch.library.custom_op("matchloss::deficit", mutates_args=())
def deficit(w: Tensor, power: float) -> Tensor:
    """matchloss.engine.row_text.deficit as a single operator, because its number of iterations depends on values that tracers lack."""
    return row_text.deficit(TORCH, TORCH_ROWS, w, power)


@deficit.register_fake
def _(w: Tensor, power: float) -> Tensor:
    return w.new_empty((*w.shape[:-1], 1))


@deficit.register_vmap
def _(info: Any, in_dims: Any, w: Tensor, power: float) -> tuple[Tensor, int]:
    return deficit(w.movedim(in_dims[0], 0), power), 0


def solve(m: Namespace, r: RowReductions, w: Tensor, power: float) -> Tensor:
    """row_text.deficit, opaque to tracers."""
    return row_text.deficit(m, r, w, power) if readable(w) else deficit(w, power)
