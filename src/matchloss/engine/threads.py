"""Runs blocks of rows on a pool of threads, as many as this process may use. A fork starts a new pool.

OpenMP's threads would not do: they kill a forked child that calls a kernel. Kernels release the GIL, so plain threads are enough.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

FIRST_CALLS = threading.RLock()  # held while a compiler is imported or works, and by fork: a child must not inherit either half done
_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()
_inside = threading.local()


def count() -> int:
    """How many threads a call may use: MATCHLOSS_THREADS if set, but never more than the processors allowed to this process."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = min(allowed, getattr(_inside, "limit", allowed))
    setting = os.environ.get("MATCHLOSS_THREADS", "").strip()
    if not setting:
        return allowed
    if not setting.isdecimal() or int(setting) < 1:
        raise ValueError(f"MATCHLOSS_THREADS is {setting!r}; it must be a whole number, 1 or more")
    return min(int(setting), allowed)


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Limits the calls that this thread makes inside to so many threads, for a host that has its own setting."""
    before = getattr(_inside, "limit", None)
    _inside.limit = max(1, limit)
    try:
        yield
    finally:
        if before is None:
            del _inside.limit
        else:
            _inside.limit = before


def over_blocks(rows: int, block: int, work: Callable[[int, int], int]) -> int:
    """work(start, stop) over blocks of rows on a fixed grid; the least result >= 0, or -1 when every block returned -1.

    Neither the grid nor the order within a block depends on the number of threads, so results do not either.
    """
    starts = range(0, rows, block)
    threads = min(count(), len(starts)) if len(starts) > 1 else 1
    if threads <= 1 or getattr(_inside, "worker", False):  # a worker that waits for other workers could deadlock
        return _drain(iter(starts), rows, block, work)
    shared = _Shared(starts)
    others = [_pool(threads - 1).submit(_as_worker, shared, rows, block, work) for _ in range(threads - 1)]
    try:
        found = [_drain(shared, rows, block, work)]
    finally:
        found_by_others = [f.result() for f in others]
    return min((b for b in found + found_by_others if b >= 0), default=-1)


class _Shared:
    """An iterator that threads may share. itertools.count is atomic under the GIL; the lock is for Python builds without one."""

    def __init__(self, starts: range) -> None:
        self._starts, self._next, self._lock = starts, itertools.count(), threading.Lock()

    def __iter__(self) -> _Shared:
        return self

    def __next__(self) -> int:
        with self._lock:
            i = next(self._next)
        if i >= len(self._starts):
            raise StopIteration
        return self._starts[i]


def _drain(starts: Iterator[int], rows: int, block: int, work: Callable[[int, int], int]) -> int:
    bad = -1
    for start in starts:
        found = work(start, min(start + block, rows))
        bad = found if found >= 0 and (bad < 0 or found < bad) else bad
    return bad


def _as_worker(shared: _Shared, rows: int, block: int, work: Callable[[int, int], int]) -> int:
    _inside.worker = True
    try:
        return _drain(shared, rows, block, work)
    finally:
        _inside.worker = False


def _pool(workers: int) -> ThreadPoolExecutor:
    if workers not in _pools:
        with FIRST_CALLS:  # prevents a fork during the import, whose lock the child would inherit
            from concurrent.futures import ThreadPoolExecutor
        with _lock:
            if workers not in _pools:
                _pools[workers] = ThreadPoolExecutor(workers, thread_name_prefix="matchloss")
    return _pools[workers]


def _forget() -> None:
    """Starts afresh in a forked child, which has none of its parent's threads and may have copied a held lock."""
    global _lock, _inside
    _pools.clear()
    _lock = threading.Lock()
    _inside = threading.local()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
    os.register_at_fork(before=FIRST_CALLS.acquire, after_in_parent=FIRST_CALLS.release, after_in_child=FIRST_CALLS.release)
