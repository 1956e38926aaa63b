"""A fit to rows that lie elsewhere: read once, kept in compact form, and read again in each pass."""

from __future__ import annotations

import contextlib
import itertools
import math
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import matchloss
from matchloss.engine import threads
from matchloss.errors import NotInMemory, UsageError
from matchloss.linear.file_options import Reading, bytes_of
from matchloss.linear.journal import Journal, Recorded
from matchloss.linear.objective import Log
from matchloss.linear.solve import Options, Solution, minimise, of_source
from matchloss.linear.sources.batches import BATCH
from matchloss.linear.sources.compact import Learned, learned
from matchloss.linear.sources.files import Table, Task, table_of
from matchloss.linear.sources.learn import Seen, Spec
from matchloss.linear.sources.scratch import Scratch, ScratchError, in_words, leftovers
from matchloss.linear.sources.source import Source

if TYPE_CHECKING:
    from matchloss.linear.base import Linear
    from matchloss.losses import Loss

LEAST = 1 << 12  # rows of a batch
HELD = 4  # rows up to this part of the memory allowed are held there, without a file
COPIES = 8  # of a batch's rows, in 8 bytes a value, that the decoder and we may hold at once
DECAY = 1000  # milliseconds
OFTEN = 0.5  # seconds between two sentences of progress


@dataclass(frozen=True, eq=False)
class Opened:
    """Rows that were read, and what goes on while they are fitted."""

    seen: Seen
    found: Learned
    ahead: int  # rows of part 0, behind which those of part 1 stand
    said: Said
    journal: Journal | None = None

    def kept(self, source: Source) -> Source:
        """The source, its passes kept in the checkpoint if there is one."""
        return source if self.journal is None else Recorded(source, self.journal)


@contextlib.contextmanager
def opened(table: Table, spec: Spec, how: Reading, about: Mapping[str, Any]) -> Iterator[Opened]:
    """The rows of a table, read once; the scratch file, and the checkpoint, are gone at the end. `about`: what a resume must agree on."""
    most, folder = bytes_of(how.memory), Path(how.scratch or tempfile.gettempdir())
    if not folder.is_dir():
        raise ScratchError(f"{folder} is no folder: scratch= (--scratch) names one for the rows")
    journal = None if how.checkpoint is None else _journal(spec, table, how, about)
    index = None if journal is None else journal.rows
    lost = leftovers(folder, keep=Path(index["path"]) if index and index["path"] else None)
    if lost:
        how.tell(f"{lost} scratch file{'s' if lost > 1 else ''} of killed runs removed from {folder}")
    store = Scratch(folder, most // HELD, table.rows, how.tell)
    try:
        seen = Seen.unpacked(index["seen"], spec) if index and store.adopt(index) else None
        if seen is None:
            seen = Seen(spec)
            read_all(table, seen, store, most, how.tell)
            if journal is not None:
                journal.append({"rows": store.index() | {"seen": seen.packed()}})
        found, said = learned(seen, store), Said(how.tell, store.n)
        ahead = sum(piece.rows for piece in store.found if piece.key[0] == 0)
        yield Opened(seen, replace(found, source=replace(found.source, watch=said.read)), ahead, said, journal)
    except BaseException as error:
        worth = journal is not None and journal.worth
        store.close(keep=worth and isinstance(error, KeyboardInterrupt))
        if journal is not None and not worth:
            journal.remove()
        raise
    store.close()
    if journal is not None:
        journal.remove()


def fit_files(estimator: Linear, data: Any, spec: Spec, how: Reading) -> None:
    """Fits the estimator to tables in files; see its `fit_files`."""
    _take(estimator, *fit_table(estimator._suited(), data, spec, how, _options(estimator), estimator._settled))
    estimator._offset_column = spec.offset


def fit_source(estimator: Linear, found: Learned, said: Callable[[Log], None] | None = None, offset: str | None = None) -> None:
    """Fits the estimator to a source of rows that were read, and sets its attributes as `fit` does; `offset`: the name of its column."""
    refuse_kinks(estimator._suited(), estimator.method)
    loss = estimator._settled(found.classes)
    _take(estimator, loss, found, solve_learned(loss, found, _options(estimator), said))
    estimator._offset_column = offset


def _options(estimator: Linear) -> Options:
    return Options(**{name: getattr(estimator, name) for name in ("l2", "fit_intercept", "tol", "max_passes", "method")})


def _take(estimator: Linear, loss: Loss, found: Learned, solution: Solution) -> None:
    names = [column.name for column in found.design.columns]
    estimator.design_, estimator.n_features_in_ = found.design, len(names)
    estimator.feature_names_in_ = np.array(names, dtype=object)
    estimator._ended(loss, solution, 5)
    estimator._take(solution)


def fit_table(
    loss: Loss, data: Any, spec: Spec, how: Reading, options: Options, settled: Callable[[tuple[Any, ...]], Loss]
) -> tuple[Loss, Learned, Solution]:
    """The fit to tables in files: the loss that `settled` has for the classes that are found, what was learned of the rows, and where the
    solver stopped. Nothing of scikit-learn is imported for it.
    """
    spec = replace(spec, bounds=refuse_kinks(loss, options.method))
    if how.resume and how.checkpoint is None:
        raise ValueError("resume=True needs checkpoint=, the file that an earlier run kept its passes in")
    if how.resume and isinstance(data, Iterator):
        raise ValueError("an iterator can be read only once, so nothing can be resumed: pass a function that returns one")
    about = {"loss": repr(loss), **{name: getattr(options, name) for name in ("l2", "fit_intercept", "method")}}
    with opened(table_of(data, spec), spec, how, about) as rows:
        loss = settled(rows.found.classes)
        return loss, rows.found, solve_learned(loss, rows.found, options, rows.said, rows.kept)


def solve_learned(
    loss: Loss,
    found: Learned,
    options: Options,
    said: Callable[[Log], None] | None = None,
    wrap: Callable[[Source], Source] = lambda source: source,
) -> Solution:
    """The fit to rows that were read; `wrap` adds to their passes."""
    outputs = len(found.classes) if loss.family == "simplex" else None
    source = found.of_target(np.float64 if outputs is None else np.int64)
    return solve_source(loss, wrap(source), options, outputs, found.design.names, said)


def solve_source(
    loss: Loss, source: Source, options: Options, outputs: int | None, names: Sequence[str], said: Callable[[Log], None] | None = None
) -> Solution:
    """`solve` for the rows of a source, labels 0..K-1 for a loss with `outputs` = K."""
    if outputs is not None and source.shifted:
        raise UsageError(f"an offset column is for one raw prediction a row; {loss.name} of {outputs} classes has {outputs}")
    if outputs is not None and options.method == "newton":
        raise NotInMemory('method="newton" of several classes needs all rows in memory; method="auto" takes another')
    return minimise(of_source(loss, source, float(options.l2), outputs, bool(options.fit_intercept)), options, names, said)


def refuse_kinks(loss: Loss, method: str = "auto") -> tuple[float, float, str] | None:
    """The least and the greatest target that the loss allows, and these in words; None for a loss of several classes.

    NotInMemory for a loss with kinks: its interior point method asks for the rows at hand, again and again.
    """
    if (not loss.smooth and loss.family != "simplex") or method == "interior_point":
        raise NotInMemory(
            f"{loss.name} has kinks, and the interior point method that fits it needs all rows in memory:"
            " `fit` a sample of the rows, or take a smooth loss, such as expectile, huber or logistic"
        )
    exact = None if loss.family == "simplex" else loss.programs["exact"]
    return None if exact is None else (exact.low, exact.high, exact.allowed)


def read_all(table: Table, seen: Seen, store: Scratch, memory: int, tell: Callable[[str], None]) -> None:
    """The first pass: every task's rows into the store, in compact form, on threads."""
    seen.expect(table.features, table.first)
    began = last = time.perf_counter()
    rows = _batch_rows(table, memory)
    workers = min(threads.count(), len(table.tasks))
    compacting = threading.Semaphore(max(1, workers // 2))  # while the others decode: more would wait for Python's lock

    def one(task: Task) -> None:
        nonlocal last
        numbers = itertools.count()
        for batch, place in task.batches(rows):
            with compacting:
                pieces = list(seen.take(batch, place))
            for arrays in pieces:
                store.append((place.part, *task.key, next(numbers)), arrays)
            now = time.perf_counter()
            if now - last > OFTEN:
                last = now
                tell(_reading(seen.read, table.rows, now - began))

    with _giving_back():
        if workers <= 1:
            for task in table.tasks:
                one(task)
        else:
            _over(table.tasks, one, workers)
    table.unchanged()
    store.finish()
    tell(f"{seen.read:,} rows read in {time.perf_counter() - began:.1f} s, {in_words(store.size)} in compact form")


@contextlib.contextmanager
def _giving_back() -> Iterator[None]:
    """Arrow takes memory from a pool that gives it back within a second: its usual one keeps twice what it needs.

    Given back at once, it must be asked for anew for every batch, and the pages' faults keep threads waiting for each other.
    """
    import pyarrow as pa

    usual = pool = pa.default_memory_pool()
    if "jemalloc" in pa.supported_memory_backends():
        pool = pa.jemalloc_memory_pool()
        pa.jemalloc_set_decay_ms(DECAY)
        pa.set_memory_pool(pool)
    try:
        yield
    finally:
        pa.set_memory_pool(usual)
        pool.release_unused()


def _over(tasks: Any, work: Callable[[Task], None], workers: int) -> None:
    """work(task) of each on threads; the error of the first task in order stops the rest."""
    with ThreadPoolExecutor(workers, thread_name_prefix="matchloss-first") as pool:
        waiting: deque[Future[None]] = deque()
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) >= 2 * workers:
                waiting.popleft().result()
        for one in waiting:
            one.result()


def _batch_rows(table: Table, memory: int) -> int:
    """How many rows are read at a time; ValueError where not even a small block fits."""
    row = 8 * (len(table.features) + 2) * COPIES
    rows = min(BATCH, memory // max(1, threads.count() * row))
    if rows < LEAST:
        least = in_words(LEAST * threads.count() * row)
        raise UsageError(
            f"memory={in_words(memory)} is too small: blocks of {LEAST:,} rows of {len(table.features) + 1} columns take {least};"
            f' memory="{least.replace(" ", "")}" (--memory) would do'
        )
    return 1 << rows.bit_length() - 1  # whole pieces of a scratch file


def _reading(done: int, rows: int | None, seconds: float) -> str:
    rate = done / max(seconds, 1e-9)
    ahead = f" of {rows:,}, {(rows - done) / rate:.0f} s left" if rows and rate else ""
    return f"reading: {done:,} rows{ahead}, {rate / 1e6:.1f} million a second"


class Said:
    """Tells how passes go: rows a second, the gradient, and the time left by its decline so far."""

    def __init__(self, tell: Callable[[str], None], rows: int) -> None:
        self.tell, self.rows, self.done, self.began, self.last = tell, rows, 0, time.perf_counter(), time.perf_counter()
        self.norms: list[float] = []

    def read(self, rows: int) -> None:
        """So many rows of a pass are done."""
        self.done += rows
        now = time.perf_counter()
        if now - self.last > 4 * OFTEN and self.done < self.rows:
            self.last = now
            self.tell(f"pass {len(self.norms) + 1}: {self.done / self.rows:.0%}")

    def __call__(self, log: Log) -> None:
        """A pass is done."""
        now = time.perf_counter()
        seconds, norm = now - self.began, log.steps[-1][1]
        self.began, self.last, self.done = now, now, 0
        self.norms.append(norm)
        rate = f", {self.rows / max(seconds, 1e-9) / 1e6:.0f} million rows a second"
        self.tell(f"pass {len(self.norms)}: gradient {norm:.1e}{rate}{time_left(self.norms, seconds)}")


def time_left(norms: Sequence[float], seconds: float, tol: float = 1e-8) -> str:
    """The time left, if the gradient falls as it did in the last pass, which took so many seconds; "" where that cannot be said.

    >>> time_left([1e-2, 1e-4], 3.0), time_left([1e-4], 3.0), time_left([1e-4, 1e-3], 3.0)
    (', about 6 s left', '', '')
    """
    if len(norms) < 2 or not tol < norms[-1] < norms[-2]:
        return ""
    passes = math.ceil(math.log(norms[-1] / tol) / math.log(norms[-2] / norms[-1]) - 1e-9)
    return f", about {passes * seconds:.0f} s left" if passes * seconds >= 1 else ""


def _journal(spec: Spec, table: Table, how: Reading, about: Mapping[str, Any]) -> Journal:
    """The checkpoint, of this very fit: a new one, or what an earlier run left."""
    whole = {
        "version": matchloss.__version__,
        **about,
        "target": spec.target,
        "sample_weight": spec.weight,
        "categorical": list(spec.categorical),
        "drop": list(spec.drop),
        "missing": spec.missing,
        "offset": spec.offset,
        "files": [list(stamp) for stamp in table.stamps],
    }
    journal = Journal(Path(how.checkpoint or ""), whole, how.tell)
    if how.resume and journal.path.exists():
        journal.resume()
        how.tell(f"going on from {journal.path}: {len(journal.kept)} passes are known")
    else:
        journal.begin()
    return journal
