"""Judges forecasts: which scores fit, the best constant beside them, the parts of the score, and which differences are real."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss import scoring
from matchloss.judging.gather import gather
from matchloss.judging.result import Coverage, Judgement
from matchloss.judging.rows import CONSTANT, Floats, Kind, Rows, read_rows
from matchloss.losses import Interval
from matchloss.tables.words import plural
from matchloss.urls import Location

LABELS = ("log_score", "brier_score", "spherical_score")
SCORES: dict[Kind, tuple[str, ...]] = {  # all consistent for what is forecast; the first that is defined decides
    "number": ("squared_error", "poisson_deviance", "gamma_deviance"),
    "count": ("poisson_deviance", "squared_error"),
    "binary": LABELS,
    "multiclass": LABELS,
    "quantile": ("pinball",),
    "interval": ("interval_score",),
}
DRAWS, DRAWN_ROWS, FEWEST_DRAWS = 200, 20_000_000, 40  # bootstrap draws, fewer of many rows
CLASSES = 12  # more are not taken apart one by one


def judge(
    files: Sequence[Location],
    target: str,
    predictions: Sequence[str] = (),
    *,
    truth: Location | None = None,
    on: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    **how: Any,
) -> Judgement:
    """Judge the forecasts in `files`; see read_rows for `how` they are read, and gather for `truth` and `on`.

    DataError for tables and arguments that cannot be used; it names the row and the value.
    """
    tell = progress or (lambda text: None)
    tell(f"reading {', '.join(file.name for file in files)}")
    base, tables = gather(files, truth, on)
    rows = read_rows(base, tables, target, predictions, **how)
    tell("scoring")
    forecasts = {**rows.forecasts, CONSTANT: _constant(rows)}
    defined, not_defined = _defined(rows, forecasts)
    comparisons = {
        name: scoring.compare_forecasts(name, rows.obs, forecasts, rows.groups, rows.order, sample_weight=rows.weight, level=rows.level)
        for name in defined
    }
    parts = {}
    for name, fct in rows.forecasts.items():
        tell(f"taking the score of {name} apart")
        parts[name] = _parts(rows, defined[0], fct)
    coverage = {name: _coverage(rows, fct) for name, fct in rows.forecasts.items()} if rows.kind in ("quantile", "interval") else {}
    source = ", ".join(file.name for file in files)
    return Judgement(source, elicits(rows), comparisons, parts, coverage, not_defined, rows.messages, rows, forecasts[CONSTANT])


def elicits(rows: Rows) -> str:
    """What the forecasts are of, in words."""
    if rows.kind == "quantile":
        return f"the {_percent(rows.level)} quantile of {rows.target}"
    if rows.kind == "interval":
        return f"intervals that hold {_percent(1 - (rows.level or 0))} of {rows.target}, as much missed below as above"
    if rows.kind == "binary":
        return f"the probability that {rows.target} is {rows.classes[1]}"
    return f"the probabilities of {rows.target}" if rows.kind == "multiclass" else f"the mean of {rows.target}"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.6g} %"


def _constant(rows: Rows) -> Floats:
    """The best constant of the same functional for these rows."""
    n, y, w = len(rows.obs), rows.obs, rows.weight
    if rows.kind == "multiclass":
        share = np.bincount(y, w, len(rows.classes)) / (n if w is None else w.sum())
        return np.tile(share, (n, 1))
    if rows.kind == "interval":
        ends = [scoring.best_constant("quantile", y, w, level) for level in _ends(rows)]
        return np.tile(ends, (n, 1))
    level = rows.level or 0.5
    return np.full(n, scoring.best_constant("quantile" if rows.kind == "quantile" else "mean", y, w, level))


def _ends(rows: Rows) -> tuple[float, float]:
    """The levels of the quantiles at the ends of the intervals."""
    assert rows.level is not None
    return rows.level / 2, 1 - rows.level / 2


def _defined(rows: Rows, forecasts: Mapping[str, Floats]) -> tuple[list[str], dict[str, str]]:
    """The names of the scores that are defined for all forecasts, and why the others are not."""
    defined, not_defined = [], {}
    for name in SCORES[rows.kind]:
        rule = scoring.get_score(name)
        why = ""
        if isinstance(rule.domain, Interval) and rows.kind in ("number", "count"):
            low, _ = rule.domain.bounds
            for what, values in {rows.target: rows.obs, **forecasts}.items():
                below = values < low
                if below.any():
                    why = f"{what} is {values[np.argmax(below)]:.4g} in {plural(int(below.sum()), 'row')}; it asks for {rule.domain}"
                    break
        if why:
            not_defined[name] = why
        else:
            defined.append(name)
    return defined, not_defined


def _parts(rows: Rows, score: str, fct: Floats) -> dict[str, scoring.Decomposition]:
    """The parts of the score with bootstrap intervals, by what they are of."""
    draws = int(np.clip(DRAWN_ROWS // len(fct), FEWEST_DRAWS, DRAWS))
    y, w = rows.obs, rows.weight
    if rows.kind == "multiclass":
        if len(rows.classes) > CLASSES:
            return {}
        return {
            label: scoring.decompose(score, (y == k).astype(float), fct[:, k], w, intervals=draws) for k, label in enumerate(rows.classes)
        }
    if rows.kind == "interval":
        return {
            f"{end}, {_percent(level)}": scoring.decompose("pinball", y, fct[:, k], w, level, draws)
            for k, (end, level) in enumerate(zip(("lower", "upper"), _ends(rows), strict=True))
        }
    return {"": scoring.decompose(score, y, fct, w, rows.level, draws)}


def _coverage(rows: Rows, fct: Floats) -> Coverage:
    """The share of rows within the interval, or not above the quantile, and what chance makes of it."""
    assert rows.level is not None
    inside, wanted, width = rows.obs <= fct if fct.ndim == 1 else (fct[:, 0] <= rows.obs) & (rows.obs <= fct[:, 1]), rows.level, None
    if fct.ndim == 2:
        wanted, width = 1 - rows.level, float(np.average(fct[:, 1] - fct[:, 0], weights=rows.weight))
    low, high = _by_chance(wanted, rows.weight, len(fct))
    return Coverage(float(np.average(inside, weights=rows.weight)), wanted, low, high, width)


def _by_chance(share: float, weight: NDArray[Any] | None, n: int) -> tuple[float, float]:
    """Where 95 % of the shares of so many rows lie, each of them counted with this probability."""
    from scipy.stats import binom  # imported here because it takes longer than all that is imported above

    alike = n if weight is None else max(round(float(weight.sum() ** 2 / (weight @ weight))), 1)
    low, high = binom.ppf([0.025, 0.975], alike, share) / alike
    return float(low), float(high)
