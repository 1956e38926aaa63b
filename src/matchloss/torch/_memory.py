"""Allocates memory in huge pages: with pages of 4 KB, page faults would cost more than writing the gradient there."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

HUGE_FROM = 32 << 20  # bytes; smaller blocks come from PyTorch's allocator already mapped
_HUGE_NUMBERS = HUGE_FROM // 8
_ADVICE = getattr(mmap, "MADV_HUGEPAGE", None)


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


def empty(shape: Sequence[int], dtype: torch.dtype, device: Any = "cpu") -> Tensor:
    """A new tensor, in huge pages if it is large."""
    return _advise(torch.empty(shape, dtype=dtype, device=device))


def _advise(t: Tensor) -> Tensor:
    size = t.numel() * t.element_size()
    if size >= HUGE_FROM and _madvise is not None and _ADVICE is not None and t.is_cpu and type(t) is Tensor:
        page, start = mmap.PAGESIZE, t.data_ptr()
        first = -(-start // page) * page
        _madvise(first, (start + size) // page * page - first, _ADVICE)  # only advice: if it fails, pages stay small
    return t
