"""What every text on the terminal is made of: 80 columns, in ASCII so that any terminal shows it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from matchloss.tables.words import plain as plain

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


def sentence(text: str, style: str = "", hanging: int = 2) -> Text:
    """A sentence, indented and wrapped."""
    return Text(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent=" " * (2 + hanging)), style=style)


def rendered(thing: RenderableType) -> str:
    """The thing as text without colours, whatever the terminal."""
    out = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False, highlight=False, markup=False)
    with out.capture() as captured:
        out.print(thing, crop=False)  # code is never cut
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def facts(pairs: Mapping[str, str], margin: int = 2) -> Text:
    """Names with what is to be said of them, aligned; empty ones are left out."""
    said = {name: plain(fact) for name, fact in pairs.items() if fact}
    indent = " " * (margin + 2 + max(map(len, said), default=0))
    lines = Text()
    for name, fact in said.items():
        body = textwrap.fill(fact, WIDTH, initial_indent=indent, subsequent_indent=indent)[len(indent) :]
        lines.append(f"{' ' * margin}{name}".ljust(len(indent)), style="dim")
        lines.append(f"{body}\n")
    lines.rstrip()
    return lines
