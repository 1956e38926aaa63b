"""The catalogue as test cases: instances, and rows that reach every branch of every loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.losses import CATALOGUE, Interval, Loss, Simplex

MORE_PARAMETERS: dict[str, list[dict[str, float]]] = {
    "pinball": [{"alpha": 0.1}],
    "expectile": [{"alpha": 0.9}],
    "huber": [{"delta": 2.5}],
    "focal": [{"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 5.3}],
    "tweedie": [{"power": 1.0}, {"power": 1.1}, {"power": 1.9}, {"power": 2.0}, {"power": 2.7}, {"power": 3.0}, {"power": 4.5}],
    "negative_binomial": [{"size": 0.3}, {"size": 50.0}],
    "entmax": [{"alpha": 1.0}, {"alpha": 1.2}, {"alpha": 2.0}, {"alpha": 3.0}],
}
DEFAULTS: list[Loss] = [cls() for cls in CATALOGUE.values()]
INSTANCES: list[Loss] = DEFAULTS + [CATALOGUE[n](**p) for n, many in MORE_PARAMETERS.items() if n in CATALOGUE for p in many]
POINTWISE = [loss for loss in INSTANCES if loss.family != "simplex"]
SIMPLEX = [loss for loss in INSTANCES if loss.family == "simplex"]


def label(loss: Any) -> str:
    """A test's id."""
    return loss.name + "".join(f"-{v:g}" for v in loss.parameters.values()) if isinstance(loss, Loss) else str(loss)


def targets(loss: Loss) -> list[float]:
    """Hard and soft targets of a pointwise loss, its domain's ends and extremes included; all are float32 numbers too."""
    domain = loss.target_domain
    assert isinstance(domain, Interval)
    if domain.high == 1:
        return [0.0, 1.0, 0.375, float(np.float32(1e-9)), float(np.float32(1 - 1e-7))]
    if domain.low == 0:
        return ([0.0] if 0.0 in domain else []) + [1.0, 3.0, float(np.float32(0.3)), float(np.float32(1e-30)), 2.0**40]
    return [0.0, 1.5, -float(np.float32(0.3)), 1024.0]


def hard(loss: Loss, y: float) -> bool:
    """Whether the contract asks for accuracy relative to the result at this target."""
    return y == 0 or (y == 1 and loss.target_domain.high == 1)


def raws(loss: Loss, dtype: Any, size: int = 60, seed: int = 1) -> NDArray[Any]:
    """Raw predictions over the whole range of the dtype, with each kink and threshold and its neighbours."""
    r = np.random.default_rng(seed)
    wide, low, high = (745.0, -320, 308) if dtype == np.float64 else (104.0, -45, 38)
    signs = r.choice([-1.0, 1.0], 2 * size)
    eps = np.finfo(dtype).eps
    kinks = np.array([0.0, 1.0, -1.0, 1 - eps / 2, 1 + eps, -1 - eps, -1 + eps / 2])
    thresholds = np.array(
        [
            709.7,
            709.79,
            -708.4,
            -709.0,
            -744.0,
            -745.2,
            1419.0,
            -1419.0,
            7000.0,
            -7000.0,
            710.1,
            -710.1,
            36.7,
            37.5,
            38.4,
            88.7,
            3e156 if dtype == np.float64 else 3e22,
            -3e156 if dtype == np.float64 else -3e22,
            -87.4,
            -103.9,
            16.6,
            2.5,
            -2.5,
            1e-8,
        ]
    )
    e = np.concatenate(
        [
            r.uniform(-wide, wide, size),
            3 * r.normal(size=size),
            r.uniform(-1, 1, size // 2),
            1 - 10.0 ** r.uniform(np.log10(eps), -1, size // 3),
            r.uniform(-40, 40, size // 2),
            r.uniform(2, 7, size // 4),
            10.0 ** r.uniform(low, -1, size) * signs[:size],
            10.0 ** r.uniform(0, high, size) * signs[size:],
            kinks,
            thresholds,
            np.array([np.finfo(dtype).max, -np.finfo(dtype).max, np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal, -0.0]),
        ]
    )
    if loss.name in ("quartic", "sine_squared"):  # the contract: |raw - target| <= 1e5
        e = e[np.abs(e) < 9e4]
    with np.errstate(over="ignore"):
        e = e.astype(dtype)
    return e[np.isfinite(e)]


def rows(loss: Loss, dtype: Any, size: int = 60, seed: int = 1) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every raw with every target."""
    z, ys = raws(loss, dtype, size, seed), np.array(targets(loss), dtype=dtype)
    raw, target = np.meshgrid(z, ys)
    return raw.ravel(), target.ravel()


def moderate(loss: Loss, n: int, dtype: Any = np.float64, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """n ordinary rows of a pointwise loss, some of them hard labels where it has labels."""
    r = np.random.default_rng(seed)
    raw = 2 * r.normal(size=n)
    if loss.target_domain.high == 1:
        target = np.where(r.uniform(size=n) < 0.5, r.integers(0, 2, size=n), r.uniform(size=n))
    elif loss.target_domain.low == 0:
        target = r.gamma(1.5, 2.0, size=n) + 0.01
    else:
        target = 2 * r.normal(size=n)
    return raw.astype(dtype), target.astype(dtype)


def moderate_rows(n: int, k: int, dtype: Any = np.float64, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """n ordinary rows of a simplex loss: logits, labels and distributions."""
    r = np.random.default_rng(seed)
    p = r.dirichlet(np.ones(k), size=n).astype(dtype)
    return (2 * r.normal(size=(n, k))).astype(dtype), r.integers(0, k, size=n), p


def is_simplex(loss: Loss) -> bool:
    """Whether rows are vectors."""
    return isinstance(loss.target_domain, Simplex)


def logits(loss: Loss, k: int, n: int, dtype: Any, seed: int = 2) -> NDArray[Any]:
    """n rows of k entries: near and far apart, certain, tied, shifted, and at both ends of the finite numbers."""
    r = np.random.default_rng(seed + k)
    spread = np.array([1e-3, 0.3, 1.0, 3.0, 10.0, 40.0, 300.0] if loss.name != "entmax" else [1e-3, 0.3, 1.0, 1.0, 3.0, 10.0])
    if loss.name.startswith("softmax"):  # its squares cancel: the reference needs as many digits as the spread has e-folds
        spread = spread[spread < 100]
    z = r.normal(size=(n, k)) * r.choice(spread, size=(n, 1))
    z[0] = 0
    z[1, : k // 2 + 1] = z[1].max()
    z[2] = np.where(np.arange(k) == 1, 40.0, r.normal(size=k))
    z[3] += 1000
    z[4] = r.normal(size=k) * 1e30
    z[5] = np.where(np.arange(k) == 0, np.finfo(dtype).max, -np.finfo(dtype).max)
    z[6] = np.where(np.arange(k) == k - 1, 1 - 2.0**-20, 0.0)
    return z.astype(dtype)


def row_targets(k: int, n: int, dtype: Any, seed: int = 3) -> tuple[NDArray[Any], NDArray[Any]]:
    """A label and a distribution a row; the distributions have zeros, corners and tiny entries."""
    r = np.random.default_rng(seed + k)
    labels = r.integers(0, k, size=n)
    t = r.dirichlet(np.full(k, 0.3), size=n)
    t[0] = np.arange(k) == labels[0]
    t[1::5, 0] = 0
    return labels, (t / t.sum(axis=1, keepdims=True)).astype(dtype)
