"""Fits to more rows than memory holds: passes over a file beside memory, the first pass beside pyarrow, memory taken, whole fits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

import matchloss as ml
from benchmarks.scale_data import CATEGORIES, TARGET, TEXT, flights
from benchmarks.tables import Line, Table
from matchloss.linear.from_files import read_all
from matchloss.linear.objective import Log, Objective
from matchloss.linear.passes import Second
from matchloss.linear.plan import learn_rows
from matchloss.linear.solve import blas_on_one_thread, of_source
from matchloss.linear.sources.compact import Compact, learned
from matchloss.linear.sources.files import table_of
from matchloss.linear.sources.learn import Seen, Spec
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.scratch import Scratch

MILLION = 1_000_000
ROWS = int(float(os.environ.get("SCALE_ROWS", "30")) * MILLION)
MIDDLE = min(ROWS, 10 * MILLION)
ROUNDS = 5
SPEC = Spec(TARGET, labels=True, categorical=CATEGORIES)
Step = Callable[[], object]


def in_turn(rounds: int, **steps: Step) -> dict[str, list[float]]:
    """The seconds of each step, which take turns."""
    took: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            took[name].append(time.perf_counter() - began)
    return took


def ratio(took: dict[str, list[float]], what: str, base: str) -> tuple[float, str]:
    """The median of the rounds' ratios, and the seconds that it is made of."""
    value = float(np.median(np.divide(took[what], took[base])))
    return value, f"{np.median(took[what]):.2f} s, {np.median(took[base]):.2f} s; of the least {min(took[what]) / min(took[base]):.2f}"


def scratch_of(paths: list[Path]) -> Scratch:
    """The first pass, into a file."""
    table, seen = table_of([str(p) for p in paths], SPEC), Seen(SPEC)
    store = Scratch(Path(tempfile.gettempdir()), 0, table.rows)
    read_all(table, seen, store, 1 << 30, lambda text: None)
    store.found_by = seen  # type: ignore[attr-defined]
    return store


def on_file(store: Any) -> tuple[Objective, Compact]:
    """The objective of the rows in a scratch file."""
    source = learned(store.found_by, store).of_target(np.float64)
    return of_source(ml.Logistic(), source, 0.0, None, True), source


def in_memory(paths: list[Path]) -> Objective:
    """That of the same rows in memory."""
    table = pa.concat_tables([parquet.read_table(path, read_dictionary=TEXT) for path in paths]).unify_dictionaries()
    rows = learn_rows(table.drop_columns([TARGET]), CATEGORIES)[1]
    return of_source(ml.Logistic(), Memory(rows, table[TARGET].to_numpy().astype(np.float64)), 0.0, None, True)


def one_pass(f: Objective, theta: np.ndarray, second: Second, forget: int | None = None) -> Step:
    """A pass; after the system forgot a file's pages, if it is told to."""

    def call() -> object:
        if forget is not None:
            os.fsync(forget)
            os.posix_fadvise(forget, 0, 0, os.POSIX_FADV_DONTNEED)
        with blas_on_one_thread():
            return f.measure(theta, Log(9), second)

    return call


def passes() -> Table:
    table = Table(
        f"{ROWS / MILLION:g} million flights: a pass over a file, over the same in memory",
        "logistic, 152 coefficients; sides in turn, the median of the rounds' ratios. Cold: the file's pages are dropped before each pass.",
    )
    paths = flights(ROWS)
    store = scratch_of(paths)
    try:
        f, _ = on_file(store)
        memory, theta = in_memory(paths), f.start()
        assert store.file is not None
        for second, name, limit in (("hessian", "with the hessian", 1.2), ("none", "with the gradient", 1.35)):
            took = in_turn(
                ROUNDS, memory=one_pass(memory, theta, second), file=one_pass(f, theta, second), cold=one_pass(f, theta, second, store.file)
            )
            table.add(Line(f"{name}, warm", *(r := ratio(took, "file", "memory"))[:1], limit=limit, unit="x", detail=r[1]))
            cold = ratio(took, "cold", "memory")
            rate = store.size / min(took["cold"]) / 1e9
            table.add(Line(f"{name}, cold", cold[0], unit="x", detail=f"{cold[1]}; {rate:.2f} GB/s of the file"))
        same = memory.measure(theta, Log(9)), f.measure(theta, Log(9))
        table.add(Line("bits of a gradient that differ", float((same[0].gradient != same[1].gradient).sum()), limit=0, digits=0))
    finally:
        store.close()
    return table


def first_pass() -> Table:
    table = Table(
        f"{ROWS / MILLION:g} million flights: the first pass (decode, learn, write), over pyarrow's decode of the same columns",
        "pyarrow reads a row group at a time, columns on two threads, and keeps dictionaries. In turn.",
    )
    paths = flights(ROWS)

    def decode() -> None:
        for path in paths:
            file = parquet.ParquetFile(path, read_dictionary=TEXT)
            for group in range(file.num_row_groups):
                file.read_row_group(group, use_threads=True)

    size = [0]

    def ours() -> None:
        store = scratch_of(paths)
        size[0] = store.size
        store.close()

    value, detail = ratio(in_turn(ROUNDS, first=ours, pyarrow=decode), "first", "pyarrow")
    table.add(Line("first pass", value, limit=1.6, unit="x", detail=detail))
    table.add(Line("bytes a row in the scratch file", size[0] / ROWS, digits=1))
    return table


OURS = """
import json, resource, sys, time
from matchloss.linear import LinearClassifier
from pyarrow import parquet
from matchloss.linear.sources.files import paths_of
few = [next(parquet.ParquetFile(paths_of(sys.argv[1])[0]).iter_batches(20_000))]
LinearClassifier("logistic", l2=1).fit_files(few, "late", categorical=sys.argv[2].split(","))  # loads the loops
told, began = [], time.perf_counter()
categories = sys.argv[2].split(",")
found = LinearClassifier("logistic").fit_files(sys.argv[1], "late", categorical=categories, memory="100MB", progress=told.append)
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, found.n_passes_, told]))
"""
GLUM = """
import json, resource, sys, time
import pandas as pd
from glum import GeneralizedLinearRegressor
began = time.perf_counter()
frame = pd.read_parquet(sys.argv[1])
frame = frame.astype({name: "category" for name in sys.argv[2].split(",")})
y = frame.pop("late").astype(float)
read = time.perf_counter() - began
found = GeneralizedLinearRegressor(family="binomial", alpha=1e-6, solver="irls-ls", gradient_tol=1e-8, drop_first=True).fit(frame, y)
print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, read, []]))
"""


def alone(code: str, where: Path) -> list[Any]:
    """What a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", code, str(where), ",".join(CATEGORIES)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def whole() -> Table:
    table = Table(
        f"{MIDDLE / MILLION:g} million flights, from Parquet files to coefficients",
        "logistic, gradient 1e-8, `memory='100MB'`; glum: `read_parquet`, categories, `irls-ls`, ridge 1e-6. "
        "A process each, in turn, medians.",
    )
    paths = flights(MIDDLE)
    ours, glum = zip(*((alone(OURS, paths[0].parent), alone(GLUM, paths[0].parent)) for _ in range(3)), strict=True)
    seconds, theirs = np.median([o[0] for o in ours]), np.median([g[0] for g in glum])
    table.add(Line("seconds", float(seconds), limit=5.4, unit=" s", detail=f"{ours[0][2]} passes"))
    table.add(Line("resident memory", max(o[1] for o in ours), limit=300, unit=" MB", digits=0))
    table.add(
        Line(
            "times as fast as glum", float(theirs / seconds), limit=3.5, least=True, unit="x", detail=f"{theirs:.1f} s, {glum[0][1]:.0f} MB"
        )
    )
    return table


def growth() -> Table:
    table = Table("The time of a pass, from 1 to 30 million rows", "With the hessian, warm file cache; the slope of logarithms.")
    sizes = [n for n in (MILLION, 3 * MILLION, 10 * MILLION, 30 * MILLION) if n <= ROWS]
    took = []
    for n in sizes:
        store = scratch_of(flights(n))
        f, _ = on_file(store)
        theta = f.start()
        took.append(min(in_turn(4, file=one_pass(f, theta, "hessian"))["file"]))
        store.close()
    slope = float(np.polyfit(np.log(sizes), np.log(took), 1)[0])
    table.add(Line("exponent", slope, limit=1.05, detail=", ".join(f"{t:.3f} s" for t in took)))
    return table


def run() -> list[Table]:
    return [passes(), first_pass(), whole(), growth()]
