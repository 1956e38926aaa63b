"""A key for each row, made of its values alone: the same in memory, in a batch of a file and in a partition, whatever the order of rows
and columns, the file's format and the types of its numbers.

From the key follows which rows are held out of many. Equal rows have equal keys, so this suits tables whose rows mostly differ; a
`Tally`, which adds up over batches, tells whether they do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Index = NDArray[np.intp]

BLOCK = 1 << 14  # rows whose intermediate numbers stay in cache
SKETCH = 1 << 12  # distinct keys that a tally remembers: their number is then known to 1.6 %
MOSTLY = 0.5  # the share of rows that must differ from all others, roughly
STRAY = 0.1  # the share held out may differ from 1/K by so much of it: one row that fills a tenth of the table takes it further
NAN = np.float32(np.nan).view(np.uint32)


def row_keys(columns: Sequence[pl.Series]) -> Keys:
    """The key of each row of these columns; equal rows have equal keys.

    Numbers and booleans count as float32, in which those of a file and of any frame are equal; a missing value, NaN and no text are one.

    >>> frame = pl.DataFrame({"a": [1, 2, 2], "b": ["x", "y", "y"]})
    >>> other = frame[::-1].select("b", pl.col("a").cast(pl.Float64))
    >>> row_keys([*frame]).tolist() == row_keys([*other])[::-1].tolist()
    True
    """
    total = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        total += value_keys(column, column.name)
    return total


def value_keys(column: pl.Series, name: str | None = None) -> Keys:
    """The key of each value of a column, another one under each name."""
    salt = np.uint64(0) if name is None else hashed(name)
    kind = column.dtype
    if kind.is_numeric() or kind == pl.Boolean:
        numbers = column.cast(pl.Float64)
        values = (numbers.fill_null(np.nan) if numbers.null_count() else numbers).to_numpy()
        made = np.empty(len(values), np.uint64)
        for start in range(0, len(values), BLOCK):
            made[start : start + BLOCK] = mixed(_bits(values[start : start + BLOCK]) ^ salt)
        return made
    if kind.is_temporal():
        return mixed(_microseconds(column).fill_null(-1).to_numpy().view(np.uint64) ^ salt)
    coded = column.to_arrow() if isinstance(kind, pl.Categorical | pl.Enum) else column.cast(pl.String).to_arrow().dictionary_encode()
    levels = np.array([hashed(level or "") for level in [*coded.dictionary.to_pylist(), None]], np.uint64)
    codes = coded.indices.cast("int64").fill_null(len(levels) - 1) if coded.null_count else coded.indices
    places: Index = np.from_dlpack(codes)  # pyright: ignore[reportAssignmentType]  # not to_numpy, which imports pandas
    return mixed(levels ^ salt)[places]


def numbered(keys: Keys) -> Keys:
    """Keys that tell equal rows apart by their running number: a discrete table has few distinct rows."""
    order = np.argsort(keys, kind="stable")
    is_new = np.concatenate([[True], keys[order][1:] != keys[order][:-1]])
    place = np.arange(len(keys))
    running = np.empty(len(keys), np.uint64)
    running[order] = place - np.maximum.accumulate(np.where(is_new, place, 0))
    return mixed(keys + mixed(running + np.uint64(1)))


def placed(keys: Keys, start: int, source: str = "") -> Keys:
    """Keys that tell equal rows apart by where they stand in a file, from `start`: where their running number is not known."""
    return mixed(keys + mixed(np.arange(start, start + len(keys), dtype=np.uint64) + hashed(source)))


def drawn(keys: Keys, seed: int, repeat: int = 0) -> Keys:
    """Random numbers of 64 bits, one for each key, seed and repeat."""
    return mixed(keys ^ hashed(f"{seed} {repeat}"))


def held_out(keys: Keys, seed: int, k: int = 5) -> NDArray[np.bool_]:
    """Which rows are held out, the last of k parts: about one in k, each by its own key alone.

    >>> int(held_out(row_keys([pl.Series("x", range(1000))]), seed=0).sum())
    202
    """
    return drawn(keys, seed) >= np.uint64((1 << 64) - (1 << 64) // k)


def as_target(column: pl.Series, is_label: bool) -> pl.Series:
    """The target as keys see it: numbers as they are, labels as the text that names their class."""
    if not is_label or column.dtype == pl.String:
        return column
    levels = column.unique()
    return column.replace_strict(levels, [None if level is None else label_text(level) for level in levels], return_dtype=pl.String)


def label_text(level: object) -> str:
    """The name of the class of a label: the same whether it is 1, 1.0 or "1".

    >>> label_text(1.0), label_text(True), label_text("a")
    ('1', 'True', 'a')
    """
    return f"{level:g}" if isinstance(level, float) else str(level)


@dataclass(frozen=True)
class Tally:
    """What batches of keys tell of a table, in any order and division: how many rows, how many are held out, and whether they differ.

    The SKETCH least of all distinct keys stand for all: the next one's size tells how many there are (Bar-Yossef et al. 2002).

    >>> keys = row_keys([pl.Series("x", range(100_000))])
    >>> whole = Tally.of(keys, held_out(keys, 0))
    >>> whole.mostly_distinct(5), whole == Tally.of(keys[:7], held_out(keys[:7], 0)).add(Tally.of(keys[7:], held_out(keys[7:], 0)))
    (True, True)
    """

    rows: int = 0
    held: int = 0
    least: tuple[int, ...] = field(default=(), repr=False)  # distinct, ascending

    @classmethod
    def of(cls, keys: Keys, held: NDArray[np.bool_]) -> Tally:
        """The tally of some rows."""
        scattered = mixed(keys ^ hashed("tally"))
        few = scattered
        if len(scattered) > 8 * SKETCH:  # most lie above a bound that surely leaves enough
            few = scattered[scattered < np.uint64(int((1 << 64) * 4 * SKETCH / len(scattered)))]
            few = few if len(np.unique(few)) >= SKETCH else scattered
        return cls(len(keys), int(held.sum()), tuple(np.unique(few)[:SKETCH].tolist()))

    def add(self, other: Tally) -> Tally:
        """The tally of both."""
        return Tally(self.rows + other.rows, self.held + other.held, tuple(sorted({*self.least, *other.least})[:SKETCH]))

    @property
    def distinct(self) -> float:
        """How many keys there are, estimated where there are many."""
        n = len(self.least)
        return float(n) if n < SKETCH else (n - 1) * (1 << 64) / self.least[-1]

    def mostly_distinct(self, k: int = 5) -> bool:
        """Whether rows may be held out by their keys: most differ, and none is so frequent that it moves the share held out."""
        return self.distinct >= MOSTLY * self.rows and abs(k * self.held / max(self.rows, 1) - 1) <= STRAY


@lru_cache(1 << 16)
def hashed(text: str) -> np.uint64:
    """64 bits that stand for a text."""
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def mixed(x: Keys) -> Keys:
    """A bijection of 64-bit numbers that looks random (the last steps of splitmix64; Steele, Lea & Flood 2014)."""
    x = x ^ (x >> np.uint64(30))
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _bits(numbers: NDArray[np.float64]) -> Keys:
    """The bits of numbers in float32, where -0 is 0 and every NaN the same."""
    with np.errstate(over="ignore"):
        bits = (numbers.astype(np.float32) + np.float32(0)).view(np.uint32)
    bits[np.isnan(numbers)] = NAN
    return bits.astype(np.uint64)


def _microseconds(column: pl.Series) -> pl.Series:
    """Times as whole numbers, whatever unit they are stored in."""
    units = {pl.Date: pl.Datetime("us"), pl.Datetime: pl.Datetime("us"), pl.Duration: pl.Duration("us")}
    unit = units.get(column.dtype.base_type())
    return (column.cast(unit) if unit else column).to_physical().cast(pl.Int64)
