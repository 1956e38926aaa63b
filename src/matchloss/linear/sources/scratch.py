"""A file of compact rows: written once, then read in pieces with plain reads, one piece ahead on a thread, into buffers that are reused.

It is never mapped: a mapped page counts as the process's memory. As long as the rows are few they stay in memory, and there is no file.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.sources.stores import Arrays
from matchloss.linear.sources.system import BINARY, lock, locks, read_into, write_from

PIECE = 1 << 16  # rows: with fewer, reads cost more than they fetch; with more, pieces leave the cache
PREFIX, SUFFIX = "matchloss-", ".rows"
Key = tuple[int, ...]  # where a piece stands: its file, row group and place in it


class ScratchError(OSError):
    """The scratch file cannot be written or read; the message says what would do."""


@dataclass(frozen=True)
class Piece:
    """Some rows: in memory, or where they lie in the file, one array after the other, each of its own type and width."""

    key: Key
    rows: int
    offset: int
    kinds: tuple[tuple[str, tuple[int, ...]], ...]  # the dtype of each array, and the shape of a row: () or (C,)
    held: Arrays | None = None

    @property
    def widths(self) -> list[int]:
        """The bytes of a row of each array."""
        return [np.dtype(kind).itemsize * math.prod(shape) for kind, shape in self.kinds]

    @property
    def size(self) -> int:
        """The bytes of all arrays."""
        return self.rows * sum(self.widths)


@dataclass(eq=False)
class Scratch:
    """Compact rows, in memory up to `most` bytes and then in a file in `folder`; several threads may append.

    `expected` (rows, if known): the size is said (`tell`), and compared with what the disk has left, before the first row is written.
    """

    folder: Path
    most: int
    expected: int | None = None
    tell: Callable[[str], None] = lambda text: None
    file: int | None = None
    path: Path | None = None
    size: int = 0
    found: list[Piece] = field(default_factory=list)
    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    _lock: Any = field(default_factory=threading.RLock)  # the collector may end a reading in a thread that holds it
    _buffers: list[bytearray] = field(default_factory=list)

    @property
    def n(self) -> int:
        """How many rows."""
        return int(self.starts[-1])

    def append(self, key: Key, arrays: Arrays) -> None:
        """Keeps some rows; ScratchError where the disk is full."""
        for part, start in enumerate(range(0, len(arrays[0]), PIECE)):
            self._append((*key, part), [array[start : start + PIECE] for array in arrays])

    def _append(self, key: Key, arrays: Arrays) -> None:
        rows, size = len(arrays[0]), sum(array.nbytes for array in arrays)
        kinds = tuple((array.dtype.str, array.shape[1:]) for array in arrays)
        with self._lock:
            offset, self.size = self.size, self.size + size
            if self.file is None and self._outgrown(rows, size):
                self._open(rows, size)
            on_disk = self.file is not None
            self.found.append(Piece(key, rows, offset, kinds, None if on_disk else arrays))
        if on_disk:
            self._write(arrays, offset)

    def _outgrown(self, rows: int, size: int) -> bool:
        return max(self.size, (self.expected or 0) * size // rows) > self.most

    def _open(self, rows: int, size: int) -> None:
        """Starts the file, with the rows that were held."""
        if self.expected is not None:
            whole = self.expected * size // rows
            free = shutil.disk_usage(self.folder).free
            self.tell(f"the rows take about {in_words(whole)} in {self.folder}")
            if whole > free:
                what = f"the rows take about {in_words(whole)}, and {self.folder} has {in_words(free)} free"
                raise ScratchError(f"{what}; scratch= (--scratch) names another folder")
        try:
            self.file, name = tempfile.mkstemp(SUFFIX, PREFIX, self.folder)
        except OSError as error:
            raise ScratchError(
                f"no scratch file can be made in {self.folder}: {error.strerror}; scratch= (--scratch) names another folder"
            ) from error
        self.path = Path(name)
        lock(self.file)  # a kill opens this lock: the next run knows that nobody wants the file
        for k, piece in enumerate(self.found):
            assert piece.held is not None
            self._write(piece.held, piece.offset)
            self.found[k] = Piece(piece.key, piece.rows, piece.offset, piece.kinds)

    def _write(self, arrays: Arrays, offset: int) -> None:
        assert self.file is not None
        views = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays if array.size]
        try:
            while views:
                done = write_from(self.file, views, offset)
                offset += done
                while views and done >= len(views[0]):
                    done -= len(views.pop(0))
                if done:
                    views[0] = views[0][done:]
        except OSError as error:
            what = f"{self.folder} is full" if error.errno == 28 else f"{self.path} cannot be written: {error.strerror}"
            raise ScratchError(f"{what}; the rows so far took {in_words(self.size)}; scratch= (--scratch) names another folder") from error

    def finish(self) -> None:
        """All rows are there: puts the pieces in order."""
        self.found.sort(key=lambda piece: piece.key)
        self.starts = np.concatenate([[0], np.cumsum([piece.rows for piece in self.found], dtype=np.int64)])

    @cached_property
    def _reader(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="matchloss-read")

    def pieces(self, start: int, stop: int, columns: Sequence[int] | None = None) -> Iterator[Arrays]:
        """These rows in order, in pieces, each valid until the next one is taken; the next is read ahead on a thread."""
        first, last = int(np.searchsorted(self.starts, start, side="right")) - 1, int(np.searchsorted(self.starts, stop))
        wanted = [(k, max(start - int(self.starts[k]), 0), min(stop - int(self.starts[k]), self.found[k].rows)) for k in range(first, last)]
        if self.file is None:
            yield from ([a[i:j] for c, a in enumerate(self.found[k].held or ()) if columns is None or c in columns] for k, i, j in wanted)
            return
        buffers = [self._buffer(), self._buffer()]
        coming = self._reader.submit(self._read, *wanted[0], columns, buffers[0]) if wanted else None
        try:
            for at in range(len(wanted)):
                assert coming is not None
                here = coming.result()
                coming = None
                if at + 1 < len(wanted):
                    coming = self._reader.submit(self._read, *wanted[at + 1], columns, buffers[(at + 1) % 2])
                yield here
        finally:
            if coming is not None:
                coming.result()  # nobody else may get a buffer that is still written to
            with self._lock:
                self._buffers += buffers

    def _buffer(self) -> bytearray:
        with self._lock:
            return self._buffers.pop() if self._buffers else bytearray(max(piece.size for piece in self.found))

    def _read(self, k: int, start: int, stop: int, columns: Sequence[int] | None, buffer: bytearray) -> Arrays:
        """Some rows of a piece: with one read if all of it is wanted, otherwise with one for each array."""
        assert self.file is not None
        piece = self.found[k]
        widths, rows = piece.widths, stop - start
        whole = rows == piece.rows and columns is None
        if whole:
            self._fill(memoryview(buffer)[: piece.size], piece.offset)
        made: list[NDArray[Any]] = []
        at, behind = 0, piece.offset
        for c, (width, (kind, shape)) in enumerate(zip(widths, piece.kinds, strict=True)):
            if columns is None or c in columns:
                if not whole:
                    self._fill(memoryview(buffer)[at : at + rows * width], behind + start * width)
                count = rows * math.prod(shape)
                made.append((np.frombuffer(buffer, kind, count, at) if count else np.empty(0, kind)).reshape(rows, *shape))
                at += rows * width
            behind += piece.rows * width
        return made

    def _fill(self, view: memoryview, offset: int) -> None:
        assert self.file is not None
        while len(view):
            done = read_into(self.file, view, offset)
            if not done:
                raise ScratchError(f"the scratch file {self.path} was cut short while it was read")
            view, offset = view[done:], offset + done

    def index(self) -> dict[str, Any]:
        """Where the rows lie, as values for JSON; `adopt` takes it again."""
        found = [[list(p.key), p.rows, p.offset, [[kind, list(shape)] for kind, shape in p.kinds]] for p in self.found]
        return {"path": None if self.path is None else str(self.path.resolve()), "size": self.size, "pieces": found}

    def adopt(self, index: dict[str, Any]) -> bool:
        """Takes the file of a run that was killed; False where it is gone, incomplete or in use."""
        if index["path"] is None:
            return False
        try:
            file = os.open(index["path"], os.O_RDWR | BINARY)
        except OSError:
            return False
        try:
            lock(file)
            whole = os.fstat(file).st_size == index["size"]
        except OSError:
            whole = False
        if not whole:
            os.close(file)
            return False
        self.file, self.path, self.size = file, Path(index["path"]), index["size"]
        self.found = [
            Piece(tuple(key), rows, offset, tuple((kind, tuple(shape)) for kind, shape in kinds))
            for key, rows, offset, kinds in index["pieces"]
        ]
        self.finish()
        return True

    def close(self, keep: bool = False) -> None:
        """Removes the file, unless a later run is to go on from it."""
        if self.file is not None:
            if "_reader" in self.__dict__:
                self._reader.shutdown()
            os.close(self.file)  # first: Windows keeps the names of open files
            with contextlib.suppress(OSError):
                if self.path is not None and not keep:
                    self.path.unlink()
            self.file = None


def leftovers(folder: Path, keep: Path | None = None) -> int:
    """Removes the scratch files of runs that were killed, and says how many there were; files of runs that go on are locked."""
    gone = 0
    if not locks():
        return 0
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        if path == keep:
            continue
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR | BINARY)
            try:
                lock(file)
                with contextlib.suppress(PermissionError):  # Windows keeps the names of open files
                    path.unlink()
            finally:
                os.close(file)
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def in_words(size: float) -> str:
    """A number of bytes as a person writes it.

    >>> in_words(1_234_000_000), in_words(52_000)
    ('1.2 GB', '52 kB')
    """
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.2g} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size:.0f} bytes"
