"""Which library multiplies matrices: NumPy's BLAS or PyTorch's, since either may be twice as fast as the other on one machine.

The default is measured once a dtype, on the first real chunk, for each of the three products by itself: a BLAS that leads in one may
trail in another. `product_library()` tells what was found, `set_product_library` decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

NUMPY, TORCH, MEASURED = "numpy", "torch", "measured"
TRIAL_ROWS = 128
TRIAL_DEPTH = 512  # rows of the trial of the outer product, which sums over them
BLOCK = 8192  # words of the weight's gradient that are multiplied at a time, for there to be no second matrix of its size
_setting = MEASURED
_found: dict[torch.dtype, dict[str, dict[str, float]]] = {}


class Choice(NamedTuple):
    """The library of each product."""

    rows: str  # input @ weight.T
    columns: str  # logits @ weight
    outer: str  # logits.T @ input


def set_product_library(name: str) -> None:
    """Chooses who multiplies in linear_cross_entropy: "numpy", "torch", or "measured", the default: the faster one of a first trial."""
    global _setting
    if name not in (NUMPY, TORCH, MEASURED):
        raise ValueError(f"product library is {name!r}; allowed: {NUMPY!r}, {TORCH!r}, {MEASURED!r}")
    _setting = name
    _found.clear()


def product_library() -> dict[str, Any]:
    """The setting, and what was measured so far: billions of operations a second, by dtype, product and library.

    The products are "rows", input @ weight.T; "columns", the logits' gradient @ weight; "outer", its transpose @ input.

    >>> from matchloss.torch import product_library
    >>> product_library()["setting"]
    'measured'
    """
    return {"setting": _setting} | {
        str(dtype).removeprefix("torch."): {product: dict(of) for product, of in rates.items()} for dtype, rates in _found.items()
    }


def choose(x: Tensor, weight: Tensor) -> Choice:
    """The library for x @ weight.T and its kin; half precision is PyTorch's alone, NumPy knows no fast product of it."""
    if x.dtype not in (torch.float32, torch.float64):
        return Choice(TORCH, TORCH, TORCH)
    if _setting != MEASURED:
        return Choice(_setting, _setting, _setting)
    if x.dtype not in _found:
        if x.shape[0] * weight.numel() < 1 << 26:
            return Choice(TORCH, TORCH, TORCH)  # too small to tell, and to matter
        _found[x.dtype] = _measure(x, weight)
    return Choice(*(max(rates, key=rates.__getitem__) for rates in _found[x.dtype].values()))


def _measure(x: Tensor, weight: Tensor) -> dict[str, dict[str, float]]:
    some, deep, block = x[:TRIAL_ROWS], x[:TRIAL_DEPTH], min(BLOCK, weight.shape[0])
    logits, back = x.new_empty(some.shape[0], weight.shape[0]), torch.empty_like(some)
    slopes, total = x.new_ones(deep.shape[0], block), torch.zeros_like(weight[:block])
    trials: dict[str, tuple[float, Callable[[str], None]]] = {
        "rows": (some.shape[0] * weight.numel(), lambda library: times_rows(library, some, weight, logits)),
        "columns": (some.shape[0] * weight.numel(), lambda library: times_columns(library, logits, weight, back)),
        "outer": (deep.shape[0] * total.numel(), lambda library: add_outer(library, slopes, deep, total, False)),
    }
    found: dict[str, dict[str, float]] = {}
    for product, (size, run) in trials.items():
        times = {NUMPY: np.inf, TORCH: np.inf}
        for _ in range(3):  # the first round starts thread pools and touches memory
            for library in times:
                start = time.perf_counter()
                run(library)
                times[library] = min(times[library], time.perf_counter() - start)
        found[product] = {library: round(2e-9 * size / seconds, 1) for library, seconds in times.items()}
    return found


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
    """total = (0 if first else total) + z.T @ x, by blocks of rows; total may be of more precision than the product."""
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
def as_many_threads(choice: Choice) -> Iterator[None]:
    """NumPy's BLAS uses as many threads as PyTorch is set to, where threadpoolctl is there to tell it so."""
    control = _openblas() if NUMPY in choice else None
    threads = torch.get_num_threads()
    if control is None or all(c.num_threads == threads for c in control.lib_controllers if c.internal_api != "mkl"):
        yield
        return
    with control.limit(limits=threads):
        yield
