"""What a model's file says of how the model came about, as values for JSON."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matchloss

if TYPE_CHECKING:
    from matchloss.linear.solve import Solution
    from matchloss.tables.prepare import Prepared
    from matchloss.tables.scores import Score


def of_fit(
    ready: Prepared,
    rows: int,
    scored: int,
    how: str,
    scores: Mapping[str, Score],
    constant: Mapping[str, Score],
    weight: str | None,
    training: Mapping[str, Any],
) -> dict[str, Any]:
    """The table, the scores of rows that a model did not see beside a constant's, and what `training` says."""
    return {
        "source": ready.source,
        "missing": ready.missing,
        "rows": rows,
        "scored": scored,
        "split": how,
        "scores": {name: {"model": known(s.value), "constant": known(constant[name].value)} for name, s in scores.items()},
        "weight": weight,
        **training,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": matchloss.__version__,
    }


def of_solution(found: Solution, l2: float, l1: float = 0.0) -> dict[str, Any]:
    """The penalty, and where the solver stopped."""
    return {
        **({"l1": l1} if l1 else {}),
        "l2": l2,
        "method": found.method,
        "passes": found.passes,
        "seconds": round(found.seconds, 3),
        "converged": found.converged,
        "objective": known(found.objective),
        "gradient_norm": known(found.gradient_norm),
    }


def known(value: float) -> float | None:
    """The number, or None where it is infinite or unknown."""
    return value if math.isfinite(value) else None
