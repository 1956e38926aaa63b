"""Which losses are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError
from matchloss.tables.losses import CANDIDATES, check_suits, get_loss, named, parameters_in
from matchloss.tables.target import Target

if TYPE_CHECKING:
    from matchloss.losses import Loss


def choose(target: Target, names: Sequence[str | Loss] | None, training: NDArray[np.generic]) -> list[tuple[Loss, str]]:
    """The losses to compare, each with a note on how its parameter was chosen; DataError for one that does not fit the target.

    Names stand for classes, whose parameters may be tuned to the training target; losses are taken as they are.
    """
    chosen: dict[str, tuple[Loss, str]] = {}
    for name in CANDIDATES[target.kind] if names is None else names:
        loss, note = get_loss(name), ""
        check_suits(loss, target)
        if isinstance(name, str) and not parameters_in(name)[1] and named(name) is not loss:
            loss, note = loss.tuned_to(training)
        for other, _ in chosen.values():
            if other.name == loss.name and other != loss:
                raise DataError(f"{other!r} and {loss!r} are both called {loss.name}: a comparison tells losses apart by name")
        chosen[repr(loss)] = loss, note
    if not chosen:
        raise DataError("--losses names no loss")
    return list(chosen.values())
