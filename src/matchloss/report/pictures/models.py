"""Pictures of models: the error signals that losses send, and how a solver converged."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.report import words
from matchloss.report.pictures.style import altair, axis, data, finished, padded, short

if TYPE_CHECKING:
    import altair as alt

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Signal:
    """The error signal of a loss at one target, over predictions."""

    name: str
    matching: bool
    prediction: Floats
    signal: Floats


@dataclass(frozen=True)
class Stand:
    """How a loss stands with one kind of model."""

    loss: str
    model: str
    score: float
    relative: tuple[float, ...] | None  # over the reference's: the score, and the ends of its interval; None where there is none


def standings_chart(
    points: Sequence[Stand], models: Sequence[str], reference: float, constant: float, name: str, title: str = ""
) -> alt.Chart:
    """The scores of losses, a row each, with several kinds of models, a colour each, over the reference's score, with their intervals.

    Scores far beyond the best constant's are drawn at the edge.
    """
    alt = altair()
    losses = list(dict.fromkeys(point.loss for point in points))
    ends = [point.relative or (point.score / reference,) * 3 for point in points]
    dashed = constant / reference
    beyond = 1 + 2 * max(dashed - 1, 0.02)
    low, high = padded(min(min(end) for end in ends), min(max(dashed, *(max(end) for end in ends)), beyond))
    rows = data(
        loss=[point.loss for point in points],
        model=[point.model for point in points],
        score=[point.score for point in points],
        relative=[point.score / reference for point in points],
        low=[end[1] for end in ends],
        high=[end[2] for end in ends],
    )
    scale = alt.Scale(nice=False, zero=False, domain=[short(low), short(high)], clamp=True)
    base = alt.Chart(rows).encode(
        alt.Y("loss:N", sort=losses, title=None, axis=alt.Axis(grid=True, gridDash=[1, 0], labelLimit=260)),
        alt.YOffset("model:N", sort=list(models)),
        alt.Color("model:N", sort=list(models), title=None, scale=alt.Scale(domain=list(models))),
        tooltip=["loss:N", "model:N", "score:Q", "relative:Q", "low:Q", "high:Q"],
    )
    layers = [
        alt.Chart(data(at=dashed)).mark_rule(style="right").encode(alt.X("at:Q", scale=scale)),
        base.mark_rule(strokeWidth=2.4).encode(alt.X("low:Q"), alt.X2("high:Q")),
        base.mark_point(filled=True, size=80, opacity=1).encode(alt.X("relative:Q", title=name, scale=scale)),
    ]
    described = "Scores of each loss with each kind of model, over the best one's"
    return finished(alt.layer(*layers), title, width=900, height=(16 * len(models) + 14) * len(losses) + 90, description=described)


def signals_chart(signals: Sequence[Signal], target: float, xlabel: str, window: tuple[float, float], title: str = "") -> alt.Chart:
    """Error signals against the prediction: those of matching losses are one straight line, output minus wanted.

    The others are drawn in a size that compares: divided by the mean of their absolute values and times that of the line.
    """
    alt = altair()
    low, high = window
    line = np.array([low, high]) - target
    limit = 1.25 * float(np.abs(line).max())
    matching = [s.name for s in signals if s.matching]
    bending = [s for s in signals if not s.matching]
    straight = data(x=[low, high], signal=line, loss=", ".join(matching) or "output minus wanted")
    y = axis("signal", "error signal", (max(float(line[0]) * 1.25, -limit), min(float(line[1]) * 1.25, limit)))
    layers: list[Any] = [
        alt.Chart(data(zero=0.0)).mark_rule(style="right").encode(alt.Y("zero:Q")),
        alt.Chart(data(at=target)).mark_rule(style="right").encode(alt.X("at:Q")),
    ]
    if bending:
        rows = data(
            x=np.concatenate([s.prediction for s in bending]),
            signal=np.concatenate([_sized(s, target) for s in bending]),
            loss=np.repeat([s.name for s in bending], [s.prediction.size for s in bending]),
        )
        order = [s.name for s in bending]
        layers.append(
            alt.Chart(rows)
            .mark_line(clip=True, strokeWidth=1.8)
            .encode(
                alt.X("x:Q"),
                alt.Y("signal:Q"),
                alt.Color(
                    "loss:N", title=None, scale=alt.Scale(domain=["", *order]), legend=alt.Legend(values=order, columns=3)
                ),  # the first is the line's
                alt.StrokeDash("loss:N", sort=order, legend=None),
                tooltip=["loss:N"],
            )
        )
    line_of = alt.Chart(straight).encode(alt.X(**axis("x", xlabel, window)), alt.Y(**y), tooltip=["loss:N"])
    layers.append(line_of.mark_line(style="curve", strokeWidth=4))
    at = low + (0.62 if target > (low + high) / 2 else 0.94) * (high - low)
    word = alt.Chart(data(x=at, signal=at - target, word="output minus wanted")).encode(alt.X("x:Q"), alt.Y("signal:Q"), alt.Text("word:N"))
    layers.append(word.mark_text(style="word", align="right", dx=-8, dy=-7))
    return finished(alt.layer(*layers), title, description="Error signals: those of matching losses are one straight line")


def _sized(signal: Signal, target: float) -> Floats:
    """The signal, in the mean size of the straight line."""
    finite = np.isfinite(signal.signal)
    size = float(np.abs(signal.signal[finite]).mean()) if finite.any() else 0.0
    line = float(np.abs(signal.prediction[finite] - target).mean()) if finite.any() else 0.0
    return signal.signal * (line / size if size > 0 else 1.0)


def convergence_chart(objective: Floats, gradient: Floats, final: float, part: NDArray[np.bool_], title: str = "") -> alt.Chart:
    """The objective above where it ended and the largest entry of the gradient, pass by pass; `part`: passes over a subsample."""
    alt = altair()
    passes = np.arange(1, objective.size + 1)
    gap = np.where(part, np.nan, objective - final)
    names = ("objective above its end", "greatest gradient")
    series = [np.where(np.isfinite(s) & (s > 0), s, np.nan) for s in (gap, gradient)]
    which = np.tile(np.where(part, "a subsample", "all"), 2)
    rows = data(step=np.tile(passes, 2), size=np.concatenate(series), what=np.repeat(names, passes.size), rows=which)
    seen = np.log10(np.concatenate([s[np.isfinite(s)] for s in series]))
    low, high = math.floor(seen.min()), math.ceil(seen.max())
    apart = max(1, math.ceil((high - low) / 6))
    powers = {10.0**k: words.power_of_ten(k) for k in range(low, high + 1, apart)}
    said_as = f"{json.dumps(list(powers.values()), ensure_ascii=False)}[round((log(datum.value) / LN10 - {low}) / {apart})]"
    base = (
        alt.Chart(rows)
        .transform_filter("isValid(datum.size)")
        .encode(
            alt.X(**axis("step", "pass", padded(1.0, float(objective.size), 0.01), whole=True)),
            alt.Y("size:Q", title=None, scale=alt.Scale(type="log", nice=True), axis=alt.Axis(values=list(powers), labelExpr=said_as)),
            alt.Color("what:N", sort=list(names), title=None),
            tooltip=["what:N", alt.Tooltip("step:Q", title="pass"), "size:Q", "rows:N"],
        )
    )
    layers = [base.mark_line(), base.mark_point(filled=True, opacity=1, size=26 if passes.size <= 60 else 0)]
    said = "Convergence, pass by pass; the vertical axis is logarithmic"
    return finished(alt.layer(*layers), title, width=900, height=240, description=said)


def watched_chart(losses: Floats, kept: int, title: str = "") -> alt.Chart:
    """The mean loss of the rows watched after so many trees, from none on, and how many of these are kept."""
    alt = altair()
    least = min(kept, losses.size - 1)
    rows = data(trees=np.arange(losses.size), loss=losses)
    base = alt.Chart(rows).encode(
        alt.X(**axis("trees", "trees", (0.0, float(losses.size - 1)), whole=True)),
        alt.Y("loss:Q", title="mean loss of the rows watched", scale=alt.Scale(zero=False)),
        tooltip=["trees:Q", "loss:Q"],
    )
    at = alt.Chart(data(trees=float(least), loss=float(losses[least]), word=f"{least:,} tree{' is' if least == 1 else 's are'} kept"))
    left = least > losses.size / 2
    layers = [
        base.mark_line(style="curve"),
        at.mark_point(filled=True, size=70, opacity=1).encode(alt.X("trees:Q"), alt.Y("loss:Q")),
        at.mark_text(style="word", align="right" if left else "left", dx=-8 if left else 8, dy=-12).encode(
            alt.X("trees:Q"), alt.Y("loss:Q"), alt.Text("word:N")
        ),
    ]
    return finished(alt.layer(*layers), title, width=900, height=220, description="The loss of the rows watched, tree by tree")
