"""Pictures of forecasts: each of one value that `matchloss.scoring` computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.report.pictures.style import HEIGHT, altair, axis, data, finished, padded

if TYPE_CHECKING:
    import altair as alt

    from matchloss.scoring import CalibrationHistogram, Decomposition, ForecastComparison, Murphy, Reliability, Sharpness

FOOT = 0.16  # of the height is for the histogram of forecasts
FEW = 30  # points of a curve that are marked


def reliability_chart(
    value: Reliability, title: str | list[str] = "", target: str = "", window: tuple[float, float] | None = None, tile: int = 0
) -> alt.Chart:
    """What came against what was forecast: the recalibrated forecast, the band of calibrated ones, and below how often each was forecast.

    target: the name of what was forecast, for the axes; window: of forecasts, by default all; tile: the height of a small picture, without
    words on its axes.
    """
    alt = altair()
    x_low, x_high = map(float, value.edges[[0, -1]]) if window is None else window
    seen = (value.fct >= x_low) & (value.fct <= x_high)
    if not seen.any():
        seen[:] = True
    fct, came, low, high = (column[seen] for column in (value.fct, value.value, value.low, value.high))
    y_low, y_high = min(x_low, low.min(), came.min()), max(x_high, high.max(), came.max())
    if window is not None and value.functional != "probability":  # a few far outcomes would squeeze all others
        room = 0.2 * (x_high - x_low)
        y_low, y_high = max(y_low, x_low - room), min(y_high, x_high + room)
    bottom = y_low - FOOT * (y_high - y_low)
    of = value.label or target
    few: dict[str, Any] = {"tickCount": 3} if tile else {}
    x = axis(
        "fct", None if tile else f"predicted {'probability of ' if value.label else ''}{of}".strip(), padded(x_low, x_high, 0.02), **few
    )
    y = axis("value", None if tile else f"observed {_observed(value)}", (bottom, y_high + 0.03 * (y_high - y_low)), **few)
    heights = bottom + 0.85 * (y_low - bottom) * value.share / (value.share.max() or 1.0)
    bars = alt.Chart(data(start=value.edges[:-1], end=value.edges[1:], foot=bottom, top=heights, share=value.share))
    curve = alt.Chart(data(fct=fct, value=came, low=low, high=high)).encode(x=alt.X(**x))
    diagonal = alt.Chart(data(fct=[x_low, x_high], value=[x_low, x_high]))
    tips = [
        alt.Tooltip("fct:Q", title="predicted"),
        alt.Tooltip("value:Q", title="observed"),
        alt.Tooltip("low:Q", title=f"{100 * value.confidence:g} % of calibrated forecasts: from"),
        alt.Tooltip("high:Q", title="to"),
    ]
    layers = [
        bars.mark_rect(style="bar", clip=True).encode(
            alt.X("start:Q"),
            alt.X2("end:Q"),
            alt.Y("foot:Q"),
            alt.Y2("top:Q"),
            alt.Tooltip("share:Q", title="share of forecasts", format=".1%"),
        ),
        curve.mark_area(style="area", clip=True).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        diagonal.mark_line(style="right", clip=True).encode(alt.X("fct:Q"), alt.Y("value:Q")),
        curve.mark_line(style="curve", clip=True).encode(alt.Y(**y)),
        curve.mark_point(style="point", clip=True, opacity=1 if fct.size <= FEW else 0, size=16 if tile else 46).encode(
            alt.Y("value:Q"), tooltip=tips
        ),
    ]
    said = f"Reliability: observed against predicted {of}, with the band of calibrated forecasts"
    return finished(alt.layer(*layers), title, height=tile or HEIGHT, description=said)


def _observed(value: Reliability) -> str:
    return {"mean": "mean", "probability": "share"}.get(value.functional, f"{value.level} {value.functional}")


def histogram_chart(value: CalibrationHistogram, title: str = "") -> alt.Chart:
    """A PIT or rank histogram with the band of calibrated forecasts around its flat line."""
    alt = altair()
    span = (float(value.edges[0]), float(value.edges[-1]))
    top = max(float(value.height.max()), value.high) * 1.05
    bars = data(start=value.edges[:-1], end=value.edges[1:], height=value.height, foot=0)
    band = data(start=span[0], end=span[1], low=value.low, high=value.high, one=1.0)
    rank = value.what == "rank"
    name = "rank of the observation among the members" if rank else "forecast probability of less than what came (PIT)"
    x = axis("start", name, span, whole=rank)
    y = axis("foot", "how often, 1 where calibrated", (0, top))
    tips = [alt.Tooltip("start:Q", title="from"), alt.Tooltip("end:Q", title="to"), alt.Tooltip("height:Q", format=".3f")]
    layers = [
        alt.Chart(bars)
        .mark_rect(style="bar", stroke="white", strokeWidth=0.6)
        .encode(alt.X(**x), alt.X2("end:Q"), alt.Y(**y), alt.Y2("height:Q"), tooltip=tips),
        alt.Chart(band).mark_rect(style="area").encode(alt.X("start:Q"), alt.X2("end:Q"), alt.Y("low:Q"), alt.Y2("high:Q")),
        alt.Chart(band).mark_rule(style="right").encode(alt.Y("one:Q")),
    ]
    return finished(alt.layer(*layers), title, description=f"{value.what} histogram: flat where forecasts are calibrated")


def murphy_chart(value: Murphy, title: str = "", target: str = "") -> alt.Chart:
    """The mean elementary score of each forecast at each threshold: the lower the better, for every consistent score at once."""
    alt = altair()
    names = list(value.score)
    scores = np.concatenate(list(value.score.values()))
    curves = data(theta=np.tile(value.theta, len(names)), score=scores, forecast=np.repeat(names, value.theta.size))
    core = _core(value)
    top = max(float(s.max()) for s in value.score.values()) * 1.06
    encoded = alt.Chart(curves).encode(
        alt.X(**axis("theta", f"threshold{f' for {target}' if target else ''}", core)),
        alt.Y(**axis("score", "mean elementary score", (0, top))),
        alt.Color("forecast:N", sort=names, title=None) if len(names) > 1 else alt.Color(),
        tooltip=["forecast:N", alt.Tooltip("theta:Q", title="threshold"), alt.Tooltip("score:Q")],
    )
    return finished(encoded.mark_line(clip=True), title, description="Murphy diagram: mean elementary scores of " + ", ".join(names))


def murphy_difference_chart(value: Murphy, name: str, title: str = "", target: str = "") -> alt.Chart:
    """The difference of one forecast's elementary scores from the reference's, with pointwise 95 % intervals."""
    alt = altair()
    difference, low, high = value.difference[name]
    base = alt.Chart(data(theta=value.theta, difference=difference, low=low, high=high)).encode(
        alt.X(**axis("theta", f"threshold{f' for {target}' if target else ''}", _core(value)))
    )
    ends = padded(min(0.0, float(low.min())), max(0.0, float(high.max())))
    y = axis("difference", f"score of {name} less that of {value.reference}", ends)
    layers = [
        base.mark_area(style="area", clip=True).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        alt.Chart(data(zero=0.0)).mark_rule(style="right").encode(alt.Y("zero:Q")),
        base.mark_line(style="curve", clip=True).encode(alt.Y(**y)),
    ]
    said = f"Murphy diagram: differences of elementary scores, {name} against {value.reference}; below 0 {name} is better"
    return finished(alt.layer(*layers), title, description=said)


def _core(value: Murphy) -> tuple[float, float]:
    """Thresholds at which scores are more than a fiftieth of the greatest: a long tail would squeeze the rest."""
    size = np.max(list(value.score.values()), axis=0)
    seen = value.theta[size > 0.02 * size.max()] if size.max() > 0 else value.theta
    return float(seen.min()), float(seen.max()) if seen.max() > seen.min() else float(seen.min()) + 1.0


def sharpness_chart(value: Sharpness, title: str = "") -> alt.Chart:
    """The widths of prediction intervals: a box from the 25 % to the 75 % quantile, whiskers at 5 % and 95 %."""
    alt = altair()
    q05, q25, q50, q75, q95 = value.quantiles.T
    names = list(value.names)
    rows = data(forecast=names, q05=q05, q25=q25, q50=q50, q75=q75, q95=q95)
    y = alt.Y("forecast:N", sort=names, title=None)
    x = alt.X(**axis("q05", "width of the prediction interval", (0, float(q95.max()) * 1.05 or 1.0)))
    layers = [
        alt.Chart(rows).mark_rule(style="curve", strokeWidth=1.2).encode(x, alt.X2("q95:Q"), y),
        alt.Chart(rows).mark_bar(style="bar", size=16).encode(alt.X("q25:Q"), alt.X2("q75:Q"), y),
        alt.Chart(rows).mark_tick(style="curve", thickness=2.4, size=16).encode(alt.X("q50:Q"), y),
    ]
    return finished(alt.layer(*layers), title, height=40 * len(names) + 20, description="Sharpness: the widths of prediction intervals")


def comparison_chart(value: ForecastComparison, title: str = "") -> alt.Chart:
    """Each forecast's mean score less the best one's, with its interval; one that holds 0 leaves the pair undecided."""
    alt = altair()
    if value.best is None:
        raise ValueError("no forecast has a finite score: there is nothing to draw")
    names = [*value.unbeaten, *sorted(value.beaten_by, key=value.means.__getitem__)]
    gaps = {name: value.differences[name, value.best] for name in names if name != value.best}
    rows = data(
        forecast=names,
        difference=[0.0, *(gaps[name].difference for name in names[1:])],
        low=[0.0, *(gaps[name].low for name in names[1:])],
        high=[0.0, *(gaps[name].high for name in names[1:])],
        mean=[value.means[name] for name in names],
    )
    ends = [0.0, *(x for gap in gaps.values() for x in (gap.low, gap.high))]
    y = alt.Y("forecast:N", sort=names, title=None)
    what = value.score.replace("_", " ")
    x = axis("difference", f"mean {what}, less that of {value.best}; {100 * value.confidence:g} % intervals", padded(min(ends), max(ends)))
    tips = ["forecast:N", alt.Tooltip("mean:Q", title=f"mean {what}"), *(alt.Tooltip(f"{k}:Q") for k in ("difference", "low", "high"))]
    layers = [
        alt.Chart(data(zero=0.0)).mark_rule(style="right").encode(alt.X("zero:Q")),
        alt.Chart(rows).mark_rule(style="curve").encode(alt.X("low:Q"), alt.X2("high:Q"), y),
        alt.Chart(rows).mark_point(style="point", opacity=1).encode(alt.X(**x), y, tooltip=tips),
    ]
    return finished(alt.layer(*layers), title, height=30 * len(names) + 20, description=value.sentence)


def decomposition_chart(parts: Mapping[str, Decomposition], title: str = "") -> alt.Chart:
    """Miscalibration against discrimination of each forecast; the dashed line is where it is no better than the best constant."""
    alt = altair()
    names = list(parts)
    x, y = (np.array([float(getattr(parts[name], part)) for name in names]) for part in ("miscalibration", "discrimination"))
    most = 1.15 * max(float(y.max()), float(x.max())) or 1.0
    rows = data(forecast=names, miscalibration=x, discrimination=y, score=[float(parts[name].score) for name in names])
    base = alt.Chart(rows).encode(
        alt.X(**axis("miscalibration", "miscalibration: less is better", (0, most))),
        alt.Y(**axis("discrimination", "discrimination: more is better", (0, most))),
        tooltip=["forecast:N", "score:Q", "miscalibration:Q", "discrimination:Q"],
    )
    layers = [
        alt.Chart(data(a=[0.0, most])).mark_line(style="right").encode(alt.X("a:Q"), alt.Y("a:Q")),
        base.mark_point(style="point", opacity=1, size=80).encode(
            alt.Color("forecast:N", sort=names, title=None), alt.Shape("forecast:N", sort=names, legend=None)
        ),
    ]
    return finished(alt.layer(*layers), title, description="Miscalibration and discrimination of " + ", ".join(names))
