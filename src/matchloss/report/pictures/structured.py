"""Pictures of expected against observed: bars of a risk set or a ranking, and the classes of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.report.pictures.style import altair, data, finished

if TYPE_CHECKING:
    import altair as alt

Floats = NDArray[np.float64]


def expected_chart(names: Sequence[str], expected: Floats, observed: Floats, what: str, title: str = "") -> alt.Chart:
    """What was expected as bars and what was observed as points, a row each: the distance between the two is the error signal."""
    alt = altair()
    rows = data(name=list(names), expected=expected, observed=observed, signal=expected - observed)
    order = list(names)
    y = alt.Y("name:N", sort=order, title=None)
    bars = (
        alt.Chart(rows).mark_bar(opacity=0.55, height=13).encode(y, alt.X("expected:Q", title=f"{what}: expected (bar), observed (point)"))
    )
    gaps = alt.Chart(rows).mark_rule(strokeWidth=2.4).encode(y, alt.X("expected:Q"), alt.X2("observed:Q"))
    points = alt.Chart(rows).mark_point(filled=True, size=80, opacity=1).encode(
        y, alt.X("observed:Q"), tooltip=["name:N", "expected:Q", "observed:Q", "signal:Q"]
    )  # fmt: skip
    return finished(alt.layer(bars, gaps, points), title, height=24 * len(order) + 10, description=f"{what}, expected against observed")


def alignment_chart(classes: Sequence[str], expected: Floats, observed: Floats, title: str = "", along: str = "frame") -> alt.Chart:
    """Probabilities (frames, classes) of a network and of the alignments of what was said, and the error signal between them, as shades.

    along: what a column of the picture is, such as a step of a path or a text of a batch.
    """
    alt = altair()
    frames, kinds = expected.shape
    panels = {"expected": expected, "observed": observed, "expected - observed": expected - observed}
    rows = data(
        panel=np.repeat(list(panels), frames * kinds).tolist(),
        frame=np.tile(np.repeat(np.arange(1, frames + 1), kinds), len(panels)),
        label=list(classes) * frames * len(panels),
        p=np.concatenate([x.ravel() for x in panels.values()]),
    )
    scale = alt.Scale(domain=[-1, 0, 1], range=["#0072b2", "#f4f4f4", "#d55e00"])
    cells = (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            alt.X("frame:O", title=along, axis=alt.Axis(labelAngle=0)),
            alt.Y("label:N", sort=list(classes), title=None),
            alt.Color("p:Q", scale=scale, title=None),
            alt.Row("panel:N", sort=list(panels), title=None, header=alt.Header(labelAngle=0, labelAlign="left", labelOrient="top")),
            tooltip=["panel:N", "frame:O", "label:N", "p:Q"],
        )
        .properties(width=420, height=22 * kinds)
    )
    return cells.properties(title=title, description=f"Expected and observed probabilities for each {along}, and their difference")
