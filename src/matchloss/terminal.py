"""What every text on the terminal is made of: 80 columns, in ASCII so that any terminal shows it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 80
LINE = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def console(stderr: bool = False) -> Console:
    """A console of 80 columns, whatever the terminal: tables look the same everywhere."""
    return Console(width=WIDTH, stderr=stderr, highlight=False, markup=False)  # [z >= y] is a formula, no markup


def ruled(first: str, *others: str) -> Table:
    """A table whose first column is never cut; the others wrap."""
    made = Table(box=LINE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column(first, no_wrap=True)
    for other in others:
        made.add_column(other, overflow="fold", vertical="top")
    return made


def sentence(text: str, style: str = "") -> Text:
    """A sentence, indented and wrapped."""
    return Text(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    "), style=style)


def plain(text: str) -> str:
    """The text with its control characters written out: what a file says must not move the cursor.

    >>> plain("late\\x1b[2J")
    'late\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def facts(pairs: Mapping[str, str]) -> Text:
    """Names with what is to be said of them, aligned; empty ones are left out."""
    said = {name: plain(fact) for name, fact in pairs.items() if fact}
    indent = " " * (4 + max(map(len, said), default=0))
    lines = Text()
    for name, fact in said.items():
        body = textwrap.fill(fact, WIDTH, initial_indent=indent, subsequent_indent=indent)[len(indent) :]
        lines.append(f"  {name}".ljust(len(indent)), style="dim")
        lines.append(f"{body}\n")
    lines.rstrip()
    return lines
