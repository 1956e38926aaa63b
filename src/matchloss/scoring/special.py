"""CRPS and log scores of distributions that need SciPy's incomplete gamma and beta functions: NumPy arrays only.

Closed forms: Jordan, Krueger & Lerch (2019), "Evaluating probabilistic forecasts with scoringRules". Log scores: Good (1952).
2 F - 1 is computed as the difference of both tails, so that it is accurate if either is small.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special as sp

from matchloss.engine import row_targets
from matchloss.engine.arrays import as_array, as_weight, refuse, refuse_at
from matchloss.engine.special import INV_SQRT_2PI, LOG_SQRT_2PI
from matchloss.errors import DomainError, ShapeError
from matchloss.losses import Interval
from matchloss.losses._domain import NON_NEGATIVE, POSITIVE, REAL, UNIT
from matchloss.scoring._apply import Reduction, broadcast, reduce, score

OPEN_UNIT = Interval(0, 1)
ABOVE_ONE = Interval(1, inf)
BETA = {"obs": UNIT, "a": POSITIVE, "b": POSITIVE}
STUDENT = {"df": POSITIVE, "location": REAL, "scale": POSITIVE}


def crps_t(obs: Any, df: Any, location: Any = 0.0, scale: Any = 1.0, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of Student's t with df > 1 degrees of freedom (with df <= 1 it is infinite), at (obs - location) / scale, times scale.

    z (2 F(z) - 1) + 2 f(z) (df + z^2) / (df - 1) - 2 sqrt(df) / (df - 1) B(1/2, df - 1/2) / B(1/2, df/2)^2.
    obs, df, location and scale > 0 are numbers or NumPy arrays whose shapes broadcast; the result has the common shape, or is a float for
    "mean" and "sum", weighted by sample_weight. DomainError for df <= 1, scale <= 0, NaN and infinities. Source: Jordan et al. (2019).

    >>> from matchloss.scoring import crps_t
    >>> round(crps_t(0.0, 5.0), 6)
    0.257...
    """

    def formula(m: Any, obs: Any, df: Any, location: Any, scale: Any) -> Any:
        w = np.abs(obs - location) / scale
        density = np.exp(-0.5 * (df + 1) * np.log1p(w * w / df) - sp.betaln(0.5, 0.5 * df)) / np.sqrt(df)
        constant = 2 * np.sqrt(df) / (df - 1) * np.exp(sp.betaln(0.5, df - 0.5) - 2 * sp.betaln(0.5, 0.5 * df))
        tail = density * (df + w * w) / (df - 1) - w * sp.stdtr(df, -w)
        return scale * (w + 2 * tail - constant)

    given = {"obs": obs, "df": df, "location": location, "scale": scale}
    return score(formula, given, {"obs": REAL, **STUDENT, "df": ABOVE_ONE}, sample_weight, reduction, compiled=False)


def logs_t(obs: Any, df: Any, location: Any = 0.0, scale: Any = 1.0, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of Student's t: (df + 1)/2 log(1 + z^2 / df) + log B(1/2, df/2) + log(df)/2 + log scale, df > 0. As crps_t otherwise.

    >>> from matchloss.scoring import logs_t
    >>> round(logs_t(0.0, 5.0), 6)
    0.968...
    """

    def formula(m: Any, obs: Any, df: Any, location: Any, scale: Any) -> Any:
        z = (obs - location) / scale
        return 0.5 * (df + 1) * np.log1p(z * z / df) + sp.betaln(0.5, 0.5 * df) + 0.5 * np.log(df) + np.log(scale)

    given = {"obs": obs, "df": df, "location": location, "scale": scale}
    return score(formula, given, {"obs": REAL, **STUDENT}, sample_weight, reduction, compiled=False)


def _rate(rate: Any, scale: Any) -> dict[str, Any]:
    if (rate is None) == (scale is None):
        raise DomainError("a gamma distribution takes either rate or scale, which is 1 / rate")
    return {"scale": scale} if rate is None else {"rate": rate}


def crps_gamma(
    obs: Any, shape: Any, rate: Any = None, sample_weight: Any = None, reduction: Reduction = "none", *, scale: Any = None
) -> Any:
    """CRPS of a gamma distribution with shape a > 0 and rate b > 0, or scale 1 / b, at obs >= 0.

    obs (2 F_a(b obs) - 1) - a/b (2 F_(a+1)(b obs) - 1) - 1 / (b B(1/2, a)). Shapes and errors: crps_t, and DomainError for obs < 0.
    Source: Scheuerer & Moeller (2015).

    >>> from matchloss.scoring import crps_gamma
    >>> round(crps_gamma(0.2, 1.1, 0.1), 6)
    5.503536
    """
    by = _rate(rate, scale)

    def formula(m: Any, obs: Any, a: Any, given: Any) -> Any:
        size = given if "scale" in by else 1.0 / given
        x = obs / size

        def odd(k: Any) -> Any:  # 2 F - 1
            return sp.gammainc(k, x) - sp.gammaincc(k, x)

        return size * (x * odd(a) - a * odd(a + 1) - np.exp(-sp.betaln(0.5, a)))

    allowed = {"obs": NON_NEGATIVE, "shape": POSITIVE, **dict.fromkeys(by, POSITIVE)}
    return score(formula, {"obs": obs, "shape": shape, **by}, allowed, sample_weight, reduction, compiled=False)


def logs_gamma(
    obs: Any, shape: Any, rate: Any = None, sample_weight: Any = None, reduction: Reduction = "none", *, scale: Any = None
) -> Any:
    """Log score of a gamma distribution: b obs - (a - 1) log(b obs) + log Gamma(a) - log b. As crps_gamma.

    >>> from matchloss.scoring import logs_gamma
    >>> logs_gamma(1.0, 1.0, 1.0)
    1.0
    """
    by = _rate(rate, scale)

    def formula(m: Any, obs: Any, a: Any, given: Any) -> Any:
        size = given if "scale" in by else 1.0 / given
        x = obs / size
        return x - sp.xlogy(a - 1, x) + sp.gammaln(a) + np.log(size)

    allowed = {"obs": NON_NEGATIVE, "shape": POSITIVE, **dict.fromkeys(by, POSITIVE)}
    return score(formula, {"obs": obs, "shape": shape, **by}, allowed, sample_weight, reduction, compiled=False)


def crps_beta(obs: Any, a: Any, b: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a beta distribution with shapes a, b > 0, at obs in [0, 1].

    obs (2 F(obs) - 1) + a/(a + b) (1 - 2 F_(a+1, b)(obs) - 2 B(2a, 2b) / (a B(a, b)^2)). Shapes and errors: crps_t, and DomainError for
    obs outside [0, 1]. Source: Jordan, Krueger & Lerch (2019).

    >>> from matchloss.scoring import crps_beta
    >>> round(crps_beta(0.3, 0.7, 1.1), 6)
    0.085...
    """

    def formula(m: Any, obs: Any, a: Any, b: Any) -> Any:
        def odd(k: Any) -> Any:
            return sp.betainc(k, b, obs) - sp.betainc(b, k, 1 - obs)

        constant = 2 * np.exp(sp.betaln(2 * a, 2 * b) - 2 * sp.betaln(a, b)) / a
        return obs * odd(a) - a / (a + b) * (odd(a + 1) + constant)

    return score(formula, {"obs": obs, "a": a, "b": b}, BETA, sample_weight, reduction, compiled=False)


def logs_beta(obs: Any, a: Any, b: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a beta distribution: log B(a, b) - (a - 1) log obs - (b - 1) log(1 - obs). As crps_beta.

    >>> from matchloss.scoring import logs_beta
    >>> logs_beta(0.3, 1.0, 1.0)
    0.0
    """

    def formula(m: Any, obs: Any, a: Any, b: Any) -> Any:
        return sp.betaln(a, b) - sp.xlogy(a - 1, obs) - sp.xlog1py(b - 1, -obs)

    return score(formula, {"obs": obs, "a": a, "b": b}, BETA, sample_weight, reduction, compiled=False)


def crps_poisson(obs: Any, mean: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a Poisson distribution at whole numbers obs >= 0.

    (obs - mean) (2 F(obs) - 1) + 2 mean f(obs) - mean exp(-2 mean) (I_0(2 mean) + I_1(2 mean)). Shapes and errors: crps_t, and DomainError
    for obs that are negative or no whole numbers. Source: Wei & Held (2014).

    >>> from matchloss.scoring import crps_poisson
    >>> round(crps_poisson(1, 3.0), 6)
    1.143447
    """

    def formula(m: Any, obs: Any, mean: Any) -> Any:
        odd = sp.gammaincc(obs + 1, mean) - sp.gammainc(obs + 1, mean)
        density = np.exp(sp.xlogy(obs, mean) - mean - sp.gammaln(obs + 1))
        return (obs - mean) * odd + 2 * mean * density - mean * (sp.ive(0, 2 * mean) + sp.ive(1, 2 * mean))

    allowed = {"obs": NON_NEGATIVE, "mean": POSITIVE}
    return score(formula, {"obs": obs, "mean": mean}, allowed, sample_weight, reduction, whole=("obs",), compiled=False)


def logs_poisson(obs: Any, mean: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a Poisson distribution: mean - obs log mean + log obs!. As crps_poisson.

    >>> from matchloss.scoring import logs_poisson
    >>> logs_poisson(0, 3.0)
    3.0
    """

    def formula(m: Any, obs: Any, mean: Any) -> Any:
        return mean - sp.xlogy(obs, mean) + sp.gammaln(obs + 1)

    allowed = {"obs": NON_NEGATIVE, "mean": POSITIVE}
    return score(formula, {"obs": obs, "mean": mean}, allowed, sample_weight, reduction, whole=("obs",), compiled=False)


def _negbinom(n: Any, prob: Any, mu: Any) -> dict[str, Any]:
    if (prob is None) == (mu is None):
        raise DomainError("a negative binomial distribution takes either prob or mu, its mean n (1 - prob) / prob")
    return {"n": n, "mu": mu} if prob is None else {"n": n, "prob": prob}


def _half_spread(n: Any, s: Any) -> Any:
    """E|X - X'| / 2 of a negative binomial distribution with s = 4 (1 - p) / p^2: n s / 4 times 2F1(n + 1, 1/2; 2; -s), for any n and s.

    By the characteristic function of X - X' it is the integral over u > 0 of (1 - (1 + s u^2 / (1 + u^2))^-n) / (2 pi u^2). With
    log u = sinh(t) - log(1 + n s) / 2 the trapezoidal rule finds it to the last bits: all terms are positive, and they fall off doubly
    exponentially on both sides (Takahasi & Mori 1974).
    """
    step, total = 0.05, np.zeros(np.broadcast_shapes(np.shape(n), np.shape(s)))
    for t in np.arange(-92, 93) * step:
        u = np.exp(np.sinh(t)) / np.sqrt(1 + n * s)
        share = 1 / (1 + u**-2.0)
        total -= np.expm1(-n * np.log1p(s * share)) / u * np.cosh(t)
    return step / (2 * np.pi) * total


def crps_negbinom(obs: Any, n: Any, prob: Any = None, sample_weight: Any = None, reduction: Reduction = "none", *, mu: Any = None) -> Any:
    """CRPS of a negative binomial distribution: obs failures before the n-th success, n > 0, of probability prob, or by the mean mu.

    obs (2 F_n(obs) - 1) - n (1 - p)/p (2 F_(n+1)(obs - 1) - 1) - E|X - X'| / 2, X and X' independent draws. Shapes and errors:
    crps_poisson, and DomainError for prob outside (0, 1). Source: Wei & Held (2014).

    >>> from matchloss.scoring import crps_negbinom
    >>> round(crps_negbinom(2, 5, 0.5), 6)
    1.553363
    """
    by = _negbinom(n, prob, mu)

    def formula(m: Any, obs: Any, n: Any, given: Any) -> Any:
        p = given if "prob" in by else n / (n + given)
        q = 1 - p if "prob" in by else given / (n + given)
        odd = sp.betainc(n, obs + 1, p) - sp.betainc(obs + 1, n, q)
        before = np.where(obs > 0, sp.betainc(n + 1, np.maximum(obs, 1), p) - sp.betainc(np.maximum(obs, 1), n + 1, q), -1.0)
        return obs * odd - n * q / p * before - _half_spread(n, 4 * q / p**2)

    allowed = {"obs": NON_NEGATIVE, "n": POSITIVE, **({"prob": OPEN_UNIT} if "prob" in by else {"mu": POSITIVE})}
    return score(formula, {"obs": obs, **by}, allowed, sample_weight, reduction, whole=("obs",), compiled=False)


def logs_negbinom(obs: Any, n: Any, prob: Any = None, sample_weight: Any = None, reduction: Reduction = "none", *, mu: Any = None) -> Any:
    """Log score of a negative binomial distribution: -log C(obs + n - 1, obs) - n log p - obs log(1 - p). As crps_negbinom.

    >>> from matchloss.scoring import logs_negbinom
    >>> round(logs_negbinom(0, 1, 0.5), 6)
    0.693147
    """
    by = _negbinom(n, prob, mu)

    def formula(m: Any, obs: Any, n: Any, given: Any) -> Any:
        log_p = np.log(given) if "prob" in by else -np.log1p(given / n)
        log_q = np.log1p(-given) if "prob" in by else -np.log1p(n / given)
        choose = sp.betaln(np.maximum(obs, 1), n) + np.log(np.maximum(obs, 1))  # -log C(obs + n - 1, obs)
        return np.where(obs > 0, choose - obs * log_q, 0.0) - n * log_p

    allowed = {"obs": NON_NEGATIVE, "n": POSITIVE, **({"prob": OPEN_UNIT} if "prob" in by else {"mu": POSITIVE})}
    return score(formula, {"obs": obs, **by}, allowed, sample_weight, reduction, whole=("obs",), compiled=False)


def crps_binomial(obs: Any, n: Any, prob: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """CRPS of a binomial distribution, obs of n trials: the sum over x < n of (F(x) - 1{obs <= x})^2.

    obs and n whole numbers, 0 <= obs <= n, prob in (0, 1). The sum has as many terms as the greatest n. Shapes and errors: crps_poisson.
    Source: the score's definition (Matheson & Winkler 1976).

    >>> from matchloss.scoring import crps_binomial
    >>> round(crps_binomial(4, 10, 0.5), 6)
    0.595577
    """

    def formula(m: Any, obs: Any, n: Any, prob: Any) -> Any:
        total = np.zeros(np.shape(obs))
        for x in range(int(np.max(n, initial=0))):
            left = np.maximum(n - x, 1)  # stays in range for x beyond n, which is dropped
            below, above = sp.betainc(left, x + 1, 1 - prob), sp.betainc(x + 1, left, prob)
            total += np.where(x < n, np.where(obs <= x, above * above, below * below), 0.0)
        return total

    given, allowed = {"obs": obs, "n": n, "prob": prob}, {"obs": NON_NEGATIVE, "n": NON_NEGATIVE, "prob": OPEN_UNIT}
    _refuse_beyond(obs, n)
    return score(formula, given, allowed, sample_weight, reduction, whole=("obs", "n"), compiled=False)


def logs_binomial(obs: Any, n: Any, prob: Any, sample_weight: Any = None, reduction: Reduction = "none") -> Any:
    """Log score of a binomial distribution: -log C(n, obs) - obs log p - (n - obs) log(1 - p). As crps_binomial.

    >>> from matchloss.scoring import logs_binomial
    >>> round(logs_binomial(1, 1, 0.5), 6)
    0.693147
    """

    def formula(m: Any, obs: Any, n: Any, prob: Any) -> Any:
        return sp.betaln(obs + 1, n - obs + 1) + np.log1p(n) - sp.xlogy(obs, prob) - sp.xlog1py(n - obs, -prob)

    given, allowed = {"obs": obs, "n": n, "prob": prob}, {"obs": NON_NEGATIVE, "n": NON_NEGATIVE, "prob": OPEN_UNIT}
    _refuse_beyond(obs, n)
    return score(formula, given, allowed, sample_weight, reduction, whole=("obs", "n"), compiled=False)


def _refuse_beyond(obs: Any, n: Any) -> None:
    seen, trials = broadcast({"obs": as_array("obs", obs), "n": as_array("n", n)})
    beyond = seen > trials
    if beyond.any():
        at = int(np.argmax(beyond))
        refuse_at("obs", seen, at, f"0 to n, which is {trials.flat[at].item()!r} there")


def _mixture(obs: Any, m: Any, s: Any, w: Any, m_axis: int) -> tuple[NDArray[Any], ...]:
    """The checked obs, and the components' means, standard deviations and shares along the last axis."""
    y, means, sizes = as_array("obs", obs), as_array("m", m), as_array("s", s)
    if means.ndim == 0 or means.shape != sizes.shape:
        raise ShapeError(f"m has shape {means.shape} and s {sizes.shape}; they must be the same, with an axis of components, m_axis")
    means, sizes = np.moveaxis(means, m_axis, -1).astype(np.float64), np.moveaxis(sizes, m_axis, -1).astype(np.float64)
    shares = np.full(means.shape[-1], 1.0 / means.shape[-1]) if w is None else np.moveaxis(as_array("w", w), m_axis, -1)
    row_targets.check_targets(np.broadcast_to(shares, means.shape), False, means.shape[-1], None, name="w")
    refuse("s", sizes, ~((sizes > 0) & (sizes < inf)), "(0, inf)")
    refuse("m", means, ~np.isfinite(means), "finite numbers")
    refuse("obs", y, ~np.isfinite(y), "finite numbers")
    return y, means, sizes, shares


def crps_mixnorm(
    obs: Any, m: Any, s: Any, w: Any = None, m_axis: int = -1, sample_weight: Any = None, reduction: Reduction = "none"
) -> Any:
    """CRPS of a mixture of normals with means m, standard deviations s > 0 and shares w along m_axis (equal ones by default).

    sum_i w_i A(obs - m_i, s_i) - 1/2 sum_ij w_i w_j A(m_i - m_j, sqrt(s_i^2 + s_j^2)), A(d, s) = d (2 Phi(d / s) - 1) + 2 s phi(d / s).
    obs (...), m, s, w (..., M). The result has obs's shape, or is a float for "mean" and "sum". DomainError for s <= 0, shares that are
    negative or do not sum to 1, NaN. Source: Grimit et al. (2006).

    >>> from matchloss.scoring import crps_mixnorm
    >>> round(crps_mixnorm(0.0, [0.0, 0.0], [1.0, 1.0]), 6)
    0.233695
    """
    y, means, sizes, shares = _mixture(obs, m, s, w, m_axis)
    weight = as_weight(sample_weight, y.shape)

    def spread(d: Any, size: Any) -> Any:
        z = np.abs(d) / size
        return size * (z + 2 * (np.exp(-0.5 * z * z) * INV_SQRT_2PI - z * sp.ndtr(-z)))

    own = (shares * spread(y[..., None] - means, sizes)).sum(axis=-1)
    both = np.sqrt(sizes[..., :, None] ** 2 + sizes[..., None, :] ** 2)
    pairs = spread(means[..., :, None] - means[..., None, :], both) * shares[..., :, None] * shares[..., None, :]
    return reduce(np.asarray(own - 0.5 * pairs.sum(axis=(-2, -1))), weight, reduction)


def logs_mixnorm(
    obs: Any, m: Any, s: Any, w: Any = None, m_axis: int = -1, sample_weight: Any = None, reduction: Reduction = "none"
) -> Any:
    """Log score of a mixture of normals: -log sum_i w_i phi((obs - m_i) / s_i) / s_i, by the largest term. As crps_mixnorm.

    >>> from matchloss.scoring import logs_mixnorm
    >>> round(logs_mixnorm(0.0, [0.0, 0.0], [1.0, 1.0]), 6)
    0.918939
    """
    y, means, sizes, shares = _mixture(obs, m, s, w, m_axis)
    z = (y[..., None] - means) / sizes
    rows = LOG_SQRT_2PI - np.asarray(sp.logsumexp(-0.5 * z * z - np.log(sizes), b=shares, axis=-1))
    return reduce(rows, as_weight(sample_weight, y.shape), reduction)
