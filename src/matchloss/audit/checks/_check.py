"""What a check is, and how it says that it does not apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matchloss.audit.calling.subject import Subject
from matchloss.audit.finding import Finding


class Skip(Exception):
    """The check does not apply, and why."""


@dataclass(frozen=True)
class Check:
    """A property that every sound loss has, or that its kind expects: a function of a subject whose docstring states it."""

    run: Callable[[Subject], Iterator[Finding]]

    @property
    def name(self) -> str:
        """As in the table."""
        return self.run.__name__

    @property
    def statement(self) -> str:
        """As mathematics: the docstring's first paragraph."""
        return " ".join((self.run.__doc__ or "").split("\n\n")[0].split())

    @property
    def meaning(self) -> str:
        """What it means for the person who trains with a loss that lacks it: the docstring's last paragraph."""
        return " ".join((self.run.__doc__ or "").strip().split("\n\n")[-1].split())
