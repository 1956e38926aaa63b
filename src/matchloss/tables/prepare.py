"""From a table to a target and its rows: what is dropped, sampled and held out, in the same way for every command."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.read import pl, require_columns
from matchloss.tables.target import As, Target, drop_missing, read_target
from matchloss.tables.words import plural

Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Prepared:
    """The rows that have a target, and which of them to learn from."""

    table: pl.DataFrame  # without the target, the dropped columns and the rows without a target
    rows: Index  # where each row stood in the file
    target: Target
    dropped: int  # rows without a target
    train: Index
    test: Index
    messages: tuple[str, ...]


def prepare(
    table: pl.DataFrame,
    target: str,
    *,
    source: str,
    drop: Collection[str] = (),
    rows: int | None = None,
    take: As | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Prepared:
    """Read the column `target` of `table` (as the kind that `take` says, or that it looks like), sample `rows` rows, hold some out.

    DataError for columns that are not there, options that make no sense, a target that nothing can be learned about.
    """
    _check(table, target, source, drop, rows, test_fraction)
    messages = [f"{source}: {plural(table.height, 'row')}, {plural(table.width, 'column')}."]
    kept, stood = drop_missing(table, target)
    missing = table.height - kept.height
    if missing:
        messages.append(f"{plural(missing, 'row')} without a value of {target} dropped: {plural(kept.height, 'row')} left.")
    rng = np.random.default_rng(seed)
    if rows is not None and rows < kept.height:
        drawn = np.sort(rng.choice(kept.height, rows, replace=False))
        kept, stood = kept[drawn], stood[drawn]
        messages.append(f"{plural(rows, 'row')} of them, drawn at random, as --rows says.")
    wanted = read_target(kept[target], stood, take)
    messages.append(wanted.message)
    train, test = _split(rng, kept.height, test_fraction)
    messages.append(f"{plural(len(train), 'row')} to learn from, {len(test):,} held out, drawn at random (seed {seed}).")
    return Prepared(kept.drop({target, *drop}), stood, wanted, missing, train, test, tuple(messages))


def frequencies(target: Target, training: NDArray[np.generic]) -> tuple[float, ...]:
    """The share of each class among the rows to learn from, none for numbers; DataError where they hold one class only."""
    if not target.classes:
        return ()
    count = np.bincount(training.astype(np.intp), minlength=len(target.classes))
    if count.max() == len(training):
        only = target.classes[int(count.argmax())]
        raise DataError(f"the rows to learn from hold one class of {target.name} only, {only}; take more rows or another --seed")
    return tuple(float(share) for share in count / len(training))


def _check(table: pl.DataFrame, target: str, source: str, drop: Iterable[str], rows: int | None, test_fraction: float) -> None:
    require_columns(table, [target, *drop], source)
    if target in drop:
        raise DataError(f"{target} is the target: it cannot be dropped")
    if not 0 < test_fraction < 1:
        raise DataError(f"--test-fraction is {test_fraction:g}; it must lie between 0 and 1")
    if rows is not None and rows < 2:
        raise DataError(f"--rows is {rows}; at least 2 are needed, one to learn from and one to hold out")


def _split(rng: np.random.Generator, rows: int, test_fraction: float) -> tuple[Index, Index]:
    held = min(max(round(rows * test_fraction), 1), rows - 1)
    order = rng.permutation(rows)
    return np.sort(order[held:]), np.sort(order[:held])
