"""How often a verdict of `compare` is wrong, silent or unsteady, by simulation: tables whose law is known, judged as a person's would be.

Each table goes through the same splits, fits and decisions as in `matchloss compare`. The truth is the expected score of the models that
were fitted to all rows, over a large population with known means: every score here differs from that at the mean by a term that is the
same for all models.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import matchloss as ml
from benchmarks.tables import Line, Table
from matchloss.comparison.questions import question
from matchloss.comparison.verdicts import Standing, decide
from matchloss.linear.plan import learn_rows
from matchloss.linear.solve import raw_of
from matchloss.scoring.ranking import rank
from matchloss.tables.crossfit import cross_fit
from matchloss.tables.scores import Judge
from matchloss.tables.splits import asked_split, plan

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[dict[str, Any], Floats, Floats]]  # columns, targets and means of n rows

TABLES = 200  # of exact ties and of power, for each design; other studies take shares of it
POPULATION = 20_000
BETA = np.array([0.5, -0.4, 0.3, 0.0, 0.4])
STANDARD_ERRORS = 3.7
POWER_ROWS = 500


@dataclass(frozen=True)
class Design:
    """A law of tables, the losses that are fitted, each to its own columns if it names some, and the score that decides."""

    name: str
    draw: Draw
    losses: tuple[tuple[str, ml.Loss, tuple[str, ...]], ...]
    score: str
    n: int
    labels: bool = False
    groups: str = ""  # a column


def numbers(r: np.random.Generator, n: int, p: int = 5) -> tuple[dict[str, Any], Floats]:
    """Columns x0, x1, ..., the last of five being 0 or 1, and x @ BETA."""
    x = r.standard_normal((n, p))
    x[:, 4] = x[:, 4] > 0.3
    return {f"x{j}": x[:, j] for j in range(p)}, x[:, :5] @ BETA


def sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))


def flip(r: np.random.Generator, mu: Floats) -> Floats:
    return (r.random(len(mu)) < mu).astype(np.float64)


def label(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """A label whose logit is linear."""
    x, z = numbers(r, n)
    mu = sigmoid(2 * z - 0.8)
    return x, flip(r, mu), mu


def bent_label(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """A label that no link makes linear."""
    x, z = numbers(r, n)
    mu = 1 - np.exp(-np.exp(1.6 * z - 1 + 0.5 * x["x0"] ** 2 * (x["x0"] > 0)))
    return x, flip(r, mu), mu


def rare_label(positives: int) -> Draw:
    """About so many positives of 2,000 rows."""

    def draw(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
        while True:
            x, z = numbers(r, n)
            mu = sigmoid(2 * z + np.log(positives / 2000) - 0.9)
            y = flip(r, mu)
            if y.sum() >= 2:
                return x, y, mu

    return draw


def count(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """Counts with more spread than Poisson's, whose log mean is not linear."""
    x, z = numbers(r, n)
    mu = np.exp(z + 0.6 + 0.15 * x["x0"] * x["x1"])
    return x, r.poisson(mu * r.gamma(2, 0.5, n)).astype(np.float64), mu


def clean_count(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """Poisson counts."""
    x, z = numbers(r, n)
    mu = np.exp(z + 0.6)
    return x, r.poisson(mu).astype(np.float64), mu


def amount(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """Gamma amounts, whose log mean is not linear."""
    x, z = numbers(r, n)
    mu = np.exp(z + 1 + 0.15 * x["x0"] ** 2)
    return x, mu * r.gamma(1.5, 1 / 1.5, n) + 1e-9, mu


def lognormal(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """Amounts with a long tail."""
    x, z = numbers(r, n)
    mu = np.exp(z + 1)
    return x, mu * np.exp(0.9 * r.standard_normal(n) - 0.405), mu


def heavy(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """A number with Student's noise, more of it in some rows."""
    x, mu = numbers(r, n)
    return x, mu + r.standard_t(3, n) * (1 + 0.3 * x["x4"]), mu


def noise_columns(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """A label, and six columns of noise."""
    x, z = numbers(r, n, 11)
    mu = sigmoid(2 * z - 0.8)
    return x, flip(r, mu), mu


def two_columns(a: float, b: float) -> Draw:
    """A number made of two columns."""

    def draw(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
        x = {"x0": r.standard_normal(n), "x1": r.standard_normal(n)}
        mu = a * x["x0"] + b * x["x1"]
        return x, mu + r.standard_normal(n), mu

    return draw


def mirror(student: bool) -> Draw:
    """A number whose law is the same upside down."""

    def draw(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
        x = r.standard_normal((n, 5))
        mu = x @ BETA
        noise = r.standard_t(3, n) if student else r.standard_normal(n)
        return {f"x{j}": x[:, j] for j in range(5)}, mu + noise, mu

    return draw


def grouped(r: np.random.Generator, n: int) -> tuple[dict[str, Any], Floats, Floats]:
    """Groups of ten rows that share both columns and an effect of their own."""
    size = n // 10
    group = np.repeat(np.arange(size), 10)
    x0, x1, effect = (r.standard_normal(size)[group] for _ in range(3))
    mu = 0.5 * x0 + 0.5 * x1
    return {"x0": x0, "x1": x1, "group": group}, mu + effect + r.standard_normal(len(group)), mu


def of(*losses: ml.Loss) -> tuple[tuple[str, ml.Loss, tuple[str, ...]], ...]:
    """Losses on all columns."""
    return tuple((repr(loss), loss, ()) for loss in losses)


SHARED = tuple(f"x{j}" for j in range(5))
SQUARED = ml.SquaredError()
EITHER = (("first", SQUARED, ("x0",)), ("second", SQUARED, ("x1",)))
NOISES = (("first", ml.Logistic(), (*SHARED, "x5", "x6", "x7")), ("second", ml.Logistic(), (*SHARED, "x8", "x9", "x10")))
MIRRORED = of(ml.Expectile(0.3), ml.Expectile(0.7))
LABELS = of(ml.Logistic(), ml.Probit(), ml.SigmoidBrier())
COUNTS = of(ml.Poisson(), ml.NegativeBinomial(2.0), SQUARED)
AMOUNTS = of(ml.Gamma(), ml.Poisson(), ml.Tweedie(), SQUARED)
TIES = (
    Design("a label, either loss with noise columns of its own", noise_columns, NOISES, "log", 400, labels=True),
    Design("a number, either loss with one of two like columns", two_columns(0.5, 0.5), EITHER, "squared error", 300),
    Design("expectiles 0.3 and 0.7, normal noise", mirror(student=False), MIRRORED, "squared error", 300),
    Design("expectiles 0.3 and 0.7, Student's noise", mirror(student=True), MIRRORED, "squared error", 300),
    Design("60 groups of ten rows", grouped, EITHER, "squared error", 600, groups="group"),
)
DESIGNS = (
    Design("a label", label, LABELS, "log", 500, labels=True),
    Design("a label by the Brier score", bent_label, LABELS, "Brier", 500, labels=True),
    Design("a label that no link makes linear", bent_label, LABELS, "log", 500, labels=True),
    Design("counts with spread", count, COUNTS, "squared error", 500),
    Design("Poisson counts", clean_count, COUNTS, "squared error", 500),
    Design("amounts", amount, AMOUNTS, "squared error", 500),
    Design("amounts with a long tail", lognormal, AMOUNTS, "squared error", 500),
    Design("a number with heavy tails", heavy, of(SQUARED, ml.Huber(1.0), ml.LogCosh()), "squared error", 500),
    *(Design(f"{k} positives of 2,000", rare_label(k), of(ml.Logistic(), ml.Probit()), "log", 2000, labels=True) for k in (5, 12, 30, 100)),
)
STEADY = tuple(design for design in DESIGNS if design.name in ("a label that no link makes linear", "counts with spread", "amounts"))


@dataclass(frozen=True)
class Judged:
    """A table, how its losses stand, the scores of its rows, and what the models of all rows would score in the population."""

    standing: Standing
    scores: Floats
    folds: NDArray[np.intp]
    truth: dict[str, float]


def judged(
    design: Design, columns: dict[str, Any], y: Floats, seed: int = 0, population: tuple[dict[str, Any], Floats, Floats] | None = None
) -> Judged:
    """What `compare` would find in a table of these columns and targets."""
    table = pl.DataFrame({name: values for name, values in columns.items() if name != design.groups})
    by = pl.Series(design.groups, columns[design.groups]) if design.groups else None
    asked = asked_split(f"group:{design.groups}" if design.groups else "auto")
    classes, labels = (("0", "1"), y.astype(np.int64)) if design.labels else ((), None)
    split = plan(table, pl.Series("y", y), asked, classes=classes, labels=labels, by=by, seed=seed)
    judge = Judge(design.score)

    def scored(prediction: Floats) -> Floats:
        return np.stack([judge.rows(y, one) for one in prediction])

    scores, truth = [], {}
    for name, loss, own in design.losses:
        learned, rows = learn_rows(table.select(own or table.columns))
        found = cross_fit(loss, rows, y, split, l2=0.0 if loss.link_name == "identity" else 1e-6)
        scores.append(scored(np.asarray(loss.predict(found.raw))))
        if population is not None:
            new = learned.rows(pl.DataFrame({k: v for k, v in population[0].items() if k in learned.names}))
            prediction = np.asarray(loss.predict(raw_of(new, found.solution.intercept, found.solution.coef)))
            truth[name] = float(judge.rows(population[2], prediction).mean())
    mean, constant = question("mean"), np.empty((split.repeats, len(y)))
    for repeat, train, test in split.parts():
        constant[repeat, test] = mean.constant(y[train], None, 0)
    every = np.stack(scores, axis=-1)
    names = [name for name, _, _ in design.losses]
    standing = decide(names, every, scored(constant), split.folds, groups=split.dependent)
    return Judged(standing, every, split.folds, truth)


def share(hits: Sequence[bool]) -> float:
    return 100 * float(np.mean(hits))


def exact_ties(tables: int) -> Table:
    """Losses whose models are equally good by symmetry."""
    made = Table("Verdicts: exact ties", f"{tables} tables each: how often a loss is called worse although none is")
    for d, design in enumerate(TIES):
        r = np.random.default_rng([1, d])
        named = [bool(judged(design, *design.draw(r, design.n)[:2]).standing.worse) for _ in range(tables)]
        made.add(Line(design.name, share(named), 5.0, unit=" %", digits=1, detail=f"n = {design.n}"))
    return made


def whole_verdicts(tables: int) -> Table:
    """Losses that are nearly equal, or not: what is claimed against what is true of the models fitted on all rows."""
    made = Table(
        "Verdicts: intervals and claims",
        f"{tables} tables each: how often the intervals hold for the models fitted on all rows (92 % less two standard errors of the "
        "simulation are asked for), and how often a loss is called worse than one that is truly worse",
    )
    wrong: list[bool] = []
    for d, design in enumerate(DESIGNS):
        r = np.random.default_rng([2, d])
        population = design.draw(np.random.default_rng(99), POPULATION)
        held: list[bool] = []
        for _ in range(tables):
            found = judged(design, *design.draw(r, design.n)[:2], population=population)
            names = [name for name, _, _ in design.losses]
            for (i, j), pair in rank(found.scores, found.folds).pairs.items():
                if i < j:
                    held.append(pair.low <= found.truth[names[i]] - found.truth[names[j]] <= pair.high)
            wrong.append(any(found.truth[name] < found.truth[by] for name, by in found.standing.by.items()))
        pairs = len(list(combinations(design.losses, 2)))
        error = 100 * float(np.sqrt(0.92 * 0.08 / max(len(held) // pairs, 1)))
        made.add(Line(design.name, share(held), round(92 - 2 * error, 1), least=True, unit=" %", digits=1, detail=f"n = {design.n}"))
    made.add(Line("the truly better one is called worse", share(wrong), 1.0, unit=" %", digits=1, detail=f"{len(wrong):,} tables"))
    return made


def power(tables: int) -> Table:
    """Two losses, one of which is better by 3.7 standard errors of their difference."""
    made = Table("Verdicts: power", f"{tables} tables of {POWER_ROWS} rows: how often the worse of two losses is named")
    a, b = 0.5, _second(0.5)
    design = Design("two columns", two_columns(a, b), EITHER, "squared error", POWER_ROWS)
    r = np.random.default_rng(3)
    named = ["second" in judged(design, *design.draw(r, design.n)[:2]).standing.worse for _ in range(tables)]
    made.add(Line(f"worse by {STANDARD_ERRORS} standard errors", share(named), 90.0, least=True, unit=" %", digits=1))
    return made


def _second(a: float) -> float:
    """The weight of the second column at which the first alone is better by 3.7 standard errors: with d the difference of squared errors
    of a row, E d = a^2 - b^2 and var d = 2 a^4 + 2 b^4 + 4 (a^2 + b^2).
    """
    grid = np.linspace(0.0, a, 100_001)
    clear = (a**2 - grid**2) * np.sqrt(POWER_ROWS / (2 * a**4 + 2 * grid**4 + 4 * (a**2 + grid**2)))
    return float(grid[np.argmin(np.abs(clear - STANDARD_ERRORS))])


def steadiness(tables: int, times: int = 10) -> Table:
    """The same table under ten seeds, and with 1 % of its rows dropped ten times."""
    made = Table(
        "Verdicts: steadiness",
        f"{tables} tables of 500 rows, each judged with {times} seeds and with 1 % of its rows dropped {times} times",
    )
    changed: dict[str, list[bool]] = {"seed": [], "drop": []}
    contradictions = 0
    for t in range(tables):
        design = STEADY[t % len(STEADY)]
        r = np.random.default_rng([4, t])
        columns, y, _ = design.draw(r, design.n)
        found = {"seed": [judged(design, columns, y, seed).standing for seed in range(times)]}
        found["drop"] = found["seed"][:1]
        for _ in range(times):
            kept = np.sort(r.permutation(len(y))[len(y) // 100 :])
            found["drop"].append(judged(design, {name: values[kept] for name, values in columns.items()}, y[kept]).standing)
        beats = {(by, name) for group in found.values() for one in group for name, by in one.by.items()}
        contradictions += any((b, a) in beats for a, b in beats)
        for what, group in found.items():
            changed[what].append(len({frozenset(one.means) - frozenset(one.worse) for one in group}) > 1)
    made.add(Line("two verdicts that contradict each other", 100 * contradictions / tables, 0.0, unit=" %", digits=1))
    made.add(Line("the set that nobody beats changes by seed", share(changed["seed"]), 5.0, unit=" %", digits=1))
    made.add(Line("the set that nobody beats changes by dropping", share(changed["drop"]), 10.0, unit=" %", digits=1))
    return made


def run(tables: int | None = None) -> list[Table]:
    """All studies; `tables` of the largest, the others in proportion."""
    most = tables or TABLES
    began = time.process_time()
    made = [exact_ties(most), whole_verdicts(max(2, most * 3 // 10)), power(most), steadiness(max(2, most // 2))]
    made[-1].lines.append(replace(Line("processor time", time.process_time() - began), unit=" s", digits=0))
    return made
