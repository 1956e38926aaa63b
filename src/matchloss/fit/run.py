"""A fit: one loss, a linear model of a person's table, scored on rows that it never saw."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import matchloss
from matchloss.fit import measure
from matchloss.fit.choice import as_what, asked_for, settle
from matchloss.fit.data import Missing, gather, shares
from matchloss.fit.result import FitResult, Step
from matchloss.fit.suspects import suspicious
from matchloss.linear.model import Model
from matchloss.linear.solve import raw_of, solve
from matchloss.linear.warm import warm
from matchloss.tables.columns import describe, describe_unseen, enter, rows_of
from matchloss.tables.errors import DataError
from matchloss.tables.read import pl, require_columns

if TYPE_CHECKING:
    from matchloss.linear.solve import Solution
    from matchloss.losses import Loss

Tell = Callable[[str], None]
MAX_PASSES = 300  # cross entropy over many classes wants more than the estimators' 100
POLICIES = ("error", "drop", "indicate")


def fit(
    table: pl.DataFrame,
    target: str,
    *,
    source: str = "the table",
    loss: str | Loss | None = None,
    parameters: Mapping[str, float] | None = None,
    l2: float = 0.0,
    categorical: Collection[str] = (),
    drop: Collection[str] = (),
    weight: str | None = None,
    rows: int | None = None,
    counts: bool = False,
    test_fraction: float = 0.2,
    seed: int = 0,
    missing: Missing = "indicate",
    progress: Tell | None = None,
) -> FitResult:
    """Fit a linear model for the column `target` of `table`, under the loss that is named or the one that suits the target.

    `loss` is a name of the catalogue, "module:class" for a person's own, or a loss, which is taken as it is.
    `weight` names a column of weights, which is no feature. `missing` says what becomes of rows with missing values: "error" refuses
    them, "drop" leaves them out, "indicate" fills numbers with the mean and adds an indicator. `progress` is told what goes on.
    DataError for a table, a column or an option that no fit can be made from.

    >>> table = pl.DataFrame({"x": list(range(40)), "y": [2 * x + x % 3 for x in range(40)]})
    >>> found = fit(table, "y")
    >>> found.model.loss, found.rows_train, found.rows_test, found.converged
    (SquaredError(), 32, 8, True)
    """
    tell = progress or (lambda text: None)
    asked, settled = asked_for(loss, parameters or {})
    _check(table, target, source, categorical, weight, drop, l2, missing)
    take = as_what(asked, counts, label=target in categorical)
    data = gather(
        table,
        target,
        source=source,
        take=take,
        categorical=categorical,
        drop=drop,
        weight=weight,
        rows=rows,
        test_fraction=test_fraction,
        seed=seed,
        policy=missing,
    )
    chosen, why, wanted = settle(asked, settled, data.target, data.train.target)
    outputs = len(wanted.classes) if chosen.family == "simplex" else None
    fit_to, judge_by = (side.target.astype(np.float64 if outputs is None else np.int64) for side in (data.train, data.test))
    frequencies = shares(wanted, data.train)

    tell("looking at the columns")
    warned = suspicious(data.train.table, data.choice, categorical, wanted, data.train.target)
    policy = "indicate" if missing == "indicate" else "error"
    design, learned = enter(data.train.table, len(fit_to), data.choice, categorical, policy, data.train.weight)
    tell(f"{chosen.name}: loading")
    warm(chosen, learned, fit_to, outputs, data.train.weight is not None)
    found = solve(
        chosen,
        learned,
        fit_to,
        sample_weight=data.train.weight,
        l2=l2,
        outputs=outputs,
        max_passes=MAX_PASSES,
        names=design.names,
        progress=lambda passes: tell(f"{chosen.name}: pass {passes}"),
    )

    tell("scoring the held-out rows")
    held = rows_of(design, data.test.table, len(judge_by))
    raw = raw_of(held, found.intercept, found.coef)
    constant = measure.constant_raw(chosen, fit_to, data.train.weight, len(judge_by), outputs)
    scores, beside = (measure.scores(chosen, wanted.kind, z, judge_by, data.test.weight) for z in (raw, constant))
    about = {
        "source": source,
        "missing": missing,
        "rows_train": len(fit_to),
        "rows_test": len(judge_by),
        "scores": {name: {"model": _known(s.value), "constant": _known(beside[name].value)} for name, s in scores.items()},
    } | _how(found, l2, weight)
    return FitResult(
        source=source,
        kind=wanted.kind,
        why=why,
        model=Model(chosen, design, found.intercept, found.coef, target, wanted.kind, wanted.classes, about),
        rows=table.height,
        dropped=data.dropped,
        rows_train=len(fit_to),
        rows_test=len(judge_by),
        messages=(*data.messages, *describe(design, data.choice, data.train.table), *describe_unseen(design, held.unseen)),
        warnings=(*warned, *found.messages),
        passes=found.passes,
        seconds=found.seconds,
        method=found.method,
        converged=found.converged,
        objective=found.objective,
        gradient_norm=found.gradient_norm,
        trace=tuple(Step(*step) for step in found.trace),
        effects=measure.effects(learned, found.coef, design.names, wanted.classes, chosen, data.train.weight),
        scores=scores,
        constant=beside,
        reliability=measure.reliability(chosen, raw, judge_by, wanted.classes, frequencies, data.test.weight),
    )


def _check(
    table: pl.DataFrame,
    target: str,
    source: str,
    categorical: Collection[str],
    weight: str | None,
    drop: Collection[str],
    l2: float,
    missing: str,
) -> None:
    require_columns(table, [target, *categorical, *([weight] if weight is not None else [])], source)
    if weight == target:
        raise DataError(f"{target} is the target: it cannot be the weight too")
    if weight is not None and (weight in drop or weight in categorical):
        raise DataError(f"{weight} is the weight: it is no column to {'drop' if weight in drop else 'take as a category'}")
    if not (math.isfinite(l2) and l2 >= 0):
        raise DataError(f"--l2 is {l2:g}; it must be finite and at least 0")
    if missing not in POLICIES:
        raise DataError(f"--missing is {missing}; it must be {', '.join(POLICIES[:-1])} or {POLICIES[-1]}")


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _how(found: Solution, l2: float, weight: str | None) -> dict[str, Any]:
    return {
        "l2": l2,
        "weight": weight,
        "method": found.method,
        "passes": found.passes,
        "seconds": round(found.seconds, 3),
        "converged": found.converged,
        "objective": _known(found.objective),
        "gradient_norm": _known(found.gradient_norm),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": matchloss.__version__,
    }
