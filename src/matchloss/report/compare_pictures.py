"""The first two pictures of a comparison, of the person's own rows: what each loss predicts against what came, and its error signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from matchloss.comparison import lines
from matchloss.comparison.questions import Question
from matchloss.comparison.sentences import score_name
from matchloss.report import pictures
from matchloss.report.pictures.models import Signal
from matchloss.tables.diagrams import diagrams

if TYPE_CHECKING:
    import altair as alt
    from numpy.typing import NDArray

    from matchloss.comparison.result import Comparison, Fit
    from matchloss.losses import Loss
    from matchloss.scoring import Reliability

    Floats = NDArray[np.float64]

POINTS = 121  # of an error signal
MOST_WIDE = 6  # raw outputs of a row, for a signal: more look the same
MOST_TILES = 6  # where several kinds of models make many candidates
TILE = 124  # pixels that a small picture is high


def in_order(comparison: Comparison) -> list[Fit]:
    """The losses as the verdicts rank them: each question's best first."""
    place = {name: (i, mean) for i, a in reversed(list(enumerate(comparison.answers))) for name, mean in a.standing.means.items()}
    last = (len(comparison.answers), 0.0)
    return sorted(comparison.fits, key=lambda fit: place.get(fit.name, last))


def standing_charts(comparison: Comparison) -> list[alt.Chart]:
    """Which loss and which model: a picture for each question whose losses are ranked, where there are several kinds of models."""
    if len(comparison.models) < 2:
        return []
    made = []
    for answer in comparison.answers:
        standing = answer.standing
        points = []
        for fit in in_order(comparison):
            if fit.name in standing.means:
                found = lines.shares(standing, fit.name)
                own = (1.0, 1.0, 1.0) if fit.name == standing.best else None if found is None else tuple(1 + share for share in found)
                points.append(pictures.Stand(fit.of_loss, fit.kind, standing.means[fit.name], own))
        reference = standing.constant if standing.best is None else standing.means[standing.best]
        if len(points) > 1 and reference > 0:
            name = f"{score_name(answer.verdict.score)} over {'the constant’s' if standing.best is None else 'the best’s'}"
            made.append(pictures.standings_chart(points, comparison.models, reference, standing.constant, name))
    return made


def reliabilities(comparison: Comparison) -> dict[str, alt.Chart]:
    """A small reliability diagram for each loss that predicts a mean, a quantile, an expectile or a probability, by the loss's name."""
    found: dict[str, Reliability] = {}
    for fit in in_order(comparison)[: MOST_TILES if len(comparison.models) > 1 else None]:
        if isinstance(fit.asked, Question):
            made = diagrams(fit.loss, fit.prediction, comparison.observed, comparison.classes, comparison.weight, most=1)
            if made:
                found[fit.name] = made[0]
    if not found:
        return {}
    low, high = min(r.edges[0] for r in found.values()), max(r.edges[-1] for r in found.values())
    if not comparison.classes:  # one window for all: that of most targets, or less
        first, last = comparison.target_range
        room = 0.25 * (last - first) or 1.0
        low, high = max(low, first - room), min(high, last + room)
    window = (float(low), float(high)) if low < high else None
    lines_of = {fit.name: [fit.kind, fit.of_loss] if len(comparison.models) > 1 else fit.name for fit in comparison.fits}
    return {name: pictures.reliability_chart(diagram, lines_of[name], comparison.target, window, TILE) for name, diagram in found.items()}


def unshown(comparison: Comparison, shown: dict[str, alt.Chart]) -> list[str]:
    """Why a loss has no reliability diagram, a sentence each."""
    looked_at = in_order(comparison)[: MOST_TILES if len(comparison.models) > 1 else None]
    others = [fit for fit in looked_at if fit.name not in shown]
    why = {fit.name: fit.asked if isinstance(fit.asked, str) else "its predictions are not all finite" for fit in others}
    rest = len(comparison.fits) - len(looked_at)
    return [
        *(f"{name} has no diagram: {reason}." for name, reason in why.items()),
        *([f"Of {len(comparison.fits)} these are the {len(looked_at)} that do best."] if rest else []),
    ]


def signal_chart(comparison: Comparison) -> alt.Chart | None:
    """Each loss's error signal against its prediction, at one target: the second label, or the middle of the observed numbers."""
    if comparison.classes:
        label = comparison.classes[1 if len(comparison.classes) == 2 else int(np.argmax(comparison.frequencies))]
        window, target, xlabel = (0.0, 1.0), 1.0, f"predicted probability of {label}"
    else:
        low, high = comparison.target_range
        window = (low, high) if low < high else (low - 1.0, high + 1.0)
        target, xlabel = float(np.median(comparison.observed)), f"prediction of {comparison.target}"
    made = [signal(fit, window, target, min(len(comparison.classes), MOST_WIDE)) for fit in comparison.of_each_loss]
    drawn = [s for s in made if s is not None]
    return pictures.signals_chart(drawn, target, xlabel, window) if drawn else None


def signal(fit: Fit, window: tuple[float, float], target: float, width: int) -> Signal | None:
    """The error signal where the link of the loss is defined; None for a loss that has no link."""
    loss, grid = fit.loss, np.linspace(*window, POINTS)
    if window == (0.0, 1.0) and width:
        grid = np.linspace(0.002, 0.998, POINTS)
    try:
        error = _of_label(loss, grid, width) if loss.family == "simplex" else _of_number(loss, grid, target)
    except NotImplementedError:
        return None
    return Signal(fit.name, bool(loss.matching), grid, error)


def _of_number(loss: Loss, prediction: Floats, target: float) -> Floats:
    low, high = loss.target_domain.bounds if hasattr(loss.target_domain, "bounds") else (-np.inf, np.inf)
    error = np.full(prediction.shape, np.nan)
    inside = (prediction > max(low, -np.inf)) & (prediction < high)
    error[inside] = loss.gradient(loss.link(prediction[inside]), np.full(int(inside.sum()), target))
    return error


def _of_label(loss: Loss, prediction: Floats, width: int) -> Floats:
    rest = np.repeat((1 - prediction)[:, None] / (width - 1), width - 1, axis=1)
    raw = loss.link(np.column_stack([prediction, rest]))
    return np.asarray(loss.gradient(raw, np.zeros(prediction.size, np.int64)))[:, 0]
