"""Files written whole or not at all, and JSON read without trust."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DIGITS = 20  # of an integer: as many as 64 bits have; more are no number that we ever wrote, and slow to read


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to, in the same folder, that takes the place of `path` in one step when the block ends well.

    Whoever opens `path` sees the old file or the whole new one, after a kill or a crash as well. If the block raises, or the disk is
    full, the old file stays and the new one is removed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/a.txt") as partial:
    ...         _ = partial.write_text("whole")
    ...     Path(folder, "a.txt").read_text(), len(os.listdir(folder))
    ('whole', 1)
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # or a crash could leave the new name with nothing behind it
        os.replace(partial, path)
    except OSError as error:
        if error.filename in (None, str(partial)):  # name the file that the person knows
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def strict_json(content: bytes) -> Any:
    """The value in a JSON text; ValueError, in a few words, for anything that JSON's grammar does not have or that we never write.

    Refused: other encodings than UTF-8, NaN and Infinity, numbers beyond float64 or of more than 20 digits, two equal keys in an object,
    nesting deeper than Python's stack.

    >>> strict_json(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_integer, parse_float=_finite, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_constant(token: str) -> Any:
    raise ValueError(f"it has the number {token}")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > DIGITS:
        raise ValueError(f"it has a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it has the number {digits[:30]}, which is too large")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"it has the key {twice!r} twice")
    return made
