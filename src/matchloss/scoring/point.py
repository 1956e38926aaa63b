"""Scores of single-number forecasts, consistent for a mean, quantile or expectile, and of intervals.

A score is consistent for a functional if no forecast has a lower expected score than the functional itself (Gneiting 2011). Lower is
better. All take the observation first, and numbers or arrays whose shapes broadcast. The result has the common shape; with reduction
"mean" or "sum" it is a float, weighted by sample_weight. Rows of weight 0 are not checked. All raise DomainError, which names the first
entry that is not allowed, ShapeError for shapes that do not broadcast, and TypeError for anything that is not a number.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from matchloss.engine.arrays import as_array, refuse
from matchloss.errors import DomainError, ShapeError
from matchloss.losses import Interval
from matchloss.losses._domain import NON_NEGATIVE, POSITIVE, REAL
from matchloss.losses.regression import AbsoluteError, Expectile, Pinball, SquaredError
from matchloss.scoring._apply import Reduction, broadcast, reduce, score

OPEN_UNIT = Interval(0, 1)
NUMBERS = {"obs": REAL, "fct": REAL}

# With the identity link a loss is a score with its arguments swapped, so these use the losses' formulas.
_half_squared, _absolute_loss = SquaredError.formula, AbsoluteError.formula
_pinball_loss, _expectile_loss = Pinball.formula, Expectile.formula


def _squared(m: Any, obs: Any, fct: Any) -> Any:
    return 2 * _half_squared(m, fct, obs)[0]


def squared_error(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """(fct - obs)^2, strictly consistent for the mean. Source: Savage (1971); Gneiting (2011).

    >>> from matchloss.scoring import squared_error
    >>> squared_error([1.0, 2.0], [1.0, 4.0])
    array([0., 4.])
    >>> squared_error([1.0, 2.0], [1.0, 4.0], reduction="mean")
    2.0
    """
    return score(_squared, {"obs": obs, "fct": fct}, NUMBERS, sample_weight, reduction)


def _absolute(m: Any, obs: Any, fct: Any) -> Any:
    return _absolute_loss(m, fct, obs)[0]


def absolute_error(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """|fct - obs|, consistent for the median. Source: Gneiting (2011).

    >>> from matchloss.scoring import absolute_error
    >>> absolute_error([1.0, 2.0], [1.0, 4.0])
    array([0., 2.])
    """
    return score(_absolute, {"obs": obs, "fct": fct}, NUMBERS, sample_weight, reduction)


def _pinball(m: Any, obs: Any, fct: Any, alpha: Any) -> Any:
    return _pinball_loss(m, fct, obs, alpha)[0]


def pinball(obs: Any, fct: Any, alpha: Any = 0.5, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """(1{fct >= obs} - alpha) (fct - obs), consistent for the alpha-quantile, alpha in (0, 1). Source: Koenker & Bassett (1978).

    alpha may be an array too. At 1/2 it is half the absolute error. Also available under scoringrules' name, quantile_score.

    >>> from matchloss.scoring import pinball
    >>> pinball([1.0, 2.0], [3.0, 1.0], alpha=0.9).round(10)
    array([0.2, 0.9])
    """
    return score(_pinball, {"obs": obs, "fct": fct, "alpha": alpha}, {**NUMBERS, "alpha": OPEN_UNIT}, sample_weight, reduction)


quantile_score = pinball


def _expectile(m: Any, obs: Any, fct: Any, alpha: Any) -> Any:
    return _expectile_loss(m, fct, obs, alpha)[0]


def expectile_score(obs: Any, fct: Any, alpha: Any = 0.5, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """|1{fct >= obs} - alpha| (fct - obs)^2, strictly consistent for the alpha-expectile, alpha in (0, 1). Source: Newey & Powell (1987).

    >>> from matchloss.scoring import expectile_score
    >>> expectile_score([1.0, 2.0], [3.0, 1.0], alpha=0.75)
    array([1.  , 0.75])
    """
    return score(_expectile, {"obs": obs, "fct": fct, "alpha": alpha}, {**NUMBERS, "alpha": OPEN_UNIT}, sample_weight, reduction)


def _entropic(m: Any, obs: Any, fct: Any) -> Any:
    """obs log(obs / fct) - obs + fct >= 0, by log1p of the relative difference, so that nothing cancels near fct = obs."""
    d = fct - obs
    near = m.abs(d) < 0.5 * obs
    r = m.where(near, d / m.where(obs > 0, obs, 1.0), 0.0)
    far = m.where(obs == 0, fct, m.where(fct > 0, obs * (m.log(obs) - m.log(fct)) + d, inf + 0.0 * d))
    return m.where(near, obs * _log1p_gap(m, r), far)


def _log1p_gap(m: Any, r: Any) -> Any:
    """r - log(1 + r) for |r| <= 1/2, a sum of terms of one sign up to its first two: s = r / (2 + r), log(1 + r) = 2 atanh s."""
    s = r / (2 + r)
    t = s * s
    tail = 0.0
    for k in range(35, 1, -2):  # 1/3 + t/5 + ...
        tail = tail * t + 1.0 / k
    return s * r - 2 * s * t * tail


def poisson_deviance(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """2 (obs log(obs / fct) - obs + fct), strictly consistent for the mean of counts and of other numbers >= 0; 0 log 0 is 0.

    obs, fct >= 0; infinite for a forecast of 0 if obs > 0. Source: McCullagh & Nelder (1989).

    >>> from matchloss.scoring import poisson_deviance
    >>> poisson_deviance([0.0, 2.0], [1.0, 2.0])
    array([2., 0.])
    """
    allowed = {"obs": NON_NEGATIVE, "fct": NON_NEGATIVE}
    return score(_poisson, {"obs": obs, "fct": fct}, allowed, sample_weight, reduction)


def _poisson(m: Any, obs: Any, fct: Any) -> Any:
    return 2 * _entropic(m, obs, fct)


def _gamma(m: Any, obs: Any, fct: Any) -> Any:
    r = (obs - fct) / fct
    near = m.abs(r) < 0.5
    safe = m.where(near, r, 0.0)
    return 2 * m.where(near, _log1p_gap(m, safe), r - (m.log(obs) - m.log(fct)))


def gamma_deviance(obs: Any, fct: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """2 (obs / fct - 1 - log(obs / fct)), strictly consistent for the mean of numbers > 0. Source: McCullagh & Nelder (1989).

    >>> from matchloss.scoring import gamma_deviance
    >>> gamma_deviance([1.0, 2.0], [1.0, 4.0]).round(6)
    array([0.      , 0.386294])
    """
    return score(_gamma, {"obs": obs, "fct": fct}, {"obs": POSITIVE, "fct": POSITIVE}, sample_weight, reduction)


def _tweedie(m: Any, obs: Any, fct: Any, power: Any) -> Any:
    """The Bregman divergence of mu^(2 - p) / ((1 - p) (2 - p)), p not 0, 1 or 2; only its last term if obs = 0."""
    a, b = 1 - power, 2 - power
    log_fct, log_obs = m.log(fct), m.log(m.where(obs > 0, obs, 1.0))
    level = m.exp(b * log_fct) / b
    slope = m.where(obs > 0, obs * m.exp(a * log_fct) / a, 0.0)
    own = m.where(obs > 0, m.exp(b * log_obs) / (a * b), 0.0)
    return 2 * (own - slope + level)


def tweedie_deviance(obs: Any, fct: Any, power: float = 1.5, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Deviance of the Tweedie family: 2 (obs^(2-p) / ((1-p)(2-p)) - obs fct^(1-p) / (1-p) + fct^(2-p) / (2-p)), consistent for the mean.

    power p: 0 squared error, 1 poisson_deviance, 2 gamma_deviance; 1 < p < 2 for numbers with zeros, p > 2 for numbers > 0; fct > 0.
    Source: Joergensen (1987).

    >>> from matchloss.scoring import tweedie_deviance
    >>> tweedie_deviance([0.0, 4.0], [1.0, 4.0], power=1.5)
    array([4., 0.])
    """
    p = float(power)
    if p == 0:
        return squared_error(obs, fct, sample_weight, reduction)
    if p == 1:
        return poisson_deviance(obs, fct, sample_weight, reduction)
    if p == 2:
        return gamma_deviance(obs, fct, sample_weight, reduction)
    if not 1 < p < inf:
        raise DomainError(f"power is {power!r}; allowed: 0, and numbers of 1 or more")
    allowed = {"obs": NON_NEGATIVE if p < 2 else POSITIVE, "fct": POSITIVE, "power": REAL}
    return score(_tweedie, {"obs": obs, "fct": fct, "power": p}, allowed, sample_weight, reduction)


def _interval(m: Any, obs: Any, lower: Any, upper: Any, alpha: Any) -> Any:
    below, above = lower - obs, obs - upper
    return upper - lower + (2 / alpha) * (m.where(below > 0, below, 0.0) + m.where(above > 0, above, 0.0))


def interval_score(obs: Any, lower: Any, upper: Any, alpha: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Winkler's score of a central (1 - alpha) interval: upper - lower + 2/alpha times the distance of obs from it.

    Consistent for the quantiles at alpha/2 and 1 - alpha/2. DomainError for crossed ends (how many, and the first row) and alpha outside
    (0, 1). Source: Winkler (1972); Gneiting & Raftery (2007), eq. 43.

    >>> from matchloss.scoring import interval_score
    >>> interval_score([1.0, 5.0], 0.0, 4.0, alpha=0.5)
    array([4., 8.])
    """
    arrays = {"obs": obs, "lower": lower, "upper": upper, "alpha": alpha}
    _refuse_crossed(lower, upper)
    return score(_interval, arrays, {"obs": REAL, "lower": REAL, "upper": REAL, "alpha": OPEN_UNIT}, sample_weight, reduction)


def _refuse_crossed(lower: Any, upper: Any) -> None:
    low, high = broadcast({"lower": as_array("lower", lower), "upper": as_array("upper", upper)})
    crossed = low > high
    if crossed.any():
        at = np.unravel_index(int(np.argmax(crossed)), crossed.shape)
        row = f"[{', '.join(map(str, at))}]" if at else ""
        raise DomainError(
            f"lower is above upper in {int(crossed.sum())} of {crossed.size} rows, first lower{row} = {low[at].item()!r} above "
            f"upper{row} = {high[at].item()!r}; quantiles may not cross"
        )


def weighted_interval_score(
    obs: Any,
    median: Any,
    lower: Any,
    upper: Any,
    alpha: Any,
    sample_weight: Any = None,
    reduction: Reduction = "none",
    *,
    w_median: float | None = None,
    w_alpha: Any = None,
) -> Any:
    """A median and K central intervals in one score: (w_0 |obs - median| + sum_k w_k interval score_k) / (K + 1/2).

    obs, median (...), lower and upper (..., K), alpha (K,); w_0 = w_median, by default 1/2, w_k = w_alpha, by default alpha_k / 2: then it
    is the mean pinball score of all quantiles, which tends to the CRPS. Errors: interval_score. Source: Bracher et al. (2021).

    >>> from matchloss.scoring import weighted_interval_score
    >>> weighted_interval_score([1.0], [2.0], [[0.0]], [[4.0]], [0.5])
    array([1.])
    """
    y, centre = as_array("obs", obs), as_array("median", median)
    low, high, level = as_array("lower", lower), as_array("upper", upper), as_array("alpha", alpha)
    k = level.size
    if level.ndim != 1 or low.shape[-1:] != (k,) or high.shape[-1:] != (k,) or k == 0:
        raise ShapeError(f"lower has shape {low.shape}, upper {high.shape}, alpha {level.shape}; they must be (..., K), (..., K) and (K,)")
    parts = np.asarray(interval_score(y[..., None], low, high, level))
    weights = level / 2 if w_alpha is None else np.broadcast_to(as_array("w_alpha", w_alpha), level.shape)
    refuse("w_alpha", weights, ~(weights >= 0), "[0, inf)")
    first = 0.5 if w_median is None else w_median
    rows = (first * np.asarray(absolute_error(y, centre)) + (weights * parts).sum(axis=-1)) / (k + 0.5)
    weight = None if sample_weight is None else np.broadcast_to(as_array("sample_weight", sample_weight), rows.shape)
    return reduce(np.asarray(rows), weight, reduction)
