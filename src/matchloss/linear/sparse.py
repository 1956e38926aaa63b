"""Sparse columns: SciPy's matrices, and pandas' sparse columns, as blocks of rows for the passes and as columns for coordinate descent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Columns = tuple[Any, Any, Any]  # indptr, indices (int32), data: each column's rows and values
ONE_AT_A_TIME = threading.Lock()  # rows are made of columns once, not by each thread of the first pass


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries of a block of rows: those of row i are data[indptr[i] : indptr[i + 1]], in the columns `indices`, which rise."""

    indptr: NDArray[np.int64]  # (r + 1,), from 0
    indices: NDArray[np.int32]
    data: Floats
    columns: int

    def mapped(self, change: Callable[[Floats], Floats]) -> Entries:
        """With changed values; a 0 must stay one."""
        return replace(self, data=change(self.data))

    @property
    def matrix(self) -> Any:
        """As SciPy has it."""
        return sparse.csr_array((self.data, self.indices, self.indptr), shape=(len(self.indptr) - 1, self.columns))


@dataclass(frozen=True, eq=False)
class Sparse:
    """Columns (n, s) of which most entries are 0: `x` is SciPy's, CSR or CSC, float64, no entry twice."""

    x: Any

    @property
    def columns(self) -> int:
        """How many."""
        return self.x.shape[1]

    @property
    def lines(self) -> tuple[Any, NDArray[np.int32], Floats]:
        """indptr, indices and data by rows; made of columns at the first pass over rows."""
        with ONE_AT_A_TIME:
            if "lines" not in self.__dict__:
                by_rows = self.x.tocsr()
                made = by_rows.indptr, np.ascontiguousarray(by_rows.indices, np.int32), by_rows.data
                self.__dict__["lines"] = made
            return self.__dict__["lines"]

    @cached_property
    def csc(self) -> Columns:
        """By columns, for coordinate descent."""
        made = self.x.tocsc()
        if made.nnz > np.iinfo(np.int32).max:
            raise ValueError(f"X has {made.nnz:,} entries that are not 0; at most {np.iinfo(np.int32).max:,} can be counted")
        indptr, indices = (np.ascontiguousarray(a, np.int32) for a in (made.indptr, made.indices))
        return indptr, indices, made.data

    def block(self, start: int, stop: int) -> Entries:
        """The entries of some rows."""
        indptr, indices, data = self.lines
        low, high = int(indptr[start]), int(indptr[stop])
        return Entries(np.subtract(indptr[start : stop + 1], low, dtype=np.int64), indices[low:high], data[low:high], self.columns)

    def ends(self) -> tuple[Floats, Floats]:
        """The least and the greatest value of each column, zeros included."""
        return tuple(np.asarray(end.toarray(), np.float64).ravel() for end in (self.x.min(axis=0), self.x.max(axis=0)))  # pyright: ignore[reportReturnType]

    def counts(self) -> NDArray[np.intp]:
        """How many entries each column has."""
        return np.diff(self.x.indptr) if self.x.format == "csc" else np.bincount(self.x.indices, minlength=self.columns)

    def __getitem__(self, index: Any) -> Sparse:
        """Some rows."""
        whole = isinstance(index, slice) and index == slice(None, None, 1)
        return self if whole else Sparse(self.x.tocsr()[index])


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse matrix or array of SciPy."""
    return sparse.issparse(x)


def of_scipy(x: Any) -> Sparse:
    """The columns of a CSR or CSC matrix; ValueError for a value that is not finite, by its row and column."""
    if not np.isfinite(x.data).all():
        coo = x.tocoo()
        wrong = int(np.flatnonzero(~np.isfinite(coo.data))[0])
        what = "NaN" if np.isnan(coo.data[wrong]) else "infinity"
        raise ValueError(f"Input X contains {what}: row {coo.row[wrong]}, column {coo.col[wrong]}; every value must be known and finite")
    x = x.astype(np.float64, copy=False)
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    return Sparse(x)


def of_columns(n: int, columns: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Sparse | None:
    """From the rows, which rise, and the values of each column's entries; None without columns."""
    if not columns:
        return None
    indptr = np.cumsum([0, *(len(rows) for rows, _ in columns)])
    rows = np.concatenate([rows for rows, _ in columns]).astype(np.int32, copy=False)
    values = np.concatenate([np.asarray(values, np.float64) for _, values in columns])
    return Sparse(sparse.csc_array((values, rows, indptr), shape=(n, len(columns))))
