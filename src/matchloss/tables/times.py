"""Columns that are times: dates, whole numbers such as 20130704, seconds since 1970; and their years, months, weekdays and hours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from matchloss.tables.read import pl

MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
DAY = rf"\d{{4}}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.](\d\d|\d{{4}})|\d\d?[- ]{MONTH}[-, ]+\d{{4}}|{MONTH} \d\d?,? \d{{4}}"
MONTHS = rf"\d{{4}}[- ]{MONTH}|{MONTH}[- ]\d{{4}}|\d{{4}}[- ]?Q[1-4]"
DATE = re.compile(rf"\s*({DAY}|{MONTHS})([T\s].*)?$", re.IGNORECASE)
LOOKED_AT = 1000  # texts
SECONDS = (631_152_000, 2_208_988_800)  # since 1970, from 1990 to 2040
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
DAYS = (19000101, 21001231)
YEAR_FIRST, MONTH_FIRST, DAY_FIRST = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"), ("%m/%d/%Y", "%m/%d/%y"), ("%d/%m/%Y", "%d/%m/%y")
DOTS, NAMED = ("%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%m-%d-%Y"), ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y")
CLOCKS = ("", "T%H:%M:%S", " %H:%M:%S", " %H:%M", "T%H:%M")
FORMATS = [day + clock for day in (*YEAR_FIRST, *MONTH_FIRST, *DAY_FIRST, *DOTS, *NAMED) for clock in CLOCKS]
ZONE = r"(\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)?\s*(?:Z|UTC|[+-]\d\d:?\d\d)?$"
PARTS = ("year", "month", "weekday", "hour")  # all but the year enter as levels


@dataclass(frozen=True)
class Time:
    """How the times of a column are written."""

    how: str  # "dates", "text", "days", "seconds", ... or the format of a text
    why: str  # the same for a sentence


def time_of(column: pl.Series) -> Time | None:
    """How the values of a column are times; None if they are not.

    >>> time_of(pl.Series([20130704, 20130705, None, 20131231])).why
    'days written as whole numbers, such as 20130704'
    >>> time_of(pl.Series([1_700_000_000, 1_700_003_600])).why, time_of(pl.Series([61_500, 72_250]))
    ('seconds since 1970', None)
    """
    dtype = column.dtype
    if dtype.is_temporal():
        return Time("dates", "dates and times" if dtype in (pl.Datetime, pl.Date) else str(dtype).lower())
    if dtype == pl.String:
        known = column.drop_nulls()
        some = known.gather_every(max(1, len(known) // LOOKED_AT))
        return Time("text", "dates, written as text") if len(some) and all(DATE.match(value) for value in some) else None
    return _of_numbers(column) if dtype.is_numeric() else None


def parts_of(column: pl.Series, how: str) -> tuple[dict[str, pl.Series], str]:
    """Year, month, weekday and hour of the times in a column, each under its name, and how these times are written.

    None where they cannot be read.

    >>> from datetime import date
    >>> parts, _ = parts_of(pl.Series("day", [date(2024, 1, 1), date(2025, 6, 30)]), "dates")
    >>> {name: part.to_list() for name, part in parts.items()}
    {'day year': [2024, 2025], 'day month': [1, 6], 'day weekday': [1, 1], 'day hour': [0, 0]}
    """
    if column.dtype == pl.String and "%" not in how:
        how = _format_of(column)
    times = _parsed(column, how)
    if times is None:
        return {}, how
    made = {"year": times.dt.year(), "month": times.dt.month(), "weekday": times.dt.weekday(), "hour": times.dt.hour()}
    named = {part_name(column.name, part): values for part, values in made.items()}
    return {name: values.cast(pl.Int64).alias(name) for name, values in named.items()}, how


def part_name(column: str, part: str) -> str:
    """What a part of a column's times is called."""
    return f"{column} {part}"


def sources_of(times: Mapping[str, str]) -> dict[str, str]:
    """For the name of each part, the column that it is a part of."""
    return {part_name(column, part): column for column, how in times.items() if how for part in PARTS}


def _parsed(column: pl.Series, how: str) -> pl.Series | None:
    dtype = column.dtype
    if dtype == pl.String:
        return _clock(column).str.to_datetime(how, strict=False, time_unit="us") if how else None
    if dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us"))
    if how == "days":
        return column.cast(pl.Int64).cast(pl.String).str.to_datetime("%Y%m%d", strict=False, time_unit="us")
    return (column.cast(pl.Float64) * (10**6 / UNITS[how])).cast(pl.Int64).cast(pl.Datetime("us")) if how in UNITS else None


def _format_of(column: pl.Series) -> str:
    """The first format that all texts have, "" if there is none."""
    known = _clock(column).drop_nulls()
    some = known.gather_every(max(1, len(known) // LOOKED_AT))
    for form in FORMATS:
        if all(not texts.str.to_datetime(form, strict=False, time_unit="us").null_count() for texts in (some, known)):
            return form
    return ""


def _clock(column: pl.Series) -> pl.Series:
    """The texts without fractions of seconds and time zones."""
    return column.str.strip_chars().str.replace(ZONE, "$1")


def _of_numbers(column: pl.Series) -> Time | None:
    low, high = column.min(), column.max()
    if not (isinstance(low, int | float) and isinstance(high, int | float)) or low == high:
        return None
    if low >= DAYS[0] and high <= DAYS[1] and _are_days(column):
        return Time("days", f"days written as whole numbers, such as {int(low)}")
    for unit, size in UNITS.items():
        if low >= SECONDS[0] * size and high <= SECONDS[1] * size:
            return Time(unit, f"{unit} since 1970")
    return None


def _are_days(column: pl.Series) -> bool:
    """Whether each value is a day of the calendar, year, month and day one after the other."""
    values = column.drop_nulls().drop_nans().unique() if column.dtype.is_float() else column.drop_nulls().unique()
    numbers = values.cast(pl.Float64).to_numpy()
    if not (np.floor(numbers) == numbers).all():
        return False
    return bool(values.cast(pl.Int64).cast(pl.String).str.to_date("%Y%m%d", strict=False).is_not_null().all())
