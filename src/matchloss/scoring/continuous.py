"""CRPS and log scores of distributions on the real line whose formulas `m` can express: compiled, accurate in both tails.

The continuous ranked probability score is the integral of (F(x) - 1{obs <= x})^2 over x. It has the units of the observation, and for a
forecast that is a single number it is the absolute error. The log score is -log of the density at the observation. Both are strictly
proper. Closed forms: Jordan, Krueger & Lerch (2019), "Evaluating probabilistic forecasts with scoringRules".

With w = |obs - mu| / sigma, a CRPS is written as w plus a term of the tail beyond w minus a constant, so that nothing cancels far out.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from matchloss.engine.arrays import as_array, refuse_at
from matchloss.engine.special import LOG_SQRT_2PI, inverse_mills_excess, normal_density, normal_tail
from matchloss.losses._domain import NON_NEGATIVE, POSITIVE, REAL
from matchloss.scoring._apply import Reduction, broadcast, score

INV_SQRT_PI = 0.5641895835477563
SQRT_HALF = 0.7071067811865476
LOCATION = {"obs": REAL, "mu": REAL, "sigma": POSITIVE}
LAPLACE = {"obs": REAL, "location": REAL, "scale": POSITIVE}


def _crps_normal(m: Any, obs: Any, mu: Any, sigma: Any) -> Any:
    w = m.abs(obs - mu) / sigma
    excess = inverse_mills_excess(m, w)
    return sigma * (w + 2 * normal_density(m, w) * excess / (w + excess) - INV_SQRT_PI)


def crps_normal(obs: Any, mu: Any, sigma: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a normal distribution: sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (obs - mu) / sigma.

    obs, mu and sigma > 0 are numbers or arrays whose shapes broadcast; the result has the common shape, or is a float for "mean" and
    "sum", weighted by sample_weight. DomainError for sigma <= 0, NaN and infinities. Source: Gneiting, Raftery et al. (2005).

    >>> from matchloss.scoring import crps_normal
    >>> crps_normal([0.0, 1.5], 0.0, 1.0).round(6)
    array([0.233695, 0.994424])
    """
    return score(_crps_normal, {"obs": obs, "mu": mu, "sigma": sigma}, LOCATION, sample_weight, reduction)


def _logs_normal(m: Any, obs: Any, mu: Any, sigma: Any) -> Any:
    z = (obs - mu) / sigma
    return 0.5 * z * z + m.log(sigma) + LOG_SQRT_2PI


def logs_normal(obs: Any, mu: Any, sigma: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a normal distribution: z^2 / 2 + log sigma + log(2 pi) / 2, z = (obs - mu) / sigma. Shapes and errors: crps_normal.

    Source: Good (1952).

    >>> from matchloss.scoring import logs_normal
    >>> round(logs_normal(0.0, 0.0, 1.0), 6)
    0.918939
    """
    return score(_logs_normal, {"obs": obs, "mu": mu, "sigma": sigma}, LOCATION, sample_weight, reduction)


def _crps_logistic(m: Any, obs: Any, mu: Any, sigma: Any) -> Any:
    w = m.abs(obs - mu) / sigma
    return sigma * (w + 2 * m.log1p_unit(m.exp(-w)) - 1.0)


def crps_logistic(obs: Any, mu: Any, sigma: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a logistic distribution: sigma (z - 2 log F(z) - 1), z = (obs - mu) / sigma, F(z) = 1 / (1 + exp(-z)).

    Shapes and errors: crps_normal. Source: Taillardat et al. (2016).

    >>> from matchloss.scoring import crps_logistic
    >>> round(crps_logistic(0.0, 0.0, 1.0), 6)
    0.386294
    """
    return score(_crps_logistic, {"obs": obs, "mu": mu, "sigma": sigma}, LOCATION, sample_weight, reduction)


def _logs_logistic(m: Any, obs: Any, mu: Any, sigma: Any) -> Any:
    w = m.abs(obs - mu) / sigma
    return w + 2 * m.log1p_unit(m.exp(-w)) + m.log(sigma)


def logs_logistic(obs: Any, mu: Any, sigma: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a logistic distribution: |z| + 2 log(1 + exp(-|z|)) + log sigma. Shapes and errors: crps_normal. Source: Good (1952).

    >>> from matchloss.scoring import logs_logistic
    >>> round(logs_logistic(0.0, 0.0, 1.0), 6)
    1.386294
    """
    return score(_logs_logistic, {"obs": obs, "mu": mu, "sigma": sigma}, LOCATION, sample_weight, reduction)


def _crps_laplace(m: Any, obs: Any, location: Any, scale: Any) -> Any:
    w = m.abs(obs - location) / scale
    return scale * (w + m.exp(-w) - 0.75)


def crps_laplace(obs: Any, location: Any = 0.0, scale: Any = 1.0, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a Laplace distribution: scale (|z| + exp(-|z|) - 3/4), z = (obs - location) / scale. Shapes and errors: crps_normal.

    Source: Jordan, Krueger & Lerch (2019).

    >>> from matchloss.scoring import crps_laplace
    >>> round(crps_laplace(0.3, 0.1, 0.2), 6)
    0.123576
    """
    return score(_crps_laplace, {"obs": obs, "location": location, "scale": scale}, LAPLACE, sample_weight, reduction)


def _logs_laplace(m: Any, obs: Any, location: Any, scale: Any) -> Any:
    return m.abs(obs - location) / scale + m.log(2 * scale)


def logs_laplace(obs: Any, location: Any = 0.0, scale: Any = 1.0, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a Laplace distribution: |z| + log(2 scale). Shapes and errors: crps_normal. Source: Good (1952).

    >>> from matchloss.scoring import logs_laplace
    >>> round(logs_laplace(0.0, 0.0, 1.0), 6)
    0.693147
    """
    return score(_logs_laplace, {"obs": obs, "location": location, "scale": scale}, LAPLACE, sample_weight, reduction)


def _normal_cdf(m: Any, x: Any) -> Any:
    tail = normal_tail(m, m.abs(x))
    return m.where(x > 0, 1 - tail, tail)


def _crps_lognormal(m: Any, obs: Any, mulog: Any, sigmalog: Any) -> Any:
    z = (m.log(obs) - mulog) / sigmalog
    mean = m.exp(mulog + 0.5 * sigmalog * sigmalog)
    # obs (2 Phi(z) - 1) - 2 mean (Phi(z - sigma) - Phi(-sigma / sqrt 2)), the tails taken on the side where they are small
    spread = normal_tail(m, SQRT_HALF * sigmalog)
    low = z < 0
    own = normal_tail(m, m.abs(z))
    part = _normal_cdf(m, m.where(low, z - sigmalog, sigmalog - z))
    below = 2 * mean * (spread - part) - obs * (1 - 2 * own)
    above = obs * (1 - 2 * own) - 2 * mean * (1 - spread - part)
    return m.where(low, below, above)


def crps_lognormal(obs: Any, mulog: Any, sigmalog: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a lognormal distribution, log obs ~ normal(mulog, sigmalog), obs >= 0.

    obs (2 Phi(z) - 1) - 2 exp(mulog + sigmalog^2 / 2) (Phi(z - sigmalog) + Phi(sigmalog / sqrt 2) - 1), z = (log obs - mulog) / sigmalog.
    Shapes and errors: crps_normal, and DomainError for obs < 0. Source: Baran & Lerch (2015).

    >>> from matchloss.scoring import crps_lognormal
    >>> round(crps_lognormal(1.0, 0.0, 1.0), 6)
    0.267405
    """
    allowed = {"obs": NON_NEGATIVE, "mulog": REAL, "sigmalog": POSITIVE}
    return score(_crps_lognormal, {"obs": obs, "mulog": mulog, "sigmalog": sigmalog}, allowed, sample_weight, reduction)


def _logs_lognormal(m: Any, obs: Any, mulog: Any, sigmalog: Any) -> Any:
    log_obs = m.log(obs)
    z = (log_obs - mulog) / sigmalog
    made = 0.5 * z * z + log_obs + m.log(sigmalog) + LOG_SQRT_2PI
    return m.where(obs == 0, inf * sigmalog, made)  # the density falls to 0 there faster than any power


def logs_lognormal(obs: Any, mulog: Any, sigmalog: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a lognormal distribution: z^2 / 2 + log(obs sigmalog) + log(2 pi) / 2; infinite at obs = 0. As crps_lognormal.

    >>> from matchloss.scoring import logs_lognormal
    >>> round(logs_lognormal(1.0, 0.0, 1.0), 6)
    0.918939
    """
    allowed = {"obs": NON_NEGATIVE, "mulog": REAL, "sigmalog": POSITIVE}
    return score(_logs_lognormal, {"obs": obs, "mulog": mulog, "sigmalog": sigmalog}, allowed, sample_weight, reduction)


def _crps_exponential(m: Any, obs: Any, rate: Any) -> Any:
    return obs + (2 * m.expm1(-rate * obs) + 0.5) / rate


def crps_exponential(obs: Any, rate: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of an exponential distribution: obs - 2 (1 - exp(-rate obs)) / rate + 1 / (2 rate), obs >= 0, rate > 0.

    Shapes and errors: crps_normal, and DomainError for obs < 0. Source: Jordan, Krueger & Lerch (2019).

    >>> from matchloss.scoring import crps_exponential
    >>> round(crps_exponential(0.8, 3.0), 6)
    0.360479
    """
    allowed = {"obs": NON_NEGATIVE, "rate": POSITIVE}
    return score(_crps_exponential, {"obs": obs, "rate": rate}, allowed, sample_weight, reduction)


def _logs_exponential(m: Any, obs: Any, rate: Any) -> Any:
    return rate * obs - m.log(rate)


def logs_exponential(obs: Any, rate: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of an exponential distribution: rate obs - log rate, obs >= 0. Shapes and errors: crps_exponential. Source: Good (1952).

    >>> from matchloss.scoring import logs_exponential
    >>> logs_exponential(1.0, 1.0)
    1.0
    """
    allowed = {"obs": NON_NEGATIVE, "rate": POSITIVE}
    return score(_logs_exponential, {"obs": obs, "rate": rate}, allowed, sample_weight, reduction)


def _interval(low: Any, high: Any) -> dict[str, Any]:
    """Both ends; DomainError if they are not in order."""
    if isinstance(low, int | float | list | tuple | np.ndarray) and isinstance(high, int | float | list | tuple | np.ndarray):
        high, low = broadcast({"max": as_array("max", high), "min": as_array("min", low)})
        bad = ~(high > low)
        if bad.any():
            at = int(np.argmax(bad))
            refuse_at("max", high, at, f"numbers above min, which is {low.flat[at].item()!r} there")
    return {"min": low, "max": high}


def _crps_uniform(m: Any, obs: Any, low: Any, high: Any) -> Any:
    width = high - low
    inside = m.where(obs < low, low, m.where(obs > high, high, obs))
    z = (inside - low) / width
    q = (high - inside) / width
    return m.abs(obs - inside) + width * (z * z * z + q * q * q) / 3


def crps_uniform(obs: Any, min: Any, max: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a uniform distribution on [min, max]: width (z^3 + (1 - z)^3) / 3 at z = (obs - min) / width, plus any distance outside.

    Shapes and errors: crps_normal; DomainError where max <= min. Source: Jordan, Krueger & Lerch (2019).

    >>> from matchloss.scoring import crps_uniform
    >>> crps_uniform([0.5, 2.0], 0.0, 1.0).round(6)
    array([0.083333, 1.333333])
    """
    return score(_crps_uniform, {"obs": obs, **_interval(min, max)}, {"obs": REAL, "min": REAL, "max": REAL}, sample_weight, reduction)


def _logs_uniform(m: Any, obs: Any, low: Any, high: Any) -> Any:
    return m.where((obs >= low) & (obs <= high), m.log(high - low), inf * (high - low))


def logs_uniform(obs: Any, min: Any, max: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a uniform distribution on [min, max]: log(max - min), infinite outside. Shapes and errors: crps_uniform.

    >>> from matchloss.scoring import logs_uniform
    >>> logs_uniform(0.3, 0.0, 1.0)
    0.0
    """
    return score(_logs_uniform, {"obs": obs, **_interval(min, max)}, {"obs": REAL, "min": REAL, "max": REAL}, sample_weight, reduction)
