"""Columns that give the target away: alone, one of them says what the target is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.read import pl
from matchloss.tables.roles import missing

if TYPE_CHECKING:
    from matchloss.tables.target import Target

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

SAMPLE = 20_000  # rows that are looked at
FEW = 30  # with fewer rows, one column may well predict the target by chance
RARE = 5  # with fewer rows of a class, one column may well tell them from the rest by chance
BINS = 200
PER_BIN = 10  # rows
LEAK = 0.999  # share of the target's variance that a single column explains


def leaks(features: pl.DataFrame, target: Target, categorical: frozenset[str] = frozenset()) -> dict[str, str]:
    """The columns that give the target away, and how one can tell; `categorical` names those that are taken as levels."""
    rows = len(target.values)
    if not features.width or rows < FEW or (target.classes and np.bincount(target.values.astype(np.int64)).min() < RARE):
        return {}
    at = np.linspace(0, rows - 1, min(rows, SAMPLE)).astype(np.intp)
    wanted = _wanted(target.values[at], len(target.classes))
    shares = {column.name: explained(column, wanted, column.name in categorical) for column in features[at]}
    return {name: _how(share, target) for name, share in shares.items() if share >= LEAK}


def _how(share: float, target: Target) -> str:
    if target.classes and share == 1:
        return f"alone it separates the classes of {target.name}"
    return f"alone it predicts {target.name} with R^2 = {min(np.floor(share * 10_000) / 10_000, 0.9999):.4f}"


def explained(column: pl.Series, wanted: Floats, as_levels: bool = False) -> float:
    """The share of the variance of `wanted`, (n, 1) or one column per class, that `column` explains by itself.

    Judged out of sample by the means of its levels, or of bins with equally many numbers. Numbers are also judged by a straight line in
    their values or ranks, and classes by how rarely they change along the column.
    """
    if as_levels or not column.dtype.is_numeric():
        return _by_groups(_levels(column), wanted)
    shares = [_by_groups(_bins(column), wanted)]
    known = ~missing(column).to_numpy()
    numbers, rest = column.cast(pl.Float64).to_numpy()[known], wanted[known]
    if known.mean() > 0.5 and np.ptp(numbers) > 0:
        if rest.shape[1] == 1:
            shares += [_by_line(numbers, rest[:, 0]), _by_line(_ranks(numbers), _ranks(rest[:, 0]))]
        else:
            shares.append(_by_order(numbers, rest))
    return max(shares)


def _wanted(values: NDArray[np.generic], classes: int) -> Floats:
    """The target as columns: the number, or an indicator for each class."""
    if not classes:
        numbers = np.asarray(values, dtype=np.float64)
        return (numbers / (np.abs(numbers).max() or 1.0))[:, None]  # squares must not overflow
    return (np.asarray(values, dtype=np.int64)[:, None] == np.arange(classes)).astype(np.float64)


def _levels(column: pl.Series) -> Codes:
    return column.cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)


def _bins(column: pl.Series) -> Codes:
    """The place of each number among quantiles; missing ones are a group of their own."""
    gone = missing(column).to_numpy()
    numbers = column.cast(pl.Float64).to_numpy()
    known = numbers[~gone]
    codes = np.zeros(len(numbers), np.int64)
    if known.size:
        count = int(np.clip(known.size // 2 // PER_BIN, 2, BINS))
        edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)[1:-1], method="lower"))
        codes[~gone] = 1 + np.searchsorted(edges, known, side="right")
    return codes


def _by_groups(groups: Codes, wanted: Floats) -> float:
    """Takes means over every other row and judges them on the rest, so that a column with one level per row explains nothing."""
    learn, judge = slice(0, None, 2), slice(1, None, 2)
    size = int(groups.max()) + 1
    sums = np.stack([np.bincount(groups[learn], column, size) for column in wanted[learn].T], axis=1)
    count = np.bincount(groups[learn], minlength=size)[:, None]
    overall = wanted[learn].mean(axis=0)
    means = np.where(count > 0, sums / np.maximum(count, 1), overall)
    total = float(np.square(wanted[judge] - overall).sum())
    return 1 - float(np.square(wanted[judge] - means[groups[judge]]).sum()) / total if total > 0 else 0.0


def _by_line(numbers: Floats, wanted: Floats) -> float:
    numbers = numbers / np.abs(numbers).max()
    x, y = numbers - numbers.mean(), wanted - wanted.mean()
    size = float(np.square(x).sum() * np.square(y).sum())
    return float((x * y).sum()) ** 2 / size if size > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    return pl.Series(values).rank("average").to_numpy()


def _by_order(numbers: Floats, classes: Floats) -> float:
    """1 where the class changes once for each class along the numbers, 0 where it changes as often as by chance."""
    sorted_ = classes.argmax(axis=1)[np.argsort(numbers, kind="stable")]
    changes = np.count_nonzero(sorted_[1:] != sorted_[:-1]) - (classes.shape[1] - 1)
    by_chance = (len(sorted_) - 1) * (1 - float(np.square(classes.mean(axis=0)).sum()))
    return 1 - max(changes, 0) / by_chance if by_chance > 0 else 0.0
