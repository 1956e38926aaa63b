"""A SciPy matrix of sparse columns as rows: its products, and the columns that coordinate descent picks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from matchloss.linear.rows import Floats, TableRows


@dataclass(frozen=True, eq=False)
class SparseRows(TableRows):
    """Rows whose only columns are those of `x`, CSR or CSC; passes by blocks see the intercept alone."""

    x: Any = None

    @property
    def columns(self) -> int:
        """How many."""
        return self.x.shape[1]

    @cached_property
    def csc(self) -> tuple[Any, Any, Any]:
        """indptr, indices and data by columns."""
        made = self.x.tocsc()
        if made.nnz > np.iinfo(np.int32).max:
            raise ValueError(f"X has {made.nnz:,} entries that are not 0; at most {np.iinfo(np.int32).max:,} can be counted")
        indptr, indices = (np.ascontiguousarray(a, np.int32) for a in (made.indptr, made.indices))
        return indptr, indices, np.ascontiguousarray(made.data, np.float64)

    def times(self, coef: Floats) -> Floats:
        """x @ coef, (n,)."""
        return np.asarray(self.x @ coef, np.float64)

    def _pick(self, index: Any) -> SparseRows:
        whole = isinstance(index, slice) and index.step in (None, 1)
        return self if whole else sparse_rows(self.x.tocsr()[index])


def sparse_rows(x: Any) -> SparseRows:
    """The rows of a sparse matrix; ValueError for a value that is not finite, by its column."""
    bad = ~np.isfinite(x.data)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        coo = x.tocoo()
        what = "NaN" if np.isnan(x.data[place]) else "infinity"
        wrong = int(np.flatnonzero(~np.isfinite(coo.data))[0])
        raise ValueError(f"Input X contains {what}: row {coo.row[wrong]}, column {coo.col[wrong]}; every value must be known and finite")
    n = x.shape[0]
    return SparseRows(n, np.empty((n, 0)), np.zeros((n, 0), np.int32), (), np.zeros(0, np.intp), x=x)


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse matrix or array of SciPy."""
    return sparse.issparse(x)
