"""Passes kept in a file, so that a fit that was killed goes on where it stood.

A solver is a function of what its passes found. On resuming it starts from the beginning and is given what was kept, until that is used
up: so it arrives at the same coefficients, to the bit, and no solver knows of it. A record is appended with its checksum; half of one,
where a kill or a full disk struck, is cut off again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import CheckpointError
from matchloss.linear.passes import Pointwise, Simplex, Sums
from matchloss.linear.rows import Floats, TableRows
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.source import Around, Source, Term

T = TypeVar("T")
MAGIC = b"matchloss checkpoint 1\n"
DIGEST = 32


@dataclass(eq=False)
class Journal:
    """A file of records: what is fitted (`about`), where the rows lie, and the sums of each pass."""

    path: Path
    about: Mapping[str, Any]
    tell: Callable[[str], None] = lambda text: None
    rows: Any = None  # of the first record: the index of the scratch file
    kept: list[tuple[bytes, Sums]] = field(default_factory=list)  # passes of the run before, not yet used
    used: int = 0
    end: int = 0
    full: bool = False
    worth: bool = False  # whether it holds a pass: what a later run could go on from

    def begin(self) -> None:
        """A new file, in the place of an older one."""
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                self.end = file.write(MAGIC + _record({"about": self.about}))
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise OSError(error.errno, f"no checkpoint can be written: {error.strerror}", str(self.path)) from error

    def resume(self) -> None:
        """Reads what an earlier run kept; CheckpointError where that was another fit, by the name of what differs."""
        content = self.path.read_bytes()
        if not content.startswith(MAGIC):
            raise CheckpointError(f"{self.path} is no checkpoint of matchloss")
        at = len(MAGIC)
        while (found := _next(content, at)) is not None:
            head, arrays, at = found
            if "about" in head:
                _compare(self.path, head["about"], json.loads(json.dumps(self.about)))
            elif "rows" in head:
                self.rows = head["rows"]
            else:
                second = arrays[1] if len(arrays) > 1 else None
                self.kept.append((bytes.fromhex(head["key"]), Sums(head["value"], arrays[0], second)))
        if at == len(MAGIC):
            raise CheckpointError(f"{self.path} is damaged: it does not say what was fitted")
        os.truncate(self.path, at)
        self.end = at

    def append(self, head: Mapping[str, Any], *arrays: NDArray[Any]) -> None:
        """Keeps one more record. On a full disk the earlier ones stay, and the fit goes on without more."""
        if self.full:
            return
        record = _record(head, *arrays)
        try:
            with self.path.open("r+b") as file:
                file.seek(self.end)
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
            self.end += len(record)
        except OSError as error:
            self.full = True
            with contextlib.suppress(OSError):
                os.truncate(self.path, self.end)
            self.tell(f"the checkpoint {self.path} cannot be written any more ({error.strerror}): what it has is kept, and the fit goes on")

    def sums(self, key: bytes, work: Callable[[], Sums]) -> Sums:
        """What a pass found in the run before, or finds now."""
        self.worth = True
        if self.used < len(self.kept):
            known, found = self.kept[self.used]
            if known == key:
                self.used += 1
                return found
            self.kept = self.kept[: self.used]  # for example, another number of processors: go on by ourselves
        made = work()
        self.append({"key": key.hex(), "value": made.value}, made.gradient, *(() if made.second is None else (made.second,)))
        return made

    def remove(self) -> None:
        """The fit is done."""
        with contextlib.suppress(OSError):
            self.path.unlink()


@dataclass(frozen=True, eq=False)
class Recorded(Around):
    """A source whose passes are kept."""

    journal: Journal

    def total(self) -> float:
        """The sum of the weights."""
        return self.source.total()

    def mass(self, classes: int) -> Floats:
        """The weight of each class."""
        return self.source.mass(classes)

    def ends(self) -> tuple[float, float]:
        """The least and the greatest target."""
        return self.source.ends()

    def mean(self) -> float:
        """The mean of the targets."""
        return self.source.mean()

    def targets(self) -> tuple[NDArray[Any], Floats | None]:
        """Targets with their weights."""
        return self.source.targets()

    def sum(self, term: Term[T]) -> T:
        """One pass: kept, if it is one of the solver's."""
        if not isinstance(term, Pointwise | Simplex):
            return self.source.sum(term)
        return self.journal.sums(_key(term), lambda: self.source.sum(term))  # pyright: ignore[reportReturnType, reportArgumentType]

    def strided(self, step: int) -> Memory:
        """Every step-th row, in memory."""
        return self.source.strided(step)

    def every(self, step: int) -> Source:
        """Every step-th row."""
        return self.source.every(step)

    def far_means(self) -> Floats:
        """The means of columns far from 0."""
        return self.source.far_means()

    def with_rows(self, rows: TableRows) -> Recorded:
        """The same rows with other slots, or another shift."""
        return replace(self, source=self.source.with_rows(rows))

    def largest_last(self) -> Recorded:
        """The same rows, the largest category last."""
        return replace(self, source=self.source.largest_last())


def _key(term: Pointwise | Simplex) -> bytes:
    """Which pass of a fit this is: with which curvature, for which second derivatives, with which coefficients."""
    curvature = getattr(getattr(term.program, "curvature", None), "__qualname__", None)
    what = [type(term).__name__, curvature, getattr(term, "second", None), term.wide.shape]
    return hashlib.sha256(repr(what).encode() + np.ascontiguousarray(term.wide).tobytes()).digest()


def _record(head: Mapping[str, Any], *arrays: NDArray[Any]) -> bytes:
    """Length, checksum, a line of JSON, and float64 arrays."""
    shapes = [list(array.shape) for array in arrays]
    line = json.dumps({**head, "shapes": shapes}).encode() + b"\n"
    body = line + b"".join(np.ascontiguousarray(array, np.float64).tobytes() for array in arrays)
    return len(body).to_bytes(8, "little") + hashlib.sha256(body).digest() + body


def _next(content: bytes, at: int) -> tuple[Any, list[Floats], int] | None:
    """The record that begins there, and where the next one would; None where none is whole."""
    start = at + 8 + DIGEST
    size = int.from_bytes(content[at : at + 8], "little")
    body = content[start : start + size]
    if len(content) < start or len(body) < size or hashlib.sha256(body).digest() != content[at + 8 : start]:
        return None
    line, _, rest = body.partition(b"\n")
    head, arrays, place = json.loads(line), [], 0
    for shape in head["shapes"]:
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(rest, np.float64, count, place).reshape(shape).copy())
        place += 8 * count
    return head, arrays, start + size


def _compare(path: Path, was: Any, now: Any) -> None:
    """CheckpointError for the first thing that is not as it was."""
    for name, value in now.items():
        before = was.get(name)
        if before == value:
            continue
        if name == "files":
            old, new = {f[0]: f for f in before or []}, {f[0]: f for f in value}
            changed = next(f for f in {**old, **new} if old.get(f) != new.get(f))
            how = "is new" if changed not in old else "is gone" if changed not in new else "has another size or time"
            raise CheckpointError(f"{path} is of other data: {changed} {how} since; without resume (--resume) the fit starts anew")
        raise CheckpointError(f"{path} is of another fit: {name} was {before!r} and is {value!r}; without resume (--resume) it starts anew")
