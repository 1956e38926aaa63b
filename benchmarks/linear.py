"""Fits of linear models: against glum and scikit-learn, each at its best, to one and the same optimum; memory; growth with rows."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from glum import GeneralizedLinearRegressor
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor
from sklearn.preprocessing import OneHotEncoder

import matchloss as ml
from benchmarks.linear_data import LEVELS, NUMBERS, dense, flights
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.rows import of_array
from matchloss.linear.solve import raw_of

GAP = 1e-9  # relative: how far a fit may lie above the best objective that any of them reached
Fit = Callable[[], tuple[Any, Any]]  # -> intercept, coefficients: what scores the result


def one_hot(frame: pd.DataFrame) -> Any:
    """scikit-learn's best representation of the flights: sparse, without the first level."""
    from scipy import sparse

    return sparse.hstack([sparse.csr_array(frame[NUMBERS].to_numpy()), OneHotEncoder(drop="first").fit_transform(frame[LEVELS])]).tocsr()


def csc(matrix: Any) -> Any:
    """As glum takes it."""
    from scipy import sparse

    return sparse.csc_matrix(matrix)


def flights_table() -> Table:
    table = Table(
        "Flights, late or not: logistic, 8 columns of a data frame, ridge 1/n, gradient 1e-9: how many times as fast",
        "From the frame to the coefficients, conversion included. glum: `GeneralizedLinearRegressor(solver='irls-ls', gradient_tol=1e-9)` "
        "on pandas with categorical columns and on sparse one-hot columns; scikit-learn: `newton-cholesky`, tol 1e-9, on the latter. "
        f"Objectives agree to {GAP:g} relative. Best of 3 to 7 in turn.",
    )
    for copies, rounds in ((1, 7), (10, 3)):
        frame, polars, late = flights(copies)
        ridge, hot = 1 / len(late), one_hot(frame)
        glum = partial(GeneralizedLinearRegressor, family="binomial", alpha=ridge, gradient_tol=1e-9, solver="irls-ls")
        ours = LinearClassifier("logistic", l2=ridge, tol=1e-9)
        sklearn = LogisticRegression(C=1 / (ridge * len(late)), solver="newton-cholesky", tol=1e-9)
        steps = {
            "pandas": partial(ours.fit, frame, late),
            "polars": partial(ours.fit, polars, late),
            "glum, categorical columns": lambda: glum(drop_first=True).fit(frame, late),  # noqa: B023
            "glum, sparse": lambda: glum().fit(csc(one_hot(frame)), late),  # noqa: B023
            "scikit-learn, sparse": lambda: sklearn.fit(one_hot(frame), late),  # noqa: B023
        }
        best = steps["pandas"]().objective_
        for name in list(steps)[2:]:
            fitted = steps[name]()
            coef = np.ravel(fitted.coef_)
            raw = fitted.linear_predictor(frame) if "categorical" in name else hot @ coef + np.ravel(fitted.intercept_)
            np.testing.assert_allclose(float(ml.Logistic()(raw, late)) + ridge / 2 * float(coef @ coef), best, rtol=GAP)
        add_ratios(table, f"{len(late):,} rows", best_of(steps, rounds), ("pandas", "polars"), 6.0)
    return table


def add_ratios(table: Table, what: str, t: dict[str, float], ours: tuple[str, ...], limit: float) -> None:
    """A line for each of ours, against the best of the peers."""
    peers = {name: seconds for name, seconds in t.items() if name not in ours}
    best = min(peers, key=lambda name: peers[name])
    others = ", ".join(f"{name} {1e3 * seconds:.0f} ms" for name, seconds in peers.items())
    for name in ours:
        from_ = f", from {name}" if len(ours) > 1 else ""
        table.add(
            Line(f"{what}{from_}", peers[best] / t[name], limit, least=True, digits=1, detail=f"{others}; ours {1e3 * t[name]:.0f} ms")
        )


def dense_table() -> Table:
    table = Table(
        "Dense numbers, 50 columns, ridge 1e-4: how many times as fast as the best of glum and scikit-learn",
        "Array to coefficients. Each peer by its faster solvers, at the largest tolerance of 1e-4, 1e-5, ... at which its objective lies "
        f"within {GAP:g} relative of the optimum; ours at tol=1e-8. Best of 5 to 7 in turn.",
    )
    for kind, limit in (("poisson", 2.5), ("gamma", 2.0)):
        x, y = dense(kind)
        regressor = PoissonRegressor if kind == "poisson" else GammaRegressor
        ours = partial(LinearRegressor(kind, l2=1e-4).fit, x, y)
        best = ours().objective_
        loss = ml.get(kind)

        def gap(fitted: Any, x: np.ndarray = x, y: np.ndarray = y, loss: ml.Loss = loss, best: float = best) -> float:
            value = float(loss(raw_of(of_array(x), fitted.intercept_, fitted.coef_), y)) + 1e-4 / 2 * float(fitted.coef_ @ fitted.coef_)
            return abs(value - best) / abs(best)

        makers: dict[str, Callable[[float], Any]] = {
            "glum irls-ls": lambda tol, kind=kind: GeneralizedLinearRegressor(
                family=kind, link="log", alpha=1e-4, gradient_tol=tol, solver="irls-ls"
            ),
            "glum lbfgs": lambda tol, kind=kind: GeneralizedLinearRegressor(
                family=kind, link="log", alpha=1e-4, gradient_tol=tol, solver="lbfgs"
            ),
            "scikit-learn newton-cholesky": lambda tol, r=regressor: r(alpha=1e-4, solver="newton-cholesky", tol=tol, max_iter=1000),
            "scikit-learn lbfgs": lambda tol, r=regressor: r(alpha=1e-4, tol=tol, max_iter=1000),
        }
        steps: dict[str, Callable[[], object]] = {"matchloss": ours}
        for name, make in makers.items():
            found = next((tol for tol in 10.0 ** -np.arange(4, 11) if gap(make(tol).fit(x, y)) <= GAP), None)
            if found is not None:
                steps[f"{name} (tol {found:.0e})"] = partial(make(found).fit, x, y)
        add_ratios(table, f"{kind} {x.shape}", best_of(steps, 7), ("matchloss",), limit)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200_000, 50))
    y = (x @ rng.normal(size=(50, 10)) / 3 + rng.gumbel(size=(200_000, 10))).argmax(axis=1)
    best = LinearClassifier(l2=1e-4).fit(x, y).objective_

    def multinomial_gap(fitted: LogisticRegression) -> float:
        value = float(ml.CrossEntropy()(x @ fitted.coef_.T + fitted.intercept_, y)) + 1e-4 / 2 * float((fitted.coef_**2).sum())
        return abs(value - best) / abs(best)

    steps = {"matchloss": partial(LinearClassifier(l2=1e-4).fit, x, y)}
    for solver in ("newton-cg", "lbfgs"):
        for tol in 10.0 ** -np.arange(3, 9):
            make = partial(LogisticRegression, C=1 / (1e-4 * len(y)), solver=solver, tol=tol, max_iter=2000)
            if multinomial_gap(make().fit(x, y)) <= GAP:
                steps[f"scikit-learn {solver} (tol {tol:.0e})"] = partial(make().fit, x, y)
                break
    add_ratios(table, "multinomial, 10 classes, (200000, 50)", best_of(steps, 5), ("matchloss",), 3.0)
    return table


# In a process of its own, whose greatest resident memory can be read; the small fit before compiles and starts the threads.
MEMORY = """
import sys, warnings
import numpy as np
from benchmarks import linear
from matchloss.linear import LinearClassifier, LinearRegressor
warnings.simplefilter("ignore")

def peak():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) * 1024

if sys.argv[1] == "flights":
    frame, x, y = linear.flights(10)
    del frame
    size, model = x.estimated_size(), LinearClassifier("logistic", l2=1e-7)
else:
    x, y = linear.dense(sys.argv[1])
    size, model = x.nbytes, LinearRegressor(sys.argv[1], l2=1e-4)
model.fit(x[:50_000], y[:50_000])
with open("/proc/self/clear_refs", "w") as f:
    f.write("5")
before = peak()
model.fit(x, y)
print(peak() - before, size)
"""


def memory_table() -> Table:
    table = Table(
        "Memory beyond the data while fitting, in MB",
        "How far the greatest resident memory of a fresh process rises during `fit` (VmHWM of /proc/self/status), the data being there.",
    )
    for name in ("flights", "poisson", "gamma"):
        done = subprocess.run([sys.executable, "-c", MEMORY, name], capture_output=True, text=True, check=True)
        extra, data = map(int, done.stdout.split())
        what = "flights ten times over, from polars" if name == "flights" else name
        table.add(Line(what, extra / 1e6, 200, unit=" MB", digits=0, detail=f"beside {data / 1e6:.0f} MB of data"))
    return table


def growth_table() -> Table:
    table = Table(
        "Growth with rows: the exponent of time from 1e5 to 1e7 rows",
        "Logistic, 8 numbers, to a gradient of 1e-8, 1e5, 1e6 and 1e7 rows: the slope of log time over log rows. Best of 3 each.",
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10_000_000, 8))
    y = (x @ np.linspace(-1, 1, 8) + rng.logistic(size=len(x)) > 0).astype(float)
    t = {}
    for n in (100_000, 1_000_000, 10_000_000):
        fit = partial(LinearClassifier("logistic").fit, x[:n], y[:n])
        t[n] = best_of({"fit": fit}, 3)["fit"]
    detail = ", ".join(f"{n:,} rows {1e3 * seconds:.0f} ms" for n, seconds in t.items())
    slope = float(np.polyfit(np.log(list(t)), np.log(list(t.values())), 1)[0])
    table.add(Line("1e5 to 1e7 rows", slope, 1.05, detail=detail))
    return table


def kinks_table() -> Table:
    table = Table(
        "Losses with kinks, by the interior point method: seconds",
        "To a proven optimum (a subgradient of 1e-8). Nothing is asked of these; scikit-learn's HiGHS took a minute for the first.",
    )
    rng = np.random.default_rng(0)
    for n in (40_000, 1_000_000):
        x = rng.normal(size=(n, 20))
        y = x @ np.linspace(-1, 1, 20) + rng.standard_t(3, size=n)
        start = time.perf_counter()
        fitted = LinearRegressor(ml.Pinball(0.8)).fit(x, y)
        detail = f"{fitted.n_passes_} iterations, gradient {fitted.gradient_norm_:.0e}, converged: {fitted.converged_}"
        table.add(Line(f"pinball 0.8, ({n}, 20)", time.perf_counter() - start, unit=" s", detail=detail))
    return table


def run() -> list[Table]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [flights_table(), dense_table(), memory_table(), growth_table(), kinks_table()]
