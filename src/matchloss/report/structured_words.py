"""What the page of a structured fit says in words: what was fitted, how to read a coefficient, whether the columns tell anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor
from matchloss.linear.inference.testing import chi_squared
from matchloss.report.words import count, number

if TYPE_CHECKING:
    from matchloss.fit.structured import StructuredFit
    from matchloss.linear.dense import Structured

SURE = 0.05  # a p value below which the columns tell something
RISES = "when the column rises by 1, or when a category is this level and not its reference"


@dataclass(frozen=True)
class Words:
    """What the page says of a kind of model."""

    target: str
    what: str
    lede: str
    counts: tuple[str, ...]
    reading: str
    python: str
    factor: str = ""  # what e to the power of a coefficient is called
    options: str = ""  # of `matchloss predict`


def words_of(model: Structured) -> Words:
    """The words for this model."""
    if isinstance(model, CoxRegression):
        strata = () if model.strata_ is None else (count(len(model.strata_), "stratum", "strata"),)
        return Words(
            target=model.named_["event"],
            what=f"and the time until it, {model.named_['time']}",
            lede="How fast events come, and which columns make them come sooner or later.",
            counts=(count(model.n_events_, "event"), *strata),
            reading="The hazard is the rate at which events come to those who have had none. The hazard ratio is the factor by which it "
            f"changes {RISES}: above 1, events come sooner. It is e to the power of the coefficient.",
            python="survival = model.predict_survival_function(table, times=[10, 20])",
            factor="hazard ratio",
            options=" --times 10,20",
        )
    if isinstance(model, ConditionalLogit):
        idle = (f"{model.n_idle_:,} of them say nothing, with none or all chosen",) if model.n_idle_ else ()
        return Words(
            target=model.named_["y"],
            what=f"1 for the chosen of each {model.named_['groups']}",
            lede="What makes one alternative of a set be chosen and not another.",
            counts=(count(model.n_sets_, "set"), *idle),
            reading=f"The odds ratio is the factor by which the odds of a row against another one of its set change {RISES}. "
            "It is e to the power of the coefficient.",
            python=f'chosen = model.predict(table, "{model.named_["groups"]}")',
            factor="odds ratio",
        )
    assert isinstance(model, OrderedRegressor)
    odds = " The odds ratio, e to its power, is the factor by which the odds of a higher label change, wherever the line is drawn."
    return Words(
        target=model.named_["y"],
        what=f"{count(model.classes_.size, 'label')} in an order",
        lede="A score made of the columns, and the thresholds along it at which the next label begins.",
        counts=(count(model.classes_.size, "label"),),
        reading=f"A coefficient is what the score gains {RISES}.{odds if model.link == 'logit' else ''} "
        "Thresholds, called by the labels that they lie between, stand at the end.",
        python="probabilities = model.predict_proba(table)",
        factor="odds ratio" if model.link == "logit" else "",
    )


def verdict(fit: StructuredFit) -> str:
    """Whether the columns together tell anything, by the likelihood ratio."""
    found, many = fit.inference, fit.model.coef_.size
    test = chi_squared(max(2 * (found.llf - found.llnull), 0.0), many)
    begun = "Taken together, the columns tell" if test.pvalue < SURE else "The data do not show that the columns, taken together, tell"
    said = f"χ² = {number(test.statistic, 3)} with {count(many, 'degree')} of freedom, p {p_value(test.pvalue, '= ')}"
    return f"{begun} something about {fit.model.named_.get('event') or fit.model.named_['y']} (likelihood ratio: {said})."


def p_value(p: float, equals: str = "") -> str:
    """A p value as tables show it.

    >>> p_value(0.0312), p_value(1e-9), p_value(0.2, "= ")
    ('0.031', '< 0.001', '= 0.200')
    """
    return "< 0.001" if p < 0.001 else f"{equals}{p:.3f}"
