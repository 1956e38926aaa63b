"""What other processes of tests/test_torch_training.py run; they import this file by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

import matchloss.torch as mt

LENGTHS = (5, 11)  # tokens that count, in the batch of each process


def data(rank: int) -> tuple[Any, Any]:
    """A batch in which only some rows count."""
    r = torch.Generator().manual_seed(rank)
    x, y = torch.randn(16, 6, generator=r), torch.randint(0, 9, (16,), generator=r)
    y[LENGTHS[rank] :] = -100
    return x, y


def net() -> Any:
    """The same parameters everywhere."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Tanh(), torch.nn.Linear(12, 9))


def share(rank: int, folder: str) -> None:
    """One of two processes: the mean over the labels of both, by normalizer; DDP averages gradients, so it is half their number."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        model = DistributedDataParallel(net())
        x, y = data(rank)
        count = (y != -100).sum()
        dist.all_reduce(count)
        mt.CrossEntropyLoss(overwrite=rank == 1)(model(x), y, normalizer=count / 2).backward()
        torch.save([p.grad for p in model.parameters()], Path(folder) / f"{rank}.pt")
        dist.barrier()
        del model  # before its group: else PyTorch (with its own loss as well) hangs in one of ten runs when the frame is left
    finally:
        dist.destroy_process_group()


class Losses(Dataset):  # type: ignore[type-arg]
    """A data set whose items are losses of 2,000 and of 3 rows: compiled loops and their threads, in a forked worker."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> Any:
        return losses(), os.getpid()


def losses() -> Any:
    """A few losses of fixed data, and a gradient."""
    r = torch.Generator().manual_seed(0)
    out = []
    for rows in (2_000, 3):
        raw = torch.randn(rows, 7, generator=r).requires_grad_()
        y = torch.randint(0, 7, (rows,), generator=r)
        value = mt.cross_entropy(raw, y) + mt.binary_cross_entropy_with_logits(raw, raw.detach().sigmoid())
        value.backward()
        assert raw.grad is not None
        out += [value.detach(), raw.grad.abs().sum()]
    return torch.stack(out)
