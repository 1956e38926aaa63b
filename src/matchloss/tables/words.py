"""Words of messages: counts with their nouns, the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def plural(count: int, noun: str) -> str:
    """The count with its noun: "1 row", "2,000 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def suggest(name: str, known: Iterable[str], among: str = "") -> str:
    """ "; did you mean ...?" where a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}{f' ({among})' if among else ''}?" if near else ""
