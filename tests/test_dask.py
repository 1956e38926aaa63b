"""Fits on a Dask cluster: the coefficients of memory, whatever happens to workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import matchloss as ml
from matchloss.errors import DomainError
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.columns import ColumnError
from matchloss.linear.objective import NotInMemory
from matchloss.linear.plan import learn_rows
from matchloss.linear.solve import solve

pytest.importorskip("distributed")

import dask.dataframe as dd
from dask import config  # pyright: ignore[reportPrivateImportUsage]
from dask.delayed import delayed
from distributed import Client, LocalCluster
from distributed.core import Status

import matchloss.dask as mld
from matchloss.dask import ClusterError, watch

N = 6_000
r = np.random.default_rng(8)
TABLE = pd.DataFrame(
    {
        "late": r.normal(size=N) + 300,  # far from 0 for its spread
        "town": r.choice(["Ulm", "Bonn", "Graz", "Rom"], N, p=[0.5, 0.3, 0.19, 0.01]),
        "hour": r.integers(0, 24, N),
        "wet": r.random(N) < 0.3,
        "w": r.integers(0, 3, N).astype(float),
    }
)
Z = (TABLE["late"] - 300) / 2 + (TABLE["town"] == "Graz") - TABLE["wet"]
TARGETS = {
    "number": Z + r.normal(size=N),
    "count": r.poisson(np.exp(Z / 2)),
    "positive": r.gamma(2.0, np.exp(Z / 2)),
    "label": pd.Series(np.where(Z + r.logistic(size=N) > 0, "late", "in time")),
    "labels": pd.Series(r.choice(["bus", "car", "foot"], N)).where(Z < 1, "plane"),
}
CASES = {
    "squared_error": (LinearRegressor("squared_error"), "number"),
    "huber": (LinearRegressor(ml.Huber(delta=1.5)), "number"),
    "poisson": (LinearRegressor("poisson", l2=1e-3), "count"),
    "gamma": (LinearRegressor("gamma"), "positive"),
    "logistic": (LinearClassifier("logistic"), "label"),
    "own link": (LinearRegressor(ml.match(lambda m, raw: m.tanh(raw))), "share"),
    "cross_entropy": (LinearClassifier(l2=1e-4), "labels"),
}
TARGETS["share"] = np.tanh(TARGETS["number"] / 4)


@contextlib.contextmanager
def workers(count: int, **options: Any) -> Iterator[tuple[Any, Any]]:
    """A cluster of its own, and its client."""
    how: Any = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": ":0"}
    with config.set(options), LocalCluster(**how) as cluster, Client(cluster) as client:
        yield cluster, client


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers, each a process of its own."""
    with workers(2) as (_, client):
        yield client


def table(target: str, weighted: bool = True) -> pd.DataFrame:
    made = TABLE.assign(y=TARGETS[target])
    return made if weighted else made.drop(columns="w")


def in_memory(model: Any, frame: pd.DataFrame, weighted: bool = True) -> Any:
    X = frame.drop(columns=["y", "w"] if weighted else ["y"])
    return type(model)(**model.get_params(deep=False)).fit(X, frame["y"], frame["w"] if weighted else None)


def assert_same(a: Any, b: Any, rtol: float = 1e-10) -> None:
    assert a.coef_names_.tolist() == b.coef_names_.tolist()
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=rtol, atol=rtol * np.abs(b.coef_).max())
    np.testing.assert_allclose(a.intercept_, b.intercept_, rtol=rtol, atol=rtol * np.abs(b.intercept_).max())
    assert a.n_passes_ == b.n_passes_ and a.converged_ and b.converged_


SWEEP = {"own link", "huber", "gamma"}  # two processes compile an own link anew


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.exhaustive if name in SWEEP else ()) for name in CASES])
def test_the_coefficients_are_those_of_memory(client: Any, name: str) -> None:
    model, target = CASES[name]
    frame = table(target)
    found = mld.fit(model, dd.from_pandas(frame, npartitions=3), "y", sample_weight="w")
    assert found is model
    assert_same(found, in_memory(model, frame))
    if isinstance(model, LinearClassifier):
        assert found.classes_.tolist() == sorted(set(frame["y"]))


def test_an_offset_column_is_that_of_memory(client: Any) -> None:
    frame = table("count").assign(o=np.linspace(-1, 1, len(TABLE)))
    X = frame.drop(columns=["y", "w", "o"])
    memory = LinearRegressor("poisson").fit(X, frame["y"], frame["w"], frame["o"])
    found = mld.fit(LinearRegressor("poisson"), dd.from_pandas(frame, npartitions=3), "y", sample_weight="w", offset="o")
    assert_same(found, memory)
    np.testing.assert_allclose(found.predict(frame), memory.predict(X, offset=frame["o"]), rtol=1e-10)
    np.testing.assert_allclose(mld.predict(found, dd.from_pandas(frame, npartitions=2)).compute(), found.predict(frame))
    with pytest.raises(ValueError, match='the collection has no column "none"'):
        mld.fit(LinearRegressor("poisson"), dd.from_pandas(frame, npartitions=1), "y", offset="none")


def test_missing_values_are_those_of_memory(client: Any) -> None:
    frame = table("number")
    frame["late"] = frame["late"].where(r.random(N) < 0.8)
    frame["town"] = frame["town"].where(r.random(N) < 0.9)
    found = mld.fit(
        LinearRegressor("huber"), dd.from_pandas(frame, npartitions=4), "y", "w", client, missing="indicate", categorical=["hour"]
    )
    features = frame.drop(columns=["y", "w"])
    design, rows = learn_rows(features, ["hour"], "indicate", frame["w"])
    same = solve(ml.Huber(), rows, frame["y"].to_numpy(), sample_weight=frame["w"].to_numpy())
    assert found.coef_names_.tolist() == list(design.names) and "late is missing" in design.names
    np.testing.assert_allclose(found.coef_, same.coef, rtol=1e-10, atol=1e-10 * np.abs(same.coef).max())


def test_partitions_may_be_empty_differ_in_levels_and_types_and_be_many(client: Any) -> None:
    frame = table("number", weighted=False).sort_values("town")  # whole partitions know one town
    parts = [frame.iloc[at] for at in np.array_split(np.arange(N), 20)]
    parts = [part.assign(hour=part["hour"].astype(kind)) for part, kind in zip(parts, ["int8", "int64"] * 10, strict=True)]
    some = [delayed(part) for part in [*parts[:3], frame[:0], *parts[3:]]]
    found = mld.fit(LinearRegressor(), dd.from_delayed(some, meta=frame[:0], verify_meta=False), "y")
    assert_same(found, in_memory(LinearRegressor(), frame, weighted=False))


def test_row_groups_of_parquet_files_are_read_by_workers(client: Any, tmp_path: Path) -> None:
    frame = table("label")
    for k in range(2):
        frame[k * N // 2 : (k + 1) * N // 2].to_parquet(tmp_path / f"{k}.parquet", row_group_size=1_000)
    frames = mld.read_parquet(tmp_path)
    assert len(frames) == 6
    assert_same(mld.fit(LinearClassifier("logistic"), frames, "y", "w", client), in_memory(LinearClassifier("logistic"), frame))


@pytest.mark.exhaustive
def test_a_killed_worker_changes_no_bit(client: Any) -> None:
    frame, victims = table("label"), []

    def kill(text: str) -> None:
        if text.startswith("pass 2") and not victims:
            victims.append(next(iter(client.run(os.getpid).values())))
            os.kill(victims[0], signal.SIGKILL)

    collection = dd.from_pandas(frame, npartitions=4)
    found = mld.fit(LinearClassifier("logistic"), collection, "y", "w", client, progress=kill)
    assert victims and victims[0] not in client.run(os.getpid).values()
    again = mld.fit(LinearClassifier("logistic"), collection, "y", "w", client)
    assert (found.coef_ == again.coef_).all() and found.intercept_ == again.intercept_
    assert_same(found, in_memory(found, frame))


@pytest.mark.parametrize("target", ["number", "labels"])
def test_predictions_and_scores_are_those_of_memory(client: Any, target: str) -> None:
    frame = table(target)
    model = in_memory(LinearClassifier(l2=0.1) if target == "labels" else LinearRegressor(), frame)
    collection = dd.from_pandas(frame, npartitions=3)
    X = frame.drop(columns=["y", "w"])
    assert (mld.predict(model, collection).compute().to_numpy() == model.predict(X)).all()
    for weight in ("w", None):
        same = model.score(X, frame["y"], None if weight is None else frame[weight])
        assert mld.score(model, collection, "y", weight, client) == pytest.approx(same, rel=1e-12)
    if isinstance(model, LinearClassifier):
        shares = mld.predict_proba(model, collection).compute()
        assert shares.columns.tolist() == model.classes_.tolist() and (shares.to_numpy() == model.predict_proba(X)).all()


def test_what_workers_import_is_little() -> None:
    """scikit-learn and pandas take 100 MB of each."""
    code = "import sys, matchloss.dask.parts; print([name for name in ('sklearn', 'pandas', 'scipy.stats') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_bad_input_is_one_clear_message(client: Any) -> None:
    frame = table("number")
    collection = dd.from_pandas(frame, npartitions=2)
    with pytest.raises(TypeError, match=r"the rows are a pandas\.DataFrame, which is in memory"):
        mld.fit(LinearRegressor(), frame, "y")
    with pytest.raises(TypeError, match=r"the rows are a list; a Dask data frame"):
        mld.fit(LinearRegressor(), [frame], "y")
    with pytest.raises(ColumnError, match='the collection has no column "z"; it has late, town'):
        mld.fit(LinearRegressor(), collection, "z")
    with pytest.raises(NotInMemory, match="absolute_error has kinks"):
        mld.fit(LinearRegressor("absolute_error"), collection, "y")
    gap = frame.assign(late=frame["late"].where(np.arange(N) != 4_321))
    with pytest.raises(ValueError, match='column "late", row 1,321 of partition 1: NaN'):
        mld.fit(LinearRegressor(), dd.from_pandas(gap, npartitions=2), "y")
    with pytest.raises(ValueError, match='the target "y" is nan in row 7 of partition 0'):
        mld.fit(LinearRegressor(), dd.from_pandas(frame.assign(y=frame["y"].where(np.arange(N) != 7)), npartitions=2), "y")
    with pytest.raises(ValueError, match="there is no row to fit to"):
        mld.fit(LinearRegressor(), dd.from_pandas(frame[:0], npartitions=1), "y")
    with pytest.raises(DomainError, match="poisson"):
        mld.fit(LinearRegressor("poisson"), collection, "y")


@pytest.mark.exhaustive
def test_workers_that_cannot_do_it_are_told_of_before_the_work(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = dd.from_pandas(table("number"), npartitions=2)
    limit = min(about["memory_limit"] for about in client.scheduler_info()["workers"].values())
    with monkeypatch.context() as patch:
        patch.setattr(watch, "BASE", limit)
        with pytest.raises(ClusterError, match=r"the worker tcp://\S+ may use .* give each worker 1\.0 GB or more"):
            mld.fit(LinearRegressor(), collection, "y")
    with monkeypatch.context() as patch:
        patch.setattr(watch, "BASE", watch.FULL * limit - 10_000)
        with pytest.raises(ClusterError, match="the rows take 0 MB in compact form, and the 2 workers have room for 0 MB: 60% of"):
            mld.fit(LinearRegressor(), collection, "y")
    with monkeypatch.context() as patch:
        patch.setattr(ml, "__version__", "0.0.0")
        with pytest.raises(ClusterError, match=r"has matchloss \S+; this process has 0\.0\.0"):
            mld.fit(LinearRegressor(), collection, "y")
    with monkeypatch.context() as patch:
        patch.setattr(watch.distributed, "get_client", _no_client)
        with pytest.raises(ClusterError, match="there is no Dask client: open one first"):
            mld.fit(LinearRegressor(), collection, "y")


def _no_client() -> None:
    raise ValueError("No global client found")


@pytest.mark.exhaustive
def test_a_slow_worker_changes_no_bit(client: Any) -> None:
    frame, done = table("label"), threading.Event()
    collection = dd.from_pandas(frame, npartitions=4)
    slow = next(iter(client.run(os.getpid).values()))

    def hinder() -> None:
        while not done.wait(0.02):
            os.kill(slow, signal.SIGSTOP)
            time.sleep(0.2)
            os.kill(slow, signal.SIGCONT)

    quick = mld.fit(LinearClassifier("logistic"), collection, "y", "w", client)
    thread = threading.Thread(target=hinder)
    thread.start()
    try:
        found = mld.fit(LinearClassifier("logistic"), collection, "y", "w", client)
    finally:
        done.set()
        thread.join()
    assert (found.coef_ == quick.coef_).all()


@pytest.mark.exhaustive
def test_a_worker_that_never_comes_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, stopped = table("label"), []
    with workers(2, **{"distributed.scheduler.worker-ttl": "3s"}) as (_, client):

        def stop(text: str) -> None:
            if text.startswith("pass 2") and not stopped:
                stopped.append(next(iter(client.run(os.getpid).values())))
                os.kill(stopped[0], signal.SIGSTOP)

        try:
            found = mld.fit(LinearClassifier("logistic"), dd.from_pandas(frame, npartitions=4), "y", "w", client, progress=stop)
        finally:
            for one in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
    assert stopped
    assert_same(found, in_memory(found, frame))


@pytest.mark.exhaustive
def test_paused_lost_and_dying_workers_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PATIENCE", 2.0)
    collection = dd.from_pandas(table("number"), npartitions=2)
    options = {"distributed.worker.memory.pause": False, "distributed.scheduler.allowed-failures": 1}
    with workers(2, **options) as (cluster, client):
        fatal = [delayed(os._exit)(1)]
        with pytest.raises(ClusterError, match="2 workers died at the same partition"):
            watch.result(client, client.compute(fatal))
        client.wait_for_workers(2)
        mld.fit(LinearRegressor(), collection, "y", client=client)

        def pause(dask_worker: Any) -> None:  # a function of this module would have to be on the workers
            dask_worker.status = Status.paused

        client.run(pause)
        with pytest.raises(ClusterError, match=r"the worker tcp://\S+ has been paused for 2 seconds: it holds \S+ \SB of"):
            mld.fit(LinearRegressor(), collection, "y", client=client)
        cluster.scale(0)
        deadline = time.monotonic() + 30
        while client.scheduler_info()["workers"] and time.monotonic() < deadline:
            time.sleep(0.1)
        with pytest.raises(ClusterError, match=r"the cluster at tcp://\S+ has no worker"):
            mld.fit(LinearRegressor(), collection, "y", client=client)
        with pytest.raises(ClusterError, match="all workers are gone, for 2 seconds now"):
            watch.result(client, client.submit(sum, [1]))


@pytest.mark.exhaustive
def test_four_workers_one_killed_at_every_moment() -> None:
    frame = table("labels")
    collection = dd.from_pandas(frame, npartitions=12)
    with workers(4) as (_, client):
        quiet = mld.fit(LinearClassifier(l2=1e-4), collection, "y", "w", client)
        for moment in ("reading", "pass 1:", "pass 7:"):
            victims: list[int] = []

            def kill(text: str, moment: str = moment, victims: list[int] = victims) -> None:
                if text.startswith(moment) and not victims:
                    victims.append(next(iter(client.run(os.getpid).values())))
                    threading.Timer(0.2 if moment == "reading" else 0.0, os.kill, [victims[0], signal.SIGKILL]).start()

            found = mld.fit(LinearClassifier(l2=1e-4), collection, "y", "w", client, progress=kill)
            assert victims and (found.coef_ == quiet.coef_).all()
            client.wait_for_workers(4)
    assert_same(quiet, in_memory(quiet, frame))
