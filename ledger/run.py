"""The audit of one entry of the ledger."""

from __future__ import annotations

from ledger.subjects import Entry
from matchloss.audit import Report, audit

TIME_LIMIT = 120.0  # seconds a function: enough for a busy machine, so that what is found depends on no clock


def report_of(entry: Entry) -> Report:
    """The audit of one entry. Every framework is there, so that what is found depends on no other entry."""
    import jax  # noqa: F401
    import torch  # noqa: F401

    return audit(entry.target(), entry.kind, budget=TIME_LIMIT, **entry.convention)
