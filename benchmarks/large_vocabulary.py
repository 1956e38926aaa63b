"""Cross entropy of a linear layer over a large vocabulary, forward and backward, against PyTorch eager and compiled, and JAX jit.

A child process a size, so that memory is given back between them; within one, all are timed in turn. `python -m benchmarks.large_vocabulary
2048 768 50257 float32` prints one child's times.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.hosts import peak_megabytes
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of

SIZES = ((2048, 768, 50257), (1024, 1024, 131072), (8192, 512, 32768))
LIMITS = {"eager": 2.2, "compile": 1.6, "jax": 1.0}
TITLES = {"eager": "F.linear and F.cross_entropy", "compile": "torch.compile of the same", "jax": "JAX jit"}


def run() -> list[Table]:
    speed = Table(
        "A linear layer and cross entropy over a large vocabulary",
        "Tokens x width x words, float32 unless it says otherwise: the loss and its gradients with respect to input and weight. "
        "A ratio is their time over linear_cross_entropy's. Best of 2, in turn.",
    )
    products = Table("The three products alone over linear_cross_entropy's time", "By the library that it chose.")
    memory = Table("Memory over inputs and gradients", "The greatest resident memory of a step, less that before and the two gradients.")
    for size in SIZES:
        found = measured(*size, "float32")
        title, times = " x ".join(map(str, size)), found["times"]
        for other, limit in LIMITS.items():
            if other in times:
                detail = f"{times[other]:.2f} / {times['ours']:.2f} s"
                over = times["ours"] / times["products"]
                ratio = times[other] / times["ours"]
                speed.add(Line(f"{title}: {TITLES[other]}", ratio, limit, least=True, unit="x", detail=detail, over_limit=over))
        products.add(Line(title, times["products"] / times["ours"], 0.85, least=True, detail=f"{found['library']}"))
        memory.add(Line(title, found["memory"]["ours"], 320.0, unit=" MB", digits=0, detail=f"eager {found['memory']['eager']:.0f} MB"))
    half = measured(*SIZES[0], "bfloat16")
    times, title = half["times"], " x ".join(map(str, SIZES[0]))
    detail = f"{times['eager']:.2f} / {times['ours']:.2f} s"
    speed.add(Line(f"{title} in bfloat16: {TITLES['eager']}", times["eager"] / times["ours"], 1.25, least=True, unit="x", detail=detail))
    exact = Table("bfloat16: the loss", "Its distance from that of the same numbers in float64.")
    exact.add(Line(title, half["errors"]["ours"], 1e-3, digits=6, detail=f"eager {half['errors']['eager']:.2g}"))
    return [speed, products, memory, exact]


def measured(tokens: int, width: int, words: int, dtype: str) -> dict[str, Any]:
    """The times of a child process."""
    arguments = [sys.executable, "-m", "benchmarks.large_vocabulary", str(tokens), str(width), str(words), dtype]
    done = subprocess.run(arguments, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(tokens: int, width: int, words: int, name: str) -> dict[str, Any]:
    """Seconds, megabytes and errors at one size, in this process."""
    import torch
    import torch.nn.functional as F

    from matchloss.torch import linear_cross_entropy, product_library

    dtype = getattr(torch, name)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(tokens, width, generator=g).to(dtype).requires_grad_()
    w = torch.randn(words, width, generator=g).mul_(0.05).to(dtype).requires_grad_()
    y = torch.randint(words, (tokens,), generator=g)

    def whole(x: Any, w: Any, y: Any) -> Any:
        return F.cross_entropy(F.linear(x, w), y)

    def step(f: Callable[..., Any]) -> Callable[[], object]:
        def run() -> None:
            x.grad = w.grad = None
            f(x, w, y).backward()

        return run

    steps = {"eager": step(whole), "ours": step(linear_cross_entropy)}
    if dtype is torch.float32:
        steps["compile"] = step(torch.compile(whole, dynamic=False))
        steps["products"] = three_products(x.detach(), w.detach())
        steps |= by_jax(x.detach().numpy(), w.detach().numpy(), y.numpy())
    steps["ours"]()  # which measures whose products are faster
    times = best_of(steps, rounds=2)
    memory = {}
    for which in ("eager", "ours"):
        x.grad = w.grad = None
        memory[which] = peak_megabytes(steps[which]) - (x.numel() + w.numel()) * x.element_size() / 2**20
    errors = {}
    if dtype is torch.bfloat16:
        exact = linear_cross_entropy(x.detach().double(), w.detach().double(), y).item()
        errors = {"eager": abs(whole(x, w, y).item() - exact), "ours": abs(linear_cross_entropy(x, w, y).item() - exact)}
    return {"times": times, "memory": memory, "errors": errors, "library": product_library()}


def three_products(x: Any, w: Any) -> Callable[[], object]:
    """The logits and both gradients, chunk by chunk, and nothing else."""
    from matchloss.torch import _layer, _memory, _products

    tokens = _layer.tokens_of(x.shape[0], w.shape[0], x.element_size(), _layer.CHUNK_BYTES, None)

    def run() -> None:
        library = _products.choose(x, w)
        z = _memory.empty((tokens, w.shape[0]), x.dtype)
        gx, gw = x.new_empty(x.shape), _memory.empty(tuple(w.shape), x.dtype)
        for start in range(0, x.shape[0], tokens):
            part = slice(start, min(start + tokens, x.shape[0]))
            some = z[: part.stop - start]
            _products.times_rows(library, x[part], w, some)
            _products.times_columns(library, some, w, gx[part])
            _products.add_outer(library, some, x[part], gw, start == 0)

    return run


def by_jax(x: Any, w: Any, y: Any) -> dict[str, Callable[[], object]]:
    """The same loss and gradients by JAX, where it is installed."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return {}

    def loss(x: Any, w: Any) -> Any:
        logits = x @ w.T
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0])

    labels = jnp.asarray(y)
    made = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    arrays = jnp.asarray(x), jnp.asarray(w)
    return {"jax": lambda: jax.block_until_ready(made(*arrays))}


if __name__ == "__main__":
    size = (int(argument) for argument in sys.argv[1:4])
    print(json.dumps(child(*size, sys.argv[4])))
