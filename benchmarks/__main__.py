"""`python -m benchmarks` runs all and writes RESULTS.md; `python -m benchmarks pointwise small` runs these and writes nothing.

`python -m benchmarks --against ../before [--rounds 7] [TOPIC ...]` times another checkout and this one in turn, and prints the ratios.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from datetime import datetime
from pathlib import Path

from benchmarks.tables import Table, machine, processor

TOPICS = (
    "startup",
    "small",
    "pointwise",
    "simplex",
    "linear",
    "scores",
    "hosts",
    "large_vocabulary",
    "scale",
    "verdicts",
    "audit",
    "boosting",
    "statistics",
    "groups",
    "structured",
    "scale_dask",
)
RESULTS = Path(__file__).with_name("RESULTS.md")


def main(arguments: list[str]) -> int:
    """The exit code: 2 for a topic that there is not, 1 where --against finds this checkout slower."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}, with --against also jax; all by default")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="the older checkout, whose src is timed in turn with this one's")
    parser.add_argument("--rounds", type=int, default=7, help="of --against, 7 by default")
    parser.add_argument("--tables", type=int, help="of the largest study of verdicts, 200 by default")
    asked = parser.parse_args(arguments)
    untimed = ("scale", "scale_dask", "verdicts", "audit", "boosting", "statistics", "groups", "structured")
    timed = tuple(topic for topic in TOPICS if topic not in untimed)
    known = (*timed, "jax") if asked.against else TOPICS
    unknown = [t for t in asked.topics if t not in known]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
    if asked.against:
        from benchmarks import against

        return against.main(asked.against, asked.topics, asked.rounds)
    report(asked.topics, asked.tables)
    return 0


def report(topics: list[str], simulated: int | None = None) -> None:
    """Runs the topics and prints their tables; all of them go into RESULTS.md too. `simulated`: tables of verdicts."""
    start, load = time.monotonic(), os.getloadavg()[0]
    print("\n".join(machine()))
    if load > 0.5:
        print(f"Other processes are at work (load average {load:.1f}): times will be too long, ratios less so.")
    tables: list[Table] = []
    for topic in topics or TOPICS:
        options = {"tables": simulated} if topic == "verdicts" else {}
        tables += importlib.import_module(f"benchmarks.{topic}").run(**options)
    missed = [f"{line.what}: {line.cells()[1]}, not {line.cells()[2]}" for t in tables for line in t.lines if line.met is False]
    asked = sum(line.met is not None for t in tables for line in t.lines)
    summary = f"{asked - len(missed)} of {asked} targets met, in {time.monotonic() - start:.0f} s; load average {load:.1f} at the start."
    print("", summary, *missed, sep="\n")
    if not topics:
        lines = [summary, "", *(f"- {line}" for line in machine()), ""]
        if missed:
            lines += ["Missed:", "", *(f"- {m}" for m in missed), ""]
        lines += [text for t in tables for text in t.markdown()]
        written = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else ""
        RESULTS.write_text(with_section(written, processor(), f"{datetime.now():%Y-%m-%d %H:%M}", lines), encoding="utf-8")
        print(f"written to {RESULTS}")


HEAD = """# Results of `make bench`

Each section is of one processor, with its date; a run replaces that of its own processor and leaves the others. Every ratio is of two times
measured side by side, in turn, in one run. The ratio to the limit is the time of ours over that of the least that must be done: moving the
bytes, at the speed of a copy measured beside it, or the three matrix products of a linear layer."""


def with_section(written: str, name: str, date: str, lines: list[str]) -> str:
    """The report with a processor's section in place of its last one, ahead of the others'."""
    others = [f"## {part.strip()}" for part in f"\n{written}".split("\n## ")[1:] if not part.startswith(f"{name}, ")]
    own = "\n".join([f"## {name}, {date}", "", *lines]).strip()
    return "\n\n".join([HEAD, own, *others]) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
