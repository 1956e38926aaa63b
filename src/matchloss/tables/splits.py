"""Which models predict which rows: folds by a key of the row, so that the order of a file does not matter.

The key is a hash of the seed, the repeat, the values of the row and its running number among equal rows. Rows are sorted by it and cut
into K parts of equal size, within each label if labels are spread evenly; groups are cut likewise and stay whole. So a row that is
dropped moves few others to another fold. Of many rows that mostly differ, those are held out whose own key says so, without regard to
any other row. Along a time, each part is predicted from the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.frames import open_data
from matchloss.tables.keys import Keys, Tally, drawn, hashed, held_out, mixed, numbered, row_keys, value_keys
from matchloss.tables.read import Read, pl, require_columns
from matchloss.tables.words import plural

if TYPE_CHECKING:
    from matchloss.tables.prepare import Prepared

Index = NDArray[np.intp]
How = Literal["random", "stratified", "group", "time"]

FOLDS = 5
REPEATS = ((3_000, 5), (30_000, 3), (100_000, 1))  # up to so many rows, so many repeats; with more rows one part is held out
NEVER = -1  # the fold of a row that no model predicts
WAYS = "auto, random, stratified, group:COLUMN or time:COLUMN"


@dataclass(frozen=True)
class Asked:
    """What `--split` says: how, None where the target decides, and the column of groups or times."""

    how: How | None
    column: str | None = None


@dataclass(frozen=True, eq=False)
class Split:
    """The fold of each row in each repeat, (repeats, rows); models of fold j learn from rows of other folds (time: of earlier ones).

    Rows of fold -1 are never predicted. A single part that is held out is the last of K folds, and all other rows are of fold -1: the
    variance of a score then takes the same factor K / (K - 1) as with K folds. groups: codes of rows that depend on each other, or of
    times in their order, which are a series.
    """

    how: How
    folds: Index
    groups: Index | None = None

    @property
    def repeats(self) -> int:
        """How often all rows are cut into folds."""
        return len(self.folds)

    @property
    def held_out(self) -> bool:
        """Whether a single part is predicted, by one model."""
        return self.repeats == 1 and len(np.unique(self.folds[self.folds != NEVER])) == 1

    @property
    def scored(self) -> Index:
        """The rows that are predicted, the same ones in every repeat."""
        return np.flatnonzero(self.folds[0] != NEVER)

    @property
    def dependent(self) -> Index | None:
        """The codes of the groups, or times, of the rows that are scored, from 0 and without gaps."""
        return None if self.groups is None else np.unique(self.groups[self.scored], return_inverse=True)[1]

    def parts(self) -> Iterator[tuple[int, Index, Index]]:
        """For each model: its repeat, the rows it learns from, and those it predicts."""
        for repeat, folds in enumerate(self.folds):
            for fold in np.unique(folds[folds != NEVER]):
                train = folds < fold if self.how == "time" else folds != fold
                yield repeat, np.flatnonzero(train), np.flatnonzero(folds == fold)


def asked_split(text: str) -> Asked:
    """What `--split` asks for; DataError for anything else.

    >>> asked_split("group:patient")
    Asked(how='group', column='patient')
    """
    how, colon, column = text.partition(":")
    if text == "auto":
        return Asked(None)
    if how in ("random", "stratified") and not colon:
        return Asked(cast(How, how))
    if how in ("group", "time") and column:
        return Asked(cast(How, how), column)
    raise DataError(f"--split is {text}; it must be {WAYS}")


def opened(data: Any, target: str, split: str, source: str | None = None, encoding: str | None = None) -> tuple[Read, Asked]:
    """The table that a person passes, and what `--split` asks for; DataError for a column of groups or times that cannot serve."""
    asked = asked_split(split)
    read = open_data(data, encoding)
    if asked.column is not None:
        require_columns(read.table, [asked.column], source or read.name)
        if asked.column == target:
            raise DataError(f"{target} is the target: rows cannot be split by it")
    return read, asked


def split_of(ready: Prepared, table: pl.DataFrame, asked: Asked, folds: int | None, seed: int) -> Split:
    """The plan for what was made ready of the table."""
    target = ready.target
    return plan(
        ready.features,
        pl.Series(target.name, np.asarray(target.values)),
        asked,
        classes=target.classes,
        labels=target.values if target.classes else None,
        by=None if asked.column is None else table[asked.column][ready.rows],
        weight=ready.weight,
        folds=folds,
        seed=seed,
    )


def plan(
    table: pl.DataFrame,
    target: pl.Series,
    asked: Asked,
    *,
    classes: Sequence[str] = (),
    labels: NDArray[np.generic] | None = None,
    by: pl.Series | None = None,
    weight: NDArray[np.float64] | None = None,
    folds: int | None = None,
    seed: int = 0,
) -> Split:
    """The split of the rows of `table`, whose values and those of `target` make the keys.

    classes, labels: the names and codes of a target that is a label. by: the column of groups or times. folds: how many, where rows and
    groups are enough; 5 by default. DataError for a split that leaves nothing to learn from or to score, or a model without rows of one of
    the labels; rows of weight 0 do not count.
    """
    how = asked.how or ("stratified" if classes else "random")
    n = len(target)
    if folds is not None and folds < 2:
        raise DataError(f"--folds is {folds}; it must be 2 or more")
    if how == "stratified" and not classes:
        raise DataError("--split stratified spreads labels evenly; the target is a number, so use --split random")
    repeats = next((r for most, r in REPEATS if n <= most), 0)
    wanted = folds or FOLDS
    if how == "time":
        assert by is not None
        made = _along(by, wanted, held_out=not repeats)
    elif asked.how in (None, "random") and not repeats and (held := _by_key(table, target, classes, labels, wanted, seed)) is not None:
        made = Split("random", np.where(held, wanted - 1, NEVER)[None, :])
    else:
        codes = None
        if how == "group":
            assert by is not None
            codes, keys = _groups(by)
        else:
            keys = numbered(row_keys([*table, target]))
        strata = labels.astype(np.intp) if how == "stratified" and labels is not None else None
        cuts = [cut_evenly(keys, wanted, seed, repeat, strata) for repeat in range(max(repeats, 1))]
        dealt = np.stack([cut if codes is None else cut[codes] for cut in cuts])
        if not repeats:
            dealt = np.where(dealt == 0, int(dealt.max()), NEVER)
        made = Split(how, dealt, codes)
    if weight is not None:
        _check_weight(made, weight)
    if classes and labels is not None:
        _check_labels(made, labels.astype(np.intp), weight, target.name, classes, asked)
    return made


def describe(split: Split, asked: Asked, seed: int) -> str:
    """How scores come about, in a sentence."""
    rows = len(split.scored)
    folds = int(split.folds.max()) + 1
    if split.how == "time":
        return f"{plural(rows, 'row')} are scored, each predicted by a model of the rows that are earlier by {asked.column}."
    aside = {"random": "", "stratified": "labels spread evenly, ", "group": f"every {asked.column} whole, "}[split.how]
    if split.held_out:
        return f"Scores are of {plural(rows, 'row')} held out ({aside}seed {seed})."
    times = "" if split.repeats == 1 else f", {split.repeats} times over"
    return f"Scores are of rows that the model did not see: {folds} folds{times} ({aside}seed {seed})."


def _by_key(
    table: pl.DataFrame, target: pl.Series, classes: Sequence[str], labels: NDArray[np.generic] | None, k: int, seed: int
) -> NDArray[np.bool_] | None:
    """Which of many rows are held out, each by its own key, as from files and on a cluster; None where too many rows are equal."""
    if classes and labels is not None:
        target = pl.Series(target.name, classes)[labels.astype(np.intp)]
    keys = row_keys([*table, target])
    held = held_out(keys, seed, k)
    return held if Tally.of(keys, held).mostly_distinct(k) else None


def cut_evenly(keys: Keys, k: int, seed: int, repeat: int, strata: Index | None) -> Index:
    """The fold of each key: equal parts of the sorted keys, within each stratum, which starts at a fold of its own."""
    n = len(keys)
    k = min(k, n)
    strata = np.zeros(n, np.intp) if strata is None else strata
    order = np.lexsort((drawn(keys, seed, repeat), strata))
    size = np.bincount(strata)
    first = np.cumsum(size) - size
    place = np.arange(n) - first[strata[order]]
    starts = mixed(np.arange(len(size), dtype=np.uint64) ^ hashed(f"start {seed} {repeat}")) % np.uint64(k)
    folds = np.empty(n, np.intp)
    folds[order] = (place * k // size[strata[order]] + starts.astype(np.intp)[strata[order]]) % k
    return folds


def _groups(by: pl.Series) -> tuple[Index, Keys]:
    """The code of each row's group, and a key for each group."""
    text = by.cast(pl.String) if not by.dtype.is_numeric() else by
    levels = text.unique(maintain_order=True)
    if len(levels) < 2:
        raise DataError(f"--split group:{by.name} needs 2 groups or more: every row has {by.name} = {levels[0]}")
    codes = text.replace_strict(levels, np.arange(len(levels)), return_dtype=pl.Int64).to_numpy().astype(np.intp)
    return codes, value_keys(levels)


def _along(by: pl.Series, k: int, held_out: bool) -> Split:
    """K + 1 parts along a time, equal times together; the first part is only learned from. held_out: the last fifth alone is predicted."""
    if by.dtype == pl.String:
        try:
            by = by.str.to_datetime(strict=True)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"--split time:{by.name} needs times: {by.name} holds text that is no date, such as {by[0]!r}") from error
    if not (by.dtype.is_numeric() or by.dtype.is_temporal()):
        raise DataError(f"--split time:{by.name} needs times or numbers: {by.name} holds {by.dtype}")
    if by.null_count():
        raise DataError(f"--split time:{by.name} needs a time in every row: {plural(by.null_count(), 'row')} of {by.name} have none")
    times = by.rank("dense").to_numpy().astype(np.intp) - 1
    if not times.max():
        raise DataError(f"--split time:{by.name} needs 2 times or more: every row has {by.name} = {by[0]}")
    n = len(times)
    before = np.cumsum(np.bincount(times)) - np.bincount(times)  # rows earlier than each time
    part = (before * (k + 1) // n)[times]
    if held_out:
        start = before[np.searchsorted(before, n - n // FOLDS, side="right") - 1] or before[1]
        part = (before >= start).astype(np.intp)[times]
    parts = np.unique(part)
    folds = np.searchsorted(parts, part) - 1
    if len(parts) == 2:
        folds = np.where(folds == 0, FOLDS - 1, NEVER)
    return Split("time", folds[None, :], times)


def _check_weight(split: Split, weight: NDArray[np.float64]) -> None:
    """DataError where all rows that a model learns from, or all that are scored, have the weight 0."""
    if not weight[split.scored].any():
        raise DataError("the rows to score all have the weight 0; take another --seed or --split")
    if not all(weight[train].any() for _, train, _ in split.parts()):
        raise DataError("the rows to learn from all have the weight 0 in one of the folds; take another --seed or --split")


def _check_labels(split: Split, labels: Index, weight: NDArray[np.float64] | None, name: str, classes: Sequence[str], asked: Asked) -> None:
    """DataError where the rows that a model learns from have none of a label."""
    used = np.ones(len(labels), bool) if weight is None else weight > 0
    for _, train, _ in split.parts():
        count = np.bincount(labels[train][used[train]], minlength=len(classes))
        if count.all():
            continue
        absent = int(np.argmin(count))
        rows = int((labels[used] == absent).sum())
        if not rows:
            raise DataError(f"every row of {name} = {classes[absent]} has the weight 0: no model can learn it; leave such rows out")
        where = f"{name} = {classes[absent]} stands in {plural(rows, 'row')}"
        if split.how == "group":
            raise DataError(f"{where}, all of them in groups of {asked.column} that are held out together; try another --split")
        if split.how == "time":
            raise DataError(f"{where}, and in none that is early by {asked.column}; try another --split")
        raise DataError(f"{where}, all held out together, so that no model can learn it; leave such rows out or join two labels")
