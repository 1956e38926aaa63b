"""Verdicts in words. Every sentence of a comparison that a person acts on is made here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matchloss.tables.words import listed

if TYPE_CHECKING:
    from matchloss.comparison.verdicts import Standing
    from matchloss.scoring.ranking import Difference

FEW, SOME = 10, 30  # rows that carry a difference: with fewer than these it hangs on them, or its interval is approximate
SCORES = ("log", "Brier", "spherical", "pinball", "expectile")  # names that need the word score in running text
ALIKE = 0.05  # share of the best's score: a larger difference is as good only beside what the best gains over a constant


@dataclass(frozen=True)
class Remarks:
    """What is said of losses beside their scores."""

    of: Mapping[str, str] = field(default_factory=dict)  # "predicts a price below 0 in 7 % of rows"
    aside: tuple[str, ...] = ()  # whole sentences at the end
    unit: str = "row"  # what is independent of another: rows, or groups
    kinds: Mapping[str, str] = field(default_factory=dict)  # of model, by the name of a loss; empty where there is one kind


def asked(functional: str, level: float | None) -> str:
    """What a question asks for: "the mean", "the 0.9 quantile"."""
    return f"the {level:g} {functional}" if functional in ("quantile", "expectile") else f"the {functional}"


def score_name(name: str) -> str:
    """The name of a score in running text."""
    return f"{name} score" if name in SCORES else name


def verdict(question: str, score: str, standing: Standing, not_ranked: Mapping[str, str], remarks: Remarks) -> str:
    """The verdict on one question: who is best, and how the others stand beside it."""
    said = [_first(question, score, standing, remarks)]
    if standing.best is not None and (others := _others(standing, remarks)):
        said.append(others)
    said += [f"{name} is not ranked: {reason}." for name, reason in not_ranked.items()]
    return " ".join([*said, *remarks.aside])


def otherwise(score: str, standing: Standing, best: str | None, not_ranked: Mapping[str, str]) -> str:
    """What another consistent score says, where it contradicts the one that decides; "" where it does not."""
    other = standing.best
    if other is None or other == best:
        return ""
    name = score_name(score)
    if best is None:
        return f"By {name}, though, {other} does better than a constant."
    if best in not_ranked:
        return f"By {name}, though, it is {other}: {best} is not ranked by it ({not_ranked[best]})."
    if best in standing.worse:
        ahead = standing.by[best]
        return f"By {name}, though, {ahead} does better: {best} is worse by {_amount(standing, standing.worse[best])}."
    return ""


def _first(question: str, score: str, standing: Standing, remarks: Remarks) -> str:
    by = score_name(score)
    if standing.best is not None:
        remark = remarks.of.get(standing.best)
        return f"For {question}, by {by}: {standing.best}{f', although it {remark}' if remark else ''}."
    if not standing.means:
        return f"For {question}: no verdict, since no loss here can be ranked."
    least = min(standing.means, key=lambda name: standing.means[name])
    article = "an" if by[0] in "aeiou" else "a"
    beside = f"{least} has {article} {by} of {standing.means[least]:.4g}, a constant one of {standing.constant:.4g}"
    pair = standing.from_constant.get(least)
    doubt = "" if pair is None or pair.difference > 0 else f", and the data cannot tell them apart{_rows(pair, remarks.unit)}"
    return f"For {question}: no loss does better than the best constant. {beside}{doubt}."


def _others(standing: Standing, remarks: Remarks) -> str:
    """The other losses, one clause each: those as good first, then those of whom nothing is known, then those that are worse."""
    clauses: list[str] = []
    told = False  # what the numbers in brackets are
    behind = _whole_kinds(standing, remarks, lambda name: standing.by.get(name) == standing.best and not standing.hardly(name))
    unclear = _whole_kinds(standing, remarks, standing.undecided.__contains__)
    for name, pair in standing.as_good.items():
        alike = max(map(abs, standing.shares(pair))) <= ALIKE
        how = "does as well" if alike else f"does nearly as well, within 5 % of what {standing.best} gains over a constant"
        clauses.append(_with_remark(f"{name} {how} ({_difference(standing, pair, told)})", name, remarks))
        told = True
    for name, pair, kind in _one_of_a_kind(standing.undecided, unclear, remarks):
        difference = f"{_difference(standing, pair, told)}{_rows(pair, remarks.unit, '; ')}"
        any_of = f"any {_model(kind)} from it (the nearest, {name}: {difference})" if kind else f"{name} from it ({difference})"
        clauses.append(_with_remark(f"the data cannot tell {any_of}", name, remarks, f"although {name}"))
        told = True
    for name, pair, kind in _one_of_a_kind(standing.worse, behind, remarks):
        amount = _amount(standing, pair, told, _rows(pair, remarks.unit, "; "))
        than = "" if standing.by[name] == standing.best else f" than {standing.by[name]}"
        how = f"is hardly worse{than}, by" if standing.hardly(name) else f"is worse{than} by"
        whose = f"no {_model(kind)} does as well; the nearest, {name}, is worse by" if kind else f"{name} {how}"
        clauses.append(_with_remark(f"{whose} {amount}", name, remarks))
        told = True
    said = "; ".join(clauses)
    return f"{said.replace('the data', 'The data', 1) if said.startswith('the data') else said}." if said else ""


def _whole_kinds(standing: Standing, remarks: Remarks, holds: Callable[[str], bool]) -> dict[str, list[str]]:
    """The kinds of models of which this holds for every loss, of several, with these losses, the nearest first."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(standing.means, key=lambda name: standing.means[name]):
        kinds.setdefault(remarks.kinds.get(name, ""), []).append(name)
    return {kind: names for kind, names in kinds.items() if kind and len(names) > 1 and all(map(holds, names))}


def _one_of_a_kind(
    pairs: Mapping[str, Difference], whole: Mapping[str, list[str]], remarks: Remarks
) -> Iterator[tuple[str, Difference, str]]:
    """Each loss with its pair and "", but of a whole kind the nearest loss alone, with the kind."""
    for name, pair in pairs.items():
        kind = remarks.kinds.get(name, "")
        rivals = whole.get(kind, [])
        if name not in rivals[1:]:
            yield name, pair, kind if rivals else ""


def _model(kind: str) -> str:
    """A kind of model in running text: a linear model, a tree model, an xgboost model."""
    return f"{'tree' if kind == 'trees' else kind} model"


def _with_remark(clause: str, name: str, remarks: Remarks, joined: str = "and") -> str:
    remark = remarks.of.get(name)
    return f"{clause}, {joined} {remark}" if remark else clause


def _difference(standing: Standing, pair: Difference, told: bool) -> str:
    middle, low, high = percents(standing.shares(pair))
    return f"{middle} %, {low} to {high}" if told else f"difference {middle} %, 95 % interval {low} to {high}"


def _amount(standing: Standing, pair: Difference, told: bool = True, rows: str = "") -> str:
    middle, low, high = percents(standing.shares(pair))
    return f"{middle} % ({'' if told else '95 % interval '}{low} to {high}{rows})"


def _rows(pair: Difference, unit: str, before: str = ": ") -> str:
    """How few rows a difference hangs on; "" where there are enough."""
    if not pair.high > pair.low or pair.carrying >= SOME:
        return ""
    count = max(1, round(pair.carrying))
    if pair.carrying < FEW:
        return f"{before}{count} {unit}{' decides' if count == 1 else 's decide'} this"
    return f"{before}approximate, since {count} {unit}s carry it"


def percents(shares: Sequence[float]) -> tuple[str, ...]:
    """Shares in percent, with as many decimals each: 12, 9 and 15, or 0.3, -0.1 and 0.7.

    >>> percents((0.003, -0.001, 0.007)), percents((0.12, -0.001, 0.15)), percents((1.4, -3.1, 5.9))
    (('0.3', '-0.1', '0.7'), ('12', '0', '15'), ('140', '-310', '590'))
    """
    percent = [100 * share for share in shares]
    largest = max((abs(p) for p in percent if math.isfinite(p)), default=0.0)
    power = math.floor(math.log10(largest)) if largest else 1
    places = min(max(-power, 0) + (power == 0), 6)
    if power >= 3:  # three digits are enough for what is many times as large
        percent = [float(f"{p:.3g}") for p in percent]
    return tuple("unknown" if math.isnan(p) else f"{round(p, places) + 0.0:,.{places}f}" for p in percent)  # + 0.0: no minus before 0


def share_of_rows(count: float, total: float) -> str:
    """A share of rows in percent, never 0 for some.

    >>> share_of_rows(7, 100), share_of_rows(1, 100_000), share_of_rows(3, 1000)
    ('7 %', 'less than 0.01 %', '0.3 %')
    """
    percent = 100 * count / total
    if percent < 0.01:
        return "less than 0.01 %"
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.1g} %"


def coverage(level: float, share: float) -> str:
    """How many rows lie at or below the predictions of a quantile."""
    return f"Its predictions cover {100 * share:.1f} % of the rows held out, where {100 * level:g} % are asked for."


def crossings(levels: Sequence[float], rows: int, total: int) -> str:
    """In how many rows the quantiles come in the wrong order."""
    named = listed(f"{level:g}" for level in levels)
    if not rows:
        return f"The quantiles {named} cross in none of {total:,} rows."
    return f"The quantiles {named} cross in {rows:,} of {total:,} rows ({share_of_rows(rows, total)}): a lower one lies above a higher one."


def rarest(name: str, label: str, rows: int) -> str:
    """A warning that few rows have a label."""
    return f"Only {rows} row{'' if rows == 1 else 's'} {'has' if rows == 1 else 'have'} {name} = {label}."
