"""Pictures of forecasts, described once with Altair: the same in a notebook, on a page and as files.

A function takes what `matchloss.scoring` computed and gives an `altair.Chart`; `write` makes files of charts, `embed` a part of a page.
Altair is imported when the first picture is made.
"""

from matchloss.report.pictures.coefficients import coefficients_chart, path_chart, residuals_chart
from matchloss.report.pictures.forecasts import (
    comparison_chart,
    decomposition_chart,
    histogram_chart,
    murphy_chart,
    murphy_difference_chart,
    reliability_chart,
    sharpness_chart,
)
from matchloss.report.pictures.models import Stand, convergence_chart, signals_chart, standings_chart, watched_chart
from matchloss.report.pictures.render import embed, write
from matchloss.report.pictures.structured import Curve, labels_chart, survival_chart

__all__ = [
    "Curve",
    "Stand",
    "coefficients_chart",
    "comparison_chart",
    "convergence_chart",
    "decomposition_chart",
    "embed",
    "histogram_chart",
    "labels_chart",
    "murphy_chart",
    "murphy_difference_chart",
    "path_chart",
    "reliability_chart",
    "residuals_chart",
    "sharpness_chart",
    "signals_chart",
    "standings_chart",
    "survival_chart",
    "watched_chart",
    "write",
]
