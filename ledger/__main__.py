"""`make ledger`: audits every entry, two at a time, and writes docs/ledger.md. `python -m ledger torch` audits one library and prints."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ledger.page import page
from ledger.run import report_of
from ledger.subjects import LIBRARIES, Entry
from matchloss.audit import Report

PAGE = Path(__file__).parent.parent / "docs" / "ledger.md"


def main(names: list[str]) -> None:
    """Audit the libraries of these names, all by default."""
    if unknown := set(names) - set(LIBRARIES):
        sys.exit(f"no library is called {sorted(unknown)[0]}; there are {', '.join(LIBRARIES)}")
    entries = [entry for name, entries in LIBRARIES.items() if not names or name in names for entry in entries]
    reports: dict[Entry, Report] = {}
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), multiprocessing.get_context("spawn")) as pool:
        for entry, report in zip(entries, pool.map(report_of, entries), strict=True):
            reports[entry] = report
            counts = ", ".join(f"{len(report.of(s))} {s}s" for s in ("error", "warning", "note"))
            print(f"{len(reports):3d} of {len(entries)}: {entry.module}:{entry.call}: {counts} in {report.seconds:.1f} s", flush=True)
    text = page(reports, f"{datetime.date.today():%Y-%m-%d}", platform.python_version(), platform.machine())
    if names:
        print(text)
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
