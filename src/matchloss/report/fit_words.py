"""What the page of fits says in words: the verdict, how far each score is from the best constant's, how to read a coefficient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matchloss.report.words import column_digits, count, kind, parameters, percent, score_name, score_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matchloss.fit.result import FitResult
    from matchloss.tables.scores import Score

# The meaning of e to the power of a coefficient, by link.
FACTORS = {
    "logit": "e to the power of a coefficient is the factor by which the odds change.",
    "log": "e to the power of a coefficient is the factor by which the prediction changes.",
}


WORTH = (
    "The mean loss of rows that a model did not see rises by this much when the values of a column are shuffled among them: what the trees "
    "would lose without it. Columns that say the same share their worth, and each of them may look small."
)


def example(fits: Sequence[FitResult]) -> list[str]:
    """Python that predicts with a model of the page."""
    module = "matchloss.linear.model" if all(fit.linear for fit in fits) else "matchloss.models.saved"
    return [f"from {module} import read_model", "", 'model = read_model("model.json")', "predictions, unseen = model.predict(table)"]


def title(fit: FitResult) -> str:
    """The loss and its parameters."""
    given = parameters(fit.model.loss)
    return f"{fit.model.loss.title} ({given})" if given else fit.model.loss.title


def what(fit: FitResult) -> str:
    """What the target is."""
    return kind(fit.kind, len(fit.model.classes))


def facts(fit: FitResult) -> list[str]:
    """The line below a fit's name."""
    said = [fit.source, f"{count(fit.rows - fit.dropped, 'row')} to learn from"]
    if fit.dropped:
        said.append(f"{fit.dropped:,} of {count(fit.rows, 'row')} left out")
    steps = count(fit.passes, "pass", "passes") if fit.linear else count(fit.passes, "tree")
    return [*said, f"{steps} in {seconds(fit.seconds)}"]


def seconds(spent: float) -> str:
    """A duration, with the digits that it deserves."""
    return f"{spent:.3f} seconds" if spent < 0.1 else f"{spent:,.2f} seconds" if spent < 100 else f"{spent:,.0f} seconds"


def improvement(score: Score | None, constant: Score | None) -> float | None:
    """By which share of the best constant's score the model's is lower; None where that means nothing."""
    if score is None or constant is None or not (math.isfinite(score.value) and math.isfinite(constant.value)) or constant.value <= 0:
        return None
    return 1 - score.value / constant.value


def improvement_text(share: float | None) -> str:
    """An improvement in percent, a minus where there is none."""
    if share is None:
        return "–"
    return percent(share) if share > 0 else "0.0 %" if share == 0 else f"−{percent(-share)}"


def verdict(fit: FitResult) -> str:
    """The first score in a sentence."""
    if not fit.scored or not fit.scores:
        return "No rows were held out: how it does on rows that it has not seen is not known."
    name, score = next(iter(fit.scores.items()))
    constant = fit.constant.get(name)
    shown = score_text(score, column_digits([score, constant]))
    begun = f"On rows that the model did not see, its {score_name(name)} is {shown}"
    better = improvement(score, constant)
    if better is None:
        return f"{begun}."
    if abs(better) < 0.0005:
        return f"{begun}, no better than that of the best constant."
    return f"{begun}, {percent(abs(better))} {'below' if better > 0 else 'above'} that of the best constant."


def sides(fit: FitResult) -> tuple[str, str]:
    """Where a bar to the left points, and one to the right."""
    if any(effect.toward for effect in fit.effects):
        return "away", "toward"
    if fit.kind == "binary" and len(fit.model.classes) == 2:
        return fit.model.classes[0], fit.model.classes[1]
    return "lower", "higher"


def how_to_read(fit: FitResult) -> list[str]:
    """What a coefficient and its effect are."""
    said = [
        "Coefficient: what the raw output gains when the column rises by 1, or when a category is this level and not its reference. "
        "Effect: its size times the standard deviation of the column, so that columns of different units compare."
    ]
    if any(effect.share < 1 for effect in fit.effects):
        said.append("The share of rows is that of the rows in which the column is not 0.")
    if any(effect.toward for effect in fit.effects):
        said.append(
            "Each class has a raw output of its own; where only their differences count, coefficients are measured from their mean."
        )
    elif fit.model.loss.link_name in FACTORS:
        said.append(FACTORS[fit.model.loss.link_name])
    elif fit.model.loss.link_name == "identity":
        said.append("Raw outputs are predictions here, so coefficients are in units of the target.")
    return said


def ending(fit: FitResult) -> tuple[str, str]:
    """Whether the solver converged, and what that means."""
    if fit.converged:
        return "yes", "the gradient is as small as asked for"
    return "no", "the coefficients may still be far from where they belong"


def how_to_trust(fit: FitResult) -> str:
    """How to read a reliability diagram, or why there is none."""
    if not fit.reliability:
        return f"{fit.model.loss.title} elicits no mean, quantile or expectile that reliability could show." if fit.scored else ""
    above = "the class is more frequent" if fit.model.classes else "what came is greater"
    level = f"{100 * fit.reliability[0].confidence:g} %"
    return (
        "Rows that the model did not see, without bins: the line is what was observed among rows of the same prediction. On the dashed "
        f"diagonal the two agree; above it, {above} than predicted. A calibrated model’s line lies in the shaded band with a probability "
        f"of {level} at each prediction. The blocks at the foot show how often each prediction was made."
    )
