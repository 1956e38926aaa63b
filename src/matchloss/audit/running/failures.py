"""An audited function that raises, or returns what is no loss, in the middle of a check: the finding, with the input that does it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np

from matchloss.audit.calling.subject import Malformed, Raised, Subject
from matchloss.audit.finding import Finding

ROWS = 64  # that are tried one by one
RETRIES = {"_values": "value", "_gradients": "gradient", "_hessians": "hessian"}  # where it was called, and how a check calls it
FAILURES = (Raised, Malformed, MemoryError)


def failure(subject: Any, error: BaseException) -> Finding:
    """The finding of an error, with a single row where one is enough."""
    message = said(error)
    where = _where(error.__traceback__)
    if where is None:
        call = getattr(error, "call", "")
        return Finding("", "error", message, {"call": call} if call else {})
    name, x, y, dtype = where
    how = RETRIES.get(name, "value")
    if name in RETRIES and np.ndim(x) and isinstance(error, FAILURES):
        for i in range(min(len(x), ROWS)):
            try:
                getattr(subject, how)(x[i : i + 1], y[i : i + 1], dtype)
            except FAILURES as one:
                if said(one) == message or len(x) == 1:
                    x, y = x[i : i + 1], y[i : i + 1]
                    break
    return subject.finding("error", message, x=x, y=y, dtype=dtype, show=how)


def said(error: BaseException) -> str:
    """What happened, for a person."""
    if isinstance(error, Malformed):
        return str(error)
    original = error.original if isinstance(error, Raised) else error
    if isinstance(original, SystemExit):
        return f"called sys.exit({'' if original.code is None else repr(original.code)}), which ends the interpreter"
    if isinstance(original, MemoryError):
        return "ran out of memory"
    text = " ".join(str(original).split())
    return f"raised {type(original).__name__}{f': {text[:300]}' if text else ''}"


def _where(trace: TracebackType | None) -> tuple[str, Any, Any, str] | None:
    """The innermost call of the subject in a traceback that had a prediction and a target."""
    found = None
    while trace is not None:
        frame, own = trace.tb_frame, trace.tb_frame.f_locals
        if isinstance(own.get("self"), Subject) and own.get("x") is not None and own.get("y") is not None:
            found = frame.f_code.co_name, own["x"], own["y"], own.get("dtype", "float64")
        trace = trace.tb_next
    return found
