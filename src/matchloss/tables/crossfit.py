"""One loss fitted to all rows, and to those of each fold for raw predictions of rows that a model did not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matchloss.linear.solve import Options, raw_of, solve
from matchloss.linear.warm import warm

if TYPE_CHECKING:
    from matchloss.linear.rows import TableRows
    from matchloss.linear.solve import Solution
    from matchloss.losses import Loss
    from matchloss.tables.splits import Split
    from matchloss.tables.target import Target

Floats = NDArray[np.float64]

MAX_PASSES = 300  # cross entropy over many classes wants more than the estimators' 100
RIDGE = 1e-6  # a level whose rows all have the same label has no finite best coefficient
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
    offset: Floats | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    outputs: int | None = None,
    names: Sequence[str] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> CrossFit:
    """Fit `loss` to the rows that each part of the split learns from, and to all; arguments as for `linear.solve.solve`.

    The penalties l1 and l2 are those of columns of numbers in units of their standard deviations, so that units do not matter; the
    objective is without them.
    """
    rows, unit = in_deviations(rows) if l1 or l2 else (rows, None)
    target = np.ascontiguousarray(target, np.float64 if outputs is None else np.int64)
    made: list[Solution] = []
    tell(f"{loss.name}: loading")
    warm(loss, rows, target, outputs, weight is not None)

    def fitted(rows: TableRows, target: NDArray[Any], weight: Floats | None, offset: Floats | None, what: str) -> Solution:
        passes = MAX_PASSES if all(found.converged for found in made) else FEWER_PASSES
        if l1:
            return _selected(loss, rows, target, weight, offset, l1, l2, passes, names)
        return solve(
            loss,
            rows,
            target,
            sample_weight=weight,
            offset=offset,
            l2=l2,
            outputs=outputs,
            max_passes=passes,
            names=names,
            progress=lambda passes: tell(f"{loss.name}: {what}, pass {passes}"),
        )

    scored = split.scored
    place = np.zeros(rows.n, np.intp)
    place[scored] = np.arange(len(scored))
    raw = np.empty((split.repeats, len(scored), *(() if outputs is None else (outputs,))))
    for repeat, train, test in split.parts():
        found = fitted(rows.take(train), target[train], _some(weight, train), _some(offset, train), f"fold {len(made) + 1}")
        made.append(found)
        raw[repeat, place[test]] = raw_of(rows.take(test), found.intercept, found.coef, found.centre, _some(offset, test))

    @cache
    def whole() -> Solution:
        return fitted(rows, target, weight, offset, "all rows")

    if not split.held_out:
        made.append(whole())
    failed = sum(not found.converged for found in made)
    return CrossFit(in_units(made[-1], unit, l2, l1), raw, len(made), failed, lambda: in_units(whole(), unit, l2, l1))


def _some(values: Floats | None, rows: NDArray[np.intp]) -> Floats | None:
    return None if values is None else values[rows]


def _selected(
    loss: Loss,
    rows: TableRows,
    target: NDArray[Any],
    weight: Floats | None,
    offset: Floats | None,
    l1: float,
    l2: float,
    passes: int,
    names: Sequence[str],
) -> Solution:
    """The fit with l1, which makes coefficients 0."""
    from matchloss.linear.penalties.asked import Asked
    from matchloss.linear.penalties.fit import problem, solve_penalised

    asked = Asked(l1, l2)
    made = problem(loss, rows, target, weight, offset, asked, True, None, names, True)
    return solve_penalised(made, asked, Options(l2=l2, max_passes=passes), names)


def in_deviations(rows: TableRows) -> tuple[TableRows, Floats]:
    """The rows with their numbers in units of their standard deviations, and this unit for each coefficient."""
    columns = rows.numbers if isinstance(rows.numbers, tuple) else tuple(rows.numbers.T)
    deviation = np.array([float(np.std(column, dtype=np.float64)) if len(column) else 0.0 for column in columns])
    deviation = np.where(np.isfinite(deviation) & (deviation > 0), deviation, 1.0)
    wide = np.ones(rows.width)
    wide[1 : 1 + rows.q] = deviation
    return replace(rows, numbers=tuple(column / d for column, d in zip(columns, deviation, strict=True))), wide[rows.slots]


def in_units(found: Solution, unit: Floats | None, l2: float, l1: float = 0.0) -> Solution:
    """The solution for numbers in their own units."""
    if unit is None:
        return found
    penalty = l2 / 2 * float(np.square(found.coef).sum()) + l1 * float(np.abs(found.coef).sum())
    coef = found.coef / (unit if found.coef.ndim == 1 else unit[:, None])
    return replace(found, coef=coef, centre=found.centre * unit, objective=found.objective - penalty, penalty=penalty)


def ridge(loss: Loss, target: Target) -> float:
    """The ridge that keeps a model finite where nobody asks for another; none where a loss of a number needs none."""
    return 0.0 if loss.link_name == "identity" and not target.classes else RIDGE


def describe_ridge() -> str:
    """Why there is a ridge that nobody asked for."""
    return f"A ridge of {RIDGE:.6f} keeps a model finite where a level alone decides the target, or all its values are 0."
