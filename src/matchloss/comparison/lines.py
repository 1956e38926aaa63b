"""The tables of a comparison as text and as columns of values: how each loss stands, its scores, and the constant beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matchloss.comparison.questions import Question
from matchloss.models.kinds import LINEAR
from matchloss.tables.scores import ERROR_RATE
from matchloss.tables.words import score_text

if TYPE_CHECKING:
    from matchloss.comparison.result import Answer, Fit
    from matchloss.comparison.verdicts import Shares, Standing

CONSTANT = "(constant)"
Line = tuple[str, ...]


def results(fits: Sequence[Fit], answer: Answer) -> list[Line]:
    """The losses that answer a question, the best first, then those that are not ranked, and the constant; the head comes first.

    The relative column is the score over the best's, or over the constant's where no loss beats it, with its 95 % interval.
    """
    there = {fit.name: fit for fit in fits}
    verdict, standing = answer.verdict, answer.standing
    names = [*sorted(standing.means, key=lambda name: standing.means[name]), *verdict.not_ranked]
    others = [score for score in answer.standings if score != verdict.score]
    others += [ERROR_RATE] if any(ERROR_RATE in there[name].scores for name in names) else []
    made: list[Line] = [("loss", verdict.score, "relative", "verdict", *others, steps(fits), "seconds")]
    for name in names:
        fit = there[name]
        own = score_text(verdict.score, fit.scores[verdict.score]) if verdict.score in fit.scores else "-"
        rest = (score_text(score, fit.scores[score]) if score in fit.scores else "-" for score in others)
        passes = f"{fit.passes}{'' if fit.converged else '+'}"
        made.append((name, own, relative(answer, name), place(answer, name), *rest, passes, f"{fit.seconds:.2f}"))
    reference = "1.00" if standing.best is None else _ratio(standing.constant / standing.means[standing.best])
    constant = [f"{other.constant:.5g}" if (other := answer.standings.get(score)) else "-" for score in others]
    made.append((CONSTANT, f"{standing.constant:.5g}", reference, "", *constant, "", ""))
    return made


def steps(fits: Sequence[Fit]) -> str:
    """What the number of steps counts."""
    linear = {fit.kind == LINEAR for fit in fits}
    return "passes or trees" if len(linear) > 1 else "passes" if True in linear else "trees"


def place(answer: Answer, name: str) -> str:
    """How a loss stands, in a word or two."""
    standing = answer.standing
    if name == standing.best:
        return "best"
    if name in answer.verdict.not_ranked:
        return "not ranked"
    if standing.best is None:
        return "no better" if name in standing.means else ""
    if name in standing.as_good:
        return "as good"
    if name in standing.undecided:
        return "cannot tell"
    return "hardly worse" if standing.hardly(name) else "worse"


def shares(standing: Standing, name: str) -> Shares | None:
    """The difference from the best, or from the constant where there is none, as shares of its score; None for the best itself."""
    if standing.best is None:
        pair = standing.from_constant.get(name)
        return None if pair is None else standing.shares(pair)
    found = {**standing.as_good, **standing.undecided, **standing.worse}.get(name)
    if found is None or standing.by.get(name, standing.best) != standing.best:
        return None
    return standing.shares(found)


def relative(answer: Answer, name: str) -> str:
    """A score over the reference's, with its interval where there is one."""
    standing = answer.standing
    if name not in standing.means:
        return "-"
    if name == standing.best:
        return "1.00"
    found = shares(standing, name)
    reference = standing.constant if standing.best is None else standing.means[standing.best]
    if found is None or not all(map(math.isfinite, found)):
        return _ratio(standing.means[name] / reference) if reference else "-"
    middle, low, high = (1 + share for share in found)
    if max(map(abs, found)) >= 1000:
        return f"{middle:.3g} ({low:.3g} to {high:.3g})"
    digits = _digits(found)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def records(fits: Sequence[Fit], answers: Sequence[Answer]) -> dict[str, list[Any]]:
    """The same as columns of values, a line for each loss and question, and for the constant."""
    scores = list(dict.fromkeys(name for answer in answers for name in answer.standings))
    made: list[dict[str, Any]] = []
    several = len({fit.kind for fit in fits}) > 1
    for answer in answers:
        verdict, standing = answer.verdict, answer.standing
        head = {"functional": verdict.functional, "level": verdict.level, "score": verdict.score}
        reference = standing.constant if standing.best is None else standing.means[standing.best]
        for fit in fits:
            if fit.name not in standing.means and fit.name not in verdict.not_ranked:
                continue
            found = shares(standing, fit.name)
            low, high = (None, None) if found is None else (1 + found[1], 1 + found[2])
            mean = standing.means.get(fit.name)
            own = {"relative": mean / reference if mean is not None and reference else None, "low": low, "high": high}
            values = {name: fit.scores[name].value if name in fit.scores else None for name in scores}
            rest = {"passes": fit.passes, "seconds": fit.seconds, "converged": fit.converged}
            kind = {"model": fit.kind} if several else {}
            made.append({"loss": fit.name, **kind, **head, "verdict": place(answer, fit.name), **own, **values, **rest})
        own = {"relative": standing.constant / reference if reference else None, "low": None, "high": None}
        values = {name: answer.standings[name].constant if name in answer.standings else None for name in scores}
        rest = {"passes": None, "seconds": None, "converged": None}
        made.append({"loss": CONSTANT, **({"model": None} if several else {}), **head, "verdict": "", **own, **values, **rest})
    return {name: [line[name] for line in made] for name in made[0]}


def properties(fits: Sequence[Fit]) -> list[Line]:
    """What each loss is, before any data are seen; the head first."""
    made: list[Line] = [
        ("loss", "error signal", "output minus wanted", "zero only when right", "convex", "linear in the target", "aims at (elicits)")
    ]
    for fit in fits:
        loss = fit.loss
        flags = ("yes" if f else "no" for f in (loss.matching, loss.zero_iff_right, loss.convex, loss.linear_in_target))
        made.append((fit.name, loss.error_signal, *flags, _aim(fit)))
    return made


def _aim(fit: Fit) -> str:
    level = fit.asked.level if isinstance(fit.asked, Question) and fit.asked.functional in ("quantile", "expectile") else None
    return f"{level:g} {fit.loss.functional}" if level is not None else str(fit.loss.functional)


def _digits(found: Shares) -> int:
    largest = max(map(abs, found))
    return min(max(2, 1 - math.floor(math.log10(largest))), 6) if largest > 0 else 2


def _ratio(x: float) -> str:
    return f"{x:.2f}" if 0.1 <= x < 1000 else f"{x:.3g}"
