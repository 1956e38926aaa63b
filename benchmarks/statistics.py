"""Inference and penalties of linear models against statsmodels, glum and skglm, to comparable optima.

`python -m benchmarks statistics`, by a Python that has glum and skglm. adelie and celer need NumPy 1 and are left out.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import statsmodels.api as sm
from scipy import sparse

import matchloss as ml
from benchmarks.linear_data import LEVELS, NUMBERS, flights
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss.linear import LinearClassifier, LinearRegressor
from matchloss.linear.penalties.asked import Asked
from matchloss.linear.penalties.fit import problem
from matchloss.linear.penalties.path import alphas_of, path
from matchloss.linear.plan import learn_rows
from matchloss.linear.solve import Options
from matchloss.tables.flights import read_flights

TOL = 1e-8


def over(table: Table, what: str, ours: float, theirs: float, limit: float, more: str = "") -> None:
    """How many times as fast as the peer."""
    detail = f"{1e3 * theirs:.0f} ms over {1e3 * ours:.1f} ms{more}"
    table.add(Line(what, theirs / ours, limit, least=True, digits=2, unit="x", detail=detail))


MEMORY = """
import warnings; warnings.simplefilter("ignore")
from benchmarks.linear_data import flights
from matchloss.linear import LinearRegressor
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")) / 1024
_, x, late = flights(1)
LinearRegressor("logistic", l2=1.0).fit(x[:5000], late[:5000]).inference(x[:5000], late[:5000]).bse
before = peak()
found = LinearRegressor("logistic").fit(x, late).inference(x, late)
found.bse, found.llf, found.deviance, found.pearson_chi2
print(peak() - before)
"""


def summaries() -> Table:
    table = Table(
        "Summary of a logistic fit of the flights, 152 columns: how many times as fast as statsmodels",
        "From a frame to coefficients, standard errors, deviance and log-likelihood; statsmodels once, from a dense design.",
    )
    _, x, late = flights(1)

    def ours(x: Any, y: Any) -> Any:
        found = LinearRegressor("logistic").fit(x, y).inference(x, y)
        return found.bse, found.deviance, found.llf

    hot = x.select(LEVELS).with_columns(pl.all().cast(pl.String)).to_dummies(drop_first=True).to_numpy().astype(float)
    dense = np.column_stack([np.ones(len(x)), x.select(NUMBERS).to_numpy(), hot])
    start = time.perf_counter()
    sm.Logit(late, dense).fit(disp=0, maxiter=100)
    theirs = time.perf_counter() - start
    over(table, f"{len(late):,} rows", best_of({"ours": partial(ours, x, late)}, 3)["ours"], theirs, 100)
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    table.add(Line(f"{len(late):,} rows, memory risen", float(done.stdout), 60, unit=" MB", digits=0))
    return table


def digits() -> Table:
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from inference_tables import TABLES, fitted

    table = Table(
        "Standard errors of five kinds, deviance, log-likelihood and AIC against statsmodels",
        "The largest relative difference on each real table of tests/inference_tables.py.",
    )
    for name in TABLES:
        case = fitted(name)
        apart = [float(np.abs(case.ours.using(kind, case.groups).bse / error - 1).max()) for kind, error in case.errors.items()]
        apart += [abs(getattr(case.ours, what) / getattr(case.peer, what) - 1) for what in ("deviance", "llf", "aic")]
        table.add(Line(name, max(apart) * 1e9, 1.0, unit=" e-9", digits=4))
    return table


def small() -> Table:
    from inference_tables import TABLES, dense

    table = Table(
        "Small tables: how many times as fast as statsmodels",
        "From the same pandas frame to coefficients, standard errors and log-likelihood (statsmodels by way of sm.add_constant, which its "
        "users write); then from arrays that statsmodels' design stands in already. Best of 15 in turn.",
    )
    election: Any = sm.datasets.anes96.load_pandas().data
    y, x = election["PID"].to_numpy().astype(int), election[["logpopul", "selfLR", "age", "educ", "income"]]

    def classes() -> Any:
        found = LinearClassifier().fit(x, y).inference(x, y)
        return found.bse, found.llf

    def told(fit: Any) -> Any:
        return fit.bse, fit.llf

    def multinomial(design: Any) -> Any:
        return told(sm.MNLogit(y, design).fit(disp=0, maxiter=100))

    ready = sm.add_constant(x.to_numpy())
    t = best_of({"ours": classes, "frame": lambda: multinomial(sm.add_constant(x)), "ready": lambda: multinomial(ready)}, 15)
    over(table, "anes96, 944 rows, 7 classes", t["ours"], t["frame"], 1)
    over(table, "anes96, statsmodels from a finished design", t["ours"], t["ready"], 1)
    case = TABLES["star98, shares"]()
    assert case.trials is not None
    frame, hot = case.x.to_pandas(), dense(case.x)
    both = np.column_stack([case.y * case.trials, (1 - case.y) * case.trials])

    def shares() -> Any:
        found = LinearRegressor("logistic").fit(frame, case.y, case.trials).inference(frame, case.y, case.trials, weights="trials")
        return told(found)

    def binomial(design: Any) -> Any:
        return told(sm.GLM(both, design, family=sm.families.Binomial()).fit())

    t = best_of({"ours": shares, "frame": lambda: binomial(sm.add_constant(frame)), "ready": lambda: binomial(hot)}, 15)
    over(table, "star98, 303 rows", t["ours"], t["frame"], 1)
    over(table, "star98, statsmodels from a finished design", t["ours"], t["ready"], 1)
    return table


def profiles() -> Table:
    table = Table("Size and power by profile likelihood", "Passes over the rows, fits included; the size beside statsmodels' Newton.")
    data: Any = sm.datasets.randhie.load_pandas().data
    y, x = data["mdvis"].to_numpy().astype(float), data.drop(columns="mdvis")
    model = LinearRegressor(ml.NegativeBinomial(size="estimate"), tol=1e-11).fit(x, y)  # pyright: ignore[reportArgumentType]
    peer: Any = sm.NegativeBinomial(y, sm.add_constant(x.to_numpy())).fit(method="newton", disp=0, maxiter=100, tol=1e-12)
    table.add(Line("size, randhie: passes", model.profile_.passes, 20, unit=""))
    table.add(
        Line("size, randhie: relative difference", abs(model.profile_.estimate * peer.params[-1] - 1) * 1e9, 1, unit=" e-9", digits=4)
    )
    _, trips, _ = flights(1)
    minutes = np.maximum(read_flights().drop_nulls(["arr_delay", "minute", "distance"])["arr_delay"].to_numpy().astype(float), 0.0)
    for what, loss, late, limit in (
        ("size, flights, quarter hours late", ml.NegativeBinomial(size="estimate"), np.floor(minutes / 15), 20),  # pyright: ignore[reportArgumentType]
        ("power, flights, minutes late", ml.Tweedie(power="estimate"), minutes, 35),  # pyright: ignore[reportArgumentType]
    ):
        start = time.perf_counter()
        found = LinearRegressor(loss).fit(trips, late).profile_
        said = (
            f"{found.estimate:.8g}, 95 % interval {found.interval[0]:.6g} to {found.interval[1]:.6g}, {time.perf_counter() - start:.2f} s"
        )
        table.add(Line(f"{what}: passes", found.passes, limit, unit="", detail=said))
    return table


def lasso() -> list[Table]:
    from skglm import GeneralizedLinearEstimator
    from skglm.datafits import Logistic
    from skglm.penalties import L1
    from skglm.solvers import ProxNewton

    made = []
    r = np.random.default_rng(0)
    for what, n, p, true in (("20,000 x 5,000 sparse, 1 % full", 20_000, 5_000, 100), ("10,000 x 500 dense", 10_000, 500, 40)):
        table = Table(
            f"L1 logistic, {what}: how many times as fast as skglm's ProxNewton",
            f"Penalties as shares of lambda_max, both to {TOL:g}; best of 3 in turn.",
        )
        if "sparse" in what:
            x: Any = sparse.random(n, p, density=0.01, format="csc", random_state=0, data_rvs=r.standard_normal)
        else:
            x = np.asfortranarray(r.normal(size=(n, p)) + 0.7 * r.normal(size=(n, 1)))
        w = np.zeros(p)
        w[r.choice(p, true, replace=False)] = r.normal(size=true) * (2 if "sparse" in what else 0.3)
        y = (x @ w + r.logistic(size=n) > 0).astype(float)
        top = float(np.abs(x.T @ (y.mean() - y)).max()) / n
        for share in (10, 30, 100):
            model = LinearRegressor("logistic", l1=top / share, max_passes=1000)
            peer = GeneralizedLinearEstimator(Logistic(), L1(top / share), ProxNewton(tol=TOL, fit_intercept=True, max_iter=100))
            t = best_of({"ours": partial(model.fit, x, y), "theirs": partial(peer.fit, x, 2 * y - 1)}, 3)
            kept = f", {np.count_nonzero(model.coef_)} columns, KKT residual {model.kkt_residual_:.0e}"
            over(table, f"lambda_max / {share}", t["ours"], t["theirs"], 1.25 if "sparse" in what else 1, kept)
        made.append(table)
    return made


def paths() -> Table:
    from glum import GeneralizedLinearRegressor

    table = Table(
        "Path of 50 elastic net penalties (l1_ratio 0.5, to lambda_max / 1000) and bounds on the flights: how many times as fast as glum",
        "glum at gradient_tol 1e-6, ours to a KKT residual of 1e-8; glum once, ours best of 2.",
    )
    pandas, x, late = flights(1)
    design, rows = learn_rows(x)
    for name, loss, y in (("logistic", ml.Logistic(), late), ("Poisson", ml.Poisson(), np.floor(3 * late + 2 * np.arange(len(late)) % 3))):

        def ours(loss: Any = loss, y: Any = y) -> Any:
            made = problem(loss, rows, y, None, None, Asked(1.0, 1.0), True, design, list(design.names), True)
            return path(made, alphas_of(made, 0.5, 50, 1e-3, TOL), 0.5, Options(max_passes=1000))

        peer = GeneralizedLinearRegressor(
            family="binomial" if name == "logistic" else "poisson", alpha_search=True, l1_ratio=0.5, n_alphas=50, min_alpha_ratio=1e-3,
            drop_first=True, gradient_tol=1e-6, max_iter=1000,
        )  # fmt: skip
        start = time.perf_counter()
        peer.fit(pandas, y)
        theirs, t = time.perf_counter() - start, best_of({"ours": ours}, 2)
        found = ours()
        said = f", {sum(s.passes for s in found.solutions)} passes, residual {max(s.gradient_norm for s in found.solutions):.0e}"
        over(table, f"path, {name}", t["ours"], theirs, 7, said)
    bounds: dict[str, Any] = {"distance": (0, None), "minute": (0, None), "day": (0, None), "dest": (0, None), "hour": (-0.5, 0.5)}
    names = list(design.names)
    column = [n.split(" =")[0] for n in names]
    low = np.array([-1e9 if bounds.get(c, (None,))[0] is None else bounds[c][0] for c in column])
    high = np.array([1e9 if bounds.get(c, (None, None))[1] is None else bounds[c][1] for c in column])
    peer = GeneralizedLinearRegressor(
        family="binomial",
        alpha=1e-6,
        drop_first=True,
        gradient_tol=1e-6,
        solver="irls-cd",
        max_iter=1000,
        lower_bounds=low,
        upper_bounds=high,
    )
    start = time.perf_counter()
    peer.fit(pandas, late)
    theirs = time.perf_counter() - start
    model = LinearRegressor("logistic", l2=1e-6, bounds=bounds)
    t = best_of({"ours": partial(model.fit, x, late)}, 2)
    at = int(((model.coef_ <= low) | (model.coef_ >= high)).sum())
    over(table, f"bounds, {at} of 151 at theirs", t["ours"], theirs, 10, f", KKT residual {model.kkt_residual_:.0e}")
    return table


def run() -> list[Table]:
    """All tables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [digits(), small(), *lasso(), summaries(), profiles(), paths()]
