"""Labels: which loss takes so many classes, and the class of each row from raw predictions."""

from __future__ import annotations

from collections.abc import Sequence
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


def for_classes(loss: Loss, classes: Sequence[Any], who: str) -> Loss:
    """The loss for these classes; ValueError for a single one, and for more than two where it takes two. `who` needs them.

    >>> import matchloss as ml
    >>> for_classes(ml.CrossEntropy(), ["no", "yes"], "LinearClassifier")
    Logistic()
    """
    if len(classes) < 2:
        raise ValueError(f"{who} needs two classes or more; the rows of positive weight hold 1 class: {list(classes)}")
    loss = loss.of_classes(len(classes))
    if loss.family != "simplex" and len(classes) > 2:
        raise ValueError(f"Only binary classification is supported by {loss.name}; there are {len(classes)} classes")
    return loss
