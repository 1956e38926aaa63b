"""Linear models of rows that live outside memory: all losses are fitted at once, and share each reading of the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from matchloss.linear.model import Model
from matchloss.linear.solve import Options, Solution, blas_on_one_thread, minimise, of_source, raw_of
from matchloss.linear.sources.shared import at_once
from matchloss.models.found import CannotTrain, Found, Tell
from matchloss.tables.crossfit import MAX_PASSES, in_units, ridge
from matchloss.tables.design import describe, rows_of

if TYPE_CHECKING:
    from matchloss.linear.sources.compact import Learned
    from matchloss.linear.sources.source import Source
    from matchloss.losses import Loss
    from matchloss.tables.prepare import Prepared


@dataclass(frozen=True, eq=False)
class OutsideModels:
    """The models of some losses, fitted to the rows that were not held out; `ready`: those held out."""

    learned: Learned
    ready: Prepared
    solutions: Mapping[Loss, Solution]

    @classmethod
    def of(cls, learned: Learned, ready: Prepared, losses: Sequence[Loss], tell: Tell) -> OutsideModels:
        """Fits all losses that need not have all rows at hand."""
        wanted, able = ready.target, [loss for loss in dict.fromkeys(losses) if not _why_not(loss)]
        outputs = len(wanted.classes) if len(wanted.classes) > 2 else None
        source = learned.of_target(np.float64 if outputs is None else np.int64)
        names, began = learned.design.names, time.perf_counter()

        def fitted(loss: Loss, source: Source) -> Solution:
            l2 = ridge(loss, wanted)
            f = of_source(loss, source, l2, outputs, True)
            return minimise(f, Options(l2, max_passes=MAX_PASSES), names, lambda log: tell(f"{loss.name}: pass {len(log.steps)}"), began)

        with blas_on_one_thread():
            scaled, unit = source.in_deviations()
            fits: list[Callable[[Source], Solution]] = [partial(fitted, loss) for loss in able]
            found = at_once(scaled, fits)
        return cls(learned, ready, {loss: in_units(one, unit, ridge(loss, wanted)) for loss, one in zip(able, found, strict=True)})

    @property
    def columns(self) -> int:
        """How many columns a model has, the intercept apart."""
        return len(self.learned.design.names)

    def notes(self, alone: bool = True) -> list[str]:
        """How the table's columns enter, a sentence each."""
        return describe(self.learned.design, self.ready)

    def found(self, loss: Loss, tell: Tell) -> Found:
        """The model under this loss; CannotTrain where it needs all rows in memory."""
        if why := _why_not(loss):
            raise CannotTrain(why)
        one, design, ready = self.solutions[loss], self.learned.design, self.ready
        raw = raw_of(rows_of(design, ready.features, ready.n), one.intercept, one.coef, one.centre)
        model = Model(loss, design, one.intercept, one.coef, ready.target.name, ready.target.kind, ready.target.classes, {}, ready.readings)
        return Found(raw[None], one.passes, one.seconds, one.objective, 1, int(not one.converged), lambda: model)


def _why_not(loss: Loss) -> str:
    """Why a loss cannot be fitted to rows outside memory; "" if it can."""
    if loss.smooth or loss.family == "simplex":
        return ""
    return "it has kinks, and the interior point method that fits it needs all rows in memory"
