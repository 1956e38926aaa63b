"""An audit in a worker process: limits of time, and what becomes of a function that hangs or ends the interpreter."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from typing import NoReturn

from matchloss.audit.finding import Outcome
from matchloss.audit.running import worker as processes
from matchloss.audit.running.messages import Begun, Call, Done, Failed, Order, Probed, Ready, Stale, Task, Unloadable
from matchloss.audit.running.perform import ALL, PATIENCE
from matchloss.audit.running.record import Record

START_LIMIT = 60.0  # seconds in which a worker must have started and imported what is audited
CHECK_SHARE = 0.5  # of the time for all, in which a check must return, and so must each of its calls
GRACE = 0.5  # seconds in which a worker may itself end what takes too long
RESTARTS = 2  # workers after the first


class _Restart(Exception):
    """This worker has ended; the checks that are left go to another. free: through no fault of the function."""

    def __init__(self, free: bool = False) -> None:
        self.free = free


def isolated(task: Task, record: Record, time_limit: float, by_value: tuple[str, ...] = ()) -> None:
    """In one worker after another, until every check has an outcome. Unloadable for what does not travel.

    by_value: modules whose functions travel with their code, since a worker does not find those modules.
    """
    module = ""
    if isinstance(task.target, str):
        module = task.target.rpartition(":" if ":" in task.target else ".")[0]
    clock, restarts = _Clock(time_limit), 0
    while restarts <= RESTARTS:
        left = replace(task, names=record.left, check_limit=clock.check_limit, time_limit=clock.left)
        order = Order(tuple(sys.path), os.getcwd(), _packed(left, by_value), START_LIMIT, 2 * clock.check_limit)
        worker = processes.take((order.path, module, task.frameworks))
        try:
            failed = _Watch(worker, record, clock).follow(order)
        except _Restart as restart:
            worker.kill()
            restarts += not restart.free
            if not (restart.free or record.left):
                return
        except BaseException:
            worker.kill()
            raise
        else:
            processes.give_back(worker)
            if failed:
                raise failed
            return
    record.rest("stopped", f"the process had been replaced {RESTARTS} times before")


@dataclass
class _Clock:
    limit: float  # of all checks together
    spent: float = 0.0

    @property
    def check_limit(self) -> float:
        return CHECK_SHARE * self.limit  # so that a function that hangs is found before all time is spent

    @property
    def left(self) -> float:
        return self.limit - self.spent


class _Watch:
    """One worker at one task, its messages and its silences."""

    def __init__(self, worker: processes.Worker, record: Record, clock: _Clock) -> None:
        self.worker, self.record, self.clock = worker, record, clock
        self.at: str | None = None  # the check that runs; "" while the way to call it is looked for, None before
        self.journal = ""  # the call that may not return
        self.since = self.sign = time.monotonic()  # when it began, and the last sign of life
        self.ready = worker.warm

    def follow(self, order: Order) -> Exception | None:
        """Until the task is done, or why it could not be; _Restart if the worker is of no more use."""
        try:
            self.worker.send(order)
            while True:
                message = self.worker.receive(self._end() - time.monotonic())
                now = time.monotonic()
                match message:
                    case Done():
                        return None
                    case Stale():
                        raise _Restart(free=True)
                    case Ready():
                        self.ready = True
                    case Failed():
                        return message.reason
                    case Call():
                        self.sign, self.journal = now, message.text or self.journal
                    case _:
                        if isinstance(message, Outcome):
                            self.clock.spent += message.seconds
                        if isinstance(message, Begun):
                            self.at, self.journal = message.check, ""
                        if isinstance(message, Begun | Probed | Outcome):
                            self.since = self.sign = now
                        self.record.take(message)
        except processes.Overrun:
            self._hung()
        except processes.Died as death:
            self._died(str(death))

    def _end(self) -> float:
        """When the worker must have been heard of: each call has as much time as a check."""
        if self.at is None:
            return self.since + START_LIMIT
        end = self.sign + self._call_limit
        return min(end, self.since + PATIENCE * self.clock.left + GRACE) if self.at else end

    @property
    def _call_limit(self) -> float:
        return self.clock.check_limit * (1 if self.at else 2)  # the first calls may import or compile

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self.since

    def _hung(self) -> NoReturn:
        if self.at is None:
            self.record.broke("", f"was not imported within {START_LIMIT:g} s")
            self.record.rest("stopped", "it could not be imported")
        elif time.monotonic() >= self.sign + self._call_limit:
            self._broke(f"did not return within {self._call_limit:g} s")
        self.record.rest("stopped", ALL)
        raise _Restart

    def _died(self, how: str) -> NoReturn:
        if not self.ready:
            raise RuntimeError(f"the process for an audit could not start ({how}); isolate=False does without")
        if self.at is None and self.worker.warm:
            raise _Restart(free=True)  # it may have been ended before it read the task
        if self.at is None:
            self.record.broke("", f"ended the interpreter when it was imported ({how})")
            self.record.rest("stopped", "it could not be imported")
            raise _Restart
        self._broke(f"ended the interpreter ({how})")

    def _broke(self, message: str) -> NoReturn:
        """An error of what runs; the rest goes on in another worker, unless the way to call it was not found."""
        if self.at:
            self.clock.spent += self._seconds
        self.record.broke(self.at or "", message, self.journal, self._seconds)
        if not self.at:
            self.record.rest("stopped", "no way was found to call it")
        raise _Restart


def _packed(task: Task, by_value: tuple[str, ...]) -> bytes:
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
