"""A call in a forked process."""

from __future__ import annotations

import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from matchloss.audit.calling.subject import silence

LIMIT = 2.0  # seconds for the child, twice: a busy machine is no defect


def in_child(call: Callable[[], Any]) -> Any:
    """What the call gives there; a text that says what happened where it gives nothing; None where processes cannot be forked."""
    if not hasattr(os, "fork"):
        return None
    found: Any = None
    for _ in range(2):
        found = _once(call)
        if not isinstance(found, str) or found != "does not return":
            break
    return found


def _once(call: Callable[[], Any]) -> Any:
    read, write = os.pipe()
    with silence():
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(_tried(call), pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    try:
        data = _all(read, time.monotonic() + LIMIT)
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if data is None:
        return "does not return"
    return pickle.loads(data) if data else "ends the process"


def _tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except BaseException as error:
        return f"raises {type(getattr(error, 'original', error)).__name__}"


def _all(read: int, end: float) -> bytes | None:
    """What comes until the other side closes; None if that takes too long."""
    parts: list[bytes] = []
    while (left := end - time.monotonic()) > 0:
        if select.select([read], [], [], left)[0]:
            part = os.read(read, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return None
