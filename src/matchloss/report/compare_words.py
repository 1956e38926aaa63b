"""What the page of comparisons says in words: facts, the ranking, and what each loss says of its own signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchloss.report.words import count, minus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matchloss.comparison.result import Answer, Comparison

MANY = 6  # class frequencies are listed up to here

_SHARED = "Every loss that matches its link has one and the same straight line for a signal."

OPENING = {
    "number": "Move the target: squared error’s signal stays one straight line through it.",
    "count": "Move the target: the signals that are output minus wanted stay one straight line through it.",
    "binary": f"Move the target, a label or a probability. {_SHARED}",
    "multiclass": f"One raw output of {{width}} moves and the others stay at 0; the target is the weight of that class. {_SHARED}",
}

HEADINGS = {
    "number": "For a number",
    "count": "For a count",
    "binary": "For a label",
    "multiclass": "For a label",
}


def facts(comparison: Comparison) -> list[str]:
    """The line below a comparison's name."""
    said = [
        comparison.source,
        f"{count(comparison.rows, 'row')}, {comparison.scored:,} of them scored by models that did not see them",
        f"{count(comparison.features, 'column')}{' in the design' if comparison.models[0] == 'linear' else ''}",
    ]
    if comparison.classes and len(comparison.classes) <= MANY:
        said.append(", ".join(f"{name} {100 * f:.1f} %" for name, f in zip(comparison.classes, comparison.frequencies, strict=True)))
    elif not comparison.classes:
        low, high = comparison.target_range
        said.append(minus(f"nine in ten targets lie between {low:,.4g} and {high:,.4g}"))
    return said


def remarks(comparison: Comparison, width: int) -> list[str]:
    """The caption of picture 1: the line, then those that share it and those that bend."""
    said = dict.fromkeys(fit.loss.advice for fit in comparison.of_each_loss)
    return [OPENING[comparison.kind].format(width=width), " ".join(filter(None, said))]


def standings(answer: Answer, models: Sequence[str]) -> str:
    """How to read the picture of losses and models."""
    best = answer.standing.best
    to = f"the best’s, {best}" if best is not None else "that of the best constant"
    return (
        f"Each point is a mean score over {to}: the farther to the left, the better. Lines are 95 % intervals, which hold all at once; "
        "there is none where a loss is beaten by another than the best. The dashed line is the best constant."
    )


def tiles(comparison: Comparison) -> list[str]:
    """How to read the small reliability diagrams."""
    of = f"the probability of {_label(comparison)}" if comparison.classes else comparison.target
    return [
        f"Across, what a model predicted for {of}; up, what came, by models that did not see the row. On the dashed line both agree; the "
        "band is where a calibrated model’s line lies, with a probability of 90 % at each prediction."
    ]


def signals(comparison: Comparison) -> str:
    """How to read the picture of error signals."""
    matching = [fit.name for fit in comparison.of_each_loss if fit.loss.matching]
    where = f"Where {_label(comparison)} came" if comparison.classes else f"Where the middle {comparison.target} came"
    line = f"{', '.join(matching)}: one straight line, output minus wanted. " if matching else ""
    return f"{where}: what each loss tells the model, by its prediction. {line}The others are drawn in the same mean size."


def _label(comparison: Comparison) -> str:
    """The class that pictures are about: the second of two, or the most frequent."""
    if len(comparison.classes) == 2:
        return comparison.classes[1]
    return comparison.classes[max(range(len(comparison.classes)), key=comparison.frequencies.__getitem__)]
