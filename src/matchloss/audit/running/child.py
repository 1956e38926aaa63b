"""The worker process, `python -m matchloss.audit.running.child`: told by its input what to audit, telling by its output what it finds."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import pickle
import queue
import random
import signal
import sys
import threading
import warnings
from typing import Any

import numpy as np

from matchloss.audit.running.messages import Begun, Done, Failed, Order, Ready, Stale, Unloadable
from matchloss.audit.running.perform import FRAMEWORKS, defect, perform
from matchloss.names import UnknownName

GRACE = 5.0  # seconds after which a worker ends by itself what its parent should have ended


def main() -> None:
    """Audit what comes until the parent is gone."""
    told, tell = _pipes()
    tasks: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(told, tasks), daemon=True).start()
    with contextlib.suppress(ImportError):
        import resource  # POSIX

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a function that crashes leaves no core file
    warnings.simplefilter("ignore")
    send = _Sender(tell)
    files: dict[str, float] = {}
    send(Ready())
    while True:
        order = tasks.get()
        sys.path[:] = order.path
        with contextlib.suppress(OSError):
            os.chdir(order.directory)
        importlib.invalidate_caches()
        if any(_changed(file) != time for file, time in files.items()):
            send(Stale())
            return
        _serve(order, send)
        faulthandler.cancel_dump_traceback_later()
        files |= {file: _changed(file) for file in _files() - files.keys()}


def _serve(order: Order, send: _Sender) -> None:
    _end_after(order.start_limit + GRACE)
    try:
        task = pickle.loads(order.task)
    except Exception as error:  # a module of the parent's that is not found by its name, for one
        missing = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        send(Failed(Unloadable(f"{type(error).__name__}: {error}", missing)))
        return

    def alive(message: Any) -> None:
        _end_after(order.call_limit + GRACE)
        send(message)

    try:
        for event in perform(task, alive, guarded=True):
            if isinstance(event, Begun):
                _seed()
            alive(event)
    except UnknownName as error:
        send(Failed(error))
        return
    except Exception as error:
        send(Failed(RuntimeError(defect(error))))
        return
    send(Done())


def _seed() -> None:
    """A function that draws numbers draws the same every time."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    for name in FRAMEWORKS:
        if callable(seed := getattr(sys.modules.get(name), "manual_seed", None)):
            seed(0)


class _Sender:
    """Messages to the parent, from any thread of this process but of none that it forks."""

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.process, self.lock = pipe, os.getpid(), threading.Lock()

    def __call__(self, message: Any) -> None:
        if os.getpid() == self.process:
            data = pickle.dumps(message)
            with self.lock:
                self.pipe.write(data)
                self.pipe.flush()


def _pipes() -> tuple[Any, Any]:
    """Input and output for ourselves; what the function reads is empty, and what it prints is lost."""
    told, tell = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    return told, tell


def _listen(told: Any, tasks: queue.SimpleQueue[Order]) -> None:
    with contextlib.suppress(Exception):
        while True:
            tasks.put(pickle.load(told))
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with what the function has started
    os._exit(0)


def _end_after(seconds: float) -> None:
    """Without the interpreter's lock: a loop in C that never ends would hold it."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)


def _files() -> set[str]:
    return {file for m in list(sys.modules.values()) if isinstance(file := getattr(m, "__file__", None), str)}


def _changed(file: str) -> float:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return 0.0


if __name__ == "__main__":
    main()
