"""The page of fits: what was learned, how it did on rows never seen, and how it got there; words from `fit_words`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matchloss.report import fit_words, pictures, words
from matchloss.report.page import assemble, sources, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import altair as alt

    from matchloss.fit.result import Effect, FitResult, Step

LISTED = 3_000  # coefficients of one fit: more make the page heavy and help nobody
SHOWN = 20  # before somebody asks for the rest
PASSES = 100  # rows in the table of passes


def _loss(fit: FitResult) -> dict[str, Any]:
    loss = fit.model.loss
    return {
        "title": fit_words.title(fit),
        "equation": words.formula(loss.equation),
        "signal": words.formula(loss.error_signal),
        "matching": bool(loss.matching),
        "functional": str(loss.functional),
        "link": words.formula(loss.link_name),
    }


def _scores(fit: FitResult) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, score in fit.scores.items():
        constant = fit.constant.get(name)
        digits = words.column_digits([score, constant])
        better = fit_words.improvement(score, constant)
        rows.append(
            {
                "name": words.score_name(name),
                "model": words.score_text(score, digits),
                "infinite": bool(score.infinite),
                "constant": words.score_text(constant, digits),
                "improvement": fit_words.improvement_text(better),
                "side": "" if not better else "better" if better > 0 else "worse",
                "width": round(100 * min(abs(better or 0.0), 1.0), 2),
            }
        )
    return rows


def _classes(fit: FitResult) -> list[str]:
    """The classes that coefficients speak for, in the model's order."""
    spoken = {e.toward for e in fit.effects}
    return [name for name in fit.model.classes if name in spoken]


def _effects(effects: Sequence[Effect], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the table, each bar as a percentage of the greatest."""
    greatest = max((e.effect for e in effects if e.effect < float("inf")), default=0.0)
    return [
        {
            "name": e.name,
            "coef": words.number(e.coef, signed=True),
            "effect": words.number(e.effect, 3),
            "toward": e.toward,
            "index": classes.index(e.toward) if e.toward in classes else -1,
            "share": "" if e.share >= 1 else f"in {words.percent(e.share)} of rows",
            "width": round(100 * min(e.effect / greatest, 1.0), 2) if greatest > 0 and e.effect == e.effect else 0,
            "down": e.coef < 0,
        }
        for e in effects[:LISTED]
    ]


def _importance(fit: FitResult) -> list[dict[str, Any]]:
    """Rows of the table, each bar as a percentage of the greatest."""
    greatest = max((abs(one.rise) for one in fit.importance), default=0.0)
    return [
        {
            "name": one.name,
            "rise": words.number(one.rise, 3, signed=True),
            "width": round(100 * abs(one.rise) / greatest, 2) if greatest > 0 else 0,
            "down": one.rise < 0,
        }
        for one in fit.importance[:LISTED]
    ]


def _passes(trace: Sequence[Step], most: int) -> list[dict[str, str] | None]:
    """Rows of the table of passes; None where some are left out in the middle."""
    rows: list[dict[str, str] | None] = [
        {
            "number": f"{i + 1:,}",
            "rows": f"{step.rows:,}{'' if step.rows == most else ' (a subsample)'}",
            "objective": words.number(step.objective, 9),
            "gradient": words.number(step.gradient_norm, 3),
        }
        for i, step in enumerate(trace)
    ]
    return rows if len(rows) <= PASSES else [*rows[: PASSES // 2], None, *rows[-PASSES // 2 :]]


def _charts(fit: FitResult, number: int) -> dict[str, alt.Chart]:
    """The reliability diagrams, and the convergence where there is a way to see."""
    made = {
        f"fit-{number}-reliability-{j}": pictures.reliability_chart(found, target=fit.model.target)
        for j, found in enumerate(fit.reliability)
    }
    if fit.summary is not None:
        name, coef, low, high = (fit.summary[column] for column in ("name", "coef", "ci_lower", "ci_upper"))
        made[f"fit-{number}-coefficients"] = pictures.coefficients_chart(name[1:], coef[1:], low[1:], high[1:])
    if len(fit.watched) > 1:
        made[f"fit-{number}-trees"] = pictures.watched_chart(np.array(fit.watched), fit.passes)
    objective, gradient = (np.array([getattr(step, key) for step in fit.trace]) for key in ("objective", "gradient_norm"))
    if (np.isfinite(gradient) & (gradient > 0)).sum() > 1:
        rows = np.array([step.rows for step in fit.trace])
        made[f"fit-{number}-convergence"] = pictures.convergence_chart(objective, gradient, fit.objective, rows < rows.max())
    return made


def _fit(fit: FitResult, number: int) -> dict[str, Any]:
    converged, ending = fit_words.ending(fit)
    most = max((step.rows for step in fit.trace), default=0)
    return {
        "id": f"fit-{number}",
        "target": fit.model.target,
        "kind": fit_words.what(fit),
        "loss": _loss(fit),
        "why": fit.why,
        "facts": fit_words.facts(fit),
        "verdict": fit_words.verdict(fit),
        "warnings": (*fit.alerts, *fit.warnings),
        "messages": fit.messages,
        "scores": _scores(fit),
        "rows": f"{fit.rows - fit.dropped:,}",
        "seconds": fit_words.seconds(fit.seconds),
        "effects": _effects(fit.effects, _classes(fit)),
        "importance": _importance(fit),
        "linear": fit.linear,
        "unlisted": max(len(fit.effects) - LISTED, 0),
        "total": len(fit.effects),
        "sides": fit_words.sides(fit),
        "reading": fit_words.how_to_read(fit) if fit.linear else [fit_words.WORTH],
        "converged": converged,
        "ending": ending,
        "method": fit.method,
        "passes": f"{fit.passes:,}",
        "objective": words.number(fit.objective, 6),
        "gradient": words.number(fit.gradient_norm, 2),
        "trace": _passes(fit.trace, most),
        "reliability": [f"fit-{number}-reliability-{j}" for j in range(len(fit.reliability))],
        "trust": fit_words.how_to_trust(fit),
        "summary": None if fit.summary is None else {"facts": fit.summary.facts, "notes": fit.summary.notes},
    }


def fit_charts(fits: Sequence[FitResult]) -> dict[str, alt.Chart]:
    """The pictures of the page by their names, which are those of the files that `--pictures` writes."""
    return {name: chart for i, fit in enumerate(fits) for name, chart in _charts(fit, i).items()}


def render_fit_page(fits: Sequence[FitResult]) -> str:
    """The page as text; ValueError where there is no fit."""
    if not fits:
        raise ValueError("there is no fit to show: a page needs at least one")
    charts = fit_charts(fits)
    return assemble(
        "fit",
        {"fits": {f"fit-{i}": {"classes": _classes(fit)} for i, fit in enumerate(fits)}, "shown": SHOWN},
        charts,
        convergence=[f"fit-{i}-convergence" in charts for i in range(len(fits))],
        growth=[f"fit-{i}-trees" in charts for i in range(len(fits))],
        linear=all(fit.linear for fit in fits),
        example=fit_words.example(fits),
        title="matchloss: a model of " + ", ".join(dict.fromkeys(fit.model.target for fit in fits)),
        fits=[_fit(fit, i) for i, fit in enumerate(fits)],
        listed=LISTED,
        sources=sources(fit.model.loss for fit in fits),
    )


def write_fit_page(path: Path, fits: Sequence[FitResult]) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    write(path, render_fit_page(fits))
