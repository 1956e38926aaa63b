"""A judgement as text: at most 80 columns, in ASCII so that any terminal shows it."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matchloss.judging.result import Coverage, Judgement
from matchloss.judging.rows import CONSTANT
from matchloss.scoring import Decomposition, Difference, get_score
from matchloss.tables.words import plural
from matchloss.terminal import plain, ruled, sentence

NAME = 24  # columns for the name of a forecast; longer ones go on below
PARTS = ("score", "miscalibration", "discrimination", "uncertainty")


def judgement_text(found: Judgement) -> Group:
    """What was forecast and decided, the scores beside the constant's, the verdict, the differences, coverage and the parts."""
    rows, decides = found.rows, found.decides
    parts: list[RenderableType] = [Text(), Text(plain(f"{rows.target} in {found.source}"), style="bold")]
    parts += [sentence(plain(f"Judged as forecasts of {found.elicits}, on {plural(len(rows.obs), 'row')}."))]
    parts += [sentence(plain(message)) for message in rows.messages]
    for name, why in found.not_defined.items():
        parts.append(sentence(plain(f"{capital(get_score(name).title)} is left out: {why}.")))
    parts += [Text(), _scores(found), sentence("mean scores: lower is better; the first one decides", "dim")]
    parts += [sentence(f"{CONSTANT}: the best one for these very rows", "dim")]
    parts += [Text(), *(sentence(plain(said)) for said in found.sentences), Text(), _differences(found)]
    parts += [
        sentence(f"by {decides.title}; the intervals hold for all pairs at once with {decides.confidence:.0%}".replace("%", " %"), "dim")
    ]
    if found.coverage:
        parts += [Text(), _coverage(found)]
        parts += [sentence("by chance: where 95 % of calibrated forecasts would be, of independent rows", "dim")]
    if any(found.parts.values()):
        parts += [Text(), _parts(found)]
        score = get_score("pinball").title if rows.kind == "interval" else decides.title
        parts += [sentence(f"{score} = miscalibration - discrimination + uncertainty, without bins", "dim")]
        parts += [sentence("below each: its 95 % interval, of independent rows", "dim")]
    return Group(*parts)


def capital(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def _table(first: str, *others: str) -> Table:
    table = ruled(first, *others)
    table.columns[0].no_wrap, table.columns[0].overflow, table.columns[0].max_width = False, "fold", NAME
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _scores(found: Judgement) -> Table:
    table = _table("forecast", *(get_score(name).title for name in found.comparisons))
    for name in (*found.forecasts, CONSTANT):
        cells = []
        for made in found.comparisons.values():
            infinite = made.not_ranked.get(name)
            cells.append(f"inf ({plural(infinite, 'row')})" if infinite else number(made.means[name], 5))
        table.add_row(plain(name), *cells)
    return table


def _differences(found: Judgement) -> Table:
    made = found.decides
    table = _table("difference", "mean", "from", "to", "")
    for (a, b), gap in ordered(found).items():
        table.add_row(plain(f"{a} - {b}"), *(number(x, 3) for x in (gap.difference, gap.low, gap.high)), verdict(a, b, gap))
    if not made.differences:
        table.add_row("none: fewer than two finite scores", "", "", "", "")
    return table


def ordered(found: Judgement) -> dict[tuple[str, str], Difference]:
    """Each pair of forecasts once, the one with the lower mean score second."""
    made = found.decides
    return {(a, b): gap for (a, b), gap in made.differences.items() if (made.means[b], b) < (made.means[a], a)}


def verdict(a: str, b: str, gap: Difference) -> str:
    """What the interval of a - b says."""
    return "the data cannot tell" if not gap.decided else f"{plain(b if gap.difference > 0 else a)} is better"


def _coverage(found: Judgement) -> Table:
    of_intervals = found.rows.kind == "interval"
    table = _table(
        "forecast", "inside" if of_intervals else "at most", "wanted", "by chance", *(["mean width"] if of_intervals else []), ""
    )
    for name, c in found.coverage.items():
        width = [] if c.width is None else [number(c.width, 4)]
        table.add_row(plain(name), percent(c.share), percent(c.wanted), f"{percent(c.low)} to {percent(c.high)}", *width, said_of(c))
    return table


def said_of(c: Coverage) -> str:
    """Whether the share is what was wanted."""
    return "as wanted" if c.as_wanted else "too few" if c.share < c.wanted else "too many"


def _parts(found: Judgement) -> Table:
    table = _table("forecast", *PARTS)
    for name, by in found.parts.items():
        for of, parts in by.items():
            table.add_row(plain(f"{name}: {of}" if of else name), *_cells(parts))
    return table


def _cells(parts: Decomposition) -> list[str]:
    if parts.intervals is None:
        return [number(float(x), 4) for x in parts]
    both = zip(parts, parts.intervals, strict=True)
    return [f"{number(float(x), 4)}\n{number(low, 3)} to {number(high, 3)}" if math.isfinite(x) else "inf" for x, (low, high) in both]


def percent(share: float) -> str:
    """A share in percent, to one decimal."""
    return f"{100 * share:.1f} %"


def number(x: float, digits: int) -> str:
    """A number to so many significant digits; - where there is none."""
    return "-" if math.isnan(x) else f"{x:.{digits}g}"
