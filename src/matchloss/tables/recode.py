"""From the columns of a table as they are written to those that a model knows: numbers out of text, parts out of times.

What is decided on the rows of a training table is kept in the model's `readings`, and done again to every table that it predicts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from matchloss.linear.model import Reading
from matchloss.tables.errors import DataError
from matchloss.tables.numbers import Numbers, not_numbers, numbers_in
from matchloss.tables.read import pl
from matchloss.tables.times import UNITS, parts_of
from matchloss.tables.words import listed, plain, plural

LABELS = 20  # a target of text with so few different numbers, and no word for a missing one, is a label


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A table whose numbers are numbers, and what was taken for one."""

    table: pl.DataFrame
    words: Mapping[str, Mapping[str, int]]  # by column: what counts as missing, in how many rows
    nearly: Mapping[str, list[str]]  # by column of text: the few values that are no numbers
    said: tuple[str, ...]

    @property
    def alerts(self) -> list[str]:
        """A sentence for each column with words among its numbers."""
        nearly = [
            f"{name} is taken as text, though most of its values are numbers: not {listed(map(_quoted, others[:6]))}. "
            f"Change these in the table, or leave it out: --drop {name} [words]"
            for name, others in self.nearly.items()
        ]
        return [_alert(name, words) for name, words in self.words.items()] + nearly


def clean(table: pl.DataFrame, target: str, untouched: Collection[str], comma: bool | None) -> Cleaned:
    """Reads numbers that are written as text, but for the columns that are to stay as they are."""
    found: dict[str, Numbers] = {}
    nearly: dict[str, list[str]] = {}
    for column in table.select(pl.col(pl.String)):
        if column.name in untouched:
            continue
        numbers = numbers_in(column, comma)
        if numbers is None and column.name != target and (others := not_numbers(column)):
            nearly[column.name] = others
        if numbers is not None and not (column.name == target and _is_label(numbers)):
            found[column.name] = numbers
    said = []
    for how in ("", "with a decimal comma", "with thousands separators"):
        names = [name for name, numbers in found.items() if numbers.how == how and (how or not numbers.words) and not (comma and not how)]
        if names:
            said.append(f"Numbers written {how or 'as text'}: {listed(names)}.")
    made = table.with_columns([numbers.values.alias(name) for name, numbers in found.items()])
    return Cleaned(made, {name: numbers.words for name, numbers in found.items() if numbers.words}, nearly, tuple(said))


def as_learned(
    table: pl.DataFrame,
    source: str,
    numbers: Collection[str],
    readings: Mapping[str, Reading],
    comma: bool | None = None,
    before: int = 0,
) -> pl.DataFrame:
    """The table as the model knows it: `numbers` names its columns of numbers; `before` rows of the file `source` came earlier.

    DataError for text where the model was trained on numbers.
    """
    for name, reading in readings.items():
        if reading.time and name in table.columns:
            column = table[name]
            if column.dtype == pl.String and (reading.time in UNITS or reading.time == "days"):
                column = _numbers(column, source, (), comma, before)
            parts, _ = parts_of(column, reading.time)
            if not parts:
                raise DataError(f'{source}: {name} is "{column[0]}" in row {before + 1}; the model was trained on times there')
            table = table.with_columns(list(parts.values()))
    for name in numbers:
        if name in table.columns and table[name].dtype == pl.String:
            words = readings[name].words if name in readings else ()
            table = table.with_columns(_numbers(table[name], source, words, comma, before))
    return table


def _numbers(column: pl.Series, source: str, words: Collection[str], comma: bool | None, before: int) -> pl.Series:
    found = numbers_in(column, comma, words)
    if found is not None:
        return found.values.alias(column.name)
    wrong = (row for row, text in enumerate(column) if text is not None and numbers_in(pl.Series([text]), comma, words) is None)
    at = next(wrong, 0)
    raise DataError(
        f'{source}: {column.name} is "{plain(str(column[at])[:60])}" in row {before + at + 1}; the model was trained on numbers there'
    )


def _is_label(numbers: Numbers) -> bool:
    return not numbers.words and not numbers.how and numbers.values.n_unique() <= LABELS


def _quoted(word: str) -> str:
    return f'"{plain(word[:30])}"'


def _alert(name: str, words: Mapping[str, int]) -> str:
    rows = ", ".join(f"{_quoted(word)} ({plural(count, 'row')})" for word, count in list(words.items())[:6])
    return f"{name} holds numbers, and words that are taken as missing: {rows}. --categorical {name} takes all its values as names [words]"
