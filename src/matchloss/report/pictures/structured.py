"""Pictures of losses of structures: expected against observed, curves of survival, and the labels of an order along a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.report.pictures.style import altair, axis, data, finished, padded

if TYPE_CHECKING:
    import altair as alt

Floats = NDArray[np.float64]
STEPS = 400  # of a curve of survival: more cannot be told apart
GRID = 120  # scores at which probabilities of labels are drawn


@dataclass(frozen=True, eq=False)
class Curve:
    """The probability of no event so far, which falls by steps at the times of events."""

    name: str
    times: Floats
    alive: Floats


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


def survival_chart(curves: Sequence[Curve], time: str, start: float = 0.0, title: str = "") -> alt.Chart:
    """Curves of survival from `start` on, a colour each; of many steps some in equal distances, and the last."""
    alt = altair()
    kept = [np.unique(np.linspace(0, c.times.size - 1, min(c.times.size, STEPS)).astype(int)) for c in curves]
    ends = (start, max((float(c.times[-1]) for c in curves if c.times.size), default=start + 1))
    rows = data(
        time=np.concatenate([[start, *c.times[k], ends[1]] for c, k in zip(curves, kept, strict=True)]),
        alive=np.concatenate([[1.0, *c.alive[k], c.alive[-1] if c.alive.size else 1.0] for c, k in zip(curves, kept, strict=True)]),
        curve=np.repeat([c.name for c in curves], [k.size + 2 for k in kept]),
    )
    names = [c.name for c in curves]
    lines = (
        alt.Chart(rows)
        .mark_line(interpolate="step-after")
        .encode(
            alt.X(**axis("time", time, padded(*ends, 0.0) if ends[0] == ends[1] else ends)),
            alt.Y(**axis("alive", "probability of no event so far", (0.0, 1.0))),
            alt.Color("curve:N", sort=names, title=None, legend=_legend(names)),
            tooltip=["curve:N", alt.Tooltip("time:Q", title=time), "alive:Q"],
        )
    )
    half = alt.Chart(data(half=0.5)).mark_rule(style="right").encode(alt.Y("half:Q"))
    return finished(alt.layer(half, lines), title, width=900, height=320, description="Survival: the probability of no event so far")


def _legend(names: Sequence[str]) -> alt.Legend:
    """A legend that fits on a telephone."""
    return altair().Legend(columns=max(1, min(6, 40 // (max(map(len, names)) + 5))))


def labels_chart(
    scores: Floats, probabilities: Floats, labels: Sequence[str], cuts: Floats, low: Floats, high: Floats, title: str = ""
) -> alt.Chart:
    """Probabilities (scores, labels) of the labels of an order along the score, stacked, and the thresholds with their intervals."""
    alt = altair()
    rows = data(
        score=np.repeat(scores, len(labels)),
        p=probabilities.ravel(),
        label=list(labels) * scores.size,
        place=np.tile(np.arange(len(labels)), scores.size),
    )
    areas = (
        alt.Chart(rows)
        .mark_area(opacity=0.75)
        .encode(
            alt.X(**axis("score", "score x b", (float(scores[0]), float(scores[-1])))),
            alt.Y(**axis("p", "probability of each label", (0.0, 1.0)), stack="zero"),
            alt.Color("label:N", sort=list(labels), title=None, scale=alt.Scale(scheme="viridis"), legend=_legend(labels)),
            alt.Order("place:Q"),
            tooltip=["label:N"],
        )
    )
    names = [f"{a} | {b}" for a, b in pairwise(labels)]
    marks = alt.Chart(data(name=names, cut=cuts, low=low, high=high, half=0.5))
    told = ["name:N", alt.Tooltip("cut:Q", title="threshold"), "low:Q", "high:Q"]
    layers = [
        areas,
        marks.mark_rule(style="right", clip=True).encode(alt.X("cut:Q"), tooltip=told),
        marks.mark_rule(strokeWidth=2.4, clip=True).encode(alt.X("low:Q"), alt.X2("high:Q"), alt.Y("half:Q"), tooltip=told),
        marks.mark_point(style="word", filled=True, size=60, opacity=1, clip=True).encode(alt.X("cut:Q"), alt.Y("half:Q"), tooltip=told),
    ]
    return finished(alt.layer(*layers), title, width=900, height=320, description="Probabilities of the labels along the score")
