"""From a table to a design matrix: what is learned on the training rows, applied to any rows, and said in sentences."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from matchloss.linear.matrix import Floats, Matrix
from matchloss.tables.words import plural

MAX_LEVELS = 200  # a text column with more is likelier an identifier than a category


@dataclass(frozen=True)
class Number:
    """A numeric or boolean column, standardised; where a training value was missing, an indicator column joins it."""

    name: str
    mean: float
    scale: float  # 0: constant apart from the missing, so that only the indicator remains
    missing: int  # training rows without a value
    rows: int  # training rows

    @property
    def width(self) -> int:
        """Columns of the design matrix that it fills."""
        return (self.scale > 0) + (self.missing > 0)

    def columns(self, column: pl.Series) -> list[Floats]:
        """The standardised column and, if there is one, the standardised indicator."""
        values = _floats(column)
        gone = np.isnan(values)
        made = []
        if self.scale > 0:
            made.append(np.where(gone, 0.0, (values - self.mean) / self.scale))
        if self.missing:
            share = self.missing / self.rows
            made.append((gone - share) / np.sqrt(share * (1 - share)))
        return made


@dataclass(frozen=True)
class Category:
    """A column of levels, the most frequent first: that one is the reference and has no column of its own."""

    name: str
    levels: tuple[str | None, ...]  # None: the level of missing values
    shares: tuple[float, ...]  # of the training rows

    @property
    def width(self) -> int:
        """Columns of the design matrix that it fills."""
        return len(self.levels) - 1

    def codes(self, column: pl.Series) -> np.ndarray:
        """The position of each row's level; -1 for a level that training did not have."""
        place = {level: code for code, level in enumerate(self.levels)}
        known = [level for level in self.levels if level is not None]
        text = column.cast(pl.String)
        codes = text.replace_strict(known, [place[level] for level in known], default=-1, return_dtype=pl.Int32).to_numpy().copy()
        codes[text.is_null().to_numpy()] = place.get(None, -1)
        return codes


@dataclass(frozen=True)
class Design:
    """How each column of a table enters the linear model, learned from the training rows."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    messages: tuple[str, ...]

    def apply(self, table: pl.DataFrame) -> Matrix:
        """The design matrix of `table`'s rows; a level not seen in training counts as the reference.

        >>> table = pl.DataFrame({"age": [20, 40, None], "city": ["Rome", "Oslo", "Rome"]})
        >>> learn(table).apply(table).columns  # age, whether it is missing, Oslo
        3
        """
        made = [part for number in self.numbers for part in number.columns(table[number.name])]
        parts = [sparse.csr_array(np.stack(made, axis=1))] if made else []
        center, scale = [0.0] * len(made), [1.0] * len(made)
        for category in self.categories:
            codes = category.codes(table[category.name])
            row = np.flatnonzero(codes > 0)
            ones = np.ones(len(row))
            parts.append(sparse.csr_array((ones, (row, codes[row] - 1)), shape=(table.height, category.width)))
            center += category.shares[1:]
            scale += [float(np.sqrt(share * (1 - share))) for share in category.shares[1:]]
        empty = sparse.csr_array((table.height, 0))
        values = sparse.csr_array(sparse.hstack([empty, *parts], format="csr"))
        return Matrix(values, np.array(center), np.array(scale), table.height)

    def unseen(self, table: pl.DataFrame) -> list[str]:
        """A sentence for each category of `table` with levels that training did not have."""
        counts = ((c, int((c.codes(table[c.name]) < 0).sum())) for c in self.categories)
        return [
            f"{c.name}: in {plural(n, 'held-out row')} a level not seen in training counts as {_show(c.levels[0])}." for c, n in counts if n
        ]


def learn(table: pl.DataFrame, categorical: Collection[str] = ()) -> Design:
    """Decide from the training rows in `table` how every column enters; `categorical` names numbers to be taken as levels.

    Numbers are standardised, missing ones get the mean and an indicator; text has a column for each level but the most frequent,
    missing text being a level; more than 200 levels, constants, dates and nested columns are left out. `messages` says all of it.

    >>> design = learn(pl.DataFrame({"age": [20, 40, None], "id": [7, 7, 7]}))
    >>> design.messages
    ('Numbers: age.', 'Missing numbers get the mean and an indicator column: age (1 row).', 'Left out: id (constant).')
    """
    numbers: list[Number] = []
    categories: list[Category] = []
    left_out: list[str] = []
    infinite: list[str] = []
    for column in table:
        made = _learn_column(column, column.name in categorical)
        if isinstance(made, Number):
            numbers.append(made)
            if column.dtype.is_float() and column.is_infinite().any():
                infinite.append(column.name)
        elif isinstance(made, Category):
            categories.append(made)
        else:
            left_out.append(f"{column.name} ({made})")
    gaps = [f"{n.name} ({plural(n.missing, 'row')})" for n in numbers if n.missing]
    levels = [f"{c.name} ({len(c.levels)} levels{', missing one of them' if None in c.levels else ''})" for c in categories]
    sentences = {
        "Numbers": [n.name for n in numbers],
        "Categories": levels,
        "Missing numbers get the mean and an indicator column": gaps,
        "Infinite numbers are taken as missing": infinite,
        "Left out": left_out,
    }
    messages = [f"{start}: {', '.join(names)}." for start, names in sentences.items() if names]
    if not numbers and not categories:
        messages.append("No column is left to learn from: every model is a constant.")
    return Design(tuple(numbers), tuple(categories), tuple(messages))


def _learn_column(column: pl.Series, as_levels: bool) -> Number | Category | str:
    """The plan for a column, or the reason why it is left out."""
    dtype = column.dtype
    if column.null_count() == len(column):
        return "no values"
    text = dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))
    if text or (as_levels and (dtype.is_numeric() or dtype == pl.Boolean)):
        return _learn_levels(column, limit=None if as_levels else MAX_LEVELS)
    if dtype.is_numeric() or dtype == pl.Boolean:
        return _learn_number(column)
    return f"{'dates and times are' if dtype.is_temporal() else f'{dtype} is'} not used"


def _learn_levels(column: pl.Series, limit: int | None) -> Category | str:
    counts = column.cast(pl.String).rename("level").value_counts(name="rows").sort(["rows", "level"], descending=[True, False])
    if counts.height == 1:
        return "constant"
    if limit is not None and counts.height > limit:
        return f"{counts.height:,} levels, more than {limit}"
    shares = (counts["rows"] / len(column)).to_list()
    return Category(column.name, tuple(counts["level"].to_list()), tuple(shares))


def _learn_number(column: pl.Series) -> Number | str:
    values = _floats(column)
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if not len(known):
        return "no values"
    top = float(np.abs(known).max())
    unit = top if top > 1e100 else 1.0  # squares of larger numbers could overflow
    mean, scale = float((known / unit).mean()) * unit, float((known / unit).std()) * unit
    if scale <= 1e-13 * top:  # equal up to rounding
        scale = 0.0
    if scale == 0 and not missing:
        return "constant"
    return Number(column.name, mean, scale, missing, len(values))


def _floats(column: pl.Series) -> Floats:
    """The column as float64, NaN where it is missing or infinite."""
    values = column.cast(pl.Float64).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _show(level: str | None) -> str:
    return "missing" if level is None else f'"{level}"'
