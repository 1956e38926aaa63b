"""Losses under PyTorch's autograd, forward and backward, against PyTorch's own and torch.compile of these.

Fresh memory is most of the cost of large logits: PyTorch's allocator asks for huge pages only with THP_MEM_ALLOC_ENABLE=1. So all is timed
in a child process as PyTorch comes, and in a second one with that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.tables import Line, Table
from benchmarks.timing import best_loop, best_of

Times = dict[str, dict[str, float]]
HUGE = "THP_MEM_ALLOC_ENABLE"
TITLES = {
    "4096 x 50257": ("cross_entropy (4096, 50257)", {"eager": 6.0, "compile": 3.0, "overwrite": 9.0}),
    "20000 x 1000": ("cross_entropy (20000, 1000)", {"eager": 5.0, "compile": 2.5, "overwrite": 5.0}),
    "1000000 x 10": ("cross_entropy (1000000, 10)", {"eager": 5.0, "compile": 1.5, "overwrite": 5.0}),
    "bce": ("binary_cross_entropy_with_logits, 10M", {"eager": 4.0, "compile": 1.5}),
    "bfloat16": ("cross_entropy (4096, 50257) in bfloat16", {"eager": 3.0}),
}


def run() -> list[Table]:
    plain, huge = (measured(on) for on in (False, True))
    speed = Table(
        "Under PyTorch's autograd: forward and backward",
        "float32 unless it says otherwise; mean; the logits are no leaf, so that overwrite may take them. A ratio is PyTorch's time over "
        f"ours; in brackets with {HUGE}=1. Best of 4, in turn.",
    )
    for key, (title, limits) in TITLES.items():
        for other, limit in limits.items():
            mine, theirs = ("overwrite", "eager") if other == "overwrite" else ("ours", other)
            ratios = [t[key][theirs] / t[key][mine] for t in (plain, huge)]
            times = [f"{1e3 * t[key][theirs]:.0f} / {1e3 * t[key][mine]:.0f} ms" for t in (plain, huge)]
            what = f"{title}, overwrite: eager" if other == "overwrite" else f"{title}: {other}"
            detail = f"{times[0]} ({ratios[1]:.1f}x, {times[1]})"
            over = plain[key][mine] / plain[key]["moving"]
            speed.add(Line(what, ratios[0], limit, least=True, unit="x", digits=1, detail=detail, over_limit=over))
    memory = Table(
        "Memory over the logits",
        "The greatest resident memory during forward and backward at (4096, 50257), less that before; the logits are 823 MB.",
    )
    for name, limit in (("overwrite", 64.0), ("ours", None), ("eager", None)):
        memory.add(Line(name, plain["memory"][name], limit, unit=" MB", digits=0))
    small = Table("Batches of 32: what a call costs", "Forward and backward, ours over PyTorch's; best of 20 times 300 calls in turn.")
    for key, title in (("small bce", "binary_cross_entropy_with_logits (32,)"), ("small ce", "cross_entropy (32, 10)")):
        t = plain[key]
        detail = f"{1e6 * t['ours']:.1f} / {1e6 * t['eager']:.1f} microseconds"
        small.add(Line(title, t["ours"] / t["eager"], 1.3, unit="x", detail=detail))
    exact = Table("Through autograd, near certainty", "Relative error of a gradient; PyTorch's is 1: it is 0 there.")
    for name, error in plain["exact"].items():
        exact.add(Line(name, error / 2.2e-16, 4.0, unit=" eps"))
    return [speed, memory, small, exact]


def measured(huge: bool) -> Times:
    """The times of a child process."""
    env = {k: v for k, v in os.environ.items() if k != HUGE} | ({HUGE: "1"} if huge else {})
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-m", "benchmarks.hosts"], cwd=root, env=env, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def child() -> Times:
    """All times in seconds, in this process."""
    import torch
    import torch.nn.functional as F

    from matchloss.torch import binary_cross_entropy_with_logits, cross_entropy

    class Source(torch.autograd.Function):
        """Logits that are no leaf, whose gradient nobody keeps."""

        @staticmethod
        def forward(ctx: Any, x: Any, anchor: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return None, None

    anchor = torch.zeros((), requires_grad=True)

    def timed(x: Any, target: Any, functions: dict[str, Callable[..., Any]], peak: dict[str, float] | None = None) -> dict[str, float]:
        logits: list[Any] = [None]

        def fresh() -> None:
            logits[0] = None
            logits[0] = Source.apply(x, anchor)

        def step(f: Callable[..., Any]) -> Callable[[], object]:
            return lambda: f(logits[0], target).backward()

        steps = {name: step(f) for name, f in functions.items()}
        room = torch.empty_like(x)
        best = best_of(steps | {"moving": lambda: room.copy_(x)}, rounds=4, before=fresh)
        for name in peak if peak is not None else ():
            fresh()
            peak[name] = peak_megabytes(steps[name])
        return best

    def classes(rows: int, columns: int, dtype: Any = torch.float32) -> tuple[Any, Any]:
        g = torch.Generator().manual_seed(0)
        return torch.randn(rows, columns, generator=g).mul_(2).to(dtype), torch.randint(columns, (rows,), generator=g)

    whole = {
        "eager": F.cross_entropy,
        "compile": torch.compile(F.cross_entropy, dynamic=False),
        "ours": cross_entropy,
        "overwrite": lambda z, t: cross_entropy(z, t, overwrite=True),
    }
    times: Times = {"memory": dict.fromkeys(("eager", "ours", "overwrite"), 0.0)}
    for rows, columns in ((4096, 50257), (20000, 1000), (1000000, 10)):
        peak = times["memory"] if rows == 4096 else None
        times[f"{rows} x {columns}"] = timed(*classes(rows, columns), whole, peak)
    times["bfloat16"] = timed(*classes(4096, 50257, torch.bfloat16), {"eager": F.cross_entropy, "ours": cross_entropy})
    x, y = torch.randn(10_000_000).mul_(3), torch.rand(10_000_000).round_()
    bce, ours = F.binary_cross_entropy_with_logits, binary_cross_entropy_with_logits
    times["bce"] = timed(x, y, {"eager": bce, "compile": torch.compile(bce, dynamic=False), "ours": ours})

    def loop(f: Callable[..., Any], x: Any, target: Any) -> Callable[[], object]:
        leaf = x.clone().requires_grad_()

        def step() -> None:
            leaf.grad = None
            f(leaf, target).backward()

        return step

    for name, (x, y), pair in (
        ("small bce", (torch.randn(32), torch.rand(32).round_()), (bce, ours)),
        ("small ce", classes(32, 10), (F.cross_entropy, cross_entropy)),
    ):
        steps = {which: loop(f, x, y) for which, f in zip(("eager", "ours"), pair, strict=True)}
        times[name] = best_loop(steps, number=300, rounds=20)

    z = torch.tensor([40.0], dtype=torch.float64, requires_grad=True)
    (logistic,) = torch.autograd.grad(ours(z, torch.ones(1, dtype=torch.float64)), z)
    row = torch.tensor([[40.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    (softmax,) = torch.autograd.grad(cross_entropy(row, torch.tensor([0])), row)
    times["exact"] = {
        "logistic, raw 40, target 1": abs(float(logistic[0]) / -4.248354255291589e-18 - 1),
        "cross entropy, logits (40, 0, 0), label 0": abs(float(softmax[0, 0]) / -8.496708510583178e-18 - 1),
    }
    return times


def peak_megabytes(step: Callable[[], object]) -> float:
    """How much resident memory a step takes at most, beside what was there."""
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    step()
    return (status("VmHWM") - before) / 1024


def status(name: str) -> int:
    """A number of kB from /proc."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


if __name__ == "__main__":
    print(json.dumps(child()))
