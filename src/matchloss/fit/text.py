"""A fit, and a model, as text: at most 80 columns, in ASCII so that any terminal shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from matchloss.models.tree_model import TreeModel
from matchloss.tables.design import levels_of
from matchloss.tables.scores import Score
from matchloss.tables.words import listed, plural, score_text
from matchloss.terminal import alert, blocks, facts, plain, ruled, sentence, width

if TYPE_CHECKING:
    from matchloss.fit.result import FitResult
    from matchloss.linear.model import Model
    from matchloss.losses import Loss

MOST = 10  # coefficients of a fit
MOST_SHOWN = 20  # coefficients of a model
MOST_CLASSES = 4  # a column each
NAME = 38  # columns for a name; longer ones go on below
SAID = {
    "source": "data",
    "missing": "missing values",
    "scored": "rows scored",
    "split": "scores",
}


def fit_text(found: FitResult) -> Group:
    """What was decided, how the solver ended, the held-out scores beside a constant's, the largest effects, and what to look at."""
    parts: list[RenderableType] = [Text(), Text(plain(f"{found.model.target} in {found.source}"), style="bold")]
    parts += [alert(said) for said in found.alerts]
    parts += [sentence(plain(message)) for message in found.messages]
    parts += [Text(), facts(_how(found)), Text(), scores_table(found.scores, found.constant)]
    parts += [sentence("by rows that no model saw: lower is better; the constant is the best one for the rows learned from", "dim")]
    if found.effects:
        parts += [Text(), _effects(found), *(sentence(plain(line), "dim") for line in _legend(found))]
    if found.summary is not None:
        parts += [Text(), Text("\n".join(map(plain, str(found.summary).splitlines())))]
    if found.importance:
        parts += [Text(), _importance(found), *(sentence(plain(line), "dim") for line in _worth(found))]
    if found.warnings:
        parts += [Text(), Text("To look at", style="bold"), *(sentence(plain(f"! {warning}")) for warning in found.warnings)]
    return Group(*parts)


def model_text(model: Model | TreeModel, source: str) -> Group:
    """The card of a model: what it predicts, from which columns, how it came about, how it did, and a linear one's coefficients."""
    about = dict(model.about)
    scores, known = about.pop("scores", None), about.pop("inference", None)
    errors = known.get("standard errors", {}) if isinstance(known, dict) else {}
    parts: list[RenderableType] = [Text(plain(f"{model.target}, by {source}"), style="bold"), facts(_what(model) | _about(about))]
    if isinstance(scores, dict):
        pairs = {name: both for name, both in scores.items() if isinstance(both, dict)}
        held, constant = ({name: _score(both.get(whose)) for name, both in pairs.items()} for whose in ("model", "constant"))
        parts += [Text(), scores_table(held, constant), sentence("by rows that no model saw: lower is better", "dim")]
    return Group(*parts, *([] if isinstance(model, TreeModel) else [Text(), *_coefficients(model, errors)]))


def fits_table(found: Sequence[FitResult]) -> Table:
    """Several fits, a line each: the first held-out score beside the best constant's."""
    table = ruled("target", "loss", "passes", "seconds", "held-out score", "model", "constant")
    table.columns[0].no_wrap, table.columns[0].overflow, table.columns[1].no_wrap = False, "fold", True
    for column in table.columns[2:4] + table.columns[5:]:
        column.justify = "right"
    for fit in found:
        name, score = next(iter(fit.scores.items()))
        cells = (
            f"{fit.passes}{'' if fit.linear else ' trees'}{'' if fit.converged else '+'}",
            f"{fit.seconds:.2f}",
            name,
            *(score_text(name, s) for s in (score, fit.constant[name])),
        )
        table.add_row(plain(fit.model.target), fit.model.loss.name, *cells)
    return table


def scores_table(scores: dict[str, Score], constant: dict[str, Score]) -> Text:
    """Held-out scores of the model and of the best constant, and by how much the first is lower."""
    lines = [("score", "model", "constant", "gain")]
    for name, score in scores.items():
        beside = constant[name]
        lines.append((_folding(name), score_text(name, score), score_text(name, beside), _gain(score, beside)))
    return blocks(lines, width())


def _gain(score: Score, constant: Score) -> str:
    """By how much of the constant's score the model's is lower, where that means something."""
    fair = math.isfinite(score.value) and math.isfinite(constant.value) and constant.value > 0
    return f"{100 * (1 - score.value / constant.value):.1f} %" if fair else "-"


def _coefficients(model: Model, errors: dict[str, Any]) -> list[RenderableType]:
    """The first of them, in the table's order; of many classes none, since no line could hold them."""
    columns = model.coef if model.coef.ndim == 2 else model.coef[:, None]
    if columns.shape[1] > MOST_CLASSES:
        return [sentence(f"a coefficient for each of {len(model.classes)} classes: {model.coef.size:,}, all of them in the file", "dim")]
    names = model.design.names
    lines = [("coefficient", *(map(_folding, model.classes) if model.coef.ndim == 2 else ["value"]))]
    lines += [("intercept", *map(_number, np.atleast_1d(model.intercept)))]
    lines += [(_folding(name), *map(_number, row)) for name, row in list(zip(names, columns, strict=True))[:MOST_SHOWN]]
    if errors and model.coef.ndim == 1:
        known = [errors.get(name) for name in ("intercept", *names[:MOST_SHOWN])]
        lines = [(*lines[0], "std err"), *((*line, "-" if e is None else f"{e:.4g}") for line, e in zip(lines[1:], known, strict=True))]
    table = blocks(lines, width())
    rest = len(names) - MOST_SHOWN
    return [table, *([sentence(f"and {rest:,} more, all of them in the file", "dim")] if rest > 0 else [])]


def _how(found: FitResult) -> dict[str, str]:
    dropped = f", {found.dropped:,} dropped" if found.dropped else ""
    ended = "converged" if found.converged else "not converged"
    said = {"loss": found.why, "rows": f"{found.rows - found.dropped:,} to learn from{dropped}"}
    if not found.linear:
        kept = f", the least loss of the rows watched {min(found.watched):.6g}" if found.watched else ""
        objective = f"{found.objective:.6g}, the mean loss of all rows{kept}"
        return said | {"method": f"{found.method}: {plural(found.passes, 'tree')} in {found.seconds:.2f} seconds", "objective": objective}
    return said | {
        "method": f"{found.method}: {found.passes:,} pass{'' if found.passes == 1 else 'es'} in {found.seconds:.2f} seconds",
        "objective": f"{found.objective:.6g}, largest entry of its gradient {found.gradient_norm:.1e} ({ended})",
    }


def _effects(found: FitResult) -> Text:
    toward = any(effect.toward for effect in found.effects)
    lines: list[tuple[str, ...]] = [("coefficient", "value", "effect", "rows", *(["toward"] if toward else []))]
    for effect in found.effects[:MOST]:
        cells = [_number(effect.coef), f"{effect.effect:.3g}", f"{effect.share:.1%}"]
        lines.append((_folding(effect.name), *cells, *([_folding(effect.toward)] if toward else [])))
    return blocks(lines, width())


def _importance(found: FitResult) -> Text:
    rises = ((_folding(one.name), f"{one.rise:.3g}") for one in found.importance[:MOST])
    return blocks([("column", "loss rises by"), *rises], width())


def _worth(found: FitResult) -> list[str]:
    rest = len(found.importance) - MOST
    more = [f"the {MOST} that matter most, {rest:,} more are in the model"] if rest > 0 else []
    return [*more, "loss rises by: when the column's values are shuffled among the rows that a model did not see"]


def _legend(found: FitResult) -> list[str]:
    rest = len(found.effects) - MOST
    lines = [f"the {MOST} of the largest effect, {rest:,} more are in the model" if rest > 0 else "by size of effect"]
    lines.append("effect: |value| times the column's standard deviation; rows: those in which the column is not 0")
    if found.kind == "binary" and not found.effects[0].toward:
        lines.append(f"a positive value speaks for {found.model.classes[1]}, a negative one for {found.model.classes[0]}")
    return lines


def _what(model: Model | TreeModel) -> dict[str, str]:
    from matchloss.linear.plan import Category

    trees = isinstance(model, TreeModel)
    categories = [
        f"{c.name} ({plural(sum(level is not None for level in c.levels), 'level') if trees else levels_of(c)})"
        for c in model.design.columns
        if isinstance(c, Category)
    ]
    numbers = [c.name for c in model.design.columns if not isinstance(c, Category)]
    return {
        "loss": _loss(model.loss),
        "target": {"number": "a number", "count": "a count"}.get(model.kind) or f"a label: {listed(model.classes)}",
        "numbers": listed(numbers),
        "categories": listed(categories),
        "formula": "" if trees or model.formula is None else model.formula.text,
        "offset": "" if trees else model.offset or "",
        "coefficients": ""
        if isinstance(model, TreeModel)
        else f"{model.coef.size:,}, and {'an intercept' if model.coef.ndim == 1 else plural(len(model.classes), 'intercept')}",
    }


def _loss(loss: Loss) -> str:
    parameters = ", ".join(f"{name} = {value:g}" for name, value in loss.parameters.items())
    return f"{loss.name}, with {parameters}" if parameters else loss.name


def _about(about: dict[str, Any]) -> dict[str, str]:
    return {
        SAID.get(name, plain(name).replace("_", " ")): _fact(x) for name, x in about.items() if x is not None and not isinstance(x, dict)
    }


def _fact(fact: Any) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return f"{fact:,}" if isinstance(fact, int) else f"{fact:.6g}" if isinstance(fact, float) else str(fact)


def _score(value: Any) -> Score:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return Score(float(value)) if known else Score(math.inf)


def _folding(name: str) -> str:
    """The name, with spaces where it must go on below because no line could hold it."""
    most = min(NAME, width() // 2)
    return " ".join(word[i : i + most] for word in plain(name).split(" ") for i in range(0, max(len(word), 1), most))


def _number(value: Any) -> str:
    return f"{float(np.asarray(value)):.5g}"
