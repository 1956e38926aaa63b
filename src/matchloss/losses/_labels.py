"""Labels from raw predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.losses._loss import Loss
from matchloss.losses._simplex import SimplexLoss


def places(loss: Loss, raw: NDArray[Any]) -> NDArray[np.intp]:
    """The likeliest class of each row, as its index, (n,), from raw predictions (n,), (n, 1) or (n, K).

    >>> import numpy as np
    >>> import matchloss as ml
    >>> raw = np.array([-0.4, -0.3, 0.1])
    >>> ml.CLogLog().predict(raw).round(2), places(ml.CLogLog(), raw)
    (array([0.49, 0.52, 0.67]), array([0, 1, 1]))
    """
    if isinstance(loss, SimplexLoss):
        return raw.argmax(axis=1)
    cut = 0.0 if loss.functional == "mode" else float(loss.link(0.5))  # a complementary log-log's half is not at 0
    return (raw.reshape(-1) > cut).astype(np.intp)
