"""Which rows are learned from and which are held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.target import Target

Index = NDArray[np.intp]


def hold_out(target: Target, fraction: float, seed: int) -> tuple[Index, Index]:
    """The rows to learn from and those held out, drawn at random; no class is held out entirely, since it could not be learned."""
    if not 0 < fraction < 1:
        raise DataError(f"--test-fraction is {fraction:g}; it must lie between 0 and 1")
    rows = len(target.values)
    held = min(max(round(rows * fraction), 1), rows - 1)
    order = np.random.default_rng(seed).permutation(rows)
    train, test = np.sort(order[held:]), np.sort(order[:held])
    if target.classes:
        labels = target.values.astype(np.int64)
        lost = np.isin(labels[test], np.setdiff1d(labels[test], labels[train]))
        if lost.any() and not lost.all():
            train, test = np.sort(np.concatenate([train, test[lost]])), test[~lost]
    return train, test
