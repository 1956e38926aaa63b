"""A call in a forked process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from matchloss.audit.calling.subject import silence

LIMIT = 2.0  # seconds for the child, twice, besides ten times what the call takes here: a busy machine is no defect


def in_child(call: Callable[[], Any], seconds: float) -> Any:
    """What the call gives there; a text that says what happened where it gives nothing; None where processes cannot be forked.

    seconds: that the call takes here.
    """
    if "fork" not in multiprocessing.get_all_start_methods() or multiprocessing.current_process().daemon:
        return None
    context = multiprocessing.get_context("fork")
    for _ in range(2):
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_tell, args=(call, theirs), daemon=True)
        with silence():
            child.start()
        theirs.close()
        try:
            if ours.poll(LIMIT + 10 * seconds):
                return ours.recv()
        except EOFError:
            return "ends the process"
        finally:
            child.kill()
            child.join()
    return "does not return"


def _tell(call: Callable[[], Any], pipe: Connection) -> None:
    try:
        pipe.send(call())
    except BaseException as error:
        pipe.send(f"raises {type(getattr(error, 'original', error)).__name__}")
