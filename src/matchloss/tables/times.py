"""Columns that are times: dates, whole numbers such as 20130704, seconds since 1970."""

from __future__ import annotations

import re

import numpy as np

from matchloss.tables.read import pl

MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
DAY = rf"\d{{4}}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.](\d\d|\d{{4}})|\d\d?[- ]{MONTH}[-, ]+\d{{4}}|{MONTH} \d\d?,? \d{{4}}"
DATE = re.compile(rf"\s*({DAY})([T\s].*)?$", re.IGNORECASE)
LOOKED_AT = 1000  # texts
SECONDS = (631_152_000, 2_208_988_800)  # since 1970, from 1990 to 2040
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
DAYS = (19000101, 21001231)


def time_of(column: pl.Series) -> str:
    """What kind of time the values of a column are, "" for none.

    >>> time_of(pl.Series([20130704, 20130705, None, 20131231]))
    'days written as whole numbers, such as 20130704'
    >>> time_of(pl.Series([1_700_000_000, 1_700_003_600])), time_of(pl.Series([61_500, 72_250]))
    ('seconds since 1970', '')
    """
    dtype = column.dtype
    if dtype.is_temporal():
        return "dates and times" if dtype in (pl.Datetime, pl.Date) else str(dtype).lower()
    if dtype == pl.String:
        known = column.drop_nulls()
        some = known.gather_every(max(1, len(known) // LOOKED_AT))
        return "dates, written as text" if len(some) and all(DATE.match(value) for value in some) else ""
    return _of_numbers(column) if dtype.is_numeric() else ""


def _of_numbers(column: pl.Series) -> str:
    low, high = column.min(), column.max()
    if not (isinstance(low, int | float) and isinstance(high, int | float)) or low == high:
        return ""
    if low >= DAYS[0] and high <= DAYS[1] and _are_days(column):
        return f"days written as whole numbers, such as {int(low)}"
    for unit, size in UNITS.items():
        if low >= SECONDS[0] * size and high <= SECONDS[1] * size:
            return f"{unit} since 1970"
    return ""


def _are_days(column: pl.Series) -> bool:
    """Whether each value is a day of the calendar, year, month and day one after the other."""
    values = column.drop_nulls().drop_nans().unique() if column.dtype.is_float() else column.drop_nulls().unique()
    numbers = values.cast(pl.Float64).to_numpy()
    if not (np.floor(numbers) == numbers).all():
        return False
    return bool(values.cast(pl.Int64).cast(pl.String).str.to_date("%Y%m%d", strict=False).is_not_null().all())
