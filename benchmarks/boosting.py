"""Boosted trees: training under our losses against the hosts' built-in objectives, the objective alone, and how far the trees are apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import sklearn
import sklearn.ensemble
import xgboost
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

import matchloss as ml
import matchloss.catboost as mc
import matchloss.lightgbm as mlgb
import matchloss.sklearn as msk
import matchloss.xgboost as mx
from benchmarks.tables import Line, Table
from benchmarks.timing import best_of
from matchloss.boosting.curvature import EXACT
from matchloss.boosting.objective import Objective

ROWS, COLUMNS, TREES, THREADS, ROUNDS = 500_000, 20, 100, 2, 2
CLASSES = 7
Array = NDArray[Any]
Sides = dict[str, Callable[[], object]]


def data(rows: int = ROWS) -> tuple[Array, Array]:
    """Columns of normal numbers, float32, and labels that depend on eight of them."""
    r = np.random.default_rng(0)
    X = r.normal(size=(rows, COLUMNS)).astype(np.float32)
    raw = X[:, :4] @ [1.0, -0.5, 0.5, 0.25] + np.sin(2 * X[:, 4]) + X[:, 5] * X[:, 6] - np.abs(X[:, 7])
    return X, (r.random(rows) < 1 / (1 + np.exp(-raw))).astype(np.float32)


def xgboost_sides(X: Array, y: Array, trees: int) -> Sides:
    params: dict[str, Any] = {"nthread": THREADS, "max_depth": 6, "tree_method": "hist"}
    matrix = xgboost.QuantileDMatrix(X, y, nthread=THREADS)
    return {
        "built-in": lambda: xgboost.train(params | {"objective": "binary:logistic"}, matrix, trees),
        "ours": lambda: mx.train(params, matrix, trees, loss="logistic"),
    }


def lightgbm_sides(X: Array, y: Array, trees: int) -> Sides:
    params: dict[str, Any] = {"num_threads": THREADS, "verbosity": -1, "force_row_wise": True}
    rows = lightgbm.Dataset(X, y, free_raw_data=False, params=params).construct()
    return {
        "built-in": lambda: lightgbm.train(params | {"objective": "binary", "metric": "None"}, rows, trees),
        "ours": lambda: mlgb.train(params, rows, trees, loss="logistic"),
    }


def catboost_sides(X: Array, y: Array, trees: int) -> Sides:
    params: dict[str, Any] = {
        "iterations": trees, "learning_rate": 0.1, "depth": 6, "thread_count": THREADS, "verbose": False, "allow_writing_files": False,
        "boosting_type": "Plain", "boost_from_average": False, "random_seed": 0, "metric_period": trees,
    }  # fmt: skip
    pool = catboost.Pool(X, y, thread_count=THREADS)
    pool.quantize()
    return {
        "built-in": lambda: catboost.CatBoostClassifier(**params).fit(pool),
        "ours": lambda: mc.CatBoostClassifier("logistic", **params).fit(pool),
    }


def catboost_python_sides(X: Array, y: Array, trees: int) -> Sides:
    """Poisson, of whose leaves CatBoost takes one step: its objective against ours, which it calls for a thousand rows at a time."""
    params: dict[str, Any] = {
        "iterations": trees, "learning_rate": 0.1, "depth": 6, "thread_count": THREADS, "verbose": False, "allow_writing_files": False,
        "boosting_type": "Plain", "boost_from_average": False, "random_seed": 0, "metric_period": trees,
    }  # fmt: skip
    pool = catboost.Pool(X, y, thread_count=THREADS)
    pool.quantize()
    own = {name: value for name, value in params.items() if name != "boost_from_average"}
    return {
        "built-in": lambda: catboost.CatBoostRegressor(loss_function="Poisson", **own).fit(pool),
        "ours": lambda: mc.CatBoostRegressor("poisson", curvature="exact", **params).fit(pool),
    }


def sklearn_sides(X: Array, y: Array, trees: int) -> Sides:
    params: dict[str, Any] = {"max_iter": trees, "early_stopping": False, "random_state": 0}
    return {
        "built-in": lambda: sklearn.ensemble.HistGradientBoostingClassifier(**params).fit(X, y),
        "ours": lambda: msk.HistGradientBoostingClassifier(**params).fit(X, y),
    }


HOSTS: dict[str, tuple[str, Callable[[Array, Array, int], Sides], float]] = {
    "XGBoost": (xgboost.__version__, xgboost_sides, 1.10),
    "LightGBM": (lightgbm.__version__, lightgbm_sides, 1.10),
    "CatBoost": (catboost.__version__, catboost_sides, 1.25),
    "CatBoost, Poisson called from Python,": (catboost.__version__, catboost_python_sides, 1.25),
    "HistGradientBoosting": (sklearn.__version__, sklearn_sides, 1.05),
}


def training(hosts: tuple[str, ...] = tuple(HOSTS)) -> Table:
    """The time to train against that of the built-in objective, of sides in turn."""
    table = Table(
        f"Training logistic trees, ({ROWS:,}, {COLUMNS}), {TREES} trees, {THREADS} threads: time over that of the built-in objective",
        f"The host's data set is made beforehand where it has one; the least of {ROUNDS} in turn, after a short fit by each.",
    )
    X, y = data()
    for name in hosts:
        version, sides, limit = HOSTS[name]
        for step in sides(X[:2000], y[:2000], 2).values():
            step()
        steps, least = sides(X, y, TREES), dict.fromkeys(("built-in", "ours"), float("inf"))
        for _ in range(ROUNDS):
            for side, step in steps.items():
                start = time.perf_counter()
                step()
                least[side] = min(least[side], time.perf_counter() - start)
        detail = f"{least['ours']:.2f} s over {least['built-in']:.2f} s"
        table.add(Line(f"{name} {version}", least["ours"] / least["built-in"], limit, unit="x", digits=3, detail=detail))
    return table


def alone() -> Table:
    """Softmax's gradient and curvature in each host's memory order, against the row loop on C order."""
    table = Table(
        f"The objective alone: softmax ({ROWS:,}, {CLASSES}), in the host's memory order and dtype, over the row loop on C order",
        "Gradient and curvature, with checks for finite numbers; the row loop has raw predictions of the same dtype. Best of 5 in turn.",
    )
    r = np.random.default_rng(0)
    labels = r.integers(0, CLASSES, ROWS)
    objective = Objective(ml.CrossEntropy(), EXACT)

    def loop(raw: Array) -> Callable[[], object]:
        return lambda: ml.CrossEntropy().evaluate(raw, labels, value=False, hessian=True)

    def ours(raw: Array, dtype: Any) -> Callable[[], object]:
        def step() -> None:
            gradient, hessian = np.empty_like(raw, dtype), np.empty_like(raw, dtype)
            objective.slopes(raw, labels, None, gradient, hessian)

        return step

    raw = r.normal(size=(ROWS, CLASSES))
    for what, given, dtype in (
        ("XGBoost: float32, row after row", raw.astype(np.float32), np.float32),
        ("LightGBM and scikit-learn: float64, class after class, to float32", np.asfortranarray(raw), np.float32),
    ):
        t = best_of({"loop": loop(np.ascontiguousarray(given)), "ours": ours(given, dtype)}, 5)
        table.add(Line(what, t["ours"] / t["loop"], 1.5, unit="x", detail=f"{1e3 * t['ours']:.1f} ms over {1e3 * t['loop']:.1f} ms"))
    return table


def parity() -> Table:
    """How far raw predictions are apart from those of the built-in objectives, on real tables."""
    table = Table(
        "Raw predictions of 20 trees, the greatest relative distance from the built-in objective's",
        "diabetes (numbers), breast cancer (two classes), wine (three), CatBoost with its settings matched; 0: the same bits. XGBoost "
        "rounds its own gradients to float32 step by step, so that its leaves move in the last bits.",
    )
    numbers, two, three = (load(return_X_y=True) for load in (load_diabetes, load_breast_cancer, load_wine))
    tables: dict[str, Any] = dict.fromkeys(("squared_error", "poisson", "gamma", "tweedie"), numbers) | {
        "logistic": two,
        "cross_entropy": three,
    }
    sets: dict[str, tuple[dict[str, str], Callable[..., float], float]] = {
        "XGBoost": (
            {
                "squared_error": "reg:squarederror", "poisson": "count:poisson", "gamma": "reg:gamma", "tweedie": "reg:tweedie",
                "logistic": "binary:logistic", "cross_entropy": "multi:softprob",
            },
            of_xgboost,
            2e-6,
        ),
        "LightGBM": (
            {
                "squared_error": "regression", "poisson": "poisson", "gamma": "gamma", "tweedie": "tweedie", "logistic": "binary",
                "cross_entropy": "multiclass",
            },
            of_lightgbm,
            0.0,
        ),
        "CatBoost": (
            {
                "squared_error": "RMSE", "poisson": "Poisson", "tweedie": "Tweedie:variance_power=1.5", "logistic": "Logloss",
                "cross_entropy": "MultiClass",
            },
            of_catboost,
            1e-12,
        ),
        "HistGradientBoosting": (
            {
                "squared_error": "squared_error", "poisson": "poisson", "gamma": "gamma", "logistic": "log_loss",
                "cross_entropy": "log_loss",
            },
            of_sklearn,
            0.0,
        ),
    }  # fmt: skip
    for host, (names, apart, limit) in sets.items():
        for loss, own in names.items():
            X, y = tables[loss]
            y = y / 100 if loss == "tweedie" and host == "CatBoost" else y
            table.add(Line(f"{host}, {loss}", apart(loss, own, X, y), limit, digits=9 if limit > 1e-9 else 17))
    return table


def distance(a: Array, b: Array) -> float:
    """The greatest difference, over the greatest entry."""
    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


def of_xgboost(loss: str, own: str, X: Array, y: Array) -> float:
    params: dict[str, Any] = {"max_depth": 4} | ({"num_class": 3} if loss == "cross_entropy" else {})
    matrix = xgboost.DMatrix(X, y)
    models = xgboost.train(params | {"objective": own}, matrix, 20), mx.train(params, matrix, 20, loss=loss)
    theirs, ours = (model.predict(matrix, output_margin=True) for model in models)
    return distance(ours, theirs)


def of_lightgbm(loss: str, own: str, X: Array, y: Array) -> float:
    params: dict[str, Any] = {"verbosity": -1, "num_leaves": 8} | ({"num_class": 3} if loss == "cross_entropy" else {})
    theirs = lightgbm.train(params | {"objective": own}, lightgbm.Dataset(X, y), 20)
    ours = mlgb.train(params, lightgbm.Dataset(X, y), 20, loss=loss)
    return distance(np.asarray(ours.predict(X, raw_score=True)), np.asarray(theirs.predict(X, raw_score=True)))


def of_catboost(loss: str, own: str, X: Array, y: Array) -> float:
    few: dict[str, Any] = {
        "iterations": 20, "depth": 3, "learning_rate": 0.1, "random_seed": 0, "verbose": False, "allow_writing_files": False,
        "bootstrap_type": "No", "random_strength": 0, "boost_from_average": False,
    }  # fmt: skip
    labels = loss in ("logistic", "cross_entropy")
    theirs = (catboost.CatBoostClassifier if labels else catboost.CatBoostRegressor)(loss_function=own, **few).fit(X, y)
    ours = (mc.CatBoostClassifier if labels else mc.CatBoostRegressor)(loss, curvature="exact", **few).fit(X, y)
    raw = "RawFormulaVal"
    return distance(ours.predict(X, prediction_type=raw), theirs.predict(X, prediction_type=raw))


def of_sklearn(loss: str, own: str, X: Array, y: Array) -> float:
    few: dict[str, Any] = {"max_iter": 20, "max_leaf_nodes": 8, "random_state": 0}
    labels = loss in ("logistic", "cross_entropy")
    host = sklearn.ensemble.HistGradientBoostingClassifier if labels else sklearn.ensemble.HistGradientBoostingRegressor
    mine = msk.HistGradientBoostingClassifier if labels else msk.HistGradientBoostingRegressor
    return distance(mine(loss, **few).fit(X, y)._raw_predict(X), host(loss=own, **few).fit(X, y)._raw_predict(X))


def run() -> list[Table]:
    """All three."""
    return [training(), alone(), parity()]
