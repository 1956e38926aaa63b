"""The page of a fit of a structured loss: what was learned, how sure it is, curves of survival, the labels of an order."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.linear import CoxRegression, OrderedRegressor
from matchloss.linear.ordered import label_text
from matchloss.report import pictures, structured_words, words
from matchloss.report.fit_page import LISTED
from matchloss.report.page import assemble, write
from matchloss.report.pictures.structured import GRID
from matchloss.report.pictures.style import padded

if TYPE_CHECKING:
    from pathlib import Path

    import altair as alt

    from matchloss.fit.structured import StructuredFit

STRATA = 8  # curves of survival that a picture holds
HAZARDS = {"low hazard": 0.1, "median hazard": 0.5, "high hazard": 0.9}  # quantiles among the rows
TIMES = (0.25, 0.5, 0.75)  # of the last time, at which the table has survival


def survival(fit: StructuredFit) -> list[tuple[float, pictures.Curve]]:
    """Curves with their hazard ratios against a row at the mean of all columns: of that row in each stratum, or of three hazards."""
    model = fit.model
    assert isinstance(model, CoxRegression)
    baselines = [(t, np.cumsum(steps)) for t, steps in zip(model.baseline_times_, model.baseline_hazard_, strict=True)]
    if model.strata_ is not None:
        labels = (f"{model.named_['strata']} {label_text(label)}" for label in model.strata_)
        return [(1.0, pictures.Curve(label, t, np.exp(-h))) for label, (t, h) in islice(zip(labels, baselines, strict=True), STRATA)]
    ratios = np.quantile(model.predict_partial_hazard(fit.rows), list(HAZARDS.values())).tolist()
    ((times, hazard),) = baselines
    return [(ratio, pictures.Curve(name, times, np.exp(-ratio * hazard))) for name, ratio in zip(HAZARDS, ratios, strict=True)]


def structured_charts(fit: StructuredFit) -> dict[str, alt.Chart]:
    """The pictures of the page by their names, which are those of the files that `--pictures` writes."""
    model, many, table = fit.model, fit.model.coef_.size, fit.inference.summary()
    name, coef, low, high = (table[column] for column in ("name", "coef", "ci_lower", "ci_upper"))
    charts = {"coefficients": pictures.coefficients_chart(name[:many], coef[:many], low[:many], high[:many])}
    if isinstance(model, CoxRegression):
        curves = [curve for _, curve in survival(fit)]
        start = min(0.0, *(float(t[0]) for t in model.baseline_times_ if t.size))
        charts["survival"] = pictures.survival_chart(curves, model.named_["time"], start)
    if isinstance(model, OrderedRegressor):
        scores, cuts = model._raw(fit.rows), model.thresholds_
        along = np.linspace(*padded(min(scores.min(), cuts[0]), max(scores.max(), cuts[-1])), GRID)
        labels = [label_text(label) for label in model.classes_.tolist()]
        chances = fit.loss.predict((along, cuts), None)
        charts["labels"] = pictures.labels_chart(along, chances, labels, cuts, low[many:], high[many:])
    return charts


def _coefficients(fit: StructuredFit, factor: bool) -> list[dict[str, str]]:
    """Rows of the table of estimates; thresholds have no factor."""
    table, many = fit.inference.summary(), fit.model.coef_.size
    columns = (table[column] for column in ("name", "coef", "se", "z", "p_value", "ci_lower", "ci_upper"))
    rows = []
    for j, (name, coef, se, z, p, low, high) in enumerate(zip(*columns, strict=True)):
        has = factor and j < many
        with np.errstate(over="ignore"):
            ratio, least, most = (words.number(float(np.exp(x)), 3) if has else "" for x in (coef, low, high))
        rows.append(
            {
                "name": name,
                "coef": words.number(coef, 4, signed=True),
                "between": f"{words.number(low, 3)} to {words.number(high, 3)}",
                "ratio": ratio,
                "ratios": f"{least} to {most}" if has else "",
                "se": words.number(se, 3),
                "z": words.minus(f"{z:.2f}"),
                "p": structured_words.p_value(p),
            }
        )
    return rows


def _survival(fit: StructuredFit) -> dict[str, Any] | None:
    """The curves in numbers, and how to read them."""
    model = fit.model
    if not isinstance(model, CoxRegression):
        return None
    curves = survival(fit)
    at = [share * max(float(curve.times[-1]) for _, curve in curves if curve.times.size) for share in TIMES]
    rows = [
        {
            "name": curve.name,
            "ratio": words.number(ratio, 3),
            "median": _median(curve),
            "alive": [words.percent(float(alive)) for alive in np.append(1.0, curve.alive)[np.searchsorted(curve.times, at, "right")]],
        }
        for ratio, curve in curves
    ]
    if model.strata_ is None:
        said = (
            "A tenth of the rows have a smaller hazard than the first curve’s, half have a smaller one than the second’s, and nine tenths "
            "a smaller one than the third’s. Hazard ratios are against a row at the mean of every column."
        )
    else:
        more = f" The first {STRATA} of {len(model.strata_)} strata are shown." if len(model.strata_) > STRATA else ""
        said = f"Each stratum has a baseline hazard of its own; its curve is that of a row at the mean of every column.{more}"
    return {"time": model.named_["time"], "at": [_time(t) for t in at], "rows": rows, "said": said}


def _median(curve: pictures.Curve) -> str:
    """When half have had the event."""
    reached = curve.alive <= 0.5
    return _time(curve.times[reached.argmax()]) if reached.any() else "not reached"


def _time(t: float) -> str:
    return words.minus(f"{t:,.4g}")


def render_structured_page(fit: StructuredFit) -> str:
    """The page as text."""
    said, loss, table = structured_words.words_of(fit.model), fit.loss, fit.inference.summary()
    left = [f"{words.count(fit.dropped, 'row')} with a missing value left out"] if fit.dropped else []
    rows = _coefficients(fit, bool(said.factor))
    return assemble(
        "structured",
        {"fits": {}, "shown": 0},
        structured_charts(fit),
        like="fit",
        title=f"matchloss: a model of {said.target}",
        said=said,
        facts=[fit.source, words.count(len(fit.rows), "row"), *said.counts, *left],
        verdict=structured_words.verdict(fit),
        loss={
            "title": loss.title,
            "equation": words.formula(loss.equation),
            "partition": loss.partition,
            "signal": words.formula(loss.error_signal),
            "expected": words.formula(loss.expected),
            "observed": loss.observed_is,
        },
        rows=rows[:LISTED],
        unlisted=max(len(rows) - LISTED, 0),
        numbers=[(name.rstrip(":"), value) for name, value in table.facts] + [("Ended", f"converged in {fit.model.n_steps_} Newton steps")],
        notes=table.notes,
        messages=fit.notes,
        survival=_survival(fit),
        ordered=isinstance(fit.model, OrderedRegressor),
        sources=[{"title": loss.title, "equation": words.formula(loss.equation), "text": "; ".join(loss.sources)}],
    )


def write_structured_page(path: Path, fit: StructuredFit) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    write(path, render_structured_page(fit))
