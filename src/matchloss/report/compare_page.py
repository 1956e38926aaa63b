"""The page of comparisons: numbers from `curves`, words from `compare_words`, looks from `assets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matchloss.report import compare_words, curves, words
from matchloss.report.page import assemble, sources, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matchloss.comparison.result import Comparison

EXAMPLE = (0.5, 0.3, 0.2)  # class frequencies for picture 3 where the data have no labels


def _results(comparison: Comparison) -> list[dict[str, Any]]:
    columns = {name: [fit.scores.get(name) for fit in comparison.fits] for name in comparison.score_names}
    digits = {name: words.column_digits(column) for name, column in columns.items()}
    best = {name: comparison.best(name) for name in columns}
    rows: list[dict[str, Any]] = []
    for i, (fit, title) in enumerate(zip(comparison.fits, compare_words.titles(comparison.fits), strict=True)):
        cells = [
            {
                "text": words.score_text(column[i], digits[name]),
                "best": fit.loss.name in best[name],
                "infinite": bool((score := column[i]) and score.infinite),
            }
            for name, column in columns.items()
        ]
        made = {"title": title, "note": fit.note, "cells": cells, "passes": f"{fit.passes:,}"}
        rows.append(made | {"seconds": f"{fit.seconds:.2f}", "converged": fit.converged})
    return rows


def _properties(comparison: Comparison) -> list[dict[str, Any]]:
    flags = ("matching", "zero_iff_right", "convex", "linear_in_target")
    return [
        {
            "title": title,
            "signal": words.formula(fit.loss.error_signal),
            "flags": [bool(getattr(fit.loss, flag)) for flag in flags],
            "functional": str(fit.loss.functional),
        }
        for fit, title in zip(comparison.fits, compare_words.titles(comparison.fits), strict=True)
    ]


def _comparison(comparison: Comparison, number: int) -> dict[str, Any]:
    return {
        "id": f"comparison-{number}",
        "target": comparison.target,
        "kind": words.kind(comparison.kind, len(comparison.classes)),
        "facts": compare_words.facts(comparison),
        "short": compare_words.short(comparison),
        "scores": [words.score_name(name) for name in comparison.score_names],
        "ranking": compare_words.ranking(comparison),
        "results": _results(comparison),
        "properties": _properties(comparison),
        "messages": comparison.notes,
    }


def _labels(comparisons: Sequence[Comparison]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Picture 3 for the template and for the script: from the first labels at hand, else from an example that says so."""
    usable = [c for c in comparisons if sum(f > 0 for f in c.frequencies) > 1]
    if usable:
        names: Sequence[str] = usable[0].classes
        data = curves.one_label(usable[0].frequencies)
        where = f"Labels are drawn from the class frequencies of {usable[0].target} in the training rows"
    else:
        names, data = ("A", "B", "C"), curves.one_label(EXAMPLE)
        where = "These data have no labels of two classes or more, so labels are drawn from an example distribution"
    rows = [
        {"name": names[k], "q": f"{q:.4f}", "p": f"{p:.4f}", "whole": f"{w:+.4f}".replace("-", "−")}
        for k, q, p, w in zip(data["shown"], data["q"], data["p"], data["whole"], strict=True)
    ]
    caption = f"{where}; the model knows nothing yet, all of its raw outputs are 0."
    return {"rows": rows, "hidden": data["hidden"], "runs": data["runs"], "caption": caption}, data


def render_page(comparisons: Sequence[Comparison]) -> str:
    """The page as text; ValueError where there is no comparison."""
    if not comparisons:
        raise ValueError("there is no comparison to show: a page needs at least one")
    # Numbers first: squared error's straight line is where the argument starts.
    numbered = sorted(enumerate(comparisons), key=lambda pair: pair[1].kind in curves.LABEL_KINDS)
    signals = {f"signals-{i}": curves.signals(c) for i, c in numbered}
    pictures = [
        {
            "id": f"signals-{i}",
            "heading": compare_words.HEADINGS[c.kind],
            "target": c.target,
            "remarks": compare_words.remarks(c, signals[f"signals-{i}"]["width"]),
        }
        for i, c in numbered
    ]
    labels, label_data = _labels(comparisons)
    return assemble(
        "compare",
        {"signals": signals, "slope": curves.log_sum_exp(), "labels": label_data},
        title="matchloss: which loss fits " + ", ".join(c.target for c in comparisons),
        comparisons=[_comparison(c, i) for i, c in enumerate(comparisons)],
        pictures=pictures,
        labels=labels,
        sources=sources(fit.loss for c in comparisons for fit in c.fits),
    )


def write_page(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    write(path, render_page(comparisons))
