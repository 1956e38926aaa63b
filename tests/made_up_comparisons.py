"""Comparisons whose losses are real and whose scores are not, for tests of pages and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from matchloss.comparison.questions import question
from matchloss.comparison.result import Answer, Comparison, Fit, Score
from matchloss.comparison.verdicts import Standing, Verdict
from matchloss.linear.model import Model
from matchloss.linear.plan import Design
from matchloss.losses import Loss

ROWS = 50


def comparison(
    kind: Any,
    losses: Sequence[Loss],
    score_names: Sequence[str],
    target: str = "late",
    classes: Sequence[str] = (),
    frequencies: Sequence[float] = (),
    **changes: Any,
) -> Comparison:
    """A comparison of these losses: the first is the best by every score, and all others are worse."""
    scores = [{name: Score(0.1 + 0.01 * i + 0.1 * j) for j, name in enumerate(score_names)} for i in range(len(losses))]
    asked = question("label" if classes else "mean")
    fits = tuple(
        Fit(
            name=loss.name,
            kind="linear",
            loss=loss,
            note="",
            asked=asked,
            passes=20 + i,
            seconds=0.5,
            converged=True,
            objective=0.3,
            scores=own,
            raw=np.zeros((ROWS, len(classes)) if loss.family == "simplex" else ROWS),
            whole=lambda loss=loss: Model(loss, Design(()), 0.0, np.zeros(0), target, kind, tuple(classes)),
        )
        for i, (loss, own) in enumerate(zip(losses, scores, strict=True))
    )
    fields: dict[str, Any] = {
        "source": "flights",
        "rows": 5000,
        "scored": 1000,
        "how": "Scores are of 1,000 rows held out (seed 0).",
        "models": ("linear",),
        "features": 12,
        "alerts": (),
        "notes": ("89 rows had no target.",),
        "roles": (),
        "target_range": (0.0, 1.0),
        "fits": fits,
        "answers": (answer(asked, fits, score_names),),
        "observed": np.zeros(ROWS),
        "weight": None,
        "columns": None,
        "table": None,
    }
    return Comparison(
        target=target,
        kind=kind,
        classes=tuple(classes),
        frequencies=tuple(frequencies),
        score_names=tuple(score_names),
        **fields | changes,
    )


def answer(asked: Any, fits: Sequence[Fit], score_names: Sequence[str]) -> Answer:
    """The first is the best; nothing is said of the others, as if they were not ranked."""
    standings = {name: Standing({fits[0].name: fits[0].scores[name].value}, 1.0, fits[0].name, {}) for name in score_names}
    others = {fit.name: "it was made up" for fit in fits[1:]}
    said = f"For the {asked.functional}, by {score_names[0]}: {fits[0].name}."
    return Answer(asked, Verdict(asked.functional, None, score_names[0], fits[0].name, (), {}, {}, others, said), standings)
