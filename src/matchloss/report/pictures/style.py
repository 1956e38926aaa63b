"""One style for all pictures, light and dark, and what every chart is made of.

Colours are Okabe & Ito's (2008), which the colour blind can tell apart, darkened or lightened for the ground that they stand on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import altair as alt

FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif'
WIDTH, HEIGHT = 420, 280
DIGITS = 5  # of numbers that travel with a picture


def _config(ink: str, soft: str, grid: str, line: str, paper: str | None, series: Sequence[str]) -> dict[str, Any]:
    main = series[0]
    words = {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"}
    places = {"ticks": False, "domain": False, "labelPadding": 5, "titlePadding": 8, "tickCount": 5}
    return {
        "background": paper,
        "font": FONT,
        "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": HEIGHT},
        "title": {"color": ink, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 8},
        "axis": {"gridColor": grid, "labelColor": soft, "titleColor": ink} | words | places,
        "axisQuantitative": {"labelFlush": True, "labelOverlap": "greedy"},
        "legend": {"labelColor": ink, "orient": "top", "title": None, "labelFontSize": 12, "labelLimit": 0, "symbolStrokeWidth": 3},
        "range": {"category": list(series)},
        "line": {"strokeWidth": 2.2, "strokeJoin": "round"},
        "rule": {"color": ink},
        "style": {
            "curve": {"color": main, "strokeWidth": 2.4},
            "area": {"color": main, "opacity": 0.16},
            "bar": {"color": main, "opacity": 0.34},
            "point": {"color": main, "filled": True, "size": 46},
            "right": {"color": soft, "strokeWidth": 1.3, "strokeDash": [4, 4]},
            "axis": {"color": line, "strokeWidth": 1.2},
            "word": {"color": ink, "fontSize": 12, "font": FONT},
        },
    }


LIGHT = _config(
    "#1c2430", "#5b6675", "#ecebe5", "#b9bcc0", "#ffffff",
    ("#0b6cb5", "#d1500a", "#00845f", "#b0508f", "#8a6d00", "#2a95cf", "#5d6470", "#7d5a3c"),
)  # fmt: skip
DARK = _config(
    "#e7e9ec", "#9aa5b3", "#242b35", "#566070", None,
    ("#6cb8f5", "#ff9464", "#45cfa4", "#e79ad0", "#e6c04d", "#9fd4f2", "#a9b3c0", "#c9a07c"),
)  # fmt: skip


def altair() -> Any:
    """The module, imported now; ImportError names the extra that brings it."""
    try:
        import altair as alt
    except ImportError as error:
        raise ImportError("pictures need altair: pip install 'matchloss[cli]'") from error
    return alt


def finished(chart: Any, title: str | list[str] = "", width: int = WIDTH, height: int = HEIGHT, description: str = "") -> alt.Chart:
    """The chart in the style of all, with its size, title, and words for those who do not see it."""
    sized = chart.properties(width=width, height=height, description=description or str(title))
    return (sized.properties(title=title) if title else sized).configure(**LIGHT)


def data(**columns: Any) -> Any:
    """Columns of equal length, or single values, as the rows that travel with a picture."""
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    n = max((a.size for a in arrays.values() if a.ndim), default=1)
    spread = {name: np.broadcast_to(a, (n,)).tolist() for name, a in arrays.items()}
    return altair().InlineData(values=[{k: short(v[i]) for k, v in spread.items()} for i in range(n)])


def short(x: Any) -> Any:
    """A number to a few digits, None where it is none; anything else as it is."""
    if isinstance(x, float):
        return float(f"{x:.{DIGITS}g}") if math.isfinite(x) else None
    return x


def axis(name: str, title: str | None, domain: tuple[float, float] | None = None, whole: bool = False, **more: Any) -> dict[str, Any]:
    """What x and y of a quantitative field share; of whole things ticks are whole."""
    scale: dict[str, Any] = {"nice": False, "zero": False} | ({} if domain is None else {"domain": [short(float(d)) for d in domain]})
    ticks: dict[str, Any] = {"tickMinStep": 1, "format": ",d"} if whole else {}
    alt = altair()
    return {"shorthand": f"{name}:Q", "title": title, "scale": alt.Scale(**scale), "axis": alt.Axis(**ticks, **more)}


def padded(low: float, high: float, share: float = 0.04) -> tuple[float, float]:
    """The range with room at both ends, and never empty."""
    room = share * (high - low) or 0.5 * abs(high) or 1.0
    return low - room, high + room
