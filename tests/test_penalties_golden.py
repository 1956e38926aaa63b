"""Glum's golden master: the coefficients that its own tests hold it to, for penalties, factors, bounds and cross-validation.

Source: github.com/Quantco/glum, tests/glm/golden_master/simulation_gm.json at 971fd60. tests/golden_glum.json holds some of its vectors,
to nine decimals, the intercept first. The data are drawn here again, without glum's code, from the seed that its generator takes: if NumPy
ever changes its streams, all of these tests fail at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.model_selection import KFold

import matchloss as ml
from matchloss.linear import LinearRegressor, LinearRegressorCV

Array = NDArray[Any]
GLUM: dict[str, list[float]] = json.loads(Path(__file__).with_name("golden_glum.json").read_text())
LOSSES: dict[str, ml.Loss] = {
    "normal": ml.SquaredError(),
    "poisson": ml.Poisson(),
    "gamma": ml.Gamma(),
    "tweedie_p=1.5": ml.Tweedie(1.5),
    "binomial": ml.Logistic(),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "elastic-net": {"l1": 0.5, "l2": 0.5},
    "variable_p1": {"l1": 1.0, "penalty_factor": np.arange(30) / 10},  # the first column is free
    "bounds": {"l2": 1.0, "bounds": {f"x{j}": (0.0, 0.4) for j in range(30)}},
}
CHOSEN = {"poisson": 0.5}  # the share of l1 that glum's search took, of 0.2, 0.5 and 0.9; 0.2 for the others
SELDOM = ("normal", "tweedie_p=1.5")  # which cost a compiled loop each


def often(names: Iterable[str]) -> list[Any]:
    """The names, with a mark on those that run less often."""
    return [pytest.param(name, marks=pytest.mark.exhaustive if name.startswith(SELDOM) else ()) for name in names]


class Simulated(NamedTuple):
    x: Array  # ten normal columns, then the levels of two categories, all ten of each
    y: Array
    weight: Array
    offset: Array


def tweedie(mean: Array) -> Array:
    """Power 1.5 and dispersion 1 as a Poisson number of exponential amounts, by a seed of its own."""
    r = np.random.default_rng(1)
    counts = r.poisson(2 * np.sqrt(mean))
    return np.array([r.gamma(1.0, scale, size=k).sum() for scale, k in zip(np.sqrt(mean) / 2, counts, strict=True)])


@cache
def simulated(family: str) -> Simulated:
    r, n = np.random.default_rng(1), 5000
    numbers = r.normal(r.integers(-2, 2, size=10), size=(n, 10))
    r.choice(3, size=10)  # drawn there too, and not used
    levels = r.choice(10, size=(n, 2))
    x = np.hstack([numbers, np.eye(10)[levels[:, 0]], np.eye(10)[levels[:, 1]]])
    z = 0.2 + x @ np.array([1, 0.5, 0.1, -0.1, -0.5, -1, 0, 0, 0, 0, *r.uniform(size=20)])
    draw = {
        "normal": lambda: r.normal(z),
        "poisson": lambda: r.poisson(np.exp(z)),
        "gamma": lambda: r.gamma(np.exp(z)),
        "tweedie_p=1.5": lambda: tweedie(np.exp(z)),
        "binomial": lambda: r.binomial(1, 1 / (1 + np.exp(-z))),
    }
    return Simulated(x, draw[family]().astype(float), r.uniform(size=n), np.log(r.uniform(size=n)))


@pytest.mark.parametrize("name", often(name for name in GLUM if "CV" not in name))
def test_glum(name: str) -> None:
    """As near as glum holds itself, 1e-5; the same columns are out; and glum's point is no better by its own objective."""
    family, run = name.split(": ")
    options, data, glum = OPTIONS[run.split("_weights")[0]], simulated(family), np.array(GLUM[name])
    model = LinearRegressor(LOSSES[family], **options).fit(data.x, data.y, data.weight, data.offset)
    ours = np.array([model.intercept_, *model.coef_])
    np.testing.assert_allclose(ours, glum, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(ours == 0, glum == 0)
    assert model.kkt_residual_ <= 1e-8

    def objective(b: Array) -> float:
        factor = options.get("penalty_factor", 1.0)
        penalty = np.sum(factor * (options.get("l1", 0.0) * np.abs(b[1:]) + options.get("l2", 0.0) / 2 * b[1:] ** 2))
        return float(LOSSES[family](b[0] + data.x @ b[1:] + data.offset, data.y, data.weight) + penalty)

    assert model.objective_ == pytest.approx(objective(ours), rel=1e-13)
    assert objective(ours) <= objective(glum) + 1e-13 * abs(objective(glum))


def test_glum_on_sparse_columns() -> None:
    data, glum = simulated("poisson"), GLUM["poisson: elastic-net_weights_offset"]
    model = LinearRegressor("poisson", l1=0.5, l2=0.5).fit(sparse.csr_array(data.x), data.y, data.weight, data.offset)
    np.testing.assert_allclose([model.intercept_, *model.coef_], glum, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", often(LOSSES))
def test_cross_validation_of_glum(family: str) -> None:
    """The same penalty out of three, and its coefficients on all rows."""
    data = simulated(family)
    found = LinearRegressorCV(LOSSES[family], alphas=[0.1, 0.05, 0.01], l1_ratio=CHOSEN.get(family, 0.2), cv=KFold(3), rule="min")
    found.fit(data.x, data.y)
    assert found.alpha_ == 0.01
    np.testing.assert_allclose([found.intercept_, *found.coef_], GLUM[f"{family}: CV"], rtol=0, atol=1e-5)
