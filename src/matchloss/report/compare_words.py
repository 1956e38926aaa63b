"""What the page of comparisons says in words: facts, the ranking, and what each loss says of its own signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchloss.report.words import count, minus, score_name

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
        f"{count(comparison.rows_train, 'row')} to learn from, {comparison.rows_test:,} held out",
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
    elicited = [str(fit.loss.functional) for fit in comparison.fits]
    if len(set(elicited)) < len(elicited):
        return "★ marks the least among losses that elicit the same thing."
    why = ": squared error judges a mean, absolute error a median" if "absolute error" in comparison.score_names else ""
    return f"No best is marked, since no two of these losses elicit the same{why}."


def short(comparison: Comparison) -> list[dict[str, str]]:
    """The first score in a sentence: who is best, among losses that elicit the same thing."""
    if not comparison.score_names:
        return []
    score = comparison.score_names[0]
    best = comparison.best(score)
    winners = [(fit, t) for fit, t in zip(comparison.fits, titles(comparison.fits), strict=True) if fit.loss.name in best]
    by_functional: dict[str, list[str]] = {}
    for fit, title in winners:
        by_functional.setdefault(str(fit.loss.functional), []).append(title)
    return [
        {"before": f"Least held-out {score_name(score)} among losses that elicit the {f}: ", "names": " and ".join(names), "after": "."}
        for f, names in by_functional.items()
    ]
