"""The page of a judgement: the scores beside the constant's, which differences are real, and pictures of calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matchloss import scoring
from matchloss.judging.rows import CONSTANT
from matchloss.judging.text import PARTS, capital, ordered, percent, said_of, verdict
from matchloss.report import pictures, words
from matchloss.report.page import assemble, write

if TYPE_CHECKING:
    from pathlib import Path

    import altair as alt

    from matchloss.judging import Judgement
    from matchloss.scoring import Decomposition, Reliability

CLASSES = 8  # reliability diagrams of one forecast
DRAWN_ROWS, DRAWS = 20_000_000, 400  # of consistency bands, fewer draws of many rows


def score_charts(found: Judgement) -> dict[str, alt.Chart]:
    """The pictures of a judgement by their names, which are those of the files that `--pictures` writes."""
    rows, made = found.rows, {}
    if found.decides.best is not None and len(found.decides.means) > len(found.decides.not_ranked) + 1:
        made["differences"] = pictures.comparison_chart(found.decides)
    for i, (name, f) in enumerate(rows.forecasts.items(), 1):
        for j, (of, one) in enumerate(_reliability(found, f).items(), 1):
            chart = pictures.reliability_chart(one, title=f"{name}: {of}" if of else name, target=rows.target)
            made[f"reliability-{i}-{j}" if of else f"reliability-{i}"] = chart
    finite = {name: by[""] for name, by in found.parts.items() if "" in by and by[""].score < float("inf")}
    if finite:
        made["parts"] = pictures.decomposition_chart(finite)
    if rows.kind not in ("multiclass", "interval"):
        functional = "quantile" if rows.kind == "quantile" else "mean"
        level = rows.level if functional == "quantile" else None
        both = {**rows.forecasts, CONSTANT: found.constant}
        made["murphy"] = pictures.murphy_chart(
            scoring.murphy(rows.obs, both, functional, level, sample_weight=rows.weight), target=rows.target
        )
    if rows.kind == "interval":
        ends = {name: (f[:, 0], f[:, 1]) for name, f in rows.forecasts.items()}
        made["sharpness"] = pictures.sharpness_chart(scoring.sharpness(ends, rows.weight))
    return made


def _reliability(found: Judgement, f: Any) -> dict[str, Reliability]:
    """The reliability diagrams of a forecast by what they are of: "", or a class, or an end of its intervals."""
    rows, draws = found.rows, max(20, min(DRAWS, DRAWN_ROWS // len(found.rows.obs)))
    if rows.kind == "multiclass":
        made = scoring.reliability_by_class(rows.obs, f, rows.classes, rows.weight, draws=draws)
        return {one.label: one for one in made[:CLASSES]}
    if rows.kind == "interval":
        half = (rows.level or 0) / 2
        ends = {"lower end": (f[:, 0], half), "upper end": (f[:, 1], 1 - half)}
        return {of: scoring.reliability(rows.obs, end, "quantile", at, rows.weight, draws=draws) for of, (end, at) in ends.items()}
    of = "quantile" if rows.kind == "quantile" else "probability" if rows.kind == "binary" else "mean"
    return {"": scoring.reliability(rows.obs, f, of, rows.level, rows.weight, draws=draws)}


def _scores(found: Judgement) -> list[dict[str, Any]]:
    columns = {name: words.column(list(made.means.values()), 5) for name, made in found.comparisons.items()}
    rows = []
    for i, name in enumerate(found.decides.means):
        cells = []
        for score, made in found.comparisons.items():
            infinite = made.not_ranked.get(name)
            text = f"infinite in {words.count(infinite, 'row')}" if infinite else columns[score][i]
            cells.append({"text": text, "best": name == made.best, "infinite": bool(infinite)})
        rows.append({"name": name, "note": "the best one for these very rows" if name == CONSTANT else "", "cells": cells})
    return rows


def _differences(found: Judgement) -> list[dict[str, str]]:
    return [
        {"name": f"{a} − {b}", "gap": words.number(d.difference, 3), "low": words.number(d.low, 3), "high": words.number(d.high, 3)}
        | {"verdict": verdict(a, b, d)}
        for (a, b), d in ordered(found).items()
    ]


def _parts(parts: Mapping[str, Mapping[str, Decomposition]]) -> list[dict[str, Any]]:
    return [
        {"name": f"{name}: {of}" if of else name, "cells": [_part(p, part) for part in PARTS]}
        for name, by in parts.items()
        for of, p in by.items()
    ]


def _part(parts: Decomposition, part: str) -> dict[str, str]:
    value = float(getattr(parts, part))
    bounds = getattr(parts.intervals, part) if parts.intervals is not None and value < float("inf") else None
    return {
        "text": words.number(value),
        "between": "" if bounds is None else f"{words.number(bounds[0], 3)} to {words.number(bounds[1], 3)}",
    }


def render_score_page(found: Judgement) -> str:
    """The page as text."""
    charts, rows = score_charts(found), found.rows
    coverage = [
        {"name": name, "share": percent(c.share), "wanted": percent(c.wanted), "chance": f"{percent(c.low)} to {percent(c.high)}"}
        | {"width": "" if c.width is None else words.number(c.width), "said": said_of(c)}
        for name, c in found.coverage.items()
    ]
    left_out = [f"{capital(scoring.get_score(name).title)} is left out: {why}." for name, why in found.not_defined.items()]
    return assemble(
        "score",
        {},
        charts,
        title=f"matchloss: forecasts of {rows.target}, judged",
        target=rows.target,
        source=found.source,
        elicits=found.elicits,
        rows=f"{len(rows.obs):,}",
        sentences=found.sentences,
        messages=[*found.messages, *left_out],
        names=[capital(made.title) for made in found.comparisons.values()],
        scores=_scores(found),
        decides=found.decides.title,
        differences=_differences(found),
        coverage=coverage,
        parts=_parts(found.parts),
        apart=scoring.get_score("pinball").title if rows.kind == "interval" else found.decides.title,
        reliability=[name for name in charts if name.startswith("reliability")],
        drawn=list(charts),
        sources=[],
    )


def write_score_page(path: Path, found: Judgement) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    write(path, render_score_page(found))
