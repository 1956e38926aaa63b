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

import numpy as np
import pyarrow as pa
from pyarrow import parquet

import matchloss as ml
from benchmarks.scale_data import CATEGORIES, TARGET, TEXT, flights, folder
from benchmarks.tables import Line, Table
from matchloss.linear.from_files import read_all
from matchloss.linear.objective import Log, Objective
from matchloss.linear.passes import Second
from matchloss.linear.plan import learn_rows
from matchloss.linear.solve import blas_on_one_thread, of_source
from matchloss.linear.sources.compact import learned
from matchloss.linear.sources.files import table_of
from matchloss.linear.sources.learn import Seen, Spec
from matchloss.linear.sources.memory import Memory
from matchloss.linear.sources.scratch import Scratch

MILLION = 1_000_000
ROWS = int(float(os.environ.get("SCALE_ROWS", "30")) * MILLION)
MIDDLE = min(ROWS, 10 * MILLION)
ROUNDS = 5
WHOLE_ROUNDS = 2
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


def scratch_of(paths: list[Path]) -> tuple[Scratch, Seen]:
    """The first pass, into a file, and what it showed."""
    table, seen = table_of([str(p) for p in paths], SPEC), Seen(SPEC)
    store = Scratch(Path(tempfile.gettempdir()), 0, table.rows)
    read_all(table, seen, store, 1 << 30, lambda text: None)
    return store, seen


def on_file(store: Scratch, seen: Seen) -> Objective:
    """The objective of the rows in a scratch file."""
    return of_source(ml.Logistic(), learned(seen, store).of_target(np.float64), 0.0, None, True)


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
    store, seen = scratch_of(paths)
    try:
        f = on_file(store, seen)
        memory, theta = in_memory(paths), f.start()
        assert store.file is not None
        cases: tuple[tuple[Second, str, float], ...] = (("hessian", "with the hessian", 1.2), ("none", "with the gradient", 1.35))
        for second, name, limit in cases:
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
        store, _ = scratch_of(paths)
        size[0] = store.size
        store.close()

    value, detail = ratio(in_turn(ROUNDS, first=ours, pyarrow=decode), "first", "pyarrow")
    table.add(Line("first pass", value, limit=1.6, unit="x", detail=detail))
    table.add(Line("bytes a row in the scratch file", size[0] / ROWS, digits=1))
    return table


OURS = """
import json, re, sys, time

def greatest():  # not ru_maxrss, which a child takes over from its parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

def fit(data, l2, **more):
    if sys.argv[3] == "model":
        from matchloss.linear import fit_files
        return fit_files("logistic", data, "late", l2=l2, **more).about["passes"]
    from matchloss.linear import LinearClassifier
    return LinearClassifier("logistic", l2=l2).fit_files(data, "late", **more).n_passes_

categories, files = sys.argv[2].split(","), sys.argv[1].split(";")
fit(sys.argv[4], 1.0, categorical=categories)  # a few rows: loads the loops
base, began = greatest(), time.perf_counter()
passes = fit(files, 1e-6, categorical=categories, memory="100MB")
print(json.dumps([time.perf_counter() - began, greatest(), base, passes]))
"""
GLUM = """
import json, resource, sys, time
import pandas as pd
from glum import GeneralizedLinearRegressor
began = time.perf_counter()
frame = pd.concat([pd.read_parquet(path) for path in sys.argv[1].split(";")], ignore_index=True)
frame = frame.astype({name: "category" for name in sys.argv[2].split(",")})
y = frame.pop("late").astype(float)
read = time.perf_counter() - began
found = GeneralizedLinearRegressor(family="binomial", alpha=1e-6, solver="irls-ls", gradient_tol=1e-8, drop_first=True).fit(frame, y)
print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, read, 0]))
"""


def alone(code: str, paths: list[Path], way: str = "model") -> list[float]:
    """The seconds, the greatest memory, that before the fit or the seconds of reading, and the passes, of a process of its own."""
    few = folder() / "few.parquet"
    with parquet.ParquetFile(paths[0], read_dictionary=TEXT) as file:
        parquet.write_table(pa.Table.from_batches([next(file.iter_batches(10_000))]), few)
    arguments = [";".join(map(str, paths)), ",".join(CATEGORIES), way, str(few)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def memory() -> Table:
    table = Table(
        f"{ROWS / MILLION:g} million flights: the greatest resident memory of a fit with `memory='100MB'`",
        "A process each: `matchloss.linear.fit_files`, which makes no estimator, and `LinearClassifier.fit_files`.",
    )
    paths = flights(ROWS)
    for way, limit in (("model", 280), ("estimator", None)):
        _, most, base, _ = alone(OURS, paths, way)
        table.add(Line(way, most, limit=limit, unit=" MB", digits=0, detail=f"imports and loops {base:.0f} MB, rows {most - base:.0f} MB"))
    return table


def whole() -> Table:
    table = Table(
        f"{MIDDLE / MILLION:g} million flights, from Parquet files to coefficients",
        "logistic, ridge 1e-6, gradient 1e-8, `memory='100MB'`; glum: `read_parquet`, categories, `irls-ls`. "
        "A process each, in turn, medians.",
    )
    paths = flights(MIDDLE)
    both = [(alone(OURS, paths), alone(GLUM, paths)) for _ in range(WHOLE_ROUNDS)]
    seconds, theirs = np.median([o[0] for o, _ in both]), np.median([g[0] for _, g in both])
    (_, most, base, passes), glum = both[0]
    table.add(Line("seconds", float(seconds), limit=5.4, unit=" s", detail=f"{passes:.0f} passes"))
    table.add(Line("resident memory", most, limit=300, unit=" MB", digits=0, detail=f"of which imports and loops {base:.0f} MB"))
    table.add(Line("rows and passes add to it", most - base, limit=100, unit=" MB", digits=0))
    table.add(Line("times as fast as glum", float(theirs / seconds), 3.5, True, "x", detail=f"{theirs:.1f} s, {glum[1]:.0f} MB"))
    return table


def growth() -> Table:
    table = Table("The time of a pass, from 1 to 30 million rows", "With the hessian, warm file cache; the slope of logarithms.")
    sizes = [n for n in (MILLION, 3 * MILLION, 10 * MILLION, 30 * MILLION) if n <= ROWS]
    took = []
    for n in sizes:
        store, seen = scratch_of(flights(n))
        f = on_file(store, seen)
        theta = f.start()
        took.append(min(in_turn(4, file=one_pass(f, theta, "hessian"))["file"]))
        store.close()
    slope = float(np.polyfit(np.log(sizes), np.log(took), 1)[0])
    table.add(Line("exponent", slope, limit=1.05, detail=", ".join(f"{t:.3f} s" for t in took)))
    return table


def run() -> list[Table]:
    return [passes(), first_pass(), memory(), whole(), growth()]
