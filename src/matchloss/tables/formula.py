"""A formula takes the place of a table's columns: those that its terms name enter, as its terms make them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from matchloss.tables.errors import DataError
from matchloss.tables.prepare import Prepared
from matchloss.tables.read import pl
from matchloss.tables.words import suggest

if TYPE_CHECKING:
    from collections.abc import Collection

    from matchloss.linear.formula import Terms


def target_of(text: str) -> str:
    """The column left of the tilde; DataError where none stands there."""
    from matchloss.linear.formula import FormulaError, sides

    try:
        return sides(text)[0]
    except FormulaError as error:
        raise DataError(f"--formula: {error}") from error


def columns_of(text: str, table: pl.DataFrame, target: str) -> list[str]:
    """The columns that the terms name; DataError for a target that is no column, or stands on both sides."""
    from matchloss.linear.formula import FormulaError, variables

    if target not in table.columns:
        what = "it must be a column" if not target.isidentifier() else f"there is no such column{suggest(target, table.columns)}"
        raise DataError(f"--formula: the left side is {target!r}; {what}")
    try:
        names = variables(text, dict.fromkeys(table.columns))
    except FormulaError as error:
        raise DataError(f"--formula: {error}") from error
    if target in names:
        raise DataError(f"--formula: {target} is the target and stands right of the tilde too")
    return names


def others(names: Collection[str], table: pl.DataFrame, beside: Collection[str | None]) -> set[str]:
    """The columns of the table that the formula does not name, and that nothing else needs."""
    return {name for name in table.columns if name not in names and name not in beside}


def with_formula(ready: Prepared, text: str) -> tuple[Prepared, Terms]:
    """The same rows with the columns that the formula makes, and its terms; DataError for a formula that does not suit the table."""
    from matchloss.linear.formula import FormulaError, learned

    try:
        X, terms = learned(text, ready.features)
    except FormulaError as error:
        raise DataError(f"--formula: {error}") from error
    if not terms.intercept:
        raise DataError("--formula: a fit of a table has an intercept; without '- 1' and '+ 0' it is the same model with one")
    made = pl.DataFrame({str(name): X[name].to_numpy(dtype="float64") for name in X.columns})
    return replace(ready, features=made, levels=()), terms
