"""Reading and checking what a person passes to an estimator: X, and y as numbers, labels or distributions over classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.linear.columns import Coded, ColumnError, is_frame, open_table
from matchloss.linear.rows import Floats

try:
    from sklearn.utils import assert_all_finite, check_array, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
except ImportError as error:
    raise ImportError('the estimators need scikit-learn: pip install "matchloss[linear]"') from error

FINITE_BLOCK = 1 << 14  # rows


def column_labels(frame: Any) -> list[Any]:
    """The column labels of a data frame; not every library makes them text."""
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def refuse_mapping(name: str, x: Any, allowed: str) -> None:
    """TypeError for a dict, which NumPy would turn into an array of one object."""
    if isinstance(x, Mapping) and not hasattr(x, "shape"):  # some sparse arrays of SciPy are mappings
        raise TypeError(f"{name} is a {type(x).__name__}; allowed: {allowed}")


def numbers(name: str, x: Any) -> Floats:
    """x in float64, finite."""
    return x if _plain(x) else check_array(x, ensure_2d=False, dtype=np.float64, input_name=name)  # pyright: ignore[reportArgumentType]


def column(y: Any) -> Floats:
    """y in float64, finite, (n,)."""
    return y if _plain(y) else numbers("y", column_or_1d(y, warn=True))


def _plain(x: Any) -> bool:
    """Whether x is a line of finite numbers already: scikit-learn's checks of it cost more than a small fit's passes."""
    if not (type(x) is np.ndarray and x.dtype == np.float64 and x.ndim == 1 and x.size):
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(x.sum()))


def labels(y: Any) -> NDArray[Any]:
    """One label per row, all of one type, none missing; ValueError for any other y."""
    if isinstance(y, list | tuple):  # check before NumPy turns mixed labels into text
        _refuse_mixed(y)
    if not (type(y) is np.ndarray and y.ndim == 1 and y.size):
        y = column_or_1d(y, warn=True)
    if y.dtype.kind in "biuU" and y.size:  # nothing can be missing, and whatever it is stands for itself
        return y
    if y.dtype.kind == "O":
        missing = np.array([_is_missing(v) for v in y], bool)
        if missing.any():
            raise ValueError(f"Input y contains a missing label: row {int(missing.argmax())}")
        _refuse_mixed(y)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    return y


def distributions(y: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Classes and probabilities (n, K) if y has a column for each of K >= 2 classes; None if it has one label per row.

    The classes are a data frame's column labels, 0 to K - 1 for anything else. ValueError for columns that are not numbers.
    """
    if is_frame(y):
        table = open_table(y)
        if len(table.labels) < 2:
            return None
        columns = [table.read(name, as_levels=False) for name in table.labels]
        for name, column in zip(table.labels, columns, strict=True):
            if isinstance(column, Coded):
                raise ColumnError(f'y has a column for each class, but column "{name}" has the type {column.type}; allowed: probabilities')
        classes = np.array(list(table.labels.values()))
        return classes, np.column_stack([np.asarray(column) for column in columns])
    if isinstance(y, list | tuple) and not (y and isinstance(y[0], list | tuple | np.ndarray)):
        return None  # one label per row
    shares = np.asarray(y)
    if shares.ndim != 2 or shares.shape[1] < 2:
        return None
    if shares.dtype.kind not in "fiub":
        allowed = "a label a row, or a column of probabilities a class"
        raise ValueError(f"y has shape {shares.shape} and dtype {shares.dtype}; allowed: {allowed}")
    return np.arange(shares.shape[1]), shares if shares.dtype.kind == "f" else shares.astype(np.float64)


def refuse_infinite(x: NDArray[Any]) -> None:
    """ValueError for the first NaN or infinity in a matrix, by row and column; on threads, without a copy."""

    def bad(start: int, stop: int) -> int:
        block = x[start:stop]
        with np.errstate(all="ignore"):
            if np.isfinite(block.sum(dtype=np.float64)):
                return -1
        wrong = ~np.isfinite(block).all(axis=1)
        return start + int(wrong.argmax()) if wrong.any() else -1

    row = threads.over_blocks(x.shape[0], FINITE_BLOCK, bad)
    if row >= 0:
        column = int(np.argmax(~np.isfinite(x[row])))
        what = "NaN" if np.isnan(x[row, column]) else "infinity"
        raise ValueError(f"Input X contains {what}: row {row}, column {column}; every value must be known and finite")


def _is_missing(label: object) -> bool:
    return label is None or type(label).__name__ == "NAType"


def _refuse_mixed(y: Iterable[object]) -> None:
    """ValueError for labels of types that cannot be ordered together, such as text and numbers."""
    first: dict[str, tuple[int, object]] = {}
    for row, label in enumerate(y):
        if not (_is_missing(label) or (isinstance(label, float) and label != label)):
            kind = "text" if isinstance(label, str) else "number" if isinstance(label, Number) else type(label).__name__
            first.setdefault(kind, (row, label))
    if len(first) > 1:
        found = " and ".join(f"{kind} ({label!r} in row {row})" for kind, (row, label) in first.items())
        raise ValueError(f"y mixes labels of several types, {found}; allowed: labels of one type")
