"""What a new process waits for: the import, the first call, the next loss. Each is the best of several fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.tables import Line, Table

PROCESSES = 9
CHILD = """
import json, time
import numpy as np

start = time.perf_counter()
import matchloss as ml
imported = time.perf_counter() - start

raw = np.linspace(-2.0, 2.0, 10_000)
target = (raw > 0.3).astype(float)
start = time.perf_counter()
ml.Logistic().evaluate(raw, target)
first = time.perf_counter() - start
later = []
for loss in (ml.Poisson(), ml.Huber(), ml.SquaredError(), ml.BinaryBrier(), ml.NegativeBinomial()):
    start = time.perf_counter()
    loss.evaluate(raw, target)
    later.append(time.perf_counter() - start)
print(json.dumps({"import": imported, "first": first, "next": max(later)}))
"""


def _once() -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def slowest_imports(count: int = 6) -> list[str]:
    """The modules that take longest by themselves, from the import of matchloss to the end of a first call."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", CHILD], capture_output=True, text=True, check=True)
    lines = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    timed = [(int(own), name.strip()) for own, _, name in lines if own.strip().isdigit()]
    return [f"{name} {own / 1e3:.0f} ms" for own, name in sorted(timed, reverse=True)[:count]]


def run() -> list[Table]:
    table = Table(
        "Start-up of a process",
        f"Compiled loops on disk already; 10,000 rows; best of {PROCESSES} fresh processes. "
        "Next loss: the slowest of five others, its first call.",
    )
    _once()  # fills the cache
    runs = [_once() for _ in range(PROCESSES)]
    best = {name: min(r[name] for r in runs) for name in runs[0]}
    table.add(Line("first call, import of LLVM included", best["first"], 0.35, unit=" s"))
    table.add(Line("next loss", 1e3 * best["next"], 10.0, unit=" ms", digits=1))
    table.add(Line("import matchloss, numpy being there", best["import"], 0.05, unit=" s", digits=3))
    if any(line.met is False for line in table.lines):
        table.how += f" Longest imports: {', '.join(slowest_imports())}."
    return [table]
