"""The matching loss of any prediction function: the loss whose error signal is prediction - target."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.engine.namespaces import NUMPY, Namespace
from matchloss.errors import DomainError
from matchloss.losses._domain import REAL, Interval
from matchloss.losses._loss import PointwiseLoss
from matchloss.losses._solve import crossing
from matchloss.losses._terms import Numbers, Triple, times

__all__ = ["match"]

Formula = Callable[[Any, Any], Any]
REACH = 30.0  # a value by integration is checked for |raw| up to here
ERROR = 1e-10  # and must be within this, or within 64 eps of the integral
STEP = 0.0009765625  # step of the difference quotient for the hessian, whose error is then about 1e-12


def match(predict: Formula, potential: Formula | None = None) -> MatchingLoss:
    """The matching loss of your own prediction function, the inverse of its link.

    `predict(m, raw)` is written over the protocol `m` (m.exp, m.tanh, m.where, ...; matchloss.engine.namespaces) and must not decrease.
    gradient = predict(raw) - target; value = F(raw) - target * raw, with F the integral of predict from 0; hessian = the slope of
    predict, by a difference quotient good to about 1e-11. F is given as `potential(m, raw)`, or computed by Gauss-Legendre quadrature
    with an error of at most 1e-10 for |raw| <= 30 (or 64 eps of F if that is more). raw, target and outputs have equal shapes.
    Raises ValueError, with a counterexample, if predict decreases or is not finite, if the potential's slope is not the prediction, or
    if 256 nodes do not integrate predict. Source: Auer, Herbster and Warmuth (1996); Helmbold, Kivinen and Warmuth (1999).

    >>> import matchloss as ml
    >>> loss = ml.match(lambda m, raw: m.tanh(raw), potential=lambda m, raw: m.softplus(2 * raw) - raw)
    >>> float(loss.gradient(0.5, 0.25).round(6)), float(loss.predict(0.5).round(6))
    (0.212117, 0.462117)
    """
    grid = np.concatenate([np.linspace(-REACH, REACH, 4801), [-500.0, -100.0, 100.0, 500.0]])
    grid.sort()
    with np.errstate(all="ignore"):
        p = np.asarray(predict(NUMPY, grid), dtype=np.float64)
    if p.shape != grid.shape:
        raise ValueError(f"predict must return one number a row: for {grid.size} rows it returned shape {p.shape}")
    near = np.abs(grid) <= REACH
    if not np.isfinite(p[near]).all():
        i = int(np.argmin(np.where(near, np.isfinite(p), True)))
        raise ValueError(f"predict is not finite: at raw = {grid[i]:g} it is {p[i]}")
    drop = np.diff(p)
    scale = np.maximum(np.abs(p[1:]), np.abs(p[:-1]))
    if (falls := drop < -1e-12 * scale).any():
        i = int(np.argmin(np.where(falls, drop, 0)))
        raise ValueError(f"predict decreases: at raw = {grid[i]:g} it is {p[i]:.17g}, at {grid[i + 1]:g} it is {p[i + 1]:.17g}")
    if not (drop > 0).any():
        raise ValueError(f"predict is constant: {p[0]:g} everywhere; its link does not exist")
    if potential is None:
        potential = _integrated(predict)
    else:
        _check_slope(predict, potential, grid[near], p[near])
    return MatchingLoss(predict, potential)


def _check_slope(predict: Formula, potential: Formula, z: NDArray[Any], p: NDArray[Any]) -> None:
    """ValueError unless the potential's differences agree with Simpson's rule for predict over short steps."""
    h = 1e-3
    with np.errstate(all="ignore"):
        left, right = (np.asarray(potential(NUMPY, z + s * h), dtype=np.float64) for s in (-1, 1))
        ends = [np.asarray(predict(NUMPY, z + s * h), dtype=np.float64) for s in (-1, 1)]
    mean = (ends[0] + 4 * p + ends[1]) / 6
    slope = (right - left) / (2 * h)
    allowed = 1e-6 * (1 + np.abs(mean)) + 4e-16 * (np.abs(left) + np.abs(right)) / h
    if (wrong := ~(np.abs(slope - mean) <= allowed)).any():
        i = int(np.argmax(wrong))
        raise ValueError(f"potential's slope is not predict: at raw = {z[i]:g} the slope is {slope[i]:.9g} and predict is {p[i]:.9g}")


def _integrated(predict: Formula) -> Formula:
    """The integral of predict from 0 to raw, by the shortest rule that agrees with adaptive quadrature within ERROR up to REACH."""

    def at(z: float) -> float:
        return float(np.asarray(predict(NUMPY, np.asarray([z], dtype=np.float64)))[0])

    from scipy.integrate import quad

    points = np.concatenate([s * np.geomspace(0.25, REACH, 24) for s in (-1, 1)])
    exact = np.array([quad(at, 0.0, z, epsabs=1e-13, epsrel=1e-13, limit=500)[0] for z in points])
    worst = (0.0, np.inf)
    for count in (16, 32, 64, 128, 256):
        x, w = np.polynomial.legendre.leggauss(count)
        potential = gauss(predict, tuple((0.5 + 0.5 * x).tolist()), tuple((0.5 * w).tolist()))
        error = np.abs(potential(NUMPY, points) - exact)
        excess = error - 64 * np.finfo(float).eps * np.abs(exact)
        worst = float(points[int(np.argmax(excess))]), float(error[int(np.argmax(excess))])
        if excess.max() <= 0.5 * ERROR:
            return potential
    raise ValueError(
        f"predict cannot be integrated to {ERROR:g} by {count} nodes: at raw = {worst[0]:g} the error is {worst[1]:.2g}; pass potential="
    )


def gauss(predict: Formula, nodes: tuple[float, ...], weights: tuple[float, ...]) -> Formula:
    """Quadrature on [0, raw], as a formula."""
    count = len(nodes)

    def potential(m: Namespace, raw: Numbers) -> Numbers:
        total = 0.0 * raw
        for i in range(count):
            total = total + weights[i] * predict(m, nodes[i] * raw)
        return total * raw

    return potential


def formula_of(predict: Formula, potential: Formula) -> FunctionType:
    """Value, gradient and hessian from a prediction function and its integral."""

    def matching(m: Namespace, raw: Numbers, target: Numbers) -> Triple:
        near = 8 * (predict(m, raw + STEP) - predict(m, raw - STEP))
        far = predict(m, raw + 2 * STEP) - predict(m, raw - 2 * STEP)
        return potential(m, raw) - times(m, target, raw), predict(m, raw) - target, (near - far) / (12 * STEP)

    return matching


@dataclass(frozen=True)
class MatchingLoss(PointwiseLoss):
    """What `match` returns: equal if made of the same functions."""

    prediction: Formula = field()
    potential: Formula = field()

    family = "matching"
    title = "Matching loss"
    equation = "F(z) - y z, F' = predict"
    error_signal = "predict(z) - y"
    link_name = "the inverse of predict"
    sources = ("Auer, Herbster & Warmuth 1996", "Helmbold, Kivinen & Warmuth 1999")
    convex = True
    target_domain = REAL
    matching = True
    proper = True
    linear_in_target = True
    zero_iff_right = True

    def __post_init__(self) -> None:
        """Skips the checks of numeric parameters: these are functions, which `match` has checked."""
        object.__setattr__(self, "token", f"match {uuid.uuid4()}")

    def __repr__(self) -> str:
        return f"match({getattr(self.prediction, '__name__', repr(self.prediction))})"

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    @cached_property
    def _formula(self) -> FunctionType:
        return formula_of(self.prediction, self.potential)

    @property
    def formula(self) -> FunctionType:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._formula

    @property
    def predict_formula(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.prediction

    @property
    def prediction_domain(self) -> Interval:
        return REAL

    def link(self, prediction: Any) -> Any:
        """The raw at which predict reaches the prediction, by bisection on |raw| <= 1000; DomainError if it never does."""
        raw = np.asarray(self.minimiser(prediction))
        with np.errstate(all="ignore"):
            p = np.asarray(prediction, dtype=np.float64)
            missed = ~(np.abs(np.asarray(self.prediction(NUMPY, raw)) - p) <= 1e-9 * (1 + np.abs(p)))
        if missed.any():
            i = int(np.argmax(missed))
            raise DomainError(f"prediction {p.reshape(-1)[i]!r} (entry {i}) is not reached by predict for |raw| <= 1000")
        return raw[()]

    def minimiser(self, target: Any) -> Any:
        y = np.asarray(target, dtype=np.float64)

        def gradient(raw: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
            with np.errstate(all="ignore"):
                return np.asarray(self.prediction(NUMPY, raw)) - y

        return np.clip(crossing(gradient, y, -1000.0, 1000.0), -1000.0, 1000.0)
