"""What a comparison found: plain data, for tables, pages and tests alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.scores import Score

if TYPE_CHECKING:
    from matchloss.comparison.questions import Question
    from matchloss.comparison.verdicts import Standing, Verdict
    from matchloss.linear.model import Model
    from matchloss.losses import Loss, TargetKind
    from matchloss.models.tree_model import TreeModel
    from matchloss.tables.roles import Column
    from matchloss.tables.splits import Split

__all__ = ["Answer", "Comparison", "Fit", "Score"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fit:
    """One candidate loss, fitted: the same model by the same trainer as its rivals of the same kind."""

    name: str  # with the parameters that a person chose, "huber(delta=2)"; among several kinds of models "trees:huber(delta=2)"
    kind: str  # of model: "linear", "trees", ...
    loss: Loss
    note: str  # how a parameter was chosen, "" if there was none to choose
    asked: Question | str  # what it answers, or why it answers nothing that is judged
    passes: int  # evaluations of loss and gradient over all rows, or over all but a part that is held out; how many trees
    seconds: float
    converged: bool  # this model, and those of all folds
    objective: float  # mean training loss reached, in the loss's own units
    scores: Mapping[str, Score]  # by score name, in the order of Comparison.score_names, of rows that the model did not see
    raw: Floats  # raw predictions of the scored rows by models that did not see them, of the first repeat: (n,) or (n, K)
    whole: Callable[[], Model | TreeModel] = field(repr=False)

    @property
    def of_loss(self) -> str:
        """The name without the kind of model."""
        return self.name.removeprefix(f"{self.kind}:")

    @cached_property
    def model(self) -> Model | TreeModel:
        """The model of all rows."""
        return self.whole()

    @property
    def prediction(self) -> Floats:
        """The predictions of the scored rows by models that did not see them: (n,) in the target's units, or probabilities (n, K)."""
        return np.asarray(self.loss.predict(self.raw))

    @property
    def functional(self) -> str:
        """What the loss aims at, in a comparison's words: "mean", "label", ..., or "none of these"."""
        return "none of these" if isinstance(self.asked, str) else self.asked.functional


@dataclass(frozen=True, eq=False)
class Answer:
    """The verdict on one question, and how the losses stand by each score that is consistent for it, the one that decides first."""

    asked: Question
    verdict: Verdict
    standings: Mapping[str, Standing]

    @property
    def standing(self) -> Standing:
        """How the losses stand by the score that decides."""
        return self.standings[self.verdict.score]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every candidate on one table: verdicts, and all that they rest on.

    `columns` and `table` are frames of the kind that the person gave, pandas, polars or Arrow.
    """

    source: str  # where the data came from, as a person would say it
    target: str
    kind: TargetKind
    classes: tuple[str, ...]  # empty for numbers
    frequencies: tuple[float, ...]  # of the classes; empty for numbers
    target_range: tuple[float, float]  # 5th and 95th percentile of a numeric target; (0, 1) for labels
    rows: int  # of the model of all rows
    scored: int  # rows that are predicted by models that did not see them
    how: str  # how the scores came about, in a sentence
    models: tuple[str, ...]  # the kinds of models: "linear", "trees", ...
    features: int  # columns of the first kind of model: of a linear one those of the design matrix, the intercept apart
    alerts: tuple[str, ...]  # what a person should know first, a sentence each
    notes: tuple[str, ...]  # everything that was decided on the person's behalf, alerts first
    roles: tuple[Column, ...]  # of every column of the table
    score_names: tuple[str, ...]
    fits: tuple[Fit, ...]
    answers: tuple[Answer, ...]
    observed: NDArray[Any]  # the target of the scored rows: numbers, or labels 0..K-1
    weight: Floats | None  # of the scored rows
    columns: Any = field(repr=False)  # name, role, done
    table: Any = field(repr=False)  # a line for each loss and the constant
    split: Split | None = field(default=None, repr=False)  # of rows in memory
    places: NDArray[np.intp] | None = field(default=None, repr=False)  # where each of them stood in the table

    @property
    def folds(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """For each model the rows that it learned from and those that it predicted, as numbers of the table's rows from 0: `cv` of
        LinearRegressorCV, and of scikit-learn, takes them. ValueError for a table that was read in batches.

        >>> import matchloss as ml, polars as pl
        >>> table = pl.DataFrame({"x": [i % 7 for i in range(70)], "y": [2 * (i % 7) + i % 3 for i in range(70)]})
        >>> learned, predicted = ml.compare(table, "y", losses="squared_error", folds=2).folds[0]
        >>> len(learned), len(predicted), len(set(learned) | set(predicted))
        (35, 35, 70)
        """
        if self.split is None or self.places is None:
            raise ValueError("the rows were read in batches and have no numbers; rows=N draws N of them into memory")
        return [(self.places[train], self.places[test]) for _, train, test in self.split.parts()]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each question that the losses answer."""
        return tuple(answer.verdict for answer in self.answers)

    @property
    def of_each_loss(self) -> tuple[Fit, ...]:
        """The first fit of each loss, under the name of the loss alone: for what a loss is, whatever the model."""
        if len(self.models) == 1:
            return self.fits
        made: dict[str, Fit] = {}
        for fit in self.fits:
            made.setdefault(fit.of_loss, replace(fit, name=fit.of_loss))
        return tuple(made.values())

    def best(self, score: str) -> set[str]:
        """The losses that beat every other one by this score, for each question: with an interval that excludes 0 against each."""
        found = (answer.standings.get(score) for answer in self.answers)
        return {standing.best for standing in found if standing is not None and standing.best is not None and standing.alone}

    def save(self, path: str | Path) -> None:
        """Write the comparison to one HTML page that needs no network; the file is whole or not there. OSError if it cannot be written."""
        import importlib

        importlib.import_module("matchloss.report").write_page(Path(path), [self])

    def to_dict(self) -> dict[str, Any]:
        """All of it but rows and models, as numbers, texts, lists and dicts; what is infinite or unknown is None."""
        return {
            "source": self.source,
            "target": self.target,
            "kind": self.kind,
            "classes": list(self.classes),
            "rows": self.rows,
            "scored": self.scored,
            "how": self.how,
            "models": list(self.models),
            "notes": list(self.notes),
            "columns": [{"name": c.name, "role": c.role, "done": c.done} for c in self.roles],
            "verdicts": [_verdict(answer) for answer in self.answers],
            "losses": [_fit(fit) for fit in self.fits],
        }

    def _repr_html_(self) -> str:
        """The verdicts and the table, for notebooks."""
        from html import escape

        from matchloss.comparison.lines import results

        said = "".join(f"<p>{escape(verdict.sentence)}</p>" for verdict in self.verdicts)
        alerts = "".join(f"<li>{escape(alert)}</li>" for alert in self.alerts)
        tables = ""
        for answer in self.answers:
            head, *rows = results(self.fits, answer)
            names = "".join(f"<th>{escape(name)}</th>" for name in head)
            cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            tables += f"<table><thead><tr>{names}</tr></thead><tbody>{cells}</tbody></table>"
        return f"{f'<ul>{alerts}</ul>' if alerts else ''}{said}{tables}"


def _verdict(answer: Answer) -> dict[str, Any]:
    said, standing = answer.verdict, answer.standing
    return {
        "functional": said.functional,
        "level": said.level,
        "score": said.score,
        "best": said.best,
        "as_good": list(said.as_good),
        "undecided": {name: [known(x) for x in shares] for name, shares in said.undecided.items()},
        "worse": {name: [known(x) for x in shares] for name, shares in said.worse.items()},
        "not_ranked": dict(said.not_ranked),
        "sentence": said.sentence,
        "scores": {name: known(mean) for name, mean in standing.means.items()} | {"constant": known(standing.constant)},
    }


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "name": fit.name,
        "model": fit.kind,
        "loss": fit.loss.name,
        "parameters": fit.loss.parameters,
        "note": fit.note,
        "functional": fit.functional,
        "passes" if fit.kind == "linear" else "trees": fit.passes,
        "seconds": fit.seconds,
        "converged": fit.converged,
        "objective": known(fit.objective),
        "scores": {name: known(score.value) for name, score in fit.scores.items()},
        "infinite": {name: score.infinite for name, score in fit.scores.items() if score.infinite},
    }


def known(x: float) -> float | None:
    """The number, or None where it is infinite or unknown."""
    return float(x) if math.isfinite(x) else None
