"""Loading the compiled loops of a fit before its clock starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.solve import solve

if TYPE_CHECKING:
    from matchloss.linear.rows import TableRows
    from matchloss.losses import Loss

ROWS = 2_000  # enough for the compiled loops to be used


def warm(loss: Loss, rows: TableRows, target: NDArray[Any], outputs: int | None = None, weighted: bool = False) -> None:
    """Makes two passes over a few rows, so that timing the fit that follows does not include loading or compiling the loops."""
    few = np.arange(min(ROWS, rows.n))
    weight = np.ones(len(few)) if weighted else None
    solve(loss, rows.take(few), target[few], sample_weight=weight, l2=1.0, outputs=outputs, max_passes=2)
