"""Small linear programs of losses with kinks: designs and kinks of every kind, and what a certificate must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

import matchloss as ml
from cases import POINTWISE
from matchloss.linear.interior import Interior, interior
from matchloss.linear.pieces import merged, pieces

EPS = float(np.finfo(float).eps)
KINKED = [loss for loss in POINTWISE if not loss.smooth]
SHAPES = ["normal", "integers", "levels", "repeated", "far from 0", "all sizes", "constant", "mostly 0", "heavy tails"]
KINKS = ["linear", "integers", "exact", "constant", "huge", "tiny", "heavy tails", "zero"]
WEIGHTS = ["equal", "gamma", "some 0", "all sizes"]


@dataclass(frozen=True, eq=False)
class Dense:
    """The design matrix as the method sees it."""

    x: NDArray[Any]

    @property
    def n(self) -> int:
        return self.x.shape[0]

    @property
    def columns(self) -> int:
        return self.x.shape[1]

    def times(self, theta: NDArray[Any]) -> NDArray[Any]:
        return self.x @ theta

    def transposed(self, vector: NDArray[Any]) -> NDArray[Any]:
        return self.x.T @ vector

    def gram(self, weights: NDArray[Any]) -> NDArray[Any]:
        return (self.x.T * weights) @ self.x

    def take(self, index: NDArray[Any]) -> Dense:
        return Dense(self.x[index])


@dataclass(frozen=True, eq=False)
class Case:
    """A problem, small."""

    x: NDArray[Any]
    kink: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    ridge: NDArray[Any]

    def value(self, theta: NDArray[Any]) -> float:
        off = self.x @ theta - self.kink
        return float(np.sum(np.where(off > 0, self.high, self.low) * off) + 0.5 * np.dot(self.ridge, theta**2))

    def solve(self, **options: Any) -> Interior:
        return interior(Dense(self.x), self.kink, self.low, self.high, self.ridge, **options)

    def terms(self, theta: NDArray[Any]) -> float:
        """What the objective's terms add up to: its rounding is eps of that."""
        return float(np.dot(self.high - self.low, np.abs(self.x) @ np.abs(theta) + np.abs(self.kink))) + self.value(theta)

    def linear_program(self) -> float:
        """The least value, ridge = 0, by HiGHS, whose tolerances are absolute; infinite where it gives up."""
        n, p = self.x.shape
        unit = np.abs(self.kink).max() or 1.0
        size = np.abs(self.x).max(axis=0)
        size[size == 0] = 1
        cost = np.concatenate([np.zeros(p), self.high, -self.low]) / (self.high - self.low).max()
        equal = np.hstack([self.x / size, -np.eye(n), np.eye(n)])
        found = linprog(cost, A_eq=equal, b_eq=self.kink / unit, bounds=[(None, None)] * p + [(0, None)] * (2 * n), method="highs")
        return self.value(found.x[:p] * unit / size) if found.status == 0 else np.inf


def design(r: np.random.Generator, n: int, p: int, shape: str) -> NDArray[Any]:
    x = r.normal(size=(n, p))
    x = {
        "normal": x,
        "integers": np.round(2 * x),
        "levels": np.eye(p)[r.integers(0, p, n)],
        "repeated": x[:, np.arange(p) // 2],
        "far from 0": np.where(np.arange(p) == p - 1, 2013 + 5 * x, x),
        "all sizes": x * 10.0 ** r.integers(-3, 4, p),
        "constant": np.ones((n, p)),
        "mostly 0": x * (r.uniform(size=(n, p)) < 0.15),
        "heavy tails": r.standard_t(2, size=(n, p)),
    }[shape].copy()
    if r.uniform() < 0.7 and shape != "all sizes":
        x[:, 0] = 1
    return x


def case(seed: int, shape: str, kinks: str, weights: str, ridged: bool) -> Case:
    r = np.random.default_rng(seed)
    n, p = int(r.choice([1, 2, 5, 20, 60, 200])), int(r.choice([1, 2, 3, 6, 12]))
    x, e = design(r, n, p, shape), r.normal(size=n)
    theta = r.normal(size=p)
    kink = {
        "linear": x @ theta + e,
        "integers": np.round(2 * e),
        "exact": x @ theta,
        "constant": np.full(n, 3.0),
        "huge": 1e6 * (1 + 0.1 * e),
        "tiny": 1e-6 * e,
        "heavy tails": np.exp(3 * e),
        "zero": np.zeros(n),
    }[kinks]
    w = {
        "equal": np.ones(n),
        "gamma": r.gamma(0.5, size=n) + 1e-6,
        "some 0": np.where(r.uniform(size=n) < 0.3, 0.0, 1.0),
        "all sizes": 10.0 ** r.uniform(-4, 0, n),
    }[weights]
    w = w / w.sum() if w.any() else np.full(n, 1 / n)
    alpha = float(r.choice([0.5, 0.1, 0.9, 0.99]))
    ridge = np.full(p, 10.0 ** r.integers(-3, 2)) if ridged else np.zeros(p)
    ridge[0] *= r.integers(0, 2)
    return Case(x, kink, -alpha * w, (1 - alpha) * w, ridge)


def labelled(seed: int, soft: bool, l2: float, n: int = 300, p: int = 5, noise: float = 1.0) -> Case:
    r = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), r.normal(size=(n, p - 1))])
    target = (x @ r.normal(size=p) + noise * r.normal(size=n) > 0).astype(float)
    if soft:
        target = np.clip(target + 0.3 * r.normal(size=n), 0, 1)
    index, kink, low, high = merged(pieces(ml.Hinge(), target))
    ridge = np.full(p, l2)
    ridge[0] = 0
    return Case(x if index is None else x[index], kink, low, high, ridge)


def assert_certified(problem: Case, found: Interior) -> None:
    """The slopes lie in their intervals, at their ends away from the kinks; gap, gradient and objective are what they say."""
    off = problem.x @ found.theta - problem.kink
    terms = np.abs(problem.x) @ np.abs(found.theta) + np.abs(problem.kink) + np.abs(off).mean()
    size = np.sqrt(np.mean(problem.x**2, axis=0)) * len(off)  # no smaller than the root mean square over the rows on their kinks
    away = np.abs(off) > 100 * EPS * (terms + size @ np.abs(found.theta))
    assert ((found.dual >= problem.low) & (found.dual <= problem.high)).all()
    np.testing.assert_array_equal(found.dual[away], np.where(off > 0, problem.high, problem.low)[away])
    gradient = problem.x.T @ found.dual + problem.ridge * found.theta
    rounding = 100 * EPS * (np.abs(problem.x).T @ np.abs(found.dual) + problem.ridge * np.abs(found.theta))
    assert abs(np.abs(gradient).max() - found.gradient_norm) <= rounding.max()
    assert found.objective == pytest.approx(
        problem.value(found.theta), rel=1e-12, abs=100 * EPS * float(np.dot(problem.high - problem.low, terms))
    )
    assert -100 * EPS * np.dot(problem.high - problem.low, terms) <= found.gap


def assert_solved(problem: Case, found: Interior) -> None:
    """Converged; or, one such case in ten thousand, stationary but for a slope that rounding hides."""
    assert_certified(problem, found)
    assert found.converged or 1e-8 < found.gradient_norm <= 1e-9 * np.abs(problem.x).max()


# Pieces
