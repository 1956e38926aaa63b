"""The weight of each row, and exposures: a count becomes a rate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.read import pl

if TYPE_CHECKING:
    from matchloss.tables.target import Target

Index = NDArray[np.intp]
Floats = NDArray[np.float64]


def weights_of(column: pl.Series, rows: Index, whole: bool = True) -> Floats:
    """The weights of these rows; DataError for the first that is missing, negative or infinite, and if all of the `whole` table are 0."""
    values = _amounts(column, "weight")
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise DataError(_first_bad(column.name, "weight", values, bad, rows, "a weight is finite and at least 0"))
    if whole and not values.any():
        raise DataError(f"the weight {column.name} is 0 in every row; at least one must be positive")
    return values


def exposures_of(column: pl.Series, rows: Index) -> Floats:
    """The exposures of these rows; DataError for the first that is not above 0."""
    values = _amounts(column, "exposure")
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise DataError(_first_bad(column.name, "exposure", values, bad, rows, "an exposure is finite and above 0"))
    return values


def offsets_of(column: pl.Series, rows: Index) -> Floats:
    """The offsets of these rows; DataError for the first that is missing or infinite."""
    values = _amounts(column[rows], "offset")
    bad = ~np.isfinite(values)
    if bad.any():
        raise DataError(_first_bad(column.name, "offset", values, bad, rows, "an offset is finite"))
    return values


def _amounts(column: pl.Series, what: str) -> Floats:
    if len(column) and not column.dtype.is_numeric():
        raise DataError(f"the {what} {column.name} holds {column.dtype}: {what}s are numbers")
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _first_bad(name: str, what: str, values: Floats, bad: NDArray[np.bool_], rows: Index, rule: str) -> str:
    at = int(np.argmax(bad))
    shown = "missing" if math.isnan(values[at]) else f"{values[at]:g}"
    return f"the {what} {name} is {shown} in row {rows[at] + 1}; {rule}"


def as_rate(target: Target, exposure: Floats, weight: Floats | None) -> tuple[Target, Floats]:
    """The rate as the target and the exposure as its weight: for Poisson's loss the same minimiser as an offset of log exposure."""
    if target.classes:
        raise DataError(f"--exposure is for counts; {target.name} is a label")
    values = np.asarray(target.values, np.float64)
    if values.min() < 0:
        raise DataError(f"--exposure is for counts; {target.name} goes down to {values.min():g}")
    rate, heavy = _as_rate(values, exposure, weight)
    return replace(target, kind="count", values=rate), heavy


def weighed(
    batch: pl.DataFrame, target: str, exposure: str | None, weight: str | None, rows: Index, source: str
) -> tuple[pl.Series, Floats | None]:
    """The target of a batch, as a rate if there are exposures, and its weights.

    `rows` says where the batch's rows, all of which have a target, stood in `source`. DataError for the first that cannot be.
    """
    try:
        heavy = None if weight is None else weights_of(batch[weight], rows, whole=False)
        if exposure is None:
            return batch[target], heavy
        rate, heavy = _as_rate(batch[target].cast(pl.Float64).to_numpy(), exposures_of(batch[exposure], rows), heavy)
        return pl.Series(target, rate), heavy
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def _as_rate(values: Floats, exposure: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    return values / exposure, exposure if weight is None else weight * exposure
