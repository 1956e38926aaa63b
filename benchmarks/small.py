"""What a call costs beside its arithmetic: evaluate on 1,000 rows, less the bare compiled loop."""

from __future__ import annotations

from functools import partial

import numpy as np

import matchloss as ml
from benchmarks.pointwise import data
from benchmarks.tables import Line, Table
from benchmarks.timing import best_loop
from matchloss.engine.compiled import pointwise_loop

ROWS = 1000
LOSSES: tuple[ml.PointwiseLoss, ...] = (ml.SquaredError(), ml.Logistic(), ml.Poisson(), ml.Tweedie())


def run() -> list[Table]:
    table = Table(
        f"evaluate on {ROWS:,} rows, over the bare loop",
        "Value and gradient, new arrays for the results, checks of shapes, dtypes and targets; best of 30 times 500 calls in turn.",
    )
    for loss in LOSSES:
        raw, target = data(loss, ROWS)
        value, gradient = np.zeros(ROWS), np.zeros(ROWS)
        program = loss.programs["exact"]
        loop = pointwise_loop(program.formula, None, len(program.constants), "f8", (True, True, False), False, False)  # pyright: ignore[reportArgumentType]
        bare = partial(loop, raw, target, None, program.low, program.high, value, gradient, None, program.constants)
        t = best_loop({"evaluate": partial(loss.evaluate, raw, target), "loop": bare}, number=500, rounds=30)
        detail = f"{1e6 * t['evaluate']:.1f} less {1e6 * t['loop']:.1f} microseconds"
        table.add(Line(loss.name, 1e6 * (t["evaluate"] - t["loop"]), 15.0, unit=" us", digits=1, detail=detail))
    return [table]
