"""Which losses are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.losses import CANDIDATES, check_suits, get_loss
from matchloss.tables.target import Target

if TYPE_CHECKING:
    from matchloss.losses import Loss


def choose(target: Target, names: Sequence[str] | None, training: NDArray[np.generic]) -> list[tuple[Loss, str]]:
    """The losses to compare, each with a note on how its parameter was chosen; DataError for one that does not fit the target."""
    chosen: dict[str, tuple[Loss, str]] = {}
    for name in CANDIDATES[target.kind] if names is None else names:
        named = get_loss(name)
        check_suits(named, target)
        loss, note = named.tuned_to(training)
        chosen[repr(loss)] = loss, note
    if not chosen:
        raise DataError("--losses names no loss")
    return list(chosen.values())
