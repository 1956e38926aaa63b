"""What every library of boosted trees is told, the same under each loss: how large trees are, and when there are enough of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads

if TYPE_CHECKING:
    from matchloss.losses import Loss

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """The size of the trees."""

    trees: int = 500  # at most; where no rows are watched, FEW of them
    learning_rate: float = 0.1
    leaves: int = 31
    depth: int = 6
    rows: int = 20  # in a leaf, or more
    patience: int = 20  # trees that may follow the best one


FEW = 50  # trees, where rows are too few to watch
NUMBERS_FOR_THREADS = 500_000


def threads_for(X: Floats) -> int:
    """How many threads such a table is worth: one for few numbers, where threads wait for each other, minutes on a busy machine."""
    return threads.count() if X.size >= NUMBERS_FOR_THREADS else 1


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to learn from, or to watch."""

    X: Floats  # (n, columns); NaN is missing
    y: NDArray[np.generic]  # numbers, or labels 0..K-1
    weight: Floats | None


@dataclass(frozen=True, eq=False)
class Training:
    """All that a library needs to grow trees."""

    loss: Loss
    rows: Rows
    watched: Rows | None  # growing stops when the mean loss of these has not fallen for some trees
    categories: tuple[int, ...]  # columns whose numbers are the places of levels
    sizes: tuple[int, ...]  # how many levels each of these has
    classes: int  # 0 for a number
    seed: int
    settings: Settings = Settings()

    @property
    def threads(self) -> int:
        """How many threads to grow on."""
        return threads_for(self.rows.X)


def start_loss(training: Training) -> float:
    """The mean loss of the rows watched before there are trees: at the best constant of the rows learned from."""
    loss, rows, watched = training.loss, training.rows, training.watched
    if watched is None:
        return math.nan
    if loss.family == "simplex":
        start = np.asarray(loss.best_constant(rows.y, rows.weight, n_classes=training.classes))  # pyright: ignore[reportCallIssue]
        return float(loss(np.tile(start, (len(watched.y), 1)), watched.y, watched.weight))
    start = float(loss.best_constant(rows.y.astype(np.float64), rows.weight))
    return float(loss(np.full(len(watched.y), start), watched.y.astype(np.float64), watched.weight))


class Forest(Protocol):
    """Trees that were grown."""

    @property
    def trees(self) -> int:
        """How many rounds there are: trees, or of K raw predictions a row K trees each."""
        ...

    def raw(self, X: Floats) -> Floats:
        """Raw predictions (n,) or (n, K)."""
        ...

    def write(self, path: Path) -> None:
        """Write them to a file of the library's own kind."""
        ...


@dataclass(frozen=True, eq=False)
class Grown:
    """Trees, and the mean loss of the rows watched after each of them, the start first; empty where none were watched."""

    forest: Forest
    watched: tuple[float, ...]


class Host(Protocol):
    """A library that grows trees."""

    title: str  # the library's own name
    ending: str  # of its files

    def version(self) -> str:
        """That of the library which is installed."""
        ...

    def grow(self, training: Training) -> Grown:
        """Trees; ValueError where the library cannot train this loss, or training stops."""
        ...

    def read(self, path: Path, loss: Loss) -> Forest:
        """The trees in a file that `Forest.write` wrote; ValueError for one that holds none."""
        ...
