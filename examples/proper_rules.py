"""Draws docs/images/proper-rules.svg: four proper scores of a probability, and the links under which they match.

python examples/proper_rules.py
"""

from __future__ import annotations

from pathlib import Path

import altair as alt
import numpy as np

import matchloss as ml
from matchloss import scoring
from matchloss.report.pictures import write

RULES = {"log": "log_score", "Brier": "brier_score", "spherical": "spherical_score", "power 1.5": "power_score"}


def main(folder: Path = Path(__file__).parent.parent / "docs" / "images") -> None:
    """Scores of the probability of what happened, and z of it for two labels, each scaled to the slope of the logit at 1/2."""
    p = np.linspace(0.002, 0.998, 250)
    both = np.stack([1 - p, p], axis=1)
    rows = []
    for name, rule in RULES.items():
        score = scoring.get_score(rule)
        link = ml.get(str(score.loss)).link(both)
        z = link[:, 1] - link[:, 0]
        z = z * 4 / ((z[125] - z[124]) / (p[125] - p[124]))
        values = score.function(np.ones(p.size, int), both)
        rows += [{"p": a, "rule": name, "score": b, "z": c} for a, b, c in zip(p.tolist(), values.tolist(), z.tolist(), strict=True)]
    base = alt.Chart(alt.InlineData(values=rows)).properties(width=330, height=260).mark_line(clip=True)
    x, rule = alt.X("p:Q", title="probability of what happened"), alt.Color("rule:N", sort=list(RULES), title=None)
    scores = base.encode(x, alt.Y("score:Q", title="score", scale=alt.Scale(domain=[0, 2.5])), rule)
    links = base.encode(
        alt.X("p:Q", title="probability p"), alt.Y("z:Q", title="raw output z, slopes at 1/2 alike", scale=alt.Scale(domain=[-6, 6])), rule
    )
    write({"proper-rules": alt.hconcat(scores, links)}, folder, ("svg",))


if __name__ == "__main__":
    main()
