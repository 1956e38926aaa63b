"""A second interpreter that audits, both ends of it: started, told, listened to, killed, and kept for the next function.

Its standard input and output carry pickles. Pipes end with the process at their other end on every platform, which is how each of the
two notices that the other is gone; whatever the audited function prints goes elsewhere (see `_pipes`).
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import os
import pickle
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from typing import Any

import numpy as np

from matchloss.audit.running.perform import FRAMEWORKS, Begun, Failed, Order, Remark, State, Task, Unloadable, fault, perform
from matchloss.engine import threads
from matchloss.names import UnknownName

GRACE = 5.0  # seconds after which a worker ends by itself what its parent should have ended


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
        own_group: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}  # Ctrl-C is ours
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from matchloss.audit.running.worker import main; main()"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(), **own_group,
        )  # fmt: skip
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
            ended = self.process.poll() is not None  # what the function has started may hold the pipe open after that
            with contextlib.suppress(queue.Empty):
                if (message := self.inbox.get(timeout=max(0.0, min(0.1, end - time.monotonic())))) is not None:
                    return message
                ended = True
            if ended:
                raise self._death()
            if time.monotonic() >= end:
                raise Overrun

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
    defaults: dict[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads.count()))
    defaults["JAX_PLATFORMS"] = "cpu"  # its own share of an accelerator's memory would be most of it
    paths, windows = os.pathsep.join(map(os.path.abspath, sys.path)), {"MPLBACKEND": "Agg", "QT_QPA_PLATFORM": "offscreen"}
    return {**defaults, **os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", **windows}


def packed(task: Task, by_value: tuple[str, ...]) -> bytes:
    """The task as bytes; functions of the modules `by_value` with their code, since the worker does not find those modules."""
    try:
        import cloudpickle
    except ImportError as error:
        raise ImportError('an audit in a process of its own needs cloudpickle: pip install "matchloss[audit]"') from error
    modules = [sys.modules[name] for name in by_value]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(task)
    except Exception as error:  # whatever an object raises that does not want to be pickled
        raise Unloadable(f"{type(error).__name__}: {error}", "") from error
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


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


# --- the interpreter itself -----------------------------------------------------------------------------------------------------------


def main() -> None:
    """Audit what comes until the parent is gone."""
    told, tell, printed = _pipes()
    tasks: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(told, tasks), daemon=True).start()
    with contextlib.suppress(ImportError):
        import resource  # POSIX

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a function that crashes leaves no core file
    warnings.simplefilter("ignore")
    send = _Sender(tell)
    files: dict[str, float] = {}
    send(State("ready"))
    while True:
        order = tasks.get()
        sys.path[:] = order.path
        with contextlib.suppress(OSError):
            os.chdir(order.directory)
        importlib.invalidate_caches()
        if any(_changed(file) != time for file, time in files.items()):
            send(State("stale"))
            return
        _serve(order, send, printed)
        faulthandler.cancel_dump_traceback_later()
        files |= {file: _changed(file) for file in _files() - files.keys()}


def _serve(order: Order, send: _Sender, printed: Any) -> None:
    _end_after(order.start_limit + GRACE)
    try:
        task = pickle.loads(order.task)
    except Exception as error:  # a module of the parent's that is not found by its name, for one
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        send(Failed(Unloadable(f"{type(error).__name__}: {error}", missing or "")))
        return

    def alive(message: Any) -> None:
        _end_after(order.call_limit + GRACE)
        send(message)

    try:
        for event in perform(task, alive, guarded=True):
            if isinstance(event, Begun):
                _seed()
            alive(event)
        for text in _seen(printed):
            alive(Remark(text))
    except Exception as error:
        send(Failed(error if isinstance(error, UnknownName) else RuntimeError(fault(error))))
    else:
        send(State("done"))


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


def _pipes() -> tuple[Any, Any, Any]:
    """Input and output for ourselves; what the function reads is empty, and what it prints goes to a file."""
    told, tell = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere, printed = os.open(os.devnull, os.O_RDWR), tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
    for fd, to in ((0, nowhere), (1, printed.fileno()), (2, nowhere)):
        os.dup2(to, fd)
    return told, tell, printed


def _seen(printed: Any) -> list[str]:
    """What a person would have seen: text that was printed, windows that were opened."""
    found = []
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        printed.seek(0)
        if line := printed.read(200).decode(errors="replace").strip():
            found.append(f"it prints, such as {line.splitlines()[0][:60]!r}: that was not shown")
        printed.truncate(0)
        printed.seek(0)
    figures = sys.modules.get("matplotlib.pyplot")
    if figures and figures.get_fignums():
        found.append("it draws with matplotlib: its windows were closed")
        figures.close("all")
    return found


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
