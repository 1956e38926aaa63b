"""Chooses the library that multiplies matrices: NumPy's BLAS or PyTorch's, either of which may be twice as fast on a given machine.

By default both are timed once per dtype, on the first real chunk. One library computes all three products, because each library's idle
threads spin and slow down the other's. `product_library()` reports the measurement; `set_product_library` overrides it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from matchloss.torch._tensors import WHOLE

NUMPY, TORCH, MEASURED = "numpy", "torch", "measured"
TRIAL_ROWS = 128
TRIAL_DEPTH = 512  # rows that the trial of the outer product sums over
TRIALS = 3  # in a row; the first one lasts until the other library's threads have gone to sleep
BLOCK = 8192  # words of the weight's gradient to multiply at a time, so that no second matrix of its size is needed
_setting = MEASURED
_found: dict[torch.dtype, dict[str, float]] = {}


def set_product_library(name: str) -> None:
    """Chooses the library that multiplies in linear_cross_entropy: "numpy", "torch", or "measured" (the default): the faster in a trial."""
    global _setting
    if name not in (NUMPY, TORCH, MEASURED):
        raise ValueError(f"product library is {name!r}; allowed: {NUMPY!r}, {TORCH!r}, {MEASURED!r}")
    _setting = name
    _found.clear()


def product_library() -> dict[str, Any]:
    """The setting, and the speeds measured so far in billions of operations per second, by dtype and library.

    >>> from matchloss.torch import product_library
    >>> product_library()["setting"]
    'measured'
    """
    return {"setting": _setting} | {str(dtype).removeprefix("torch."): dict(rates) for dtype, rates in _found.items()}


def choose(x: Tensor, weight: Tensor) -> str:
    """The library for x @ weight.T and the related products; PyTorch for half precision, for which NumPy has no fast product."""
    if x.dtype not in WHOLE:
        return TORCH
    if _setting != MEASURED:
        return _setting
    if x.dtype not in _found:
        if x.shape[0] * weight.numel() < 1 << 26:
            return TORCH  # too small to measure, or to matter
        _found[x.dtype] = _measure(x, weight)
    return max(_found[x.dtype], key=_found[x.dtype].__getitem__)


def _measure(x: Tensor, weight: Tensor) -> dict[str, float]:
    some, deep, block = x[:TRIAL_ROWS], x[:TRIAL_DEPTH], min(BLOCK, weight.shape[0])
    logits, back = x.new_empty(some.shape[0], weight.shape[0]), torch.empty_like(some)
    slopes, total = x.new_ones(deep.shape[0], block), torch.zeros_like(weight[:block])

    def trial(library: str) -> float:
        start = time.perf_counter()
        times_rows(library, some, weight, logits)
        times_columns(library, logits, weight, back)
        add_outer(library, slopes, deep, total, False)
        return time.perf_counter() - start

    operations = 4.0 * some.shape[0] * weight.numel() + 2.0 * deep.shape[0] * total.numel()
    return {library: round(1e-9 * operations / min(trial(library) for _ in range(TRIALS)), 1) for library in (NUMPY, TORCH)}


def times_rows(library: str, x: Tensor, weight: Tensor, out: Tensor) -> None:
    """out = x @ weight.T."""
    if library == NUMPY:
        np.matmul(x.numpy(), weight.numpy().T, out=out.numpy())
    else:
        torch.mm(x, weight.T, out=out)


def times_columns(library: str, z: Tensor, weight: Tensor, out: Tensor) -> None:
    """out = z @ weight."""
    if library == NUMPY:
        np.matmul(z.numpy(), weight.numpy(), out=out.numpy())
    else:
        torch.mm(z, weight, out=out)


def add_outer(library: str, z: Tensor, x: Tensor, total: Tensor, first: bool) -> None:
    """total = (0 if first else total) + z.T @ x, by blocks of rows; total may have a wider dtype than the product."""
    direct = first and total.dtype == z.dtype
    block = None if direct else x.new_empty(min(BLOCK, total.shape[0]), x.shape[1])
    for start in range(0, total.shape[0], BLOCK):
        stop = min(start + BLOCK, total.shape[0])
        part, columns = total[start:stop], z[:, start:stop]
        if library == TORCH and not direct and total.dtype == z.dtype:
            torch.addmm(part, columns.T, x, out=part)
            continue
        product = part if block is None else block[: stop - start]
        if library == NUMPY:
            np.matmul(columns.numpy().T, x.numpy(), out=product.numpy())
        else:
            torch.mm(columns.T, x, out=product)
        if block is not None:
            part.copy_(product) if first else part.add_(product)


@cache
def _openblas() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    found = ThreadpoolController().select(user_api="blas")
    return found if found.lib_controllers else None


@contextmanager
def as_many_threads(library: str) -> Iterator[None]:
    """Limits NumPy's BLAS to PyTorch's number of threads, if threadpoolctl is installed."""
    control = _openblas() if library == NUMPY else None
    threads = torch.get_num_threads()
    if control is None or all(c.num_threads == threads for c in control.lib_controllers if c.internal_api != "mkl"):
        yield
        return
    with control.limit(limits=threads):
        yield
