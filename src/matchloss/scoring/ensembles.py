"""Scores of forecasts that are samples: ensembles of numbers, and of vectors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matchloss.engine import threads
from matchloss.engine.arrays import as_array, as_weight, refuse, refuse_at
from matchloss.errors import DomainError, ShapeError
from matchloss.scoring._apply import Reduction, reduce, score
from matchloss.scoring.continuous import LOCATION

Estimator = Literal["qd", "nrg", "int", "fair", "pwm"]
FAIR = {"qd": False, "nrg": False, "int": False, "fair": True, "pwm": True}  # scoringrules' names, of which only two differ in value
BLOCK = 1 << 10  # rows
PAIRS = 1 << 20  # distances between members to hold at a time


def crps_ensemble(
    obs: Any,
    fct: Any,
    m_axis: int = -1,
    sample_weight: Any = None,
    reduction: Reduction = "none",
    *,
    estimator: Estimator = "qd",
    nan: Literal["raise", "skip"] = "raise",
) -> Any:
    """CRPS of an ensemble of m members: mean |x_i - obs| - sum over pairs |x_i - x_j| / (2 m^2).

    obs (...), fct (..., m) with the members along m_axis; the result has obs's shape, or is a float for "mean" and "sum", weighted by
    sample_weight. estimator "qd" (or "nrg", "int", which are equal): the score of the members' empirical distribution; "fair" (or "pwm"):
    m (m - 1) replaces m^2, which is unbiased for the distribution that the members were drawn from, and NaN for one member. nan="skip"
    leaves NaN members out, row by row. Computed from sorted members as a sum of terms >= 0, in n m log m steps and without extra memory.
    DomainError for NaN members (with "skip": rows without any other), and for infinite or NaN obs; ShapeError for shapes that do not fit.
    Source: Gneiting & Raftery (2007), eq. 21; fair: Ferro (2014).

    >>> from matchloss.scoring import crps_ensemble
    >>> crps_ensemble([0.5, 3.0], [[0.0, 1.0], [1.0, 2.0]])
    array([0.25, 1.25])
    """
    if estimator not in FAIR:
        raise DomainError(f"estimator is {estimator!r}; allowed: {', '.join(map(repr, FAIR))}")
    if nan not in ("raise", "skip"):
        raise DomainError(f"nan is {nan!r}; allowed: 'raise', 'skip'")
    y, x = as_array("obs", obs), as_array("fct", fct)
    x = np.moveaxis(x, m_axis, -1) if x.ndim else x
    if x.ndim != y.ndim + 1 or x.shape[:-1] != y.shape or x.shape[-1] == 0:
        raise ShapeError(f"obs has shape {y.shape} and fct {np.shape(fct)}; fct takes obs's shape and an axis of members")
    weight = as_weight(sample_weight, y.shape)
    live = np.ones(y.shape, bool) if weight is None else weight > 0
    refuse("obs", y, ~np.isfinite(y) & live, "finite numbers")
    out = np.empty(y.shape)
    single = all(a.dtype.kind == "f" and a.dtype.itemsize == 4 for a in (x, y))
    dtype = np.dtype(np.float32 if single else np.float64)
    with threads.FIRST_CALLS:
        from matchloss.engine.ensembles import gaps_loop

        loop = gaps_loop(dtype.str[1:])
    lines, members, on, flat = y.reshape(-1), x.reshape(-1, x.shape[-1]), live.reshape(-1), out.reshape(-1)

    def block(start: int, stop: int) -> int:
        rows = np.array(members[start:stop], dtype, order="C")
        rows[~on[start:stop]] = 0
        rows.sort(axis=1)  # by the processor's vectors where NumPy has them; the loop then finds all in order
        bad = loop(np.ascontiguousarray(lines[start:stop], dtype), rows, FAIR[estimator], nan == "skip", flat[start:stop])
        return bad if bad < 0 else bad + start

    bad = threads.over_blocks(lines.size, BLOCK, block) if lines.size else -1
    if bad >= 0:
        place = int(np.argmax(np.isnan(members[bad])))
        refuse_at("fct", x, bad * x.shape[-1] + place, "numbers; nan='skip' leaves such members out, where others are left")
    return reduce(out.astype(dtype, copy=False), weight, reduction)


def twcrps_ensemble(
    obs: Any,
    fct: Any,
    a: float = -np.inf,
    b: float = np.inf,
    m_axis: int = -1,
    sample_weight: Any = None,
    reduction: Reduction = "none",
    *,
    estimator: Estimator = "qd",
) -> Any:
    """Threshold-weighted CRPS, which judges only the values between a and b: crps_ensemble with all numbers clipped to [a, b].

    Shapes and errors: crps_ensemble; DomainError for a >= b. Source: Gneiting & Ranjan (2011); Allen, Ginsbourger & Ziegel (2023).

    >>> from matchloss.scoring import twcrps_ensemble
    >>> twcrps_ensemble([5.0], [[0.0, 10.0]], a=4.0)
    array([1.5])
    """
    if not a < b:
        raise DomainError(f"a is {a!r} and b is {b!r}; a must be below b")
    y, x = as_array("obs", obs), as_array("fct", fct)
    return crps_ensemble(np.clip(y, a, b), np.clip(x, a, b), m_axis, sample_weight, reduction, estimator=estimator)


def energy_score(
    obs: Any,
    fct: Any,
    m_axis: int = -2,
    v_axis: int = -1,
    sample_weight: Any = None,
    reduction: Reduction = "none",
    *,
    estimator: Estimator = "nrg",
) -> Any:
    """Energy score of an ensemble of vectors: mean |x_i - obs| - sum over pairs |x_i - x_j| / (2 m^2), |.| the Euclidean norm.

    obs (..., d), fct (..., m, d), members along m_axis and entries of vectors along v_axis; one number for each vector. For d = 1 it is
    crps_ensemble, whose estimators, weights and errors it shares. Source: Gneiting & Raftery (2007), eq. 22.

    >>> from matchloss.scoring import energy_score
    >>> energy_score([[0.0, 0.0]], [[[3.0, 4.0], [3.0, 4.0]]])
    array([5.])
    """
    if estimator not in FAIR:
        raise DomainError(f"estimator is {estimator!r}; allowed: {', '.join(map(repr, FAIR))}")
    y, x = as_array("obs", obs).astype(np.float64), as_array("fct", fct).astype(np.float64)
    if x.ndim < 2 or y.ndim != x.ndim - 1:
        raise ShapeError(f"obs has shape {y.shape} and fct {x.shape}; they must be (..., d) and (..., m, d)")
    x, y = np.moveaxis(x, (m_axis, v_axis), (-2, -1)), np.moveaxis(y, v_axis if v_axis < 0 else -1, -1)
    if x.shape[:-2] + x.shape[-1:] != y.shape or x.shape[-2] == 0:
        raise ShapeError(f"obs has shape {np.shape(obs)} and fct {np.shape(fct)}; they must be (..., d) and (..., m, d)")
    weight = as_weight(sample_weight, y.shape[:-1])
    live = np.ones(y.shape[:-1], bool) if weight is None else weight > 0
    refuse("obs", y, ~np.isfinite(y) & live[..., None], "finite numbers")
    refuse("fct", x, ~np.isfinite(x) & live[..., None, None], "finite numbers")
    m = x.shape[-2]
    if FAIR[estimator] and m == 1:
        raise ShapeError("a fair score needs two members or more, and fct has one")
    ys, xs = y.reshape(-1, y.shape[-1]), x.reshape(-1, m, x.shape[-1])
    made = np.empty(len(ys))
    height = max(1, PAIRS // (m * m))
    for start in range(0, len(ys), height):
        rows = slice(start, start + height)
        with np.errstate(invalid="ignore"):
            apart = np.linalg.norm(xs[rows] - ys[rows, None], axis=-1).mean(axis=-1)
            made[rows] = apart - 0.5 * _pairs(xs[rows]) / (m * (m - 1) if FAIR[estimator] else m * m)
    return reduce(made.reshape(y.shape[:-1]), weight, reduction)


def _pairs(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """For vectors (n, m, d), the sum of the distances over all ordered pairs of members, (n,)."""
    return np.linalg.norm(x[:, :, None] - x[:, None], axis=-1).sum(axis=(1, 2))


def dss_ensemble(obs: Any, fct: Any, m_axis: int = -1, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Dawid-Sebastiani score of an ensemble: z^2 + 2 log s, by the members' mean and standard deviation s (divisor m - 1).

    obs (...), fct (..., m). Proper; strictly so for the pair of mean and variance. DomainError for members that are all equal, and for NaN;
    otherwise as crps_ensemble. Source: Dawid & Sebastiani (1999).

    >>> from matchloss.scoring import dss_ensemble
    >>> round(dss_ensemble(1.0, [0.0, 2.0]), 6)
    0.693147
    """
    y, x = as_array("obs", obs).astype(np.float64), as_array("fct", fct).astype(np.float64)
    x = np.moveaxis(x, m_axis, -1) if x.ndim else x
    if x.ndim != y.ndim + 1 or x.shape[:-1] != y.shape or x.shape[-1] < 2:
        raise ShapeError(f"obs has shape {y.shape} and fct {np.shape(fct)}; fct must be obs's shape and an axis of two members or more")
    weight = as_weight(sample_weight, y.shape)
    live = np.ones(y.shape, bool) if weight is None else weight > 0
    refuse("obs", y, ~np.isfinite(y) & live, "finite numbers")
    refuse("fct", x, ~np.isfinite(x) & live[..., None], "finite numbers")
    with np.errstate(all="ignore"):
        mean, s = x.mean(axis=-1), x.std(axis=-1, ddof=1)
        refuse("the standard deviation of fct", s, ~(s > 0) & live, "(0, inf)")
        z = (y - mean) / s
        return reduce(z * z + 2 * np.log(s), weight, reduction)


def dss_normal(obs: Any, mu: Any, sigma: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Dawid-Sebastiani score of a forecast known by its mean and standard deviation: ((obs - mu) / sigma)^2 + 2 log sigma.

    Shapes and errors: crps_normal. Source: Dawid & Sebastiani (1999).

    >>> from matchloss.scoring import dss_normal
    >>> dss_normal(1.0, 0.0, 1.0)
    1.0
    """
    return score(_dss, {"obs": obs, "mu": mu, "sigma": sigma}, LOCATION, sample_weight, reduction)


def _dss(m: Any, obs: Any, mu: Any, sigma: Any) -> Any:
    z = (obs - mu) / sigma
    return z * z + 2 * m.log(sigma)
