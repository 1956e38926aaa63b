"""To be written."""

from __future__ import annotations

from collections.abc import Iterator

from matchloss.audit._finding import Finding
from matchloss.audit._subject import Subject
from matchloss.audit.checks._skip import Skip


def finite(subject: Subject) -> Iterator[Finding]:
    """To be written."""
    raise Skip("to be written")
    yield


def limits(subject: Subject) -> Iterator[Finding]:
    """To be written."""
    raise Skip("to be written")
    yield


def accuracy(subject: Subject) -> Iterator[Finding]:
    """To be written."""
    raise Skip("to be written")
    yield
