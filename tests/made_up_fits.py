"""Fits that nobody made: real losses, made-up numbers, for the page that shows them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

import matchloss as ml
from matchloss.fit.result import Effect, FitResult, Step
from matchloss.scoring import Reliability, reliability
from matchloss.tables.scores import Score

CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV", "HA", "OO")


def diagram(low: float, high: float, n: int = 300, of: str = "", seed: int = 0) -> Reliability:
    rng = np.random.default_rng(seed)
    forecast = low + (high - low) * np.linspace(0, 1, n) ** 1.6
    seen = (rng.uniform(size=n) < forecast) if of else forecast + (high - low) * rng.normal(size=n)
    return reliability(seen, forecast, "probability" if of else "mean", draws=20, label=of)


def trace(sampled: int = 3, whole: int = 6) -> tuple[Step, ...]:
    """Passes over a subsample, then over all rows, each of them nearer to the end."""
    first = [Step(0.454 + 0.2 * 0.06**i, 0.3 * 0.05**i, 500) for i in range(sampled)]
    then = [Step(0.45 + 4e-5 * 0.06**i, 8e-3 * 0.05**i, 4000) for i in range(whole)]
    return (*first, *then, Step(0.45, 3.1e-10, 4000))


def effects(n: int = 8, toward: tuple[str, ...] = ("",), seed: int = 1) -> tuple[Effect, ...]:
    rng = np.random.default_rng(seed)
    names = [
        "distance",
        "scheduled hour",
        *(f"carrier = {c}" for c in CARRIERS),
        "temperature",
        "temperature is missing",
        *(f"destination = {chr(65 + i % 26)}{chr(65 + i * 7 % 26)}{chr(65 + i * 3 % 26)}" for i in range(400)),
    ][:n]
    made = []
    for name in names:
        for to in toward:
            share = 1.0 if " = " not in name and "missing" not in name else float(rng.uniform(0.0001, 0.2))
            coef = float(rng.normal() * 10.0 ** rng.integers(-3, 1))
            made.append(Effect(name, coef, abs(coef) * (1.0 if share == 1 else math.sqrt(share * (1 - share))), to, share))
    return tuple(sorted(made, key=lambda e: -e.effect))


def fit(loss: Any, kind: Any, target: str, classes: tuple[str, ...] = (), **changes: Any) -> FitResult:
    names = ("log", "Brier", "spherical", "error rate") if classes else ("squared error", "absolute error")
    fields: dict[str, Any] = {
        "source": "flights",
        "kind": kind,
        "why": f"{target} has two labels: the logistic loss is cross entropy for two classes, and its error signal is output minus wanted.",
        "model": SimpleNamespace(loss=loss, target=target, classes=classes),
        "rows": 5089,
        "dropped": 89,
        "scored": 1000,
        "how": "Scores are of 1,000 rows held out (seed 0).",
        "alerts": (),
        "messages": ("89 rows without a value of late dropped: 5,000 left.", "Missing numbers get the mean and an indicator: temperature."),
        "warnings": (),
        "passes": 10,
        "seconds": 0.1234,
        "method": "Newton in fused passes, from a start on every 8th row",
        "converged": True,
        "objective": 0.45,
        "gradient_norm": 3.1e-10,
        "trace": trace(),
        "effects": effects(),
        "scores": {name: Score(0.42 - 0.08 * i) for i, name in enumerate(names)},
        "constant": {name: Score(0.5 - 0.09 * i) for i, name in enumerate(names)},
        "reliability": (diagram(0.02, 0.8, of=classes[-1] if classes else ""),),
    }
    return FitResult(**fields | changes)


def label(**changes: Any) -> FitResult:
    warnings = (
        "dep_delay alone predicts late almost perfectly: is it known before late is? If not, --drop dep_delay.",
        "The coefficients of carrier = OO and destination = ANC are collinear: only their sum is determined.",
    )
    return fit(ml.Logistic(), "binary", "late", ("on time", "late"), **{"warnings": warnings, "effects": effects(30)} | changes)


def number(**changes: Any) -> FitResult:
    fields = {
        "why": "arr_delay is a number, and squared error finds its mean.",
        "reliability": (diagram(-12.0, 41.0),),
        "objective": 987.6,
        "trace": (Step(987.6, 3e-13, 4000),),
        "passes": 1,
        "method": "normal equations",
    }
    return fit(ml.SquaredError(), "number", "arr_delay", **fields | changes)


def quantile(**changes: Any) -> FitResult:
    fields = {
        "why": "pinball was asked for; it finds the quantile at alpha.",
        "reliability": (diagram(10.0, 90.0),),
        "converged": False,
        "warnings": ("It did not converge in 100 passes: allow more with --max-passes.",),
        "trace": tuple(Step(11.2 + 3 / (1 + i) ** 2, 0.2 / (1 + i), 4000) for i in range(100)),
        "objective": 11.2,
    }
    return fit(ml.Pinball(alpha=0.9), "number", "arr_delay", **fields | changes)


def classes(names: tuple[str, ...] = CARRIERS, coefficients: int = 40, **changes: Any) -> FitResult:
    shown = names[:6]
    fields = {
        "why": f"carrier is a label with {len(names)} classes: cross entropy, whose error signal is output minus wanted.",
        "effects": effects(coefficients, names),
        "reliability": tuple(diagram(0.001, 0.05 + 0.5 / (1 + i), of=name, seed=i) for i, name in enumerate(shown)),
    }
    return fit(ml.CrossEntropy(), "multiclass", "carrier", names, **fields | changes)
