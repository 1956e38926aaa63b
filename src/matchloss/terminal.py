"""What every text on the terminal is made of: 80 columns, in ASCII so that any terminal shows it."""

from __future__ import annotations

import io
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from matchloss.tables.words import plain as plain

WIDTH = 80  # at most
LEAST = 24  # columns, however narrow the terminal
TEXT = 25  # columns: longer text in a table goes on below
GAP = 2  # between columns
CODE = re.compile(r"\[(encoding|words|id|time|leak|text)\]$")  # headings of docs/tables.md
DOCS = "https://matchloss.readthedocs.io/en/latest/tables/"
LINE = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def width() -> int:
    """The columns to fill: 80, or fewer where the terminal is narrower."""
    return max(LEAST, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def console(stderr: bool = False) -> Console:
    """A console of at most 80 columns: tables look the same in every terminal that is wide enough."""
    return Console(width=width(), stderr=stderr, highlight=False, markup=False)  # [z >= y] is a formula, no markup


def blocks(lines: Sequence[Sequence[str]], room: int) -> Text:
    """A table that is never cut: cells go on below at spaces, and columns that do not fit go below, with the first column again.

    The first line is the head. A column of numbers is set to the right.

    >>> print(blocks([("loss", "squared error", "relative"), ("poisson", "0.5", "1.00"), ("gamma", "12.5", "1.02 (0.99 to 1.05)")], 30))
    loss     squared
               error
    ----------------
    poisson      0.5
    gamma       12.5
    <BLANKLINE>
    loss                relative
    ----------------------------
    poisson                 1.00
    gamma    1.02 (0.99 to 1.05)
    """
    columns = [[plain(cell) for cell in column] for column in zip(*lines, strict=True)]
    widths = [_width_of(columns[0], min(TEXT, room // 2))]
    widths += [_width_of(column, min(TEXT, room - GAP - widths[0])) for column in columns[1:]]
    parts: list[list[int]] = []
    used = room + 1
    for c in range(1, len(columns)):
        if used + GAP + widths[c] > room:
            parts.append([0])
            used = widths[0]
        parts[-1].append(c)
        used += GAP + widths[c]
    return Text(
        "\n\n".join(_block([columns[c] for c in part], [widths[c] for c in part]) for part in parts), no_wrap=True, overflow="ignore"
    )


def _width_of(column: Sequence[str], most: int) -> int:
    """Wide enough for the longest word, and for cells of up to so many columns."""
    words = [len(word) for cell in column for word in cell.split()]
    return max([*words, min(max(map(len, column[1:]), default=0), most), 1])


def _block(columns: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    right = [c > 0 and all(map(_is_number, column[1:])) for c, column in enumerate(columns)]
    text: list[str] = []
    for line in zip(*columns, strict=True):
        folded = [textwrap.wrap(cell, w, break_long_words=False, break_on_hyphens=False) for cell, w in zip(line, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=""):
            padded = (part.rjust(w) if r else part.ljust(w) for part, w, r in zip(parts, widths, right, strict=True))
            text.append((" " * GAP).join(padded).rstrip())
        if len(text) == max(map(len, folded)):
            text.append("-" * (sum(widths) + GAP * (len(widths) - 1)))
    return "\n".join(text)


def ruled(first: str, *others: str) -> Table:
    """A table whose first column is never cut; the others wrap."""
    made = Table(box=LINE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    made.add_column(first, no_wrap=True)
    for other in others:
        made.add_column(other, overflow="fold", vertical="top")
    return made


def _is_number(cell: str) -> bool:
    """Whether a cell holds a number, or nothing."""
    return not cell or cell[0] in "-+" or cell[0].isdigit() or cell.startswith("inf")


def sentence(text: str, style: str = "", hanging: int = 2) -> Text:
    """A sentence, indented and wrapped, no line of which begins with a percent sign."""
    whole = text.replace(" %", "\N{NO-BREAK SPACE}%")
    wrapped = textwrap.fill(whole, width(), initial_indent="  ", subsequent_indent=" " * (2 + hanging))
    return Text(wrapped.replace("\N{NO-BREAK SPACE}%", " %"), style=style)


def alert(text: str) -> Text:
    """A sentence that ends in the code of an alert, "[leak]"; where the terminal has links, the code leads to what the docs say of it."""
    made = sentence(plain(f"! {text}"))
    code = CODE.search(made.plain)
    if code:
        made.stylize(f"link {DOCS}#{code[1]}", code.start(), code.end())
    return made


def rendered(thing: RenderableType) -> str:
    """The thing as text without colours, whatever the terminal."""
    out = Console(file=io.StringIO(), width=width(), color_system=None, force_terminal=False, highlight=False, markup=False)
    with out.capture() as captured:
        out.print(thing, crop=False)  # code is never cut
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def facts(pairs: Mapping[str, str], margin: int = 2) -> Text:
    """Names with what is to be said of them, aligned; empty ones are left out."""
    said = {name: plain(fact) for name, fact in pairs.items() if fact}
    indent = " " * (margin + 2 + max(map(len, said), default=0))
    lines = Text()
    for name, fact in said.items():
        body = textwrap.fill(fact, width(), initial_indent=indent, subsequent_indent=indent)[len(indent) :]
        lines.append(f"{' ' * margin}{name}".ljust(len(indent)), style="dim")
        lines.append(f"{body}\n")
    lines.rstrip()
    return lines
