"""Group lasso against adelie, on the same objective.

`python -m benchmarks groups`, by a Python that has adelie, which needs NumPy 1, and so pyarrow below 18: a virtual environment of its own.
Without it, no table.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from functools import partial
from typing import Any

import numpy as np
import polars as pl

import matchloss as ml
from benchmarks.linear_data import LEVELS, NUMBERS, flights
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss.linear.penalties.asked import Asked
from matchloss.linear.penalties.fit import problem, solve_penalised
from matchloss.linear.penalties.path import path
from matchloss.linear.plan import learn_rows
from matchloss.linear.solve import Options

SHARES = (0.01, 0.003, 0.001)  # l1
STEPS = 20  # of a path, from the first to the last of them
TOLERANCES = {"tol": 1e-9, "irls_tol": 1e-7}  # of adelie, with which its KKT residual comes to 1e-7


def coded(x: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Numbers and codes, how many levels each column has (0: a number), and the first coefficient of each."""
    codes = [np.unique(x[name].cast(pl.String).to_numpy(), return_inverse=True) for name in LEVELS]
    matrix = np.column_stack([*(x[name].to_numpy() for name in NUMBERS), *(code for _, code in codes)])
    levels = [*(0 for _ in NUMBERS), *(len(values) for values, _ in codes)]
    return np.asfortranarray(matrix, np.float64), np.array(levels), np.cumsum([0, *(max(k, 1) for k in levels[:-1])]).tolist()


def residual(matrix: Any, y: np.ndarray, starts: list[int], l1: float, intercept: float, b: np.ndarray) -> float:
    """How far from optimal: each group's gradient against l1 sqrt(size) times its direction."""
    raw, g = np.zeros(len(y)), np.zeros(len(b))
    matrix.btmul(0, len(b), b, raw)
    error = (1 / (1 + np.exp(-(intercept + raw))) - y) / len(y)
    matrix.bmul(0, len(b), error, np.ones(len(y)), g)
    worst = abs(float(error.sum()))
    for a, stop in zip(starts, [*starts[1:], len(b)], strict=True):
        norm, weight = float(np.linalg.norm(b[a:stop])), l1 * np.sqrt(stop - a)
        off = np.abs(g[a:stop] + weight * b[a:stop] / norm).max() if norm else np.linalg.norm(g[a:stop]) - weight
        worst = max(worst, float(off))
    return worst


def run() -> list[Table]:
    """The table; none without adelie."""
    if importlib.util.find_spec("adelie") is None:
        return []
    ad: Any = importlib.import_module("adelie")
    table = Table(
        "Group lasso on the flights, logistic: how many times as fast as adelie",
        "Each category with all its levels is a group. Both sides start from codes: adelie from its one-hot matrix, which makes no "
        "columns of them and takes it 0.4 of the time of dense ones. Its KKT residual comes to 1e-7, ours to 1e-8.",
    )
    _, x, late = flights(1)
    late, (numbers, levels, starts) = np.ascontiguousarray(late), coded(x)
    matrix = ad.matrix.one_hot(numbers, levels=levels, n_threads=1)
    design, rows = learn_rows(x)
    names, groups = list(design.names), {name: [name] for name in (*NUMBERS, *LEVELS)}

    def made(l1: float) -> Any:
        return problem(ml.Logistic(), rows, late, None, None, Asked(l1, 0.0, groups=groups), True, design, names, True)

    def one(l1: float) -> Any:
        return solve_penalised(made(l1), Asked(l1, 0.0, groups=groups), Options(), names)

    def peer(alphas: Any) -> Any:
        glm = ad.glm.binomial(y=late, dtype=np.float64)
        how = {"groups": np.array(starts), "alpha": 1, "progress_bar": False, "early_exit": False, **TOLERANCES}
        return ad.grpnet(X=matrix, glm=glm, lmda_path=np.asarray(alphas), **how)

    def add(what: str, last: float, ours: Any, theirs: Any) -> None:
        t = best_of({"ours": ours, "theirs": theirs}, 3)
        found, state = ours(), theirs()
        off = residual(matrix, late, starts, last, float(state.intercepts[-1]), state.betas.toarray()[-1])
        left = found.gradient_norm if hasattr(found, "gradient_norm") else max(s.gradient_norm for s in found.solutions)
        said = f"{1e3 * t['theirs']:.0f} ms over {1e3 * t['ours']:.1f} ms; residuals {off:.0e} and {left:.0e}"
        table.add(Line(what, t["theirs"] / t["ours"], 5, least=True, digits=1, unit="x", detail=said))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for l1 in SHARES:
            add(f"l1 {l1:g}", l1, partial(one, l1), partial(peer, [l1]))
        alphas = np.geomspace(SHARES[0], SHARES[-1], STEPS)
        add(f"a path of {STEPS} between", SHARES[-1], lambda: path(made(1.0), alphas, 1.0, Options(), names), partial(peer, alphas))
    return [table]
