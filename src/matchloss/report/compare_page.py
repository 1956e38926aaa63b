"""The page of comparisons: numbers from `curves`, words from `compare_words`, looks from `assets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matchloss.comparison import lines, sentences
from matchloss.report import compare_pictures, compare_words, curves, words
from matchloss.report.page import assemble, sources, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import altair as alt

    from matchloss.comparison.result import Answer, Comparison

EXAMPLE = (0.5, 0.3, 0.2)  # class frequencies for picture 3 where the data have no labels


def _results(comparison: Comparison, answer: Answer) -> dict[str, Any]:
    """The table of the losses that answer one question; bold is only a loss that beats every other one."""
    head, *rows = lines.results(comparison.fits, answer)
    best = answer.standing.best if answer.standing.alone else None
    notes = {fit.name: fit.note for fit in comparison.fits}
    made = [
        {"name": name, "note": notes.get(name, ""), "cells": [words.minus(c) for c in cells], "best": name == best} for name, *cells in rows
    ]
    return {"head": head[1:], "rows": made, "wide": max((i for i, c in enumerate(head[1:]) if c in ("relative", "verdict")), default=0)}


def _asked(answer: Answer) -> str:
    return f"Which loss and which model, for {sentences.asked(answer.verdict.functional, answer.verdict.level)}"


def _properties(comparison: Comparison) -> dict[str, Any]:
    head, *rows = lines.properties(comparison.of_each_loss)
    return {"head": head, "rows": [(name, words.formula(signal), *rest) for name, signal, *rest in rows]}


def compare_charts(comparisons: Sequence[Comparison]) -> dict[str, alt.Chart]:
    """The pictures of the first screen by their names, which are those of the files that `--pictures` writes."""
    charts: dict[str, alt.Chart] = {}
    for i, comparison in enumerate(comparisons):
        _comparison(comparison, i, charts)
    return charts


def _comparison(comparison: Comparison, number: int, charts: dict[str, alt.Chart]) -> dict[str, Any]:
    """The section of one comparison; adds its pictures to `charts`."""
    tiles = compare_pictures.reliabilities(comparison)
    charts |= {f"reliability-{number}-{j}": tile for j, tile in enumerate(tiles.values())}
    stand = compare_pictures.standing_charts(comparison)
    charts |= {f"standing-{number}-{j}": chart for j, chart in enumerate(stand)}
    signals = compare_pictures.signal_chart(comparison)
    charts |= {f"error-{number}": signals} if signals is not None else {}
    return {
        "id": f"comparison-{number}",
        "target": comparison.target,
        "models": ", ".join(comparison.models) if len(comparison.models) > 1 else "",
        "kind": words.kind(comparison.kind, len(comparison.classes)),
        "facts": compare_words.facts(comparison),
        "verdicts": [words.minus(verdict.sentence) for verdict in comparison.verdicts],
        "alerts": comparison.alerts,
        "standings": [
            {"picture": f"standing-{number}-{j}", "heading": _asked(answer), "say": compare_words.standings(answer, comparison.models)}
            for j, (answer, _) in enumerate(zip(comparison.answers, stand, strict=False))
        ],
        "tiles": [f"reliability-{number}-{j}" for j in range(len(tiles))],
        "tiles_say": [*compare_words.tiles(comparison), *compare_pictures.unshown(comparison, tiles)],
        "signals": f"error-{number}" if signals is not None else "",
        "signals_say": compare_words.signals(comparison),
        "results": [_results(comparison, answer) for answer in comparison.answers],
        "how": comparison.how,
        "properties": _properties(comparison),
        "messages": [note for note in comparison.notes if note not in comparison.alerts],
    }


def _labels(comparisons: Sequence[Comparison]) -> tuple[dict[str, Any], dict[str, Any]] | tuple[None, None]:
    """Picture 3 for the template and for the script, from the first labels at hand, else from an example; None where nothing is a label."""
    if not any(c.classes for c in comparisons):
        return None, None
    usable = [c for c in comparisons if sum(f > 0 for f in c.frequencies) > 1]
    if usable:
        names: Sequence[str] = usable[0].classes
        data = curves.one_label(usable[0].frequencies)
        where = f"Labels are drawn from the class frequencies of {usable[0].target}"
    else:
        names, data = ("A", "B", "C"), curves.one_label(EXAMPLE)
        where = "These data have one class only, so labels are drawn from an example distribution"
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
    first = {comparison.target: i for i, comparison in reversed(list(enumerate(comparisons)))}  # one picture for each target
    numbered = sorted(((i, comparisons[i]) for i in first.values()), key=lambda pair: pair[1].kind in curves.LABEL_KINDS)
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
    charts: dict[str, alt.Chart] = {}
    targets = list(dict.fromkeys(c.target for c in comparisons))
    sections = [_comparison(c, i, charts) for i, c in enumerate(comparisons)]
    return assemble(
        "compare",
        {"signals": signals, "slope": curves.log_sum_exp() if labels else None, "labels": label_data},
        charts,
        title="matchloss: which loss fits " + ", ".join(targets),
        targets=targets,
        several=any(len(c.models) > 1 for c in comparisons),
        comparisons=sections,
        pictures=pictures,
        labels=labels,
        sources=sources(fit.loss for c in comparisons for fit in c.of_each_loss),
    )


def write_page(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write the page in one step: whoever opens `path` sees the old file or the whole new one."""
    write(path, render_page(comparisons))
