"""Numbers that other people published, and an optimum of our own: for tests/test_linear_golden.py.

The tables stay where they are, in statsmodels and scikit-learn's test suites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
import statsmodels.api as sm
from numpy.typing import NDArray

import matchloss as ml

Array = NDArray[Any]


@dataclass(frozen=True)
class Published:
    """A data set and the solution that a package printed: coefficients, the intercept last."""

    loss: ml.Loss
    x: Array
    y: Array
    coef: Array
    digits: int  # significant ones that agree with the optimum: all those printed, unless said otherwise
    deviance: float = np.nan
    weight: Array | None = None
    l2: float = 0.0
    intercept: bool = True


# --- an optimum of our own ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """mean(raw), its derivative, and the variance of a target with that mean."""

    mean: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    variance: Callable[[Any], Any]


def logit(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def bernoulli(p: Any) -> Any:
    return p * (1 - p)


def family_of(loss: ml.Loss) -> Family:
    tables = {
        "squared_error": Family(lambda z: z, np.ones_like, np.ones_like),
        "logistic": Family(logit, lambda z: bernoulli(logit(z)), bernoulli),
        "probit": Family(scipy.special.ndtr, lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi), bernoulli),
        "cloglog": Family(lambda z: -np.expm1(-np.exp(z)), lambda z: np.exp(z - np.exp(z)), bernoulli),
        "poisson": Family(np.exp, np.exp, lambda m: m),
        "gamma": Family(np.exp, np.exp, lambda m: m**2),
        "inverse_gaussian": Family(np.exp, np.exp, lambda m: m**3),
        "tweedie": Family(np.exp, np.exp, lambda m: m ** getattr(loss, "power", 0)),
        "negative_binomial": Family(np.exp, np.exp, lambda m: m + m**2 / getattr(loss, "size", 1)),
    }
    return tables[loss.name]


def optimum(case: Published, start: Array) -> Array:
    """Fisher scoring until the score is rounding; the score in extended precision, the steps by QR."""
    family = family_of(case.loss)
    wide = np.longdouble if family.mean is not scipy.special.ndtr else np.float64  # which SciPy has in double alone
    x = np.column_stack([case.x, np.ones(len(case.x))]) if case.intercept else case.x
    y, w = case.y.astype(wide), np.ones(len(x), wide) if case.weight is None else case.weight.astype(wide)
    scale = np.abs(x).max(axis=0)
    x, w = (x / scale).astype(wide), w / w.sum()
    ridge = np.full(x.shape[1], case.l2) / scale**2
    if case.intercept:
        ridge[-1] = 0
    theta = (start * scale).astype(wide)
    best, found = np.inf, theta
    for _ in range(200):
        z = x @ theta
        mean, slope = family.mean(z), family.slope(z)
        pull = w * slope / family.variance(mean)
        score = x.T @ (pull * (y - mean)) - ridge * theta
        size = float(np.abs(score).max())
        if size < best:
            best, found = size, theta
        elif best < 1e-13:
            return np.asarray(found / scale, float)
        half = np.sqrt((pull * slope).astype(float))
        stacked = np.vstack([half[:, None] * x.astype(float), np.diag(np.sqrt(ridge))])
        r = np.linalg.qr(stacked, mode="r")
        theta = theta + np.linalg.solve(r, np.linalg.solve(r.T, score.astype(float)))
    raise AssertionError(f"no optimum: the score is {best}")


# --- the published ones ---------------------------------------------------------------------------------------------------------


def arrays(data: Any) -> tuple[Array, Array]:
    return np.array(data.exog, float), np.array(data.endog, float)


def glm(name: str) -> Any:
    from statsmodels.genmod.tests.results import results_glm

    return getattr(results_glm, name)()


def longley() -> Published:
    found = glm("Longley")
    return Published(ml.SquaredError(), *arrays(sm.datasets.longley.load()), found.params, 9, found.deviance)


def longley_certified() -> Published:
    """NIST's certified values of this data set, of 15 digits; the columns' condition number is 4.9e9."""
    coef = [15.0618722713733, -0.358191792925910e-01, -2.02022980381683, -1.03322686717359, -0.511041056535807e-01, 1829.15146461355]
    return Published(ml.SquaredError(), *arrays(sm.datasets.longley.load()), np.array([*coef, -3482258.63459582]), 11, 836424.055505915)


def star98() -> Published:
    """Grouped counts: a proportion as target and the trials as weight."""
    found, (x, pairs) = glm("Star98"), arrays(sm.datasets.star98.load())
    trials = pairs.sum(axis=1)
    return Published(ml.Logistic(), x, pairs[:, 0] / trials, np.array(found.params), 7, found.deviance, trials)


def birth_weights() -> Published:
    found = glm("Lbw")
    return Published(
        ml.Logistic(), np.array(found.exog, float)[:, :-1], np.array(found.endog, float), np.array(found.params), 7, found.deviance
    )


def cancer(weighted: bool = False) -> Published:
    """R stops glm here when the deviance has settled in 8 digits, which leaves 5 in a coefficient."""
    found = glm("CancerLog")
    case = Published(ml.Gamma(), found.exog[:, :-1], np.array(found.endog, float), found.params, 4, found.deviance)
    if not weighted:
        return case
    from statsmodels.genmod.tests.results.res_R_var_weight import results_gamma_aweights_nonrobust as res

    coef = np.roll(res["params"], -1)
    return replace(case, coef=coef, digits=9, deviance=res["deviance"], weight=every_fifth(len(case.y)))


def every_fifth(n: int) -> Array:
    w = np.ones(n)
    w[::5] = 5
    w[::13] = 3
    return w


def executions() -> tuple[Array, Array]:
    x, y = arrays(sm.datasets.cpunish.load())
    x[:, 3] = np.log(x[:, 3])
    return x, y


def cpunish() -> Published:
    found = glm("Cpunish")
    return Published(ml.Poisson(), *executions(), np.array(found.params), 6, found.deviance)


def cpunish_stata(weights: str) -> Published:
    from statsmodels.genmod.tests.results import results_glm_poisson_weights as results

    table = getattr(results, f"results_poisson_{weights}_nonrobust")
    w = np.array([1, 1, 1, 2, 2, 2, 3, 3, 3, 1, 1, 1, 2, 2, 2, 3, 3])
    x, y = executions()
    x = x.astype(np.float32).astype(float)
    return Published(ml.Poisson(), x, y, table.params, 8, weight=None if weights == "none" else w)


def medpar() -> Published:
    found = glm("InvGaussLog")
    return Published(ml.InverseGaussian(), found.exog[:, :-1], np.array(found.endog, float), found.params, 4, found.deviance)


def committee() -> Published:
    """R's stop leaves 3 digits."""
    found, (x, y) = glm("Committee"), arrays(sm.datasets.committee.load())
    x[:, 2] = np.log(x[:, 2])
    x = np.column_stack([x, x[:, 2] * x[:, 1]])
    return Published(ml.NegativeBinomial(1.0), x, y, found.params, 3, found.deviance)


def fair() -> tuple[Any, Array]:
    data = sm.datasets.fair.load_pandas()
    return data.exog, np.array(data.endog, float)


def fair_tweedie() -> Published:
    found, (x, y) = glm("FairTweedieLog15"), fair()
    x = x[["rate_marriage", "age", "yrs_married"]].to_numpy()
    return Published(ml.Tweedie(1.5), x, y, np.array(found.params), 4, found.deviance, intercept=False)


def fair_weighted() -> Published:
    from statsmodels.genmod.tests.results.res_R_var_weight import results_tweedie_aweights_nonrobust as res

    x, y = fair()
    coef = np.roll(res["params"], -1)
    return Published(ml.Tweedie(1.55), x[["age", "yrs_married"]].to_numpy(), y, coef, 8, res["deviance"], every_fifth(len(y)))


def cpunish_tweedie() -> Published:
    found, (x, y) = glm("CpunishTweedieLog1"), arrays(sm.datasets.cpunish.load())
    return Published(ml.Tweedie(1.0), x[:, [0, 4]], y, np.array(found.params), 15, found.deviance, intercept=False)


def spector(loss: ml.Loss) -> Published:
    from statsmodels.discrete.tests.results.results_discrete import Spector

    found = getattr(Spector, {"logistic": "logit"}.get(loss.name, loss.name))
    coef = np.array(found.params)
    deviance = -2 * getattr(found, "llf", np.nan)
    return Published(
        loss,
        *[a.astype(np.float32).astype(float) for a in arrays(sm.datasets.spector.load())],
        coef,
        8 if loss.name == "probit" else 11,
        deviance,
    )


def health(loss: ml.Loss) -> Published:
    from statsmodels.discrete.tests.results.results_discrete import RandHIE

    x, y = arrays(sm.datasets.randhie.load())
    x = x.astype(np.float32).astype(float)
    if loss.name == "poisson":
        return Published(loss, x, y, np.array(RandHIE.poisson.params), 9)
    found = np.array(RandHIE.negativebinomial_nb2_bfgs.params)
    return Published(ml.NegativeBinomial(1 / found[-1]), x, y, found[:-1], 7)  # R's theta, which differs from Stata's in the 6th digit


def beetles(loss: ml.Loss) -> Published:
    """Bliss (1935); coefficients and deviances as printed in Dobson, An Introduction to Generalized Linear Models, section 7.3."""
    dose = np.array([1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839])
    trials = np.array([59.0, 60, 62, 56, 63, 59, 62, 60])
    killed = np.array([6, 13, 18, 28, 52, 53, 61, 60])
    coef = {"logistic": (34.270, -60.717), "probit": (19.728, -34.935), "cloglog": (22.041, -39.572)}[loss.name]
    deviance = {"logistic": 11.23, "probit": 10.12, "cloglog": 3.45}[loss.name]
    return Published(loss, dose[:, None], killed / trials, np.array(coef), 5, deviance, trials)


def glmnet(loss: ml.Loss, place: int) -> Published:
    """Ridge, unstandardised in glmnet after it was standardised by hand, no intercept; glmnet stops at 1e-7 of the deviance: 4 digits."""
    from statsmodels.genmod.tests.results import glmnet_r_results

    name = {"logistic": "binomial"}.get(loss.name, loss.name)
    folder = Path(glmnet_r_results.__file__ or "").parent
    data = np.loadtxt(folder / f"enet_{name}.csv", delimiter=",", skiprows=1)  # R took the first row for a header
    alpha, penalty, *coef = getattr(glmnet_r_results, f"rslt_{name}_{place}")
    assert alpha == 0
    x = data[:, 1:] - data[:, 1:].mean(axis=0)
    x /= x.std(axis=0, ddof=1)
    return Published(loss, x, data[:, 0], np.array(coef), 4, l2=penalty, intercept=False)


def glmnet_squared(place: int) -> Published:
    """glmnet scales the target to unit variance with n below, the unit it counts penalties in; this one was scaled with n - 1 below."""
    from statsmodels.regression.tests.results import glmnet_r_results

    n, p, alpha, penalty, *coef = getattr(glmnet_r_results, f"rslt_{place}")
    assert alpha == 0
    folder = Path(glmnet_r_results.__file__ or "").parent
    data = np.loadtxt(folder / "lasso_data.csv", delimiter=",")[: int(n), : int(p) + 1]
    data = (data - data.mean(axis=0)) / data.std(axis=0, ddof=1)
    unit = data[:, 0].std()
    return Published(ml.SquaredError(), data[:, 1:], data[:, 0], np.array(coef), 6, l2=penalty / unit, intercept=False)


def glmnet_small(loss: ml.Loss) -> Published:
    """The calls and their 10 digits are in scikit-learn's test_logistic_glmnet and test_poisson_glmnet; lambda = 1 there."""
    if loss.name == "poisson":
        x, y = np.array([[-2.0, 0], [-1, 0], [1, 1], [2, 1]]), np.array([0.0, 1, 1, 2])
        return Published(loss, x, y, np.array([0.29019207995, 0.03741173122, -0.12889386979]), 6, l2=1.0)
    x = np.column_stack([np.arange(-4.0, 5), [0, 0, 1, 0, 1, 1, 1, 0, 0]])
    return Published(loss, x, np.array([0.0, 0, 0, 1, 1, 1, 1, 1, 1]), np.array([0.44464569182, 0.01457563448, 0.89230405539]), 6, l2=1.0)


CASES: dict[str, Callable[[], Published]] = {
    "squared error, Longley, R": longley,
    "squared error, Longley, NIST": longley_certified,
    "logistic, Star98, R": star98,
    "logistic, birth weights, Stata": birth_weights,
    "gamma, cancer, R": cancer,
    "gamma, cancer, weighted, R": lambda: cancer(weighted=True),
    "poisson, executions, R": cpunish,
    "poisson, executions, Stata": lambda: cpunish_stata("none"),
    "poisson, executions, repeated, Stata": lambda: cpunish_stata("fweight"),
    "inverse Gaussian, Medicare, R": medpar,
    "negative binomial, committees, R": committee,
    "tweedie 1.5, affairs, R": fair_tweedie,
    "tweedie 1.55, affairs, weighted, R": fair_weighted,
    "tweedie 1, executions, R": cpunish_tweedie,
    "logistic, Spector, Stata": lambda: spector(ml.Logistic()),
    "probit, Spector, Stata": lambda: spector(ml.Probit()),
    "poisson, health insurance, Stata": lambda: health(ml.Poisson()),
    "negative binomial, health insurance, R": lambda: health(ml.NegativeBinomial(0.8)),
    **{f"{loss.name}, beetles, Dobson": lambda loss=loss: beetles(loss) for loss in (ml.Logistic(), ml.Probit(), ml.CLogLog())},
    **{
        f"{loss.name}, ridge {place}, glmnet": lambda loss=loss, place=place: glmnet(loss, place)
        for loss in (ml.Logistic(), ml.Poisson())
        for place in range(3)
    },
    **{f"squared error, ridge {place}, glmnet": lambda place=place: glmnet_squared(place) for place in (0, 1, 2, 9, 10, 11, 18, 19, 20)},
    **{f"{loss.name}, ridge, glmnet": lambda loss=loss: glmnet_small(loss) for loss in (ml.Logistic(), ml.Poisson())},
}
