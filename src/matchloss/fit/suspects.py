"""Columns to look at before trusting a fit: ids, dates, and the target itself under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.columns import ID_ROWS, Choice, missing
from matchloss.tables.read import pl

if TYPE_CHECKING:
    from collections.abc import Collection

    from matchloss.tables.target import Target

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

SAMPLE = 20_000  # training rows that are looked at
FEW = 30  # with fewer, one column may well predict the target by chance
BINS = 200
PER_BIN = 10  # rows
TELLING = 0.99  # share of the target's variance that a single column explains


def suspicious(
    training: pl.DataFrame, choice: Choice, categorical: Collection[str], target: Target, values: NDArray[np.generic]
) -> list[str]:
    """A sentence for each column of the training rows that looks like an id, a date, or like the target; `values` are its values there."""
    said = [f"{column.name} is left out: {column.why}{_advice(column.why)}." for column in choice.left_out if column.suspect]
    said += [
        f"{name} looks like an id: every value differs, in the order of the rows; --drop {name} if it is one."
        for name in choice.kept
        if name not in categorical and _counts_rows(training[name])
    ]
    if len(values) >= FEW:
        at = np.linspace(0, len(values) - 1, min(len(values), SAMPLE)).astype(np.intp)
        few, wanted = training.select(choice.kept)[at], _wanted(values[at], len(target.classes))
        for column in few:
            share = explained(column, wanted, column.name in categorical)
            if share >= TELLING:
                how = f"by itself it explains {min(np.floor(share * 1000) / 10, 99.9):.1f} % of the target's variance"
                said.append(f"{column.name} predicts {target.name} almost perfectly: {how}; --drop it if it is not known beforehand.")
    return said


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


def _advice(why: str) -> str:
    return "" if why.startswith("looks") else "; make numbers of it, such as the month, if it matters"


def _counts_rows(column: pl.Series) -> bool:
    if not column.dtype.is_integer() or len(column) < ID_ROWS or column.null_count():
        return False
    values = column.to_numpy()
    return bool((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all())


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
