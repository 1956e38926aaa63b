"""The tables that fits of linear models are timed on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

from matchloss.tables.flights import read_flights

NUMBERS, LEVELS = ["distance", "minute", "day"], ["carrier", "origin", "dest", "month", "hour"]


def flights(times: int) -> tuple[pd.DataFrame, pl.DataFrame, np.ndarray]:
    """The late flights, so many times over: numbers standardised, categories declared, as pandas and as polars have them."""
    table = read_flights().drop_nulls(["arr_delay", "minute", "distance"])
    numbers = [((pl.col(c) - pl.col(c).mean()) / pl.col(c).std(ddof=0)).alias(c) for c in NUMBERS]
    made = table.select(*numbers, *(pl.col(c).cast(pl.String).cast(pl.Categorical) for c in LEVELS))
    made = pl.concat([made] * times).rechunk()
    late = np.tile((table["arr_delay"] > 15).to_numpy().astype(float), times)
    frame = pd.DataFrame({c: made[c].to_numpy() for c in NUMBERS} | {c: pd.Categorical(made[c].cast(pl.String).to_list()) for c in LEVELS})
    return frame, made, late


def dense(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    n = 1_000_000 if kind == "poisson" else 500_000
    x = rng.normal(size=(n, 50))
    mean = np.exp(x @ rng.normal(size=50) / 10 + 0.5)
    return x, rng.poisson(mean).astype(float) if kind == "poisson" else rng.gamma(2.0, mean / 2)
