"""Scores of forecasts against scoringrules, scikit-learn's metrics and model-diagnostics, and their distance from exact values."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scoringrules as sr
from model_diagnostics import scoring as md
from numpy.typing import NDArray
from sklearn import metrics as sk

from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss import scoring
from matchloss.engine import threads

ROWS, ENSEMBLES, MEMBERS, CLASSES, DECOMPOSED = 10_000_000, 1_000_000, 50, 10, 5_000_000
Array = NDArray[np.float64]


def moving(*arrays: Array) -> Callable[[], None]:
    """Reads the arrays and writes a number for each row of the first, on the engine's threads: the least that a score must do."""
    out = np.empty(len(arrays[0]))

    def block(start: int, stop: int) -> int:
        for a in arrays:
            part = a[start:stop]
            np.copyto(out[start:stop], part if part.ndim == 1 else part.sum(axis=1))
        return -1

    return lambda: (threads.over_blocks(len(out), 1 << 14, block), None)[1]


def line(table: Table, what: str, t: dict[str, float], limit: float, apart: float, asked: float) -> None:
    """The ratio to the fastest peer, and how far ours and that of a peer are apart."""
    peers = {name: seconds for name, seconds in t.items() if name not in ("ours", "moving")}
    peer = min(peers, key=peers.__getitem__)
    detail = f"{1e3 * peers[peer]:.0f} ms ({peer}) over {1e3 * t['ours']:.0f} ms; apart by {apart:.0e}, at most {asked:.0e}"
    assert apart <= asked, detail
    over = t["ours"] / t["moving"] if "moving" in t else None
    table.add(Line(what, peers[peer] / t["ours"], limit, least=True, digits=1, unit="x", detail=detail, over_limit=over))


def apart(a: Any, b: Any) -> float:
    """The greatest relative difference."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.max(np.abs(a - b) / (np.abs(b) + 1e-300)))


def of_distributions() -> Table:
    table = Table(
        "Scores of distributions, float64: how many times as fast as scoringrules",
        f"scoringrules {sr.__version__}, the faster of its backends NumPy and numba, of ensembles the fastest of its estimators that give "
        "the same number; a number a row by both, best of 3 in turn. The ratio to the limit is that to reading what was given and writing "
        "a number a row.",
    )
    r = np.random.default_rng(0)
    y, mu, sigma = r.normal(size=ROWS), r.normal(size=ROWS), r.uniform(0.5, 2, ROWS)
    backends = ("numpy", "numba")
    steps: dict[str, Callable[[], object]] = {"ours": partial(scoring.crps_normal, y, mu, sigma), "moving": moving(y, mu, sigma)}
    steps |= {b: partial(sr.crps_normal, y, mu, sigma, backend=b) for b in backends}
    few = slice(0, 100_000)
    # in the CRPS the constant 1 / sqrt(pi) is taken off: near 0 the absolute distance is what can be asked
    gap = np.abs(scoring.crps_normal(y[few], mu[few], sigma[few]) - sr.crps_normal(y[few], mu[few], sigma[few])).max()
    line(table, f"crps_normal, {ROWS:,} rows", best_of(steps, 3), 3.0, float(gap), 1e-12)
    del mu, sigma
    y, x = r.normal(size=ENSEMBLES), r.normal(size=(ENSEMBLES, MEMBERS))
    for ours, theirs in (("qd", ("qd", "nrg", "int")), ("fair", ("fair", "pwm"))):
        steps = {"ours": partial(scoring.crps_ensemble, y, x, estimator=ours), "moving": moving(y, x)}
        steps |= {f"numba, {e}": partial(sr.crps_ensemble, y, x, estimator=e, backend="numba") for e in theirs}
        gap = apart(scoring.crps_ensemble(y[few], x[few], estimator=ours), sr.crps_ensemble(y[few], x[few], estimator=theirs[0]))
        line(table, f"crps_ensemble ({ENSEMBLES:,}, {MEMBERS}), {ours}", best_of(steps, 3), 1.5, gap, 1e-10)
    return table


MEMORY = f"""
import resource, sys
import numpy as np
from matchloss import scoring
r = np.random.default_rng(0)
y, x = r.normal(size={ENSEMBLES}), r.normal(size=({ENSEMBLES}, {MEMBERS}))
scoring.crps_ensemble(y[:5000], x[:5000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = scoring.crps_ensemble(y, x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 - made.nbytes / 2**20)
"""


def memory() -> Table:
    table = Table("Memory beside the result", "The greatest resident memory of a process after a call, less that before and the result.")
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    table.add(Line(f"crps_ensemble ({ENSEMBLES:,}, {MEMBERS})", max(float(done.stdout), 0.0), 16, unit=" MB", digits=0))
    return table


def of_labels() -> Table:
    table = Table(
        "Scores of probabilities, float64, the mean: how many times as fast as scikit-learn's metrics",
        "`log_loss` and `brier_score_loss` with `labels` given; best of 3 in turn. The ratio to the limit is that to reading.",
    )
    r = np.random.default_rng(1)
    p, y = r.uniform(0.001, 0.999, ROWS), r.integers(0, 2, ROWS)
    shares, labels = r.dirichlet(np.ones(CLASSES), ENSEMBLES), r.integers(0, CLASSES, ENSEMBLES)
    for what, seen, fct, known in ((f"{ROWS:,} rows", y, p, [0, 1]), (f"({ENSEMBLES:,}, {CLASSES})", labels, shares, list(range(CLASSES)))):
        for ours, theirs in ((scoring.log_score, sk.log_loss), (scoring.brier_score, sk.brier_score_loss)):
            extra = {"scale_by_half": True} if theirs is sk.brier_score_loss else {}
            mine = partial(ours, seen, fct, reduction="mean")
            peer = partial(theirs, seen, fct, labels=known, **extra)
            t = best_of({"ours": mine, "scikit-learn": peer, "moving": moving(fct)}, 3)
            line(table, f"{ours.__name__}, {what}", t, 5.0, apart(mine(), peer()), 1e-12)
    return table


def of_parts() -> Table:
    table = Table(
        "The parts of a score by isotonic recalibration: how many times as fast as model-diagnostics",
        f"`decompose` of {DECOMPOSED:,} rows in any order; best of 2 in turn. The ratio to the limit is that to sorting the forecasts.",
    )
    r = np.random.default_rng(2)
    f = np.exp(0.5 * r.normal(size=DECOMPOSED))
    y = f * r.gamma(2, 0.5, size=DECOMPOSED)
    p = r.uniform(size=DECOMPOSED)
    label = (r.uniform(size=DECOMPOSED) < p).astype(np.float64)
    for name, obs, fct, peer in (("squared_error", y, f, md.SquaredError()), ("log_score", label, p, md.LogLoss())):
        ours, theirs = partial(scoring.decompose, name, obs, fct), partial(md.decompose, obs, fct, scoring_function=peer)
        t = best_of({"ours": ours, "model-diagnostics": theirs, "moving": partial(np.argsort, fct)}, 2)
        mine, other = ours(), theirs().row(0, named=True)
        gap = max(abs(getattr(mine, part) - other[part]) / mine.uncertainty for part in other)
        line(table, f"decompose {name}, {DECOMPOSED:,} rows", t, 3.0, gap, 1e-10)
    return table


def of_digits() -> Table:
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from test_scores_exact import CASES, distances

    table = Table(
        "Closed forms against mpmath at 50 digits: the worst distance",
        "In eps of the sum of the terms' sizes, over the rows of tests/test_scores_exact.py, far into both tails.",
    )
    for name in CASES:
        table.add(Line(name, max(distances(name)), 32, unit=" eps", digits=1))
    return table


def run() -> list[Table]:
    """All tables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [of_distributions(), memory(), of_labels(), of_parts(), of_digits()]
