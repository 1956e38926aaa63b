"""Fits on a Dask cluster of this machine: beside one process that reads the same files, and beside dask-ml."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from dask.delayed import delayed
from distributed import Client, LocalCluster

import matchloss.dask
from benchmarks.scale import MILLION, in_turn, ratio
from benchmarks.scale_data import CATEGORIES, TARGET, flights
from benchmarks.tables import Line, Table
from matchloss.linear import LinearClassifier

WORKERS, ROUNDS = 4, 3
ROWS = 10 * MILLION
PEER_ROWS = int(os.environ.get("SCALE_PEER_ROWS", 300_000))  # at most a million, of which dask-ml takes minutes


def beside_one_process(client: Any) -> Table:
    table = Table(
        f"{ROWS / MILLION:g} million flights on {WORKERS} Dask workers of a thread each, over one process of two threads",
        "Logistic, gradient 1e-8, from Parquet files to coefficients, loops loaded; in turn, medians.",
    )
    paths = [str(path) for path in flights(ROWS)]
    few = flights(MILLION)[0]
    found: dict[str, Any] = {}

    def on_dask(data: Any = paths) -> None:
        frames = matchloss.dask.read_parquet(data)
        found["dask"] = matchloss.dask.fit(LinearClassifier("logistic"), frames, TARGET, client=client, categorical=CATEGORIES)

    def on_files() -> None:
        found["files"] = LinearClassifier("logistic").fit_files(paths, TARGET, categorical=CATEGORIES, memory="400MB")

    on_dask([str(few)] * WORKERS)  # every worker loads its loops
    value, detail = ratio(in_turn(ROUNDS, dask=on_dask, files=on_files), "dask", "files")
    table.add(Line("decode and fit", value, limit=1.3, unit="x", detail=detail))
    apart = np.abs(found["dask"].coef_ / found["files"].coef_ - 1).max()
    table.add(Line("coefficients apart, relative, at most", float(apart) / 1e-10, limit=1.0, unit=" x 1e-10", detail=f"{apart:.1e}"))
    return table


def beside_dask_ml(client: Any) -> Table:
    table = Table(
        f"{PEER_ROWS:,} flights as 151 dense columns: how many times as fast as dask-ml",
        "Its Newton method on a Dask array whose chunks are the workers' already, l2 1e-6; ours from delayed frames on, the median of 3.",
    )
    try:
        from dask_ml.linear_model import LogisticRegression  # pyright: ignore[reportMissingImports]
    except ImportError:
        table.add(Line("dask-ml is not installed", float("nan")))
        return table
    import dask.array
    import pandas as pd

    frame = pd.concat([pd.read_parquet(path) for path in flights(MILLION)], ignore_index=True)[:PEER_ROWS]
    y = frame.pop(TARGET).to_numpy().astype(float)
    dense = pd.get_dummies(frame, columns=list(CATEGORIES), drop_first=True).to_numpy(np.float64)
    dense = (dense - dense.mean(axis=0)) / np.where(dense.std(axis=0) > 0, dense.std(axis=0), 1.0)
    da: Any = dask.array
    x = client.persist(da.from_array(dense, chunks=(PEER_ROWS // WORKERS, dense.shape[1])))
    target = client.persist(da.from_array(y, chunks=PEER_ROWS // WORKERS))
    began = time.perf_counter()
    LogisticRegression(solver="newton", C=1e6, max_iter=20, tol=1e-6).fit(x, target)
    theirs = time.perf_counter() - began
    collection = [delayed(frame.assign(**{TARGET: y})[k::WORKERS]) for k in range(WORKERS)]
    took = []
    for _ in range(3):
        began = time.perf_counter()
        matchloss.dask.fit(LinearClassifier("logistic", l2=1e-6), collection, TARGET, client=client, categorical=CATEGORIES)
        took.append(time.perf_counter() - began)
    ours = float(np.median(took))
    table.add(Line("decode and fit", theirs / ours, limit=20.0, least=True, unit="x", detail=f"{theirs:.1f} s over {ours:.2f} s"))
    return table


def run() -> list[Table]:
    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        return [beside_one_process(client), beside_dask_ml(client)]
