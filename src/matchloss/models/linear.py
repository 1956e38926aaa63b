"""Linear models of a table, one under each loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matchloss.linear.model import Model
from matchloss.models.found import CannotTrain, Found, Tell
from matchloss.tables.crossfit import CrossFit, cross_fit, ridge
from matchloss.tables.design import describe, describe_gaps, learn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from matchloss.linear.plan import Design
    from matchloss.linear.rows import TableRows
    from matchloss.losses import Loss
    from matchloss.tables.options import Study
    from matchloss.tables.prepare import Prepared
    from matchloss.tables.splits import Split

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearModels:
    """The design of a table and its rows, which all losses share."""

    ready: Prepared
    split: Split
    design: Design
    rows: TableRows
    offset: Floats | None = None  # added to the raw predictions
    offset_column: str | None = None

    @classmethod
    def of(cls, study: Study) -> LinearModels:
        """Those of a table that is ready."""
        return cls(study.ready, study.split, *learn(study.ready), study.offset, study.offset_column)

    @property
    def columns(self) -> int:
        """Columns of the design matrix, the intercept apart."""
        return len(self.design.names)

    def notes(self, alone: bool = True) -> list[str]:
        """How the table's columns enter, a sentence each; beside other kinds of models only what is this one's own."""
        if alone:
            return describe(self.design, self.ready)
        return [f"Linear models: {said[0].lower()}{said[1:]}" for said in describe_gaps(self.design, self.ready)]

    def found(self, loss: Loss, tell: Tell) -> Found:
        """The models under this loss, with the ridge that keeps them finite."""
        if self.offset is not None and loss.family == "simplex":
            raise CannotTrain(f"an offset is one number a row, and {loss.name} has a raw prediction for each label")
        cross = self.crossed(loss, tell)
        wanted, last = self.ready.target, cross.solution

        def whole() -> Model:
            of_all = cross.whole()
            return Model(
                loss,
                self.design,
                of_all.intercept,
                of_all.coef,
                wanted.name,
                wanted.kind,
                wanted.classes,
                {},
                self.ready.readings,
                offset=self.offset_column,
            )

        return Found(cross.raw, last.passes, last.seconds, last.objective, cross.models, cross.failed, whole)

    def crossed(self, loss: Loss, tell: Tell, l2: float | None = None, l1: float = 0.0) -> CrossFit:
        """The same with all that the solver says; `l2` replaces the usual ridge, `l1` makes coefficients 0."""
        wanted = self.ready.target
        return cross_fit(
            loss,
            self.rows,
            wanted.values,
            self.split,
            weight=self.ready.weight,
            offset=self.offset,
            l1=l1,
            l2=ridge(loss, wanted) if l2 is None else l2,
            outputs=len(wanted.classes) if loss.family == "simplex" else None,
            names=self.design.names,
            tell=tell,
        )
