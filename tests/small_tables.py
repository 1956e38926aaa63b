"""Small tables of one number and one category, with targets of each kind that depend on the number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[Any]

ROWS = 400


def table_of(rows: int = ROWS, **targets: Callable[[Array, np.random.Generator], Array]) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    x = rng.normal(size=rows)
    return pl.DataFrame({"x": x, "c": rng.choice(["a", "b"], rows), **{name: make(x, rng) for name, make in targets.items()}})


def number(x: Array, rng: np.random.Generator) -> Array:
    return 3 * x + rng.normal(size=len(x))


def price(x: Array, rng: np.random.Generator) -> Array:
    return np.exp(0.8 * x) * rng.gamma(3.0, 1 / 3, len(x)) + 0.01


def share(x: Array, rng: np.random.Generator) -> Array:
    return 1 / (1 + np.exp(-x - 0.5 * rng.normal(size=len(x))))


def label(x: Array, rng: np.random.Generator) -> Array:
    return np.where(x + rng.logistic(size=len(x)) > 0, "yes", "no")


def three(x: Array, rng: np.random.Generator) -> Array:
    return np.array(["low", "mid", "high"])[np.digitize(x + rng.logistic(size=len(x)), [-1, 1])]


def count(x: Array, rng: np.random.Generator) -> Array:
    return rng.poisson(np.exp(0.5 * x) * rng.gamma(2.0, 0.5, len(x)))
