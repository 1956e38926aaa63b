"""Group lasso against adelie, on the same objective.

`python -m benchmarks groups`, by a Python that has adelie, which needs NumPy 1: a virtual environment of its own. Without it, no table.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from benchmarks.linear_data import LEVELS, NUMBERS, flights
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss.linear import LinearRegressor

EVERY = 16  # adelie gets every so many of the flights' rows, one-hot; and so do we, as a frame
SHARES = (0.02, 0.005, 0.001)  # l1


def one_hot(x: pl.DataFrame) -> tuple[np.ndarray, list[int]]:
    """Numbers, and a column for each level; and where each group starts."""
    parts = [x[name].to_numpy()[:, None] for name in NUMBERS]
    for name in LEVELS:
        codes, levels = np.unique(x[name].cast(pl.String).to_numpy(), return_inverse=True)
        parts.append(np.eye(len(codes))[levels])
    return np.asfortranarray(np.concatenate(parts, axis=1)), np.cumsum([0, *(part.shape[1] for part in parts[:-1])]).tolist()


def residual(x: np.ndarray, y: np.ndarray, starts: list[int], l1: float, intercept: float, b: np.ndarray) -> float:
    """How far from optimal: each group's gradient against l1 sqrt(size) times its direction."""
    error = 1 / (1 + np.exp(-(intercept + x @ b))) - y
    g, worst = x.T @ error / len(y), abs(float(error.mean()))
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
        f"Group lasso on the flights, every {EVERY}th row, logistic: how many times as fast as adelie",
        "Each category with all its levels is a group. adelie gets one-hot columns and its faster way, one penalty at once or a path of 10 "
        "down to it; its tolerances are those with which its KKT residual comes to 1e-7. Ours takes a frame, to 1e-8.",
    )
    _, x, late = flights(1)
    x, late = x[::EVERY], np.ascontiguousarray(late[::EVERY])
    hot, starts = one_hot(x)
    groups = {name: [name] for name in (*NUMBERS, *LEVELS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for l1 in SHARES:
            glm = ad.glm.binomial(y=late, dtype=np.float64)
            how: dict[str, Any] = {
                "groups": np.array(starts),
                "alpha": 1,
                "progress_bar": False,
                "early_exit": False,
                "tol": 1e-12,
                "irls_tol": 1e-10,
            }
            peer = partial(ad.grpnet, X=hot, glm=glm, **how)
            steps: dict[str, Any] = {
                "ours": partial(LinearRegressor("logistic", l1=l1, groups=groups).fit, x, late),
                "one": partial(peer, lmda_path=np.array([l1])),
                "path": partial(peer, lmda_path=np.geomspace(30 * l1, l1, 10)),
            }
            t = best_of(steps, 2)
            model, state = steps["ours"](), steps["one"]()
            left = residual(hot, late, starts, l1, float(state.intercepts[-1]), state.betas.toarray()[-1])
            theirs = min(t["one"], t["path"])
            said = f"{1e3 * theirs:.0f} ms over {1e3 * t['ours']:.1f} ms; residuals {left:.0e} and {model.kkt_residual_:.0e}"
            table.add(Line(f"l1 {l1:g}", theirs / t["ours"], 5, least=True, digits=1, unit="x", detail=said))
    return [table]
