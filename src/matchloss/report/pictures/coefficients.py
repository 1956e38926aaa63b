"""Pictures of linear fits: coefficients with intervals and along a path of penalties, residuals against predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.report.pictures.style import altair, axis, data, finished, padded

if TYPE_CHECKING:
    import altair as alt

Floats = NDArray[np.float64]
POINTS, GROUPS = 2_000, 20  # of residuals
MOST = 30  # coefficients in one picture: those that are surest to differ from 0


def coefficients_chart(names: Sequence[str], coef: Floats, low: Floats, high: Floats, title: str = "") -> alt.Chart:
    """Coefficients with their intervals, a row each, those farthest from 0 for their interval first; without an interval none is drawn."""
    alt = altair()
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high) & (high > low))
    sure = np.abs(coef[known]) / (high[known] - low[known])
    shown = known[np.argsort(-sure, kind="stable")][:MOST]
    rows = data(name=[names[j] for j in shown], coef=coef[shown], low=low[shown], high=high[shown])
    ends = padded(float(min(low[shown].min(), 0)), float(max(high[shown].max(), 0))) if len(shown) else (-1.0, 1.0)
    base = alt.Chart(rows).encode(
        alt.Y("name:N", sort=[names[j] for j in shown], title=None, axis=alt.Axis(labelLimit=260)),
        tooltip=["name:N", "coef:Q", "low:Q", "high:Q"],
    )
    layers = [
        alt.Chart(data(at=0.0)).mark_rule(style="right").encode(alt.X("at:Q")),
        base.mark_rule(strokeWidth=2.4).encode(alt.X(**axis("low", "coefficient", ends)), alt.X2("high:Q")),
        base.mark_point(filled=True, size=70, opacity=1).encode(alt.X("coef:Q")),
    ]
    return finished(alt.layer(*layers), title, width=900, height=20 * len(shown) + 50, description="Coefficients with intervals")


def path_chart(alphas: Floats, coef: Floats, names: Sequence[str], chosen: float | None = None, title: str = "") -> alt.Chart:
    """Coefficients (alphas, p) over the penalty, which falls to the right; `chosen` is marked. The largest are named."""
    alt = altair()
    order = np.argsort(-np.abs(coef).max(axis=0), kind="stable")[:MOST]
    order = order[np.abs(coef[:, order]).max(axis=0) > 0]
    rows = data(
        alpha=np.tile(alphas, max(len(order), 1)),
        coef=coef[:, order].T.ravel() if len(order) else np.zeros(len(alphas)),
        column=np.repeat([names[j] for j in order] if len(order) else ["none"], len(alphas)),
    )
    scale = alt.Scale(type="log", reverse=True, nice=False)
    lines = (
        alt.Chart(rows)
        .mark_line(strokeWidth=1.8)
        .encode(
            alt.X("alpha:Q", title="penalty alpha", scale=scale),
            alt.Y("coef:Q", title="coefficient"),
            alt.Color(
                "column:N", title=None, sort=[names[j] for j in order], legend=alt.Legend(values=[names[j] for j in order[:8]], columns=4)
            ),
            tooltip=["column:N", "alpha:Q", "coef:Q"],
        )
    )
    marks = [] if chosen is None else [alt.Chart(data(at=chosen)).mark_rule(style="right").encode(alt.X("at:Q", scale=scale))]
    return finished(alt.layer(lines, *marks), title, width=900, height=320, description="Coefficients along a path of penalties")


def residuals_chart(
    predicted: Floats, residuals: Floats, xlabel: str = "prediction", ylabel: str = "residual", title: str = ""
) -> alt.Chart:
    """Residuals over predictions, and the mean of those near each prediction; of many rows a sample in equal steps."""
    alt = altair()
    order = np.argsort(predicted, kind="stable")
    shown = order[:: max(1, len(order) // POINTS)]
    groups = [part for part in np.array_split(order, GROUPS) if len(part)]
    means = data(x=[predicted[g].mean() for g in groups], mean=[residuals[g].mean() for g in groups])
    layers = [
        alt.Chart(data(zero=0.0)).mark_rule(style="right").encode(alt.Y("zero:Q")),
        alt.Chart(data(x=predicted[shown], residual=residuals[shown]))
        .mark_point(filled=True, size=14, opacity=0.35)
        .encode(alt.X("x:Q", title=xlabel, scale=alt.Scale(zero=False)), alt.Y("residual:Q", title=ylabel)),
        alt.Chart(means).mark_line(style="curve").encode(alt.X("x:Q"), alt.Y("mean:Q")),
    ]
    return finished(alt.layer(*layers), title, width=900, height=320, description="Residuals over predictions")
