"""What the page of comparisons says in words: facts, the ranking, and a remark for each loss that deserves one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matchloss.report.words import count, minus, score_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matchloss.compare.result import Comparison, Fit

MANY = 6  # class frequencies are listed up to here

_FADES = "is also zero only at the right answer, but its signal fades just where the model is confidently wrong."
_SHARED = "Every loss that matches its link has one and the same straight line for a signal."

# One sentence beside picture 1, shown only where the loss is on the page.
REMARKS = {
    "quartic": "The quartic hardly speaks near the answer and shouts far from it.",
    "sine_squared": "The sines are zero only at the right answer, yet send the model the wrong way in one place after another.",
    "absolute_error": "Absolute error knows on which side the model is wrong, not how far: it seeks the median.",
    "huber": "Huber is straight near the answer and level beyond: an outlier is heard, but no louder than that.",
    "log_cosh": "Log-cosh rounds off the same idea: straight close up, level far away.",
    "logistic": "The logistic loss is cross entropy for two classes. Against raw output its signal is a curve; "
    "against its own prediction it is the line of squared error.",
    "cross_entropy": "Against raw output, cross entropy’s signal is a curve; against its own prediction it is the line of squared error.",
    "binary_brier": "Brier and spherical scores fall on that line too, each behind the link that suits it.",
    "sparsemax": "Sparsemax and the spherical score fall on that line too, each behind the link that suits it.",
    "sigmoid_brier": f"The Brier score of a sigmoid {_FADES}",
    "softmax_brier": f"The Brier score of softmax {_FADES}",
    "softmax_spherical": "The spherical score of softmax does the same.",
    "hinge": "Hinge has no link: its prediction is only a side, so it is drawn against raw output alone.",
    "poisson": "Poisson’s mean is an exponential, and its signal is the straight line as soon as it is drawn against that mean.",
    "negative_binomial": "The negative binomial trusts large counts less: its signal levels off.",
}

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
    said = [REMARKS[fit.loss.name] for fit in comparison.fits if fit.loss.name in REMARKS]
    return [OPENING[comparison.kind].format(width=width), " ".join(dict.fromkeys(said))]


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
