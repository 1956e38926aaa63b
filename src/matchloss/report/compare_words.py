"""What the page of comparisons says in words: facts, the ranking, and what each loss says of its own signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchloss.report.words import count, minus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matchloss.comparison.result import Comparison, Fit

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
        f"{count(comparison.features, 'column')} in the design",
    ]
    if comparison.classes and len(comparison.classes) <= MANY:
        said.append(", ".join(f"{name} {100 * f:.1f} %" for name, f in zip(comparison.classes, comparison.frequencies, strict=True)))
    elif not comparison.classes:
        low, high = comparison.target_range
        said.append(minus(f"nine in ten targets lie between {low:,.4g} and {high:,.4g}"))
    return said


def remarks(comparison: Comparison, width: int) -> list[str]:
    """The caption of picture 1: the line, then those that share it and those that bend."""
    said = dict.fromkeys(fit.loss.advice for fit in comparison.fits)
    return [OPENING[comparison.kind].format(width=width), " ".join(filter(None, said))]


def titles(fits: Sequence[Fit]) -> list[str]:
    """Titles of the losses, told apart by their parameters where one loss was tried with several."""
    plain = [fit.loss.title for fit in fits]
    return [t if plain.count(t) == 1 else repr(fit.loss) for t, fit in zip(plain, fits, strict=True)]


def ranking(comparison: Comparison) -> str:
    """What the star in the results means, or why there is none."""
    if any(comparison.best(score) for score in comparison.score_names):
        return "★ marks a loss that beats every other one that is ranked with it: the 95 % interval of each difference excludes 0."
    return "No best is marked, since no loss beats every other one that may be ranked with it."


def short(comparison: Comparison) -> list[str]:
    """The verdicts."""
    return [verdict.sentence for verdict in comparison.verdicts]
