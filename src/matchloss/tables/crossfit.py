"""One loss fitted to all rows, and to those of each fold for raw predictions of rows that a model did not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.solve import raw_of, solve
from matchloss.linear.warm import warm

if TYPE_CHECKING:
    from matchloss.linear.rows import TableRows
    from matchloss.linear.solve import Solution
    from matchloss.losses import Loss
    from matchloss.tables.splits import Split

Floats = NDArray[np.float64]

MAX_PASSES = 300  # cross entropy over many classes wants more than the estimators' 100
FEWER_PASSES = 50  # after a fit that did not converge: the loss will not be ranked, and other folds would hardly fare better


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The raw predictions of models that did not see the rows they predict, and the model of all rows.

    Where a single part of many rows is held out, the model of all rows is fitted only when it is asked for; `solution` is then the
    one whose predictions are here.
    """

    solution: Solution  # of all rows, or of the rows that are not held out
    raw: Floats  # (repeats, rows of split.scored), or (repeats, rows, K)
    models: int  # fitted so far
    failed: int  # of these, did not converge
    whole: Callable[[], Solution]  # of all rows


def cross_fit(
    loss: Loss,
    rows: TableRows,
    target: NDArray[Any],
    split: Split,
    *,
    weight: Floats | None = None,
    l2: float = 0.0,
    outputs: int | None = None,
    names: Sequence[str] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> CrossFit:
    """Fit `loss` to the rows that each part of the split learns from, and to all; arguments as for `linear.solve.solve`."""
    target = np.ascontiguousarray(target, np.float64 if outputs is None else np.int64)
    made: list[Solution] = []
    tell(f"{loss.name}: loading")
    warm(loss, rows, target, outputs, weight is not None)

    def fitted(rows: TableRows, target: NDArray[Any], weight: Floats | None, what: str) -> Solution:
        return solve(
            loss,
            rows,
            target,
            sample_weight=weight,
            l2=l2,
            outputs=outputs,
            max_passes=MAX_PASSES if all(found.converged for found in made) else FEWER_PASSES,
            names=names,
            progress=lambda passes: tell(f"{loss.name}: {what}, pass {passes}"),
        )

    scored = split.scored
    place = np.zeros(rows.n, np.intp)
    place[scored] = np.arange(len(scored))
    raw = np.empty((split.repeats, len(scored), *(() if outputs is None else (outputs,))))
    for repeat, train, test in split.parts():
        found = fitted(rows.take(train), target[train], None if weight is None else weight[train], f"fold {len(made) + 1}")
        made.append(found)
        raw[repeat, place[test]] = raw_of(rows.take(test), found.intercept, found.coef, found.centre)

    @cache
    def whole() -> Solution:
        return fitted(rows, target, weight, "all rows")

    if not split.held_out:
        made.append(whole())
    return CrossFit(made[-1], raw, len(made), sum(not found.converged for found in made), whole)
