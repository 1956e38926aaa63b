"""The columns of a model read from a file: levels become the numbers that its trees split on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import OrdinalEncoder

Level = str | bool | int | float


@dataclass(frozen=True, eq=False)
class Columns:
    """For each column of the table its levels, or None for a column of numbers. Trees see the columns of levels first, then numbers."""

    names: tuple[str, ...] | None  # None: an array without names
    levels: tuple[tuple[Level, ...] | None, ...]

    @cached_property
    def _encoders(self) -> list[OrdinalEncoder | None]:
        made: list[OrdinalEncoder | None] = []
        for levels in self.levels:
            known = None if levels is None else np.array(levels, dtype=object if any(isinstance(v, str) for v in levels) else None)
            if known is None:
                made.append(None)
                continue
            encoder = OrdinalEncoder(
                categories=[known],  # pyright: ignore[reportArgumentType]
                handle_unknown="use_encoded_value",
                unknown_value=np.nan,
                encoded_missing_value=np.nan,
            )
            made.append(encoder.fit(known[:, None]))
        return made

    def transform(self, X: Any) -> NDArray[np.float64]:
        """The numbers that the trees see. ValueError for columns that are missing, or more or fewer than in training."""
        if self.names is not None and hasattr(X, "columns"):
            missing = [name for name in self.names if name not in list(X.columns)]
            if missing:
                raise ValueError(f"X has no column {missing[0]!r}, which the model was trained with")
            columns = [np.asarray(X[name]) for name in self.names]
        else:
            table = np.asarray(X)
            if table.ndim != 2 or table.shape[1] != len(self.levels):
                raise ValueError(f"X has shape {table.shape}; the model was trained with {len(self.levels)} features")
            columns = list(table.T)
        made: list[NDArray[Any]] = []
        for categorical in (True, False):
            for column, encoder in zip(columns, self._encoders, strict=True):
                if (encoder is not None) == categorical:
                    made.append(_numbers(column) if encoder is None else _codes(encoder, column))
        return np.column_stack(made)


def _numbers(column: NDArray[Any]) -> NDArray[np.float64]:
    return column.astype(np.float64)


def _codes(encoder: OrdinalEncoder, column: NDArray[Any]) -> NDArray[np.float64]:
    missing = np.array([value is None or value != value for value in column.tolist()], bool)
    codes = np.full(len(column), np.nan)
    if not missing.all():
        known = encoder.categories_[0]
        codes[~missing] = encoder.transform(column[~missing].astype(known.dtype)[:, None])[:, 0]
    return codes
