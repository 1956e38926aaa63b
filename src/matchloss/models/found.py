"""What any kind of model gives for one loss: raw predictions of rows that it did not see, and the model of all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from matchloss.tables.errors import DataError

if TYPE_CHECKING:
    from matchloss.linear.model import Model
    from matchloss.losses import Loss
    from matchloss.models.tree_model import TreeModel

Floats = NDArray[np.float64]
Tell = Callable[[str], None]


class CannotTrain(DataError):
    """This kind of model cannot be trained under a loss; the message says why."""


@dataclass(frozen=True, eq=False)
class Found:
    """Models of one kind under one loss, fitted to the parts of a split and to all rows.

    The steps, seconds and objective are those of the model of all rows, or of the one that a single part was held out from.
    """

    raw: Floats  # of the scored rows, (repeats, rows) or (repeats, rows, K)
    steps: int  # passes over the rows, or trees
    seconds: float
    objective: float  # the mean loss of the rows learned from
    models: int  # fitted so far
    failed: int  # of these, did not converge
    whole: Callable[[], Model | TreeModel]  # of all rows


class Models(Protocol):
    """Models of one kind for one table."""

    @property
    def columns(self) -> int:
        """How many columns a model has, the intercept apart."""
        ...

    def notes(self, alone: bool = True) -> list[str]:
        """How the table's columns enter, a sentence each; beside other kinds of models only what is this one's own."""
        ...

    def found(self, loss: Loss, tell: Tell) -> Found:
        """The models under this loss; CannotTrain where there are none."""
        ...
