"""Which link a loss has, recognised by its predictions, so that a host with the same link can predict by itself."""

from __future__ import annotations

from typing import Literal

import numpy as np

from matchloss.losses import Loss, SimplexLoss
from matchloss.losses.binary import Logistic
from matchloss.losses.families import Poisson
from matchloss.losses.regression import SquaredError
from matchloss.losses.simplex import CrossEntropy

Link = Literal["identity", "logit", "log", "softmax"]
_GRID = np.linspace(-9.0, 9.0, 61)
_ROWS = np.stack([_GRID, np.roll(_GRID, 7), np.roll(_GRID, 31)], axis=-1)


def link_of(loss: Loss) -> Link | None:
    """The usual name of the link, or None for a link that hosts do not have: probit, sparsemax, a person's own.

    >>> import matchloss as ml
    >>> link_of(ml.NegativeBinomial()), link_of(ml.Probit()), link_of(ml.SoftmaxBrier())
    ('log', None, 'softmax')
    """
    if isinstance(loss, SimplexLoss):
        return "softmax" if _agree(loss, CrossEntropy(), _ROWS) else None
    known: dict[Link, Loss] = {"identity": SquaredError(), "logit": Logistic(), "log": Poisson()}
    return next((name for name, other in known.items() if _agree(loss, other, _GRID)), None)


def _agree(loss: Loss, other: Loss, raw: np.ndarray) -> bool:
    return bool(np.allclose(loss.predict(raw), other.predict(raw), rtol=1e-12, atol=0))
