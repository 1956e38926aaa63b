"""What a benchmark reports: lines of what | measured | target | met, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("matchloss", "numpy", "numba", "scipy", "torch", "jax", "scikit-learn", "entmax", "glum", "polars", "pandas")


@dataclass(frozen=True)
class Line:
    what: str
    measured: float
    limit: float | None = None  # None: shown for comparison, nothing is asked of it
    least: bool = False  # the limit is the least that will do, else the most
    unit: str = ""
    digits: int = 2
    detail: str = ""  # the times that the number is made of

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        shown = round(self.measured, self.digits)
        return shown >= self.limit if self.least else shown <= self.limit

    def cells(self) -> tuple[str, ...]:
        target = "" if self.limit is None else f"{'>=' if self.least else '<='} {self.limit:g}{self.unit}"
        met = {None: "", True: "yes", False: "**no**"}[self.met]
        return self.what, f"{self.measured:.{self.digits}f}{self.unit}", target, met, self.detail


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
        what, measured, target, met, detail = line.cells()
        print(f"{what:44} {measured:>9}  {target:9} {met.strip('*'):4} {detail}", flush=True)

    def markdown(self) -> Iterator[str]:
        yield f"## {self.title}"
        yield ""
        yield self.how
        yield ""
        yield "| what | measured | target | met? | in detail |"
        yield "|---|---:|---|---|---|"
        for line in self.lines:
            yield f"| {' | '.join(line.cells())} |"
        yield ""


def machine() -> list[str]:
    """The versions and the processor, one a line."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    model, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        entries = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
        entries = {name.strip(): text.strip() for name, text in entries.items()}
        model = entries.get("model name", model)
        flags = " ".join(f for f in entries.get("flags", "").split() if f.startswith(("avx", "fma")))
    cores = len(os.sched_getaffinity(0))
    return [
        f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {number}" for name, number in found.items()),
        f"{platform.system()} {platform.release()}, {model}, {cores} cores allowed, {flags or 'no vector flags known'}",
    ]
