"""What will nine flights in ten be earlier than? Quantiles of the delay at arrival, by LightGBM's own objective and by ours.

python examples/flight_quantiles.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import polars as pl

from matchloss import scoring
from matchloss.lightgbm import LGBMRegressor
from matchloss.tables.flights import read_flights

LEVELS = (0.1, 0.5, 0.9)
COLUMNS = ("month", "day", "hour", "minute", "distance")
SHAPE: dict[str, Any] = {"num_leaves": 15, "learning_rate": 0.1, "verbose": -1, "n_jobs": 1}


@dataclass(frozen=True)
class Quantile:
    """One level: how many flights stayed below, and the pinball loss, of flights that the models did not see."""

    level: float
    below: float
    pinball: float
    built_in: float  # the pinball loss of LightGBM's own
    expectile: float  # and of the expectile of this level, for which LightGBM has no objective


def compare(rows: int = 40_000, trees: int = 100) -> list[Quantile]:
    """Quantiles of the delay by what is known long before departure."""
    table = read_flights().drop_nulls([*COLUMNS, "arr_delay"]).sample(rows, seed=0)
    X, y = table.select(pl.col(COLUMNS).cast(pl.Float64)).to_numpy(), table["arr_delay"].to_numpy().astype(float)
    seen, new = slice(0, rows * 4 // 5), slice(rows * 4 // 5, rows)
    found = []
    for level in LEVELS:
        kinds = (
            LGBMRegressor(f"pinball(alpha={level})", n_estimators=trees, **SHAPE),
            lightgbm.LGBMRegressor(objective="quantile", alpha=level, n_estimators=trees, **SHAPE),
            LGBMRegressor(f"expectile(alpha={level})", n_estimators=trees, **SHAPE),
        )
        predicted = [np.asarray(model.fit(X[seen], y[seen]).predict(X[new])) for model in kinds]
        scores = [float(scoring.pinball(y[new], fct, alpha=level, reduction="mean")) for fct in predicted]
        found.append(Quantile(level, float((y[new] <= predicted[0]).mean()), *scores))
    return found


def main() -> None:
    print("level  below  pinball loss  built-in  expectile")
    for q in compare():
        print(f"{q.level:5.1f}  {q.below:5.2f}  {q.pinball:12.4f}  {q.built_in:8.4f}  {q.expectile:9.4f}")


if __name__ == "__main__":
    main()
