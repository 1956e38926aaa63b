"""Ragged rows: all entries one after the other, and where each group begins. There is no padding, so groups cannot mix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.errors import DomainError, ShapeError
from matchloss.losses.structured._structured import as_integers

Integers = NDArray[np.int64]


def as_indptr(indptr: Any, what: str) -> Integers:
    """Bounds of groups, increasing from 0: group i is entries indptr[i] to indptr[i + 1]. DomainError names the first empty group."""
    a = as_integers("indptr", indptr)
    if a.ndim != 1 or a.size < 1 or a[0] != 0:
        raise ShapeError(f"indptr has shape {a.shape}{f' and begins with {a[0]}' if a.ndim == 1 and a.size else ''}; it must begin with 0")
    bad = np.diff(a) < 1
    if bad.any():
        i = int(bad.argmax())
        raise DomainError(f"{what} {i} {'is empty' if a[i + 1] == a[i] else 'has fewer than 0 entries'}; allowed: 1 entry or more")
    return a


def fits(indptr: Integers, size: int) -> None:
    """ShapeError unless the bounds end where the entries do."""
    if indptr[-1] != size:
        raise ShapeError(f"indptr ends with {indptr[-1]}, and there are {size} entries")


def starts_of(indptr: Integers) -> Integers:
    """Where the group of each entry begins."""
    return np.repeat(indptr[:-1], np.diff(indptr))


def groups_of(labels: Any) -> tuple[Integers, Integers]:
    """The order that groups equal labels and keeps the given order within a group, and the bounds of the groups in that order."""
    _, place, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    return np.argsort(place, kind="stable"), np.concatenate([[0], np.cumsum(counts)])
