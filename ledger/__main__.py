"""`make ledger`: audits every entry into ledger/*.json, and writes docs/ledger.md from those; `python -m ledger torch` one library."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version

from ledger.page import DATA, PAGE, page, reports
from ledger.run import report_of
from ledger.subjects import LIBRARIES
from matchloss.audit.formats import as_data
from matchloss.files import replacing


def main(names: list[str]) -> None:
    """Audit the libraries of these names, all by default."""
    if unknown := set(names) - set(LIBRARIES):
        sys.exit(f"no library is called {sorted(unknown)[0]}; there are {', '.join(LIBRARIES)}")
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), multiprocessing.get_context("spawn")) as pool:
        for library, entries in LIBRARIES.items():
            if names and library not in names:
                continue
            made = []
            for entry, report in zip(entries, pool.map(report_of, entries), strict=True):
                made.append({"function": f"{entry.module}:{entry.call}", "kind": entry.kind, "threads": entry.threads, **as_data(report)})
                print(f"{entry.module}:{entry.call}: {report.outcome} in {report.seconds:.1f} s", flush=True)
            about = {"library": library, "version": version(library), "date": f"{datetime.date.today():%Y-%m-%d}"}
            with replacing(DATA / f"{library}.json") as partial:
                partial.write_text(json.dumps({**about, "python": platform.python_version(), "reports": made}, indent=1) + "\n")
    with replacing(PAGE) as partial:
        partial.write_text(page(reports()))


if __name__ == "__main__":
    main(sys.argv[1:])
