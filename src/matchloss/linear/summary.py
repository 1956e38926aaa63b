"""What is known of a fitted estimator today, as text and as HTML: how the fit ended, and its coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from matchloss.linear.rows import Floats

MOST = 30  # coefficients that are shown; all of them are in the estimator
CELL = "padding: 1px 10px 1px 0; text-align: "


@dataclass(frozen=True, eq=False)
class Summary:
    """Facts by name, and the coefficients by name: (p + 1, outputs), the intercept first."""

    title: str
    facts: dict[str, str]
    names: tuple[str, ...]
    values: Floats
    outputs: tuple[str, ...]  # what the columns of values are called
    intercept: bool = True

    def rows(self) -> list[list[str]]:
        """The table of coefficients, its header first."""
        shown = zip((*["intercept"][: self.intercept], *self.names), self.values, strict=True)
        body = [[name, *(f"{value:.5g}" for value in row)] for name, row in shown]
        more = len(body) - self.intercept - MOST
        tail = [[f"and {more:,} more in coef_", *("" for _ in self.outputs)]] if more > 0 else []
        return [["coefficient", *self.outputs], *body[: MOST + self.intercept], *tail]

    def __str__(self) -> str:
        wide = max(map(len, self.facts))
        lines = [self.title, *(f"  {name:<{wide}}  {fact}" for name, fact in self.facts.items()), ""]
        rows = self.rows()
        widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
        cells = [[row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))] for row in rows]
        return "\n".join([*lines, *("  ".join(row).rstrip() for row in cells)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "".join(_row("td", [name, fact], "left") for name, fact in self.facts.items())
        header, *rows = self.rows()
        body = _row("th", header, "right") + "".join(_row("td", row, "right") for row in rows)
        return f"<div><strong>{escape(self.title)}</strong><table>{facts}</table><table>{body}</table></div>"


def _row(tag: str, cells: list[str], side: str) -> str:
    sides = ["left", *[side] * (len(cells) - 1)]
    made = [f'<{tag} style="{CELL}{s}">{escape(cell)}</{tag}>' for s, cell in zip(sides, cells, strict=True)]
    return f"<tr>{''.join(made)}</tr>"
