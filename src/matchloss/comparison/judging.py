"""From raw predictions of rows that no model saw to scores of every row, standings and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.comparison import sentences
from matchloss.comparison.questions import Question, question
from matchloss.comparison.result import Answer
from matchloss.comparison.verdicts import Standing, Verdict, decide
from matchloss.tables.errors import DataError
from matchloss.tables.scores import CATALOGUE_NAMES, ERROR_RATE, Judge, Score, error_rate, mean_of_repeats, repeated
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.comparison.candidates import Candidate
    from matchloss.models.found import Found
    from matchloss.tables.prepare import Prepared
    from matchloss.tables.splits import Split

Floats = NDArray[np.float64]

RARE = 30  # rows: of a label with fewer, their number is said


@dataclass(frozen=True, eq=False)
class Fitted:
    """A candidate and its predictions of the scored rows, (repeats, rows) or (repeats, rows, K)."""

    candidate: Candidate
    found: Found
    prediction: Floats

    @property
    def unsettled(self) -> str:
        """Why its scores cannot be ranked, whatever they are; "" if they can."""
        failed = self.found.failed
        return f"it did not converge in {failed} of {plural(self.found.models, 'fit')}" if failed else ""


@dataclass(frozen=True, eq=False)
class Bench:
    """The rows that are scored, and how they were split."""

    ready: Prepared
    split: Split
    seen: dict[tuple[Judge, int], tuple[Floats, Floats]] = field(default_factory=dict, repr=False)  # predictions and scores, by their id

    @cached_property
    def observed(self) -> NDArray[Any]:
        """Their targets."""
        return self.ready.target.values[self.split.scored]

    @property
    def weight(self) -> Floats | None:
        """Their weights."""
        return None if self.ready.weight is None else self.ready.weight[self.split.scored]

    def rows(self, judge: Judge, prediction: Floats) -> Floats:
        """The score of each row in each repeat, (repeats, rows); computed once for each array of predictions."""
        key = judge, id(prediction)
        if key not in self.seen:
            self.seen[key] = prediction, repeated(judge.rows, self.observed, prediction)
        return self.seen[key][1]

    def mean(self, judge: Judge, prediction: Floats) -> Score:
        """The mean score, and how many rows are infinite in some repeat."""
        return mean_of_repeats(self.rows(judge, prediction), self.weight)

    def scores(self, fitted: Fitted, answers: Sequence[Answer]) -> dict[str, Score]:
        """The mean scores of a loss: those that judge the questions, where its predictions allow them, and how many labels are wrong."""
        loss, target = fitted.candidate.loss, self.ready.target
        made = {}
        if not target.classes or loss.functional != "mode":
            for answer in answers:
                own = answer.asked == fitted.candidate.asked
                judges = [judge for judge in answer.asked.judges(target) if own or judge.level is None]
                made |= {judge.name: self.mean(judge, fitted.prediction) for judge in judges}
        if target.classes:
            made[ERROR_RATE] = error_rate(loss, self.observed, fitted.prediction, self.weight)
        return made

    def constant(self, asked: Question) -> Floats:
        """The best constant answer of the rows that each model learned from, (repeats, rows) or (repeats, rows, K)."""
        target, weight, classes = self.ready.target.values, self.ready.weight, len(self.ready.target.classes)
        place = np.zeros(self.ready.n, np.intp)
        place[self.split.scored] = np.arange(len(self.split.scored))
        made: Floats | None = None
        for repeat, train, test in self.split.parts():
            best = asked.constant(target[train], None if weight is None else weight[train], classes)
            made = np.empty((self.split.repeats, len(place[self.split.scored]), *best.shape[1:])) if made is None else made
            made[repeat, place[test]] = best
        assert made is not None
        return made

    def standing(self, judge: Judge, fitted: Sequence[Fitted], constant: Floats) -> Standing:
        """How these losses stand by a score."""
        used = self.split.scored if self.weight is None else self.split.scored[self.weight > 0]
        kept = np.isin(self.split.scored, used)
        groups = self.split.dependent
        return decide(
            [f.candidate.name for f in fitted],
            np.stack([self.rows(judge, f.prediction)[:, kept] for f in fitted], axis=-1),
            self.rows(judge, constant)[:, kept],
            self.split.folds[:, used],
            weight=None if self.weight is None else self.weight[kept],
            groups=None if groups is None else np.unique(groups[kept], return_inverse=True)[1],
            series=self.split.how == "time",
        )


def answer_all(bench: Bench, fitted: Sequence[Fitted], score: str | None) -> tuple[Answer, ...]:
    """A verdict for each question that the losses answer. `score` decides where it is consistent; DataError if it is nowhere."""
    asked = sorted({f.candidate.asked for f in fitted if isinstance(f.candidate.asked, Question)})
    asked = asked or [question("label" if bench.ready.target.classes else "mean")]
    judges = {q: _led_by(q.judges(bench.ready.target), score) for q in asked}
    if score is not None and not any(js[0].name == _named(score) for js in judges.values()):
        known = dict.fromkeys(judge.name for js in judges.values() for judge in js)
        raise DataError(f"--score is {score}, which ranks none of these losses; scores that do: {', '.join(known)}")
    about = _quantiles(bench, fitted)
    made = []
    for i, q in enumerate(asked):
        aside = [about.get(q, ""), about[None] if i == len(asked) - 1 and None in about else ""]
        made.append(_answer(bench, q, judges[q], fitted, homeless=i == 0, aside=[text for text in aside if text]))
    return tuple(made)


def _answer(bench: Bench, q: Question, judges: Sequence[Judge], fitted: Sequence[Fitted], homeless: bool, aside: list[str]) -> Answer:
    """The verdict on one question; the first one, `homeless`, says of losses that answer nothing why they are not ranked."""
    own = [f for f in fitted if f.candidate.asked == q]
    strangers = {f.candidate.name: f.candidate.asked for f in fitted if homeless and isinstance(f.candidate.asked, str)}
    failed = {f.candidate.name: f.unsettled for f in own if f.unsettled}
    if bench.ready.exposure is not None:
        reason = "an exposure as weight is exact for poisson alone"
        failed |= {f.candidate.name: reason for f in own if f.candidate.loss.name != "poisson"}
    able = [f for f in own if f.candidate.name not in failed]
    constant = bench.constant(q)
    standings: dict[str, Standing] = {}
    infinite: dict[str, dict[str, str]] = {}
    for judge in judges:
        if able:
            standings[judge.name] = bench.standing(judge, able, constant)
            lost = [f for f in able if f.candidate.name not in standings[judge.name].means]
            infinite[judge.name] = {f.candidate.name: _infinite(bench, judge, f) for f in lost}
        else:
            level = float(np.average(bench.rows(judge, constant).mean(axis=0), weights=bench.weight))
            standings[judge.name], infinite[judge.name] = Standing({}, level, None, {}), {}
    first, *others = judges
    standing, unranked = standings[first.name], failed | infinite[first.name]
    target = bench.ready.target
    doubts = [sentences.otherwise(j.name, standings[j.name], standing.best, infinite[j.name]) for j in others]
    remarks = sentences.Remarks(
        of={f.candidate.name: said for f in own if (said := _outside(bench, f))},
        aside=(*aside, *filter(None, doubts[:1] if doubts and doubts[0] else doubts), *_rare(target.name, target.classes, target.values)),
        unit={"group": "group", "time": "time"}.get(bench.split.how, "row"),
        kinds={f.candidate.name: f.candidate.model for f in able} if len({f.candidate.model for f in own}) > 1 else {},
    )
    level = q.level if q.functional in ("quantile", "expectile") else None
    return Answer(
        q,
        Verdict(
            functional=q.functional,
            level=level,
            score=first.name,
            best=standing.best,
            as_good=tuple(standing.as_good),
            undecided={name: standing.shares(pair) for name, pair in standing.undecided.items()},
            worse={name: standing.shares(pair) for name, pair in standing.worse.items()},
            not_ranked=unranked | strangers,
            sentence=sentences.verdict(sentences.asked(q.functional, level), first.name, standing, unranked, remarks),
        ),
        standings,
    )


def _led_by(judges: tuple[Judge, ...], score: str | None) -> tuple[Judge, ...]:
    """The scores with the one that was asked for first."""
    return judges if score is None else tuple(sorted(judges, key=lambda judge: judge.name != _named(score)))


def _named(score: str) -> str:
    """A score's name in tables, for this or its catalogue name."""
    wanted = score.lower().replace(" ", "_")
    return next((name for name, own in CATALOGUE_NAMES.items() if wanted in (name.lower().replace(" ", "_"), own)), score)


def _infinite(bench: Bench, judge: Judge, fitted: Fitted) -> str:
    """Why a score is infinite."""
    infinite = np.isinf(bench.rows(judge, fitted.prediction)).any(axis=0)
    rows = int((infinite if bench.weight is None else infinite & (bench.weight > 0)).sum())
    name, where = sentences.score_name(judge.name), f"in {plural(rows, 'row')}"
    if bench.ready.target.classes:
        return f"its {name} is infinite, since it gives probability 0 to what happened {where}"
    low, high = judge.rule.domain.bounds if hasattr(judge.rule.domain, "bounds") else (0.0, 1.0)  # pyright: ignore[reportAttributeAccessIssue]
    below = bool((fitted.prediction < max(low, 0.0)).any()) and low >= 0
    what = f"predicts {bench.ready.target.name} {'outside 0 to 1' if high == 1 else 'at or below 0' if below else 'as infinite'}"
    return f"its {name} is infinite, since it {what} {where}"


def _outside(bench: Bench, fitted: Fitted) -> str:
    """That a loss predicts what the target never is, and in how many rows; "" if it does not."""
    values, name = np.asarray(bench.ready.target.values, np.float64), bench.ready.target.name
    if bench.ready.target.classes or values.min() < 0:
        return ""
    share = values.max() <= 1
    wrong = (fitted.prediction < 0) | ((fitted.prediction > 1) if share else False)
    if not wrong.any():
        return ""
    rows = sentences.share_of_rows(float(wrong.sum()), wrong.size)
    return f"predicts {name} {'outside 0 to 1' if share else 'below 0'} in {rows} of rows"


def _rare(name: str, classes: Sequence[str], values: NDArray[Any]) -> list[str]:
    """That a label is rare, with the number of its rows."""
    if not classes:
        return []
    count = np.bincount(values.astype(np.intp), minlength=len(classes))
    least = int(count.argmin())
    return [sentences.rarest(name, classes[least], int(count[least]))] if count[least] < RARE else []


def _quantiles(bench: Bench, fitted: Sequence[Fitted]) -> Mapping[Question | None, str]:
    """How many rows the quantiles cover, a sentence each, and for None in how many they cross."""
    made: dict[Question | None, str] = {}
    by_level: dict[float, Floats] = {}
    for f in fitted:
        if f.candidate.loss.name == "pinball" and isinstance(f.candidate.asked, Question):
            level = f.candidate.loss.parameters["alpha"]
            covered = np.average((bench.observed <= f.prediction).mean(axis=0), weights=bench.weight)
            made[f.candidate.asked] = sentences.coverage(level, float(covered))
            by_level[level] = f.prediction[0]
    if len(by_level) > 1:
        levels = sorted(by_level)
        ordered = np.stack([by_level[level] for level in levels])
        made[None] = sentences.crossings(levels, int((np.diff(ordered, axis=0) < 0).any(axis=0).sum()), ordered.shape[1])
    return made
