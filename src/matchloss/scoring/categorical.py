"""Scores of probabilities of labels: a probability of label 1, or a distribution over K classes.

Binary: obs is 0, 1 or a probability of 1 between them, and fct the forecast probability of 1, of the same shape. Otherwise fct is
(..., K), and obs is integer labels (...) from 0 or distributions (..., K): a single label with K numbers is one forecast of K classes.
All scores are linear in the observation (the score at a distribution is the mean of those at its labels) and strictly proper (Gneiting
& Raftery 2007). The best score is 0, for a label that was forecast with certainty.
The result has one number per row; with reduction "mean" or "sum" it is a float, weighted by sample_weight.

DomainError, with row and value, for a bad label, probability or distribution (its sum may be off by 1e-6, in float32 by 1e-4);
ShapeError for other shapes. A label that was given probability 0 has an infinite log score; a warning counts such rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from matchloss.engine import row_targets, threads
from matchloss.engine.arrays import as_array, as_weight
from matchloss.engine.namespaces import NUMPY, NUMPY_ROWS, namespace, row_reductions
from matchloss.errors import DomainError, ShapeError
from matchloss.losses._domain import UNIT
from matchloss.losses._terms import times
from matchloss.scoring._apply import Reduction, is_foreign, reduce, score, widened

BLOCK = 1 << 16  # entries of distributions to check and score at a time, so that they stay in cache


def _score(
    binary: FunctionType,
    classes: FunctionType,
    obs: Any,
    fct: Any,
    sample_weight: Any,
    reduction: Reduction,
    *constants: float,
    of_labels: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None = None,
) -> Any:
    """binary(m, obs, fct, *constants) for probabilities of label 1, classes(m, r, p, t, *constants) for distributions p and t.

    of_labels(p, y), if given, is the same for NumPy's labels y, in fewer steps.
    """
    if is_foreign(obs) or is_foreign(fct):
        return _of_library(binary, classes, obs, fct, sample_weight, reduction, *constants)
    if _is_binary(np.ndim(obs), np.ndim(fct)):
        given = {"obs": obs, "fct": fct, **{f"constant{i}": c for i, c in enumerate(constants)}}
        made = score(binary, given, {"obs": UNIT, "fct": UNIT}, sample_weight, "none")
        return _finish(np.asarray(made), reduction, None if sample_weight is None else as_weight(sample_weight, np.shape(made)))
    y, p = as_array("obs", widened(obs)), as_array("fct", widened(fct))
    if p.ndim == 0 or p.shape[-1] < 2 or y.shape not in (p.shape, p.shape[:-1]):
        raise ShapeError(f"obs has shape {y.shape} and fct {p.shape}; fct (..., K) asks for labels (...) or distributions (..., K)")
    labels = y.shape != p.shape
    if labels and y.dtype.kind == "f":
        raise TypeError(f"obs has dtype {y.dtype}; labels are integers")
    k, weight = p.shape[-1], as_weight(sample_weight, p.shape[:-1])
    tolerance = row_targets.sum_tolerance(np.asarray(fct).dtype)
    ps, ys = p.reshape(-1, k), y.reshape(-1) if labels else y.reshape(-1, k)
    ws = None if weight is None else weight.reshape(-1)
    made = np.empty(len(ps), np.float32 if p.dtype == np.float32 else np.float64)

    def block(start: int, stop: int) -> int:
        part, seen, w = ps[start:stop], ys[start:stop], None if ws is None else ws[start:stop]
        if not _sound(part, seen, labels, k, w, tolerance):
            return start
        made[start:stop] = _values(classes, of_labels if labels else None, part, seen, labels, w, constants)
        return -1

    if threads.over_blocks(len(ps), max(1, BLOCK // k), block) >= 0:
        row_targets.check_targets(p, False, k, weight, tolerance, "fct")
        row_targets.check_targets(y, labels, k, weight, name="obs")
    return _finish(made.reshape(p.shape[:-1]), reduction, weight)


def _is_binary(obs: int, fct: int) -> bool:
    """Whether these dimensions are probabilities of label 1; one label with K numbers is one forecast of K classes."""
    return obs < 2 and fct < 2 and not (obs == 0 and fct == 1)


def _sound(p: NDArray[Any], y: NDArray[Any], labels: bool, k: int, w: NDArray[Any] | None, tolerance: float) -> bool:
    try:
        if not (p.size and p.min() >= 0 and np.abs(_row_sums(p) - 1).max() <= tolerance):  # the usual case, in two passes
            row_targets.check_targets(p, False, k, w, tolerance)
        row_targets.check_targets(y, labels, k, w)
    except DomainError:
        return False
    return True


def _places(p: NDArray[Any], y: NDArray[Any]) -> NDArray[np.intp]:
    """Where the labels' probabilities stand among all entries of p in the order of its rows."""
    return np.arange(0, p.size, p.shape[1]) + y.astype(np.intp, copy=False)


def _row_sums(p: NDArray[Any]) -> NDArray[np.float64]:
    """The sum of each row; of short rows several times as fast as numpy.sum."""
    return np.einsum("ij->i", p, dtype=np.float64)


def _values(
    classes: FunctionType,
    of_labels: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None,
    p: NDArray[Any],
    y: NDArray[Any],
    labels: bool,
    w: NDArray[Any] | None,
    constants: tuple[float, ...],
) -> NDArray[np.float64]:
    p = p.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        if of_labels is not None and (w is None or (w > 0).all()):
            made = of_labels(p, y)
        else:
            t = (y[:, None] == np.arange(p.shape[1])).astype(np.float64) if labels else y.astype(np.float64)
            made = classes(NUMPY, NUMPY_ROWS, p, t, *constants)[:, 0]
    return made if w is None else np.where(w == 0, 0.0, made * w)


def _finish(weighted: NDArray[Any], reduction: Reduction, weight: NDArray[Any] | None) -> Any:
    """Reduces rows that are already weighted; a warning counts those with an infinite score."""
    infinite = int(np.isinf(weighted).sum())
    if infinite:
        warnings.warn(
            f"{infinite} of {weighted.size} rows have an infinite score: what happened there was given probability 0", stacklevel=4
        )
    if reduction == "mean" and weight is not None:
        mass = float(np.sum(weight, dtype=np.float64))
        if not mass > 0:
            raise ShapeError("there is no row of positive weight: a mean needs one")
        return float(np.sum(weighted, dtype=np.float64)) / mass
    return reduce(weighted, None, reduction)


def _of_library(
    binary: FunctionType, classes: FunctionType, obs: Any, fct: Any, sample_weight: Any, reduction: Reduction, *constants: float
) -> Any:
    """The score by another library's functions, without checks of labels and distributions, whose values may not be visible."""
    if _is_binary(getattr(obs, "ndim", 0), getattr(fct, "ndim", 0)):
        given = {"obs": obs, "fct": fct, **{f"constant{i}": c for i, c in enumerate(constants)}}
        return score(binary, given, {"obs": UNIT, "fct": UNIT}, sample_weight, reduction)
    xp: Any = array_api_compat.array_namespace(obs, fct)
    obs, k = obs if is_foreign(obs) else xp.asarray(obs), fct.shape[-1]
    t = obs if obs.shape == fct.shape else xp.astype(xp.expand_dims(obs, axis=-1) == xp.arange(k), fct.dtype)
    made = classes(namespace(xp), row_reductions(xp), fct, t, *constants)[..., 0]
    if sample_weight is not None:
        made = xp.where(sample_weight == 0, xp.zeros_like(made), made * sample_weight)
    if reduction == "none":
        return made
    return xp.sum(made) / ((xp.sum(sample_weight) if sample_weight is not None else made.size) if reduction == "mean" else 1)


def _log(m: Any, obs: Any, fct: Any) -> Any:
    return -(times(m, obs, m.log(fct)) + times(m, 1 - obs, m.log1p(-fct))) + 0.0


def _log_classes(m: Any, r: Any, p: Any, t: Any) -> Any:
    top = r.first_max(p)
    return r.sum(-times(m, t, _log_of(m, p, m.where(top, r.sum(m.where(top, 0.0, p)), 1.0))) + 0.0)


def _log_of(m: Any, p: Any, rest: Any) -> Any:
    """log p, near p = 1 by the sum of the rest of the row, which is known more accurately than p."""
    near = (1 - rest == p) & (rest < 0.5)
    return m.where(near, m.log1p(-m.where(near, rest, 0.0)), m.log(p))


def _log_labels(p: NDArray[np.float64], y: NDArray[Any]) -> NDArray[np.float64]:
    seen, rest = p.take(_places(p, y)), np.ones(len(y))
    sure = np.flatnonzero(seen > 0.5)
    others = p[sure]
    others.reshape(-1)[_places(others, y[sure])] = 0.0
    rest[sure] = _row_sums(others)
    return 0.0 - _log_of(NUMPY, seen, rest)


def log_score(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """-sum_k obs_k log fct_k, at a label -log of its probability, with 0 log 0 = 0. Infinite if what happened had probability 0.

    Shapes and errors: the text of this module, matchloss.scoring.categorical. Source: Good (1952).

    >>> from matchloss.scoring import log_score
    >>> log_score([1, 0], [0.5, 1e-17])
    array([6.93147181e-01, 1.00000000e-17])
    >>> log_score([0, 2], [[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]], reduction="mean")  # half of log 2
    0.34657359027997264
    """
    return _score(_log, _log_classes, obs, fct, sample_weight, reduction, of_labels=_log_labels)


def _brier(m: Any, obs: Any, fct: Any) -> Any:
    miss = 1 - fct
    return obs * miss * miss + (1 - obs) * fct * fct


def _brier_classes(m: Any, r: Any, p: Any, t: Any) -> Any:
    miss = 1 - p
    return 0.5 * r.sum(t * miss * miss + (1 - t) * p * p)


def _brier_labels(p: NDArray[np.float64], y: NDArray[Any]) -> NDArray[np.float64]:
    places, squares = _places(p, y), np.square(p, order="C")
    squares.reshape(-1)[places] = np.square(1 - p.take(places))
    return 0.5 * _row_sums(squares)


def brier_score(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Half |fct - e|^2 at the label e, averaged over obs if that is a distribution; between 0 and 1. Shapes and errors: log_score.

    For a probability of label 1: obs (1 - fct)^2 + (1 - obs) fct^2, scikit-learn's `brier_score_loss`. Source: Brier (1950).

    >>> from matchloss.scoring import brier_score
    >>> brier_score([1, 0], [0.5, 0.0])
    array([0.25, 0.  ])
    >>> brier_score([1, 0], [[0.5, 0.5], [1.0, 0.0]], reduction="mean")
    0.125
    """
    return _score(_brier, _brier_classes, obs, fct, sample_weight, reduction, of_labels=_brier_labels)


def _pseudo_spherical(m: Any, obs: Any, fct: Any, power: Any) -> Any:
    a, miss = power, 1 - fct
    size = m.exp(m.log(m.exp(a * m.log(fct)) + m.exp(a * m.log1p(-fct))) / a)
    return obs * (1 - m.exp((a - 1) * m.log(fct / size))) + (1 - obs) * (1 - m.exp((a - 1) * m.log(miss / size)))


def _pseudo_spherical_classes(m: Any, r: Any, p: Any, t: Any, power: float) -> Any:
    size = m.exp(m.log(r.sum(m.exp(power * m.log(p)))) / power)
    return r.sum(t * (1 - m.exp((power - 1) * m.log(p / size))))


def pseudo_spherical_score(obs: Any, fct: Any, power: float = 2.0, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """1 - (fct_k / |fct|_power)^(power - 1) at the label k, averaged over obs; power > 1, at 2 it is the spherical score.

    Shapes and errors: log_score, and DomainError for power <= 1. Source: Good (1971); Gneiting & Raftery (2007), eq. 9.

    >>> from matchloss.scoring import pseudo_spherical_score
    >>> pseudo_spherical_score([1], [0.5], power=2.0).round(6)
    array([0.292893])
    """
    if not 1 < power < np.inf:
        raise DomainError(f"power is {power!r}; allowed: numbers above 1")
    return _score(_pseudo_spherical, _pseudo_spherical_classes, obs, fct, sample_weight, reduction, float(power))


def _spherical(m: Any, obs: Any, fct: Any) -> Any:
    miss = 1 - fct
    size = m.sqrt(fct * fct + miss * miss)
    return obs * miss * miss / (size * (size + fct)) + (1 - obs) * fct * fct / (size * (size + miss))


def _spherical_classes(m: Any, r: Any, p: Any, t: Any) -> Any:
    return r.sum(t * (1 - p / m.sqrt(r.sum(p * p))))


def spherical_score(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """1 - <obs, fct> / |fct|: 0 for a label forecast with certainty, 1 for one that was given probability 0.

    Shapes and errors: log_score. Source: Roby (1965), reversed so that lower is better.

    >>> from matchloss.scoring import spherical_score
    >>> spherical_score([1, 1], [1.0, 0.0])
    array([0., 1.])
    """
    return _score(_spherical, _spherical_classes, obs, fct, sample_weight, reduction)


def _power(m: Any, obs: Any, fct: Any, power: Any) -> Any:
    a, miss = power, 1 - fct
    mass = (m.exp(a * m.log(fct)) + m.exp(a * m.log1p(-fct))) / a + 1 / (a * (a - 1))
    return mass - (obs * m.exp((a - 1) * m.log(fct)) + (1 - obs) * m.exp((a - 1) * m.log(miss))) / (a - 1)


def _power_classes(m: Any, r: Any, p: Any, t: Any, power: float) -> Any:
    a = power
    return r.sum(m.exp(a * m.log(p))) / a + 1 / (a * (a - 1)) - r.sum(t * m.exp((a - 1) * m.log(p))) / (a - 1)


def power_score(obs: Any, fct: Any, power: float = 1.5, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """sum_j fct_j^a / a - fct_k^(a - 1) / (a - 1) + 1 / (a (a - 1)) at the label k, averaged over obs: of Tsallis's entropy, a = power > 1.

    At 2 it is the Brier score; towards 1 the log score. Its matching loss is Entmax(alpha=power). Shapes and errors: log_score, and
    DomainError for power <= 1. Source: Tsallis (1988); Dawid (2007).

    >>> from matchloss.scoring import power_score
    >>> power_score([1], [0.5], power=2.0)
    array([0.25])
    """
    if not 1 < power < np.inf:
        raise DomainError(f"power is {power!r}; allowed: numbers above 1")
    return _score(_power, _power_classes, obs, fct, sample_weight, reduction, float(power))


def rps_score(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Ranked probability score of K ordered classes: sum over k < K of (P_k - O_k)^2, P and O the cumulative fct and obs.

    obs: labels from 0 or distributions; at a distribution it is the mean over its labels. For two classes it is the Brier score.
    Shapes and errors: log_score. Source: Epstein (1969).

    >>> from matchloss.scoring import rps_score
    >>> rps_score([0, 2], [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]])
    array([0.25, 1.25])
    """
    return _score(_brier, _rps_classes, obs, fct, sample_weight, reduction)


def _rps_classes(m: Any, r: Any, p: Any, t: Any) -> Any:
    total, below, seen = 0.0 * p[..., :1], 0.0 * p[..., :1], 0.0 * p[..., :1]
    for k in range(p.shape[-1] - 1):
        below, seen = below + p[..., k : k + 1], seen + t[..., k : k + 1]
        total = total + seen * (1 - below) * (1 - below) + (1 - seen) * below * below
    return total
