"""A comparison as text: two tables of at most 80 columns, in ASCII so that any terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from matchloss.comparison.result import Comparison, Fit
from matchloss.losses._card import facts
from matchloss.tables.words import score_text
from matchloss.terminal import LINE, ruled, sentence

if TYPE_CHECKING:
    from matchloss.losses import Loss

INFINITE_WIDTH = 14  # "inf (195 rows", "had", "probability 0)"
LETTERS = "z: the output, y: what was wanted, p or mu: the prediction made of z"


def comparison_text(found: Comparison) -> Group:
    """What was decided on the person's behalf, the properties of the losses, and how they did."""
    parts: list[RenderableType] = [Text(f"\n{found.target} in {found.source}", style="bold")]
    parts += [sentence(message) for message in found.messages]
    parts += [Text(), properties(found), sentence(LETTERS, "dim")]
    parts += [Text(), results(found), *(sentence(line, "dim") for line in _legend(found))]
    return Group(*parts)


def properties(found: Comparison) -> Table:
    """What each loss is, before any data are seen."""
    table = ruled("loss", "error signal", "output\nminus\nwanted", "zero\niff\nright", "convex", "linear\nin the\ntarget", "elicits")
    for fit in found.fits:
        loss = fit.loss
        flags = (loss.matching, loss.zero_iff_right, loss.convex, loss.linear_in_target)
        table.add_row(loss.name, loss.error_signal, *map(_yes, flags), loss.functional)
    return table


def results(found: Comparison) -> Table:
    """How each loss did: the solver's work, and held-out scores, lower is better."""
    infinite = {name for name in found.score_names if any(fit.scores[name].infinite for fit in found.fits if name in fit.scores)}
    table = Table(box=LINE, show_edge=False, pad_edge=False, padding=(0, 0 if infinite else 1, 0, 0))
    table.add_column("loss", no_wrap=True)
    for name in ("passes", "seconds", *found.score_names):
        wraps = name in infinite
        table.add_column(name, justify="right", vertical="top", no_wrap=not wraps, width=INFINITE_WIDTH if wraps else None)
    best = {score: found.best(score) for score in found.score_names}
    for fit in found.fits:
        passes = f"{fit.passes}{' ' if fit.converged else '+'}"
        scores = [_score(fit, score, fit.loss.name in best[score]) for score in found.score_names]
        table.add_row(fit.loss.name, passes, f"{fit.seconds:.2f}", *scores)
    return table


def catalogue(rows: list[dict[str, Any]]) -> Table:
    """All losses, one per line."""
    table = ruled("loss", "error signal", "link", "output\nminus\nwanted", "elicits")
    for row in rows:
        table.add_row(row["name"], row["error_signal"], row["link_name"], _yes(row["matching"]), row["functional"])
    return table


def card(loss: Loss) -> Group:
    """One loss on a card."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts(loss).items():
        if fact:
            grid.add_row(Text(name, style="dim"), Text(fact))
    return Group(Text(f"{loss.title} ({loss.name})", style="bold"), Padding(grid, (0, 0, 0, 2), expand=False), sentence(LETTERS, "dim"))


def _score(fit: Fit, name: str, best: bool) -> str:
    if name not in fit.scores:
        return "- "
    score = fit.scores[name]
    return score_text(name, score) if score.infinite else f"{score_text(name, score)}{'*' if best else ' '}"


def _legend(found: Comparison) -> list[str]:
    lines = ["held-out scores: lower is better"]
    if any(found.best(score) for score in found.score_names):
        lines.append("* the best among losses that elicit the same")
    elif len(found.fits) > 1:
        lines.append(
            "no best is marked, since no two of these losses elicit the same: squared error judges a mean, absolute error a median"
        )
    if not all(fit.converged for fit in found.fits):
        lines.append("+ stopped before it converged")
    if any(len(fit.scores) < len(found.score_names) for fit in found.fits):
        lines.append("- predicts a label and no probability: no such score")
    return lines


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
