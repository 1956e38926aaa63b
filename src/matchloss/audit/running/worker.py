"""A second interpreter that audits, seen from the first: started, told, listened to, killed, and kept for the next function.

Its standard input and output carry pickles. Pipes end with the process at their other end on every platform, which is how each of the
two notices that the other is gone; whatever the audited function prints goes elsewhere (see _child).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from matchloss.engine import threads


class Overrun(Exception):
    """Nothing came within the time."""


class Died(Exception):
    """The worker has ended; the message says how: "SIGSEGV", "exit code 3"."""


class Worker:
    """One such interpreter. `key` says what it may have loaded, so that what it finds does not depend on earlier functions."""

    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key
        self.warm = False  # has served before
        self.killed = False
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        own_group: dict[str, Any] = (
            {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}
        )  # Ctrl-C is the parent's
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "matchloss.audit.running.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            **own_group,
        )
        self.reader = threading.Thread(target=_read, args=(self.process.stdout, self.inbox), daemon=True)
        self.reader.start()

    def send(self, message: Any) -> None:
        """Died if there is nobody to read it."""
        assert self.process.stdin is not None
        try:
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()
        except OSError as error:
            raise self._death() from error

    def receive(self, seconds: float) -> Any:
        """The next message; Overrun if none comes within so many seconds."""
        end = time.monotonic() + seconds
        while True:
            # A process that the function has started may hold the pipe open after the worker's end.
            ended = self.process.poll() is not None
            try:
                message = self.inbox.get(timeout=max(0.0, min(0.1, end - time.monotonic())))
            except queue.Empty:
                if ended:
                    raise self._death() from None
                if time.monotonic() >= end:
                    raise Overrun from None
                continue
            if message is None:
                raise self._death()
            return message

    def _death(self) -> Died:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        code = self.process.returncode
        self.kill()
        if code is None:
            return Died("its connection was closed")
        try:
            return Died(signal.Signals(-code).name if code < 0 else f"exit code {code if code < 256 else hex(code)}")
        except ValueError:
            return Died(f"signal {-code}")

    def kill(self) -> None:
        """End it and whatever it has started."""
        if self.killed:
            return
        self.killed = True
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()
        self.reader.join(1.0)
        for pipe in (self.process.stdin, None if self.reader.is_alive() else self.process.stdout):
            with contextlib.suppress(OSError):  # of a message that nobody has read
                if pipe:
                    pipe.close()


def _read(pipe: Any, inbox: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            inbox.put(pickle.load(pipe))
    except Exception:  # the end of the pipe, or a pickle cut off by the worker's
        inbox.put(None)


def _environment() -> dict[str, str]:
    """Ours, with what makes a worker find the same modules, and the same every time."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(p) for p in sys.path)
    environment["PYTHONHASHSEED"] = "0"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(name, str(threads.count()))
    environment.setdefault("JAX_PLATFORMS", "cpu")  # its own share of an accelerator's memory would be most of it
    return environment


_lock = threading.Lock()
_kept: list[Worker] = []  # one at most


def take(key: tuple[Any, ...]) -> Worker:
    """The worker that was kept if it fits, else a new one."""
    with _lock:
        kept = _kept.pop() if _kept else None
    if kept and kept.key == key and kept.process.poll() is None:
        return kept
    if kept:
        kept.kill()
    return Worker(key)


def give_back(worker: Worker) -> None:
    """Keep it for the next function."""
    worker.warm = True
    with _lock:
        if not _kept:
            _kept.append(worker)
            return
    worker.kill()


@atexit.register
def close() -> None:
    """End the worker that is kept."""
    with _lock:
        ended = [_kept.pop() for _ in range(len(_kept))]
    for worker in ended:
        worker.kill()


def _forget() -> None:
    """In a forked child: the worker is the parent's."""
    global _lock
    _lock = threading.Lock()
    for worker in _kept:
        worker.process.returncode = 0  # or its deletion warns that it still runs
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe:
                pipe.raw.close()  # type: ignore[attr-defined]
    _kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
