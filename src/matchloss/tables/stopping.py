"""The rows that say when a model of trees has enough of them: a tenth of those that it learns from, the same ones under every loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.keys import numbered, row_keys
from matchloss.tables.read import pl
from matchloss.tables.splits import cut_evenly

if TYPE_CHECKING:
    from matchloss.tables.prepare import Prepared
    from matchloss.tables.splits import Split

Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

PARTS = 10
FEWEST = 20  # rows: of fewer a mean loss says little, and all rows are learned from
REPEAT = -1  # so that these rows are drawn apart from all folds


def watched_rows(ready: Prepared, split: Split, seed: int) -> Callable[[Index], Mask]:
    """For the rows that a model learns from: which of them it only watches, none where they are few.

    Labels are spread evenly and none is watched alone; groups stay whole; along a time, the latest tenth is watched. Which rows these are
    depends on their values and the seed, as folds do.
    """
    labels = ready.target.values.astype(np.intp) if ready.target.classes else None
    counts = np.ones(ready.n, bool) if ready.weight is None else ready.weight > 0
    if split.how == "time":
        times = split.groups
        assert times is not None

        def latest(train: Index) -> Mask:
            here = times[train]
            return _usable(here > np.quantile(here, 1 - 1 / PARTS, method="lower"), train, labels, counts)

        return latest
    keys = row_keys([*ready.features, pl.Series(ready.target.name, np.asarray(ready.target.values))])
    if split.how == "group":
        codes = split.groups
        assert codes is not None
        together = np.zeros(int(codes.max()) + 1, np.uint64)
        np.add.at(together, codes, keys)  # whatever the order of the rows
        part = cut_evenly(together, PARTS, seed, REPEAT, None)[codes]
    else:
        part = cut_evenly(numbered(keys), PARTS, seed, REPEAT, labels)
    aside = part == 0
    return lambda train: _usable(aside[train], train, labels, counts)


def _usable(aside: Mask, train: Index, labels: Index | None, counts: Mask) -> Mask:
    """Without the rows of labels that no other row would show, and none at all where too few are left on either side."""
    if labels is not None:
        shown = np.bincount(labels[train][~aside & counts[train]], minlength=int(labels.max()) + 1) > 0
        aside = aside & shown[labels[train]]
    few = (aside & counts[train]).sum() < FEWEST or not (~aside & counts[train]).any()
    return np.zeros(len(train), bool) if few else aside
