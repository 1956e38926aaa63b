"""Scores of distributions against mpmath at 50 digits, far into both tails; and against numerical integration of their definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

from matchloss import scoring

EPS = np.finfo(float).eps
FAR = [0.0, 1e-9, 0.1, 0.7, 1.0, 2.5, 8.0, 38.0, 1e3, 1e8]


def normal(y: Any, mu: Any, s: Any) -> Any:
    w = abs(y - mu) / s
    phi = mp.npdf(w)
    return s * (w + 2 * (phi - w * mp.ncdf(-w)) - 1 / mp.sqrt(mp.pi)), s * (w + 1)


def logistic(y: Any, mu: Any, s: Any) -> Any:
    w = abs(y - mu) / s
    return s * (w + 2 * mp.log1p(mp.exp(-w)) - 1), s * (w + 2)


def laplace(y: Any, mu: Any, s: Any) -> Any:
    w = abs(y - mu) / s
    return s * (w + mp.exp(-w) - mp.mpf(3) / 4), s * (w + 2)


def lognormal(y: Any, mu: Any, s: Any) -> Any:
    z, mean = (mp.log(y) - mu) / s, mp.exp(mu + s * s / 2)
    return y * (2 * mp.ncdf(z) - 1) - 2 * mean * (mp.ncdf(z - s) + mp.ncdf(s / mp.sqrt(2)) - 1), y + 2 * mean * (1 + abs(z) + s * s)


def exponential(y: Any, rate: Any) -> Any:
    return y - 2 * (1 - mp.exp(-rate * y)) / rate + 1 / (2 * rate), y + 3 / rate


def uniform(y: Any, a: Any, b: Any) -> Any:
    x = min(max(y, a), b)
    z = (x - a) / (b - a)
    return abs(y - x) + (b - a) * (z**3 + (1 - z) ** 3) / 3, abs(y) + abs(a) + abs(b)


def student(y: Any, df: Any, mu: Any, s: Any) -> Any:
    z = (y - mu) / s
    half = mp.betainc(df / 2, 0.5, 0, df / (df + z * z), regularized=True) / 2
    w = abs(z)
    f = mp.gamma((df + 1) / 2) / mp.gamma(df / 2) / mp.sqrt(df * mp.pi) * (1 + z * z / df) ** (-(df + 1) / 2)
    constant = 2 * mp.sqrt(df) / (df - 1) * mp.beta(0.5, df - 0.5) / mp.beta(0.5, df / 2) ** 2
    return s * (w - 2 * w * half + 2 * f * (df + z * z) / (df - 1) - constant), s * (w + constant + 1) * (1 + df)


def gamma(y: Any, a: Any, rate: Any) -> Any:
    f, g = (mp.gammainc(k, 0, rate * y, regularized=True) for k in (a, a + 1))
    constant = 1 / (rate * mp.beta(0.5, a))
    return y * (2 * f - 1) - a / rate * (2 * g - 1) - constant, y + a / rate + constant


def beta(y: Any, a: Any, b: Any) -> Any:
    f, g = (mp.betainc(k, b, 0, y, regularized=True) for k in (a, a + 1))
    constant = 2 * mp.beta(2 * a, 2 * b) / (a * mp.beta(a, b) ** 2)
    return y * (2 * f - 1) + a / (a + b) * (1 - 2 * g - constant), y + a / (a + b) * (1 + constant)


def by_definition(law: Any, y: int) -> Any:
    """The sum of (F(x) - 1{y <= x})^2 over whole numbers, of probabilities law(x)."""
    total, f, x = mp.mpf(0), mp.mpf(0), 0
    while x <= y or f < 1 - mp.mpf(10) ** -40:
        f += law(x)
        total += (f - (1 if y <= x else 0)) ** 2
        x += 1
    return total


def poisson(y: Any, mean: Any) -> Any:
    return by_definition(lambda x: mp.exp(-mean) * mean**x / mp.factorial(x), int(y)), y + 3 * mean + 1


def negbinom(y: Any, n: Any, p: Any) -> Any:
    probability = [p**n]

    def law(x: int) -> Any:
        if x:
            probability.append(probability[-1] * (n + x - 1) / x * (1 - p))
        return probability[-1]

    mean = n * (1 - p) / p
    return by_definition(law, int(y)), y + mean + mp.sqrt(mean / p)


def binomial(y: Any, n: Any, p: Any) -> Any:
    law = lambda x: mp.binomial(n, x) * p**x * (1 - p) ** (n - x) if x <= n else mp.mpf(0)  # noqa: E731
    return by_definition(law, int(y)), n + 1


LOCATION = [(m + sign * d * s, m, s) for d in FAR for sign in (-1, 1) for m, s in ((0.0, 1.0), (3.0, 0.01), (-1.0, 50.0))]
CASES: dict[str, tuple[Callable[..., Any], list[tuple[float, ...]], float]] = {
    "crps_normal": (normal, LOCATION, 32),
    "crps_logistic": (logistic, LOCATION, 32),
    "crps_laplace": (laplace, LOCATION, 32),
    "crps_lognormal": (lognormal, [(y, m, s) for y in (1e-8, 0.1, 1.0, 3.0, 1e6) for m in (-1.0, 0.0, 2.0) for s in (0.1, 1.0, 2.5)], 32),
    "crps_exponential": (exponential, [(y, r) for y in (0.0, 1e-9, 0.3, 2.0, 1e5) for r in (1e-3, 1.0, 70.0)], 32),
    "crps_uniform": (uniform, [(y, a, b) for y in (-3.0, 0.0, 0.2, 1.0, 9.0) for a, b in ((0.0, 1.0), (-2.0, 0.5))], 32),
    "crps_t": (student, [(y, df, 0.5, 2.0) for y in (-40.0, -1.0, 0.5, 0.6, 3.0, 1e4) for df in (1.5, 3.0, 40.0)], 32),
    "crps_gamma": (gamma, [(y, a, r) for y in (0.0, 1e-6, 0.5, 3.0, 60.0) for a in (0.3, 1.0, 8.0) for r in (0.2, 3.0)], 32),
    "crps_beta": (beta, [(y, a, b) for y in (0.0, 1e-6, 0.3, 0.9, 1.0) for a in (0.4, 1.0, 6.0) for b in (0.7, 2.5)], 32),
    "crps_poisson": (poisson, [(y, r) for y in (0, 1, 4, 60) for r in (0.01, 1.0, 12.5)], 32),
    "crps_negbinom": (negbinom, [(y, n, p) for y in (0, 1, 5, 30) for n in (0.01, 0.7, 4.0, 50.0, 1e3) for p in (0.2, 0.6, 0.95)], 32),
    "crps_binomial": (binomial, [(y, n, p) for n in (1, 6, 20) for y in (0, 1, n) for p in (0.05, 0.5, 0.9)], 32),
}


def distances(name: str) -> list[float]:
    """How far each row of a score is from its reference, in eps of the sum of its terms' sizes."""
    reference, rows, _ = CASES[name]
    made = getattr(scoring, name)(*map(np.array, zip(*rows, strict=True)))
    found = []
    with mp.workdps(50):
        for row, got in zip(rows, made, strict=True):
            exact, size = reference(*(mp.mpf(x) for x in row))
            found.append(float(abs(mp.mpf(float(got)) - exact) / size / EPS))
    return found


@pytest.mark.parametrize("name", CASES)
def test_closed_forms_are_exact_within_the_sum_of_their_terms(name: str) -> None:
    _, rows, allowed = CASES[name]
    assert all(d <= allowed for d in distances(name)), max(zip(distances(name), rows, strict=True))


LAWS: dict[str, tuple[Any, tuple[float, ...]]] = {  # SciPy's distributions as the independent oracle
    "normal": (stats.norm(0.3, 1.2), (0.3, 1.2)),
    "logistic": (stats.logistic(0.3, 1.2), (0.3, 1.2)),
    "laplace": (stats.laplace(0.3, 1.2), (0.3, 1.2)),
    "lognormal": (stats.lognorm(0.8, scale=np.exp(0.3)), (0.3, 0.8)),
    "exponential": (stats.expon(scale=1 / 1.7), (1.7,)),
    "uniform": (stats.uniform(-0.5, 2.0), (-0.5, 1.5)),
    "gamma": (stats.gamma(2.5, scale=1 / 1.7), (2.5, 1.7)),
    "beta": (stats.beta(2.0, 3.0), (2.0, 3.0)),
    "t": (stats.t(4.0), (4.0,)),
    "poisson": (stats.poisson(2.5), (2.5,)),
    "negbinom": (stats.nbinom(1.5, 0.4), (1.5, 0.4)),
    "binomial": (stats.binom(7, 0.4), (7, 0.4)),
}


@pytest.mark.parametrize("name", LAWS)
def test_scores_are_those_of_their_definition(name: str) -> None:
    law, parameters = LAWS[name]
    discrete = hasattr(law, "pmf")
    for y in (1.0, 3.0) if discrete else (0.15, 0.45, 0.9):
        if discrete:
            x = np.arange(400)
            crps = np.sum((law.cdf(x) - (y <= x)) ** 2)
            density = law.pmf(y)
        else:
            low, high = law.support()
            crps = sum(
                integrate.quad(f, a, b, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
                for f, a, b in ((lambda x: law.cdf(x) ** 2, low, y), (lambda x: law.sf(x) ** 2, y, high))
            )
            density = law.pdf(y)
        assert getattr(scoring, f"crps_{name}")(y, *parameters) == pytest.approx(crps, rel=1e-9)
        assert getattr(scoring, f"logs_{name}")(y, *parameters) == pytest.approx(-np.log(density), rel=1e-12)
