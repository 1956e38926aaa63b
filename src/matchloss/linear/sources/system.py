"""What a scratch file asks of Linux, macOS and Windows: a lock that dies with its process, and reads and writes at a place."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

BINARY = getattr(os, "O_BINARY", 0)  # Windows would change line ends
FAR = 1 << 62  # msvcrt locks bytes of the file from the place where it stands; far behind the rows, so that these stay readable
_seek = threading.Lock()  # one place per open file: without pread a read moves it

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None
try:
    import msvcrt
except ImportError:  # not Windows
    msvcrt = None


def lock(file: int) -> None:
    """Locks an open file for this process, as long as the process lives; OSError where another process holds the lock."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        with _seek:
            os.lseek(file, FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]


def locks() -> bool:
    """Whether this system has locks: without them nobody can tell a file in use from one that a killed run has left."""
    return fcntl is not None or msvcrt is not None


def read_into(file: int, view: memoryview, offset: int) -> int:
    """Reads bytes from this place into the view; how many there were."""
    if hasattr(os, "preadv"):
        return os.preadv(file, [view], offset)
    with _seek:
        os.lseek(file, offset, os.SEEK_SET)
        found = os.read(file, len(view))
    view[: len(found)] = found
    return len(found)


def write_from(file: int, views: Sequence[memoryview], offset: int) -> int:
    """Writes bytes of the views at this place; how many were written."""
    if hasattr(os, "pwritev"):
        return os.pwritev(file, views, offset)
    with _seek:
        os.lseek(file, offset, os.SEEK_SET)
        return os.write(file, views[0])
