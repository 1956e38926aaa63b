"""Numbers written as text: with words for missing values, decimal commas, thousands separators."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

MISSING = frozenset(["", "?", "-", "--", "---", ".", "..", "*", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "null", "none", "missing"])
OTHER_WORDS = 3  # distinct words of other kinds among numbers
OTHER_SHARE = 0.05  # of the rows
ENOUGH = 20  # numbers, before other words are taken as missing
LOOKED_AT = 200  # texts

AROUND = " \t\r\n\u00a0\u202f\u2009\ufeff\x00\x1a"  # beside a number they are nothing
SPACES = "[ \u00a0\u2009\u202f'\u2019]"
BY_SPACE = rf"^[+-]?\d{{1,3}}({SPACES}\d{{3}})+([.,]\d*)?$"
BY_COMMA = r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$"
BY_DOT = r"^[+-]?\d{1,3}(\.\d{3})+(,\d*)?$"
POINT = r"^[+-]?(\d*\.(\d{1,2}|\d{4,})|\d{4,}\.\d+|0\.\d+)$"  # a point that separates no thousands
COMMA_ONLY = r"^[+-]?(\d+,(\d{1,2}|\d{4,})|0?,\d+|\d{1,3}(\.\d{3})+,\d+|\d{4,},\d+)$"  # a comma that separates no thousands


@dataclass(frozen=True)
class Numbers:
    """The numbers that a column of text holds."""

    values: pl.Series
    words: Mapping[str, int]  # taken as missing, and in how many rows
    how: str  # "with a decimal comma", "with thousands separators", "" for neither


def numbers_in(column: pl.Series, comma: bool | None = None, words: Collection[str] | None = None) -> Numbers | None:
    """The numbers in a column of text; None where it holds other text.

    `comma` says that the file has decimal commas; None lets the column tell. A column of numbers may have words for missing values, and
    a few other words in a few rows. `words`: those that are taken as missing, beside the usual ones, however many they are; any other
    word makes the answer None.

    >>> numbers_in(pl.Series(["1,50", "?", "1.234,25"])).values.to_list()
    [1.5, None, 1234.25]
    >>> numbers_in(pl.Series(["12", "Oslo"])) is None
    True
    """
    text = column.str.strip_chars(AROUND)
    some = text.drop_nulls().unique()
    some = some.filter(~some.str.to_lowercase().is_in(list(MISSING))).head(LOOKED_AT)
    if words is None and (not len(some) or 2 * _read(some, comma).values.null_count() > len(some)):
        return None
    if some.str.contains(r"^0\d").any() and some.str.len_chars().n_unique() == 1:
        return None  # codes of one length, such as 00501
    found = _read(text, comma)
    left = text.filter(found.values.is_null() & text.is_not_null())
    counts = {row[0]: int(row[1]) for row in left.value_counts(sort=True).iter_rows()} if len(left) else {}
    known, others = len(text) - text.null_count() - len(left), [word for word in counts if word.lower() not in MISSING]
    if words is not None:
        if any(word not in words for word in others):
            return None
    elif known < 2 or (others and not _few(known, counts, others)):
        return None
    return Numbers(found.values, counts, found.how)


def not_numbers(column: pl.Series) -> list[str]:
    """The texts that keep a column from being one of numbers, where four in five of its many values are numbers; else none."""
    text = column.drop_nulls().str.strip_chars(AROUND)
    some = text.unique(maintain_order=True).head(LOOKED_AT)
    if text.n_unique() <= ENOUGH or 5 * _read(some, None).values.null_count() > len(some):
        return []
    values = text.unique(maintain_order=True)
    others = values.filter(_read(values, None).values.is_null()).to_list()
    return others if 5 * len(others) <= len(values) else []


def _few(known: int, counts: Mapping[str, int], others: Collection[str]) -> bool:
    rows = sum(counts[word] for word in others)
    words = not any(character.isdigit() for word in others for character in word)  # "7+" and "136A" say more than "unknown"
    return words and known >= ENOUGH and len(others) <= OTHER_WORDS and rows <= OTHER_SHARE * (known + rows)


def has_comma(column: pl.Series) -> bool:
    """Whether some numbers in a column of text have a comma that can only be a decimal comma, and none has a decimal point."""
    text = column.drop_nulls().str.strip_chars()
    return bool(text.str.contains(COMMA_ONLY).any()) and not bool(text.str.contains(rf"{POINT}|,\d{{3}}\.\d").any())


def _read(text: pl.Series, comma: bool | None) -> Numbers:
    """What can be read as numbers, null where nothing can."""
    plain = text.cast(pl.Float64, strict=False)
    bare = _without(text, SPACES, BY_SPACE)
    comma = has_comma(bare) if comma is None else comma
    if plain.null_count() == text.null_count() and not comma:
        return Numbers(_whole(plain), {}, "")
    if comma and bare.str.contains(POINT).any():  # this column has decimal points, whatever the rest of the file has
        return Numbers(_whole(plain), {}, "")
    cut = _without(bare, r"\." if comma else ",", BY_DOT if comma else BY_COMMA)
    values = (cut.str.replace(",", ".", literal=True) if comma else cut).cast(pl.Float64, strict=False)
    decimal = comma and bool(text.str.contains(",", literal=True).any())
    how = "with a decimal comma" if decimal else "with thousands separators" if (cut != text).any() else ""
    return Numbers(_whole(values), {}, how)


def _without(text: pl.Series, marks: str, grouped: str) -> pl.Series:
    """The texts without the marks between groups of three digits, where they have such groups."""
    return text.str.replace_all(marks, "").zip_with(text.str.contains(grouped).fill_null(False), text)


def _whole(values: pl.Series) -> pl.Series:
    """As integers where all are, so that they are read as a file's integers are."""
    known = values.drop_nulls()
    whole = len(known) and bool((known.is_finite() & (known.abs() < 2**53)).all()) and bool((known == known.floor()).all())
    return values.cast(pl.Int64) if whole else values
