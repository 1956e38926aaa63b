"""Whether a function is, but for a factor and terms without the prediction, a loss of the catalogue: then its exact values are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.losses import Loss
from matchloss.losses._loss import CATALOGUE

Numbers = NDArray[np.float64]
KINDS = {"regression": "regression", "binary": "binary", "count": "positive", "positive": "positive", "multiclass": "simplex"}
PARAMETERS: dict[str, tuple[dict[str, float], ...]] = {"entmax": ({}, {"alpha": 2.0}), "focal": ({}, {"gamma": 1.0})}
RAW = ("sparsemax", "entmax")  # known by their raw outputs: of probabilities it is the squared difference, which nobody calls so
ENOUGH = 50  # rows at which a function and the member must agree,
AGREED = 1e-6  # so closely, of their size


@dataclass(frozen=True)
class Member:
    """value(x, y) = factor * loss.value(raw(x), y) + a term without x, 0 where `exact`."""

    loss: Loss
    factor: float
    input: str  # as in the convention
    exact: bool  # there is no such term

    def __str__(self) -> str:
        return repr(self.loss) if self.factor == 1 else f"{self.factor:g} * {self.loss!r}"

    def raw(self, x: Numbers) -> Numbers:
        """The raw predictions of x."""
        return raw_of(self.loss, self.input, x)

    def value(self, x: Numbers, y: NDArray[Any]) -> Numbers:
        """Exact to a few roundings: of value(x, y) where `exact`, else but for the term without x."""
        return self.factor * self.loss.value(self.raw(x), y)

    def gradient(self, x: Numbers, y: NDArray[Any]) -> Numbers:
        """The exact gradient; for input "raw" only."""
        return self.factor * self.loss.gradient(np.asarray(x, dtype=np.float64), y)


def raw_of(loss: Loss, input: str, x: Numbers) -> Numbers:
    """Own input -> raw prediction."""
    x = np.asarray(x, dtype=np.float64)
    if input == "raw":
        return x
    if input == "log_prediction":
        return x if loss.name == "cross_entropy" else loss.link(np.exp(x))
    return np.asarray(loss.link(x), dtype=np.float64)


def candidates(kind: str, input: str) -> list[Loss]:
    """The catalogue's losses of this kind of target, at their usual parameters; the simplest, of fewest parameters, first."""
    chosen = [made for made in CATALOGUE.values() if made.family == KINDS[kind] and (input == "raw" or made.name not in RAW)]
    losses = [made(**parameters) for made in chosen for parameters in PARAMETERS.get(made.name, ({},))]
    return sorted(losses, key=lambda loss: len(loss.parameters))


def member_of(kind: str, input: str, value: Callable[[Numbers, NDArray[Any]], Numbers], x: Numbers, y: NDArray[Any]) -> Member | None:
    """The loss that `value` is at rows x, each target of y at several predictions; None if there is none."""
    with np.errstate(all="ignore"):
        seen = value(x, y)
        if not np.isfinite(seen).sum() >= ENOUGH:
            return None
        for loss in candidates(kind, input):
            try:
                known = np.asarray(loss.value(raw_of(loss, input, x), y), dtype=np.float64)
            except (ValueError, TypeError, NotImplementedError):  # a target or prediction outside its domain
                continue
            if found := _matched(seen, known, y):
                return Member(loss, found[0], input, found[1])
    return None


def _matched(seen: Numbers, known: Numbers, y: NDArray[Any]) -> tuple[float, bool] | None:
    """Factor, and whether no term is left; None unless seen = factor * known + a term of the target alone, at each row to 1e-6."""
    usable = np.isfinite(seen) & np.isfinite(known)
    seen, known, y = seen[usable], known[usable], y[usable]
    if len(seen) < ENOUGH:
        return None
    a, b = seen.copy(), known.copy()
    for label in np.unique(y):
        middle = np.flatnonzero(y == label)[np.argsort(known[y == label])[(y == label).sum() // 2]]
        a[y == label] -= seen[middle]
        b[y == label] -= known[middle]
    if not b.any():
        return None
    factor = float((a @ b) / (b @ b))
    near = round(factor * 64) / 64
    factor = near if near and abs(factor - near) <= 1e-6 * abs(factor) else factor
    size = np.abs(seen) + np.abs(factor * known) + np.abs(a)
    if factor <= 0 or (np.abs(a - factor * b) > AGREED * (size + np.median(size))).any():
        return None
    return factor, bool(np.abs(seen - factor * known).max() <= 1e-12 * size.max())
