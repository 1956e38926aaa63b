"""What a benchmark reports: lines of what | measured | target | met, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "matchloss", "numpy", "llvmlite", "scipy", "torch", "jax", "scikit-learn", "entmax", "glum", "scoringrules", "model-diagnostics",
    "polars", "pandas",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    what: str
    measured: float
    limit: float | None = None  # None: shown for comparison, nothing is asked of it
    least: bool = False  # the limit is the least that will do, else the most
    unit: str = ""
    digits: int = 2
    detail: str = ""  # the times that the number is made of
    over_limit: float | None = None  # our time over that of the least that must be done: of moving the bytes, or of the products

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        shown = round(self.measured, self.digits)
        return shown >= self.limit if self.least else shown <= self.limit

    def cells(self) -> tuple[str, ...]:
        target = "" if self.limit is None else f"{'>=' if self.least else '<='} {self.limit:g}{self.unit}"
        met = {None: "", True: "yes", False: "**no**"}[self.met]
        over = "" if self.over_limit is None else f"{self.over_limit:.2f}"
        return self.what, f"{self.measured:.{self.digits}f}{self.unit}", target, met, over, self.detail


@dataclass
class Table:
    title: str
    how: str  # what was timed, and how
    lines: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Keeps a line, and shows it: a run takes minutes."""
        if not self.lines:
            print(f"\n## {self.title}\n{self.how}", flush=True)
        self.lines.append(line)
        what, measured, target, met, over, detail = line.cells()
        print(f"{what:44} {measured:>9}  {target:9} {met.strip('*'):4} {over:>5} {detail}", flush=True)

    def markdown(self) -> Iterator[str]:
        yield f"### {self.title}"
        yield ""
        yield self.how
        yield ""
        yield "| what | measured | target | met? | ratio to the limit | in detail |"
        yield "|---|---:|---|---|---:|---|"
        for line in self.lines:
            yield f"| {' | '.join(line.cells())} |"
        yield ""


def processor() -> str:
    """The processor's name as lscpu has it; where there is no lscpu, as the platform has it."""
    return _lscpu().get("Model name") or platform.processor() or platform.machine()


@cache
def _lscpu() -> dict[str, str]:
    if shutil.which("lscpu") is None:
        return {}
    text = subprocess.run(["lscpu"], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}).stdout
    return {name.strip(): words.strip() for name, _, words in (line.partition(":") for line in text.splitlines())}


def machine() -> list[str]:
    """The versions and the processor, one a line."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    flags = " ".join(f for f in _lscpu().get("Flags", "").split() if f.startswith(("avx", "fma", "amx")))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {number}" for name, number in found.items()),
        f"{platform.system()} {platform.release()}, {processor()}, {cores} cores allowed, {flags or 'no vector flags known'}",
    ]
