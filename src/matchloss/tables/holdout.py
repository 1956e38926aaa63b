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


def frequencies(target: Target, training: NDArray[np.generic]) -> tuple[float, ...]:
    """The share of each class among the rows to learn from, none for numbers; DataError where they hold one class only."""
    if not target.classes:
        return ()
    count = np.bincount(training.astype(np.intp), minlength=len(target.classes))
    if count.max() == len(training):
        only = target.classes[int(count.argmax())]
        raise DataError(f"the rows to learn from hold one class of {target.name} only, {only}; take more rows or another --seed")
    return tuple(float(share) for share in count / len(training))
