"""A comparison as text: alerts, verdicts, then tables that are never cut, in ASCII so that any terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from matchloss.comparison.lines import properties, results
from matchloss.comparison.sentences import asked
from matchloss.losses._card import facts
from matchloss.losses.structured import StructuredLoss
from matchloss.losses.structured import facts as structured_facts
from matchloss.terminal import alert, blocks, plain, ruled, sentence, width

if TYPE_CHECKING:
    from matchloss.comparison.result import Answer, Comparison
    from matchloss.losses import Loss

LETTERS = "z: the output, y: what was wanted, p or mu: the prediction made of z"
RELATIVE = "relative: the score over the best's, with its 95 % interval; all intervals of a table hold at once"
TO_CONSTANT = "relative: the score over the constant's, with its 95 % interval; all intervals of a table hold at once"
MATCHING = "output minus wanted: the error signal is the difference itself, so the loss matches its link"


def comparison_text(found: Comparison) -> Group:
    """What a person should know first, the verdicts, how each loss did, what was decided on the person's behalf, and what each loss is."""
    parts: list[RenderableType] = [Text(), Text(plain(f"{found.target} in {found.source}"), style="bold")]
    parts += [alert(said) for said in found.alerts]
    parts += [Text(), *_standings(found)]
    parts += [sentence(line, "dim") for line in _legend(found)]
    parts += [Text(), Text("What was done", style="bold")]
    parts += [sentence(plain(note)) for note in found.notes if note not in found.alerts]
    parts += [Text(), Text("What each loss is", style="bold"), blocks(properties(found.of_each_loss), width())]
    return Group(*parts, sentence(LETTERS, "dim"), sentence(MATCHING, "dim"))


def standings_text(found: Comparison) -> Group:
    """The verdicts, and how each loss did."""
    return Group(Text(), Text(plain(f"{found.target} in {found.source}"), style="bold"), Text(), *_standings(found))


def _standings(found: Comparison) -> list[RenderableType]:
    parts: list[RenderableType] = [sentence(plain(verdict.sentence), "bold", hanging=0) for verdict in found.verdicts]
    for answer in found.answers:
        parts += [Text(), Text(heading(answer), style="bold"), blocks(results(found.fits, answer), width())]
    return parts


def comparison_markdown(found: Comparison) -> str:
    """The same in Markdown, for a report or an issue."""
    parts = [f"## {found.target} in {found.source}", *(f"> {alert}" for alert in found.alerts), *(v.sentence for v in found.verdicts)]
    parts += [f"### {heading(answer)}\n\n{_markdown(results(found.fits, answer))}" for answer in found.answers]
    parts += ["\n".join(f"- {note}" for note in found.notes if note not in found.alerts)]
    return "\n\n".join("\n".join(map(plain, part.split("\n"))) for part in parts if part)


def heading(answer: Answer) -> str:
    """The name of a table of results."""
    what = asked(answer.verdict.functional, answer.verdict.level)
    return f"{what[:1].upper()}{what[1:]}, by rows that no model saw; lower is better"


def catalogue(rows: list[dict[str, Any]]) -> Table:
    """All losses, one per line."""
    table = ruled("loss", "error signal", "link", "output\nminus\nwanted", "aims at\n(elicits)")
    for row in rows:
        table.add_row(row["name"], row["error_signal"], row["link_name"], _yes(row["matching"]), row["functional"])
    return table


def structured(rows: list[dict[str, Any]]) -> Table:
    """The losses of structures, one per line."""
    table = ruled("loss", "error signal: expected minus observed", "Z sums over")
    for row in rows:
        table.add_row(row["name"], row["error_signal"], row["partition"])
    return table


def card(loss: Loss | StructuredLoss) -> Group:
    """One loss on a card."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    said = structured_facts(loss) if isinstance(loss, StructuredLoss) else facts(loss)
    for name, fact in said.items():
        if fact:
            grid.add_row(Text(name, style="dim"), Text(fact))
    letters = [] if isinstance(loss, StructuredLoss) else [sentence(LETTERS, "dim")]
    return Group(Text(f"{loss.title} ({loss.name})", style="bold"), Padding(grid, (0, 0, 0, 2), expand=False), *letters)


def _markdown(lines: list[tuple[str, ...]]) -> str:
    head, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *rest))


def _legend(found: Comparison) -> list[str]:
    lines = []
    if any(answer.verdict.best is not None for answer in found.answers):
        lines.append(RELATIVE)
    if any(answer.verdict.best is None and answer.standing.means for answer in found.answers):
        lines.append(TO_CONSTANT)
    if any(answer.standing.undecided for answer in found.answers):
        lines.append("cannot tell: the interval holds 1, and reaches farther than 5 % of what the best gains over the constant")
    if not all(fit.converged for fit in found.fits):
        lines.append("+ stopped before it converged, in this fit or on a fold")
    if any("-" in line for answer in found.answers for line in results(found.fits, answer)):
        lines.append("- there is no such score: it needs a probability, or belongs to another question")
    return lines


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
