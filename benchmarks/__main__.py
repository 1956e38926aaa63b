"""`python -m benchmarks` runs all and writes RESULTS.md; `python -m benchmarks pointwise small` runs these and writes nothing."""

from __future__ import annotations

import importlib
import os
import sys
import time
from datetime import datetime
from pathlib import Path

from benchmarks.tables import Table, machine

TOPICS = ("startup", "small", "pointwise", "simplex", "linear", "hosts", "large_vocabulary")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main(topics: list[str]) -> int:
    unknown = [t for t in topics if t not in TOPICS]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(TOPICS)}", file=sys.stderr)
        return 2
    start, load = time.monotonic(), os.getloadavg()[0]
    print("\n".join(machine()))
    if load > 0.5:
        print(f"Other processes are at work (load average {load:.1f}): times will be too long, ratios less so.")
    tables: list[Table] = []
    for topic in topics or TOPICS:
        tables += importlib.import_module(f"benchmarks.{topic}").run()
    missed = [f"{line.what}: {line.cells()[1]}, not {line.cells()[2]}" for t in tables for line in t.lines if line.met is False]
    asked = sum(line.met is not None for t in tables for line in t.lines)
    summary = f"{asked - len(missed)} of {asked} targets met, in {time.monotonic() - start:.0f} s; load average {load:.1f} at the start."
    print("", summary, *missed, sep="\n")
    if not topics:
        head = ["# Results of `make bench`", "", f"{datetime.now():%Y-%m-%d %H:%M}. {summary}", ""]
        head += [*(f"- {line}" for line in machine()), "", "Every ratio is of two times measured side by side, in turn, in one run.", ""]
        if missed:
            head += ["Missed:", "", *(f"- {m}" for m in missed), ""]
        body = [text for t in tables for text in t.markdown()]
        RESULTS.write_text("\n".join(head + body).rstrip() + "\n", encoding="utf-8")
        print(f"written to {RESULTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
