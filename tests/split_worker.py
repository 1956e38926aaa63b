"""One of two processes that share a vocabulary (tests/test_torch_split.py): `python split_worker.py RANK FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F

from matchloss.errors import DomainError
from matchloss.torch import cross_entropy, linear_cross_entropy

CUT = [0, 37, 50]  # uneven
OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"label_smoothing": 0.1},
    {"softcap": 3.0, "temperature": 0.7, "z_loss": 0.01},
    {"weight": True, "label_smoothing": 0.2},
    {"reduction": "none", "z_loss": 0.1},
    {"sample_weight": True},
]


def check(rank: int) -> None:
    torch.manual_seed(0)
    n, d, v = 23, 6, CUT[-1]
    x, w, b = torch.randn(n, d).double(), torch.randn(v, d).double(), torch.randn(v).double()
    x[0] *= 20  # a confident row
    labels = torch.randint(0, v, (n,))
    labels[3] = -100
    share = torch.rand(n, 4).double()
    targets = {
        "labels": labels,
        "soft": torch.rand(n, v).double().softmax(-1),
        "top": (torch.randint(0, v, (n, 4)), share / share.sum(-1, keepdim=True)),
    }
    own = slice(CUT[rank], CUT[rank + 1])
    classes, rows = torch.rand(v).double(), torch.rand(n).double()
    for name, target in targets.items():
        for option in OPTIONS:
            whole = dict(option)
            if "weight" in option:
                whole["weight"] = classes
            if "sample_weight" in option:
                whole["sample_weight"] = rows
            part = whole | ({"weight": classes[own]} if "weight" in option else {})
            local = target[:, own] if name == "soft" else target
            a = [t.clone().requires_grad_() for t in (x, w, b)]
            expected = cross_entropy(F.linear(*a), target, **whole)
            g = torch.rand_like(expected)
            expected.backward(g)
            c = [t.clone().requires_grad_() for t in (x, w[own], b[own])]
            found = linear_cross_entropy(
                c[0], c[1], local, linear_bias=c[2], group=dist.group.WORLD, outputs=["argmax", "entropy", "logsumexp"], **part
            )
            found[0].backward(g)
            e = [t.clone().requires_grad_() for t in (x, w[own], b[own])]
            plain = cross_entropy(F.linear(*e), local, group=dist.group.WORLD, **part)
            plain.backward(g)
            dist.all_reduce(e[0].grad)  # which a model whose last layer is split does itself
            f = [t.clone().requires_grad_() for t in (x, w[own], b[own])]
            logits = F.linear(*f)
            memory = logits.data_ptr()
            logits.register_hook(lambda gradient, memory=memory: check_place(gradient, memory))
            over = cross_entropy(logits, local, group=dist.group.WORLD, overwrite=True, **part)
            over.backward(g)
            dist.all_reduce(f[0].grad)
            assert torch.equal(over, plain) and all(torch.equal(p.grad, q.grad) for p, q in zip(f, e, strict=True))
            assert type(logits).__name__ == "Consumed"
            alone = linear_cross_entropy(x, w, target, linear_bias=b, outputs=["argmax", "entropy", "logsumexp"], **whole)
            for got in (found[0], plain):
                torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
            for got, want in zip(
                (*(t.grad for t in c), *(t.grad for t in e)), (a[0].grad, a[1].grad[own], a[2].grad[own]) * 2, strict=True
            ):
                torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-12)
            for field in ("argmax", "entropy", "logsumexp"):
                torch.testing.assert_close(getattr(found[1], field), getattr(alone[1], field), rtol=1e-12, atol=1e-12)


def check_place(gradient: torch.Tensor, memory: int) -> None:
    """With overwrite=True the gradient lies where the logits were."""
    assert gradient.data_ptr() == memory


def errors(rank: int) -> None:
    """An error in one process reaches the other, and neither hangs."""
    x, w = torch.zeros(2, 3), torch.zeros(CUT[rank + 1] - CUT[rank], 3)
    bad = torch.full((w.shape[0],), -1.0 if rank else 1.0)
    for kwargs, target, kind in (
        ({}, torch.tensor([0, 50]), DomainError),
        ({}, torch.tensor([0, rank]), DomainError),
        ({"weight": bad}, torch.tensor([0, 1]), DomainError if rank else RuntimeError),
    ):
        try:
            linear_cross_entropy(x, w, target, group=dist.group.WORLD, **kwargs)
        except kind:
            continue
        raise AssertionError((kwargs, target))
    logits = F.linear(torch.ones(2, 3), torch.ones(w.shape[0], 3).requires_grad_())
    try:
        cross_entropy(logits, torch.tensor([0, 50]), group=dist.group.WORLD, overwrite=True)
    except DomainError:
        assert bool((logits == 3).all())  # nothing was written
    else:
        raise AssertionError("a label of no class")


if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'rendezvous'}", rank=rank, world_size=2)
    check(rank)
    errors(rank)
    dist.barrier()
    dist.destroy_process_group()
    print("ok", flush=True)
    os._exit(0)  # gloo's threads may outlive the group, and the interpreter's end would then abort
