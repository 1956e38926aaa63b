"""What a person says of tables in files: which columns enter, and how the files are read."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from matchloss.errors import UsageError
from matchloss.linear.plan import Missing
from matchloss.linear.sources.learn import Spec

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


class FileOptions(TypedDict, total=False):
    """The keywords of every `fit_files`; LinearRegressor's says what they mean."""

    sample_weight: str | None
    categorical: Collection[str]
    drop: Collection[str]
    missing: Missing
    offset: str | None
    memory: int | str | None
    scratch: str | Path | None
    checkpoint: str | Path | None
    resume: bool
    progress: Callable[[str], None] | None


@dataclass(frozen=True)
class Reading:
    """How files are read; see `fit_files` of the estimators."""

    memory: int | str | None = None
    scratch: str | Path | None = None
    checkpoint: str | Path | None = None
    resume: bool = False
    tell: Callable[[str], None] = lambda text: None


def asked(target: str, labels: bool, given: FileOptions) -> tuple[Spec, Reading]:
    """What is asked of the table, and how it is read; TypeError for a keyword that is none."""
    known = FileOptions.__annotations__
    wrong = next((name for name in given if name not in known), None)
    if wrong is not None:
        raise TypeError(f"fit_files() has no keyword {wrong}; it has {', '.join(known)}")
    spec = Spec(
        target,
        labels,
        given.get("sample_weight"),
        tuple(given.get("categorical", ())),
        tuple(given.get("drop", ())),
        given.get("missing", "error"),
        offset=given.get("offset"),
    )
    return spec, Reading(
        given.get("memory"),
        given.get("scratch"),
        given.get("checkpoint"),
        given.get("resume", False),
        given.get("progress") or (lambda text: None),
    )


def bytes_of(memory: int | str | None) -> int:
    """A size such as "2GB" or 500_000_000, by default half of the memory that is free; ValueError for anything else.

    >>> bytes_of("1.5GB"), bytes_of("64 MiB"), bytes_of(1000)
    (1500000000, 67108864, 1000)
    """
    if memory is None:
        return free_memory() // 2
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return memory
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", memory) if isinstance(memory, str) else None
    if found is None or found[2].upper() not in UNITS or float(found[1]) <= 0:
        raise UsageError(f'memory is {memory!r}; allowed: a size such as "2GB" or "500MB"')
    return int(float(found[1]) * UNITS[found[2].upper()])


def free_memory() -> int:
    """The bytes that a process may still take."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))  # Linux
        if found:
            return int(found[1]) << 10
    except OSError:
        pass
    with contextlib.suppress(ImportError):  # macOS and Windows, where it is installed
        import psutil

        return int(psutil.virtual_memory().available)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 4 << 30
