"""Losses of a row of logits: cross entropy against PyTorch, its memory in place, the sparse ones against the entmax package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import entmax
import numpy as np
import torch
from numpy.typing import NDArray

import matchloss as ml
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss.engine import threads

CROSS_ENTROPY = {(20_000, 1000): 6.0, (4096, 50_257): 9.0, (1_000_000, 10): 9.0}
SPARSE: dict[ml.Loss, Callable[..., Any]] = {ml.Sparsemax(): entmax.sparsemax_loss, ml.Entmax(1.5): entmax.entmax15_loss}


def data(shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape, dtype=np.float32), rng.integers(0, shape[1], shape[0])


def moved(source: NDArray[np.float32], sink: NDArray[np.float32]) -> None:
    """Logits read and a gradient written, on the engine's threads."""
    a, b = source.reshape(-1), sink.reshape(-1)

    def block(start: int, stop: int) -> int:
        np.copyto(b[start:stop], a[start:stop])
        return -1

    threads.over_blocks(a.size, 1 << 18, block)


def compare(table: Table, loss: ml.Loss, peer: Callable[..., Any], shape: tuple[int, int], limit: float, rounds: int) -> None:
    """Value and gradient of one array by both, ours into new arrays and into given ones. PyTorch's gradient is always a new array."""
    raw, target = data(shape)
    z, y = torch.from_numpy(raw).requires_grad_(), torch.from_numpy(target)
    out = ml.Evaluation(np.zeros(shape[0], np.float32), np.zeros(shape, np.float32))
    other = np.zeros(shape, np.float32)

    def forward_backward() -> None:
        z.grad = None
        peer(z, y).sum().backward()

    t = best_of(
        {
            "peer": forward_backward,
            "new": partial(loss.evaluate, raw, target),
            "given": partial(loss.evaluate, raw, target, out=out),
            "moving": partial(moved, raw, other),
        },
        rounds,
    )
    assert z.grad is not None
    np.testing.assert_allclose(out.gradient, z.grad.numpy(), atol=2e-5, err_msg=repr(loss))  # so that the same thing was timed
    for ours, words in (("new", "into new arrays"), ("given", "with out=")):
        detail = f"{1e3 * t['peer']:.1f} ms over {1e3 * t[ours]:.1f} ms"
        over = t[ours] / t["moving"]
        table.add(Line(f"{loss.name} {shape}, {words}", t["peer"] / t[ours], limit, least=True, digits=1, detail=detail, over_limit=over))


def against_torch() -> Table:
    table = Table(
        "Cross entropy, value and gradient, float32, against PyTorch eager: how many times as fast",
        f"PyTorch {torch.__version__} as it comes, {torch.get_num_threads()} threads: `cross_entropy(z, y, reduction='none').sum()"
        ".backward()`. Each best of 5 to 9 in turn.",
    )
    peer = partial(torch.nn.functional.cross_entropy, reduction="none")
    for shape, limit in CROSS_ENTROPY.items():
        compare(table, ml.CrossEntropy(), peer, shape, limit, rounds=5 if shape[1] > 10_000 else 9)
    return table


def against_entmax() -> Table:
    table = Table(
        "Sparse losses, value and gradient, float32, against the entmax package: how many times as fast",
        "`sparsemax_loss` and `entmax15_loss` of the package, `.sum().backward()`; each best of 5 in turn.",
    )
    for loss, peer in SPARSE.items():
        compare(table, loss, peer, (20_000, 1000), 6.0, rounds=5)
    return table


# In a process of its own, whose greatest resident memory can be read. The small call before compiles and starts the threads.
MEMORY = """
import sys
import numpy as np
import matchloss as ml

def peak():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) * 1024

rows, classes = map(int, sys.argv[1:])
raw = np.empty((rows, classes), np.float32)
rng = np.random.default_rng(0)
rng.standard_normal(out=raw, dtype=np.float32)
target, value = rng.integers(0, classes, rows), np.full(rows, 1.0, np.float32)  # full: in memory, where zeros would come later
some = slice(0, max(512, (1 << 18) // classes))
part = raw[some].copy()
loss = ml.CrossEntropy()
loss.evaluate(part, target[some], out=ml.Evaluation(value[some], part))
del part
with open("/proc/self/clear_refs", "w") as f:
    f.write("5")  # the peak is now what is resident
before = peak()
loss.evaluate(raw, target, out=ml.Evaluation(value, raw))
print(peak() - before, raw.nbytes)
"""


def memory() -> Table:
    table = Table(
        "Cross entropy in place: memory beyond logits and values, in per cent of the logits",
        "`evaluate(raw, target, out=Evaluation(value, raw))`: how far the greatest resident memory of a fresh process rises "
        "(VmHWM of /proc/self/status).",
    )
    for shape in CROSS_ENTROPY:
        done = subprocess.run([sys.executable, "-c", MEMORY, *map(str, shape)], capture_output=True, text=True, check=True)
        extra, logits = map(int, done.stdout.split())
        detail = f"{extra / 1e6:.2f} MB beside {logits / 1e6:.0f} MB"
        table.add(Line(f"cross_entropy {shape}", 100 * extra / logits, 1.0, unit=" %", detail=detail))
    return table


def run() -> list[Table]:
    return [against_torch(), memory(), against_entmax()]
