"""Boosted trees of a table, one model under each loss: the same trees, which stop by the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.plan import Category
from matchloss.models.columns import categories_of, describe, describe_gaps, features_of
from matchloss.models.found import CannotTrain, Found, Tell
from matchloss.models.hosts import host_of
from matchloss.models.training import FEW, Grown, Rows, Settings, Training
from matchloss.models.tree_model import TreeModel
from matchloss.tables.design import learn
from matchloss.tables.stopping import watched_rows

if TYPE_CHECKING:
    from matchloss.linear.plan import Design
    from matchloss.losses import Loss
    from matchloss.models.training import Host
    from matchloss.tables.prepare import Prepared
    from matchloss.tables.splits import Split

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fold:
    """A model of one part of a split: its repeat, the rows that it did not see, and its trees."""

    repeat: int
    test: Index
    grown: Grown


@dataclass(frozen=True, eq=False)
class Grove:
    """Trees under one loss: a model for each part of a split, and the raw predictions of the rows that these did not see."""

    raw: Floats
    folds: tuple[Fold, ...]
    seconds: float  # of the last of them
    whole: Callable[[], tuple[Grown, float]]  # the trees of all rows, and the seconds that they took


@dataclass(frozen=True, eq=False)
class TreeModels:
    """The columns of a table as trees take them, which all losses share."""

    kind: str
    ready: Prepared
    split: Split
    seed: int
    design: Design
    X: Floats
    host: Host
    settings: Settings = field(default=Settings())

    @classmethod
    def of(cls, kind: str, ready: Prepared, split: Split, seed: int) -> TreeModels:
        """Those of a table that is ready; ImportError where the library is not installed."""
        host = host_of(kind)
        design = learn(ready)[0]
        X = features_of(design, ready.features)[0] if design.columns else np.zeros((ready.n, 1))
        return cls(kind, ready, split, seed, design, X, host)

    @property
    def columns(self) -> int:
        """How many columns enter."""
        return len(self.design.columns)

    def notes(self, alone: bool = True) -> list[str]:
        """How the table's columns enter and how the trees are grown, a sentence each; beside other kinds of models only the latter."""
        s, tenth = self.settings, f"{'the latest' if self.split.how == 'time' else 'a'} tenth of its rows, the same ones under every loss"
        grown = (
            f"Trees of {self.called}: at most {s.trees} of depth {s.depth} with {s.leaves} leaves of {s.rows} rows or more, learning rate "
            f"{s.learning_rate:g}; each model watches its loss on {tenth}, and keeps the trees up to the least."
        )
        if not self._watched(np.arange(self.ready.n)).any():
            grown = f"Trees of {self.called}: {FEW} of depth {s.depth}, since rows are too few to watch the loss on some of them."
        own = [*describe_gaps(self.design, self.ready), grown]
        return [*describe(self.design, self.ready), *own] if alone else own

    @property
    def called(self) -> str:
        """The library with its version."""
        return f"{self.host.title} {self.host.version()}"

    @cached_property
    def _watched(self) -> Callable[[Index], NDArray[np.bool_]]:
        return watched_rows(self.ready, self.split, self.seed)

    def found(self, loss: Loss, tell: Tell) -> Found:
        """The models under this loss."""
        grove = self.grove(loss, tell)
        grown, seconds = (grove.folds[-1].grown, grove.seconds) if self.split.held_out else grove.whole()
        models = len(grove.folds) + (not self.split.held_out)
        objective = self.objective(loss, grown)
        return Found(grove.raw, grown.forest.trees, seconds, objective, models, 0, lambda: self.model(loss, grove.whole()[0]))

    def grove(self, loss: Loss, tell: Tell) -> Grove:
        """A model for each part of the split, and one of all rows where it is asked for."""
        split, called = self.split, f"{self.kind}:{loss.name}"
        scored = split.scored
        place = np.zeros(self.ready.n, np.intp)
        place[scored] = np.arange(len(scored))
        raw: Floats | None = None
        folds: list[Fold] = []
        seconds = 0.0
        for repeat, train, test in split.parts():
            tell(f"{called}: fold {len(folds) + 1}")
            began = time.perf_counter()
            grown = self._grow(loss, train)
            seconds = time.perf_counter() - began
            made = grown.forest.raw(self.X[test])
            raw = np.empty((split.repeats, len(scored), *made.shape[1:])) if raw is None else raw
            raw[repeat, place[test]] = made
            folds.append(Fold(repeat, test, grown))

        @cache
        def whole() -> tuple[Grown, float]:
            tell(f"{called}: all rows")
            began = time.perf_counter()
            return self._grow(loss, np.arange(self.ready.n)), time.perf_counter() - began

        assert raw is not None
        return Grove(raw, tuple(folds), seconds, whole)

    def objective(self, loss: Loss, grown: Grown) -> float:
        """The mean loss of all rows."""
        target = self.ready.target.values.astype(np.int64 if loss.family == "simplex" else np.float64)
        return float(loss(grown.forest.raw(self.X), target, self.ready.weight))

    def model(self, loss: Loss, grown: Grown) -> TreeModel:
        """These trees as a model for a file."""
        wanted = self.ready.target
        about = {"library": self.host.title, "version of it": self.host.version(), "trees": grown.forest.trees}
        return TreeModel(self.kind, grown.forest, loss, self.design, wanted.name, wanted.kind, wanted.classes, about, self.ready.readings)

    def _grow(self, loss: Loss, train: Index) -> Grown:
        """Trees that learn from these rows; CannotTrain where the library refuses the loss, or stops."""
        aside = self._watched(train)
        counts = np.ones(len(train), bool) if self.ready.weight is None else self.ready.weight[train] > 0
        training = Training(
            loss=loss,
            rows=self._rows(train[~aside & counts]),
            watched=self._rows(train[aside & counts]) if aside.any() else None,
            categories=categories_of(self.design),
            sizes=tuple(len(c.levels) for c in self.design.columns if isinstance(c, Category)),
            classes=len(self.ready.target.classes),
            seed=self.seed,
            settings=self.settings,
        )
        try:
            return self.host.grow(training)
        except (ValueError, NotImplementedError) as error:
            raise CannotTrain(f"{self.host.title} cannot train it: {str(error).rstrip('.')}") from error

    def _rows(self, rows: Index) -> Rows:
        target, weight = self.ready.target, self.ready.weight
        values = target.values[rows].astype(np.int64 if target.classes else np.float64)
        return Rows(self.X[rows], values, None if weight is None else weight[rows])
