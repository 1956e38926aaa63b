"""Words of messages: counts with nouns, text from files made harmless, suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matchloss.tables.scores import Score

MOST = 12  # most names in a sentence


def plural(count: int, noun: str) -> str:
    """The count with its noun: "1 row", "2,000 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def plain(text: str) -> str:
    """The text with its control characters written out: what a file says must not move the cursor.

    >>> plain("late\\x1b[2J")
    'late\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def listed(names: Iterable[str]) -> str:
    """The names with commas between, the first dozen of many."""
    names = list(names)
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST:,} more" if len(names) > MOST else "")


def suggest(name: str, known: Iterable[str], among: str = "") -> str:
    """ "; did you mean ...?" where a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}{f' ({among})' if among else ''}?" if near else ""


def score_text(name: str, score: Score) -> str:
    """A mean score of that name, or why it is infinite."""
    if score.infinite:
        why = "a mean <= 0" if name.endswith("deviance") else "probability 0" if name == "log" else "no finite prediction"
        return f"inf ({plural(score.infinite, 'row')} had {why})"
    return f"{score.value:.5g}"
