"""What the tests of fits share: problems for every loss, fits by name, and gradients recomputed from a dense design."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

import matchloss as ml
from matchloss.linear import LinearClassifier, LinearRegressor

Array = NDArray[Any]
EPS = float(np.finfo(float).eps)


def problem(loss: Any, n: int, p: int, seed: int = 0, classes: int = 3) -> tuple[Array, Array]:
    """Columns, one of them large and off centre, and targets that depend on them, with enough noise for a finite optimum."""
    r = np.random.default_rng(seed)
    x = r.normal(size=(n, p))
    z = x @ r.normal(size=p) / np.sqrt(p) + 0.3
    if p > 1:
        x[:, 1] = 50 * x[:, 1] + 20
    if loss.family == "simplex":
        y = (z + 2 * r.gumbel(size=(classes, n))).argmax(axis=0) if n > 3 * classes else np.arange(n) % classes
        y[:classes] = np.arange(classes)[: len(y)]
        return x, y
    if loss.target_domain.high == 1:
        y = (r.uniform(size=n) < 1 / (1 + np.exp(-z))).astype(float)
        y[:2] = [0, 1][: len(y)]
        return x, y
    if loss.target_domain.low == 0:
        return x, r.gamma(2.0, np.exp(z / 2)) + 0.05
    return x, z + r.normal(size=n)


def model_of(loss: Any, **options: Any) -> Any:
    return (LinearClassifier if loss.family == "simplex" else LinearRegressor)(loss, **options)


def theta_of(model: Any) -> Array:
    """The coefficients and last, if there is one, the intercept: (P,) or (P, K)."""
    coef, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    theta = np.column_stack([coef, intercept] if model.fit_intercept else [coef]).T
    return theta[:, 0] if model.loss_.family != "simplex" else theta


def design_of(x: Array, model: Any) -> Array:
    return np.column_stack([x, np.ones(len(x))]) if model.fit_intercept else np.asarray(x, float)


def off_optimum(model: Any, x: Array, y: Array, weight: Array | None = None) -> tuple[float, float]:
    """The largest entry of the objective's gradient, and what rounding can add to it; for a loss with kinks of its best subgradient."""
    design, theta, loss = design_of(x, model), theta_of(model), model.loss_
    w = np.ones(len(x)) if weight is None else np.asarray(weight, float)
    w = w / w.sum()
    raw = design @ theta
    pull = model.l2 * theta
    if model.fit_intercept:
        pull[-1] = 0
    size = np.abs(design) @ np.abs(theta)
    if not loss.smooth:
        low, high = (loss.gradient(raw + d * (1e-7 + 1e-12 * size), y) for d in (-1, 1))
        on = np.abs(low - high) > 1e-12  # rows on a kink, whose slope may be anything between
        rest = design.T @ np.where(on, 0, w * low) + pull
        if on.any():
            best = scipy.optimize.lsq_linear(design[on].T * w[on], -rest, (np.minimum(low, high)[on], np.maximum(low, high)[on]), tol=1e-15)
            rest = rest + (design[on].T * w[on]) @ best.x
        return float(np.abs(rest).max(initial=0)), 1e3 * EPS * float(np.abs(design).max(initial=1))
    e = loss.evaluate(raw, y, value=False, hessian=True)
    terms = np.abs(e.gradient) + np.abs(e.hessian) * size
    gradient = design.T @ (w * e.gradient.T).T + pull
    rounding = 16 * EPS * (np.abs(design).T @ (w * terms.T).T + np.abs(pull))
    return float(np.abs(gradient).max()), float(rounding.max())


def objective(model: Any, x: Array, y: Array, weight: Array | None = None) -> float:
    raw = design_of(x, model) @ theta_of(model)
    return float(model.loss_(raw, y, weight)) + model.l2 / 2 * float(np.sum(model.coef_**2))


def table(loss: Any, n: int, seed: int = 0, classes: int = 3) -> tuple[dict[str, list[Any]], Any]:
    """Two columns of numbers and three of levels, as tests/frames.py reads them, and a target."""
    r = np.random.default_rng(seed)
    x, y = problem(loss, n, 2, seed, classes)
    columns = {
        "text 0": [["a", "b", "c", "é"][k] for k in r.integers(0, 4, size=n)],
        "float 1": x[:, 0].tolist(),
        "bool 2": [bool(v) for v in r.integers(0, 2, size=n)],
        "int 3": [int(v) for v in x[:, 1]],
        "text 4": [f"level {k}" for k in r.integers(10, 16, size=n)],
    }
    return columns, y


def one_hot_by_hand(columns: dict[str, list[Any]]) -> Any:
    made = []
    for values in columns.values():
        levels = sorted(set(values)) if isinstance(values[0], str | bool) else None
        made += [values] if levels is None else [[v == level for v in values] for level in levels[1:]]
    return np.array(made, float).T


LOGISTIC, POISSON, SQUARED, CROSS = ml.Logistic(), ml.Poisson(), ml.SquaredError(), ml.CrossEntropy()
