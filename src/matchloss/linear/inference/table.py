"""The summary of a fit: printed as statsmodels prints it, and a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.linear.inference.frames import as_frame
from matchloss.linear.rows import Floats

if TYPE_CHECKING:
    from matchloss.linear.inference.estimates import Estimates

WIDTH = 78


@dataclass(frozen=True, eq=False)
class Table:
    """Facts about a fit, and one row for each coefficient: name, coef, se, z or t, p_value, ci_lower, ci_upper."""

    title: str
    facts: tuple[tuple[str, str], ...]
    columns: dict[str, Any]
    heads: tuple[str, ...]
    notes: tuple[str, ...]
    backend: str

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def frame(self) -> Any:
        """The table of coefficients as a frame of the library that X was a frame of."""
        return as_frame(self.columns, self.backend)

    def to_pandas(self) -> Any:
        """The table as a pandas frame, with the names as its index."""
        return as_frame(self.columns, "pandas").set_index("name")

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return as_frame(self.columns, "pyarrow").__arrow_c_stream__(requested_schema)

    def rescaled(self, unit: Floats) -> Table:
        """The table for columns that were divided by `unit`, one number a coefficient."""
        changed = {name: self.columns[name] / unit for name in ("coef", "se", "ci_lower", "ci_upper")}
        return replace(self, columns=self.columns | changed)

    def cells(self) -> list[list[str]]:
        """The table of coefficients as text."""
        formats = ("{}", "{:.5g}", "{:.3g}", "{:.3f}", "{:.3f}", "{:.4g}", "{:.4g}")
        rows = zip(*self.columns.values(), strict=True)
        return [[form.format(value) for form, value in zip(formats, row, strict=True)] for row in rows]

    def __str__(self) -> str:
        body, heads = self.cells(), ["", *self.heads]
        widths = [max(len(head), *(len(row[j]) for row in body)) for j, head in enumerate(heads)]
        first = max(10, min(widths[0], WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
        gap = max(2, (WIDTH - first - sum(widths[1:])) // max(1, len(widths) - 1))

        def line(row: list[str]) -> str:
            name = row[0] if len(row[0]) <= first else row[0][: first - 2] + ".."
            return name.ljust(first) + "".join(" " * gap + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))

        half, pairs = (len(self.facts) + 1) // 2, []
        for left, right in zip(self.facts[:half], [*self.facts[half:], ("", "")], strict=False):
            pairs.append("  ".join(_fact(*fact, 38) for fact in (left, right) if fact[0]))
        table = ["=" * WIDTH, line(heads), "-" * WIDTH, *map(line, body), "=" * WIDTH]
        notes = [line for note in self.notes for line in wrap(note, WIDTH)]
        return "\n".join([self.title.center(WIDTH).rstrip(), "=" * WIDTH, *pairs, *table, *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "".join(_row(fact) for fact in self.facts)
        body = _row(["", *self.heads], "th") + "".join(map(_row, self.cells()))
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<div><strong>{escape(self.title)}</strong><table>{facts}</table><table>{body}</table>{notes}</div>"


def _fact(name: str, value: str, width: int) -> str:
    return name + value.rjust(width - len(name)) if len(name) + len(value) < width else f"{name} {value}"


def _row(cells: Sequence[str], tag: str = "td") -> str:
    sides = ["left", *["right"] * (len(cells) - 1)]
    return "<tr>" + "".join(f'<{tag} style="text-align: {s}">{escape(c)}</{tag}>' for s, c in zip(sides, cells, strict=True)) + "</tr>"


def summary_of(of: Estimates, alpha: float) -> Table:
    """The table of estimates."""
    low, high = of.conf_int(alpha).T
    z = "t" if of._by_t(None) else "z"
    columns = {"name": of.names, "coef": of.params, "se": of.bse, z: of.tvalues, "p_value": of.pvalues, "ci_lower": low, "ci_upper": high}
    heads = ("coef", "std err", z, f"P>|{z}|", f"[{alpha / 2:.3g}", f"{1 - alpha / 2:.3g}]")
    return Table(of.title, facts_of(of), columns, heads, of.notes, of.backend)


def facts_of(of: Estimates) -> tuple[tuple[str, str], ...]:
    """What the head of a summary says."""
    counts = {of.counted: f"{of.nobs:.10g}", "Df residuals:": f"{of.df_resid:.10g}", "Df model:": f"{of.df_model}"}
    measures = {name: _try(of, what) for name, what in of.measures}
    return tuple((of.facts | counts | {"Covariance:": of.kind} | {n: f"{x:.8g}" for n, x in measures.items() if x is not None}).items())


def _try(of: Estimates, what: str) -> float | None:
    """A number that some likelihoods have no formula for yet."""
    try:
        value = float(getattr(of, what))
    except NotImplementedError:
        return None
    return value if np.isfinite(value) else None
